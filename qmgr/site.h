/* SPDX-License-Identifier: ISC */
/*
 * Sites and pools (pool.c makes them, site.c keeps their state, sitelimit.c says how much may go
 * there). A site is what is limited and backed off together: an MX set, called by its best host; a
 * fixed next hop; local delivery; our own notices. A pool is what may share a connection inside a
 * site: transport, hosts, credential, source address, TLS requirement.
 *
 * A site is up, or down: it couldn't be reached or refused us, and no connection of it stands. Then
 * its mail is parked in the index and it is probed with growing distance: a probe is an ordinary
 * connection, and when that opens the site is up and everything due goes, in slow start. A site
 * that is down and has no mail isn't probed: its next mail is the probe.
 *
 * What holds mail back here (limit, rate, a site that is down, our own limits) is a local wait: no
 * recipient's attempts or next time change by it.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/hash.h"
#include "lib/job.h"
#include "lib/msg.h"
#include "qmgr/crowd.h"
#include "qmgr/rate.h"
#include "qmgr/throttle.h"
#include "qmgr/turns.h"

#define SITE_LOCAL              "local"
#define SITE_NOTICE             "notice"
#define SITE_LOCAL_CONNECTIONS  10
#define SITE_NOTICE_CONNECTIONS 4
#define SITE_PROBE_FIXED_MS     120000   /* a fixed hop is probed at least so often */
#define SITE_PROBE_OURS_MS      5000     /* so are our own sites */
#define SITE_FLUSH_MS           1000     /* between two probes that were asked for */
#define SITE_IPV4_MS            86400000 /* how long a site that refuses IPv6 is spared it */
#define SITE_PLAIN_MAX_MS       86400000 /* a worker can't say that TLS fails for longer */
#define SITE_RESERVE_FROM       3        /* connections from which on urgent mail has its own */
#define POOL_TARGETS_MAX        8        /* hosts of an ordered list */
#define POOL_WINDOW             4        /* jobs a connection has at a time */
#define POOL_WINDOW_WIDE        9        /* where many messages are in flight on it: at most */
#define SITES_IDLE              4096     /* known ones beyond which those with nothing to do go */
#define SITE_PACED_MAX          1000 /* up to so many messages a second each goes when it's due */

struct conn;
struct dest;
struct trouble;

enum site_state {
	SITE_UP,
	SITE_DOWN,    /* waits for its next probe */
	SITE_PROBING, /* the probe is on its way */
};

/* What the configuration says of a site (struct conf_site, as small as it can be). */
struct site_limits {
	uint64_t probe_max;
	uint32_t connections;
	uint32_t messages_per_connection;
	uint32_t recipients_per_message; /* or `fewer` */
	struct conf_rate rate;
	uint32_t idle, connect_timeout, reply_timeout; /* ms */
	uint8_t pipelining;                            /* enum conf_pipelining */
	uint8_t tls;                                   /* enum conf_tls */
};

/* Ordered so that nothing is lost between the fields. */
struct site {
	enum site_state state;
	bool one_domain; /* wants one domain a message, learned */
	bool ours;       /* local, notices: its troubles are our own and soon over */
	bool fixed;      /* no MX: probed more often */
	bool paused;     /* qmgr/pause.h */
	bool dirty;      /* in keep.c's list of those to be written */
	uint8_t nmx;
	uint8_t losses;    /* qmgr/steps.h */
	uint64_t steps_ms; /* served step by step since; 0: it isn't */
	struct site_limits limits;
	struct pool *pools;
	uint32_t nconns;  /* opening or open */
	uint32_t opening; /* of them */
	uint32_t flying;  /* recipients in jobs */
	uint32_t fewer;   /* recipients a message may have, learned; 0: as configured */
	struct throttle throttle;
	struct rate rate;
	uint64_t probe_interval, probe_at;
	uint64_t down_since;
	uint64_t flushed;         /* its last probe by site_flush() */
	uint64_t full_until;      /* our own limit was met: none is opened before */
	uint64_t ipv4_until;      /* it refused us over IPv6: IPv4 only until then; 0: both */
	uint64_t plain_until;     /* TLS with a host of it fails: deliver/secure.h; 0: it doesn't */
	struct trouble *trouble;  /* the last one; NULL: none */
	struct pool *probe_pool;  /* what failed last */
	struct alarm *timer;      /* probe, or the next try to open one more; qmgr/alarm.h */
	struct event *rate_timer; /* NULL: never waited */
	struct site *dirty_next, *dirty_prev;
	uint64_t kept_ms; /* when its row was written; 0: it has none */
	UT_hash_handle hh;
	/* What limits are looked up with: its name, the domain, the MX hosts, each with its NUL. */
	char name[];
};

/* One of the hosts of a fixed route. */
struct target {
	char *host;
	uint16_t port;
	bool implicit_tls;
};

