/* SPDX-License-Identifier: ISC */
/*
 * The SMTP client against a server of a few lines over a socketpair: every stage with every kind of
 * answer, in each way of pipelining, on the first and on a later transaction; then the exact
 * order of bytes, big bodies, damage, time-outs, what the kernel still holds after a reset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deliver/client.h"
#include "deliver/pipeline.h"
#include "lib/envelope.h"
#include "lib/hash.h"
#include "lib/loop.h"

#define JOBS_MAX 8

/* -- what the owner of a client sees ----------------------------------------------------------- */

static struct {
	struct job *queue;
	unsigned ready, ended, done;
	enum open_verdict why;
	struct words words;
	int outcome[JOBS_MAX][4], code[JOBS_MAX][4]; /* of job i, recipient j */
	char text[JOBS_MAX][4][80];
} seen;

static struct client *client;

static void on_ready(void *arg)
{
	(void)arg;
	seen.ready++;
}

static struct job *on_next(void *arg)
{
	struct job *job = seen.queue;
	(void)arg;
	if (job)
		DL_DELETE(seen.queue, job);
	return job;
}

static void on_done(void *arg, struct job *job)
{
	(void)arg;
	for (uint32_t i = 0; i < job->nends; i++) {
		const struct job_end *end = &job->ends[i];
		seen.outcome[job->id][i] = end->outcome;
		if (end->words) {
			seen.code[job->id][i] = end->words->code;
			snprintf(seen.text[job->id][i], 80, "%.*s", (int)end->words->len,
			    end->words->text);
		}
	}
	seen.done++;
	job_free(job);
}

static void on_ended(void *arg, enum open_verdict why, const struct words *words)
{
	(void)arg;
	seen.ended++;
	seen.why = why;
	seen.words = *words;
	client_free(client);
	client = NULL;
}

static const struct client_ops ops = {
    .ready = on_ready, .next = on_next, .done = on_done, .ended = on_ended};

/* add_job - a message of one segment of its own */
static void add_job(
    unsigned id, unsigned nrcpts, const char *late, const char *body, uint32_t flags)
{
	static uint64_t segment = 1;
	static unsigned char buf[4096];
	struct job_list list;
	struct job *job;
	char address[40];
	int fd = memfd_create("segment", MFD_CLOEXEC);
	size_t len = strlen(body), late_len = strlen(late);
	assert_int_equal(pwrite(fd, body, len, 100), len);
	assert_int_equal(pwrite(fd, late, late_len, (off_t)(100 + len)), late_len);
	segments_add(++segment, fd);
	job_list_init(&list, buf, sizeof(buf));
	for (unsigned i = 0; i < nrcpts; i++) {
		snprintf(address, sizeof(address), "r%u.%u@example.net", id, i);
		struct job_rcpt rcpt = {.number = i,
		    .address = msg_str(address),
		    .orcpt = msg_str(""),
		    .status = msg_str(""),
		    .text = msg_str(""),
		    .host = msg_str("")};
		assert_int_equal(job_put_rcpt(&list, &rcpt), 0);
	}
	struct msg_deliver_job msg = {.conn = 1,
	    .id = id,
	    .segment = segment,
	    .body = 100,
	    .body_len = len,
	    .late_len = (uint32_t)late_len,
	    .plain_len = len,
	    .flags = flags,
	    .sender = msg_str("s@example.org"),
	    .envid = msg_str(""),
	    .user = msg_str(""),
	    .mailbox = msg_str(""),
	    .recipients = job_list_bytes(&list)};
	assert_int_equal(job_new(&msg, &job), 0);
	segments_release(segment);
	DL_APPEND(seen.queue, job);
	if (client)
		client_feed(client);
}

static void nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* turn - one turn that waits for nothing */
static void turn(void)
{
	static const struct timeval now = {0, 0};
	event_base_once(loop_base(), -1, EV_TIMEOUT, nothing, NULL, &now);
	loop_turn();
}

