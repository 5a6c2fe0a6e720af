/* SPDX-License-Identifier: ISC */
/*
 * Internationalised domains (RFC 5890): names in UTF-8 as the DNS has them. The only user of
 * libidn2, of which nothing is loaded at run time.
 */
#pragma once

#include <stddef.h>

/*
 * Writes the domain of n bytes, valid UTF-8, with every label as an A-label (or in lower case) as C
 * text of at most size bytes. Returns its length, -EINVAL when IDNA2008 doesn't allow it (mapped as
 * UTS #46 says, non-transitional), or -ENAMETOOLONG.
 */
int idna_to_ascii(const char *domain, size_t n, char *out, size_t size);
