/* SPDX-License-Identifier: ISC */
/* lib/conf: every kind of mistake with its exact line; what a right file comes to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "conffile.h"
#include "lib/conf.h"

#define LISTEN "listen \"a\" { address = \"127.0.0.1:25\" }\n"

/* A file and the beginning of each message it gets, "\n" between. */
static const struct {
	const char *text;
	const char *messages;
} mistakes[] = {
    /* names */
    {"hostnam = \"x\"\n", "main.conf:1: unknown name \"hostnam\"\n"},
    {"# 1\n# 2\n\n// 4\nhostnam = \"x\"\n", "main.conf:5: unknown name \"hostnam\"\n"},
    {"/* 1\n2\n3 */ hostnam = \"x\"\n", "main.conf:3: unknown name \"hostnam\"\n"},
    {"spool = \"/x\" # one\n\n\thostnam = \"x\"\n", "main.conf:3: unknown name"},
    {"listen \"a\" {\n# 2\n/* 3\n4 */\n\tadress = \"1.2.3.4:25\"\n}\n",
	"main.conf:5: unknown name \"adress\" in listen\n"},
    {"tls {\n\n\n\tkeys = \"/x\"\n}\n", "main.conf:4: unknown name \"keys\" in tls\n"},
    {"tls { }\n# 2\nlisten { }\n", "main.conf:3: listen needs a title"},
    {"\nlist \"a\" { }\n", "main.conf:2: unknown name \"list\"\n"},
    {"tls|key = \"/x\"\n", "main.conf:1: "},
    {"\n\nlimits {\ninclude(\"x\")\n}\n", "main.conf:4: include() has to stand outside"},
    /* shape */
    {"hostname\nspool = \"/x\"\n", "main.conf:1: no \"=\" behind hostname\n"},
    {"\nhostname # no\n# 3\n\nspool = \"/x\"\n", "main.conf:2: no \"=\" behind hostname\n"},
    {"\nhostname\n", "main.conf:2: no \"=\" behind hostname\n"},
    {"hostname \"a.b\"\n", "main.conf:1: no \"=\" behind hostname\n"},
    {"hostname =\nspool = \"/x\"\n", "main.conf:1: no value behind \"=\"\n"},
    {"\nhostname = # x\n", "main.conf:2: no value behind \"=\"\n"},
    {"hostname = \"a.b\n\"\n", "main.conf:1: string is never closed\n"},
    {"\nhostname = 'a.b\n", "main.conf:2: string is never closed\n"},
    {"\nhostname = \"a\\n\"\n", "main.conf:2: unknown escape \\n"},
    {"\n/* c\n\n\n", "main.conf:2: comment is never closed\n"},
    {"\nspool = /tmp/*\n", "main.conf:2: comment is never closed\n"},
    {"\n\n}\n", "main.conf:3: \"}\" without \"{\"\n"},
    {LISTEN "\ntls {\n key = \"/k\"\n", "main.conf:3: section is never closed\n"},
    {"\nlisten \"a\"\n{\n", "main.conf:2: section is never closed\n"},
    {"listen \"a\" {\n address = \"::1:25\"\nlisten \"b\" { }\n",
	"main.conf:1: section is never closed (another one starts in line 3)\n"},
    {"\nrelay_to = { \"a.b\",\n\"c.d\"\nspool = \"/x\"\n", "main.conf:2: list is never closed\n"},
    {"relay_to = {\n", "main.conf:1: list is never closed\n"},
    {"\nrelay_to = { \"a.b\"\n \"c.d\" }\n", "main.conf:3: \"c.d\" is out of place\n"},
    {"\nworkers = { 1 }\n", "main.conf:2: \"{\" is out of place\n"},
    {"\n= 1\n", "main.conf:2: \"=\" is out of place\n"},
    {"hostname = \"a.b\"\n\"c.d\"\n", "main.conf:2: unknown name \"c.d\"\n"},
    {"\nlimits = 5\n", "main.conf:2: no \"{\" behind limits\n"},
    {"\nlimits \"a\" { }\n", "main.conf:2: no \"{\" behind limits\n"},
    {"\nrelay_to += { \"a.b\" }\n", "main.conf:2: \"+=\" isn't known"},
    {"\nroute * { }\n", "main.conf:2: \"*\" has to stand in quotes\n"},
    {"\nspool = ${HOME}\n", "main.conf:2: \"${\" has to stand in double quotes\n"},
    {"\nspool = \"${HOME\"\n}\n", "main.conf:2: \"${\" without \"}\""},
    {"\nspool = \"${BATON_NO_SUCH}\"\n", "main.conf:2: environment variable BATON_NO_SUCH isn't"},
    {"\nspool = \"/\x01\"\n", "main.conf:2: spool = \"/?\": has a control character"},
    {"\nspool = /a\x01\n", "main.conf:2: spool = \"/a?\": has a control character"},
    {"\nspool = \x01\n", "main.conf:2: stray control character 0x01\n"},
    {"include \"x\"\n", "main.conf:1: no \"(\" behind include\n"},
    {"\ninclude()\n", "main.conf:2: include() takes one path\n"},
    /* values, nested */
    {"workers = many\n", "main.conf:1: workers = \"many\": must be a whole number\n"},
    {"workers = 257\n", "main.conf:1: workers = \"257\": must be between 0 and 256\n"},
    {"workers = -1\n", "main.conf:1: workers = \"-1\": must be a whole number\n"},
    {"workers = 99999999999999999999\n", "main.conf:1: workers = "},
    {"\nsoft_bounce = 2\n", "main.conf:2: soft_bounce = \"2\": must be true or false\n"},
    {"\nlog = \"file\"\n", "main.conf:2: log = \"file\": must be one of syslog, stderr\n"},
    {"\nmessage_size = \"50X\"\n", "main.conf:2: message_size = \"50X\": must be a size"},
    {"\nmessage_size = 16G\n", "main.conf:2: message_size = \"16G\": must be between"},
    {"\nmessage_size = 99999999999999999999G\n", "main.conf:2: message_size"},
    {"retry {\n# 2\n first = 10\n}\n", "main.conf:3: first = \"10\": must be a duration"},
    {"retry {\n first = 1h\n\n max = \"30m\"\n}\n", "main.conf:2: retry: first is longer"},
    {"retry { factor = 0.5 }\n", "main.conf:1: factor = \"0.5\": must be between 1 and 10\n"},
    {"retry { lifetime = 0 }\n", "main.conf:1: lifetime = \"0\": must be between"},
    {"\nspool = \"x\"\n", "main.conf:2: spool = \"x\": must be an absolute path\n"},
    {"\nspool = \"\"\n", "main.conf:2: spool = \"\": must be an absolute path\n"},
    {"users = \"x\"\n", "main.conf:1: users = \"x\": must be"},
    {"users = \"dovecot:x\"\n",
	"main.conf:1: users = \"dovecot:x\": needs an absolute path behind dovecot:\n"},
    {"users = \"dovecot:/"
     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
     "0123456789012345678901234567890\"\n",
	"main.conf:1: users = \"dovecot:/0123456789"},
    {"hostname = \"a b\"\n", "main.conf:1: hostname = \"a b\": must be a domain name\n"},
    {"hostname = \"1.2.3.4\"\n", "main.conf:1: hostname = "},
    {"hostname = \"-a.b\"\n", "main.conf:1: hostname = "},
    {"hostname = \"a..b\"\n", "main.conf:1: hostname = "},
    {"relay_from = {\n# 2\n\"10.0.0.0/8\", /* 3\n4 */\n\"10.0.0.0/33\"\n}\n",
	"main.conf:5: relay_from = \"10.0.0.0/33\": has no valid prefix length (0 to 32)\n"},
    {"relay_from = { \"10.0.0.0/8\",\n\"10.1.0.0/8\" }\n",
	"main.conf:2: relay_from = \"10.1.0.0/8\": has bits set behind its prefix; that network is "
	"10.0.0.0/8\n"},
    {"relay_from = { \"localhost\" }\n", "main.conf:1: relay_from = \"localhost\": must be a net"},
    {"relay_from = { \"x\",\n\"::1\",\n\"y\" }\n",
	"main.conf:1: relay_from = \"x\"\nmain.conf:3: relay_from = \"y\"\n"},
    {"relay_to = { \"a_b.c\", \"@c.d\" }\n", "main.conf:1: relay_to = \"@c.d\": must be a domain"},
    {"masquerade = { \"a@b\" }\n", "main.conf:1: masquerade = \"a@b\": must be pattern=address"},
    {"mailbox = \"mbox\"\n", "main.conf:1: mailbox = \"mbox\": must be mbox:/path"},
    {"mailbox = \"lmtp:host\"\n", "main.conf:1: mailbox = \"lmtp:host\": needs a port"},
    {"admins = { \"%\" }\n", "main.conf:1: admins = \"%\": must be a user or %group\n"},
    {"resolver { servers = \"ns.a.b\" }\n", "main.conf:1: servers = \"ns.a.b\": must be a num"},
    {"listen \"a\" {\n\n address = { \"127.0.0.1:25\",\n\"127.0.0.1:0\" }\n}\n",
	"main.conf:4: address = \"127.0.0.1:0\": has no valid port (1 to 65535)\n"},
    {"listen \"a\" { address = \"::1:25\" }\n",
	"main.conf:1: address = \"::1:25\": needs brackets"},
    {"listen \"a\" { address = \"localhost:25\" }\n", "main.conf:1: address = \"localhost:25\""},
    {"source \"s\" { address = \"1.2.3.4:5\" }\n", "main.conf:1: address = \"1.2.3.4:5\": must be"},
    {"class \"b\" { header = \"List-Id:\" }\n", "main.conf:1: header = \"List-Id:\": must be"},
    {"class \"b\" { header = \"List Id\" }\n", "main.conf:1: header = \"List Id\": must be"},
    {"class \"b\" { sender = \"*@*\" }\n", "main.conf:1: sender = \"*@*\": must be user@dom"},
    {"site \"a.b\" {\n rate = \"20\"\n}\n", "main.conf:2: rate = \"20\": must be a rate"},
    {"site \"a.b\" {\n rate = \"0/s\"\n}\n", "main.conf:2: rate = \"0/s\": must be between"},
    {"route \"*\" {\n to = \"relay\"\n}\n", "main.conf:2: to = \"relay\": needs a port, or brack"},
    {"route \"*\" {\n to = \"[relay\"\n}\n", "main.conf:2: to = \"[relay\": must be [host]"},
    {"route \"*\" {\n to = \"[a.b]:0\"\n}\n", "main.conf:2: to = \"[a.b]:0\": has no valid port"},
    {"route \"*\" { to = \"error:\" }\n", "main.conf:1: to = \"error:\": needs a text"},
    {"route \"*\" { tls = \"implicit\" }\n",
	"main.conf:1: tls = \"implicit\": must be one of none"},
    /* the whole */
    {LISTEN "# 2\nlisten \"b\" { address = \"127.0.0.1:26\" }\n\nlisten \"a\"\n{ }\n",
	"main.conf:5: listen \"a\" is there already: main.conf:1\n"},
    {"site \"a.b\" { }\nsite \"A.b\" { }\n", "main.conf:2: site \"A.b\" is there already: main"},
    {"listen \"a\" {\n}\n", "main.conf:1: listen \"a\": needs an address\n"},
    {"listen \"a\" {\n# 2\naddress = {\n} }\n", "main.conf:3: listen \"a\": needs an address\n"},
    {"listen \"a b\" { address = \"127.0.0.1:25\" }\n", "main.conf:1: the title of a listen is"},
    {LISTEN "listen \"b\" {\n address = { \"[::1]:25\",\n\"127.0.0.1:25\" }\n}\n",
	"main.conf:3: listen \"b\": 127.0.0.1:25 is taken by listen \"a\" (main.conf:1)\n"},
    {"listen \"a\" {\naddress = \"127.0.0.1:25\"\ntls = \"required\"\n}\n",
	"main.conf:3: listen \"a\": needs a certificate"},
    {"tls {\n certificate = \"/c\"\n}\n", "main.conf:2: tls: as many keys as certificates"},
    {"tls {\n certificate = \"/c\"\n key = { \"/a\",\n\"/b\" }\n}\n",
	"main.conf:3: tls: as many keys as certificates are needed (2 and 1)\n"},
    {"route \"smart\" {\n to = \"[a.b]:25\"\n domain = { }\n}\n",
	"main.conf:3: route \"smart\": needs an entry\n"},
    {"\nroute \"a/b\" { }\n", "main.conf:2: route \"a/b\": its title is no domain"},
    {"route \"*\" {\n to = { \"[a.b]:25\",\n\"mx\" }\n}\n",
	"main.conf:2: route \"*\": only hosts can stand in a list"},
    {"route \"*\" {\n to = \"mx\"\n auth = \"x\"\n}\n",
	"main.conf:3: route \"*\": needs a fixed host"},
    {"route \"*\" {\n to = \"[a.b]:465\"\n tls = \"none\"\n}\n", "main.conf:3: route \"*\": none"},
    {"route \"*\" {\n source = \"x\"\n}\n", "main.conf:2: route \"*\": there is no source \"x\"\n"},
    {"route \"*\" { }\n\nroute \"x\" {\n domain = { \"a.b\", \"*\" } }\n",
	"main.conf:4: route \"x\": \"*\" has a route already for the same senders: \"*\" "
	"(main.conf:1)\n"},
    {"class \"b\" { }\n", "main.conf:1: class \"b\": needs to say which mail it is for\n"},
    {"virtual \"v.w\" {\n user = \"x\"\n}\n", "main.conf:1: virtual \"v.w\": needs a mailbox"},
    {"virtual \"v.w\" {\n mailbox = \"maildir:/v/%n\"\n user = \"x\"\n}\n",
	"main.conf:1: virtual \"v.w\": needs users"},
    {"virtual \"v.w\" {\n mailbox = \"maildir:/v/%d\"\n users = \"/u\"\n user = \"x\"\n}\n",
	"main.conf:2: virtual \"v.w\": needs %n or %u"},
    {"virtual \"v.w\" {\n mailbox = \"maildir:/v/%n%x\"\n users = \"/u\"\n user = \"x\"\n}\n",
	"main.conf:2: virtual \"v.w\": needs %n or %u"},
    {"virtual \"v.w\" {\n users = \"/u\"\n mailbox = \"mbox:~/%n\"\n user = \"x\"\n}\n",
	"main.conf:3: virtual \"v.w\": needs an absolute path"},
    {"virtual \"v.w\" {\n users = \"/u\"\n mailbox = \"lmtp:[a.b]:24\"\n user = \"x\"\n}\n",
	"main.conf:3: virtual \"v.w\": is a file or a folder"},
    {"virtual \"v.w\" {\n users = \"/u\"\n mailbox = \"mbox:/%u\"\n user = \"root\"\n}\n",
	"main.conf:4: virtual \"v.w\": root has no mailboxes"},
    {"virtual \"v\" {\n domain = { \"a.b\",\n\"c.d\" }\n}\nlocal_domains = { \"C.d\" }\n",
	"main.conf:3: virtual \"v\": c.d is in local_domains too"},
    {"virtual \"a.b\" { }\nvirtual \"v\" { domain = \".c.d\" }\n",
	"main.conf:2: virtual \"v\": each domain has to be named"},
    {"virtual \"a.b\" { }\nvirtual \"v\" { domain = \"A.b\" }\n",
	"main.conf:2: virtual \"v\": A.b is in virtual \"a.b\" too (main.conf:1)"},
    {"source \"b\" { }\n", "main.conf:1: source \"b\": needs an address\n"},
    {"\nsites = \"/no/such/file\"\n", "main.conf:2: can't read /no/such/file: No such file"},
    /* several in one run, in the order of the file */
    {"workers = x\nretry {\n first = y\n}\nroute \"*\" {\n source = \"n\"\n}\nspool = \"z\"\n",
	"main.conf:1: workers\nmain.conf:3: first\nmain.conf:6: route\nmain.conf:8: spool\n"},
    /* notes */
    {"workers = 1\n\nworkers = 2\nbad = 1\n",
	"main.conf:3: note: workers is given again; this one holds, not main.conf:1\n"
	"main.conf:4: unknown name \"bad\"\n"},
    /* includes: a.conf is {"\n# 2\nhostnam = 1\n"}, good.conf ends in a section */
    {"include(\"a.conf\")\n", "a.conf:3: unknown name \"hostnam\"\n"},
    {"# 1\ninclude(\"none.conf\")\nspool = \"x\"\n",
	"main.conf:2: can't include none.conf: No such file or directory\nmain.conf:3: spool"},
    {"include(\"good.conf\")\n/* 2\n3 */ bad = 1\n", "main.conf:3: unknown name \"bad\"\n"},
    {"include(\"open.conf\")\nworkers = x\n",
	"main.conf:2: workers = \"x\"\nopen.conf:2: section is never closed\n"},
    {"include(\"value.conf\")\n\nworkers = x\n",
	"main.conf:3: workers = \"x\"\nvalue.conf:2: connections = \"0\": must be between\n"},
    {"site \"x.y\" { }\ninclude(\"good.conf\")\n", "good.conf:3: site \"x.y\" is there already: "},
    {"include(\"loop.conf\")\n", "loop.conf:2: more than 10 files include each other\n"},
};

