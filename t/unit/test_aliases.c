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

#include "lib/loop.h"
#include "master/aliases.h"

/* Looks for one name. */
struct search {
	struct alias_reader reader;
	const char *name;
	char text[4096]; /* "a|b|c" of an alias, "!" for a broken one, "-" for none */
	size_t members, mistakes;
};

/* on_alias - the first of that name */
static int on_alias(struct alias_reader *reader, struct alias_entry *a)
{
	struct search *s = (struct search *)reader;
	if (strcmp(a->name, s->name) != 0 || strcmp(s->text, "-") != 0)
		return 0;
	s->text[0] = '\0';
	if (a->broken)
		snprintf(s->text, sizeof(s->text), "!");
	s->members = a->members.n;
	for (size_t i = 0; i < a->members.n && !a->broken; i++) {
		size_t n = strlen(s->text);
		snprintf(s->text + n, sizeof(s->text) - n, "%s%s", i ? "|" : "", a->members.v[i]);
	}
	return 0;
}

/* on_mistake - counted */
static void on_mistake(struct alias_reader *reader, unsigned line, const char *words)
{
	struct search *s = (struct search *)reader;
	(void)line, (void)words;
	s->mistakes++;
}

/* find - that name in that text */
static struct search *find(const char *text, size_t len, const char *name)
{
	static struct search s;
	s = (struct search){.reader = {on_alias, on_mistake}, .name = name, .text = "-"};
	FILE *f = len ? fmemopen((void *)text, len, "r") : fopen("/dev/null", "r");
	assert_non_null(f);
	assert_int_equal(alias_file_walk(f, &s.reader), 0);
	fclose(f);
	return &s;
}

