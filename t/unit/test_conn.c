/* SPDX-License-Identifier: ISC */
/* Streams on the loop: order, back-pressure, deadlines, ends, connects. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/conn.h"
#include "lib/loop.h"

struct heard {
	unsigned n[CONN_TIMEOUT + 1];
	struct conn *conn;
	bool free_at_input;
	bool reply;
};

/* hear - count events, act as the test asks */
static void hear(struct conn *conn, enum conn_event event, void *arg)
{
	struct heard *h = arg;
	h->n[event]++;
	if (event == CONN_INPUT && h->free_at_input)
		conn_free(conn);
	if (event == CONN_INPUT && h->reply) {
		char buf[64];
		int n = evbuffer_remove(conn_input(conn), buf, sizeof(buf));
		assert_int_equal(conn_write(conn, buf, (size_t)n), 0);
		assert_int_equal(conn_write(conn, "!", 1), 0);
	}
}

/* pair - a connection and the raw other end */
static struct conn *pair(struct heard *h, int *other)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	*other = fds[1];
	h->conn = conn_new(fds[0], hear, h);
	assert_non_null(h->conn);
	return h->conn;
}

/* All that is written in a turn leaves in one piece at its end. */
static void one_write_a_turn(void **state)
{
	struct heard h = {.reply = true};
	char buf[64];
	int other;
	(void)state;
	struct conn *conn = pair(&h, &other);
	assert_int_equal(write(other, "hello", 5), 5);
	loop_turn();
	assert_int_equal(h.n[CONN_INPUT], 1);
	assert_int_equal(read(other, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "hello!", 6);
	assert_int_equal(conn_unsent(conn), 0);
	conn_free(conn);
	loop_turn();
	assert_int_equal(read(other, buf, sizeof(buf)), 0);
	close(other);
}

/* What was sent before the end is heard before the end, which comes once. */
static void input_before_eof(void **state)
{
	struct heard h = {0};
	int other;
	(void)state;
	struct conn *conn = pair(&h, &other);
	assert_int_equal(write(other, "bye", 3), 3);
	close(other);
	for (int i = 0; i < 4 && !h.n[CONN_EOF]; i++)
		loop_turn();
	assert_int_equal(evbuffer_get_length(conn_input(conn)), 3);
	assert_int_equal(h.n[CONN_EOF], 1);
	conn_free(conn);
}

/* A handler may free the connection it is called for. */
static void free_in_handler(void **state)
{
	struct heard h = {.free_at_input = true};
	int other;
	(void)state;
	pair(&h, &other);
	assert_int_equal(write(other, "x", 1), 1);
	loop_turn();
	assert_int_equal(h.n[CONN_INPUT], 1);
	close(other);
}

/* A peer that doesn't read holds output back; when it reads, CONN_DRAINED comes once. */
static void held_back(void **state)
{
	static char big[1 << 20];
	struct heard h = {0};
	int other;
	size_t got = 0;
	(void)state;
	struct conn *conn = pair(&h, &other);
	assert_int_equal(conn_write(conn, big, sizeof(big)), 0);
	conn_flush(conn);
	assert_true(conn_unsent(conn) > 0);
	while (got < sizeof(big)) {
		char buf[65536];
		ssize_t n = read(other, buf, sizeof(buf));
		if (n > 0)
			got += (size_t)n;
		else
			loop_turn();
	}
	assert_int_equal(h.n[CONN_DRAINED], 1);
	conn_free(conn);
	close(other);
}

/* Paused: nothing is read; resumed: it is there. */
static void pause_and_resume(void **state)
{
	struct heard h = {0};
	int other;
	(void)state;
	struct conn *conn = pair(&h, &other);
	conn_deadline(conn, 20); /* so that a turn ends */
	conn_pause(conn);
	assert_int_equal(write(other, "x", 1), 1);
	while (!h.n[CONN_TIMEOUT])
		loop_turn();
	assert_int_equal(h.n[CONN_INPUT], 0);
	conn_resume(conn);
	loop_turn();
	assert_int_equal(h.n[CONN_INPUT], 1);
	conn_free(conn);
	close(other);
}

/* A deadline that moves later is met later, and once; 0 takes it away. */
static void deadline_moves(void **state)
{
	struct heard h = {0};
	int other;
	(void)state;
	struct conn *conn = pair(&h, &other);
	conn_deadline(conn, 10);
	conn_deadline(conn, 60);
	uint64_t begin = loop_ms();
	while (!h.n[CONN_TIMEOUT])
		loop_turn();
	assert_true(loop_ms() - begin >= 55);
	conn_deadline(conn, 1);
	conn_deadline(conn, 0);
	usleep(5000);
	assert_int_equal(write(other, "x", 1), 1);
	while (!h.n[CONN_INPUT])
		loop_turn();
	assert_int_equal(h.n[CONN_TIMEOUT], 1);
	/* One that is shorter than what the timer was set to before. */
	conn_deadline(conn, 60000);
	conn_deadline(conn, 0);
	conn_deadline(conn, 5);
	while (h.n[CONN_TIMEOUT] < 2)
		loop_turn();
	conn_free(conn);
	close(other);
}

/* conn_finish() sends all before it closes, then drops what the peer still says. */
static void finish_sends_all(void **state)
{
	struct heard h = {0};
	char buf[8];
	int other;
	(void)state;
	struct conn *conn = pair(&h, &other);
	assert_int_equal(conn_write(conn, "421\r\n", 5), 0);
	assert_int_equal(conn_open_sockets(), 1);
	conn_finish(conn, 1000);
	assert_int_equal(write(other, "still here", 10), 10);
	loop_turn();
	assert_int_equal(read(other, buf, sizeof(buf)), 5);
	assert_int_equal(read(other, buf, sizeof(buf)), 0);
	close(other);
	loop_turn();
	assert_int_equal(h.n[CONN_INPUT] + h.n[CONN_EOF] + h.n[CONN_ERROR], 0);
	assert_int_equal(conn_open_sockets(), 0);
}

/* A write to a closed peer is an error, reported once, and what it sent before is still there. */
static void rest_after_error(void **state)
{
	struct heard h = {0};
	int other;
	(void)state;
	struct conn *conn = pair(&h, &other);
	conn_pause(conn);
	assert_int_equal(write(other, "550 no", 6), 6);
	close(other);
	assert_int_equal(conn_write(conn, "x", 1), 0);
	conn_flush(conn);
	assert_int_equal(h.n[CONN_ERROR], 0);
	for (int i = 0; i < 3 && !h.n[CONN_ERROR]; i++)
		loop_turn();
	assert_int_equal(h.n[CONN_ERROR], 1);
	assert_int_equal(conn_error(conn), EPIPE);
	assert_int_equal(conn_read_rest(conn), 6);
	conn_free(conn);
	loop_turn();
}

/* connect() well and badly; the callback comes after the caller has its pointer. */
static void connects(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(to);
	struct heard h = {0};
	(void)state;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&to, &len), 0);
	struct conn *conn = conn_connect((struct sockaddr *)&to, len, NULL, 0, hear, &h);
	assert_non_null(conn);
	assert_int_equal(conn_write(conn, "EHLO\r\n", 6), 0);
	while (!h.n[CONN_CONNECTED] || conn_unsent(conn))
		loop_turn();
	int peer = accept(listener, NULL, NULL);
	char buf[8];
	assert_int_equal(read(peer, buf, sizeof(buf)), 6);
	conn_free(conn);
	close(peer);
	close(listener);
	conn = conn_connect((struct sockaddr *)&to, len, NULL, 0, hear, &h);
	assert_non_null(conn);
	while (!h.n[CONN_ERROR])
		loop_turn();
	assert_int_equal(conn_error(conn), ECONNREFUSED);
	conn_free(conn);
	loop_turn();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_write_a_turn),
	    cmocka_unit_test(input_before_eof),
	    cmocka_unit_test(free_in_handler),
	    cmocka_unit_test(held_back),
	    cmocka_unit_test(pause_and_resume),
	    cmocka_unit_test(deadline_moves),
	    cmocka_unit_test(finish_sends_all),
	    cmocka_unit_test(rest_after_error),
	    cmocka_unit_test(connects),
	};
	loop_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