/* begin - a client on one end of a pair; returns the other */
static int begin_with(enum conf_pipelining pipelining, uint32_t max_messages)
{
	int pair[2];
	struct client_setup setup = {.hello = "me.example",
	    .reply_ms = 5000,
	    .idle_ms = 5000,
	    .max_messages = max_messages,
	    .pipelining = pipelining};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	memset(&seen, 0, sizeof(seen));
	for (unsigned i = 0; i < JOBS_MAX; i++)
		for (unsigned j = 0; j < 4; j++)
			seen.outcome[i][j] = -1;
	client = client_adopt(&setup, pair[0], &ops, NULL);
	assert_non_null(client);
	return pair[1];
}

/* over - the client is gone and nothing of it is left */
static void over(int fd)
{
	struct job *job, *next;
	client_free(client);
	client = NULL;
	if (fd >= 0)
		close(fd);
	turn();
	DL_FOREACH_SAFE (seen.queue, job, next) {
		DL_DELETE(seen.queue, job);
		job_free(job);
	}
	assert_int_equal(jobs_on_wire(), 0);
}

/* -- a server ------------------------------------------------------------------------------------
 */

enum stage { AT_GREETING, AT_EHLO, AT_RSET, AT_MAIL, AT_RCPT, AT_DATA, AT_FINAL, STAGES };

struct server {
	int fd;
	bool pipelining;
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
		    s->pipelining ? "250-there\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
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
    enum conf_pipelining mode, bool pipelining, unsigned bad, enum stage stage, unsigned odd)
{
	static struct server s;
	const char *name = odds[odd].name;
	bool ahead = bad == 2 && mode == CONF_PIPELINING_FULL && pipelining;
	int fd = begin_with(mode, 0);
	s = (struct server){.fd = fd,
	    .pipelining = pipelining,
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
	 * the end of data can't be read gets it twice.
	 */
	unsigned sent = 0;
	for (unsigned i = 0; i < JOBS_MAX; i++)
		sent += seen.outcome[i][0] == OUT_SENT;
	assert_true(sent == s.taken || (stage == AT_FINAL && sent < s.taken));
	over(fd);
}

static void test_every_stage(void **state)
{
	static const struct {
		enum conf_pipelining mode;
		bool pipelining;
	} ways[] = {
	    {CONF_PIPELINING_FULL, true},
	    {CONF_PIPELINING_ENVELOPE, true},
	    {CONF_PIPELINING_NONE, true},
	    {CONF_PIPELINING_FULL, false},
	};
	(void)state;
	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++)
		for (unsigned bad = 0; bad < 3; bad++)
			for (enum stage stage = AT_MAIL; stage <= AT_FINAL; stage++)
				for (unsigned odd = 0; odd < sizeof(odds) / sizeof(odds[0]); odd++)
					one_stage(
					    ways[way].mode, ways[way].pipelining, bad, stage, odd);
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

/* -- before the first transaction -------------------------------------------------------------- */

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

/* said - what the client wrote since the last call */
static const char *said(int fd)
{
	static char buf[8192];
	turn();
	turn();
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void test_helo(void **state)
{
	(void)state;
	int fd = begin_with(CONF_PIPELINING_FULL, 0);
	say(fd, "220 old\r\n");
	assert_string_equal(said(fd), "EHLO me.example\r\n");
	say(fd, "500 what?\r\n");
	assert_string_equal(said(fd), "HELO me.example\r\n");
	add_job(0, 1, "", "zero\r\n", ENVF_8BIT);
	say(fd, "250 fine\r\n");
	assert_string_equal(said(fd), "MAIL FROM:<s@example.org>\r\n");
	over(fd);
}

/* -- the order of bytes --------------------------------------------------------------------------
 */

static int open_session(enum conf_pipelining mode, uint32_t max)
{
	int fd = begin_with(mode, max);
	say(fd, "220 there\r\n");
	assert_string_equal(said(fd), "EHLO me.example\r\n");
	say(fd, "250-there\r\n250-PIPELINING\r\n250-SIZE 100\r\n250 8BITMIME\r\n");
	assert_string_equal(said(fd), "");
	assert_int_equal(seen.ready, 1);
	return fd;
}

#define ENVELOPE(n) "MAIL FROM:<s@example.org> SIZE=6\r\nRCPT TO:<r" n ".0@example.net>\r\nDATA\r\n"

static void test_full_pipelining(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 1, "", "zero\r\n", 0);
	add_job(1, 1, "", "onee\r\n", 0);
	add_job(2, 1, "", "twoo\r\n", 0);
	assert_string_equal(said(fd), ENVELOPE("0"));
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	/* Nothing went well on this connection yet: nothing is sent ahead. */
	assert_string_equal(said(fd), "zero\r\n.\r\n");
	say(fd, "250 ok\r\n");
	assert_string_equal(said(fd), ENVELOPE("1"));
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), "onee\r\n.\r\nRSET\r\n" ENVELOPE("2"));
	say(fd, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	assert_int_equal(seen.done, 1);
	assert_string_equal(said(fd), "twoo\r\n.\r\n");
	/* A job that comes late is still sent ahead. */
	add_job(3, 1, "", "thre\r\n", 0);
	assert_string_equal(said(fd), "RSET\r\n" ENVELOPE("3"));
	client_close(client);
	add_job(4, 1, "", "four\r\n", 0);
	say(fd, "550 5.6.0 no\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), "thre\r\n.\r\n");
	assert_int_equal(seen.outcome[2][0], OUT_FAILED);
	say(fd, "250 2.0.0 ok as 7\r\n");
	assert_string_equal(said(fd), "QUIT\r\n");
	assert_int_equal(seen.outcome[3][0], OUT_SENT);
	assert_string_equal(seen.text[3][0], "ok as 7");
	assert_int_equal(seen.outcome[4][0], -1);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.why, OPEN_IDLE);
	over(fd);
}