/* matches - each line of `want` begins the line of `got` in its place */
static bool matches(const char *want, const char *got)
{
	while (*want) {
		size_t n = strcspn(want, "\n");
		if (strncmp(want, got, n) != 0)
			return false;
		want += n + (want[n] == '\n');
		got += strcspn(got, "\n");
		got += *got == '\n';
	}
	return *got == '\0';
}

static void test_mistakes(void **state)
{
	(void)state;
	conffile_write("a.conf", "\n# 2\nhostnam = 1\n");
	conffile_write("good.conf", "spool_min_free = 1G\n\nsite \"x.y\" {\n}");
	conffile_write("open.conf", "\nsite \"x.y\" {\n\n");
	conffile_write("value.conf", "/* 1 */\nsite \"x.y\" { connections = 0 }\n");
	conffile_write("loop.conf", "\ninclude(\"loop.conf\")\n");
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		char *out;
		struct conf *c = conffile_load(mistakes[i].text, &out);
		if (c || !matches(mistakes[i].messages, out))
			fail_msg("%s\nwanted:\n%s\ngot:\n%s", mistakes[i].text,
			    mistakes[i].messages, out);
		free(out);
	}
}

/* A mistake leaves nothing in libconfuse's static lexer that the next file would stumble over. */
static void test_after_mistake(void **state)
{
	(void)state;
	char *out;
	assert_null(conffile_load("listen \"a\" { address = { \"x\" \"y\"", &out));
	free(out);
	struct conf *c = conffile_good("workers = 3\n");
	assert_int_equal(c->workers, 3);
	conf_free(c);
}

