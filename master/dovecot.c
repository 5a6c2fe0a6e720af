/* SPDX-License-Identifier: ISC */
/*
 * The connection is in one state; only enter() changes it. Lines that hold secrets live in buffers
 * of our own that are wiped. A request asked before Dovecot has said which mechanisms it has keeps
 * its line: Dovecot drops a client that asks for another one.
 */
#include "master/dovecot.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base64.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "master/dovecot_line.h"

#define MECHANISM_MAX  20 /* the longest name a mechanism may have (RFC 4422 §3.1) */
#define MECHANISMS_MAX 32

enum state {
	DOWN,
	GREETED, /* connected; it hasn't said all of its own */
	UP
};

struct request {
	uint32_t id;
	char mechanism[MECHANISM_MAX + 1];
	dovecot_answer *answer;
	void *arg;
	int64_t until_ms, put_ms;
	bool ours;  /* it is Dovecot's turn */
	char *line; /* not sent yet; NULL: it is */
	UT_hash_handle hh;
};

static enum state state;
static struct sockaddr_un where = {.sun_family = AF_UNIX};
static int fd = -1;
static struct event *read_event, *write_event, *tick;
static char in[DOVECOT_LINE_MAX], out[DOVECOT_OUT_MAX];
static size_t in_len, out_len;
static char mechanisms[MECHANISMS_MAX][MECHANISM_MAX + 1];
static unsigned nmechanisms;
static struct request *requests; /* by id */
static uint32_t last_id;
static int64_t heard_ms; /* when it said anything */
static int64_t again_ms; /* not to be connected to before */
static bool complained;

/* -- requests -----------------------------------------------------------------------------------
 */

/* forget - the request and its secrets */
static void forget(struct request *r)
{
	HASH_DEL(requests, r);
	if (r->line)
		explicit_bzero(r->line, strlen(r->line));
	free(r->line);
	free(r);
}

/* answer - the last word on it */
static void answer(struct request *r, enum dovecot_verdict verdict, const char *user)
{
	dovecot_answer *call = r->answer;
	void *arg = r->arg;
	forget(r);
	call(verdict, user, msg_str(""), arg);
}

/* find - NULL: it is gone */
static struct request *find(uint32_t id)
{
	struct request *r;
	HASH_FIND(hh, requests, &id, sizeof(id), r);
	return r;
}

/* -- the connection -----------------------------------------------------------------------------
 */

/* enter - the one place where the state changes; down, all requests have failed */
static void enter(enum state next)
{
	state = next;
	if (next != DOWN)
		return;
	if (read_event)
		event_free(read_event);
	if (write_event)
		event_free(write_event);
	read_event = write_event = NULL;
	if (fd >= 0)
		close(fd);
	fd = -1;
	explicit_bzero(out, out_len);
	in_len = out_len = 0;
	nmechanisms = 0;
	again_ms = clock_ms() + DOVECOT_AGAIN_MS;
	for (unsigned n = HASH_COUNT(requests); n > 0 && requests; n--)
		answer(requests, DOVECOT_FAILURE, "");
}

/* lost - say so once, until it was there again */
static void lost(int error, const char *why)
{
	if (!complained)
		log_warnx("Dovecot at %s: %s%s%s; logins wait", where.sun_path, why,
		    error ? ": " : "", error ? strerror(error) : "");
	complained = true;
	enter(DOWN);
}

/* flush - as much as the socket takes */
static void flush(void)
{
	ssize_t n = out_len ? send(fd, out, out_len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		lost(errno, "cannot write");
		return;
	}
	size_t done = n > 0 ? (size_t)n : 0;
	memmove(out, out + done, out_len - done);
	explicit_bzero(out + out_len - done, done);
	out_len -= done;
	if (out_len && event_add(write_event, NULL) != 0)
		lost(ENOMEM, "cannot write");
}

/* on_task - what this turn's requests say goes out together */
static void on_task(struct loop_task *task)
{
	(void)task;
	if (state != DOWN)
		flush();
}

static struct loop_task task = {.run = on_task};

/* put - a line to be sent; false: too many wait */
static bool put(const char *line)
{
	size_t n = strlen(line);
	if (n > sizeof(out) - out_len)
		return false;
	memcpy(out + out_len, line, n);
	out_len += n;
	loop_defer(&task);
	return true;
}

/* put_cancel - where there is no room for it Dovecot's own time limit ends the request */
static void put_cancel(uint32_t id)
{
	char line[32];
	snprintf(line, sizeof(line), "CANCEL\t%u\n", id);
	if (state == UP)
		put(line);
}