static void test_last_message(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 2);
	for (unsigned i = 0; i < 3; i++)
		add_job(i, 1, "", "zero\r\n", 0);
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	said(fd);
	say(fd, "250 ok\r\n");
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), "zero\r\n.\r\n");
	say(fd, "250 ok\r\n");
	assert_string_equal(said(fd), "QUIT\r\n");
	assert_int_equal(seen.done, 2);
	assert_int_equal(seen.why, OPEN_IDLE);
	over(fd);
}

static void test_recipients(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_ENVELOPE, 0);
	add_job(0, 4, "L: ate\r\n", "zero\r\n", ENVF_8BIT);
	assert_string_equal(said(fd), "MAIL FROM:<s@example.org> SIZE=14 BODY=8BITMIME\r\n"
				      "RCPT TO:<r0.0@example.net>\r\n"
				      "RCPT TO:<r0.1@example.net>\r\n"
				      "RCPT TO:<r0.2@example.net>\r\n"
				      "RCPT TO:<r0.3@example.net>\r\nDATA\r\n");
	say(fd, "250 ok\r\n250 ok\r\n550-5.1.1 no\r\n550 5.1.1 such one\r\n250 ok\r\n"
		"452 4.5.3 enough\r\n");
	assert_string_equal(said(fd), "");
	say(fd, "354 go\r\n");
	assert_string_equal(said(fd), "L: ate\r\nzero\r\n.\r\n");
	say(fd, "250 2.6.0 taken\r\n");
	said(fd);
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	assert_int_equal(seen.outcome[0][1], OUT_FAILED);
	assert_string_equal(seen.text[0][1], "no such one");
	assert_int_equal(seen.outcome[0][2], OUT_SENT);
	assert_int_equal(seen.code[0][2], 250);
	assert_int_equal(seen.outcome[0][3], OUT_TOO_MANY);
	over(fd);
}

/* RFC 2920 §3.1: 354 although nobody was accepted wants an end of data, and it counts for none. */
static void test_354_without_recipient(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 2, "", "zero\r\n", 0);
	add_job(1, 1, "", "onee\r\n", 0);
	said(fd);
	say(fd, "250 ok\r\n550 5.1.1 no\r\n450 4.2.0 later\r\n354 go\r\n");
	assert_string_equal(said(fd), ".\r\n");
	say(fd, "250 thanks for nothing\r\n");
	assert_string_equal(said(fd), ENVELOPE("1"));
	assert_int_equal(seen.outcome[0][0], OUT_FAILED);
	assert_int_equal(seen.outcome[0][1], OUT_DEFERRED);
	over(fd);
}