static void test_unreadable(void **state)
{
	(void)state;
	struct conf *c;
	struct conf_messages msgs = {0};
	assert_int_equal(conf_load("/no/such/file", &c, &msgs), -ENOENT);
	assert_null(c);
	assert_int_equal(msgs.errors, 1);
	assert_string_equal(msgs.v[0].text, "can't be read: No such file or directory");
	conf_messages_free(&msgs);
}

static void test_notes(void **state)
{
	(void)state;
	char *out;
	conffile_write("inc.conf", "relay_to = \"b.c\"\n");
	struct conf *c =
	    conffile_load("relay_to = { \"a.b\" }\nretry { first = 2m }\ninclude(\"inc.conf\")\n"
			  "retry { max = 1h\n first = 3m }\n",
		&out);
	assert_string_equal(out,
	    "main.conf:5: note: first is given again; this one holds, not main.conf:2\n"
	    "inc.conf:1: note: relay_to is given again; this one holds, not main.conf:1\n");
	free(out);
	assert_non_null(c);
	assert_int_equal(c->retry.first, 180000);
	assert_int_equal(c->retry.max, 3600000);
	assert_int_equal(c->relay_to.n, 1);
	assert_string_equal(c->relay_to.v[0], "b.c");
	conf_free(c);
}

static void test_empty(void **state)
{
	(void)state;
	struct conf *c = conffile_good("");
	char buf[CONF_ADDR_TEXT];
	assert_true(c->hostname[0] && c->origin[0]);
	assert_string_equal(c->spool, CONF_SPOOL_DEFAULT);
	assert_string_equal(c->runtime, CONF_RUNTIME_DEFAULT);
	assert_int_equal(c->nlisten, 1);
	assert_int_equal(c->listen[0].address.n, 2);
	assert_string_equal(conf_addr_format(&c->listen[0].address.v[0], buf), "127.0.0.1:25");
	assert_string_equal(conf_addr_format(&c->listen[0].address.v[1], buf), "[::1]:25");
	assert_int_equal(c->listen[0].tls, CONF_LISTEN_TLS_NONE);
	assert_int_equal(c->relay_from.n, 2);
	assert_int_equal(c->message_size, 50 << 20);
	assert_int_equal(c->retry.first, 60000);
	assert_int_equal(c->retry.factor, 2000);
	assert_int_equal(c->retry.lifetime, 5 * 86400000ull);
	assert_int_equal(c->limits.recipients, 1000);
	assert_int_equal(c->mailbox_kind, CONF_MAILBOX_MBOX);
	assert_string_equal(c->mailbox_path, "/var/mail/%u");
	assert_true(conf_is_local_domain(c, "LOCALHOST"));
	assert_true(conf_is_local_domain(c, c->hostname));
	assert_true(conf_is_local_domain(c, c->origin));
	assert_string_equal(conf_route(c, "", "a", "elsewhere.example")->to.v[0].name, "mx");
	assert_string_equal(conf_route(c, "", "a", "localhost")->to.v[0].name, "local");
	conf_free(c);
	c = conf_default();
	assert_non_null(c);
	assert_int_equal(c->nlisten, 1);
	conf_free(c);
}

