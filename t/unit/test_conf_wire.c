/* SPDX-License-Identifier: ISC */
/* lib/conf_wire: each role gets its part and nothing else; any bytes are survived. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conffile.h"
#include "lib/conf.h"
#include "lib/conf_table.h"
#include "lib/conf_value.h"

/* Every option with another value than its default. */
static const char full[] =
    "hostname = \"h.example\" origin = \"o.example\" spool = \"/s\" runtime = \"/r\"\n"
    "log = stderr log_format = json log_level = debug workers = 3 message_size = 1M\n"
    "spool_min_free = 7 soft_bounce = true double_bounce = \"p@d.example\" notice_rate = \"7/h\"\n"
    "notice_burst = 8 notice_size = 9K relay_from = { \"10.0.0.0/8\", \"2001:db8::/32\" }\n"
    "relay_certificates = \"00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff\"\n"
    "relay_to = \"r.example\" local_domains = { \"l.example\", \"[192.0.2.1]\" } aliases = \"/a\"\n"
    "alias_user = \"al\" mailbox = \"maildir:~/l\" catch_all = \"ca\"\n"
    "masquerade = \"*@a.b=*@c.d\" credentials = \"/c\" auth_mechanisms = PLAIN users = \"/u\" "
    "sender_owners = \"/so\"\n"
    "admins = { \"me\", \"%us\" } sites = \"\"\n"
    "listen \"one\" { address = { \"127.0.0.1:26\", \"[::1]:27\" } tls = \"required\" auth = "
    "required\n"
    " line_endings = normalise privacy = true auth_plaintext = true }\n"
    "listen \"two\" { address = \"127.0.0.2:26\" }\n"
    "tls { certificate = { \"/c1\", \"/c2\" } key = { \"/k1\", \"/k2\" } }\n"
    "limits { reserved = 11 unread = 1M "
    "clients = 1 per_client = 2 recipients = 3 errors = 4 hops = 5 per_user_hour = 6 }\n"
    "policy { dnsbl = { \"a.b=127.0.0.[2;4..7]*3\" } dnswl = \"c.d\" dnsbl_threshold = 2 rdns = "
    "true\n"
    " fcrdns = true helo = fqdn sender_domain = known greet_delay = 1s lookup_timeout = 2s\n"
    " connection_rate = \"1/m\" message_rate = \"2/m\" recipient_rate = \"3/m\"\n"
    " error_rate = \"4/m\" soft_errors = 5 error_delay = 6s }\n"
    "route \"r\" { domain = { \"a.b\", \".c.d\", \"x@e.f\", \"*\" } sender = { \"<>\", \"*@g.h\" "
    "}\n"
    " to = { \"[s.t]:2525\", \"tls://[2001:db8::1]:2465\", \"[u.v]:465\" } auth = \"au\"\n"
    " tls = verify source = \"src\" balance = domain }\n"
    "route \"l.m\" { to = { \"lmtp:[a.b]:24\", \"lmtp:unix:/x y\" } }\n"
    "route \"e.m\" { to = \"error:5.1.1 \\\"no\\\" \\\\ such\" }\n"
    "site \"st\" { domain = { \"a.b\", \"[h]:25\" } connections = 1 messages_per_connection = 2\n"
    " recipients_per_message = 3 rate = \"100/m\" idle = 1s probe_max = 2s connect_timeout = 3s\n"
    " reply_timeout = 4s pipelining = rfc2920 tls = none }\n"
    "source \"src\" { address = { \"192.0.2.1\", \"::2\" } hello = \"he.example\"\n"
    " sender = \"*@s.o\" }\n"
    "class \"bulk\" { sender = \"*@n.o\" header = { \"List-Id\" } weight = 1 lifetime = 2d\n"
    " recipient = \".x.y\" client = \"10.0.0.0/8\" listener = \"lan\" user = \"joe\"\n"
    " source = \"src\" }\n"
    "virtual \"vi\" { domain = \"v.i\" mailbox = \"maildir:/v/%d/%n\" user = vmail users = "
    "\"/vu\" }\n"
    "retry { first = 2m factor = 1.25 max = 1h lifetime = 1d warn = 0 }\n"
    "resolver { servers = { \"127.0.0.1:54\", \"[::1]\" } cache = 1M\n"
    " lookup_cache = 2M trusted = \"10.0.0.0/8\" hosts = \"/h\" }\n"
    "deliver { port = 26 ipv6 = no connections = 9"
    " ca = \"/ca\" certificate = \"/cc\" key = \"/ck\" }\nmetrics { "
    "address = \"127.0.0.1\" }\n";

