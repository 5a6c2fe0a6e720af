/* SPDX-License-Identifier: ISC */
/* An smtpd of one session in memory, for the fuzz targets that include this: one file each. */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/conf.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/qid.h"
#include "smtpd/intake.h"
#include "smtpd/segments.h"
#include "smtpd/session.h"
#include "smtpd/syncer.h"

enum { HEARD = 1 << 16 }; /* bytes of replies that are looked at */

static struct conf *conf;
static struct conf_listen listener = {.title = (char *)"fuzz", .tls = CONF_LISTEN_TLS_NONE};
static struct evbuffer *in, *out;

/* grant - a segment whenever there is none */
static void grant(void)
{
	static uint64_t name = 1700000000000000;
	name += SEGMENT_IDS;
	union msg_any msg = {.qmgr_segment = {.segment = name,
				 .nonce = 1,
				 .first_id = name,
				 .ids = SEGMENT_IDS,
				 .limit = SEGMENT_SIZE,
				 .kind = SEGMENT_SHARED,
				 .file = memfd_create("segment", MFD_CLOEXEC)}};
	segments_granted(NULL, &msg, NULL);
}

/* begin - once */
static void begin(void)
{
	conf = conf_default();
	conf->message_size = 100000;
	in = evbuffer_new();
	out = evbuffer_new();
	loop_init();
	syncer_start();
	syncer_listen();
	intake_start();
	log_set(LOG_FORMAT_TEXT, LOG_ERROR);
}

/* feed - until it stops; the sync is waited for, an answer about a recipient isn't */
static void feed(struct session *s, const uint8_t *data, size_t size)
{
	unsigned budget = 10000;
	evbuffer_add(in, data, size);
	for (;;) {
		while (session_feed(s, in, &budget))
			budget = 10000;
		if (s->wait != WAIT_SYNC)
			return;
		while (s->wait == WAIT_SYNC) {
			if (!segments_shared())
				grant();
			loop_turn();
		}
	}
}

/* on_ready - feed() looks by itself */
static void on_ready(struct session *s, void *arg)
{
	(void)s, (void)arg;
}

/* heard_now - the replies so far, queue IDs aside; their length */
static size_t heard_now(char *heard)
{
	int n = evbuffer_remove(out, heard, HEARD - 1);
	evbuffer_drain(out, evbuffer_get_length(out));
	heard[n < 0 ? 0 : n] = '\0';
	for (char *p = heard; (p = strstr(p, "queued as ")); p += 10)
		memset(p + 10, '#', QID_WIDTH);
	return n < 0 ? 0 : (size_t)n;
}

/* meet - a client of the host itself, on a listener that mends line ends or not */
static struct session *meet(bool mends)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	struct peer peer;

	listener.line_endings = mends ? CONF_LINES_NORMALISE : CONF_LINES_REFUSE;
	policy_peer_net(conf, &listener, (struct sockaddr *)&sin, &peer);
	return session_new(&peer, conf, out, on_ready, NULL);
}

/* part - it leaves; nothing may be left */
static void part(struct session *s)
{
	session_end(s);
	while (session_count())
		loop_turn();
	evbuffer_drain(in, evbuffer_get_length(in));
	if (parcel_bytes())
		abort();
}
