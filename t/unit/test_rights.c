/* SPDX-License-Identifier: ISC */
/* lib/rights and qmgr/owner: who may say what to which role, and whose mail it is about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/conf.h"
#include "lib/query.h"
#include "lib/rights.h"
#include "qmgr/owner.h"

/* Everything a tool can say: an admin may, others may list and delete. */
static void test_table(void **state)
{
	static const enum role roles[] = {ROLE_MASTER, ROLE_QMGR, ROLE_DNSCACHE};
	const struct rights_peer admin = {.uid = 7, .admin = true}, other = {.uid = 7};
	unsigned messages = 0;
	(void)state;
	for (unsigned type = 1; type < MSG_TYPES; type++) {
		for (size_t r = 0; r < sizeof(roles) / sizeof(roles[0]); r++) {
			if (!msg_allowed(type, ROLE_TOOL, roles[r]))
				continue;
			messages++;
			for (uint8_t verb = 0; verb <= QUERY_VERBS; verb++) {
				const union msg_any m = {.tool_change = {.verb = verb}};
				bool mine = type == MSG_tool_list || type == MSG_tool_cat ||
					    (type == MSG_tool_change && verb == QUERY_DELETE);
				assert_true(rights_may(&admin, type, &m));
				if (rights_may(&other, type, &m) != mine)
					fail_msg("%s, verb %u", msg_name(type), verb);
				/* those let nobody in but admins, and ask no more */
				assert_true(!mine || roles[r] == ROLE_QMGR);
			}
		}
	}
	assert_true(messages >= 9);
}

/* A list of numbers in a conf. */
static void set_ids(struct conf_ids *ids, uint32_t *v, size_t n)
{
	ids->v = v;
	ids->n = n;
}

/* Whether the other end of a pair, which is this process, is an admin by these lists. */
static bool admin_by(uint32_t uid, uint32_t gid)
{
	struct conf conf = {0};
	struct rights_peer peer = {0};
	uint32_t uids[] = {uid, 4000000001}, gids[] = {4000000002, gid};
	int fds[2];
	set_ids(&conf.admin_uids, uids, 2);
	set_ids(&conf.admin_gids, gids, 2);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	assert_int_equal(rights_peer(fds[0], &conf, &peer), 0);
	assert_int_equal(peer.uid, geteuid());
	close(fds[0]);
	close(fds[1]);
	return peer.admin;
}

static void test_peer(void **state)
{
	enum { NONE = 4000000000 };
	gid_t groups[256];
	struct rights_peer peer;
	struct conf conf = {0};
	(void)state;
	assert_true(admin_by(geteuid(), NONE));
	assert_true(admin_by(NONE, getegid()));
	if (geteuid() != 0)
		assert_false(admin_by(NONE, NONE));
	else
		assert_true(admin_by(NONE, NONE)); /* root needs no list */
	int n = getgroups(256, groups);
	for (int i = 0; i < n; i++)
		assert_true(admin_by(NONE, groups[i]));
	assert_true(rights_peer(-1, &conf, &peer) < 0);
}

static void test_refusal(void **state)
{
	static const struct {
		const char *names[4];
		uint32_t runs_as;
		const char *text;
	} rows[] = {
	    {{"root"}, 0, "only root may do this;"},
	    {{"root", "%adm"}, 0, "only root and members of adm may do this;"},
	    {{"joe", "root", "%adm"}, 0, "only root, joe and members of adm may do this;"},
	    {{"%adm"}, 7, "only root, members of adm and the user who runs baton may do this;"},
	    {{NULL}, 7, "only root and the user who runs baton may do this;"},
	};
	char text[RIGHTS_TEXT_MAX], many[RIGHTS_TEXT_MAX];
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conf conf = {0};
		uint32_t uid = rows[i].runs_as;
		set_ids(&conf.admin_uids, &uid, 1);
		conf.admins.v = (char **)rows[i].names;
		while (rows[i].names[conf.admins.n])
			conf.admins.n++;
		rights_refusal(&conf, text);
		if (strncmp(text, rows[i].text, strlen(rows[i].text)) != 0)
			fail_msg("%s", text);
		assert_non_null(strstr(text, "mailq"));
	}
	/* whatever the names are, what to do is said whole */
	char *names[] = {many, many};
	struct conf conf = {.admins = {2, names}};
	memset(many, 'x', sizeof(many));
	many[sizeof(many) - 1] = '\0';
	rights_refusal(&conf, text);
	assert_non_null(strstr(text, "xxx may do this; of your own mail"));
	assert_string_equal(text + strlen(text) - 9, "delete it");
}

static void test_owner(void **state)
{
	static const struct {
		struct owner owner;
		uint32_t uid;
		const char *user;
		bool his;
	} rows[] = {
	    {{.all = true}, 5, "", true},
	    {{.all = true}, UINT32_MAX, "", true},
	    {{.uid = 5}, 5, "", true},
	    {{.uid = 5, .user = "joe"}, 6, "", false},
	    {{.uid = 5, .user = "joe"}, UINT32_MAX, "joe", true},
	    {{.uid = 5, .user = "joe"}, UINT32_MAX, "Joe", false},
	    {{.uid = 5, .user = "joe"}, UINT32_MAX, "joey", false},
	    {{.uid = 5, .user = "joe"}, UINT32_MAX, "", false},
	    /* no name is known: no login is his, nor what nobody has sent */
	    {{.uid = 5}, UINT32_MAX, "", false},
	    /* nor is mail of no uid that of the highest one */
	    {{.uid = UINT32_MAX}, UINT32_MAX, "", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row_msg row = {.uid = rows[i].uid, .user = msg_str(rows[i].user)};
		if (owner_has(&rows[i].owner, &row) != rows[i].his)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_peer),
	    cmocka_unit_test(test_refusal),
	    cmocka_unit_test(test_owner),
	};
	return cmocka_run_group_tests_name("rights", tests, NULL, NULL);
}
