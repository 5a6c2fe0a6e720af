/* SPDX-License-Identifier: ISC */
/* TLS without sockets: two ends that hand each other their bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/tls_check.h"
#include "lib/tls_state.h"
#include "pems.h"

#define ARRAY(a) (sizeof(a) / sizeof((a)[0]))

static const unsigned char secret[32] = "thirty-two bytes, known to all";
static const unsigned char other_secret[32] = "thirty-two bytes of another tree";

/* One end. */
struct end {
	struct tls *tls;
	struct evbuffer *in, *wire;
	unsigned steps;
};

static struct end server, client;

/* begin - both ends, nothing said yet */
static void begin(struct tls_server *s, struct tls_client *c, const struct tls_connect *to)
{
	server = (struct end){tls_accept(s), evbuffer_new(), evbuffer_new(), 0};
	client = (struct end){tls_connect(c, to), evbuffer_new(), evbuffer_new(), 0};
	assert_true(server.tls && client.tls);
	client.steps |= tls_take(client.tls, NULL, 0, client.in, client.wire);
}

/* carry - what one end has to say, in pieces of at most n bytes */
static void carry(struct end *from, struct end *to, size_t n)
{
	unsigned char piece[65536];
	while (evbuffer_get_length(from->wire)) {
		int got = evbuffer_remove(from->wire, piece, n < sizeof(piece) ? n : sizeof(piece));
		to->steps |= tls_take(to->tls, piece, (size_t)got, to->in, to->wire);
		if (to->steps & TLS_BROKEN)
			evbuffer_drain(from->wire, evbuffer_get_length(from->wire));
	}
}

/* talk - until nobody has anything to say */
static void talk(size_t n)
{
	while (evbuffer_get_length(server.wire) || evbuffer_get_length(client.wire)) {
		carry(&client, &server, n);
		carry(&server, &client, n);
	}
}

/* over - free both */
static void over(void)
{
	tls_free(server.tls);
	tls_free(client.tls);
	evbuffer_free(server.in);
	evbuffer_free(server.wire);
	evbuffer_free(client.in);
	evbuffer_free(client.wire);
}

/* meet - a whole handshake and its end; whether it came to stand */
static bool meet(struct tls_server *s, struct tls_client *c, const struct tls_connect *to)
{
	begin(s, c, to);
	talk(65536);
	return (server.steps & client.steps & TLS_SECURED) &&
	       !((server.steps | client.steps) & TLS_BROKEN);
}

/* Content arrives whole and in order wherever the bytes are cut, and ends with close_notify. */
static void content(void **state)
{
	static const size_t cuts[] = {1, 5, 100, 16384, 65536};
	struct tls_connect to = {.name = "mx.test", .port = 25, .verify = true};
	struct pem pem;
	(void)state;
	pem_make(&pem, "mx.test", 10);
	struct tls_server *s = pem_server(&pem, 1, secret);
	struct tls_client *c = pem_client(&pem, NULL);
	size_t size = 100000;
	char *big = malloc(size), *got = malloc(size);
	for (size_t i = 0; i < size; i++)
		big[i] = (char)(i * 31 >> 3);
	for (size_t i = 0; i < ARRAY(cuts); i++) {
		struct evbuffer *out = evbuffer_new();
		begin(s, c, &to);
		talk(cuts[i]);
		assert_int_equal(server.steps, TLS_SECURED);
		assert_int_equal(client.steps, TLS_SECURED);
		assert_string_equal(tls_protocol(client.tls), "TLSv1.3");
		evbuffer_add(out, big, 10);
		evbuffer_add(out, big + 10, size - 10);
		while (evbuffer_get_length(out)) {
			assert_int_equal(tls_seal(client.tls, out, client.wire, 20000), 0);
			assert_true(evbuffer_get_length(client.wire) < 20000 + 17000);
			carry(&client, &server, cuts[i]);
		}
		assert_int_equal(evbuffer_get_length(server.in), size);
		evbuffer_remove(server.in, got, size);
		assert_memory_equal(got, big, size);
		assert_int_equal(server.steps, TLS_SECURED);
		tls_close(client.tls, client.wire);
		carry(&client, &server, cuts[i]);
		assert_int_equal(server.steps, TLS_SECURED | TLS_ENDED);
		evbuffer_free(out);
		over();
	}
	free(big);
	free(got);
	tls_client_free(c);
	tls_server_free(s);
	pem_free(&pem);
}