static void test_mail_refused_rcpt_accepted(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 1, "", "zero\r\n", 0);
	said(fd);
	say(fd, "450 4.1.8 no sender\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), ".\r\n");
	say(fd, "250 whatever\r\n");
	said(fd);
	assert_int_equal(seen.outcome[0][0], OUT_DEFERRED);
	assert_int_equal(seen.code[0][0], 450);
	over(fd);
}

static void test_size(void **state)
{
	static char big[200];
	(void)state;
	memset(big, 'x', sizeof(big) - 3);
	memcpy(big + sizeof(big) - 3, "\r\n", 3);
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 1, "", big, 0);
	add_job(1, 1, "", "onee\r\n", 0);
	assert_string_equal(said(fd), ENVELOPE("1"));
	assert_int_equal(seen.outcome[0][0], OUT_FAILED);
	assert_int_equal(seen.code[0][0], 552);
	over(fd);
}

static void test_damaged(void **state)
{
	static const struct {
		const char *late, *body;
	} t[] = {
	    {"", ".\r\n"},
	    {"", "a\r\n.\r\nb\r\n"},
	    {"A: b\r\n", ".\r\nb\r\n"},
	    {"", "a\r\n.\r\n"},
	    {"", "no line end"},
	    {"", "only lf\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int fd = open_session(CONF_PIPELINING_FULL, 0);
		add_job(0, 1, t[i].late, t[i].body, 0);
		add_job(1, 1, "", "onee\r\n", 0);
		said(fd);
		say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
		/* Not a byte of it, and no end of data either. */
		assert_string_equal(said(fd), "");
		assert_int_equal(seen.outcome[0][0], OUT_DAMAGED);
		assert_int_equal(seen.outcome[1][0], -1);
		assert_int_equal(seen.ended, 1);
		assert_int_equal(seen.why, OPEN_LOCAL_LIMIT);
		over(fd);
	}
}

static void test_empty_body(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	add_job(0, 1, "", "", 0);
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), ".\r\n");
	over(fd);
}

static void test_big_body(void **state)
{
	const size_t size = 3 << 20;
	char *body = malloc(size + 1), *got = malloc(size + 100);
	size_t len = 0;
	(void)state;
	for (size_t i = 0; i < size; i++)
		body[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : (char)('a' + i % 23);
	memcpy(body + size - 2, "\r\n", 3);
	int fd = begin_with(CONF_PIPELINING_FULL, 0);
	say(fd, "220 there\r\n");
	said(fd);
	say(fd, "250 PIPELINING\r\n");
	add_job(0, 1, "", body, 0);
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	for (unsigned quiet = 0; quiet < 5;) {
		turn();
		ssize_t n = recv(fd, got + len, size + 100 - len, MSG_DONTWAIT);
		quiet = n > 0 ? 0 : quiet + 1;
		len += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(len, size + 3);
	assert_memory_equal(got, body, size);
	assert_memory_equal(got + size, ".\r\n", 3);
	say(fd, "250 ok\r\n");
	said(fd);
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	over(fd);
	free(body);
	free(got);
}

/* A server that has had enough in the middle of a body: its words are the answer. */
static void test_refused_in_the_body(void **state)
{
	static const struct {
		const char *said;
		enum outcome outcome;
	} t[] = {
	    {"552 5.3.4 too big\r\n", OUT_FAILED},
	    {"451 4.3.0 disk\r\n", OUT_DEFERRED},
	    {"421 4.3.0 bye\r\n", OUT_DEFERRED},
	    {"250 2.0.0 fine\r\n", OUT_DEFERRED},
	    {NULL, OUT_DEFERRED},
	};
	const size_t size = 4 << 20;
	char *body = malloc(size + 1);
	(void)state;
	memset(body, 'x', size);
	memcpy(body + size - 2, "\r\n", 3);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int fd = begin_with(CONF_PIPELINING_FULL, 0);
		say(fd, "220 there\r\n");
		said(fd);
		say(fd, "250 PIPELINING\r\n");
		add_job(0, 1, "", body, 0);
		said(fd);
		say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
		said(fd);
		if (t[i].said)
			say(fd, t[i].said);
		close(fd);
		turn();
		turn();
		turn();
		assert_int_equal(seen.ended, 1);
		if (seen.outcome[0][0] != (int)t[i].outcome)
			fail_msg("row %zu: %d", i, seen.outcome[0][0]);
		over(-1);
	}
	free(body);
}

/* Over TCP: the server's last words and a reset right behind them. */
static void test_words_before_a_reset(void **state)
{
	struct sockaddr_in addr = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	struct client_setup setup = {.hello = "me", .connect_ms = 5000, .reply_ms = 5000};
	struct linger reset = {.l_onoff = 1};
	(void)state;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&addr, &len);
	memset(&seen, 0, sizeof(seen));
	client = client_connect(&setup, (struct sockaddr *)&addr, len, NULL, 0, &ops, NULL);
	assert_non_null(client);
	turn();
	int fd = accept(listener, NULL, NULL);
	add_job(0, 1, "", "zero\r\n", 0);
	add_job(1, 1, "", "onee\r\n", 0);
	say(fd, "220 there\r\n");
	said(fd);
	say(fd, "250 PIPELINING\r\n");
	said(fd);
	say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(said(fd), "zero\r\n.\r\n");
	say(fd, "250 ok\r\n");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	turn();
	turn();
	turn();
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	/* On a connection that had carried mail, nothing of it was answered: untouched. */
	assert_true(seen.outcome[1][0] == OUT_NOT_TRIED || seen.queue);
	assert_int_equal(seen.ended, 1);
	close(listener);
	over(-1);
}

