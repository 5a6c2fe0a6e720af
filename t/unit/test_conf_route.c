/* SPDX-License-Identifier: ISC */
/* lib/conf: which route, which site, who may send. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "conffile.h"
#include "lib/conf.h"

/* Written against the order in which they win. */
static const char routes[] =
    "hostname = \"h.example\" origin = \"h.example\"\n"
    "local_domains = { \"local.example\", \".sub.example\", \"over.example\" }\n"
    "route \"*\" { to = \"[all]:1\" }\n"
    "route \"all-news\" { domain = \"*\" sender = \"*@news.example\" to = \"[news]:1\" }\n"
    "route \"all-below\" { domain = \"*\" sender = \"*@.news.example\" to = \"[below]:1\" }\n"
    "route \"all-deep\" { domain = \"*\" sender = \"*@.b.news.example\" to = \"[deep]:1\" }\n"
    "route \"all-me\" { domain = \"*\" sender = \"me@news.example\" to = \"[me]:1\" }\n"
    "route \"all-null\" { domain = \"*\" sender = \"<>\" to = \"[null]:1\" }\n"
    "route \".example.com\" { to = \"[dot]:1\" }\n"
    "route \".a.example.com\" { to = \"[adot]:1\" }\n"
    "route \"example.com\" { to = \"[dom]:1\" }\n"
    "route \"example.com-any\" { domain = \"any.com\" sender = \"*\" to = \"[any]:1\" }\n"
    "route \"any.com\" { to = \"[none]:1\" }\n"
    "route \"Joe@Example.com\" { to = \"[joe]:1\" }\n"
    "route \"joe-news\" { domain = \"joe@example.com\" sender = \"*@news.example\" to = \"[jn]:1\" "
    "}\n"
    "route \"over.example\" { to = \"[over]:1\" }\n"
    "route \".local.example\" { to = \"[below-local]:1\" }\n"
    "route \"only\" { domain = \"only.example\" sender = \"a@b.c\" to = \"discard\" }\n"
    "route \"x.sub.example\" { to = \"[xsub]:1\" }\n";

static void test_routes(void **state)
{
	(void)state;
	static const struct {
		const char *sender, *local, *domain, *title;
	} cases[] = {
	    {"a@b.c", "x", "else.where", "*"},
	    {"a@news.example", "x", "else.where", "all-news"},
	    {"A@NEWS.Example", "x", "else.where", "all-news"},
	    {"a@b.news.example", "x", "else.where", "all-below"},
	    {"a@c.b.news.example", "x", "else.where", "all-deep"},
	    {"a@xnews.example", "x", "else.where", "*"},
	    {"me@news.example", "x", "else.where", "all-me"},
	    {"", "x", "else.where", "all-null"},
	    {"a@b.c", "x", "example.com", "example.com"},
	    {"a@news.example", "x", "example.com", "example.com"},
	    {"a@b.c", "x", "b.example.com", ".example.com"},
	    {"a@b.c", "x", "c.a.example.com", ".a.example.com"},
	    {"a@b.c", "x", "a.example.com", ".example.com"},
	    {"a@b.c", "x", "EXAMPLE.com", "example.com"},
	    {"a@b.c", "x", "notexample.com", "*"},
	    {"a@b.c", "x", "any.com", "example.com-any"},
	    {"", "x", "any.com", "example.com-any"},
	    {"a@b.c", "joe", "example.com", "Joe@Example.com"},
	    {"a@news.example", "joe", "example.com", "joe-news"},
	    {"a@b.c", "joe", "a.example.com", ".example.com"},
	    {"a@b.c", "x", "local.example", "local"},
	    {"a@b.c", "x", "LOCAL.example", "local"},
	    {"a@b.c", "x", "a.local.example", ".local.example"},
	    {"a@b.c", "x", "a.sub.example", "local"},
	    {"a@b.c", "x", "a.b.sub.example", "local"},
	    {"a@b.c", "x", "x.sub.example", "x.sub.example"},
	    {"a@b.c", "x", "sub.example", "*"},
	    {"a@b.c", "x", "over.example", "over.example"},
	    {"a@b.c", "x", "", "local"},
	    {"a@b.c", "x", "only.example", "only"},
	    {"z@b.c", "x", "only.example", "*"},
	    {"no-domain", "x", "else.where", "*"},
	    {"a@b.c", "x", ".", "*"},
	    {"a@b.c", "x", "*", "*"},
	};
	struct conf *c = conffile_good(routes);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct conf_route *t =
		    conf_route(c, cases[i].sender, cases[i].local, cases[i].domain);
		if (strcmp(t->title, cases[i].title) != 0)
			fail_msg("<%s> to %s@%s: %s instead of %s", cases[i].sender, cases[i].local,
			    cases[i].domain, t->title, cases[i].title);
	}
	conf_free(c);
}

