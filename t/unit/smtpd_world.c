/* SPDX-License-Identifier: ISC */
/* The segments are memfds, keeper a channel in this process: a turn of the loop carries both. */
#include "smtpd_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/chan.h"
#include "lib/log.h"
#include "lib/qid.h"
#include "lib/record.h"
#include "smtpd/recipient.h"
#include "smtpd/syncer.h"

static const char config[] = "hostname = \"mx.test\"\norigin = \"localhost\"\n"
			     "local_domains = { \"localhost\" }\n"
			     "relay_to = { \"gateway.test\" }\nsites = \"\"\n";
struct world world = {.listener = {.title = (char *)"test", .tls = CONF_LISTEN_TLS_NONE}};
static struct chan *keeper_end;
static uint64_t segment_end; /* behind the last record that was looked at */

/* on_recipient - keeper knows bob and root */
static void on_recipient(struct chan *chan, union msg_any *msg, void *arg)
{
	struct msg_bytes local = msg->keeper_recipient.local;
	enum keeper_verdict verdict = KEEPER_UNKNOWN;
	(void)arg;
	world.asked++;
	if (world.keeper_silent)
		return;
	if (local.len == 3 && memcmp(local.data, "bob", 3) == 0)
		verdict = KEEPER_MAILBOX;
	if (local.len == 10 && memcmp(local.data, "postmaster", 10) == 0)
		verdict = KEEPER_ALIAS;
	if (local.len == 4 && memcmp(local.data, "busy", 4) == 0)
		verdict = KEEPER_TEMPFAIL;
	CHAN_SEND(chan, keeper_recipient_is, .request = msg->keeper_recipient.request,
	    .verdict = (uint8_t)verdict);
}

/* is - that text? */
static bool is(struct msg_bytes bytes, const char *text)
{
	return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

/* on_login - keeper knows ann and her password; an exchange is "one", "two" and nothing */
static void on_login(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_keeper_login *m = &msg->keeper_login;
	enum login_verdict verdict = LOGIN_WRONG;
	(void)arg;
	if (world.keeper_silent)
		return;
	if (is(m->user, "busy"))
		verdict = LOGIN_TEMPFAIL;
	if (is(m->user, "slow"))
		verdict = LOGIN_SLOW;
	if (m->mechanism == LOGIN_PLAIN && is(m->user, "ann") && is(m->secret, "secret"))
		verdict = LOGIN_OK;
	if (m->mechanism == LOGIN_SCRAM_SHA_256 && is(m->secret, m->step ? "two" : "one"))
		verdict = LOGIN_MORE;
	if (m->mechanism == LOGIN_SCRAM_SHA_256 && m->step == 2 && !m->secret.len)
		verdict = LOGIN_OK;
	CHAN_SEND(chan, keeper_login_is, .request = m->request, .verdict = (uint8_t)verdict,
	    .user = m->mechanism == LOGIN_PLAIN ? m->user : msg_str("ann"),
	    .challenge = msg_str(verdict == LOGIN_MORE ? "more" : ""));
}

/* on_login_end - an exchange was given up */
static void on_login_end(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)msg, (void)arg;
	world.given_up++;
}

/* on_submit - ann and uid 1000, who is me, may not be boss@b.test, and have two recipients an hour
 */
static void on_submit(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_keeper_submit *m = &msg->keeper_submit;
	enum submit_verdict verdict = SUBMIT_OK;
	(void)arg;
	if (!m->recipients && is(m->sender, "boss@b.test"))
		verdict = SUBMIT_NOT_OWNER;
	if (!m->recipients && is(m->sender, "busy@b.test"))
		verdict = SUBMIT_TEMPFAIL;
	world.submitted += m->recipients;
	if (world.submitted > 2)
		verdict = SUBMIT_OVER;
	CHAN_SEND(chan, keeper_submit_is, .request = m->request, .verdict = (uint8_t)verdict,
	    .user = m->uid == 1000 ? msg_str("me") : m->user);
}

static const struct chan_handlers as_keeper = {.on = {[MSG_keeper_recipient] = on_recipient,
						   [MSG_keeper_login] = on_login,
						   [MSG_keeper_login_end] = on_login_end,
						   [MSG_keeper_submit] = on_submit}};
static const struct chan_handlers as_smtpd = {.on = {[MSG_keeper_recipient_is] = recipient_is,
						  [MSG_keeper_login_is] = question_login_is,
						  [MSG_keeper_submit_is] = question_submit_is}};

/* world_grant - a segment in memory, by hand */
int world_grant(uint64_t name, enum segment_kind kind)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);
	union msg_any msg = {.qmgr_segment = {.segment = name,
				 .nonce = NONCE,
				 .first_id = name,
				 .ids = 100000,
				 .limit = SEGMENT_SIZE,
				 .kind = (uint8_t)kind,
				 .file = dup(fd)}};
	segments_granted(world.keeper, &msg, NULL);
	return fd;
}