struct pool {
	struct site *site;
	struct pool *next, *prev; /* of the site */
	uint8_t transport;        /* enum transport */
	uint8_t tls;              /* enum conf_tls */
	bool by_mx, kicked, held;
	uint8_t blocked; /* enum event_wait: what its ready recipients wait for, for qmgr/trace.h */
	bool wide;       /* a connection of it has had use for more than POOL_WINDOW jobs */
	uint8_t ntargets, target; /* the one in use */
	uint8_t scouts;           /* on their way to the first one: qmgr/fallback.h */
	uint32_t back_ms;         /* distance of scouts */
	uint64_t back_at;         /* the next one */
	char *credential, *source;
	struct target *targets; /* POOL_TARGETS_MAX; NULL: none */
	struct dest *dests;     /* bound here */
	struct turns turns;     /* of their ready recipients */
	uint32_t nready, nconns;
	struct conn
	    *conns[POOL_WINDOW + 1]; /* open, by the jobs they have: lists; the last: or more */
	struct pool *kick_next;      /* of those that are looked at at the end of the turn */
	struct pool *held_next, *held_prev; /* of those that transactions are in the way of */
	struct crowd_place place;           /* in the line for a connection */
};

/* -- making */

/* Binds a destination whose route isn't mx (fixed hop, local, notice). */
void site_bind_fixed(struct dest *dest);
/*
 * Binds a destination to the site that dnscache has named. A site that is new here takes over the
 * state of the one that the destination left, or of one called by another of its hosts, if the two
 * have a host in common: a new best MX host is no fresh start.
 */
void site_bind_mx(struct dest *dest, struct msg_bytes site, struct msg_bytes hosts);
/* The destination leaves its site: what it knows of that goes along (see site_bind_mx()). */
void site_left(struct dest *dest);
/* Nobody could tell where its mail goes: a site of its own, which is down. */
void site_bind_trouble(struct dest *dest, const char *text);

/* The TLS (enum conf_tls) of mail of that route (NULL: none) to a site that wants limits_tls. */
uint8_t site_tls(const struct conf_route *route, uint8_t limits_tls);

struct site *site_first(void);
struct site *site_find(const char *name);
unsigned site_count(void);

/* -- state */

void site_enter(struct site *site, enum site_state state);

/* enum open_verdict as logs and the tools have it. */
const char *site_verdict_name(unsigned verdict);
/* What was said last: for the tools, and the reason of what is parked. */
void site_set_trouble(struct site *site, const char *what, uint16_t code, struct msg_bytes status,
    struct msg_bytes host, struct msg_bytes text);
/* A connection didn't come to be, or the site refused us. */
void site_failed(struct pool *pool, enum open_verdict verdict, uint16_t code,
    struct msg_bytes status, struct msg_bytes host, struct msg_bytes text);
/* It refuses what comes over IPv6: IPv4 at once, and for SITE_IPV4_MS. */
void site_refuses_ipv6(struct pool *pool, struct msg_bytes host, struct msg_bytes text);
/* A host of the site of that name gets plaintext where TLS is only an opportunity: for the tools.
 */
void site_breaks_tls(struct msg_bytes name, uint32_t ms);
/* A connection stands. */
void site_opened(struct pool *pool);
/* A connection is gone: if that was the probe without a word, there is another one. */
void site_conn_gone(struct site *site);
/* A recipient was answered: its back-off begins anew. */
void site_proved(struct site *site);
/* Nothing of it stands, or is to stand. */
void site_down(struct site *site, const char *why);
void site_probe(struct site *site);
/* The time between two tries, after one of `last` ms (0: the first). */
uint32_t site_interval(const struct site *site, uint64_t last);
/* Its timer, after ms. */
void site_set_timer(struct site *site, uint64_t ms);

/*
 * Probes it now if it is down; where that was asked for less than SITE_FLUSH_MS ago, when that time
 * is over: whoever flushes asks for each of its messages.
 */
void site_flush(struct site *site);

/* As they were before a restart (keep.c). */
void site_restore_trouble(struct site *site, struct msg_bytes text, uint64_t at);
void site_restore_down(struct site *site, uint64_t since, uint64_t probe_at);

/* -- how much may go there (sitelimit.c) */

/*
 * Whether one more connection may be opened. A tenth of them, at least one of three, is kept for
 * urgent mail where the configuration makes any mail urgent.
 */
bool site_may_open(const struct site *site, bool urgent);
/* Connections it may have now: what adapts, within what is configured. */
uint32_t site_limit(const struct site *site);
/* Jobs that one of its connections may have at a time: with a rate none is sent ahead. */
unsigned site_window(const struct site *site);
/* Our own limit was met (descriptors, memory): no new connection for a second. */
void site_full(struct site *site);

/* A transaction was accepted. */
void site_accepted(struct site *site);
/* Trouble that throttle.h counts; site_set_trouble() came before. */
void site_trouble(struct site *site, enum throttle_kind kind);

/*
 * Whether the rate allows a message now; if not, all pools of the site are looked at again
 * (dispatch_pool()) when it does.
 */
bool site_rate_ready(struct site *site);
/* One message goes; one came back not tried. */
void site_rate_take(struct pool *pool);
void site_rate_back(struct site *site);
/* A pool that has mail can't open: closes an idle connection of another one of the site. */
void site_make_room(struct pool *pool);

/*
 * A site that is up and has nothing to do is only the answer of DNS, which dnscache has too, and
 * what it has learned, which keep.h keeps in less. Where more than SITES_IDLE are known it is
 * freed: true; its destinations are bound again when they have mail in memory. Called when it may
 * have become idle.
 */
bool site_forget(struct site *site);
/* Frees what nothing needs; reads limits anew. */
void site_sweep(void);
void site_reconfigure(void);