/* Replies of one turn are one record: 22 bytes more than they have. */
static void few_records(void **state)
{
	struct tls_connect to = {.name = "mx.test"};
	struct pem pem;
	(void)state;
	pem_make(&pem, "mx.test", 10);
	struct tls_server *s = pem_server(&pem, 1, secret);
	struct tls_client *c = pem_client(NULL, NULL);
	struct evbuffer *out = evbuffer_new();
	assert_true(meet(s, c, &to));
	for (int i = 0; i < 100; i++)
		evbuffer_add_reference(out, "250 2.1.0 Ok\r\n", 14, NULL, NULL);
	assert_int_equal(tls_seal(server.tls, out, server.wire, 65536), 0);
	assert_int_equal(evbuffer_get_length(server.wire), 1400 + 22);
	evbuffer_free(out);
	over();
	tls_client_free(c);
	tls_server_free(s);
	pem_free(&pem);
}

/* Who is believed to be whom. */
static void verification(void **state)
{
	static const struct {
		const char *certificate, *name;
		int days;
		bool verify, trusted, good;
		const char *words;
	} rows[] = {
	    {"mx.test", "mx.test", 10, true, true, true, "/verified"},
	    {"mx.test", "MX.Test.", 10, true, true, true, "/verified"},
	    {"*.x.test", "mx.x.test", 10, true, true, true, "/verified"},
	    {"m*.x.test", "mx.x.test", 10, true, true, false, "certificate: hostname mismatch"},
	    {"127.0.0.1", "127.0.0.1", 10, true, true, true, "/verified"},
	    {"mx.test", "127.0.0.1", 10, true, true, false, "certificate: IP address mismatch"},
	    {"mx.test", "my.test", 10, true, true, false, "certificate: hostname mismatch"},
	    {"mx.test", "mx.test", -1, true, true, false, "certificate: certificate has expired"},
	    {"mx.test", "mx.test", 10, true, false, false, "certificate: self-signed certificate"},
	    {"mx.test", "my.test", -1, false, false, true, "/unverified"},
	};
	char text[TLS_TEXT_SIZE];
	(void)state;
	for (size_t i = 0; i < ARRAY(rows); i++) {
		struct tls_connect to = {.name = rows[i].name, .verify = rows[i].verify};
		struct pem pem;
		pem_make(&pem, rows[i].certificate, rows[i].days);
		struct tls_server *s = pem_server(&pem, 1, secret);
		struct tls_client *c = pem_client(rows[i].trusted ? &pem : NULL, NULL);
		if (meet(s, c, &to) != rows[i].good)
			fail_msg("row %zu: %s", i, tls_error(client.tls));
		tls_text(client.tls, text);
		const char *said = rows[i].good ? text : tls_error(client.tls);
		if (!strstr(said, rows[i].words))
			fail_msg("row %zu: %s instead of %s", i, said, rows[i].words);
		over();
		tls_client_free(c);
		tls_server_free(s);
		pem_free(&pem);
	}
}

/* The name a client asks for chooses the certificate; no name or a strange one gets the first. */
static void names(void **state)
{
	static const struct {
		const char *asked, *shown;
	} rows[] = {{"one.test", "one.test"}, {"two.test", "two.test"},
	    {"THREE.test", "three.test"}, {"four.test", NULL}};
	struct pem pems[3];
	(void)state;
	pem_make(&pems[0], "one.test", 10);
	pem_make(&pems[1], "two.test", 10);
	pem_make(&pems[2], "three.test", 10);
	struct tls_server *s = pem_server(pems, 3, secret);
	for (size_t i = 0; i < ARRAY(rows); i++)
		for (size_t ca = 0; ca < 3; ca++) {
			struct tls_connect to = {.name = rows[i].asked, .verify = true};
			struct tls_client *c = pem_client(&pems[ca], NULL);
			static const char *const own[] = {"one.test", "two.test", "three.test"};
			bool good = rows[i].shown && strcmp(own[ca], rows[i].shown) == 0;
			assert_int_equal(meet(s, c, &to), good);
			over();
			tls_client_free(c);
		}
	tls_server_free(s);
	for (size_t i = 0; i < 3; i++)
		pem_free(&pems[i]);
}

