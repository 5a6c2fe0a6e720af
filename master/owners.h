/* SPDX-License-Identifier: ISC */
/*
 * The sender_owners file (keeper): which user may send as whom, "address user user" a line.
 *
 * An address is user@domain, @domain for all of a domain, or *; compared as ASCII without case. A
 * user * stands for all. A line for the address counts, else one for its domain, else *; lines of
 * the same address add up. An address that none is for belongs to the user of that name, or whose
 * name it is at a local domain.
 */
#pragma once

#include <stdbool.h>

#include "lib/conf.h"

/* Uses the file of that configuration from now on; "": none, and anybody may send as anyone. */
void owners_use(const struct conf *conf);

/* Does such a file hold? */
bool owners_used(void);

/* 1: that user may send as `sender` ("" is everyone's); 0: no; -EAGAIN: the file can't be read. */
int owners_allow(const char *user, const char *sender);
