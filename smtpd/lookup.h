/* SPDX-License-Identifier: ISC */
/*
 * Questions to dnscache (LOOKUP of lib/msg.def) about clients and what they say. At most
 * LOOKUP_OPEN are open in a worker, so that hostile clients can't make it ask without end: what
 * goes beyond is not asked. Each has a deadline, and is asked again when dnscache was replaced
 * meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/chan.h"
#include "lib/dns.h"
#include "lib/hash.h"

#define LOOKUP_OPEN    4000 /* dnscache takes 10,000 of each asker (dnscache/serve.h) */
#define LOOKUP_TICK_MS 200  /* how late a deadline may be noticed */

struct lookup;
/* records: the list of lib/dns.h, of the type that was asked for; only with DNS_OK. */
typedef void lookup_answered(
    struct lookup *l, enum dns_verdict verdict, const void *records, size_t len);

/* A question; its memory is the asker's. All zeroes when nothing is asked. */
struct lookup {
	UT_hash_handle hh;
	uint32_t id;
	bool open;
	uint16_t type;
	uint64_t deadline; /* loop_ms() */
	lookup_answered *answered;
	char name[DNS_NAME_SIZE];
};

/*
 * Asks; name was cleaned, and is copied. Returns true when answered() will be called, once, from a
 * later turn; false when it can't be asked now: as good as DNS_TEMPFAIL.
 */
bool lookup_ask(struct lookup *l, enum dns_type type, const char *name, uint64_t deadline,
    lookup_answered *answered);

/* answered() is not called any more. Does nothing to one that isn't open. */
void lookup_cancel(struct lookup *l);

/* The link to dnscache. */
void lookup_linked(struct chan *dnscache);
void lookup_unlinked(struct chan *dnscache);
void lookup_is(struct chan *chan, union msg_any *msg, void *arg);

/* Questions that are open; for tests. */
unsigned lookup_open(void);
