/* SPDX-License-Identifier: ISC */
/*
 * Names that no resolver is asked for, whatever it would say: "localhost" and all below it are the
 * loopback addresses, "invalid" and "onion" don't exist (RFC 6761 §6.3 and §6.4, RFC 7686). A
 * smarthost at [localhost]:2525 works without any resolver.
 */
#pragma once

#include "dnscache/resolve.h"

/* Answers a question about such a name; false for all others. */
bool builtin_answer(uint16_t type, const char *name, struct resolver_answer *out);
