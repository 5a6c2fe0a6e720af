/* SPDX-License-Identifier: ISC */
/*
 * A message in stored form on its way from a dropped file to smtpd. The file is its owner's, who
 * may have written anything: what comes out is stored form all the same, without an end mark.
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

/* Copies all from offset `at`; errors of `out` are left in it. 0, or -EIO for `file`. */
int stored_copy(FILE *file, off_t at, FILE *out);