/* has - does it offer that mechanism? */
static bool has(const char *mechanism)
{
	for (unsigned i = 0; i < nmechanisms; i++)
		if (strcmp(mechanisms[i], mechanism) == 0)
			return true;
	return false;
}

/* put_request - its first line, now that it may be said; false: it can't be */
static bool put_request(struct request *r)
{
	bool good = has(r->mechanism) && put(r->line);
	if (!has(r->mechanism))
		log_warnx(
		    "Dovecot does not offer %s: take it out of auth_mechanisms", r->mechanism);
	explicit_bzero(r->line, strlen(r->line));
	free(r->line);
	r->line = NULL;
	return good;
}

/* on_done - it has introduced itself: what waited is asked */
static void on_done(void)
{
	struct request *r, *next;
	log_info("Dovecot at %s answers logins", where.sun_path);
	complained = false;
	enter(UP);
	HASH_ITER (hh, requests, r, next) {
		if (!put_request(r))
			answer(r, DOVECOT_FAILURE, "");
	}
}

/* challenge - for the client of that request */
static void challenge(struct request *r, const struct dovecot_line *line)
{
	char bytes[DOVECOT_LINE_MAX];
	int n = base64_decode(bytes, sizeof(bytes), line->text, line->len);
	if (n < 0 || n > 4096) {
		answer(r, DOVECOT_FAILURE, "");
		return;
	}
	r->ours = false;
	r->answer(DOVECOT_MORE, "", msg_bytes(bytes, (size_t)n), r->arg);
}

/* judge - its word on a request; one that was cancelled is unknown */
static void judge(const struct dovecot_line *line)
{
	struct request *r = find(line->id);
	if (!r || r->line)
		return;
	if (line->kind == DOVECOT_CONT)
		challenge(r, line);
	else if (line->kind == DOVECOT_OK)
		answer(r, line->user[0] ? DOVECOT_RIGHT : DOVECOT_FAILURE, line->user);
	else
		answer(r, line->temp ? DOVECOT_FAILURE : DOVECOT_WRONG, "");
}

/* take - one line; false: this isn't Dovecot as we know it */
static bool take(const char *text, size_t n)
{
	struct dovecot_line line;
	if (dovecot_line_read(text, n, &line) != 0)
		return false;
	switch (line.kind) {
	case DOVECOT_VERSION:
		return line.id == DOVECOT_MAJOR;
	case DOVECOT_MECH:
		if (nmechanisms < MECHANISMS_MAX &&
		    str_copy_n(
			mechanisms[nmechanisms], sizeof(mechanisms[0]), line.text, line.len) == 0)
			nmechanisms++;
		return true;
	case DOVECOT_DONE:
		if (state == GREETED)
			on_done();
		return true;
	case DOVECOT_OK:
	case DOVECOT_FAIL:
	case DOVECOT_CONT:
		judge(&line);
		return true;
	default:
		return true;
	}
}

/* take_lines - all that are whole; a handler may lose the connection */
static void take_lines(void)
{
	size_t at = 0;
	char *end;
	while (state != DOWN && (end = memchr(in + at, '\n', in_len - at))) {
		size_t begin = at;
		at = (size_t)(end - in) + 1;
		if (!take(in + begin, (size_t)(end - in) - begin))
			lost(0, "speaks another protocol");
	}
	if (state == DOWN)
		return;
	memmove(in, in + at, in_len - at);
	in_len -= at;
	if (in_len == sizeof(in))
		lost(0, "sent a line that is too long");
}

/* on_readable - it says something, or is gone */
static void on_readable(evutil_socket_t from, short what, void *arg)
{
	(void)what, (void)arg;
	ssize_t n = recv(from, in + in_len, sizeof(in) - in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		lost(n < 0 ? errno : 0, n < 0 ? "cannot read" : "closed the connection");
		return;
	}
	heard_ms = clock_ms();
	in_len += (size_t)n;
	take_lines();
}

/* on_writable - there is room again */
static void on_writable(evutil_socket_t to, short what, void *arg)
{
	(void)to, (void)what, (void)arg;
	flush();
}

/* dial - connect and introduce ourselves; false: not now */
static bool dial(void)
{
	char hello[64];
	if (clock_ms() < again_ms)
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&where, sizeof(where)) != 0) {
		lost(errno, "cannot connect");
		return false;
	}
	read_event = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_readable, NULL);
	write_event = event_new(loop_base(), fd, EV_WRITE, on_writable, NULL);
	if (!read_event || !write_event || event_add(read_event, NULL) != 0) {
		lost(ENOMEM, "cannot connect");
		return false;
	}
	enter(GREETED);
	snprintf(
	    hello, sizeof(hello), "VERSION\t%d\t1\nCPID\t%u\n", DOVECOT_MAJOR, (unsigned)getpid());
	return put(hello);
}

