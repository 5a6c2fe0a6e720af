/* SPDX-License-Identifier: ISC */
/*
 * SMTP smuggling, tried with every short sequence of CR, LF, dot, NUL and a letter: in a body only
 * CRLF.CRLF ends it, in a chunk nothing does, in a command only CRLF ends a line. A listener that
 * mends line ends takes LF in a command too, and LF.LF for a body's end where no CR came before;
 * what it stores is strict. The oracles are searches over the whole text, not state machines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/session.h"
#include "smtpd_world.h"

enum { BODY_MAX = 6, MENDED_MAX = 5, CHUNK_MAX = 5, COMMAND_MAX = 5 }; /* bytes of a sequence */

static const char letters[] = {'\r', '\n', '.', '\0', 'x'};
enum { LETTERS = sizeof(letters) };

struct text {
	char at[64];
	size_t len;
};

/* add - append bytes */
static void add(struct text *t, const char *bytes, size_t n)
{
	assert_true(t->len + n <= sizeof(t->at));
	memcpy(t->at + t->len, bytes, n);
	t->len += n;
}

/* add_sequence - append the number-th sequence of n letters */
static void add_sequence(struct text *t, size_t n, unsigned number)
{
	for (; n; n--, number /= LETTERS)
		add(t, &letters[number % LETTERS], 1);
}

/* sequences - how many there are of n letters */
static unsigned sequences(size_t n)
{
	unsigned all = 1;
	while (n--)
		all *= LETTERS;
	return all;
}

/* whole_lines - every CR and LF is part of a CRLF */
static bool whole_lines(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool after_cr = i > 0 && p[i - 1] == '\r',
		     before_lf = i + 1 < n && p[i + 1] == '\n';
		if ((p[i] == '\n' && !after_cr) || (p[i] == '\r' && !before_lf))
			return false;
	}
	return true;
}

/* shown - the text with its control characters readable */
static const char *shown(const struct text *t)
{
	static char out[300];
	size_t n = 0;
	for (size_t i = 0; i < t->len; i++)
		n += (size_t)snprintf(
		    out + n, sizeof(out) - n, t->at[i] > ' ' ? "%c" : "\\%02x", t->at[i]);
	return out;
}

/* says - replies that begin so, one word each, and no more */
static void says(struct talk *t, const char *const *want, size_t n, const struct text *sent)
{
	const char *got = talk_said(t), *at = got;
	for (size_t i = 0; i < n; i++) {
		const char *end = strstr(at, "\r\n");
		if (!end || strncmp(at, want[i], strlen(want[i])) != 0)
			fail_msg("to %s: %s, no %s", shown(sent), got, want[i]);
		at = end + 2;
	}
	if (*at)
		fail_msg("to %s: more than expected: %s", shown(sent), got);
}

/* begin - a stranger, for whom nothing is mended */
static void begin(struct talk *t)
{
	struct peer peer = peer_of("192.0.2.1");
	world.conf->limits.errors = 0;
	talk_begin(t, &peer);
	talk_say(t, "EHLO x\r\n");
}

/* transaction - up to the body */
static void transaction(struct talk *t, const char *data)
{
	talk_say(t, "MAIL FROM:<>\r\nRCPT TO:<bob@localhost>\r\n");
	assert_int_equal(t->s->state, SMTP_RCPT);
	talk_say(t, data);
}

/* stored_is - the record ends with that text */
static void stored_is(const struct text *want)
{
	unsigned char envelope[4096];
	struct envelope env;
	char body[4096];
	world_stored(&env, body, sizeof(body), envelope);
	const char *at = strstr(body, "\r\nX: y\r\n\r\n");
	assert_non_null(at);
	if (memcmp(at + 10, want->at, want->len) != 0)
		fail_msg("stored is not %s", shown(want));
}

