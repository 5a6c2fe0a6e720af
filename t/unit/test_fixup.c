/* SPDX-License-Identifier: ISC */
/* smtpd/fixup, smtpd/masquerade: what becomes of the header of submitted mail, form by form. */
#include "smtpd/fixup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/masquerade.h"

#define ARRAY(a) (sizeof(a) / sizeof((a)[0]))
#define SAME     "="

static char *plain_entries[] = {NULL};
static char *entries[] = {(char *)"*@host.lan=*@example.org", (char *)"root@*=admin@example.org",
    (char *)"*@.lan=all@lan.example", (char *)"*@deep.sub.lan=*@deep.example",
    (char *)"root@one.lan=one@example.org", (char *)"*@.sub.lan=*@sub.example"};

/* conf_with - origin is o.test */
static struct conf conf_with(char **list, size_t n)
{
	return (struct conf){.origin = (char *)"o.test", .masquerade = {.v = list, .n = n}};
}

/* mended - the whole of a text after the fix-up, in a static buffer */
static const char *mended(
    const struct conf *conf, bool privacy, const char *text, struct fixup *fix)
{
	static char out[100000];
	size_t len = strlen(text);

	assert_int_equal(fixup_header(conf, privacy, text, len, true, fix), 0);
	assert_true(fix->len <= len);
	snprintf(out, sizeof(out), "%.*s%s", (int)(fix->text ? fix->text_len : fix->len),
	    fix->text ? fix->text : text, text + fix->len);
	return out;
}

struct row {
	const char *text, *want; /* SAME: nothing changes */
};

/* table - every row */
static void table(const struct conf *conf, bool privacy, const struct row *rows, size_t n)
{
	struct fixup fix;

	for (size_t i = 0; i < n; i++) {
		bool same = strcmp(rows[i].want, SAME) == 0;
		assert_string_equal(
		    mended(conf, privacy, rows[i].text, &fix), same ? rows[i].text : rows[i].want);
		assert_int_equal(same, !fix.text);
	}
}

static void test_origin(void **state)
{
	static const struct row rows[] = {
	    {"From: a@b\r\nTo: c@d, \"e, f\" <g@h>\r\n\r\nroot\r\n", SAME},
	    {"From: root\r\n\r\n", "From: root@o.test\r\n\r\n"},
	    {"FROM : root (Cron Daemon)\r\n\r\n", "FROM : root@o.test (Cron Daemon)\r\n\r\n"},
	    {"From: \"Cron, D.\" <root>\r\nTo: a@b\r\n\r\nx",
		"From: \"Cron, D.\" <root@o.test>\r\nTo: a@b\r\n\r\nx"},
	    {"To: bob, <alice> ,c@d\r\n\t, Dave <dave>\r\nX: y\r\n\r\n",
		"To: bob@o.test, <alice@o.test> ,c@d\r\n\t, Dave <dave@o.test>\r\nX: y\r\n\r\n"},
	    {"Cc: team: bob, a@b;, carl\r\nReply-To: me\r\nSender: you\r\n\r\n",
		"Cc: team: bob@o.test, a@b;, carl@o.test\r\nReply-To: me@o.test\r\nSender: "
		"you@o.test\r\n\r\n"},
	    {"Resent-To: bob\r\nResent-From: al\r\n\r\n",
		"Resent-To: bob@o.test\r\nResent-From: al@o.test\r\n\r\n"},
	    {"To: \"odd one\"\r\n\r\n", "To: \"odd one\"@o.test\r\n\r\n"},
	    {"To: \"a@b\"\r\n\r\n", "To: \"a@b\"@o.test\r\n\r\n"},
	    {"To: undisclosed-recipients:;\r\n\r\n", SAME},
	    {"To: John Smith\r\n\r\n", SAME},
	    {"To: <>\r\nCc:\r\nFrom: \r\n\r\n", SAME},
	    {"To: =?utf-8?q?J=C3=B6rg?=\r\n\r\n", SAME},
	    {"To: bob (never closed\r\nCc: x\r\n\r\n",
		"To: bob (never closed\r\nCc: x@o.test\r\n\r\n"},
	    {"To: bob, <alice\r\n\r\n", SAME},
	    {"To: bob, \"x\r\n\r\n", SAME},
	    {"To: bob, <alice\r\nCc: x\r\n\r\n", "To: bob, <alice\r\nCc: x@o.test\r\n\r\n"},
	    {"To: a;b@c\r\nSubject: bob\r\nX-To: bob\r\n\r\n",
		"To: a@o.test;b@c\r\nSubject: bob\r\nX-To: bob\r\n\r\n"},
	    {"To: a@[IPv6:::1], m\xc3\xbcller\r\n\r\n",
		"To: a@[IPv6:::1], m\xc3\xbcller@o.test\r\n\r\n"},
	    {"To: @x:y\r\n\r\n", "To: @x:y@o.test\r\n\r\n"},
	    {"To: a\x01"
	     "b, c\r\n\r\n",
		"To: a\x01"
		"b, c@o.test\r\n\r\n"},
	};
	struct conf conf = conf_with(plain_entries, 0);
	(void)state;
	table(&conf, false, rows, ARRAY(rows));
}