static void test_long_names(void **state)
{
	(void)state;
	struct conf *c = conffile_good(routes);
	char *name = malloc(4001);
	memset(name, 'a', 4000);
	for (size_t i = 3; i < 4000; i += 4)
		name[i] = '.';
	name[4000] = '\0';
	assert_string_equal(conf_route(c, "a@b.c", name, "else.where")->title, "*");
	assert_string_equal(conf_route(c, "a@b.c", "x", name)->title, "*");
	name[1] = '@';
	assert_string_equal(conf_route(c, name, "x", "else.where")->title, "*");
	free(name);
	conf_free(c);
}

static void test_default_route(void **state)
{
	(void)state;
	struct conf *c =
	    conffile_good("route \"n\" { domain = \"*\" sender = \"*@a.b\" to = \"discard\" }\n");
	assert_string_equal(conf_route(c, "x@a.b", "x", "y.z")->title, "n");
	assert_string_equal(conf_route(c, "x@a.c", "x", "y.z")->title, "mx");
	assert_int_equal(conf_route(c, "x@a.c", "x", "y.z")->to.v[0].kind, CONF_TARGET_MX);
	conf_free(c);
}

/* Ten thousand routes are looked up as fast as ten: a linear search would take minutes here. */
static void test_many_routes(void **state)
{
	(void)state;
	char *text, title[32];
	size_t size;
	FILE *f = open_memstream(&text, &size);
	for (int i = 0; i < 10000; i++)
		fprintf(f, "route \"d%d\" { domain = \"*\" sender = \"*@d%d.example\" }\n", i, i);
	fclose(f);
	struct conf *c = conffile_good(text);
	free(text);
	for (int i = 0; i < 200000; i++) {
		snprintf(title, sizeof(title), "a@d%d.example", i % 10000);
		const struct conf_route *t = conf_route(c, title, "x", "a.b.c.d.example");
		assert_int_equal(atoi(t->title + 1), i % 10000);
	}
	conf_free(c);
}

static void test_sender_patterns(void **state)
{
	(void)state;
	assert_true(conf_sender_matches("*", ""));
	assert_true(conf_sender_matches("*", "a@b"));
	assert_true(conf_sender_matches("<>", ""));
	assert_false(conf_sender_matches("<>", "a@b"));
	assert_true(conf_sender_matches("*@b.c", "a@B.c"));
	assert_false(conf_sender_matches("*@b.c", "a@a.b.c"));
	assert_false(conf_sender_matches("*@b.c", ""));
	assert_true(conf_sender_matches("*@.b.c", "a@a.b.c"));
	assert_false(conf_sender_matches("*@.b.c", "a@b.c"));
	assert_false(conf_sender_matches("*@.b.c", "a@xb.c"));
	assert_true(conf_sender_matches("A@b.c", "a@b.c"));
	assert_false(conf_sender_matches("a@b.c", "ab@b.c"));
}

static const char sites[] =
    "site \"*\" { connections = 30 idle = 5s }\n"
    "site \"gmail.com\" { connections = 7 rate = \"20/s\" }\n"
    "site \"google.com\" { reply_timeout = 1m }\n"
    "site \"named.example\" { connections = 1 }\n"
    "site \"mail.big.example\" { connections = 2 }\n"
    "site \"big.example\" { connections = 3 }\n"
    "site \"dotted\" { domain = \".dot.example\" connections = 4 }\n"
    "site \"[smart.example]:587\" { connections = 5 }\n"
    "site \"hop.example\" { connections = 6 tls = \"verify\" }\n"
    "site \"titled\" { domain = { \"t1.example\", \"t2.example\" } connections = 8 }\n";
static const char shipped[] = "site \"google\" { domain = { \"google.com\", \"googlemail.com\" }\n"
			      "connections = 50 messages_per_connection = 60 }\n"
			      "site \"deep\" { domain = \"mx.deep.example\" connections = 9 }\n"
			      "site \"*\" { recipients_per_message = 77 idle = 99s }\n";

static struct conf *load_sites(void)
{
	char text[2048];
	const char *path = conffile_write("sites.conf", shipped);
	snprintf(text, sizeof(text), "sites = \"%s\"\n%s", path, sites);
	return conffile_good(text);
}

