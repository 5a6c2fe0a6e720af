/* SPDX-License-Identifier: ISC */
/*
 * What a client may send: a session fed whole, and fed in pieces cut where the first byte says,
 * must say the same (queue IDs aside) and leave nothing behind. Messages go into segments in
 * memory.
 */
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

enum { HEARD = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* hear - what the session says to the input, cut into pieces of `step` bytes */
static size_t hear(const uint8_t *data, size_t size, size_t step, char *heard)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	struct peer peer;

	listener.line_endings = size && data[0] & 1 ? CONF_LINES_NORMALISE : CONF_LINES_REFUSE;
	policy_peer_net(conf, &listener, (struct sockaddr *)&sin, &peer);
	struct session *s = session_new(&peer, conf, out, on_ready, NULL);
	for (size_t at = 0; at < size; at += step)
		feed(s, data + at, size - at < step ? size - at : step);
	session_end(s);
	while (session_count())
		loop_turn();
	evbuffer_drain(in, evbuffer_get_length(in));
	int n = evbuffer_remove(out, heard, HEARD - 1);
	evbuffer_drain(out, evbuffer_get_length(out));
	heard[n < 0 ? 0 : n] = '\0';
	for (char *p = heard; (p = strstr(p, "queued as ")); p += 10)
		memset(p + 10, '#', QID_WIDTH);
	return n < 0 ? 0 : (size_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char whole[HEARD], cut[HEARD];

	if (!conf)
		begin();
	if (size == 0)
		return 0;
	size_t n = hear(data, size, size, whole);
	if (hear(data, size, 1 + data[0] / 2 % 7, cut) != n || memcmp(whole, cut, n) != 0)
		abort();
	if (parcel_bytes())
		abort();
	return 0;
}