static void test_masquerade(void **state)
{
	static const struct row rows[] = {
	    {"From: Al (b) <al@HOST.lan>\r\nTo: al@host.lan\r\n\r\n",
		"From: Al (b) <al@example.org>\r\nTo: al@host.lan\r\n\r\n"},
	    {"From: root\r\n\r\n", "From: admin@example.org\r\n\r\n"},
	    {"From: bob\r\n\r\n", "From: bob@o.test\r\n\r\n"},
	    {"Sender: x@y.lan\r\nReply-To: x@a.sub.lan, z@z\r\nResent-Sender: r@host.lan\r\n\r\n",
		"Sender: all@lan.example\r\nReply-To: x@sub.example, z@z\r\n"
		"Resent-Sender: r@example.org\r\n\r\n"},
	    {"From: a (c) @ host . lan\r\n\r\n", "From: a@example.org\r\n\r\n"},
	    {"From: <a\r\n @host.lan>, <a@host.lan\r\n\r\n", SAME},
	    {"From: a@\r\n\r\n", SAME},
	};
	struct conf conf = conf_with(entries, ARRAY(entries));
	(void)state;
	table(&conf, false, rows, ARRAY(rows));
}

static void test_best_entry(void **state)
{
	static const char *const rows[][2] = {
	    {"root@elsewhere.org", "admin@example.org"},
	    {"ROOT@host.lan", "admin@example.org"},
	    {"root@one.lan", "one@example.org"},
	    {"a@host.lan", "a@example.org"},
	    {"\"a b\"@host.lan", "\"a b\"@example.org"},
	    {"a@x.lan", "all@lan.example"},
	    {"a@x.sub.lan", "a@sub.example"},
	    {"a@deep.sub.lan", "a@deep.example"},
	    {"a@lan", NULL},
	    {"a@xlan", NULL},
	    {"a@example.org", NULL},
	    {"admin@example.org", NULL},
	    {"a", NULL},
	    {"", NULL},
	};
	struct conf_list list = {.v = entries, .n = ARRAY(entries)};
	char out[ADDR_SIZE], long_one[ADDR_SIZE];
	(void)state;
	for (size_t i = 0; i < ARRAY(rows); i++) {
		assert_int_equal(
		    masquerade(&list, rows[i][0], strlen(rows[i][0]), out), !!rows[i][1]);
		if (rows[i][1])
			assert_string_equal(out, rows[i][1]);
	}
	memset(long_one, 'a', sizeof(long_one));
	memcpy(long_one + sizeof(long_one) - 10, "@host.lan", 10);
	assert_false(masquerade(&list, long_one, strlen(long_one), out));
	list.n = 0;
	assert_false(masquerade(&list, "a@host.lan", 10, out));
}

static void test_taken_out(void **state)
{
	static const struct row open[] = {
	    {"Bcc: secret@x\r\n\r\n", "\r\n"},
	    {"A: b\r\nbcc : s@x,\r\n\tt@x\r\n u@x\r\nC: d\r\nBCC:\r\n\r\nBcc: body\r\n",
		"A: b\r\nC: d\r\n\r\nBcc: body\r\n"},
	    {"Resent-Bcc: s@x\r\nX-Bcc: y\r\nBccx: z\r\n\r\n", "X-Bcc: y\r\nBccx: z\r\n\r\n"},
	    {"From someone Sat Nov 21\r\nA: b\r\n\r\n", "A: b\r\n\r\n"},
	    {">From someone Sat\r\nA: b\r\n\r\n", "A: b\r\n\r\n"},
	    {"A: b\r\nUser-Agent: x\r\nX-Mailer: y\r\nX-Originating-IP: [192.0.2.1]\r\n\r\n", SAME},
	};
	static const struct row private[] = {
	    {"A: b\r\nUser-agent: x\r\n y\r\nx-mailer: y\r\nX-Originating-IP: [192.0.2.1]\r\n"
	     "Received: from x\r\nSubject: User-Agent: x\r\n\r\nX-Mailer: z\r\n",
		"A: b\r\nReceived: from x\r\nSubject: User-Agent: x\r\n\r\nX-Mailer: z\r\n"},
	};
	struct conf conf = conf_with(plain_entries, 0);
	(void)state;
	table(&conf, false, open, ARRAY(open));
	table(&conf, true, private, ARRAY(private));
}

