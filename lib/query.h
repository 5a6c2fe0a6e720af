/* SPDX-License-Identifier: ISC */
/*
 * What the tools and qmgr say to each other about the queue: the filter that selects messages and
 * recipients, the rows of a listing, the rows of sites, and the verbs that change something. It is
 * the content of the tool_* messages of lib/msg.def, encoded with lib/wire.h; both sides use these
 * functions, so there is one form.
 *
 * A tool sends tool_list (or tool_change, tool_sites) over a channel of role TOOL to the socket
 * "queue" in `runtime`. tool_list is answered with any number of tool_rows, the last of which says
 * last = 1; rows of one message follow each other and may spread over packets. tool_change is
 * answered once, when the change is safe on disk. Text points into the encoded bytes.
 */
#pragma once

#include "lib/msg.h"
#include "lib/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUERY_SOCKET      "queue" /* name of the socket in `runtime` */
#define QUERY_FILTER_MAX  8000    /* bytes of an encoded filter */
#define QUERY_IDS_MAX     900     /* IDs of one filter; more are asked for in several requests */
#define QUERY_ROWS_MAX    61000   /* bytes of rows in one packet */
#define QUERY_PATTERN_MAX 512     /* bytes of one pattern */

/* `verb` of tool_change; numbers travel in messages: append only */
enum query_verb {
	QUERY_FLUSH = 1,   /* due now; a site that is down is probed at once */
	QUERY_DELETE = 2,  /* gone, without a bounce */
	QUERY_HOLD = 3,    /* set aside until released; one that is being sent when it comes back */
	QUERY_RELEASE = 4, /* undoes a hold; what was set aside gets one more try */
	QUERY_BOUNCE = 5,  /* fails; its sender gets a notice */
	QUERY_VERBS
};

/*
 * `detail` of tool_list: one row of totals; a row per message with its recipients; the same with
 * `wait` and `wait_text` of each recipient
 */
enum query_detail { QUERY_TOTALS = 0, QUERY_ROWS = 1, QUERY_WHY = 2, QUERY_DETAILS };

/* where a recipient stands; numbers travel in messages: append only */
enum query_state {
	QUERY_STATE_NONE = 0,
	QUERY_READY = 1,     /* due, waits for its turn */
	QUERY_ACTIVE = 2,    /* at a deliver worker */
	QUERY_DEFERRED = 3,  /* waits for its next attempt */
	QUERY_BOUNCING = 4,  /* failed; the notice to the sender isn't out yet */
	QUERY_DAMAGED = 5,   /* its record can't be read or sent; set aside */
	QUERY_POISON = 6,    /* its handling ended a worker twice; set aside until released */
	QUERY_HELD = 7,      /* by a tool, until it is released */
	QUERY_PAUSED = 8,    /* due, but its site, its domain or all delivery is paused */
	QUERY_NOTIFYING = 9, /* a notice of another kind to the sender isn't out yet */
	QUERY_STATES
};

/* What a recipient waits for; numbers travel in messages: append only. */
enum query_wait {
	QUERY_WAIT_NONE = 0,     /* nothing: it is being sent, or not looked at */
	QUERY_WAIT_TIME = 1,     /* its next attempt */
	QUERY_WAIT_TURN = 2,     /* others before it, or a connection */
	QUERY_WAIT_DOWN = 3,     /* its site is down */
	QUERY_WAIT_PAUSE = 4,    /* a pause */
	QUERY_WAIT_RELEASE = 5,  /* held, damaged, poison: a person */
	QUERY_WAIT_DNS = 6,      /* an answer from dnscache */
	QUERY_WAIT_LIMIT = 7,    /* connections, a rate, a window: a limit of the configuration */
	QUERY_WAIT_NOTICE = 8,   /* the notice to its sender */
	QUERY_WAIT_INTERNAL = 9, /* the index, keeper, a file: over in a moment */
	QUERY_WAITS
};

/* "time", "turn", "down", "pause", "release", "dns", "limit", "notice", "internal"; "none". */
const char *query_wait_name(unsigned wait);

/* "ready", "active", ... as they are called above, in lower case; else "none". */
const char *query_state_name(unsigned state);
/* The other way round; -EINVAL for another word. */
int query_state_parse(const char *word);

/* -- filters ------------------------------------------------------------------------------ */

/*
 * Which messages and recipients are meant. All that is given must match; a message matches with
 * those recipients that match. NULL and 0 mean "not given". Patterns compare as ASCII without
 * case; `*` stands for any text, so "*@example.org" and "mx*.example.net" work; "<>" as sender
 * stands for the null sender. An empty filter (no `all`, nothing given) matches nothing.
 */
struct query_filter {
	bool all;
	struct msg_bytes sender, recipient, domain, site;
	struct msg_bytes class;  /* the name of its class */
	struct msg_bytes reason; /* the last reply or trouble, as shown */
	uint64_t older_ms;       /* arrived at least this long ago */
	uint64_t larger;         /* at least this many bytes */
	uint8_t state;           /* enum query_state */
	const uint64_t *ids;     /* when encoding: the caller's; decoded: see query_filter_get() */
	size_t nids;
};

/*
 * Encodes into out (at most QUERY_FILTER_MAX bytes). Returns the bytes written, or -EMSGSIZE: too
 * many IDs, too long a pattern.
 */
int query_filter_put(const struct query_filter *filter, unsigned char *out, size_t size);

/*
 * Decodes. ids is room for the IDs (QUERY_IDS_MAX), to which filter->ids then points. Returns 0
 * or -EBADMSG.
 */
int query_filter_get(struct msg_bytes in, struct query_filter *filter, uint64_t *ids);

