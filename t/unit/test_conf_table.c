/* SPDX-License-Identifier: ISC */
/* lib/conf.def against what users are shown: the man page, the sample, the shipped sites. */
#include <ctype.h>
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

/* slurp - a file of the tree, whose root is the working directory */
static char *slurp(const char *path)
{
	static char text[1 << 17];
	FILE *f = fopen(path, "re");
	if (!f)
		fail_msg("%s: run this in the root of the tree", path);
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return text;
}

/* kind_named - the section of a heading of the man page */
static int kind_named(const char *name)
{
	for (int k = 0; k < CONF_KINDS; k++)
		if (strcmp(conf_kinds[k].name, name) == 0)
			return k;
	return -1;
}

static void test_man_page(void **state)
{
	(void)state;
	bool seen[CONF_KINDS][64] = {{false}};
	int kind = -1;
	for (char *line = slurp("etc/baton.conf.5"), *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (strcmp(line, ".Sh GLOBAL OPTIONS") == 0)
			kind = CONF_KIND_ROOT;
		if (strncmp(line, ".Ss ", 4) == 0)
			kind = kind_named(line + 4);
		if (strncmp(line, ".It Cm ", 7) != 0)
			continue;
		assert_true(kind >= 0);
		const struct conf_opt *o = conf_opt_find((enum conf_kind_no)kind, line + 7);
		if (!o)
			fail_msg("the man page has %s.%s", conf_kinds[kind].name, line + 7);
		bool *mark = &seen[kind][__builtin_ctzll(conf_opt_bit(o))];
		if (*mark)
			fail_msg("the man page has %s.%s twice", conf_kinds[kind].name, line + 7);
		*mark = true;
	}
	for (int k = 0; k < CONF_KINDS; k++)
		for (const struct conf_opt *o = NULL; (o = conf_opt_next((enum conf_kind_no)k, o));)
			if (!seen[k][__builtin_ctzll(conf_opt_bit(o))])
				fail_msg("the man page lacks %s.%s", conf_kinds[k].name, o->name);
}

/* The sample as it is, and with every example line put in force but the include. */
static void test_sample(void **state)
{
	(void)state;
	char *sample = slurp("etc/baton.conf");
	struct conf *c = conffile_good(sample);
	conf_free(c);
	for (char *p = sample; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (*p == '#' && (isgraph((unsigned char)p[1]) || p[1] == '\t') &&
		    strncmp(p, "#include", 8) != 0)
			*p = ' ';
	}
	c = conffile_good(sample);
	/* every option of the root and of each section is shown */
	for (int k = 0; k < CONF_KINDS; k++)
		for (const struct conf_opt *o = NULL;
		     (o = conf_opt_next((enum conf_kind_no)k, o));) {
			size_t n = conf_section_count(c, (enum conf_kind_no)k);
			uint64_t given = 0;
			for (size_t i = 0; i < n; i++)
				given |= conf_section_at(c, (enum conf_kind_no)k, i)->given;
			if (!(given & conf_opt_bit(o)) && k != CONF_KIND_SITE)
				fail_msg("the sample lacks %s.%s", conf_kinds[k].name, o->name);
		}
	conf_free(c);
}

