/* SPDX-License-Identifier: ISC */
/*
 * The world of an SMTP session without sockets, for unit tests: keeper is the other end of a
 * channel and knows bob and postmaster (busy: not now), and ann, who may log in; qmgr is one
 * segment in memory, granted by hand. A talk is one client: bytes in, replies out.
 */
#pragma once

#include "lib/conf.h"
#include "lib/envelope.h"
#include "lib/loop.h"
#include "smtpd/intake.h"
#include "smtpd/segments.h"
#include "smtpd/session.h"

#define NONCE 77ull
#define FIRST 1700000000000000ull /* the shared segment's name and first queue ID */

struct world {
	struct conf *conf; /* hostname mx.test, origin and only local domain localhost */
	struct conf_listen listener;
	struct chan *keeper;
	bool keeper_silent;
	unsigned asked;     /* questions about recipients that keeper got */
	unsigned given_up;  /* logins it was told of that were */
	unsigned submitted; /* recipients of who has logged in */
	int segment;        /* descriptor of the shared segment */
};
extern struct world world;

/* Once, before the first test: loop, sync thread, log of warnings only. And at the end. */
void world_begin(void);
void world_end(void);

/* cmocka's set-up and tear-down of each test; the latter checks that nothing was left over. */
int world_setup(void **state);
int world_teardown(void **state);

/* What the shared segment holds next: envelope (over envelope[4096]) and body, as C text. */
void world_stored(struct envelope *env, char *body, size_t size, unsigned char *envelope);

/* Grants a segment in memory; returns a descriptor of it. */
int world_grant(uint64_t name, enum segment_kind kind);

/* A client at that IPv4 address, on world.listener. */
struct peer peer_of(const char *address);

struct talk {
	struct session *s;
	struct evbuffer *in, *out;
};

void talk_begin(struct talk *t, const struct peer *peer);
/* The client leaves; returns when its session is gone. */
void talk_end(struct talk *t);
/* Bytes in; returns when the session waits for nothing any more. */
void talk_feed(struct talk *t, const void *bytes, size_t n);
/* All replies since the last call, queue IDs as #. Valid until the next call. */
const char *talk_said(struct talk *t);
/* Feed, then said. */
const char *talk_say(struct talk *t, const char *lines);