static void test_where_the_body_begins(void **state)
{
	static const struct row rows[] = {
	    {"", SAME},
	    {"\r\nFrom: x\r\n", SAME},
	    {"A: b\r\n", SAME},
	    {"hello: world is no name\r\n", SAME},
	    {"hello world\r\nTo: x\r\n\r\nTo: y\r\n", "\r\nhello world\r\nTo: x\r\n\r\nTo: y\r\n"},
	    {"..\r\n", "\r\n..\r\n"},
	    {" folded\r\n", "\r\n folded\r\n"},
	    {"To: x\r\nno field\r\n", "To: x@o.test\r\n\r\nno field\r\n"},
	    {"A: b\r\nFrom x\r\n", "A: b\r\n\r\nFrom x\r\n"},
	    {"Caf\xc3\xa9: b\r\n", "\r\nCaf\xc3\xa9: b\r\n"},
	    {": b\r\n", "\r\n: b\r\n"},
	};
	struct conf conf = conf_with(plain_entries, 0);
	(void)state;
	table(&conf, false, rows, ARRAY(rows));
}

static void test_seen(void **state)
{
	struct conf conf = conf_with(plain_entries, 0);
	struct fixup fix;
	(void)state;
	mended(&conf, false,
	    "Received: a\r\nfrom: b@c\r\nDATE : c\r\nMessage-Id: <i@d>\r\nReceived: e\r\n\r\n",
	    &fix);
	assert_true(fix.seen.from && fix.seen.date && fix.seen.message_id);
	assert_int_equal(fix.seen.received, 2);
	assert_int_equal(fix.seen.id_len, 5);
	mended(&conf, false, "Resent-From: b@c\r\nSubject: x\r\n Date: y\r\n\r\nFrom: x\r\n", &fix);
	assert_false(fix.seen.from || fix.seen.date || fix.seen.message_id);
	mended(&conf, false, "text without a header\r\nFrom: x\r\nDate: x\r\n", &fix);
	assert_false(fix.seen.from || fix.seen.date || fix.seen.message_id);
}

/* Of a message whose rest isn't here yet the header has to be. */
static void test_part(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
	    {"", -EMSGSIZE},
	    {"A: b\r\n", -EMSGSIZE},
	    {"A: b\r\nSubj", -EMSGSIZE},
	    {"A: b\r\nSubject: x", -EMSGSIZE},
	    {"A: b\r\n\r", 0},
	    {"A: b\r\n\r\nx", 0},
	    {"A: b\r\nno field\r\n", 0},
	};
	struct conf conf = conf_with(plain_entries, 0);
	struct fixup fix;
	(void)state;
	for (size_t i = 0; i < ARRAY(rows); i++)
		assert_int_equal(
		    fixup_header(&conf, false, rows[i].text, strlen(rows[i].text), false, &fix),
		    rows[i].want);
}

/* Long lines of a header, also those that became so, and of a body without warning. */
static void test_long_lines(void **state)
{
	struct conf conf = conf_with(plain_entries, 0);
	struct fixup fix;
	static char text[20000];
	size_t n = 0;
	(void)state;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "To: ");
	for (int i = 0; i < 400; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "user%d, ", i);
	snprintf(text + n, sizeof(text) - n, "last\r\nSubject: x\r\n\r\nbody\r\n");
	const char *out = mended(&conf, false, text, &fix);
	assert_false(fold_needed(out, strlen(out)));
	assert_memory_equal(out, "To: user0@o.test, user1@o.test,", 31);
	assert_non_null(strstr(out, "user399@o.test, last@o.test\r\nSubject: x\r\n\r\nbody\r\n"));
	assert_non_null(strstr(out, ",\r\n user"));
	memset(text, 'y', 5000);
	memcpy(text + 5000, "\r\n", 3);
	out = mended(&conf, false, text, &fix);
	assert_false(fold_needed(out, strlen(out)));
	assert_memory_equal(out, "\r\nyyy", 5);
	assert_true(fix.body && fix.fold.start);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_origin),
	    cmocka_unit_test(test_masquerade),
	    cmocka_unit_test(test_best_entry),
	    cmocka_unit_test(test_taken_out),
	    cmocka_unit_test(test_where_the_body_begins),
	    cmocka_unit_test(test_seen),
	    cmocka_unit_test(test_part),
	    cmocka_unit_test(test_long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