/* -- the time -----------------------------------------------------------------------------------
 */

/* tick_later - only while something is waited for */
static void tick_later(void)
{
	static const struct timeval after = {.tv_sec = 1};
	if (tick && requests && !evtimer_pending(tick, NULL))
		evtimer_add(tick, &after);
}

/* late - a request that has waited too long; NULL: none has */
static struct request *late(int64_t now)
{
	struct request *r, *next;
	HASH_ITER (hh, requests, r, next) {
		if (r->ours && r->until_ms <= now)
			return r;
	}
	return NULL;
}

/* on_tick - who waited too long has failed; if nothing at all was heard meanwhile, it hangs */
static void on_tick(evutil_socket_t from, short what, void *arg)
{
	struct request *r;
	(void)from, (void)what, (void)arg;
	while ((r = late(clock_ms()))) {
		if (heard_ms < r->put_ms) {
			lost(0, "does not answer");
			break;
		}
		put_cancel(r->id);
		answer(r, DOVECOT_FAILURE, "");
	}
	tick_later();
}

/* wait_for - it is Dovecot's turn */
static void wait_for(struct request *r)
{
	r->ours = true;
	r->put_ms = clock_ms();
	r->until_ms = r->put_ms + DOVECOT_WAIT_MS;
	if (!tick)
		tick = evtimer_new(loop_base(), on_tick, NULL);
	tick_later();
}

/* -- for login.c ----------------------------------------------------------------------------------
 */

/* dovecot_use - from now on */
void dovecot_use(const char *path)
{
	if (strcmp(path, where.sun_path) == 0)
		return;
	enter(DOWN);
	str_copy(where.sun_path, sizeof(where.sun_path), path);
	complained = false;
	again_ms = 0;
}

/* dovecot_used - is there a socket to ask? */
bool dovecot_used(void)
{
	return where.sun_path[0];
}

/* make_line - AUTH: nologin since nobody asks it for a mailbox; resp has to be the last */
static char *make_line(
    uint32_t id, const char *mechanism, const char *client, const void *message, size_t n)
{
	char text[DOVECOT_LINE_MAX / 2], *line = NULL;
	unsigned char bytes[sizeof(struct in6_addr)];
	bool numeric =
	    inet_pton(AF_INET, client, bytes) == 1 || inet_pton(AF_INET6, client, bytes) == 1;
	/* smtpd lets nobody log in without TLS whom the configuration doesn't allow it. */
	if (base64_encode(text, sizeof(text), message, n) >= 0 &&
	    asprintf(&line, "AUTH\t%u\t%s\tservice=smtp\tnologin\tsecured%s%s\tresp=%s\n", id,
		mechanism, numeric ? "\trip=" : "", numeric ? client : "", text) < 0)
		line = NULL;
	explicit_bzero(text, sizeof(text));
	return line;
}

/* dovecot_ask - at once, or when it has introduced itself */
uint32_t dovecot_ask(const char *mechanism, const char *client, const void *message, size_t n,
    dovecot_answer *answered, void *arg)
{
	if (HASH_COUNT(requests) >= DOVECOT_OPEN_MAX || (state == DOWN && !dial()))
		return 0;
	struct request *r = calloc(1, sizeof(*r));
	if (!r)
		return 0;
	*r =
	    (struct request){.id = ++last_id ? last_id : ++last_id, .answer = answered, .arg = arg};
	if (str_copy(r->mechanism, sizeof(r->mechanism), mechanism) == 0)
		r->line = make_line(r->id, mechanism, client, message, n);
	if (r->line)
		HASH_ADD(hh, requests, id, sizeof(r->id), r);
	if (!hash_added(r)) {
		free(r->line);
		free(r);
		return 0;
	}
	if (state == UP && !put_request(r)) {
		forget(r);
		return 0;
	}
	wait_for(r);
	return r->id;
}

/* dovecot_go_on - CONT */
bool dovecot_go_on(uint32_t id, const void *message, size_t n)
{
	char text[DOVECOT_LINE_MAX / 2], line[DOVECOT_LINE_MAX];
	struct request *r = find(id);
	if (!r || r->ours || base64_encode(text, sizeof(text), message, n) < 0)
		return false;
	snprintf(line, sizeof(line), "CONT\t%u\t%s\n", id, text);
	if (!put(line))
		return false;
	wait_for(r);
	return true;
}

/* dovecot_cancel - Dovecot may forget it too */
void dovecot_cancel(uint32_t id)
{
	struct request *r = find(id);
	if (!r)
		return;
	put_cancel(id);
	forget(r);
}
