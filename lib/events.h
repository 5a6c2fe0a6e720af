/* SPDX-License-Identifier: ISC */
/*
 * What has happened to each message: the last EVENTS_KEPT events of all processes, in memory. Each
 * process place that handles mail (smtpd, qmgr, deliver) has a ring of its own: a sealed memfd that
 * master makes and hands to whoever fills the place, as descriptor CHILD_EVENTS, so that the ring
 * of a dead process is still there and its successor goes on in it. Only the process's loop thread
 * writes, without a lock and without a system call; whoever has the descriptor reads at any time
 * and disturbs nobody: `batonctl trace` gets them from master, read-only.
 *
 * A ring is a header and slots of EVENT_SLOT bytes. An event takes one slot, and further ones of
 * EVENT_MORE for the rest of a long text. A slot says itself which event of the ring it holds; one
 * that is being written, or is written over while it is read, is passed over by events_read().
 * What a reader finds was written by a process that may have been made to lie: lengths are checked,
 * texts are to be escaped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"

#define EVENTS_KEPT       100000 /* slots of all rings of a configuration together, about */
#define EVENTS_MIN        256    /* of one ring at least, however many processes there are */
#define EVENT_SLOT        96     /* bytes */
#define EVENT_TEXT        54     /* bytes of text in a slot */
#define EVENT_TEXT_MAX    540    /* of an event: 10 slots; more is cut */
#define EVENT_NO_RCPT     UINT32_MAX
#define EVENTS_RING_MAGIC 0x4241544f4e455631ull /* "BATONEV1" */

/* What happened: the rows of lib/events.def. */
enum event_type {
	EVENT_NONE,
#define EVENT(name, word) EVENT_##name,
#include "lib/events.def"
#undef EVENT
	EVENT_TYPE_COUNT
};

/* EVENT_WAITS: what for, in `code` */
enum event_wait {
	EVENT_WAIT_NONE,
	EVENT_WAIT_DOWN,       /* what: the site, words: its trouble */
	EVENT_WAIT_PAUSED,     /* what: the destination */
	EVENT_WAIT_RATE,       /* what: the site */
	EVENT_WAIT_LIMIT,      /* its connections are busy */
	EVENT_WAIT_CONNECTION, /* one is being opened */
	EVENT_WAIT_DNS,        /* what: the domain */
	EVENT_WAIT_TURN,       /* others of the destination are before it */
	EVENT_WAITS_COUNT
};

struct event_slot {
	uint64_t seq;  /* how many slots were written before and with this one; 0: not whole */
	uint64_t id;   /* of the message; 0: of a connection */
	int64_t at_us; /* clock_us() */
	uint64_t value;
	uint32_t number;
	uint16_t code;
	uint8_t type; /* enum event_type */
	uint8_t len;  /* of text in this slot */
	uint8_t what; /* bytes of the whole text that are `what`; the rest are `words` */
	uint8_t more; /* slots of EVENT_MORE behind it */
	char text[EVENT_TEXT];
};

struct events_ring {
	uint64_t magic;
	uint64_t slots;
	uint64_t written; /* slots written so far: the place of the next one, modulo slots */
	int64_t since_us; /* when the ring was made */
	char spare[EVENT_SLOT - 32];
	struct event_slot slot[];
};

/* -- writing */

/* How many slots a place of that role gets, of `count` such places; 0: the role has no ring. */
unsigned events_share(enum role role, unsigned count);

/*
 * A ring of so many slots: a descriptor (close-on-exec, the caller's) of a file that can't be
 * resized. -E... on failure.
 */
int events_create(unsigned slots);

/*
 * Writes into the ring behind fd from now on; fd may be closed afterwards. Returns 0, -EBADMSG when
 * it is no ring of this build, another -E...; then nothing is recorded.
 */
int events_attach(int fd);

struct event_note {
	uint64_t id, value;
	int64_t at_us; /* 0: events_time() */
	uint32_t number;
	uint16_t code;
	struct msg_bytes what, words; /* what: at most 255 bytes; both: EVENT_TEXT_MAX */
};

extern struct events_ring *events_mine; /* NULL: nothing is recorded */
extern int64_t events_clock;            /* for events_tick() and events_time() only */

/*
 * Something came from outside: what is recorded next happened behind it, so the clock is read anew.
 * Channels, connections and the loop's turns call this; between two calls time stands still, which
 * spares half of what an event costs and keeps the order between processes.
 */
static inline void events_tick(void)
{
	events_clock = 0;
}

/* The time that an event would get now. */
int64_t events_time(void);

/* events_put()'s second half. */
void events_write(enum event_type type, const struct event_note *note);

/* EVENT_PUT(TAKEN, .id = id, .number = n): records an event. */
#define EVENT_PUT(type, ...)                                                                 \
	do {                                                                                 \
		if (events_mine)                                                             \
			events_write(EVENT_##type, &(const struct event_note){__VA_ARGS__}); \
	} while (0)

/* -- reading */

/* One event, put together. */
struct event {
	uint64_t seq, id, value;
	int64_t at_us;
	uint32_t number;
	uint16_t code;
	uint8_t type;
	uint16_t what_len, words_len;
	char text[EVENT_TEXT_MAX]; /* what, then words */
};

/* "accepted", "taken", ...; "?" for a number out of range. */
const char *event_word(unsigned type);

/* A ring mapped for reading. What it says of its own size later is not believed. */
struct events_reader {
	const struct events_ring *ring;
	uint64_t slots;
	size_t size; /* of the mapping */
};

/* Maps the ring behind fd, which may be closed afterwards. 0, -EBADMSG: no ring, another -E.... */
int events_open(int fd, struct events_reader *reader);
void events_close(struct events_reader *reader);

/*
 * Walks a ring from the oldest event to the newest: *pos starts at 0. Returns 1 and the event, 0 at
 * the end. Events that are overwritten meanwhile are passed over.
 */
int events_read(const struct events_reader *reader, uint64_t *pos, struct event *event);

/* Since when nothing is missing in it (clock_us()): its beginning, or its oldest event. */
int64_t events_horizon(const struct events_reader *reader);
