/* SPDX-License-Identifier: ISC */
/*
 * `masquerade`: an address as others shall see it. Pure functions over the configuration's list,
 * for the sender of the envelope and those named in the header of submitted mail.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/addr.h"
#include "lib/conf.h"

/*
 * Looks for the entry whose pattern fits `address` (a normal form, with a domain) best: a local
 * part by name before "*", then a domain by name before ".domain", the longest of these before "*";
 * of equals the first. True: out is what the address becomes, a normal form, and differs. False: it
 * stays, also where the outcome would be no address, or too long.
 */
bool masquerade(
    const struct conf_list *entries, const char *address, size_t len, char out[ADDR_SIZE]);