/* The same words, written in all the ways the syntax has. */
static void test_syntax(void **state)
{
	(void)state;
	setenv("BATON_TEST_SPOOL", "/a # b", 1);
	struct conf *c =
	    conffile_good("\xef\xbb\xbf// first\r\nworkers=2\r\n"
			  "relay_to = { # none\n} log_level = 'debug' /* x */ soft_bounce=yes\n"
			  "spool = \"${BATON_TEST_SPOOL}\" runtime = /run//x\n"
			  "admins = me // not \"you\"\n"
			  "aliases = \"${BATON_NO_SUCH:-/x/*y*/}\"\n"
			  "catch_all = \"\\\"a\\\\\" mailbox = \"lmtp:[::1]:24\"\n"
			  "route \"*\" { to = tls://[a.b]:2465 }\n"
			  "route \"b.c\" { to = { \"a.b:26\", \"[1.2.3.4]:465\", }\n}\n");
	assert_int_equal(c->workers, 2);
	assert_int_equal(c->relay_to.n, 0);
	assert_int_equal(c->log_level, CONF_LOG_DEBUG);
	assert_true(c->soft_bounce);
	assert_string_equal(c->spool, "/a # b");
	assert_string_equal(c->runtime, "/run//x");
	assert_int_equal(c->admins.n, 1);
	assert_string_equal(c->admins.v[0], "me");
	assert_string_equal(c->aliases, "/x/*y*/");
	assert_string_equal(c->catch_all, "\"a\\");
	assert_int_equal(c->mailbox_kind, CONF_MAILBOX_LMTP);
	assert_int_equal(c->mailbox_target.kind, CONF_TARGET_LMTP);
	assert_string_equal(c->mailbox_target.host, "::1");
	assert_int_equal(c->mailbox_target.port, 24);
	assert_true(c->route[0].to.v[0].implicit_tls);
	assert_string_equal(c->route[0].to.v[0].name, "[a.b]:2465");
	assert_int_equal(c->route[1].to.n, 2);
	assert_string_equal(c->route[1].to.v[0].name, "[a.b]:26");
	assert_false(c->route[1].to.v[0].implicit_tls);
	assert_string_equal(c->route[1].to.v[1].host, "1.2.3.4");
	assert_true(c->route[1].to.v[1].implicit_tls);
	conf_free(c);
}

