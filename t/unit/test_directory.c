/* SPDX-License-Identifier: ISC */
/* master/directory and accounts: aliases, users, postmaster and catch_all, by the host's own users.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/conf_raw.h"
#include "lib/conf_table.h"
#include "lib/conf_value.h"
#include "lib/counters.h"
#include "lib/loop.h"
#include "master/accounts.h"
#include "master/directory.h"

static char folder[] = "/tmp/baton-directory-XXXXXX";
static char path[sizeof(folder) + 10], names[sizeof(folder) + 10];
static char got[300]; /* "mailbox root", "alias 2", "unknown", "tempfail" */
static int answers, wanted;

/* on_answer - write it down; stop the loop with the last one */
static void on_answer(
    enum keeper_verdict verdict, const char *user, const struct map_alias *alias, void *arg)
{
	(void)arg;
	size_t n = 0, pos = 0;
	while (alias && map_member(alias, &pos))
		n++;
	if (verdict == KEEPER_ALIAS)
		snprintf(got, sizeof(got), "alias %zu", n);
	else
		snprintf(got, sizeof(got), "%s%s%s",
		    verdict == KEEPER_MAILBOX   ? "mailbox"
		    : verdict == KEEPER_UNKNOWN ? "unknown"
						: "tempfail",
		    *user ? " " : "", user);
	if (++answers == wanted)
		loop_stop(0);
}

/* ask_at - one question, to its answer */
static const char *ask_at(const char *local, const char *domain, bool expands)
{
	answers = 0;
	wanted = 1;
	snprintf(got, sizeof(got), "nothing");
	directory_ask(msg_str(local), msg_str(domain), expands, on_answer, NULL);
	while (answers < wanted)
		loop_turn();
	return got;
}

/* ask - at the domain that no alias has */
static const char *ask(const char *local, bool expands)
{
	return ask_at(local, "here.example", expands);
}

/* use - that aliases file and catch_all */
static void use(const char *aliases, const char *catch_all)
{
	static struct conf *conf, *old;
	old = conf;
	conf = conf_default();
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(aliases, f);
	fclose(f);
	free(conf->aliases);
	conf->aliases = strdup(path);
	free(conf->catch_all);
	conf->catch_all = strdup(catch_all);
	free(conf->spool);
	conf->spool = strdup(folder);
	struct conf_section *v = conf_section_add(conf, CONF_KIND_VIRTUAL, "hosted");
	const char *const hosted[][2] = {{"domain", "h.example"}, {"users", names},
	    {"mailbox", "maildir:/v/%n"}, {"user", "bin"}};
	char why[CONF_REASON_MAX];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(conf_value_add(conf_opt_find(CONF_KIND_VIRTUAL, hosted[i][0]), v,
				     hosted[i][1], why),
		    0);
	free(conf->origin);
	conf->origin = strdup("here.example");
	assert_int_equal(conf_complete(conf), 0);
	directory_use(conf);
	conf_free(old);
}

static void test_answers(void **state)
{
	(void)state;
	use("Staff: a, b@example.org\nbad: a b\nroot: \\root, x@example.org\n", "");
	assert_string_equal(ask("staff", false), "alias 2");
	assert_string_equal(ask("STAFF", true), "alias 2");
	assert_string_equal(ask("bad", true), "tempfail");
	assert_string_equal(ask("staff+tag", false), "alias 2");
	assert_string_equal(ask("bin+any+tag", true), "mailbox bin");
	assert_string_equal(ask("\\bin+tag", true), "mailbox bin");
	assert_string_equal(ask("\\\\root", true), "mailbox root");
	assert_string_equal(ask("+tag", true), "unknown");
	assert_string_equal(ask("bin", false), "mailbox bin");
	assert_string_equal(ask("BIN", true), "mailbox bin");
	assert_string_equal(ask("no-such-user-here", false), "unknown");
	assert_string_equal(ask("root", true), "alias 2");
	assert_string_equal(ask("\\root", true), "mailbox root");
	assert_string_equal(ask("\\root", false), "unknown"); /* nobody outside says that */
	assert_string_equal(ask("Postmaster", false), "alias 2");
	assert_string_equal(ask("", false), "unknown");
	assert_string_equal(ask("a:b", false), "unknown");
}

static void test_postmaster_and_catch_all(void **state)
{
	(void)state;
	use("", "");
	assert_string_equal(ask("postmaster", false), "mailbox root");
	use("", "bin");
	assert_string_equal(ask("no-such-user-here", false), "mailbox bin");
	assert_string_equal(ask("daemon", true), "mailbox daemon");
	use("lost: one, two, three\n", "lost");
	assert_string_equal(ask("no-such-user-here", true), "alias 3");
	use("", "no-such-user-either"); /* no endless way round */
	assert_string_equal(ask("no-such-user-here", true), "unknown");
	use("postmaster: somebody\n", "");
	assert_string_equal(ask("PostMaster", true), "alias 1");
}