static int64_t clock_hours;

/* turned_clock - the time, some hours later */
static int64_t turned_clock(void)
{
	return clock_wall_ms() + clock_hours * 3600 * 1000;
}

/* Any worker with the secret resumes what another began, for as long as a ticket lives. */
static void tickets(void **state)
{
	struct tls_connect to = {.name = "mx.test", .port = 25, .verify = true};
	struct tls_connect open = {.name = "mx.test", .port = 25};
	struct pem pem;
	(void)state;
	pem_make(&pem, "mx.test", 10);
	struct tls_server *a = pem_server(&pem, 1, secret), *b = pem_server(&pem, 1, secret);
	struct tls_server *stranger = pem_server(&pem, 1, other_secret);
	struct tls_client *c = pem_client(&pem, NULL);
	struct {
		struct tls_server *server;
		const struct tls_connect *to;
		int64_t hours;
		bool resumed;
	} rows[] = {
	    {a, &to, 0, false},
	    {a, &to, 0, true},
	    {b, &to, 0, true},
	    {b, &open, 0, false}, /* what wasn't verified is another session */
	    {b, &open, 0, true},
	    {a, &to, TLS_TICKET_HOURS, true}, /* the key before */
	    {b, &to, TLS_TICKET_HOURS, true}, /* the ticket was renewed */
	    {b, &to, TLS_TICKET_HOURS * 3, false},
	    {stranger, &to, TLS_TICKET_HOURS * 3, false},
	    {stranger, &to, TLS_TICKET_HOURS * 3, true},
	};
	tls_tickets_clock = turned_clock;
	for (size_t i = 0; i < ARRAY(rows); i++) {
		clock_hours = rows[i].hours;
		assert_true(meet(rows[i].server, c, rows[i].to));
		if (tls_resumed(client.tls) != rows[i].resumed)
			fail_msg("row %zu: resumed %d", i, tls_resumed(client.tls));
		assert_int_equal(tls_resumed(server.tls), rows[i].resumed);
		over();
	}
	tls_tickets_clock = clock_wall_ms;
	tls_client_free(c);
	tls_server_free(a);
	tls_server_free(b);
	tls_server_free(stranger);
	pem_free(&pem);
}

/* Sessions are bounded; the one not used for longest is forgotten first. */
static void sessions(void **state)
{
	struct tls_connect to = {.name = "mx.test"};
	struct pem pem;
	(void)state;
	pem_make(&pem, "mx.test", 10);
	struct tls_server *s = pem_server(&pem, 1, secret);
	struct tls_client *c = pem_client(NULL, NULL);
	for (unsigned port = 1; port <= TLS_SESSIONS_MAX + 1; port++) {
		to.port = (uint16_t)port;
		assert_true(meet(s, c, &to));
		over();
		to.port = 1; /* used all the time */
		assert_true(meet(s, c, &to));
		assert_true(tls_resumed(client.tls));
		over();
	}
	to.port = 2;
	assert_true(meet(s, c, &to));
	assert_false(tls_resumed(client.tls));
	over();
	to.port = TLS_SESSIONS_MAX;
	assert_true(meet(s, c, &to));
	assert_true(tls_resumed(client.tls));
	over();
	tls_client_free(c);
	tls_server_free(s);
	pem_free(&pem);
}