static void test_derived(void **state)
{
	(void)state;
	struct conf *c = conffile_good(
	    "hostname = \"h.example\"\norigin = \"o.example\"\ndeliver { port = 2525 }\n"
	    "route \"*\" { to = \"[a.b]\" }\ntls { certificate = \"/c\" key = \"/k\" }\n" LISTEN
	    "listen \"b\" { address = \"[::]\" tls = none }\n");
	assert_int_equal(c->local_domains.n, 3);
	assert_true(conf_is_local_domain(c, "o.example"));
	assert_int_equal(c->route[0].to.v[0].port, 2525);
	assert_string_equal(c->route[0].to.v[0].name, "[a.b]:2525");
	assert_int_equal(c->nroute, 1);
	assert_int_equal(c->listen[0].tls, CONF_LISTEN_TLS_OFFERED);
	assert_int_equal(c->listen[1].tls, CONF_LISTEN_TLS_NONE);
	assert_int_equal(c->listen[1].address.v[0].port, 25);
	conf_free(c);
}

static void test_restart(void **state)
{
	(void)state;
	char why[128];
	struct conf *a = conffile_good("workers = 1\n"), *b = conffile_good("workers = 2\n");
	assert_false(conf_changes_need_restart(a, b, why, sizeof(why)));
	conf_free(b);
	b = conffile_good("runtime = \"/x\"\n");
	assert_true(conf_changes_need_restart(a, b, why, sizeof(why)));
	assert_string_equal(why, "runtime changed from /run/baton to /x: that needs a restart");
	conf_free(b);
	b = conffile_good("spool = \"/x\"\n");
	assert_true(conf_changes_need_restart(a, b, why, sizeof(why)));
	conf_free(a);
	conf_free(b);
}

