/* SPDX-License-Identifier: ISC */
/*
 * SMTPUTF8: addresses in UTF-8 where the client has said so and nowhere else, domains as the DNS
 * has them, and the envelope's word for who must be able to take the message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/idna.h"
#include "lib/str.h"
#include "smtpd/headers.h"
#include "smtpd/session.h"
#include "smtpd_world.h"

#define JOERG "j\xc3\xb6rg"
#define BUECHER     \
	"b\xc3\xbc" \
	"cher.test"

/* What is said to an address, with and without the word. */
static void addresses(void **state)
{
	static const struct {
		const char *mail, *code;
	} cases[] = {
	    {"EHLO x\r\nMAIL FROM:<" JOERG "@b.test>\r\n", "553 5.6.7"},
	    {"EHLO x\r\nMAIL FROM:<a@" BUECHER ">\r\n", "553 5.6.7"},
	    {"EHLO x\r\nMAIL FROM:<" JOERG "@b.test> SMTPUTF8\r\n", "250 2.1.0"},
	    {"EHLO x\r\nMAIL FROM:<a@" BUECHER "> SMTPUTF8 BODY=8BITMIME\r\n", "250 2.1.0"},
	    {"EHLO x\r\nMAIL FROM:<a@b.test> smtputf8=1\r\n", "501 5.5.4"},
	    {"EHLO x\r\nMAIL FROM:<\xff@b.test> SMTPUTF8\r\n", "553 5.6.7"},
	    {"EHLO x\r\nMAIL FROM:<a@\xc2\xad.test> SMTPUTF8\r\n", "501 5.1.7"},
	    {"HELO x\r\nMAIL FROM:<" JOERG "@b.test>\r\n", "553 5.6.7"},
	    {"HELO x\r\nMAIL FROM:<" JOERG "@b.test> SMTPUTF8\r\n", "555 5.5.4"},
	    {"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<" JOERG "@b.test>\r\n", "553 5.6.7"},
	    {"EHLO x\r\nMAIL FROM:<> SMTPUTF8\r\nRCPT TO:<" JOERG "@b.test>\r\n", "250 2.1.5"},
	    {"EHLO x\r\nMAIL FROM:<> SMTPUTF8\r\nRCPT TO:<a@" BUECHER ">\r\n", "250 2.1.5"},
	};
	struct peer peer = peer_of("127.0.0.1");
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct talk t;
		char all[4096];
		talk_begin(&t, &peer);
		snprintf(all, sizeof(all), "%s", talk_say(&t, cases[i].mail));
		char *last = all;
		for (char *p = all; (p = strstr(p, "\r\n")) && p[2];)
			last = p += 2;
		if (strncmp(last, cases[i].code, strlen(cases[i].code)) != 0)
			fail_msg("%s: %s", cases[i].mail, last);
		talk_end(&t);
	}
}

/* sent - one message; what its envelope's flags are */
static uint32_t sent(const struct peer *peer, const char *said, char *body, struct envelope *env)
{
	static unsigned char envelope[4096];
	struct talk t;
	talk_begin(&t, peer);
	assert_non_null(strstr(talk_say(&t, said), "queued as"));
	talk_end(&t);
	world_stored(env, body, 4096, envelope);
	return env->flags & ENVF_SMTPUTF8;
}

#define FROM(address, word, to) \
	"EHLO x\r\nMAIL FROM:<" address ">" word "\r\nRCPT TO:<" to ">\r\nDATA\r\n"

/* The flag is there exactly when a next hop needs to know SMTPUTF8. */
static void flags(void **state)
{
	static const char plain[] =
	    FROM("a@b.test", " SMTPUTF8", "c@d.test") "S: x\r\n\r\n\xc3\xb6\r\n.\r\n";
	static const char header[] =
	    FROM("a@b.test", " SMTPUTF8", "c@d.test") "S: \xc3\xb6\r\n\r\nx\r\n.\r\n";
	static const char raw[] = FROM("a@b.test", "", "c@d.test") "S: \xc3\xb6\r\n\r\nx\r\n.\r\n";
	static const char local[] =
	    FROM("a@b.test", " SMTPUTF8", JOERG "@d.test") "S: x\r\n\r\nx\r\n.\r\n";
	static const char domain[] =
	    FROM("a@b.test", " SMTPUTF8", "c@" BUECHER) "S: x\r\n\r\nx\r\n.\r\n";
	static const char tool[] = FROM(JOERG "@b.test", "", "c@d.test") "S: x\r\n\r\nx\r\n.\r\n";
	struct peer peer = peer_of("127.0.0.1");
	struct envelope env;
	char body[4096];
	(void)state;
	assert_int_equal(sent(&peer, plain, body, &env), 0);
	assert_non_null(strstr(body, " with UTF8SMTP id "));
	assert_true(sent(&peer, header, body, &env));
	assert_int_equal(sent(&peer, raw, body, &env), 0);
	assert_non_null(strstr(body, " with ESMTP id "));
	assert_true(sent(&peer, local, body, &env));
	assert_non_null(strstr(body, "for <" JOERG "@d.test>"));
	assert_int_equal(sent(&peer, domain, body, &env), 0);
	assert_non_null(strstr(body, "for <c@xn--bcher-kva.test>"));
	policy_peer_local(1000, &peer);
	assert_true(sent(&peer, tool, body, &env));
	assert_memory_equal(env.sender.data, JOERG "@b.test", env.sender.len);
	policy_peer_notice(&peer);
	assert_true(sent(&peer, local, body, &env));
}

/* The eight names of RFC 3848 and 6531 §4.3, and plain SMTP, which has none with TLS or AUTH. */
static void protocol_names(void **state)
{
	static const char *const names[] = {"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA", "UTF8SMTP",
	    "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA", "SMTP", "SMTP", "SMTP", "SMTP"};
	char line[HEADERS_MAX], want[32];
	size_t id_at;
	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct peer peer = peer_of("127.0.0.1");
		struct headers_trace trace = {.peer = &peer,
		    .helo = "x",
		    .hostname = "mx.test",
		    .esmtp = i < 8,
		    .utf8 = (i & 4) != 0};
		peer.tls = i & 2 ? "TLSv1.3" : NULL;
		peer.cipher = "TLS_AES_256_GCM_SHA384";
		str_copy(peer.user, sizeof(peer.user), i & 1 ? "ann" : "");
		line[headers_received(line, sizeof(line), &trace, &id_at)] = '\0';
		snprintf(want, sizeof(want), " with %s id ", names[i]);
		assert_non_null(strstr(line, want));
	}
}

/* Domains as the DNS has them. */
static void domains(void **state)
{
	static const struct {
		const char *domain, *want;
	} cases[] = {
	    {BUECHER, "xn--bcher-kva.test"},
	    {"B\xc3\x9c"
	     "CHER.Test",
		"xn--bcher-kva.test"},
	    {"stra\xc3\x9f"
	     "e.test",
		"xn--strae-oqa.test"},
	    {"a.\xe4\xbe\x8b", "a.xn--fsq"},
	};
	char out[256];
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *d = cases[i].domain;
		assert_int_equal(
		    idna_to_ascii(d, strlen(d), out, sizeof(out)), strlen(cases[i].want));
		assert_string_equal(out, cases[i].want);
	}
	assert_true(idna_to_ascii("\xc2\xad.test", 7, out, sizeof(out)) < 0);
	assert_true(idna_to_ascii(BUECHER, strlen(BUECHER), out, 10) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(addresses), TEST(flags), TEST(protocol_names), cmocka_unit_test(domains)};
	world_begin();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_end();
	return failed;
}
