/* SPDX-License-Identifier: ISC */
/*
 * The SMTP client against a server of a few lines: every stage with every kind of answer, in each
 * way of pipelining, on the first transaction, a later one, and one sent ahead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deliver/client.h"
#include "t/unit/owner.h"

/* -- a server ------------------------------------------------------------------------------------
 */

enum stage { AT_GREETING, AT_EHLO, AT_RSET, AT_MAIL, AT_RCPT, AT_DATA, AT_FINAL, STAGES };

struct server {
	int fd;
	bool pipelining, chunking;
	/* The odd one out: at this stage of this transaction this is said, then perhaps closed. */
	unsigned odd_tx;
	enum stage odd_stage;
	const char *odd; /* NULL: nothing is said */
	bool odd_closes;

	unsigned tx; /* MAILs that came */
	bool mail, rcpt, data, dead;
	unsigned taken; /* messages with a 250 */
	unsigned out_of_order;
	size_t len;
	char in[1 << 16];
	char body[1 << 16];
	size_t body_len;
};

static void server_say(struct server *s, const char *text)
{
	if (text && send(s->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		assert_int_equal(errno, EPIPE);
}

/* server_at - the answer at a stage: as planned, or `normal` */
static bool server_at(struct server *s, enum stage stage, const char *normal)
{
	if (s->odd_stage == stage && s->odd_tx == s->tx) {
		server_say(s, s->odd);
		if (s->odd_closes) {
			shutdown(s->fd, SHUT_RDWR);
			s->dead = true;
		}
		return s->odd && s->odd[0] == normal[0];
	}
	server_say(s, normal);
	return true;
}

static void server_line(struct server *s, const char *line)
{
	if (!strncmp(line, "EHLO ", 5)) {
		server_at(s, AT_EHLO,
		    s->chunking     ? "250-there\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
		    : s->pipelining ? "250-there\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
				    : "250 there\r\n");
	} else if (!strncmp(line, "RSET", 4)) {
		s->mail = s->rcpt = false;
		server_at(s, AT_RSET, "250 reset\r\n");
	} else if (!strncmp(line, "MAIL ", 5)) {
		s->tx++;
		s->out_of_order += s->mail;
		s->mail = server_at(s, AT_MAIL, "250 sender\r\n");
		s->rcpt = false;
	} else if (!strncmp(line, "RCPT ", 5)) {
		if (!s->mail)
			server_say(s, "503 no sender\r\n");
		else if (server_at(s, AT_RCPT, "250 recipient\r\n"))
			s->rcpt = true;
	} else if (!strncmp(line, "DATA", 4)) {
		if (!s->rcpt)
			server_say(s, "554 no recipient\r\n");
		else
			s->data = server_at(s, AT_DATA, "354 go\r\n");
	} else if (!strncmp(line, "BDAT ", 5)) {
		s->taken += s->rcpt ? server_at(s, AT_FINAL, "250 queued\r\n")
				    : (server_say(s, "554 no recipient\r\n"), false);
		s->mail = s->rcpt = false;
	} else if (!strncmp(line, "QUIT", 4)) {
		server_say(s, "221 bye\r\n");
		s->dead = true;
		shutdown(s->fd, SHUT_RDWR);
	} else {
		fail_msg("strange command: %s", line);
	}
}

/* server_work - take what came, answer it; false when nothing came */
static bool server_work(struct server *s)
{
	if (s->dead)
		return false;
	ssize_t n = recv(s->fd, s->in + s->len, sizeof(s->in) - s->len - 1, MSG_DONTWAIT);
	if (n <= 0)
		return false;
	s->len += (size_t)n;
	s->in[s->len] = '\0';
	char *line = s->in, *end;
	while (!s->dead && (end = strstr(line, "\r\n"))) {
		size_t len = (size_t)(end + 2 - line);
		if (!strncmp(line, "BDAT ", 5)) {
			size_t content = strtoul(line + 5, NULL, 10);
			if (line + len + content > s->in + s->len)
				break;
			server_line(s, line);
			line += len + content;
			continue;
		}
		if (!s->data) {
			server_line(s, line);
		} else if (len == 3 && *line == '.') {
			s->data = s->mail = s->rcpt = false;
			s->taken += server_at(s, AT_FINAL, "250 queued\r\n");
		} else {
			memcpy(s->body + s->body_len, line, len);
			s->body_len += len;
		}
		line = end + 2;
	}
	s->len -= (size_t)(line - s->in);
	memmove(s->in, line, s->len);
	return true;
}

/* converse - until neither side has anything to say */
static void converse(struct server *s)
{
	for (unsigned quiet = 0; quiet < 4;) {
		turn();
		quiet = server_work(s) ? 0 : quiet + 1;
	}
}

/* -- every stage, every answer -------------------------------------------------------------------
 */

static const struct {
	const char *name, *said;
	bool closes;
} odds[] = {
    {"4xx", "450 4.2.1 later\r\n", false},
    {"5xx", "550 5.1.1 never\r\n", false},
    {"530", "530 5.7.0 who are you\r\n", false},
    {"421", "421 4.3.2 closing\r\n", true},
    {"421 open", "421 4.3.2 closing\r\n", false},
    {"close", NULL, true},
    {"5xx and close", "550 5.1.1 never\r\n", true},
    {"garbage", "what?\r\n", false},
    {"two codes", "250-a\r\n251 b\r\n", false},
    {"1xx", "150 hm\r\n", false},
    {"3xx", "334 go on\r\n", false},
    {"half a line", "25", true},
};

/* ends_connection - whether this answer must end the use of the connection */
static bool ends_connection(const char *name)
{
	return strcmp(name, "4xx") && strcmp(name, "5xx");
}

/*
 * expected - of the recipient that meets it. place: 0 first on its connection, 1 a later one, 2 a
 * later one that was sent ahead, whose RSET was answered before.
 */
static enum outcome expected(const char *name, enum stage stage, unsigned place)
{
	bool nothing_said = !strcmp(name, "close") || !strcmp(name, "half a line") ||
			    !strcmp(name, "garbage") || !strcmp(name, "two codes") ||
			    !strcmp(name, "1xx");
	if (stage == AT_MAIL && !strcmp(name, "530"))
		return OUT_NOT_TRIED;
	if (!strcmp(name, "5xx") || !strcmp(name, "530") || !strcmp(name, "5xx and close"))
		return OUT_FAILED;
	if (stage == AT_MAIL && place && !strncmp(name, "421", 3))
		return OUT_NOT_TRIED;
	if (stage == AT_MAIL && place == 1 && nothing_said)
		return OUT_NOT_TRIED;
	return OUT_DEFERRED;
}

static void one_stage(
    enum conf_pipelining mode, int offers, unsigned bad, enum stage stage, unsigned odd)
{
	static struct server s;
	const char *name = odds[odd].name;
	bool ahead = bad == 2 && mode == CONF_PIPELINING_FULL && offers;
	int fd = begin_with(mode, 0);
	s = (struct server){.fd = fd,
	    .pipelining = offers,
	    .chunking = offers > 1,
	    .odd_tx = bad + 1,
	    .odd_stage = stage,
	    .odd = odds[odd].said,
	    .odd_closes = odds[odd].closes};
	server_say(&s, "220 there\r\n");
	for (unsigned i = 0; i < bad + 2; i++)
		add_job(i, 1, "", "A: b\r\n\r\ntext\r\n", 0);
	converse(&s);

	bool ends = ends_connection(name) &&
		    !(stage != AT_MAIL && !strcmp(name, "530")); /* only MAIL's 530 is about us */
	/* A refusal with the end behind it: what it answered is answered all the same. */
	int want = (int)expected(name, stage, ahead ? 2 : bad > 0);
	if (seen.outcome[bad][0] != want)
		fail_msg("mode %d, job %u, stage %d, %s: outcome %d instead of %d (%s)", mode, bad,
		    stage, name, seen.outcome[bad][0], want, seen.text[bad][0]);
	if (bad && seen.outcome[0][0] != OUT_SENT)
		fail_msg("mode %d stage %d %s: the first was sent too", mode, stage, name);
	/* The job behind it: carried on a connection that goes on, else untouched. */
	int behind = seen.outcome[bad + 1][0];
	if (ends && behind != -1 && behind != OUT_NOT_TRIED)
		fail_msg("mode %d, job %u, stage %d, %s: %d behind the end", mode, bad, stage, name,
		    behind);
	if (!ends && behind != OUT_SENT)
		fail_msg(
		    "mode %d, job %u, stage %d, %s: %d behind it", mode, bad, stage, name, behind);
	assert_int_equal(seen.ended, ends);
	assert_int_equal(s.out_of_order, 0);
	if (ends && !strncmp(name, "421", 3))
		assert_int_equal(seen.why, OPEN_THROTTLED);
	else if (ends && !strcmp(name, "530"))
		assert_int_equal(seen.why, OPEN_REFUSED);
	else if (ends)
		assert_int_equal(seen.why, OPEN_LOST);
	/*
	 * Whatever happened: sent is exactly what the server took; only a server whose answer to
	 * the end of data can't be read gets it twice, and one that was sent whole transactions
	 * ahead takes those behind it in vain.
	 */
	unsigned sent = 0;
	for (unsigned i = 0; i < JOBS_MAX; i++)
		sent += seen.outcome[i][0] == OUT_SENT;
	assert_true(
	    sent == s.taken || ((stage == AT_FINAL || (bad && offers > 1)) && sent < s.taken));
	over(fd);
}

static void test_every_stage(void **state)
{
	static const struct {
		enum conf_pipelining mode;
		int offers; /* 1: PIPELINING, 2: CHUNKING too */
	} ways[] = {
	    {CONF_PIPELINING_FULL, 1},
	    {CONF_PIPELINING_RFC2920, 1},
	    {CONF_PIPELINING_OFF, 1},
	    {CONF_PIPELINING_FULL, 0},
	    {CONF_PIPELINING_FULL, 2},
	};
	(void)state;
	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++)
		for (unsigned bad = 0; bad < 3; bad++)
			for (enum stage stage = AT_MAIL; stage <= AT_FINAL; stage++)
				for (unsigned odd = 0; odd < sizeof(odds) / sizeof(odds[0]); odd++)
					if (stage != AT_DATA || ways[way].offers < 2)
						one_stage(ways[way].mode, ways[way].offers, bad,
						    stage, odd);
}

/* A server that refuses RSET can't be trusted with what follows it. */
static void test_rset_refused(void **state)
{
	static struct server s;
	(void)state;
	int fd = begin_with(CONF_PIPELINING_FULL, 0);
	s = (struct server){
	    .fd = fd, .pipelining = true, .odd_tx = 2, .odd_stage = AT_RSET, .odd = "500 what\r\n"};
	server_say(&s, "220 there\r\n");
	add_job(0, 1, "", "zero\r\n", 0);
	add_job(1, 1, "", "one\r\n", 0);
	add_job(2, 1, "", "two\r\n", 0);
	converse(&s);
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	assert_int_equal(seen.outcome[1][0], OUT_SENT);
	assert_int_equal(seen.outcome[2][0], OUT_DEFERRED);
	assert_int_equal(seen.ended, 1);
	over(fd);
}

static void test_session_refused(void **state)
{
	static const struct {
		enum stage stage;
		const char *said;
		bool closes;
		enum open_verdict why;
		unsigned code;
	} t[] = {
	    {AT_GREETING, "554 5.7.1 go away\r\n", true, OPEN_REFUSED, 554},
	    {AT_GREETING, "421 4.3.2 busy\r\n", true, OPEN_THROTTLED, 421},
	    {AT_GREETING, "450 busy\r\n", false, OPEN_THROTTLED, 450},
	    {AT_GREETING, NULL, true, OPEN_UNREACHABLE, 0},
	    {AT_GREETING, "SSH-2.0-x\r\n", false, OPEN_UNREACHABLE, 0},
	    {AT_EHLO, "550 5.7.1 bad name\r\n", false, OPEN_REFUSED, 550},
	    {AT_EHLO, "450 later\r\n", false, OPEN_THROTTLED, 450},
	    {AT_EHLO, "421 later\r\n", true, OPEN_THROTTLED, 421},
	    {AT_EHLO, NULL, true, OPEN_UNREACHABLE, 0},
	};
	static struct server s;
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int fd = begin_with(CONF_PIPELINING_FULL, 0);
		s = (struct server){
		    .fd = fd, .odd_stage = t[i].stage, .odd = t[i].said, .odd_closes = t[i].closes};
		server_at(&s, AT_GREETING, "220 there\r\n");
		converse(&s);
		assert_int_equal(seen.ready, 0);
		assert_int_equal(seen.ended, 1);
		if (seen.why != t[i].why)
			fail_msg("row %zu: %d", i, seen.why);
		assert_int_equal(seen.words.code, t[i].code);
		over(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_stage),
	    cmocka_unit_test(test_rset_refused),
	    cmocka_unit_test(test_session_refused),
	};
	return cmocka_run_group_tests(tests, make_loop, free_loop);
}
