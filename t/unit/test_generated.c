/* SPDX-License-Identifier: ISC */
/*
 * Every command in every state of a session: on listeners with and without TLS and AUTH, one by
 * one, pipelined, and cut in two at every byte. What must be answered says a model of its own,
 * written from the RFCs: it knows the client's place (hello, transaction) and nothing of the code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/log.h"
#include "pems.h"
#include "smtpd/session.h"
#include "smtpd/starttls.h"
#include "smtpd_world.h"

#define ARRAY(a)   (sizeof(a) / sizeof((a)[0]))
#define SAID(text) text, sizeof(text) - 1

/* -- the model -- */

enum hello { NOBODY, HELO, EHLO };
enum place { IDLE, MAIL, RCPT, CHUNKS };

struct model {
	enum hello hello;
	enum place place;
	bool offers_tls, wants_tls, tls; /* the listener; the connection */
	bool takes_auth, wants_auth, trusted, logged_in;
	bool secures, closed; /* what the last command leads to */
};

/* What a command is, besides its name: where it stands in the grammar. */
enum kind {
	K_HELLO,
	K_MAIL,
	K_RCPT,
	K_DATA,
	K_CHUNK,
	K_LAST,
	K_BAD_CHUNK, /* the size can be read, the rest can't */
	K_LOST,      /* nothing tells what follows: the session ends */
	K_RSET,
	K_QUIT,
	K_STARTTLS,
	K_AUTH,
	K_ALWAYS /* the same answer anywhere */
};

static const struct item {
	enum kind kind;
	int code; /* where its place is right */
	const char *text;
	size_t len;
} items[] = {
    {K_HELLO, 250, SAID("EHLO me.test\r\n")},
    {K_HELLO, 250, SAID("helo me.test\r\n")},
    {K_ALWAYS, 501, SAID("EHLO\r\n")},
    {K_ALWAYS, 501, SAID("HELO a;b\r\n")},
    {K_MAIL, 250, SAID("MAIL FROM:<a@b.test>\r\n")},
    {K_MAIL, 501, SAID("MAIL FROM:<a@b@c>\r\n")},
    {K_MAIL, 555, SAID("mail from:<> X=1\r\n")},
    {K_RCPT, 250, SAID("RCPT TO:<bob@localhost>\r\n")},
    {K_RCPT, 550, SAID("RCPT TO:<nobody@localhost>\r\n")},
    {K_RCPT, 501, SAID("RCPT TO:bob@\r\n")},
    {K_DATA, 354, SAID("DATA\r\nsubject:\r\n..\r\n.\r\n")},
    {K_CHUNK, 250, SAID("BDAT 6\r\nQUIT\r\n")},
    {K_CHUNK, 250, SAID("BDAT 0\r\n")},
    {K_LAST, 250, SAID("bdat 7 last\r\n.\r\nDATA")},
    {K_BAD_CHUNK, 501, SAID("BDAT 6 FIRST\r\nRSET\r\n")},
    {K_LOST, 501, SAID("BDAT x LAST\r\n")},
    {K_RSET, 250, SAID("RSET\r\n")},
    {K_ALWAYS, 501, SAID("RSET x\r\n")},
    {K_ALWAYS, 250, SAID("NOOP\r\n")},
    {K_ALWAYS, 250, SAID("noop x y  \r\n")},
    {K_ALWAYS, 252, SAID("VRFY bob\r\n")},
    {K_ALWAYS, 501, SAID("VRFY\r\n")},
    {K_ALWAYS, 214, SAID("HELP me\r\n")},
    {K_ALWAYS, 500, SAID("WHAT\r\n")},
    {K_ALWAYS, 500, SAID("\r\n")},
    {K_ALWAYS, 500, SAID("NOOP\0\r\n")},
    {K_ALWAYS, 501, SAID("QUIT now\r\n")},
    {K_QUIT, 221, SAID("QUIT\r\n")},
    {K_LOST, 500, SAID("NOOP\nQUIT\r\n")},
    {K_STARTTLS, 220, SAID("STARTTLS\r\n")},
    {K_AUTH, 504, SAID("auth NOSUCH\r\n")},
    {K_AUTH, 235, SAID("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n")},
    {K_AUTH, 235, SAID("auth plain\r\nAGFubgBzZWNyZXQ=\r\n")},
    {K_AUTH, 535, SAID("AUTH PLAIN AGFubgBTZWNyZXQ=\r\n")},
    {K_AUTH, 235, SAID("AUTH LOGIN\r\nYW5u\r\nc2VjcmV0\r\n")},
    {K_AUTH, 501, SAID("AUTH LOGIN YW5u\r\n*\r\n")},
    {K_AUTH, 235, SAID("AUTH SCRAM-SHA-256 b25l\r\ndHdv\r\n\r\n")},
    {K_AUTH, 501, SAID("AUTH SCRAM-SHA-256\r\nb25l\r\n*\r\n")},
};

