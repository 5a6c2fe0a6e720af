/* SPDX-License-Identifier: ISC */
/* Clients on real sockets: limits, turns, half-closed connections, the local user, the end. */
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/conn.h"
#include "lib/loop.h"
#include "smtpd/accept.h"
#include "smtpd/client.h"
#include "smtpd_world.h"

static struct sockaddr_storage at;
static socklen_t at_len;
static unsigned idles;

/* on_poll - so that a turn ends though nothing happens */
static void on_poll(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

/* turns - let the worker work for some ms */
static void turns(unsigned ms)
{
	static struct event *poll_event;
	static const struct timeval often = {.tv_usec = 2000};
	if (!poll_event)
		poll_event = event_new(loop_base(), -1, EV_PERSIST, on_poll, NULL);
	event_add(poll_event, &often);
	for (uint64_t end = loop_ms() + ms; loop_ms() < end;)
		loop_turn();
	event_del(poll_event);
}

/* listen_on - a listener of that kind for this test */
static void listen_on(enum listen_kind kind)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	bool tcp = kind == LISTEN_SMTP;
	int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/tmp/test_accept.%d", (int)getpid());
	unlink(sun.sun_path);
	struct sockaddr *addr = tcp ? (struct sockaddr *)&sin : (struct sockaddr *)&sun;
	assert_int_equal(bind(fd, addr, tcp ? sizeof(sin) : sizeof(sun)), 0);
	assert_int_equal(listen(fd, 100), 0);
	at_len = sizeof(at);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &at_len), 0);
	accept_init(world.conf);
	accept_add(fd, kind, 0);
}

/* dial - a client's socket */
static int dial(void)
{
	int fd = socket(at.ss_family, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, at_len), 0);
	return fd;
}

/* hear - what a client got within some ms; "" for nothing */
static const char *hear(int fd, unsigned ms)
{
	static char text[1 << 20];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t n = 0;
	turns(ms);
	while (n < sizeof(text) - 1 && poll(&p, 1, 0) == 1) {
		ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		turns(1);
	}
	text[n] = '\0';
	return text;
}

/* hear_until - what a client got up to a word that comes, however busy the disk is */
static const char *hear_until(int fd, const char *word)
{
	static char all[1 << 16];
	size_t n = 0;
	for (int i = 0; i < 1000 && n < sizeof(all); i++) {
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s", hear(fd, 10));
		if (strstr(all, word))
			return all;
	}
	fail_msg("no %s", word);
	return "";
}

/* say - send, then hear */
static const char *say(int fd, const char *text)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	for (int i = 0; i < 5000 && poll(&p, 1, 0) == 0; i++)
		turns(1);
	return hear(fd, 20);
}

static int teardown(void **state)
{
	accept_stop();
	turns(20);
	assert_int_equal(client_count(), 0);
	return world_teardown(state);
}

/* A client that is full of trust: everything in one write, then its side closed. */
static void half_closed(void **state)
{
	(void)state;
	listen_on(LISTEN_SMTP);
	int fd = dial();
	static const char all[] =
	    "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob@localhost>\r\nDATA\r\nx\r\n.\r\n";
	assert_int_equal(write(fd, all, sizeof(all) - 1), sizeof(all) - 1);
	shutdown(fd, SHUT_WR);
	const char *text = hear_until(fd, "\r\n250 2.0.0 queued as ");
	assert_memory_equal(text, "220 ", 4);
	assert_non_null(strstr(text, "\r\n354 "));
	turns(20);
	assert_int_equal(client_count(), 0);
	close(fd);
}

/* Many commands at once are worked in turns, and all answered. */
static void many_commands(void **state)
{
	static char noops[6 * 5000 + 1];
	unsigned replies = 0;
	(void)state;
	listen_on(LISTEN_SMTP);
	for (int i = 0; i < 5000; i++)
		memcpy(noops + 6 * i, "NOOP\r\n", 6);
	int fd = dial();
	say(fd, "EHLO x\r\n");
	assert_int_equal(write(fd, noops, sizeof(noops) - 1), sizeof(noops) - 1);
	loop_turn();
	int other = dial();
	while (strcmp(hear(other, 1), "") == 0)
		;
	for (const char *p = hear(fd, 100); (p = strstr(p, "250 2.0.0 Ok\r\n")); p += 14)
		replies++;
	assert_int_equal(replies, 5000);
	assert_memory_equal(say(fd, "QUIT\r\n"), "221 2.0.0", 9);
	close(fd);
	close(other);
}