/* A client's certificate is told by its fingerprint, also in a resumed session. */
static void fingerprints(void **state)
{
	struct tls_connect to = {.name = "mx.test", .port = 25, .show = true};
	char first[TLS_PRINT_SIZE], second[TLS_PRINT_SIZE];
	struct pem pem, own;
	(void)state;
	pem_make(&pem, "mx.test", 10);
	pem_make(&own, "client.test", 10);
	struct tls_server *s = pem_server(&pem, 1, secret);
	struct tls_client *c = pem_client(NULL, &own);
	assert_true(meet(s, c, &to));
	assert_true(tls_fingerprint(server.tls, first));
	assert_int_equal(strlen(first), 64);
	over();
	assert_true(meet(s, c, &to));
	assert_true(tls_resumed(server.tls));
	assert_true(tls_fingerprint(server.tls, second));
	assert_string_equal(first, second);
	over();
	to.show = false;
	assert_true(meet(s, c, &to));
	assert_false(tls_fingerprint(server.tls, second));
	over();
	tls_client_free(c);
	tls_server_free(s);
	pem_free(&pem);
	pem_free(&own);
}

/* Bytes that are no TLS break it, before and after the handshake; nothing of them is content. */
static void rubbish(void **state)
{
	static const char *const words[] = {"EHLO x\r\n", "\x16\x03\x01\xff\xff",
	    "\x17\x03\x03\0\5hello", "GET / HTTP/1.1\r\n\r\n"};
	struct tls_connect to = {.name = "mx.test"};
	struct pem pem;
	(void)state;
	pem_make(&pem, "mx.test", 10);
	struct tls_server *s = pem_server(&pem, 1, secret);
	struct tls_client *c = pem_client(NULL, NULL);
	for (size_t i = 0; i < ARRAY(words) * 2; i++) {
		char bytes[64] = {0};
		memcpy(bytes, words[i / 2], i / 2 == 2 ? 10 : strlen(words[i / 2]));
		if (i % 2)
			assert_true(meet(s, c, &to));
		else
			begin(s, c, &to);
		unsigned steps = tls_take(server.tls, bytes, sizeof(bytes), server.in, server.wire);
		assert_int_equal(steps, TLS_BROKEN);
		assert_true(*tls_error(server.tls) != '\0');
		assert_int_equal(evbuffer_get_length(server.in), 0);
		over();
	}
	tls_client_free(c);
	tls_server_free(s);
	pem_free(&pem);
}

/* Pairs as an administrator may give them. */
static void pairs(void **state)
{
	struct pem good, other, stale;
	char why[256];
	(void)state;
	pem_make(&good, "mx.test", 10);
	pem_make(&other, "mx.test", 10);
	pem_make(&stale, "mx.test", -1);
	int64_t now = clock_wall_ms() / 1000;
#define PAIR(a, b, n) tls_check_pair((a).chain, (a).chain_len, (b).key, (b).key_len, n, why, 256)
	assert_int_equal(PAIR(good, good, now), TLS_PAIR_GOOD);
	assert_int_equal(PAIR(good, good, now - 5 * 86400), TLS_PAIR_STALE);
	assert_non_null(strstr(why, "not valid before "));
	assert_int_equal(PAIR(stale, stale, now), TLS_PAIR_STALE);
	assert_non_null(strstr(why, "expired on 20"));
	assert_int_equal(PAIR(good, other, now), TLS_PAIR_BAD_KEY);
	assert_string_equal(why, "this key is not the certificate's");
	assert_int_equal(tls_check_pair((const unsigned char *)"", 0, good.key, good.key_len, now,
			     why, sizeof(why)),
	    TLS_PAIR_BAD_CERTIFICATE);
	assert_int_equal(tls_check_ca(good.chain, good.chain_len), 1);
	assert_int_equal(tls_check_ca(good.key, good.key_len), 0);
	pem_free(&good);
	pem_free(&other);
	pem_free(&stale);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(content),
	    cmocka_unit_test(few_records),
	    cmocka_unit_test(verification),
	    cmocka_unit_test(names),
	    cmocka_unit_test(tickets),
	    cmocka_unit_test(sessions),
	    cmocka_unit_test(fingerprints),
	    cmocka_unit_test(rubbish),
	    cmocka_unit_test(pairs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