/* mark_at - where CRLF.CRLF is, or .CRLF at the beginning; the text's length when nowhere */
static size_t mark_at(const struct text *t)
{
	const char *mark = memmem(t->at, t->len, "\r\n.\r\n", 5);
	if (t->len >= 3 && memcmp(t->at, ".\r\n", 3) == 0)
		return 0;
	return mark ? (size_t)(mark - t->at) + 2 : t->len;
}

/* try_body - a sequence at the start of a body or inside a line, then the proper end */
static void try_body(struct talk *t, const char *before, size_t n, unsigned number, bool bytewise)
{
	static const char end[] = "\r\n.\r\n", noop[] = "NOOP\r\n";
	struct text body = {.len = 0};
	add(&body, before, strlen(before));
	add_sequence(&body, n, number);
	add(&body, end, sizeof(end) - 1);
	if (mark_at(&body) != body.len - 3)
		return; /* it holds a proper end itself */
	body.len -= 3;
	bool good = whole_lines(body.at, body.len);
	transaction(t, "DATA\r\nX: y\r\n\r\n");
	talk_said(t);
	struct text sent = body;
	add(&sent, ".\r\n", 3);
	add(&sent, noop, sizeof(noop) - 1);
	for (size_t at = 0; at < sent.len; at += bytewise ? 1 : sent.len)
		talk_feed(t, sent.at + at, bytewise ? 1 : sent.len);
	const char *const want[] = {good ? "250 2.0.0 queued" : "554 5.6.0", "250 2.0.0 Ok"};
	says(t, want, 2, &sent);
	if (good)
		stored_is(&body);
}

/* No other end of data, and what looks like one is no end for the next hop either. */
static void bodies(void **state)
{
	struct talk t;
	(void)state;
	begin(&t);
	for (size_t n = 0; n <= BODY_MAX; n++)
		for (unsigned i = 0; i < sequences(n); i++) {
			try_body(&t, "", n, i, false);
			try_body(&t, "x", n, i, false);
			if (n < BODY_MAX - 1)
				try_body(&t, "x\r\n", n, i, true);
		}
	talk_end(&t);
}

/* stuff - what a good text is stored as: each line's first dot doubled, the last line ended */
static void stuff(const struct text *in, struct text *out)
{
	out->len = 0;
	for (size_t i = 0; i < in->len; i++) {
		if (in->at[i] == '.' && (i == 0 || in->at[i - 1] == '\n'))
			add(out, ".", 1);
		add(out, in->at + i, 1);
	}
	if (in->len && in->at[in->len - 1] != '\n')
		add(out, "\r\n", 2);
}

/* say_chunk - one, with what announces it */
static void say_chunk(struct talk *t, const char *p, size_t n, const char *last)
{
	char line[32];
	snprintf(line, sizeof(line), "BDAT %zu%s\r\n", n, last);
	talk_feed(t, line, strlen(line));
	talk_feed(t, p, n);
}

/* try_chunks - a sequence in two chunks, cut there, and a command behind it */
static void try_chunks(struct talk *t, const struct text *body, size_t cut)
{
	bool good = whole_lines(body->at, body->len);
	struct text stored;
	transaction(t, "BDAT 8\r\nX: y\r\n\r\n");
	talk_said(t);
	say_chunk(t, body->at, cut, "");
	/* A CR at the end of a chunk may still get its LF. */
	size_t sure = cut && body->at[cut - 1] == '\r' ? cut - 1 : cut;
	bool first = whole_lines(body->at, sure);
	const char *const one[] = {first ? "250 2.0.0" : "554 5.6.0"};
	says(t, one, 1, body);
	say_chunk(t, body->at + cut, body->len - cut, " LAST");
	talk_feed(t, "NOOP\r\n", 6);
	const char *const two[] = {good    ? "250 2.0.0 queued"
				   : first ? "554 5.6.0"
					   : "503 5.5.1",
	    "250 2.0.0 Ok"};
	says(t, two, 2, body);
	stuff(body, &stored);
	if (good)
		stored_is(&stored);
}

