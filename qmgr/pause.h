/* SPDX-License-Identifier: ISC */
/*
 * Pauses: a site, a recipient domain, the intake, or all delivery rests by word of the
 * administrator, for a time or until resumed. They are rows of the index's table meta and so
 * outlive a restart; with a lost index they are lost, which is said in the log then.
 *
 * What a pause stops is parked like the mail of a site that is down: it waits in the index and
 * costs nothing, keeps its due times and its lifetime, and no attempt is counted. Nothing of it
 * expires, for that needs an attempt. Connections
 * of a paused site are closed: what is on the wire is finished, the rest comes back untried.
 *
 * A paused domain by MX is a destination and rests where it is. Recipients of one that goes to a
 * fixed hop, or is local, move to a destination of their own (PAUSE_DEST and the domain) when they
 * are met, and are routed again when the pause is over. Notices to senders go on: they are mail
 * that comes in, and it is what they lead to that rests. A pause of the intake lets them in too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/chan.h"
#include "lib/query.h"

#define PAUSES_MAX 1000 /* at a time */
#define PAUSE_DEST "paused:"

struct dest;
struct pause;
struct site;

/* Reads them from the index: at start, before anything else is read. 0 or -E.... */
int pause_load(void);

/*
 * Begins one, or gives it another end; for_ms 0: until it is resumed. Returns 0; -EINVAL for a kind
 * or name that can't be; -EMFILE at PAUSES_MAX. *known: not a site that nobody has heard of yet.
 */
int pause_begin(enum query_pause kind, struct msg_bytes name, uint64_t for_ms, bool *known);
/* Ends one, or all (kind 0). Returns how many there were. */
unsigned pause_end(unsigned kind, struct msg_bytes name);
/* Sends all of them to a tool, the last packet with last = 1. */
void pause_list(struct chan *chan);

/* Whether there is any. */
bool pause_any(void);

/* How many things are. */
unsigned pause_count(void);

/* What holds now. The first two are for who makes such a thing, which keeps it as `paused`. */
bool pause_covers_dest(const struct dest *dest);
bool pause_covers_site(const struct site *site);
/* Whether recipients of the domain rest. */
bool pause_covers_domain(const char *domain, size_t len);
bool pause_covers_intake(void);

/*
 * Why a recipient rests: all delivery, its domain, its site (NULL: not known). NULL: it doesn't.
 */
const struct pause *pause_of(const struct site *site, const char *domain, size_t len);
uint64_t pause_until(const struct pause *pause); /* 0: until it is resumed */
/* "site mx.example.org is paused until it is resumed", cut to size; ends with a NUL. */
void pause_words(const struct pause *pause, char *out, size_t size);