/* Whether the filter names anything at all: what a changing verb insists on. */
bool query_filter_empty(const struct query_filter *filter);
/* Whether all is asked for, and nothing narrows it. */
bool query_filter_everything(const struct query_filter *filter);

/* Whether text matches a pattern as above. */
bool query_match(struct msg_bytes pattern, const char *text, size_t len);

/* -- rows of messages ---------------------------------------------------------------------- */

struct query_rcpt {
	struct msg_bytes address;
	uint8_t state;           /* enum query_state */
	uint16_t attempts;       /* answered by a peer so far */
	uint64_t next_ms;        /* wall clock of the next attempt; 0: now, or none */
	struct msg_bytes site;   /* "" while it isn't known */
	struct msg_bytes reason; /* the last reply or trouble; "" without any */
	uint8_t wait;            /* enum query_wait; only in an answer to QUERY_WHY */
	struct msg_bytes wait_text;
};

/*
 * A message and recipients of it. `more`: further recipients of the same message follow in the
 * next row (same id), which may lie in the next packet.
 */
struct query_row {
	uint64_t id;
	uint64_t arrival_ms;
	uint64_t size;
	struct msg_bytes sender;
	struct msg_bytes class; /* the name of its class */
	bool more;
	struct msg_bytes rcpts; /* for query_next_rcpt() */
};

/* Totals: the one row of QUERY_TOTALS. */
struct query_totals {
	uint64_t messages, recipients, bytes;
};

/*
 * Writing rows into a fixed wire_out of at most QUERY_ROWS_MAX bytes. Begin a row, put recipients,
 * end it with `more`. A put that doesn't fit returns -EMSGSIZE and leaves the rows as they were
 * before it, so that the row can be ended and continued in another packet.
 */
struct query_rows {
	struct wire_out out;
	size_t row_at; /* where the open row begins */
	uint32_t rcpts;
};

void query_rows_init(struct query_rows *rows, void *buf, size_t size);
int query_row_begin(struct query_rows *rows, const struct query_row *row);
int query_row_rcpt(struct query_rows *rows, const struct query_rcpt *rcpt);
/* Ends the open row. One without recipients is taken back. */
void query_row_end(struct query_rows *rows, bool more);

/* Walk rows or a row's recipients; *pos starts at 0. 1 and the next one, 0 at the end, -EBADMSG. */
int query_next_row(struct msg_bytes rows, size_t *pos, struct query_row *row);
int query_next_rcpt(struct msg_bytes rcpts, size_t *pos, struct query_rcpt *rcpt);

int query_totals_put(const struct query_totals *totals, unsigned char *out, size_t size);
int query_totals_get(struct msg_bytes in, struct query_totals *totals);

/* -- pauses ------------------------------------------------------------------------------- */

/* What is paused; numbers travel in messages and are on disk: append only. */
enum query_pause {
	QUERY_PAUSE_SITE = 1,
	QUERY_PAUSE_DOMAIN = 2, /* a recipient domain */
	QUERY_PAUSE_IN = 3,     /* the intake: smtpd answers 452 */
	QUERY_PAUSE_OUT = 4,    /* all delivery, local too; our own notices to the queue are not */
	QUERY_PAUSES
};

#define QUERY_PAUSE_NAME_MAX 400 /* bytes of the name of a site or domain */

struct query_pause_row {
	uint8_t kind;          /* enum query_pause */
	struct msg_bytes name; /* of a site or domain; else "" */
	uint64_t since_ms;     /* wall clock */
	uint64_t until_ms;     /* 0: until resumed */
};

/* "site", "domain", "in", "out". */
const char *query_pause_name(unsigned kind);

/* Appends one; -EMSGSIZE leaves out as it was. */
int query_pause_put(struct wire_out *out, const struct query_pause_row *pause);
int query_next_pause(struct msg_bytes rows, size_t *pos, struct query_pause_row *pause);

/* -- rows of sites ------------------------------------------------------------------------- */

enum query_site_state {
	QUERY_SITE_UP = 0,
	QUERY_SITE_DOWN = 1,
	QUERY_SITE_PROBING = 2,
	QUERY_SITE_PAUSED = 3 /* whatever else it is */
};

struct query_site {
	struct msg_bytes name;
	uint8_t state;                    /* enum query_site_state */
	uint32_t connections;             /* open now */
	uint32_t limit;                   /* as many may be now: it adapts */
	uint32_t configured;              /* as many at most */
	uint32_t rate_count, rate_period; /* so many messages in so many ms; 0: no limit */
	uint32_t active;                  /* recipients at a worker */
	uint32_t ready;                   /* recipients that wait for their turn, in memory */
	uint64_t queued;                  /* recipients in all, in memory and in the index */
	uint64_t oldest_ms;               /* arrival of the oldest of them; 0: none */
	uint64_t probe_ms;                /* wall clock of the next try when down; else 0 */
	uint64_t trouble_ms;              /* wall clock of the last trouble; 0: none */
	struct msg_bytes trouble;         /* its words; "" without any */
	/* what was learned of it: until when (wall clock); 0: it isn't so */
	uint64_t steps_ms; /* served one command at a time */
	uint64_t ipv4_ms;  /* spared IPv6 */
	uint64_t plain_ms; /* TLS fails with a host of it: plaintext where that is allowed */
};

/* "up", "down", "probing", "paused". */
const char *query_site_state_name(unsigned state);

/* Appends one; -EMSGSIZE leaves out as it was. */
int query_site_put(struct wire_out *out, const struct query_site *site);
int query_next_site(struct msg_bytes rows, size_t *pos, struct query_site *site);