/* Nothing in a chunk ends it, and line ends are judged as in DATA, across chunks too. */
static void chunks(void **state)
{
	struct talk t;
	(void)state;
	begin(&t);
	for (size_t n = 0; n <= CHUNK_MAX; n++)
		for (unsigned i = 0; i < sequences(n); i++)
			for (size_t cut = 0; cut <= n; cut++) {
				struct text body = {.len = 0};
				add_sequence(&body, n, i);
				add(&body, "QUIT\r\n", (i & 1) ? 6 : 0);
				try_chunks(&t, &body, cut);
			}
	talk_end(&t);
}

/* -- a listener that mends line ends ----------------------------------------------------------- */

/* mending - from the next session on, or no more */
static void mending(bool on)
{
	world.listener.line_endings = on ? CONF_LINES_NORMALISE : CONF_LINES_REFUSE;
}

/* stored_behind - what was stored behind the header */
static struct text stored_behind(void)
{
	unsigned char envelope[4096];
	struct envelope env;
	char body[4096];
	struct text t = {.len = 0};
	memset(body, 0xff, sizeof(body));
	world_stored(&env, body, sizeof(body), envelope);
	char *at = strstr(body, "\r\nX: y\r\n\r\n"), *end = body + sizeof(body);
	assert_non_null(at);
	while ((unsigned char)end[-1] == 0xff)
		end--;
	add(&t, at + 10, (size_t)(end - 1 - (at + 10)));
	return t;
}

/* essence - the letters and NULs of a text, which nothing may add to or take from */
static struct text essence(const struct text *in)
{
	struct text out = {.len = 0};
	for (size_t i = 0; i < in->len; i++)
		if (in->at[i] == 'x' || in->at[i] == '\0')
			add(&out, in->at + i, 1);
	return out;
}

/* stored_strictly - whole lines, no mark in them, and the letters that came */
static void stored_strictly(const struct text *body)
{
	struct text got = stored_behind(), a = essence(&got), b = essence(body);
	if (!whole_lines(got.at, got.len) || mark_at(&got) != got.len)
		fail_msg("of %s not strict", shown(body));
	if (a.len != b.len || memcmp(a.at, b.at, a.len) != 0)
		fail_msg("of %s other letters", shown(body));
}

/* mended_end - where such a body ends: at LF.LF with no CR before, else at CRLF.CRLF */
static size_t mended_end(const struct text *t, size_t header, size_t *mark)
{
	const char *cr = memchr(t->at, '\r', t->len), *lf = memmem(t->at, t->len, "\n.\n", 3);
	const char *crlf = memmem(t->at + header - 2, t->len - header + 2, "\r\n.\r\n", 5);
	bool first = lf && (!cr || cr > lf);
	*mark = first ? 2 : 3;
	if (first)
		return (size_t)(lf - t->at) + 1;
	return crlf ? (size_t)(crlf - t->at) + 2 : t->len;
}

/* try_mended - a sequence behind such a header, then such an end and a command */
static void try_mended(struct talk *t, const char *header, const char *before, size_t n,
    unsigned number, const char *end)
{
	struct text sent = {.len = 0}, body = {.len = 0};
	size_t head = strlen(header), mark;
	add(&sent, header, head);
	add(&sent, before, strlen(before));
	add_sequence(&sent, n, number);
	add(&sent, end, strlen(end));
	size_t at = mended_end(&sent, head, &mark);
	if (at + mark != sent.len)
		return; /* ends before, or not here */
	add(&body, sent.at + head, at - head);
	add(&sent, "NOOP\r\n", 6);
	transaction(t, "DATA\r\n");
	talk_said(t);
	talk_feed(t, sent.at, sent.len);
	static const char *const want[] = {"250 2.0.0 queued", "250 2.0.0 Ok"};
	says(t, want, 2, &sent);
	stored_strictly(&body);
}

