/* SPDX-License-Identifier: ISC */
/* TLS on connections of the loop: both ends are ours, a socket pair between them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/conn.h"
#include "lib/loop.h"
#include "pems.h"

static struct pem pem;
static struct tls_server *server;
static struct tls_client *client;

struct side {
	struct conn *conn;
	unsigned n[CONN_TIMEOUT + 1];
	bool free_when_secured;
};

/* hear - count events */
static void hear(struct conn *conn, enum conn_event event, void *arg)
{
	struct side *s = arg;
	s->n[event]++;
	if (event == CONN_SECURED && s->free_when_secured)
		conn_free(conn);
}

/* pair - two connections with each other */
static void pair(struct side *a, struct side *b)
{
	int fds[2];
	*a = *b = (struct side){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	a->conn = conn_new(fds[0], hear, a);
	b->conn = conn_new(fds[1], hear, b);
	assert_true(a->conn && b->conn);
}

/* start_server, start_client - the handshake */
static void start_server(struct side *s)
{
	assert_int_equal(conn_start_tls(s->conn, tls_accept(server)), 0);
}

static void start_client(struct side *s)
{
	const struct tls_connect to = {.name = "mx.test", .verify = true};
	assert_int_equal(conn_start_tls(s->conn, tls_connect(client, &to)), 0);
}

/* secure - both */
static void secure(struct side *s, struct side *c)
{
	start_server(s);
	start_client(c);
	while (!s->n[CONN_SECURED] || !c->n[CONN_SECURED])
		loop_turn();
}

/* until - turns of the loop until the buffer holds so much */
static void until(struct evbuffer *in, size_t n)
{
	while (evbuffer_get_length(in) < n)
		loop_turn();
	assert_int_equal(evbuffer_get_length(in), n);
}

/* holds - the input is that, and is taken away */
static void holds(struct side *s, const char *text)
{
	char got[256];
	until(conn_input(s->conn), strlen(text));
	evbuffer_remove(conn_input(s->conn), got, sizeof(got));
	assert_memory_equal(got, text, strlen(text));
}

/* over - close both, and let the turn end */
static void over(struct side *a, struct side *b)
{
	conn_free(a->conn);
	conn_free(b->conn);
	conn_flush(a->conn);
	struct side x, y;
	pair(&x, &y); /* something for a turn to do */
	conn_deadline(x.conn, 1);
	while (!x.n[CONN_TIMEOUT])
		loop_turn();
	conn_free(x.conn);
	conn_free(y.conn);
}

/* Words from before leave in plaintext, bytes from before are dropped, words from now on wait. */
static void begins(void **state)
{
	struct side s, c;
	(void)state;
	pair(&s, &c);
	assert_int_equal(conn_write(c.conn, "STARTTLS\r\nMAIL FROM:<evil@x>\r\n", 30), 0);
	until(conn_input(s.conn), 30);
	assert_int_equal(conn_write(s.conn, "220 go\r\n", 8), 0);
	start_server(&s);
	assert_int_equal(evbuffer_get_length(conn_input(s.conn)), 0);
	assert_null(conn_tls(s.conn));
	assert_int_equal(conn_write(s.conn, "220 secret\r\n", 12), 0);
	holds(&c, "220 go\r\n");
	start_client(&c);
	holds(&c, "220 secret\r\n");
	assert_int_equal(s.n[CONN_SECURED], 1);
	assert_int_equal(c.n[CONN_SECURED], 1);
	assert_non_null(conn_tls(s.conn));
	assert_int_equal(conn_write(c.conn, "EHLO\r\n", 6), 0);
	holds(&s, "EHLO\r\n");
	assert_int_equal(s.n[CONN_EOF] + s.n[CONN_ERROR] + c.n[CONN_EOF] + c.n[CONN_ERROR], 0);
	over(&s, &c);
}

/* A peer that doesn't read holds output back: bounded in what is sealed, and told when it is out.
 */
static void held_back(void **state)
{
	static char big[4 << 20];
	struct side s, c;
	(void)state;
	pair(&s, &c);
	secure(&s, &c);
	conn_pause(c.conn);
	assert_int_equal(conn_write(s.conn, big, sizeof(big)), 0);
	conn_flush(s.conn);
	assert_true(evbuffer_get_length(conn_output(s.conn)) > sizeof(big) / 2);
	assert_true(conn_unsent(s.conn) > sizeof(big) / 2);
	conn_resume(c.conn);
	until(conn_input(c.conn), sizeof(big));
	while (conn_unsent(s.conn))
		loop_turn();
	assert_int_equal(s.n[CONN_DRAINED], 1);
	over(&s, &c);
}

/* conn_finish() sends all and says good-bye: the other side hears an end, and it is no error. */
static void finishes(void **state)
{
	struct side s, c;
	(void)state;
	pair(&s, &c);
	secure(&s, &c);
	assert_int_equal(conn_write(s.conn, "221 bye\r\n", 9), 0);
	conn_finish(s.conn, 1000);
	holds(&c, "221 bye\r\n");
	while (!c.n[CONN_EOF])
		loop_turn();
	assert_int_equal(c.n[CONN_EOF], 1);
	assert_int_equal(c.n[CONN_ERROR], 0);
	conn_free(c.conn);
	while (conn_open_sockets())
		loop_turn();
}

/* No TLS from the other side: one error in words, before and after the handshake. */
static void breaks(void **state)
{
	struct side s, c;
	(void)state;
	pair(&s, &c);
	start_server(&s);
	assert_int_equal(conn_write(c.conn, "EHLO me.example.test\r\n", 22), 0);
	while (!s.n[CONN_ERROR])
		loop_turn();
	assert_int_equal(conn_error(s.conn), EPROTO);
	assert_string_not_equal(conn_error_text(s.conn), strerror(EPROTO));
	assert_int_equal(s.n[CONN_SECURED] + s.n[CONN_INPUT], 0);
	over(&s, &c);
	pair(&s, &c);
	secure(&s, &c);
	assert_int_equal(write(conn_fd(c.conn), "NOOP\r\nNOOP\r\n", 12), 12);
	while (!s.n[CONN_ERROR])
		loop_turn();
	assert_int_equal(conn_error(s.conn), EPROTO);
	assert_int_equal(s.n[CONN_ERROR], 1);
	over(&s, &c);
}

/* The deadline holds in the handshake; what was said just before a break is still there. */
static void deadlines(void **state)
{
	struct side s, c;
	(void)state;
	pair(&s, &c);
	start_server(&s);
	conn_deadline(s.conn, 20);
	while (!s.n[CONN_TIMEOUT])
		loop_turn();
	conn_free(c.conn);
	while (!s.n[CONN_EOF])
		loop_turn();
	assert_int_equal(s.n[CONN_SECURED], 0);
	conn_free(s.conn);
	pair(&s, &c);
	secure(&s, &c);
	conn_pause(c.conn);
	assert_int_equal(conn_write(s.conn, "550 no\r\n", 8), 0);
	conn_flush(s.conn);
	conn_free(s.conn);
	assert_true(conn_read_rest(c.conn) >= 8);
	holds(&c, "550 no\r\n");
	conn_free(c.conn);
	loop_turn();
}

/* A handler may free the connection that it is told of. */
static void freed(void **state)
{
	struct side s, c;
	(void)state;
	pair(&s, &c);
	s.free_when_secured = true;
	start_server(&s);
	start_client(&c);
	while (!s.n[CONN_SECURED] || !c.n[CONN_EOF])
		loop_turn();
	conn_free(c.conn);
	loop_turn();
}

/* Many handshakes at once: in one turn only some, and who is served already is served in each. */
static void fair(void **state)
{
	enum { MANY = 40 };
	static struct side s[MANY], c[MANY];
	struct side one, other;
	unsigned turns = 0, done = 0;
	(void)state;
	pair(&one, &other);
	for (int i = 0; i < MANY; i++) {
		pair(&s[i], &c[i]);
		start_server(&s[i]);
		start_client(&c[i]);
	}
	while (done < MANY) {
		unsigned before = done;
		assert_int_equal(conn_write(one.conn, "x", 1), 0);
		conn_flush(one.conn);
		unsigned heard = other.n[CONN_INPUT];
		loop_turn();
		assert_true(other.n[CONN_INPUT] > heard);
		done = 0;
		for (int i = 0; i < MANY; i++)
			done += s[i].n[CONN_SECURED];
		assert_true(done - before <= CONN_SHAKES_TURN);
		turns++;
	}
	assert_true(turns >= MANY / CONN_SHAKES_TURN);
	for (int i = 0; i < MANY; i++) {
		conn_free(s[i].conn);
		conn_free(c[i].conn);
	}
	over(&one, &other);
}

/* setup - one certificate for all */
static int setup(void **state)
{
	static const unsigned char secret[32] = "thirty-two bytes, known to all";
	(void)state;
	loop_init();
	pem_make(&pem, "mx.test", 10);
	server = pem_server(&pem, 1, secret);
	client = pem_client(&pem, NULL);
	return 0;
}

/* teardown - nothing is left */
static int teardown(void **state)
{
	(void)state;
	tls_client_free(client);
	tls_server_free(server);
	pem_free(&pem);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(begins),
	    cmocka_unit_test(held_back),
	    cmocka_unit_test(finishes),
	    cmocka_unit_test(breaks),
	    cmocka_unit_test(deadlines),
	    cmocka_unit_test(freed),
	    cmocka_unit_test(fair),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
