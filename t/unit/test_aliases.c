/* SPDX-License-Identifier: ISC */
/* master/aliases: forms of the file, what is broken stays there as broken, and the file in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "master/aliases.h"

/* members - "a|b|c" of an alias, "!" for a broken one, "-" for none */
static const char *members(const struct alias *a)
{
	static char text[1024];
	if (!a)
		return "-";
	if (a->broken)
		return "!";
	text[0] = '\0';
	for (size_t i = 0; i < a->nmembers; i++) {
		size_t n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "%s%s", i ? "|" : "", a->members[i]);
	}
	return text;
}

static void test_forms(void **state)
{
	(void)state;
	static const struct {
		const char *text, *name, *want;
	} cases[] = {
	    {"root: admin@example.org\n", "root", "admin@example.org"},
	    {"root: admin", "ROOT", "admin"},
	    {"Root : a , b,c ,\n", "root", "a|b|c"},
	    {"list: a,\n\tb,\n  c\nnext: d\n", "list", "a|b|c"},
	    {"list: a,\n\tb,\n  c\nnext: d\n", "next", "d"},
	    {"list: a,\n# between\n\n b\n# behind\nnext: d\n", "list", "a|b"},
	    {"# comment: x\nroot: a\n", "comment", "-"},
	    {"\"two words\": a\n", "two words", "a"},
	    {"o'hara: \"quoted, local\"@example.org, b\n", "o'hara",
		"\"quoted, local\"@example.org|b"},
	    {"bob: Bob Builder <bob@example.org>, <eve>\n", "bob", "bob@example.org|eve"},
	    {"me: \\me, me@example.org\n", "me", "\\me|me@example.org"},
	    {"x: a\nx: b\n", "x", "a"},
	    {"x:\n", "x", "!"},
	    {"x: |/usr/bin/procmail\n", "x", "!"},
	    {"x: \"|/bin/cmd with words\"\n", "x", "!"},
	    {"x: a, /var/mail/archive\n", "x", "!"},
	    {"x: :include:/etc/list\n", "x", "!"},
	    {"x: two words\n", "x", "!"},
	    {"x: \"never ends\n", "x", "!"},
	    {"no colon here\ny: b\n", "y", "b"},
	    {": a\ny: b\n", "y", "b"},
	    {" indented: a\n", "indented", "a"},
	    {"", "x", "-"},
	    {"\n\n#\n", "x", "-"},
	    {"x: a\r\n", "x", "a"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* an exact copy, so that a sanitizer sees a step past the end */
		size_t len = strlen(cases[i].text);
		char *copy = malloc(len ? len : 1);
		memcpy(copy, cases[i].text, len);
		struct aliases *a = aliases_parse(copy, len, "test");
		assert_non_null(a);
		assert_string_equal(members(aliases_find(a, cases[i].name)), cases[i].want);
		aliases_free(a);
		free(copy);
	}
}

static void test_many(void **state)
{
	(void)state;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	for (int i = 0; i < 20000; i++)
		fprintf(f, "user%d: u%d@example.org\n", i, i);
	fprintf(f, "all: u");
	for (int i = 0; i < 90000; i++)
		fprintf(f, ",\n u%d", i);
	fclose(f);
	struct aliases *a = aliases_parse(text, len, "test");
	assert_string_equal(members(aliases_find(a, "user19999")), "u19999@example.org");
	const struct alias *all = aliases_find(a, "all");
	assert_false(all->broken);
	assert_int_equal(all->nmembers, 90001);
	assert_string_equal(all->members[90000], "u89999");
	aliases_free(a);
	free(text);
}

/* put - the file has that content now */
static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_file_in_use(void **state)
{
	(void)state;
	char dir[] = "/tmp/baton-aliases-XXXXXX", path[64];
	const struct alias *a;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/aliases", dir);
	aliases_use("");
	assert_int_equal(aliases_lookup("root", &a), 0);
	assert_null(a);
	aliases_use(path); /* isn't there: no aliases */
	assert_int_equal(aliases_lookup("root", &a), 0);
	assert_null(a);
	put(path, "root: one\n");
	aliases_use(path);
	assert_int_equal(aliases_lookup("Root", &a), 0);
	assert_string_equal(members(a), "one");
	/* changed: seen after ALIASES_LOOK_MS by itself */
	put(path, "root: two-longer\n");
	nanosleep(&(struct timespec){1, 100000000}, NULL);
	assert_int_equal(aliases_lookup("root", &a), 0);
	assert_string_equal(members(a), "two-longer");
	unlink(path);
	aliases_use(path);
	assert_int_equal(aliases_lookup("root", &a), 0);
	assert_null(a);
	aliases_use(dir); /* no file: nobody can say what an address stands for */
	assert_int_equal(aliases_lookup("root", &a), -EAGAIN);
	aliases_use("");
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_file_in_use),
	};
	return cmocka_run_group_tests_name("aliases", tests, NULL, NULL);
}