/* value - an option as text */
static char *value(const struct conf_opt *o, const struct conf_section *s)
{
	char *out;
	size_t size;
	FILE *f = open_memstream(&out, &size);
	conf_value_print(o, s, f);
	fclose(f);
	return out;
}

/* compare - each option the role sees is a's, each other one the default */
static void compare(
    const struct conf *a, const struct conf *b, const struct conf *def, enum role role)
{
	for (int k = 0; k < CONF_KINDS; k++) {
		enum conf_kind_no kind = (enum conf_kind_no)k;
		size_t n = conf_section_count(b, kind);
		for (const struct conf_opt *o = NULL; (o = conf_opt_next(kind, o));) {
			bool visible = conf_opt_visible(o, role);
			if (visible)
				assert_int_equal(n, conf_section_count(a, kind));
			for (size_t i = 0; i < n; i++) {
				struct conf_section *s = conf_section_at(b, kind, i);
				char *got = value(o, s), *want = NULL;
				if (visible)
					want = value(o, conf_section_at(a, kind, i));
				else if (!conf_kinds[kind].titled)
					want = value(o, conf_section_at(def, kind, 0));
				if (want && strcmp(got, want) != 0)
					fail_msg("%s: %s.%s: %s instead of %s", role_name(role),
					    conf_kinds[kind].name, o->name, got, want);
				const struct conf_section *as =
				    visible ? conf_section_at(a, kind, i) : s;
				assert_string_equal(s->title, as->title);
				assert_string_equal(s->file, as->file);
				assert_int_equal(s->line, as->line);
				free(got);
				free(want);
			}
		}
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	struct conf *c = conffile_good(full), *def = conf_new(), *d;
	free(def->hostname);
	free(def->origin);
	def->hostname = strdup(c->hostname);
	def->origin = strdup(c->origin);
	/* the sample must leave nothing at its default, or the test would see nothing */
	struct conf *none = conf_new();
	for (int k = 0; k < CONF_KINDS; k++) {
		struct conf_section *s = conf_section_at(none, (enum conf_kind_no)k, 0);
		if (conf_kinds[k].titled)
			s = conf_section_add(none, (enum conf_kind_no)k, "x");
		for (const struct conf_opt *o = NULL;
		     (o = conf_opt_next((enum conf_kind_no)k, o));) {
			char *x = value(o, s);
			char *y = value(o, conf_section_at(c, (enum conf_kind_no)k, 0));
			if (strcmp(x, y) == 0)
				fail_msg(
				    "%s.%s is at its default: %s", conf_kinds[k].name, o->name, x);
			free(x);
			free(y);
		}
	}
	conf_free(none);
	for (int role = ROLE_MASTER; role < ROLE_TOOL; role++) {
		unsigned char *buf;
		size_t len;
		assert_int_equal(conf_encode(c, (enum role)role, &buf, &len), 0);
		assert_int_equal(conf_decode(buf, len, &d), 0);
		compare(c, d, def, (enum role)role);
		free(buf);
		conf_free(d);
	}
	conf_free(def);
	conf_free(c);
}

/* holds - do the bytes contain the text */
static bool holds(enum role role, const struct conf *c, const char *text)
{
	unsigned char *buf;
	size_t len;
	assert_int_equal(conf_encode(c, role, &buf, &len), 0);
	bool found = memmem(buf, len, text, strlen(text));
	free(buf);
	return found;
}

static void test_least_privilege(void **state)
{
	(void)state;
	struct conf *c = conffile_good(full);
	assert_true(holds(ROLE_SMTPD, c, "/k1"));
	assert_true(holds(ROLE_MASTER, c, "/k1"));
	static const enum role others[] = {
	    ROLE_KEEPER, ROLE_QMGR, ROLE_DELIVER, ROLE_DNSCACHE, ROLE_LOCAL};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(holds(others[i], c, "/k1"));
	assert_true(holds(ROLE_QMGR, c, "s.t"));
	assert_false(holds(ROLE_SMTPD, c, "s.t"));
	assert_false(holds(ROLE_DNSCACHE, c, "s.t"));
	assert_true(holds(ROLE_KEEPER, c, "/so"));
	assert_false(holds(ROLE_SMTPD, c, "/so"));
	conf_free(c);
}

/* What a role asks of its part works there as in master. */
static void test_usable(void **state)
{
	(void)state;
	struct conf *c = conffile_good(full), *d;
	unsigned char *buf;
	size_t len;
	struct conf_site s;
	assert_int_equal(conf_encode(c, ROLE_QMGR, &buf, &len), 0);
	assert_int_equal(conf_decode(buf, len, &d), 0);
	free(buf);
	conf_free(c);
	assert_string_equal(conf_route(d, "", "u", "a.b")->title, "r");
	assert_true(conf_route(d, "", "u", "a.b")->to.v[1].implicit_tls);
	assert_int_equal(conf_route(d, "", "u", "a.b")->to.v[1].port, 2465);
	assert_string_equal(conf_route(d, "q@q.q", "u", "a.b")->title, "mx");
	assert_string_equal(conf_route(d, "q@q.q", "u", "l.example")->title, "local");
	assert_non_null(conf_source(d, "src"));
	conf_site(d, "[h]:25", NULL, 0, "", &s);
	assert_int_equal(s.reply_timeout, 4000);
	assert_int_equal(d->mailbox_kind, CONF_MAILBOX_MAILDIR);
	assert_string_equal(d->mailbox_path, "~/l");
	conf_free(d);
}

/* Bytes cut off, added or changed: an error or a sound conf, never anything else. */
static void test_hostile(void **state)
{
	(void)state;
	struct conf *c = conffile_good(full), *d;
	unsigned char *buf;
	size_t len;
	assert_int_equal(conf_encode(c, ROLE_MASTER, &buf, &len), 0);
	conf_free(c);
	buf = realloc(buf, len + 1);
	assert_non_null(buf);
	buf[len] = 0;
	assert_int_equal(conf_decode(buf, len + 1, &d), -EBADMSG);
	assert_null(d);
	for (size_t n = 0; n < len; n++) {
		unsigned char *part = malloc(n ? n : 1);
		memcpy(part, buf, n);
		assert_int_equal(conf_decode(part, n, &d), -EBADMSG);
		free(part);
	}
	size_t bad = 0;
	for (size_t i = 0; i < len; i++) {
		static const unsigned char masks[] = {0x01, 0x80, 0xff};
		for (size_t m = 0; m < sizeof(masks); m++) {
			buf[i] ^= masks[m];
			int r = conf_decode(buf, len, &d);
			assert_true(r == 0 || r == -EBADMSG);
			bad += r != 0;
			if (!r) {
				conf_route(d, "a@b.c", "x", "a.b");
				conf_free(d);
			}
			buf[i] ^= masks[m];
		}
	}
	assert_true(bad > len);
	free(buf);
	assert_int_equal(conf_decode(NULL, 0, &d), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_least_privilege),
	    cmocka_unit_test(test_usable),
	    cmocka_unit_test(test_hostile),
	};
	return cmocka_run_group_tests(tests, conffile_setup, conffile_teardown);
}
