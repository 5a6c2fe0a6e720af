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
	for (size_t i = 0; i < a->members.n; i++) {
		size_t n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "%s%s", i ? "|" : "", a->members.v[i]);
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
	    {"x: |/usr/bin/procmail\n", "x", "|/usr/bin/procmail"},
	    {"x: |cat > /tmp/x, b\n", "x", "|cat > /tmp/x|b"},
	    {"x: \"|/bin/cmd with, words \\\"q\\\"\", b\n", "x", "|/bin/cmd with, words \"q\"|b"},
	    {"x: |\"/bin/cmd with, words\"\n", "x", "|/bin/cmd with, words"},
	    {"x: |sh -c \"a, b\"\n", "x", "|sh -c \"a, b\""},
	    {"x: a, /var/mail/archive, \"/with, comma\"\n", "x",
		"a|/var/mail/archive|/with, comma"},
	    {"x: :include:/etc/list\n", "x", ":include:/etc/list"},
	    {"x: \":Include:/etc/my list\"\n", "x", ":Include:/etc/my list"},
	    {"x: :include:relative\n", "x", "!"},
	    {"x: :other:/etc/list\n", "x", "!"},
	    {"x: |\n", "x", "!"},
	    {"x: \\\\a\n", "x", "!"},
	    {"x: \"|x\"@example.org\n", "x", "\"|x\"@example.org"},
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
	assert_int_equal(all->members.n, 90001);
	assert_string_equal(all->members.v[90000], "u89999");
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

/* expanded - "a|b" of what qmgr would get for that alias, "!" when it waits */
static const char *expanded(const char *name)
{
	static char text[1024];
	struct address_list out = {0};
	const struct alias *a = NULL;
	assert_int_equal(aliases_lookup(name, &a), 0);
	assert_non_null(a);
	snprintf(text, sizeof(text), "!");
	if (aliases_members(a, &out) == 0) {
		text[0] = '\0';
		for (size_t i = 0; i < out.n; i++) {
			size_t n = strlen(text);
			snprintf(text + n, sizeof(text) - n, "%s%s", i ? "," : "", out.v[i]);
		}
	}
	address_list_free(&out);
	return text;
}

static void test_members(void **state)
{
	(void)state;
	char dir[] = "/tmp/baton-members-XXXXXX", path[64], text[2000];
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	snprintf(path, sizeof(path), "%s/aliases", dir);
	snprintf(text, sizeof(text),
	    "list: one, :include:%1$s/list, two, one\n"
	    "bob: Bob, eve\n"
	    "cmd: |cat, /dev/null\n"
	    "evil: :include:%1$s/evil\n"
	    "gone: :include:%1$s/none\n"
	    "round: :include:%1$s/round\n"
	    "empty: :include:%1$s/empty\n",
	    dir);
	put(path, text);
	put("list", "# people\n\nann@example.org, one\n:include:/dev/null/x\n");
	put("evil", "a\n|rm -rf /\n");
	put("empty", "# nobody\n");
	snprintf(text, sizeof(text), ":include:%s/round\n", dir);
	put("round", text);
	aliases_use(path);
	assert_string_equal(expanded("list"), "!"); /* what is included there can't be read */
	put("list", "# people\n\nann@example.org, one\n\\carl\n");
	assert_string_equal(expanded("list"), "one,ann@example.org,\\carl,two");
	assert_string_equal(expanded("bob"), "\\\\bob,eve");
	char want[100], one[LOCAL_DIGEST_LEN + 1], two[LOCAL_DIGEST_LEN + 1];
	address_list_digest("|cat", one);
	address_list_digest("/dev/null", two);
	snprintf(want, sizeof(want), "|cmd:%s,|cmd:%s", one, two);
	assert_string_equal(expanded("cmd"), want);
	assert_string_equal(expanded("evil"), "!");
	assert_string_equal(expanded("gone"), "!");
	assert_string_equal(expanded("round"), "!");
	assert_string_equal(expanded("empty"), "");
	const struct alias *a;
	assert_int_equal(aliases_lookup("cmd", &a), 0);
	assert_string_equal(address_list_entry(&a->members, two), "/dev/null");
	assert_null(address_list_entry(&a->members, "0123456789abcdef"));
	aliases_use("");
	assert_int_equal(chdir("/"), 0);
	snprintf(text, sizeof(text), "rm -rf %s", dir);
	assert_int_equal(system(text), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_file_in_use),
	    cmocka_unit_test(test_members),
	};
	return cmocka_run_group_tests_name("aliases", tests, NULL, NULL);
}