/* expect - one more reply */
static void expect(char *want, int code)
{
	snprintf(want + strlen(want), 8, "%d ", code);
}

/* mail_code - MAIL in its place */
static int mail_code(const struct model *m, int code)
{
	if (code != 250)
		return code;
	return (m->wants_tls && !m->tls) || (m->wants_auth && !m->trusted) ? 530 : 250;
}

/* starttls_code - likewise */
static int starttls_code(const struct model *m)
{
	if (m->hello == NOBODY || m->place != IDLE || m->tls)
		return 503;
	return m->offers_tls ? 220 : 502;
}

/* step_auth - RFC 4954: only where it is safe, once, after EHLO, outside of a transaction */
static void step_auth(struct model *m, const struct item *i, char *want)
{
	int code = 0;

	if (m->hello == NOBODY || m->place != IDLE)
		code = 503;
	else if (!m->takes_auth)
		code = 502;
	else if (!m->tls)
		code = 538;
	else if (m->hello != EHLO || m->logged_in)
		code = 503;
	if (code) /* and the lines that answer challenges are no commands */
		expect(want, code);
	for (const char *at = strstr(i->text, "\r\n") + 2; *at; at = strstr(at, "\r\n") + 2)
		expect(want, code ? 500 : 334);
	if (!code)
		expect(want, i->code);
	if (!code && i->code == 235)
		m->logged_in = m->trusted = true;
}

/* step_body - DATA and BDAT; codes are appended to want */
static void step_body(struct model *m, const struct item *i, char *want)
{
	bool chunk = i->kind != K_DATA;
	bool in_place = m->place == RCPT || (chunk && m->place == CHUNKS);

	if (chunk) {
		expect(want, in_place ? i->code : 503);
	} else {
		expect(want, in_place ? 354 : 503);
		expect(want, in_place ? 250 : 500);
		for (int lines = 0; lines < 2 && !in_place; lines++)
			expect(want, 500); /* nobody takes its lines for a body */
	}
	if (in_place && i->kind == K_CHUNK)
		m->place = CHUNKS;
	else if (in_place || chunk)
		m->place = IDLE;
}

/* step - the model hears a command */
static void step(struct model *m, const struct item *i, char *want)
{
	int code = i->code;

	switch (i->kind) {
	case K_HELLO:
		m->hello = i->text[0] == 'E' ? EHLO : HELO;
		m->place = IDLE;
		break;
	case K_MAIL:
		code = m->hello == NOBODY || m->place != IDLE ? 503 : mail_code(m, code);
		if (code == 250)
			m->place = MAIL;
		break;
	case K_RCPT:
		code = m->place == MAIL || m->place == RCPT ? code : 503;
		if (code == 250)
			m->place = RCPT;
		break;
	case K_DATA:
	case K_CHUNK:
	case K_LAST:
	case K_BAD_CHUNK:
		step_body(m, i, want);
		return;
	case K_AUTH:
		step_auth(m, i, want);
		return;
	case K_RSET:
		m->place = IDLE;
		break;
	case K_STARTTLS:
		code = starttls_code(m);
		m->secures = code == 220;
		break;
	case K_LOST:
	case K_QUIT:
		m->closed = true;
		break;
	case K_ALWAYS:
		break;
	}
	expect(want, code);
}