/* A full worker takes no client until one leaves; who waits is served then. */
static void clients_wait(void **state)
{
	(void)state;
	world.conf->workers = 1;
	world.conf->limits.clients = 2;
	listen_on(LISTEN_SMTP);
	int one = dial(), two = dial(), three = dial();
	assert_memory_equal(hear(one, 20), "220 ", 4);
	assert_memory_equal(hear(two, 20), "220 ", 4);
	assert_string_equal(hear(three, 20), "");
	assert_memory_equal(say(one, "QUIT\r\n"), "221 ", 4);
	close(one);
	assert_memory_equal(hear(three, 20), "220 ", 4);
	close(two);
	close(three);
}

/* Too many from one address outside relay_from: told so, the others stay. */
static void per_client(void **state)
{
	(void)state;
	world.conf->limits.per_client = 2;
	world.conf->listen[0].auth = CONF_AUTH_REQUIRED; /* relay_from doesn't count there */
	listen_on(LISTEN_SMTP);
	int one = dial(), two = dial(), three = dial();
	assert_memory_equal(hear(three, 20), "421 4.7.0 Too many connections", 30);
	assert_memory_equal(say(one, "NOOP\r\n"), "220 ", 4);
	close(two);
	turns(20);
	int four = dial();
	assert_memory_equal(hear(four, 20), "220 ", 4);
	close(one);
	close(three);
	close(four);
}

/* The kernel says who a local client is. */
static void local_user(void **state)
{
	char text[65536], want[64];
	(void)state;
	listen_on(LISTEN_SUBMIT);
	int fd = dial();
	assert_true(dprintf(fd, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob>\r\nDATA\r\n") > 0);
	hear_until(fd, "\r\n354 ");
	assert_true(dprintf(fd, "x: y\r\n\r\n.\r\n") > 0);
	hear_until(fd, "250 2.0.0 queued");
	close(fd);
	ssize_t n = pread(world.segment, text, sizeof(text), 0);
	assert_true(n > 0);
	snprintf(want, sizeof(want), "Received: from local (uid %u)\r\n", (unsigned)getuid());
	assert_non_null(memmem(text, (size_t)n, want, strlen(want)));
	unlink(((struct sockaddr_un *)&at)->sun_path);
}

/* Slots are short: who got on last stays, who was silent goes; a byte now and then is silence. */
static void patience(void **state)
{
	(void)state;
	listen_on(LISTEN_SMTP);
	int silent = dial(), dribbling = dial(), busy = dial(), sending = dial(), body = dial();
	hear(silent, 20), hear(dribbling, 1);
	say(busy, "EHLO x\r\n");
	say(sending, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob>\r\nDATA\r\n");
	say(body, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob>\r\nDATA\r\n");
	static char piece[CLIENT_BODY_STEP + 2];
	for (size_t i = 0; i < sizeof(piece); i += 2)
		memcpy(piece + i, "\r\n", 2);
	for (int i = 0; i < 25; i++) {
		client_patience(CLIENT_SWEEP_MS); /* each that goes is judged to make room enough */
		assert_int_equal(write(dribbling, "x", 1), 1);
		assert_int_equal(write(body, "x", 1), 1);
		assert_int_equal(write(sending, piece, sizeof(piece)), (ssize_t)sizeof(piece));
		assert_string_equal(say(busy, "NOOP\r\n"), "250 2.0.0 Ok\r\n");
		turns(180);
		if (client_count() == 2)
			break;
	}
	assert_int_equal(client_count(), 2);
	assert_memory_equal(hear(silent, 1), "421 4.3.2 Too busy", 18);
	assert_memory_equal(hear(dribbling, 1), "421 4.3.2 Too busy", 18);
	assert_memory_equal(hear(body, 1), "421 4.3.2 Too busy", 18);
	client_patience(CLIENT_TIMEOUT_MS);
	turns(2 * CLIENT_SWEEP_MS);
	assert_int_equal(client_count(), 2);
	close(silent), close(dribbling), close(busy), close(sending), close(body);
}

static void on_idle(void)
{
	idles++;
}

/* The end: who is between transactions goes, who is in one may finish it. The last test. */
static void drain(void **state)
{
	(void)state;
	listen_on(LISTEN_SMTP);
	int idle = dial(), busy = dial();
	say(idle, "EHLO x\r\n");
	say(busy, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob>\r\nDATA\r\n");
	accept_stop();
	client_leave(on_idle);
	client_drain();
	assert_memory_equal(hear(idle, 20), "421 4.3.2 ", 10);
	assert_string_equal(hear(busy, 20), "");
	assert_int_equal(idles, 0);
	const char *text = say(busy, "x\r\n.\r\n");
	assert_memory_equal(text, "250 2.0.0 queued", 16);
	assert_non_null(strstr(text, "\r\n421 4.3.2 "));
	assert_int_equal(idles, 1);
	close(idle);
	close(busy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(half_closed),
	    TEST(many_commands),
	    TEST(clients_wait),
	    TEST(per_client),
	    TEST(local_user),
	    TEST(patience),
	    TEST(drain),
	};
	world_begin();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_end();
	return failed;
}