static void test_sites(void **state)
{
	(void)state;
	static const struct {
		const char *site, *mx, *domain, *title;
		unsigned connections;
	} cases[] = {
	    {"mx.else.where", "mx.else.where", "else.where", "*", 30},
	    {"", "", "", "*", 30},
	    /* name before MX suffix before domain */
	    {"named.example", "a.big.example", "gmail.com", "named.example", 1},
	    {"x", "a.big.example", "gmail.com", "big.example", 3},
	    {"x", "a.notbig.example", "gmail.com", "gmail.com", 7},
	    /* longest first, also the user's before the longer shipped one */
	    {"x", "a.mail.big.example", "", "mail.big.example", 2},
	    {"x", "MAIL.big.example", "", "mail.big.example", 2},
	    {"x", "xmail.big.example", "", "big.example", 3},
	    {"x", "mx.deep.example", "", "deep", 9},
	    {"x", "a.mx.deep.example", "", "deep", 9},
	    {"x", "deep.example", "", "*", 30},
	    {"x", "a.dot.example", "", "dotted", 4},
	    {"x", "dot.example", "", "*", 30},
	    {"x", "", "a.b.dot.example", "dotted", 4},
	    {"x", "", "dot.example", "*", 30},
	    {"x", "", "a.gmail.com", "*", 30},
	    /* titles name sites, not domains */
	    {"titled", "", "", "titled", 8},
	    {"x", "titled", "titled", "*", 30},
	    {"x", "a.t2.example", "", "titled", 8},
	    /* fixed hops */
	    {"[smart.example]:587", "", "", "[smart.example]:587", 5},
	    {"[smart.example]:25", "", "", "*", 30},
	    {"[a.hop.example]:25", "", "", "hop.example", 6},
	    /* the user's gives no connections, the shipped one does */
	    {"x", "aspmx.l.google.com", "", "google.com", 50},
	    {"x", "aspmx2.googlemail.com", "", "google", 50},
	    {"local", "", "", "*", 10},
	};
	struct conf *c = load_sites();
	struct conf_site s;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		conf_site(
		    c, cases[i].site, &cases[i].mx, cases[i].mx[0] ? 1 : 0, cases[i].domain, &s);
		if (strcmp(s.title, cases[i].title) != 0 || s.connections != cases[i].connections)
			fail_msg("case %zu: \"%s\" %u instead of \"%s\" %u", i, s.title,
			    s.connections, cases[i].title, cases[i].connections);
	}
	const char *two[] = {"a.big.example", "b.mail.big.example"};
	conf_site(c, "x", two, 2, "", &s);
	assert_string_equal(s.title, "mail.big.example");
	conf_free(c);
}

/* What explain says: the block, and by which rule it was found. */
static void test_site_entry(void **state)
{
	(void)state;
	struct conf *c = conffile_good("site \"one\" { domain = \"mx.big.example\" }\n"
				       "site \"dom.example\" { idle = 3s }\n");
	const char *mx = "a.mx.big.example", *other = "a.else.where";
	enum conf_site_by by;
	const struct conf_site *s = conf_site_entry(c, "one", &mx, 1, "x.y", &by);
	assert_string_equal(s->title, "one");
	assert_int_equal(by, CONF_SITE_BY_NAME);
	assert_int_equal(s->line, 1);
	s = conf_site_entry(c, "z", &mx, 1, "dom.example", &by);
	assert_string_equal(s->title, "one");
	assert_int_equal(by, CONF_SITE_BY_HOST);
	s = conf_site_entry(c, "z", &other, 1, "dom.example", &by);
	assert_string_equal(s->title, "dom.example");
	assert_int_equal(by, CONF_SITE_BY_DOMAIN);
	assert_null(conf_site_entry(c, "z", &other, 1, "x.y", &by));
	assert_int_equal(by, CONF_SITE_BY_ANY);
	conf_free(c);
	c = conffile_good("site \"*\" { idle = 3s }\n");
	s = conf_site_entry(c, "z", &other, 1, "x.y", &by);
	assert_string_equal(s->title, "*");
	assert_int_equal(by, CONF_SITE_BY_ANY);
	conf_free(c);
}

static void test_site_fields(void **state)
{
	(void)state;
	struct conf *c = load_sites();
	struct conf_site s;
	const char *mx = "aspmx.l.google.com";
	conf_site(c, "google", &mx, 1, "gmail.com", &s);
	assert_string_equal(s.title, "google.com"); /* the user's, even by the shipped name */
	conf_site(c, "google.com", &mx, 1, "gmail.com", &s);
	assert_string_equal(s.title, "google.com");
	assert_false(s.shipped);
	assert_int_equal(s.reply_timeout, 60000);        /* the user's block */
	assert_int_equal(s.messages_per_connection, 60); /* the shipped block */
	assert_int_equal(s.idle, 5000);                  /* the user's "*" before the shipped "*" */
	assert_int_equal(s.recipients_per_message, 77);  /* the shipped "*" */
	assert_int_equal(s.connect_timeout, 30000);      /* built in */
	assert_int_equal(s.tls, CONF_TLS_OPPORTUNISTIC);
	assert_int_equal(s.rate.count, 0);
	assert_int_equal(s.probe_max, 15 * 60000);
	conf_site(c, "[a.hop.example]:25", NULL, 0, "", &s);
	assert_int_equal(s.probe_max, 2 * 60000);
	assert_int_equal(s.tls, CONF_TLS_VERIFY);
	conf_site(c, "x", NULL, 0, "gmail.com", &s);
	assert_int_equal(s.rate.count, 20);
	assert_int_equal(s.rate.period, 1000);
	conf_free(c);
	c = conffile_good("site \"local\" { connections = 3 }\nsite \"*\" { probe_max = 1h }\n");
	conf_site(c, "local", NULL, 0, "", &s);
	assert_int_equal(s.connections, 3);
	conf_site(c, "[a.b]:25", NULL, 0, "", &s);
	assert_int_equal(s.probe_max, 60 * 60000);
	conf_free(c);
}