/* secured - RFC 3207 §4.2: nothing that came before counts */
static void secured(struct model *m)
{
	m->secures = false;
	m->tls = true;
	m->hello = NOBODY;
	m->place = IDLE;
}

/* -- the listeners and the ways into each state -- */

static const struct listener {
	const char *name;
	enum conf_listen_tls tls;
	bool in_tls;
	enum conf_auth auth;
	bool certified, logged_in;
} listeners[] = {
    {"plain", CONF_LISTEN_TLS_NONE, false, CONF_AUTH_NONE, false},
    {"tls offered", CONF_LISTEN_TLS_OFFERED, false, CONF_AUTH_NONE, false},
    {"tls offered and on", CONF_LISTEN_TLS_OFFERED, true, CONF_AUTH_NONE, false},
    {"tls required", CONF_LISTEN_TLS_REQUIRED, false, CONF_AUTH_NONE, false},
    {"tls required and on", CONF_LISTEN_TLS_REQUIRED, true, CONF_AUTH_NONE, false},
    {"auth required", CONF_LISTEN_TLS_NONE, false, CONF_AUTH_REQUIRED, false},
    {"auth offered, no tls", CONF_LISTEN_TLS_OFFERED, false, CONF_AUTH_OFFERED, false},
    {"auth offered, tls", CONF_LISTEN_TLS_OFFERED, true, CONF_AUTH_OFFERED, false},
    {"logged in", CONF_LISTEN_TLS_REQUIRED, true, CONF_AUTH_REQUIRED, false, true},
    {"auth required, trusted", CONF_LISTEN_TLS_REQUIRED, true, CONF_AUTH_REQUIRED, true},
};

static const char *const ways[] = {
    "",
    "HELO me.test\r\n",
    "EHLO me.test\r\n",
    "EHLO me.test\r\nMAIL FROM:<a@b.test>\r\n",
    "EHLO me.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bob@localhost>\r\n",
    "EHLO me.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bob@localhost>\r\nBDAT 0\r\n",
};

/* find_item - the item that is a line of a way */
static const struct item *find_item(const char *line, size_t len)
{
	for (size_t i = 0; i < ARRAY(items); i++)
		if (items[i].len == len && memcmp(items[i].text, line, len) == 0)
			return &items[i];
	if (strncmp(line, "HELO", 4) == 0)
		return &items[1];
	fail_msg("no item is %s", line);
	return NULL;
}

/* walk - the model goes the same way */
static void walk(struct model *m, const char *way, char *want)
{
	while (*way) {
		size_t len = (size_t)(strstr(way, "\r\n") - way) + 2;
		const struct item *i = find_item(way, len);
		step(m, i, want);
		if (way[0] == 'H')
			m->hello = HELO;
		way += len;
	}
}

/* -- the session -- */

static struct peer peer;

/* meet - a client at that listener, and its model */
static void meet(struct talk *t, const struct listener *l, struct model *m)
{
	world.listener.tls = l->tls;
	world.listener.auth = l->auth;
	peer = peer_of("127.0.0.1");
	peer.tls = l->in_tls ? "TLSv1.3" : NULL;
	peer.cipher = "TLS_AES_256_GCM_SHA384";
	peer.certified = l->certified;
	snprintf(peer.user, sizeof(peer.user), "%s", l->logged_in ? "bob" : "");
	talk_begin(t, &peer);
	*m = (struct model){.tls = l->in_tls,
	    .offers_tls = l->tls != CONF_LISTEN_TLS_NONE,
	    .wants_tls = l->tls == CONF_LISTEN_TLS_REQUIRED,
	    .takes_auth = l->auth != CONF_AUTH_NONE,
	    .wants_auth = l->auth == CONF_AUTH_REQUIRED,
	    .logged_in = l->logged_in,
	    .trusted = l->certified || l->logged_in};
}