/* One CR, and nothing but CRLF.CRLF ends a body; without any, LF.LF does. */
static void mended_bodies(void **state)
{
	static const char *const ends[] = {"\r\n.\r\n", "\n.\n"}, *const before[] = {"", "x"};
	struct talk t;
	(void)state;
	mending(true);
	begin(&t);
	for (size_t n = 0; n <= MENDED_MAX; n++)
		for (unsigned i = 0; i < sequences(n) * 4; i++) {
			const char *in_front = before[i & 1], *end = ends[i >> 1 & 1];
			try_mended(&t, "X: y\r\n\r\n", in_front, n, i / 4, end);
			try_mended(&t, "X: y\n\n", in_front, n, i / 4, end);
		}
	talk_end(&t);
	mending(false);
}

/* No chunk is ended by what is in it; a good one is stored as it is, dots and all. */
static void mended_chunks(void **state)
{
	static const char *const want[] = {"250 2.0.0", "250 2.0.0 queued", "250 2.0.0 Ok"};
	struct talk t;
	(void)state;
	mending(true);
	begin(&t);
	for (size_t n = 0; n <= CHUNK_MAX; n++)
		for (unsigned i = 0; i < sequences(n); i++) {
			struct text body = {.len = 0}, stored;
			size_t cut = n ? i % (n + 1) : 0;
			add_sequence(&body, n, i);
			transaction(&t, "BDAT 8\r\nX: y\r\n\r\n");
			talk_said(&t);
			say_chunk(&t, body.at, cut, "");
			say_chunk(&t, body.at + cut, n - cut, " LAST");
			talk_feed(&t, "NOOP\r\n", 6);
			says(&t, want, 3, &body);
			stuff(&body, &stored);
			if (whole_lines(body.at, n))
				stored_is(&stored);
			else
				stored_strictly(&body);
		}
	talk_end(&t);
	mending(false);
}

/* -- commands ---------------------------------------------------------------------------------- */

/* no_bare_cr - each CR has an LF behind it */
static bool no_bare_cr(const struct text *t)
{
	for (size_t i = 0; i < t->len; i++)
		if (t->at[i] == '\r' && (i + 1 == t->len || t->at[i + 1] != '\n'))
			return false;
	return true;
}

/* try_command - a sequence between two commands: is the second one a line of its own? */
static void try_command(size_t n, unsigned number, bool mended)
{
	struct text sent = {.len = 0};
	struct talk t;
	add(&sent, "NOOP", 4);
	add_sequence(&sent, n, number);
	add(&sent, "QUIT\r\n", 6);
	bool good = mended ? no_bare_cr(&sent) : whole_lines(sent.at, sent.len);
	bool alone = memcmp(sent.at + sent.len - 7, "\nQUIT\r\n", 7) == 0;
	begin(&t);
	talk_feed(&t, sent.at, sent.len);
	const char *said = talk_said(&t);
	if ((strstr(said, "221 ") != NULL) != (good && alone))
		fail_msg("to %s: %s", shown(&sent), said);
	if (!good && t.s->state != SMTP_CLOSING)
		fail_msg("goes on after %s: %s", shown(&sent), said);
	talk_end(&t);
}

/*
 * Nothing but CRLF ends a command, and LF where line ends are mended; who sends something else is
 * not talked to.
 */
static void commands(void **state)
{
	(void)state;
	for (size_t n = 0; n <= COMMAND_MAX; n++)
		for (unsigned i = 0; i < sequences(n); i++)
			try_command(n, i, false);
	mending(true);
	for (size_t n = 0; n <= COMMAND_MAX; n++)
		for (unsigned i = 0; i < sequences(n); i++)
			try_command(n, i, true);
	mending(false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(bodies), TEST(chunks), TEST(mended_bodies),
	    TEST(mended_chunks), TEST(commands)};
	world_begin();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_end();
	return failed;
}
