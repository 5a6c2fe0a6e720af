/* SPDX-License-Identifier: ISC */
/* STARTTLS in the session: who is offered it, where it is legal, what is forgotten. No handshake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pems.h"
#include "smtpd/starttls.h"
#include "smtpd_world.h"

/* with_certificate - a server context of a pair made here */
static void with_certificate(void)
{
	static char chain_path[] = "/chain", key_path[] = "/key";
	static char *chain[] = {chain_path}, *key[] = {key_path};
	struct pem pem;
	pem_make(&pem, "mx.test", 10);
	struct conf_file files[] = {
	    {.path = chain_path, .data = pem.chain, .len = pem.chain_len},
	    {.path = key_path, .data = pem.key, .len = pem.key_len},
	};
	struct conf conf = {
	    .tls = {.certificate = {1, chain}, .key = {1, key}}, .files = {.n = 2, .v = files}};
	assert_int_equal(starttls_init(&conf), 0);
	pem_free(&pem);
}

/* begin - a client on a listener of that kind */
static struct peer begin(struct talk *t, enum conf_listen_tls kind)
{
	world.listener.tls = kind;
	struct peer peer = peer_of("127.0.0.1");
	talk_begin(t, &peer);
	return peer;
}

/* over - the next test begins without */
static void over(struct talk *t)
{
	talk_end(t);
	world.listener.tls = CONF_LISTEN_TLS_NONE;
}

/* says - the reply begins so */
static void says(struct talk *t, const char *line, const char *reply)
{
	const char *got = talk_say(t, line);
	if (strncmp(got, reply, strlen(reply)) != 0)
		fail_msg("to %s: %s instead of %s", line, got, reply);
}

/* By the listener's kind; without a certificate by none. */
static void offered(void **state)
{
	struct talk t;
	(void)state;
	for (int certificate = 0; certificate < 2; certificate++) {
		if (certificate)
			with_certificate();
		for (int kind = CONF_LISTEN_TLS_NONE; kind <= CONF_LISTEN_TLS_IMPLICIT; kind++) {
			bool want = certificate && (kind == CONF_LISTEN_TLS_OFFERED ||
						       kind == CONF_LISTEN_TLS_REQUIRED);
			struct peer peer = begin(&t, (enum conf_listen_tls)kind);
			assert_int_equal(
			    strstr(talk_say(&t, "EHLO x\r\n"), "250-STARTTLS\r\n") != NULL, want);
			assert_int_equal(starttls_offered(&peer), want);
			assert_int_equal(starttls_implicit(&peer),
			    certificate && kind == CONF_LISTEN_TLS_IMPLICIT);
			if (!want)
				says(&t, "STARTTLS\r\n", "502 5.5.1 ");
			over(&t);
		}
	}
}

/* Legal after EHLO and outside a transaction only; MAIL waits for it where it is required. */
static void in_its_place(void **state)
{
	struct talk t;
	(void)state;
	begin(&t, CONF_LISTEN_TLS_REQUIRED);
	says(&t, "STARTTLS\r\n", "503 5.5.1 Send EHLO");
	says(&t, "EHLO x\r\n", "250-");
	says(&t, "MAIL FROM:<a@b.test>\r\n", "530 5.7.0 ");
	says(&t, "STARTTLS now\r\n", "501 5.5.4 ");
	over(&t);
	begin(&t, CONF_LISTEN_TLS_OFFERED);
	says(&t, "EHLO x\r\n", "250-");
	says(&t, "MAIL FROM:<a@b.test>\r\n", "250 2.1.0 ");
	says(&t, "STARTTLS\r\n", "503 5.5.1 A transaction");
	says(&t, "RCPT TO:<c@d.test>\r\n", "250 2.1.5 ");
	says(&t, "STARTTLS\r\n", "503 5.5.1 A transaction");
	over(&t);
}

/* feed - without waiting for the handshake, which nobody makes here */
static void feed(struct talk *t, const char *bytes, size_t n)
{
	unsigned budget = 1000;
	evbuffer_add(t->in, bytes, n);
	while (session_feed(t->s, t->in, &budget))
		;
}

/* Wherever the stream is cut: one 220, nothing behind it is read, all before it is forgotten. */
static void forgets(void **state)
{
	static const char stream[] =
	    "EHLO evil.test\r\nNOOP\r\nSTARTTLS\r\nMAIL FROM:<e@vil.test>\r\n";
	const size_t end = strlen("EHLO evil.test\r\nNOOP\r\nSTARTTLS\r\n");
	struct talk t;
	(void)state;
	for (size_t cut = 0; cut < sizeof(stream); cut++) {
		struct peer peer = begin(&t, CONF_LISTEN_TLS_OFFERED);
		feed(&t, stream, cut);
		if (cut < sizeof(stream) - 1)
			feed(&t, stream + cut, sizeof(stream) - 1 - cut);
		const char *said = talk_said(&t);
		assert_non_null(strstr(said, "\r\n220 2.0.0 "));
		assert_string_equal(strchr(strstr(said, "220 2.0.0 "), '\n'), "\n");
		assert_int_equal(t.s->wait, WAIT_TLS);
		assert_int_equal(evbuffer_get_length(t.in), sizeof(stream) - 1 - end);
		evbuffer_drain(t.in, evbuffer_get_length(t.in)); /* as conn_start_tls() does */
		peer.tls = "TLSv1.3";
		peer.cipher = "TLS_AES_128_GCM_SHA256";
		session_secured(t.s, &peer);
		assert_int_equal(t.s->state, SMTP_GREET);
		assert_string_equal(t.s->helo, "");
		says(&t, "MAIL FROM:<a@b.test>\r\n", "503 5.5.1 Send EHLO");
		assert_null(strstr(talk_say(&t, "EHLO good.test\r\n"), "STARTTLS"));
		says(&t, "STARTTLS\r\n", "503 5.5.1 TLS is active");
		says(&t, "RCPT TO:<c@d.test>\r\n", "503 5.5.1 ");
		over(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(offered, world_setup, world_teardown),
	    cmocka_unit_test_setup_teardown(in_its_place, world_setup, world_teardown),
	    cmocka_unit_test_setup_teardown(forgets, world_setup, world_teardown),
	};
	world_begin();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_end();
	return failed;
}