static void test_domains(void **state)
{
	(void)state;
	use("info: a\ninfo@a.example: a, b\nsales+eu@a.example: a, b, c\n@a.example: a, b, c, d\n"
	    "games: a, b\nbin@b.example: a\n@b.example: a b\n",
	    "");
	assert_string_equal(ask_at("info", "a.example", false), "alias 2");
	assert_string_equal(ask_at("Info", "A.Example", true), "alias 2");
	assert_string_equal(ask_at("info+tag", "a.example", true), "alias 2");
	assert_string_equal(ask_at("info", "b.example", true), "alias 1");
	assert_string_equal(ask_at("info", "", true), "alias 1");
	assert_string_equal(ask_at("sales+eu", "a.example", true), "alias 3");
	assert_string_equal(ask_at("sales", "a.example", true), "alias 4");
	/* @domain is for whom nobody else has */
	assert_string_equal(ask_at("bin", "a.example", true), "mailbox bin");
	assert_string_equal(ask_at("bin", "b.example", true), "alias 1");
	assert_string_equal(ask_at("games", "a.example", true), "alias 2");
	assert_string_equal(ask_at("postmaster", "a.example", true), "alias 4");
	assert_string_equal(ask_at("no-such-user-here", "b.example", true), "tempfail");
	assert_string_equal(ask_at("\\bin", "b.example", true), "mailbox bin");
	assert_string_equal(ask_at("\\no-such-user-here", "a.example", true), "unknown");
	assert_string_equal(ask_at("no-such-user-here", "c.example", true), "unknown");
}

static void test_hosted(void **state)
{
	(void)state;
	FILE *f = fopen(names, "w");
	assert_non_null(f);
	fputs("# "
	      "names\nJoe:{CRYPT}secret:1000\nann@h.example\neve@other.example\n../x\n.y\nz/"
	      "z\nup+down\n",
	    f);
	fclose(f);
	use("bin: a\ninfo@h.example: a, b\nann@h.example: ann, c, d\njoe: a\n", "daemon");
	assert_string_equal(ask_at("JOE", "h.example", false), "mailbox joe@h.example");
	assert_string_equal(ask_at("joe+tag", "H.example", true), "mailbox joe@h.example");
	assert_string_equal(ask_at("up+down", "h.example", true), "mailbox up+down@h.example");
	assert_string_equal(ask_at("info+tag", "h.example", true), "alias 2");
	assert_string_equal(ask_at("ann", "h.example", true), "alias 3");
	assert_string_equal(ask_at("\\ann", "h.example", true), "mailbox ann@h.example");
	/* neither the host's users nor its aliases nor catch_all, and nothing that leads elsewhere
	 */
	assert_string_equal(ask_at("bin", "h.example", false), "unknown");
	assert_string_equal(ask_at("games", "h.example", false), "unknown");
	assert_string_equal(ask_at("eve", "h.example", false), "unknown");
	assert_string_equal(ask_at("../x", "h.example", false), "unknown");
	assert_string_equal(ask_at(".y", "h.example", false), "unknown");
	assert_string_equal(ask_at("z/z", "h.example", false), "unknown");
	assert_string_equal(ask_at("postmaster", "h.example", false), "alias 1");
	assert_string_equal(ask_at("joe", "here.example", false), "alias 1");
	use("@h.example: a, b\n", "");
	assert_string_equal(ask_at("games", "h.example", false), "alias 2");
	assert_string_equal(ask_at("joe", "h.example", false), "mailbox joe@h.example");
	unlink(names);
	use("", "");
	assert_string_equal(ask_at("joe", "h.example", false), "tempfail");
}

/* many ask for one name at once: one look-up, all are answered; then the cache answers */
static void test_together(void **state)
{
	(void)state;
	use("", "");
	answers = 0;
	wanted = 50;
	for (int i = 0; i < 50; i++)
		directory_ask(msg_str("games"), msg_str(""), i % 2, on_answer, NULL);
	while (answers < wanted)
		loop_turn();
	assert_string_equal(got, "mailbox games");
	uint64_t hits = counter_read(counters_mine, C_keeper_cache_hits);
	assert_string_equal(ask("games", false), "mailbox games");
	assert_int_equal(counter_read(counters_mine, C_keeper_cache_hits), hits + 1);
}

static int start(void **state)
{
	(void)state;
	char maps[sizeof(folder) + 10];
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/aliases", folder);
	snprintf(names, sizeof(names), "%s/names", folder);
	snprintf(maps, sizeof(maps), "%s/" ALIASES_FOLDER, folder);
	loop_init();
	accounts_prepare();
	return mkdir(maps, 0700) == 0 ? accounts_start() : -1;
}

static int finish(void **state)
{
	(void)state;
	char command[100];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_postmaster_and_catch_all),
	    cmocka_unit_test(test_domains),
	    cmocka_unit_test(test_hosted),
	    cmocka_unit_test(test_together),
	};
	return cmocka_run_group_tests_name("directory", tests, start, finish);
}
