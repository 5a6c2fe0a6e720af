/* SPDX-License-Identifier: ISC */
#include "cli/header.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void note(const char *body, size_t len, void *arg)
{
	char *said = arg;
	size_t at = strlen(said);

	snprintf(said + at, 1000 - at, "%.*s|", (int)len, body);
}

/* read_text - a header section out of a text */
static int read_text(struct header *h, const char *text, bool dot_ends, bool *ended, char *rest)
{
	FILE *in = fmemopen((void *)text, strlen(text) ? strlen(text) : 1, "r");
	int r;

	assert_non_null(in);
	if (strlen(text) == 0)
		(void)getc(in);
	r = header_read(h, in, dot_ends, ended);
	rest[fread(rest, 1, 999, in)] = '\0';
	fclose(in);
	return r;
}

static void test_where_it_ends(void **state)
{
	static const struct {
		const char *text, *fields, *first, *rest;
		bool ended, message_ended;
	} rows[] = {
	    {"Subject: x\n\nbody\n", "Subject: x\n", "", "body\n", true, false},
	    {"Subject: x\n folded\nTo: y\n\nb", "Subject: x\n folded\nTo: y\n", "", "b", true,
		false},
	    {"hello\nworld\n", "", "hello\n", "world\n", false, false},
	    {"Subject: x\nno field here\nbody\n", "Subject: x\n", "no field here\n", "body\n",
		false, false},
	    {"From someone Mon Jan 1\nSubject: x\n\nb", "Subject: x\n", "", "b", true, false},
	    {"\nbody\n", "", "", "body\n", true, false},
	    {"", "", "", "", false, true},
	    {"Subject: cut", "Subject: cut\n", "", "", false, true},
	    {"Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n", "", "body\r\n", true, false},
	    {"Subject: x\n.\nmore\n", "Subject: x\n", "", "more\n", false, true},
	    {" leading space\n", "", " leading space\n", "", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct header h;
		bool ended;
		char rest[1000];

		assert_int_equal(read_text(&h, rows[i].text, true, &ended, rest), 0);
		assert_int_equal(h.len, strlen(rows[i].fields));
		assert_memory_equal(h.text ? h.text : "", rows[i].fields, h.len);
		assert_int_equal(h.first_len, strlen(rows[i].first));
		assert_memory_equal(h.first ? h.first : "", rows[i].first, h.first_len);
		assert_string_equal(rest, rows[i].rest);
		assert_int_equal(h.ended, rows[i].ended);
		assert_int_equal(ended, rows[i].message_ended);
		header_free(&h);
	}
}

static void test_fields(void **state)
{
	char said[1000] = "", rest[1000];
	struct header h;
	bool ended;

	(void)state;
	assert_int_equal(read_text(&h, "To: a,\n b\nBcc: c\n d\nX: y\nbcc : e\nFROM: f\n\n", false,
			     &ended, rest),
	    0);
	assert_true(h.has_from);
	header_each(&h, "to", note, said);
	header_each(&h, "Bcc", note, said);
	assert_string_equal(said, " a,\n b\n| c\n d\n| e\n|");
	header_remove(&h, "BCC");
	assert_int_equal(h.len, strlen("To: a,\n b\nX: y\nFROM: f\n"));
	assert_memory_equal(h.text, "To: a,\n b\nX: y\nFROM: f\n", h.len);
	header_free(&h);
}

static void test_too_long(void **state)
{
	char *text = malloc(HEADER_MAX + 100), rest[1000];
	struct header h;
	bool ended;

	(void)state;
	memset(text, 'a', HEADER_MAX + 99);
	memcpy(text, "Subject: ", 9);
	text[HEADER_MAX + 99] = '\0';
	assert_int_equal(read_text(&h, text, false, &ended, rest), -EMSGSIZE);
	header_free(&h);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_where_it_ends),
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