/* world_setup - an empty segment, a keeper, a configuration */
int world_setup(void **state)
{
	int fds[2];
	(void)state;
	char path[] = "/tmp/test_session.XXXXXX";
	struct conf_messages msgs = {0};
	int fd = mkstemp(path);
	assert_true(dprintf(fd, "%s", config) > 0);
	close(fd);
	assert_int_equal(conf_load(path, &world.conf, &msgs), 0);
	conf_messages_free(&msgs);
	unlink(path);
	world.conf->policy.error_delay = 0; /* nobody has a clock here */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	world.keeper = chan_new(fds[0], ROLE_KEEPER, ROLE_SMTPD, 1, &as_keeper, NULL);
	keeper_end = chan_new(fds[1], ROLE_SMTPD, ROLE_KEEPER, 1, &as_smtpd, NULL);
	recipient_linked(keeper_end);
	question_linked(keeper_end);
	intake_start();
	world.segment = world_grant(FIRST, SEGMENT_SHARED);
	world.asked = world.given_up = world.submitted = 0;
	segment_end = 0;
	return 0;
}

/* world_stored - what was stored next: envelope and body */
void world_stored(struct envelope *env, char *body, size_t size, unsigned char *envelope)
{
	static unsigned char buf[64 << 10];
	struct record_place place = {.segment = FIRST, .nonce = NONCE, .offset = segment_end};
	struct record rec;
	assert_int_equal(record_check(world.segment, &place, buf, sizeof(buf), &rec), 0);
	assert_true(rec.body_len < size && rec.envelope_len <= 4096);
	assert_int_equal(
	    pread(world.segment, body, rec.body_len, (off_t)record_body_at(&rec)), rec.body_len);
	body[rec.body_len] = '\0';
	assert_int_equal(
	    pread(world.segment, envelope, rec.envelope_len, (off_t)record_envelope_at(&rec)),
	    rec.envelope_len);
	assert_int_equal(envelope_read(envelope, rec.envelope_len, env), 0);
	segment_end += record_len(&rec);
}

/* world_teardown - nothing may be left */
int world_teardown(void **state)
{
	(void)state;
	assert_int_equal(session_count(), 0);
	assert_int_equal(parcel_bytes(), 0);
	recipient_reset();
	question_reset();
	intake_reset();
	segments_reset();
	chan_free(world.keeper);
	chan_free(keeper_end);
	close(world.segment);
	conf_free(world.conf);
	world.keeper_silent = false;
	world.listener.auth = CONF_AUTH_NONE;
	world.listener.auth_plaintext = false;
	return 0;
}

/* -- a client -- */

/* on_ready - a wait is over */
static void on_ready(struct session *s, void *arg)
{
	struct talk *t = arg;
	unsigned budget = 1000000;
	while (session_feed(s, t->in, &budget))
		;
}

/* peer_of - a client at that address */
struct peer peer_of(const char *address)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct peer peer;
	assert_int_equal(inet_pton(AF_INET, address, &sin.sin_addr), 1);
	policy_peer_net(world.conf, &world.listener, (struct sockaddr *)&sin, &peer);
	return peer;
}

/* talk_begin - a new client */
void talk_begin(struct talk *t, const struct peer *peer)
{
	t->in = evbuffer_new();
	t->out = evbuffer_new();
	t->s = session_new(peer, world.conf, t->out, on_ready, t);
	assert_non_null(t->s);
}

/* talk_end - it leaves */
void talk_end(struct talk *t)
{
	session_end(t->s);
	evbuffer_free(t->in);
	evbuffer_free(t->out);
	while (session_count())
		loop_turn();
}

/* talk_feed - until nothing is waited for */
void talk_feed(struct talk *t, const void *bytes, size_t n)
{
	unsigned budget = 1000000;
	evbuffer_add(t->in, bytes, n);
	while (session_feed(t->s, t->in, &budget))
		;
	while (t->s->wait != WAIT_NONE)
		loop_turn();
}

/* talk_said - all replies since the last call, queue IDs and dates aside */
const char *talk_said(struct talk *t)
{
	static char text[65536];
	int n = evbuffer_remove(t->out, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	for (char *p = text; (p = strstr(p, "queued as ")); p++)
		memset(p + 10, '#', QID_WIDTH);
	return text;
}

/* talk_say - lines in, replies out */
const char *talk_say(struct talk *t, const char *lines)
{
	talk_feed(t, lines, strlen(lines));
	return talk_said(t);
}

/* world_begin - the loop and the sync thread live for the whole program */
void world_begin(void)
{
	loop_init();
	syncer_start();
	syncer_listen();
	log_set(LOG_FORMAT_TEXT, LOG_WARN);
}

/* world_end - the thread too */
void world_end(void)
{
	syncer_stop();
}
