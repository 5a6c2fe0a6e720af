/* SPDX-License-Identifier: ISC */
/*
 * Records as ldns has read them, written in the form of lib/dns.h. A part of query.c, which alone
 * calls this; with it the only code of Baton that includes ldns.
 */
#pragma once

#include "dnscache/query.h"

struct ldns_struct_rr;
struct ldns_struct_rdf;

/* Appends a record to the answer's list; *null is set by an MX record without a host (RFC 7505). */
void query_record_put(const struct ldns_struct_rr *rr, struct query_answer *out, bool *null);

/* Order of two MX records (ldns_rr **, by qsort()): preference, then name, so that a set has one
 * order. */
int query_mx_compare(const void *a, const void *b);

/*
 * A name of a record as our text; `strict`: one that a host may have. Returns 0, or -EINVAL.
 */
int query_name_text(const struct ldns_struct_rdf *name, bool strict, char out[DNS_NAME_SIZE]);