/* feed - bytes in; where the handshake would begin what came with STARTTLS is gone (client.c) */
static void feed(struct talk *t, const char *bytes, size_t n)
{
	unsigned budget = 1000000;
	evbuffer_add(t->in, bytes, n);
	for (;;) {
		while (session_feed(t->s, t->in, &budget))
			;
		if (t->s->wait == WAIT_NONE)
			return;
		if (t->s->wait == WAIT_TLS) {
			evbuffer_drain(t->in, evbuffer_get_length(t->in));
			peer.tls = "TLSv1.3";
			session_secured(t->s, &peer);
			return;
		}
		loop_turn();
	}
}

/* check_status - RFC 2034: each final line has a code of its class but greeting, EHLO, HELO, 354 */
static void check_status(const char *line)
{
	bool bare = strncmp(line, "354", 3) == 0 || strncmp(line, "334", 3) == 0 ||
		    strncmp(line, "250 mx.test", 11) == 0 || strncmp(line, "250 ENHANCED", 12) == 0;
	int class = 0, subject = 0, detail = 0;
	if (bare)
		return;
	if (sscanf(line + 4, "%d.%d.%d ", &class, &subject, &detail) != 3 || class != line[0] - '0')
		fail_msg("no enhanced code: %.60s", line);
}

/* codes - of the replies so far, each followed by a space */
static const char *codes(struct talk *t)
{
	static char list[4096];
	const char *line = talk_said(t);
	size_t n = 0;
	while (*line) {
		const char *end = strstr(line, "\r\n");
		assert_non_null(end);
		if (line[3] == ' ') {
			check_status(line);
			memcpy(list + n, line, 4);
			n += 4;
		}
		line = end + 2;
	}
	list[n] = '\0';
	return list;
}

/* must_say - the codes, or where it went wrong */
static void must_say(struct talk *t, const char *want, const struct listener *l, const char *way,
    const struct item *i, const char *how)
{
	const char *got = codes(t);
	if (strcmp(got, want) != 0)
		fail_msg("%s, %s, after {%s}: {%s}: %s instead of %s", l->name, how, way, i->text,
		    got, want);
}

/* still_there - the next command is one again, or nobody listens */
static void still_there(struct talk *t, const struct model *m, const struct listener *l,
    const char *way, const struct item *i)
{
	feed(t, SAID("NOOP\r\n"));
	must_say(t, m->closed ? "" : "250 ", l, way, i, "afterwards");
	assert_true((t->s->state == SMTP_CLOSING) == m->closed);
}

/* one_by_one - the way, then two commands, each answered before the next */
static void one_by_one(
    const struct listener *l, const char *way, const struct item *a, const struct item *b)
{
	struct model m;
	struct talk t;
	char want[4096] = "";
	meet(&t, l, &m);
	walk(&m, way, want);
	feed(&t, way, strlen(way));
	must_say(&t, want, l, way, a, "the way");
	for (int k = 0; k < 2; k++) {
		const struct item *i = k ? b : a;
		want[0] = '\0';
		if (!m.closed)
			step(&m, i, want);
		feed(&t, i->text, i->len);
		must_say(&t, want, l, way, i, "one by one");
		if (m.secures)
			secured(&m);
	}
	still_there(&t, &m, l, way, b);
	talk_end(&t);
}

/* put_together - way and commands as one stream; its length */
static size_t put_together(char *all, const char *way, const struct item *a, const struct item *b)
{
	size_t n = strlen(way);
	memcpy(all, way, n);
	memcpy(all + n, a->text, a->len);
	n += a->len;
	if (!b)
		return n;
	memcpy(all + n, b->text, b->len);
	return n + b->len;
}

