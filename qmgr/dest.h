/* SPDX-License-Identifier: ISC */
/*
 * Destinations: what the index schedules by. A destination is a recipient domain (routes to mx), a
 * next hop of the configuration, local delivery, or the notices we owe. It holds its ready
 * recipients, knows how much more waits in the index, and is bound to the pool of connections that
 * serves it, once its route and, for a domain, its site are known. There may be 50,000.
 *
 * Names:  example.org            by MX            example.org news   the same, by route "news"
 *         example.org >bulk      from the source that the mail's class or sender has
 *         [192.0.2.1]:25         a fixed hop      local:  notice:  discard:   never domains
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/hash.h"
#include "lib/msg.h"
#include "qmgr/walk.h"

#define DEST_LOCAL    "local:"
#define DEST_ENTRY    "entry:" /* commands and files of aliases and .forward files */
#define DEST_NOTICE   "notice:"
#define DEST_DISCARD  "discard:"
#define DEST_NEVER    WALK_NEVER
#define DEST_SWEEP_MS 60000 /* unused destinations and sites are freed so often */

struct rcpt;
struct pool;
struct lookup;

/* How far it is known where its mail goes; dest_enter() changes it. */
enum dest_state {
	DEST_UNBOUND, /* not asked for yet */
	DEST_ASKING,  /* dnscache is to be asked, or was */
	DEST_BOUND,   /* pool is set */
	DEST_REFUSED, /* there is no such domain, or it takes no mail: recipients fail */
};

/* Ordered so that nothing is lost between the fields. */
struct dest {
	enum dest_state state;
	bool wanted, expiring;
	bool probe;  /* a flush came before its site was known: probe that at once if it is down */
	bool paused; /* qmgr/pause.h */
	bool few;    /* some sender has little in memory and may have more in the index */
	uint16_t refused_code;
	uint16_t name_len;
	uint16_t domain_len;                /* of a domain: how much of the name it is; else 0 */
	struct pool *pool;                  /* BOUND */
	struct dest *pool_next, *pool_prev; /* of the pool's destinations */
	struct dest *want_next, *want_prev; /* of those that want to be refilled */
	struct lookup *lookup;              /* ASKING */
	char *was; /* the site it left, if that site had learned something; else NULL */
	const struct conf_route *route; /* of the configuration in force; NULL: none seen since */
	const char *source; /* with it, and as long: title of the source, "" or NULL: none */
	struct rcpt *ready; /* while it is bound they have their turns in the pool too */
	uint32_t nready;
	uint32_t nactive;     /* in the window: ready, blocked, flying, ... */
	uint32_t refs;        /* recipients that point here */
	uint32_t count_run;   /* sitecount.h: which count these are of */
	uint64_t bound_until; /* now_ms() when its site is asked for again */
	/*
	 * No due key in the index that isn't in memory is earlier than this; DEST_NEVER: there is
	 * none at all. It follows from the walk.
	 */
	uint64_t index_due;
	struct walk walk;         /* how far the index was read; not ours while notes are taken */
	struct walk_notes *notes; /* a slice is under way */
	uint64_t oldest_ms;       /* no arrival is earlier than this; 0: not known */
	uint64_t counted_oldest;  /* of the count */
	char *refused_status, *refused_text;
	struct alarm *timer; /* for index_due; qmgr/alarm.h */
	UT_hash_handle hh;
	uint32_t counted;
	char name[];
};

/* The one of that name, made if needed. Aborts when out of memory. */
struct dest *dest_get(const char *name, size_t len);
struct dest *dest_find(const char *name, size_t len);
struct dest *dest_first(void);
unsigned dest_count(void);

/* Makes rcpt point to it. */
void dest_assign(struct rcpt *rcpt, struct dest *dest);

void dest_enter(struct dest *dest, enum dest_state state);

/* Sees that it gets bound to a pool: at once, or when dnscache has answered. */
void dest_bind(struct dest *dest);
/* Into the pool, with what it has ready; from it: it is UNBOUND then. */
void dest_join(struct dest *dest, struct pool *pool);
void dest_unbind(struct dest *dest);

/* Ready recipients: at the end, at the front (not tried, it keeps its turn), out of the middle. */
void dest_push(struct dest *dest, struct rcpt *rcpt);
void dest_push_front(struct dest *dest, struct rcpt *rcpt);
void dest_remove(struct dest *dest, struct rcpt *rcpt);

/* Whether recipients may not wait in memory: its site is down, or it rests (qmgr/pause.h). */
bool dest_parked(const struct dest *dest);

/* Its ready recipients take their routes anew. */
void dest_reroute(struct dest *dest);

/* Frees those that nothing needs. */
void dest_sweep(void);

/* A new configuration: all routes are read anew. */
void dest_reconfigure(void);