static void test_site_names(void **state)
{
	(void)state;
	struct conf *c = load_sites();
	assert_string_equal(conf_site_name(c, "aspmx.l.google.com"), "google.com");
	assert_string_equal(conf_site_name(c, "aspmx2.googlemail.com"), "google");
	assert_string_equal(conf_site_name(c, "b.mail.big.example"), "mail.big.example");
	assert_string_equal(conf_site_name(c, "mx.deep.example"), "deep");
	assert_null(conf_site_name(c, "mx.else.where"));
	assert_null(conf_site_name(c, ""));
	conf_free(c);
}

static bool may_relay(const struct conf *c, const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		return conf_may_relay(c, (struct sockaddr *)&in);
	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return conf_may_relay(c, (struct sockaddr *)&in6);
}

static void test_relay(void **state)
{
	(void)state;
	struct conf *c = conffile_good("relay_from = { \"192.168.0.0/23\", \"10.0.0.1\", "
				       "\"2001:db8::/33\", \"::1\" }\n"
				       "relay_to = { \"a.example\", \".b.example\" }\n");
	static const char *const yes[] = {"192.168.0.1", "192.168.1.255", "10.0.0.1", "2001:db8::1",
	    "2001:db8:7fff::", "::1", "::ffff:10.0.0.1", "::ffff:192.168.1.1"};
	static const char *const no[] = {"192.168.2.0", "192.167.255.255", "10.0.0.2", "127.0.0.1",
	    "2001:db8:8000::", "::2", "::", "::ffff:10.0.0.2", "0.0.0.1"};
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(may_relay(c, yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(may_relay(c, no[i]));
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	assert_true(conf_may_relay(c, (struct sockaddr *)&un));
	assert_true(conf_may_relay_to(c, "A.example"));
	assert_false(conf_may_relay_to(c, "x.a.example"));
	assert_true(conf_may_relay_to(c, "x.y.b.example"));
	assert_false(conf_may_relay_to(c, "b.example"));
	assert_false(conf_may_relay_to(c, ""));
	conf_free(c);
	c = conffile_good("relay_from = { }\n");
	assert_false(may_relay(c, "127.0.0.1"));
	assert_false(conf_may_relay_to(c, "a.b"));
	conf_free(c);
	c = conffile_good("relay_from = { \"0.0.0.0/0\" }\n");
	assert_true(may_relay(c, "203.0.113.9"));
	assert_false(may_relay(c, "::1"));
	conf_free(c);
}

static void test_sources(void **state)
{
	(void)state;
	struct conf *c =
	    conffile_good("source \"s\" { address = { \"192.0.2.1\", \"2001:db8::1\" } }\n"
			  "route \"*\" { source = \"S\" }\n");
	struct sockaddr_storage ss;
	assert_ptr_equal(conf_source(c, c->route[0].source), &c->source[0]);
	assert_null(conf_source(c, ""));
	assert_null(conf_source(c, "x"));
	assert_int_equal(
	    conf_addr_sockaddr(&c->source[0].address.v[0], &ss), sizeof(struct sockaddr_in));
	assert_int_equal(((struct sockaddr_in *)&ss)->sin_addr.s_addr, inet_addr("192.0.2.1"));
	assert_int_equal(
	    conf_addr_sockaddr(&c->source[0].address.v[1], &ss), sizeof(struct sockaddr_in6));
	conf_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_routes),
	    cmocka_unit_test(test_long_names),
	    cmocka_unit_test(test_default_route),
	    cmocka_unit_test(test_many_routes),
	    cmocka_unit_test(test_sender_patterns),
	    cmocka_unit_test(test_sites),
	    cmocka_unit_test(test_site_entry),
	    cmocka_unit_test(test_site_fields),
	    cmocka_unit_test(test_site_names),
	    cmocka_unit_test(test_relay),
	    cmocka_unit_test(test_sources),
	};
	return cmocka_run_group_tests(tests, conffile_setup, conffile_teardown);
}