/* The example of the design, as it is written there. */
static const char design[] =
    "hostname       = \"relay.example.org\"\n"
    "origin         = \"\"                           # added to bare addresses; empty: "
    "/etc/mailname\n"
    "spool          = \"/var/spool/baton\"\n"
    "runtime        = \"/run/baton\"                 # Unix sockets\n"
    "log            = \"syslog\"                     # or \"stderr\"\n"
    "log_format     = \"text\"                       # or \"json\"\n"
    "log_level      = \"info\"\n"
    "workers        = 0                            # smtpd and deliver processes each\n"
    "message_size   = \"50M\"\n"
    "spool_min_free = \"256M\"\n"
    "soft_bounce    = false\n"
    "relay_from     = { \"127.0.0.0/8\", \"::1\", \"192.168.1.0/24\" }\n"
    "relay_to       = { }                          # domains anyone may send to\n"
    "local_domains  = { \"localhost\", \"relay.example.org\" }\n"
    "aliases        = \"/etc/aliases\"\n"
    "alias_user     = \"nobody\"                     # runs |command and /file\n"
    "mailbox        = \"mbox:/var/mail/%u\"          # maildir:~/Maildir  lmtp:unix:/path\n"
    "catch_all      = \"\"                           # local user for unknown local recipients\n"
    "masquerade     = { \"root@*=admin@example.org\", \"*@host.lan=*@example.org\" }   # both\n"
    "credentials    = \"/etc/baton/credentials\"     # \"name user secret\" a line\n"
    "users          = \"/etc/baton/users\"           # \"user:hash\" a line, for AUTH\n"
    "sender_owners  = \"\"                           # \"address user user\" a line\n"
    "admins         = { \"root\", \"%adm\" }           # users and %groups\n"
    "sites          = \"/usr/share/baton/sites.conf\"    # shipped defaults\n"
    "\n"
    "listen \"lan\"         { address = \"0.0.0.0:25\" }\n"
    "listen \"submission\"  { address = \"0.0.0.0:587\"  tls = \"required\"  auth = \"required\" "
    "}\n"
    "listen \"submissions\" { address = \"0.0.0.0:465\"  tls = \"implicit\"  auth = \"required\" "
    "}\n"
    "listen \"printers\"    { address = { \"192.168.7.1:25\" }  line_endings = \"normalise\"  "
    "privacy = "
    "true }\n"
    "tls      { certificate = \"/etc/baton/cert.pem\"  key = \"/etc/baton/key.pem\" }    # lists\n"
    "limits   { clients = 0  per_client = 50  recipients = 1000  errors = 20  hops = 50  "
    "per_user_hour = 0 }\n"
    "\n"
    "route \"*\"            { to = \"[smtp.provider.net]:2525\"  auth = \"provider\"  tls = "
    "\"verify\" }\n"
    "route \"example.com\"  { to = \"mx\" }            # also \"tls://[host]:port\", lmtp:..., "
    "local\n"
    "route \"news\"         { domain = \"*\"  sender = \"*@news.example.org\"  to = \"mx\"  source "
    "= "
    "\"news\" }\n"
    "site  \"*\"            { connections = 20  messages_per_connection = 100  "
    "recipients_per_message "
    "= 100  rate = \"none\"\n"
    "                       idle = \"10s\"  probe_max = \"15m\"  connect_timeout = \"30s\"  "
    "reply_timeout = \"5m\"  pipelining = \"full\" }\n"
    "site  \"gmail.com\"    { connections = 10  rate = \"20/s\" }\n"
    "source \"news\"        { address = { \"192.0.2.10\" }  hello = \"news.example.org\" }\n"
    "class \"bulk\"         { sender = { \"*@news.example.org\" }  header = { \"List-Id\" }  "
    "weight = 1  "
    "lifetime = \"2d\" }\n"
    "retry    { first = \"1m\"  factor = 2.0  max = \"4h\"  lifetime = \"5d\"  warn = \"4h\" }\n"
    "resolver { servers = { \"127.0.0.1:53\" }  cache = \"32M\" }\n"
    "deliver  { port = 25  ipv6 = true }\n"
    "metrics  { address = \"127.0.0.1:9325\" }\n";

static void test_design(void **state)
{
	(void)state;
	struct conf *c = conffile_good(design);
	assert_int_equal(c->nlisten, 4);
	assert_true(c->listen[3].privacy);
	assert_int_equal(c->listen[0].tls, CONF_LISTEN_TLS_OFFERED);
	assert_string_equal(conf_route(c, "a@news.example.org", "x", "y.z")->source, "news");
	assert_string_equal(conf_route(c, "a@b.c", "x", "y.z")->auth, "provider");
	assert_int_equal(conf_route(c, "a@b.c", "x", "y.z")->tls, CONF_TLS_VERIFY);
	assert_int_equal(c->class[0].lifetime, 2 * 86400000);
	conf_free(c);
}

/* What conf_print() writes is taken back and is the same. */
static void test_print(void **state)
{
	(void)state;
	char *once, *twice;
	size_t size;
	struct conf *c = conffile_good(design);
	FILE *f = open_memstream(&once, &size);
	conf_print(c, f);
	fclose(f);
	conf_free(c);
	c = conffile_good(once);
	f = open_memstream(&twice, &size);
	conf_print(c, f);
	fclose(f);
	assert_string_equal(once, twice);
	conf_free(c);
	free(once);
	free(twice);
}

static void test_shipped_sites(void **state)
{
	(void)state;
	char text[512], *cwd = realpath("etc/sites.conf", NULL);
	assert_non_null(cwd);
	snprintf(text, sizeof(text), "sites = \"%s\"\n", cwd);
	free(cwd);
	struct conf *c = conffile_good(text);
	static const struct {
		const char *mx, *name;
	} cases[] = {
	    {"aspmx.l.google.com", "google"},
	    {"example-org.mail.protection.outlook.com", "microsoft"},
	    {"hotmail-com.olc.protection.outlook.com", "microsoft"},
	    {"mta5.am0.yahoodns.net", "yahoo"},
	    {"mx01.mail.icloud.com", "apple"},
	    {"mx1.comcast.net", "comcast"},
	    {"smtp-in.orange.fr", "orange"},
	};
	struct conf_site s;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(conf_site_name(c, cases[i].mx), cases[i].name);
		conf_site(c, cases[i].name, &cases[i].mx, 1, "", &s);
		assert_true(s.shipped);
	}
	conf_free(c);
	/* nothing but sites in such a file */
	char *out;
	snprintf(text, sizeof(text), "sites = \"%s\"\n",
	    conffile_write("bad.conf", "site \"a.b\" { }\nworkers = 1\nretry {\n}\n"));
	assert_null(conffile_load(text, &out));
	assert_string_equal(out, "bad.conf:2: only site sections belong into this file\n"
				 "bad.conf:3: only site sections belong into this file\n");
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_man_page),
	    cmocka_unit_test(test_sample),
	    cmocka_unit_test(test_design),
	    cmocka_unit_test(test_print),
	    cmocka_unit_test(test_shipped_sites),
	};
	return cmocka_run_group_tests(tests, conffile_setup, conffile_teardown);
}