static void test_timeouts(void **state)
{
	(void)state;
	int pair[2];
	struct client_setup setup = {.hello = "me", .reply_ms = 20, .idle_ms = 20};
	for (unsigned stop = 0; stop < 4; stop++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		memset(&seen, 0, sizeof(seen));
		seen.outcome[0][0] = -1;
		client = client_adopt(&setup, pair[0], &ops, NULL);
		if (stop > 0) {
			say(pair[1], "220 hi\r\n");
			said(pair[1]);
			say(pair[1], "250 PIPELINING\r\n");
		}
		if (stop > 1)
			add_job(0, 1, "", "zero\r\n", 0);
		if (stop > 2) {
			said(pair[1]);
			say(pair[1], "250 ok\r\n250 ok\r\n354 go\r\n");
		}
		while (!seen.ended)
			loop_turn();
		assert_int_equal(seen.why, ((const enum open_verdict[]){OPEN_UNREACHABLE, OPEN_IDLE,
					       OPEN_LOST, OPEN_LOST})[stop]);
		assert_int_equal(seen.outcome[0][0], stop > 1 ? OUT_DEFERRED : -1);
		over(pair[1]);
	}
}

static void test_idle_goodbye(void **state)
{
	(void)state;
	int fd = open_session(CONF_PIPELINING_FULL, 0);
	say(fd, "421 4.4.2 idle too long\r\n");
	said(fd);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.why, OPEN_IDLE);
	over(fd);
	fd = open_session(CONF_PIPELINING_FULL, 0);
	say(fd, "250 what\r\n");
	said(fd);
	assert_int_equal(seen.why, OPEN_LOST);
	over(fd);
}

static int make_loop(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	loop_init();
	return 0;
}

static int free_loop(void **state)
{
	(void)state;
	event_base_free(loop_base());
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_stage),
	    cmocka_unit_test(test_rset_refused),
	    cmocka_unit_test(test_session_refused),
	    cmocka_unit_test(test_helo),
	    cmocka_unit_test(test_full_pipelining),
	    cmocka_unit_test(test_last_message),
	    cmocka_unit_test(test_recipients),
	    cmocka_unit_test(test_354_without_recipient),
	    cmocka_unit_test(test_mail_refused_rcpt_accepted),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_empty_body),
	    cmocka_unit_test(test_big_body),
	    cmocka_unit_test(test_refused_in_the_body),
	    cmocka_unit_test(test_words_before_a_reset),
	    cmocka_unit_test(test_timeouts),
	    cmocka_unit_test(test_idle_goodbye),
	};
	return cmocka_run_group_tests(tests, make_loop, free_loop);
}