/* opened - what a configuration opens, in words */
static const char *opened(const char *text)
{
	static char out[8192];
	struct conf *c = conffile_good(text);
	FILE *f = fmemopen(out, sizeof(out), "w");
	assert_non_null(f);
	conf_print_open(c, f);
	fclose(f);
	conf_free(c);
	return out;
}

static void test_print_open(void **state)
{
	(void)state;
	const char *out = opened(
	    "hostname = h.example local_domains = h.example relay_from = \"0.0.0.0/0\"\n" LISTEN
	    "listen \"s\" { address = \"[::1]:587\" auth = required }\n"
	    "route \"*\" { to = \"[a.b]:25\" auth = \"p\" }\n");
	assert_non_null(strstr(out, "127.0.0.1:25: open to relay_from for all mail"));
	assert_non_null(strstr(out, "[::1]:587: open after a login only"));
	assert_non_null(strstr(out, "warning: relay_from lets the whole Internet send"));
	assert_non_null(strstr(out, "* to [a.b]:25, logged in as \"p\""));
	assert_non_null(strstr(out, "\nlogins              users of /etc/baton/users, by PLAIN"));
}

static void test_print_open_empty(void **state)
{
	(void)state;
	const char *out = opened("hostname = \"h.example\" origin = \"o.example\"\n");
	assert_string_equal(out,
	    "hostname h.example, origin o.example\n"
	    "listen default      127.0.0.1:25: open to relay_from for all mail, to others for our "
	    "domains; no TLS\n"
	    "listen default      [::1]:25: open to relay_from for all mail, to others for our "
	    "domains; no TLS\n"
	    "relay_from          127.0.0.0/8, ::1/128\n"
	    "sendmail            every user of this host, for all mail, as any sender\n"
	    "our domains         localhost, h.example, o.example (local)\n"
	    "checks on strangers none\n"
	    "route mx            * to mx\n"
	    "every command       root; others: their own mail\n");
}

