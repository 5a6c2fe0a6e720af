/* SPDX-License-Identifier: ISC */
/* smtpd/checks: every row, with what it objects to and what it lets pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/checks.h"
#include "t/unit/conffile.h"

/* configured - a configuration with that policy */
static struct conf *configured(const char *policy)
{
	char text[1024];
	snprintf(text, sizeof(text),
	    "hostname = \"mx.example.org\"\nlocal_domains = { \"our.example\" }\nsites = \"\"\n"
	    "%s\n",
	    policy);
	return conffile_good(text);
}

struct row {
	const char *conf;
	enum check_stage stage;
	struct said said;
	struct facts facts;
	unsigned needs; /* of the stage */
	unsigned code;  /* 0: passes */
	const char *status, *check;
};

#define SAID(helo, domain) {"192.0.2.1", helo, domain}
#define DNS(kind, fact)    {.dns[kind] = fact}

static const struct row rows[] = {
    /* the defaults object to nothing, whatever the DNS says */
    {"", CHECK_MAIL, SAID("x", "x"), {.dns = {FACT_NO, FACT_NO, FACT_NO, FACT_NO, FACT_NO}}, 0, 0,
	NULL, NULL},
    {"", CHECK_CONNECT, SAID("", NULL), {.open = 50, .rate = {9, 9, 9, 9}}, 0, 0, NULL, NULL},
    {"", CHECK_CONNECT, SAID("", NULL), {.open = 51}, 0, 421, "4.7.0", "per_client"},
    {"limits { per_client = 0 }", CHECK_CONNECT, SAID("", NULL), {.open = 5000}, 0, 0, NULL, NULL},
    {"policy { connection_rate = \"3/m\" }", CHECK_CONNECT, SAID("", NULL),
	{.rate[TALLY_CONNECTIONS] = 3}, 0, 0, NULL, NULL},
    {"policy { connection_rate = \"3/m\" }", CHECK_CONNECT, SAID("", NULL),
	{.rate[TALLY_CONNECTIONS] = 4}, 0, 421, "4.7.0", "connection_rate"},
    {"policy { error_rate = \"3/m\" }", CHECK_CONNECT, SAID("", NULL), {.rate[TALLY_ERRORS] = 2},
	0, 0, NULL, NULL},
    {"policy { error_rate = \"3/m\" }", CHECK_CONNECT, SAID("", NULL), {.rate[TALLY_ERRORS] = 3},
	0, 421, "4.7.0", "error_rate"},
    {"policy { message_rate = \"3/m\" }", CHECK_MAIL, SAID("x", NULL),
	{.rate[TALLY_MESSAGES] = 3}, 0, 0, NULL, NULL},
    {"policy { message_rate = \"3/m\" }", CHECK_MAIL, SAID("x", NULL),
	{.rate[TALLY_MESSAGES] = 4}, 0, 450, "4.7.1", "message_rate"},
    {"policy { recipient_rate = \"3/m\" }", CHECK_RCPT, SAID("x", NULL),
	{.rate[TALLY_RECIPIENTS] = 3}, 0, 0, NULL, NULL},
    {"policy { recipient_rate = \"3/m\" }", CHECK_RCPT, SAID("x", NULL),
	{.rate[TALLY_RECIPIENTS] = 4}, 0, 450, "4.7.1", "recipient_rate"},
    /* helo */
    {"policy { helo = fqdn }", CHECK_MAIL, SAID("a.example", NULL), {0}, 0, 0, NULL, NULL},
    {"policy { helo = fqdn }", CHECK_MAIL, SAID("[192.0.2.7]", NULL), {0}, 0, 0, NULL, NULL},
    {"policy { helo = fqdn }", CHECK_MAIL, SAID("[IPv6:2001:db8::1]", NULL), {0}, 0, 0, NULL,
	NULL},
    {"policy { helo = fqdn }", CHECK_MAIL, SAID("localhost", NULL), {0}, 0, 550, "5.7.1", "helo"},
    {"policy { helo = fqdn }", CHECK_MAIL, SAID("192.0.2.7", NULL), {0}, 0, 550, "5.7.1", "helo"},
    {"policy { helo = fqdn }", CHECK_MAIL, SAID("[nonsense]", NULL), {0}, 0, 550, "5.7.1", "helo"},
    {"policy { helo = fqdn }", CHECK_MAIL, SAID("a..b", NULL), {0}, 0, 550, "5.7.1", "helo"},
    {"policy { helo = fqdn }", CHECK_MAIL, SAID("MX.example.org", NULL), {0}, 0, 550, "5.7.1",
	"helo"},
    {"policy { helo = known }", CHECK_MAIL, SAID("a.example", NULL), DNS(FACT_HELO, FACT_YES),
	FACT_BIT(FACT_HELO), 0, NULL, NULL},
    {"policy { helo = known }", CHECK_MAIL, SAID("[192.0.2.7]", NULL), {0}, FACT_BIT(FACT_HELO), 0,
	NULL, NULL},
    {"policy { helo = known }", CHECK_MAIL, SAID("a.example", NULL), DNS(FACT_HELO, FACT_NO),
	FACT_BIT(FACT_HELO), 550, "5.7.1", "helo"},
    {"policy { helo = known }", CHECK_MAIL, SAID("a.example", NULL),
	DNS(FACT_HELO, FACT_TEMPFAIL), FACT_BIT(FACT_HELO), 450, "4.7.1", "helo"},
    {"policy { helo = known }", CHECK_MAIL, SAID("a.example", NULL), {0}, FACT_BIT(FACT_HELO), 450,
	"4.7.1", "helo"},
    /* sender_domain */
    {"policy { sender_domain = fqdn }", CHECK_MAIL, SAID("x", NULL), {0}, 0, 0, NULL, NULL},
    {"policy { sender_domain = fqdn }", CHECK_MAIL, SAID("x", "a.example"), {0}, 0, 0, NULL, NULL},
    {"policy { sender_domain = fqdn }", CHECK_MAIL, SAID("x", "[192.0.2.7]"), {0}, 0, 0, NULL,
	NULL},
    {"policy { sender_domain = fqdn }", CHECK_MAIL, SAID("x", "local"), {0}, 0, 550, "5.1.8",
	"sender_domain"},
    {"policy { sender_domain = known }", CHECK_MAIL, SAID("x", "a.example"),
	DNS(FACT_SENDER, FACT_YES), FACT_BIT(FACT_SENDER), 0, NULL, NULL},
    {"policy { sender_domain = known }", CHECK_MAIL, SAID("x", "our.example"),
	DNS(FACT_SENDER, FACT_NO), FACT_BIT(FACT_SENDER), 0, NULL, NULL},
    {"policy { sender_domain = known }", CHECK_MAIL, SAID("x", "a.example"),
	DNS(FACT_SENDER, FACT_NO), FACT_BIT(FACT_SENDER), 550, "5.1.8", "sender_domain"},
    {"policy { sender_domain = known }", CHECK_MAIL, SAID("x", "a.example"),
	DNS(FACT_SENDER, FACT_NULLMX), FACT_BIT(FACT_SENDER), 550, "5.7.27", "sender_domain"},
    {"policy { sender_domain = known }", CHECK_MAIL, SAID("x", "a.example"),
	DNS(FACT_SENDER, FACT_TEMPFAIL), FACT_BIT(FACT_SENDER), 451, "4.1.8", "sender_domain"},
    /* the address's name */
    {"policy { rdns = true }", CHECK_MAIL, SAID("x", NULL), DNS(FACT_NAME, FACT_YES),
	FACT_BIT(FACT_NAME), 0, NULL, NULL},
    {"policy { rdns = true }", CHECK_MAIL, SAID("x", NULL), DNS(FACT_NAME, FACT_NO),
	FACT_BIT(FACT_NAME), 550, "5.7.25", "rdns"},
    {"policy { rdns = true }", CHECK_MAIL, SAID("x", NULL), DNS(FACT_NAME, FACT_TEMPFAIL),
	FACT_BIT(FACT_NAME), 450, "4.7.25", "rdns"},
    {"policy { fcrdns = true }", CHECK_MAIL, SAID("x", NULL),
	{.dns = {[FACT_NAME] = FACT_YES, [FACT_BACK] = FACT_YES}},
	FACT_BIT(FACT_NAME) | FACT_BIT(FACT_BACK), 0, NULL, NULL},
    {"policy { fcrdns = true }", CHECK_MAIL, SAID("x", NULL),
	{.dns = {[FACT_NAME] = FACT_YES, [FACT_BACK] = FACT_NO}},
	FACT_BIT(FACT_NAME) | FACT_BIT(FACT_BACK), 550, "5.7.25", "fcrdns"},
    {"policy { fcrdns = true }", CHECK_MAIL, SAID("x", NULL),
	{.dns = {[FACT_NAME] = FACT_YES, [FACT_BACK] = FACT_TEMPFAIL}},
	FACT_BIT(FACT_NAME) | FACT_BIT(FACT_BACK), 450, "4.7.25", "fcrdns"},
    /* lists */
    {"policy { dnsbl = \"a.b\" }", CHECK_MAIL, SAID("x", NULL), {.score = 0},
	FACT_BIT(FACT_LISTS), 0, NULL, NULL},
    {"policy { dnsbl = \"a.b\" }", CHECK_MAIL, SAID("x", NULL),
	{.score = 1, .list = "a.b=127.0.0.2*3"}, FACT_BIT(FACT_LISTS), 554, "5.7.1", "dnsbl"},
    {"policy { dnsbl = \"a.b\" dnsbl_threshold = 4 }", CHECK_MAIL, SAID("x", NULL), {.score = 3},
	FACT_BIT(FACT_LISTS), 0, NULL, NULL},
    {"policy { dnsbl = \"a.b\" }", CHECK_MAIL, SAID("x", NULL), {.score = -7},
	FACT_BIT(FACT_LISTS), 0, NULL, NULL},
    {"policy { dnswl = \"a.b\" }", CHECK_MAIL, SAID("x", NULL), {.score = -7}, 0, 0, NULL, NULL},
};