static void test_forms(void **state)
{
	(void)state;
	static const struct {
		const char *text, *name, *want;
	} cases[] = {
	    {"root: admin@example.org\n", "root", "admin@example.org"},
	    {"root: admin", "root", "admin"},
	    {"Info@Example.ORG: a\n", "info@example.org", "a"},
	    {"@Example.org: a, @example.net\n", "@example.org", "a|@example.net"},
	    {"a@example.org: @example.net\n", "a@example.org", "!"},
	    {"x@: a\n@: b\n", "@", "-"},
	    {"list: a,\n\n b\n", "list", "a|b"},
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
		assert_string_equal(find(copy, len, cases[i].name)->text, cases[i].want);
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
	assert_string_equal(find(text, len, "user19999")->text, "u19999@example.org");
	const struct search *all = find(text, len, "all");
	assert_true(strcmp(all->text, "!") != 0);
	assert_int_equal(all->members, 90001);
	assert_int_equal(all->mistakes, 0);
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

static int calls;

/* on_ready - somebody's turn */
static void on_ready(void *arg)
{
	(void)arg;
	calls++;
}

/* members - "a|b|c" of that alias in the map in use; "!": broken, "-": none, "?": nobody can tell
 */
static const char *members(const char *name)
{
	static char text[1024];
	struct map_alias a;
	const char *member;
	size_t pos = 0;
	calls = 0;
	aliases_when_ready(on_ready, NULL);
	while (!calls)
		loop_turn();
	int e = aliases_lookup(name, &a);
	if (e)
		return e == -ENOENT ? "-" : "?";
	if (a.broken)
		return "!";
	text[0] = '\0';
	while ((member = map_member(&a, &pos))) {
		size_t n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "%s%s", n ? "|" : "", member);
	}
	return text;
}

static char said[8192];
static bool said_ok;

/* on_rebuilt - in words */
static void on_rebuilt(bool ok, const char *words, void *arg)
{
	(void)arg;
	said_ok = ok;
	snprintf(said, sizeof(said), "%s", words);
}

/* rebuild - by order, to the end */
static bool rebuild(void)
{
	said[0] = '\0';
	aliases_rebuild(on_rebuilt, NULL);
	while (!said[0])
		loop_turn();
	return said_ok;
}

static void test_file_in_use(void **state)
{
	(void)state;
	char dir[] = "/tmp/baton-aliases-XXXXXX", path[64], text[100];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/aliases", dir);
	aliases_use("", dir);
	assert_string_equal(members("root"), "-");
	aliases_use(path, dir); /* isn't there: no aliases */
	assert_string_equal(members("root"), "-");
	put(path, "root: one\nx: y z\n@a.org: b\n");
	aliases_use(path, dir);
	assert_string_equal(members("Root"), "one");
	assert_string_equal(members("x"), "!");
	assert_string_equal(members("@A.org"), "b");
	assert_true(aliases_by_domain());
	/* changed: seen after ALIASES_LOOK_MS by itself */
	put(path, "root: two-longer\n");
	nanosleep(&(struct timespec){1, 100000000}, NULL);
	assert_string_equal(members("root"), "two-longer");
	assert_false(aliases_by_domain());
	/* no text: the map of before stays, and it is said */
	FILE *f = fopen(path, "w");
	fwrite("root: x\0y\n", 10, 1, f);
	fclose(f);
	assert_false(rebuild());
	assert_non_null(strstr(said, "is no text"));
	assert_non_null(strstr(said, "the aliases of before stay in use"));
	assert_string_equal(members("root"), "two-longer");
	put(path, "root: three\nroot: four\n");
	assert_true(rebuild());
	assert_non_null(strstr(said, "1 aliases, 1 mistakes"));
	assert_string_equal(members("root"), "three");
	/* a keeper that starts finds the map of the same file: no build */
	aliases_use("", dir);
	aliases_use(path, dir);
	struct map_alias a;
	assert_int_equal(aliases_lookup("root", &a), 0);
	unlink(path);
	aliases_use(path, dir);
	assert_string_equal(members("root"), "-");
	aliases_use(dir, dir); /* no file: nobody can say what an address stands for */
	assert_string_equal(members("root"), "?");
	/* nowhere to put the map: nobody either */
	put(path, "root: five\n");
	snprintf(text, sizeof(text), "%s/none", dir);
	aliases_use(path, text);
	assert_string_equal(members("root"), "?");
	aliases_use("", dir);
	snprintf(text, sizeof(text), "rm -rf %s", dir);
	assert_int_equal(system(text), 0);
}

/* expanded - "a,b" of what qmgr would get for that alias, "!" when it waits */
static const char *expanded(const char *name, const char *local)
{
	static char text[1024];
	struct address_list out = {0};
	struct map_alias a;
	members(name); /* what there is to wait for */
	assert_int_equal(aliases_lookup(name, &a), 0);
	snprintf(text, sizeof(text), "!");
	if (aliases_members(&a, local, "here.example", &out) == 0) {
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
	    "bob@a.org: bob, \\ann, Bob@A.org, x@b.org\n"
	    "@a.org: @b.org, all\n"
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
	aliases_use(path, dir);
	assert_string_equal(expanded("list", "list"), "!"); /* what is included can't be read */
	put("list", "# people\n\nann@example.org, one\n\\carl\n");
	assert_string_equal(expanded("list", "list"), "one,ann@example.org,\\carl,two");
	assert_string_equal(expanded("bob", "bob"), "\\\\bob,eve");
	assert_string_equal(expanded("bob@a.org", "bob+tag"),
	    "bob@here.example,\\ann@here.example,\\\\bob@a.org,x@b.org");
	assert_string_equal(expanded("@a.org", "joe+tag"), "joe+tag@b.org,all@here.example");
	assert_string_equal(
	    expanded("@a.org", "two \"words\""), "\"two \\\"words\\\"\"@b.org,all@here.example");
	char want[100], one[LOCAL_DIGEST_LEN + 1], two[LOCAL_DIGEST_LEN + 1];
	address_list_digest("|cat", one);
	address_list_digest("/dev/null", two);
	snprintf(want, sizeof(want), "|cmd:%s,|cmd:%s", one, two);
	assert_string_equal(expanded("cmd", "cmd"), want);
	assert_string_equal(expanded("evil", "evil"), "!");
	assert_string_equal(expanded("gone", "gone"), "!");
	assert_string_equal(expanded("round", "round"), "!");
	assert_string_equal(expanded("empty", "empty"), "");
	aliases_use("", dir);
	assert_int_equal(chdir("/"), 0);
	snprintf(text, sizeof(text), "rm -rf %s", dir);
	assert_int_equal(system(text), 0);
}

static int start(void **state)
{
	(void)state;
	loop_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_file_in_use),
	    cmocka_unit_test(test_members),
	};
	return cmocka_run_group_tests_name("aliases", tests, start, NULL);
}