static void test_print_open_all(void **state)
{
	(void)state;
	const char *out = opened(
	    "hostname = \"h.example\" relay_from = { \"16.0.0.0/4\", \"10.0.0.0/8\" }\n"
	    "relay_certificates = { \"9F86D081884C7D659A2FEAA0C55AD015"
	    "A3BF4F1B2B0B822CD15D6C15B0F00A08\" }\n"
	    "relay_to = { \"r.example\" } catch_all = \"ann\"\n"
	    "sender_owners = \"/o\" admins = { \"%adm\" }\n"
	    "listen \"in\" { address = \"127.0.0.1:587\" auth = required auth_plaintext = true }\n"
	    "virtual \"v.example\" { mailbox = \"maildir:/v/%n\" user = \"nobody\"\n"
	    "users = \"/v/u\" }\n"
	    "policy { rdns = true helo = \"fqdn\" }\n"
	    "metrics { address = \"127.0.0.1:9325\" }\n");
	static const char *const lines[] = {
	    "127.0.0.1:587: open after a login only; no TLS; logins without TLS too\n",
	    "\ncertificates        1 of relay_certificates, for all mail\n",
	    "\nsendmail            every user of this host, for all mail, as the senders of /o\n",
	    "; v.example (virtual, users of /v/u); r.example (relay_to)\n",
	    "\nunknown users       their mail goes to ann\n",
	    "\nchecks on strangers rdns, helo\n",
	    "\nmetrics             127.0.0.1:9325: whoever reaches it\n",
	    "\nevery command       %adm; others: their own mail\n",
	    "\nwarning: relay_from lets much of the Internet send to anyone: 16.0.0.0/4\n",
	    "\nwarning: listen in takes passwords that anyone on the way can read\n",
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr(out, lines[i]))
			fail_msg("no %s in %s", lines[i], out);
	assert_null(strstr(out, "anyone: 10.0.0.0/8"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mistakes),
	    cmocka_unit_test(test_after_mistake),
	    cmocka_unit_test(test_unreadable),
	    cmocka_unit_test(test_notes),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_syntax),
	    cmocka_unit_test(test_derived),
	    cmocka_unit_test(test_restart),
	    cmocka_unit_test(test_print_open),
	    cmocka_unit_test(test_print_open_empty),
	    cmocka_unit_test(test_print_open_all),
	};
	return cmocka_run_group_tests(tests, conffile_setup, conffile_teardown);
}