/* pipelined - way and two commands at once: what came with STARTTLS is nobody's */
static void pipelined(
    const struct listener *l, const char *way, const struct item *a, const struct item *b)
{
	struct model m;
	struct talk t;
	char all[1024], want[4096] = "";
	meet(&t, l, &m);
	walk(&m, way, want);
	step(&m, a, want);
	if (!m.closed && !m.secures)
		step(&m, b, want);
	if (m.secures)
		secured(&m);
	feed(&t, all, put_together(all, way, a, b));
	must_say(&t, want, l, way, b, "pipelined");
	still_there(&t, &m, l, way, b);
	talk_end(&t);
}

/* cut - way and one command in two pieces */
static void cut(const struct listener *l, const char *way, const struct item *i, size_t at)
{
	struct model m;
	struct talk t;
	char all[1024], want[4096] = "";
	size_t n = put_together(all, way, i, NULL);
	meet(&t, l, &m);
	walk(&m, way, want);
	step(&m, i, want);
	if (m.secures)
		secured(&m);
	feed(&t, all, at);
	feed(&t, all + at, n - at);
	must_say(&t, want, l, way, i, "cut");
	still_there(&t, &m, l, way, i);
	talk_end(&t);
}

/* -- tests -- */

/* reaches - does the model get there at that listener? Else the way is another one. */
static bool reaches(const struct listener *l, const char *way)
{
	bool refuses = (l->tls == CONF_LISTEN_TLS_REQUIRED && !l->in_tls) ||
		       (l->auth == CONF_AUTH_REQUIRED && !l->certified && !l->logged_in);
	return !refuses || !strstr(way, "MAIL");
}

typedef void each(const struct listener *l, const char *way, const struct item *i);

/* for_each - listener, state and command */
static void for_each(each *fn)
{
	for (size_t l = 0; l < ARRAY(listeners); l++)
		for (size_t w = 0; w < ARRAY(ways); w++)
			for (size_t i = 0; i < ARRAY(items); i++)
				if (reaches(&listeners[l], ways[w]))
					fn(&listeners[l], ways[w], &items[i]);
}

/* pairs - and any command behind it */
static void pairs(const struct listener *l, const char *way, const struct item *a)
{
	for (size_t b = 0; b < ARRAY(items); b++) {
		one_by_one(l, way, a, &items[b]);
		pipelined(l, way, a, &items[b]);
	}
}

/* cuts - at every byte of way and command */
static void cuts(const struct listener *l, const char *way, const struct item *i)
{
	size_t n = strlen(way) + i->len;
	/* The way itself is cut everywhere once; that it isn't the listener's doing is known. */
	for (size_t at = l == listeners ? 0 : strlen(way); at <= n; at++)
		cut(l, way, i, at);
}

/* prepare - TLS can be offered; errors are what this is made of */
static int prepare(void **state)
{
	struct pem pem;
	int r = world_setup(state);
	world.conf->limits.errors = 0;
	pem_make(&pem, "mx.test", 2);
	struct conf_file files[] = {
	    {.path = (char *)"chain", .data = pem.chain, .len = pem.chain_len},
	    {.path = (char *)"key", .data = pem.key, .len = pem.key_len}};
	char *chain[] = {files[0].path}, *key[] = {files[1].path};
	struct conf conf = {.files = {.n = 2, .v = files}};
	conf.tls.certificate.v = chain;
	conf.tls.key.v = key;
	conf.tls.certificate.n = conf.tls.key.n = 1;
	static bool done;
	if (!done)
		assert_int_equal(starttls_init(&conf), 0);
	done = true;
	pem_free(&pem);
	return r;
}

/* Every command behind every other in every state, one by one and pipelined. */
static void every_pair(void **state)
{
	(void)state;
	for_each(pairs);
}

/* Every command in every state, the stream cut in two at every byte. */
static void every_cut(void **state)
{
	(void)state;
	for_each(cuts);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(every_pair), TEST(every_cut)};
	world_begin();
	log_set(LOG_FORMAT_TEXT, LOG_ERROR);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_end();
	return failed;
}