static void every_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		char text[CHECKS_TEXT] = "";
		const char *name = NULL;
		struct conf *c = configured(r->conf);
		struct verdict v =
		    checks_judge(c, r->stage, &r->said, &r->facts, text, &name);
		if (v.code != r->code || checks_need(c, r->stage) != r->needs)
			fail_msg("row %zu (%s): %u, needs %x", i, r->conf, v.code,
			    checks_need(c, r->stage));
		if (r->code) {
			assert_string_equal(v.status, r->status);
			assert_string_equal(name, r->check);
			assert_true(strlen(v.text) > 10);
		}
		conf_free(c);
	}
}

static void the_list_is_named(void **state)
{
	char text[CHECKS_TEXT];
	const char *name;
	const struct said said = SAID("x", NULL);
	const struct facts facts = {.score = 3, .list = "zen.example=127.0.0.2*3"};
	(void)state;
	struct conf *c = configured("policy { dnsbl = \"zen.example=127.0.0.2*3\" }");
	struct verdict v = checks_judge(c, CHECK_MAIL, &said, &facts, text, &name);
	assert_string_equal(v.text, "Your address 192.0.2.1 is listed by zen.example");
	conf_free(c);
}

static void who_waits_for_the_greeting(void **state)
{
	struct conf_listen plain = {.tls = CONF_LISTEN_TLS_NONE};
	struct conf_listen implicit = {.tls = CONF_LISTEN_TLS_IMPLICIT};
	struct conf_listen submission = {.auth = CONF_AUTH_REQUIRED};
	struct peer p = {.kind = PEER_NET, .listen = &plain};
	(void)state;
	struct conf *c = configured("policy { greet_delay = 3s }");
	assert_int_equal(checks_greet_delay(c, &p), 3000);
	p.relay = true;
	assert_int_equal(checks_greet_delay(c, &p), 0);
	p.relay = false;
	p.listen = &implicit;
	assert_int_equal(checks_greet_delay(c, &p), 0);
	p.listen = &submission;
	assert_int_equal(checks_greet_delay(c, &p), 0);
	p = (struct peer){.kind = PEER_LOCAL};
	assert_int_equal(checks_greet_delay(c, &p), 0);
	conf_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_row),
	    cmocka_unit_test(the_list_is_named),
	    cmocka_unit_test(who_waits_for_the_greeting),
	};
	return cmocka_run_group_tests(tests, conffile_setup, conffile_teardown);
}
