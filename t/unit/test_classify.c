/* SPDX-License-Identifier: ISC */
/* qmgr/classify.h: which class a message's recipients belong to, a table of cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conffile.h"
#include "lib/child.h"
#include "lib/envelope.h"
#include "qmgr/classify.h"

static struct child_self self;
const struct child_self *child_self(void)
{
	return &self;
}

static const char config[] =
    "listen \"lan\" { address = \"127.0.0.1:2525\" }\n"
    "class \"urgent\" { sender = { \"alerts@a.b\", \"*@mon.a.b\" } }\n"
    "class \"bulk\" { sender = \"*@news.a.b\" weight = 2 lifetime = 2d }\n"
    "class \"both\" { sender = \"*@news.a.b\" header = { \"X-Kind: Promo\", \"X-Promo\" } }\n"
    "class \"lan\" { client = \"192.168.0.0/16\" listener = \"lan\" }\n"
    "class \"joe\" { user = { \"joe\", \"1000\" } weight = 30 }\n"
    "class \"oncall\" { recipient = { \"oncall@c.d\", \".ops.c.d\" } weight = 500 }\n"
    "class \"normal\" { lifetime = 3d }\n";

struct of {
	const char *sender, *rcpt, *client, *listener, *user, *header;
	uint32_t uid;
	const char *class;
};

static void check(const struct of *c)
{
	struct envelope_writer w;
	struct envelope env;
	envelope_writer_init(&w, 100000);
	envelope_put_bytes(&w, ENV_SENDER, c->sender, strlen(c->sender));
	envelope_put_u64(&w, ENV_ARRIVAL, 1);
	if (c->client)
		envelope_put_bytes(&w, ENV_CLIENT, c->client, strlen(c->client));
	if (c->listener)
		envelope_put_bytes(&w, ENV_LISTENER, c->listener, strlen(c->listener));
	if (c->user)
		envelope_put_bytes(&w, ENV_USER, c->user, strlen(c->user));
	if (c->uid)
		envelope_put_u32(&w, ENV_UID, c->uid);
	if (c->header)
		envelope_put_bytes(&w, ENV_HEADER, c->header, strlen(c->header));
	envelope_put_rcpt(
	    &w, &(struct envelope_rcpt){.address = msg_str(c->rcpt), .parent = UINT32_MAX});
	assert_int_equal(envelope_read(w.data, w.len, &env), 0);
	classify_message(&env, w.data, w.len);
	assert_string_equal(classify_rcpt(c->rcpt)->name, c->class);
	envelope_writer_free(&w);
}

static void test_table(void **state)
{
	static const struct of cases[] = {
	    {"x@y.z", "r@c.d", "10.0.0.1", NULL, NULL, NULL, 0, "normal"},
	    {"", "r@c.d", "10.0.0.1", NULL, NULL, NULL, 0, "normal"},
	    {"Alerts@A.b", "r@c.d", "10.0.0.1", NULL, NULL, NULL, 0, "urgent"},
	    {"q@mon.a.b", "r@c.d", NULL, NULL, NULL, NULL, 0, "urgent"},
	    {"q@news.a.b", "r@c.d", NULL, NULL, NULL, NULL, 0, "bulk"},
	    /* all of a block has to match; the one that names more counts */
	    {"q@news.a.b", "r@c.d", NULL, NULL, NULL, "x-kind:  promo ", 0, "both"},
	    {"q@news.a.b", "r@c.d", NULL, NULL, NULL, "X-Promo: 1", 0, "both"},
	    {"q@news.a.b", "r@c.d", NULL, NULL, NULL, "X-Kind: Promotion", 0, "bulk"},
	    {"x@y.z", "r@c.d", NULL, NULL, NULL, "X-Kind: promo", 0, "normal"},
	    {"x@y.z", "r@c.d", "192.168.7.7", "lan", NULL, NULL, 0, "lan"},
	    {"x@y.z", "r@c.d", "192.168.7.7", "wan", NULL, NULL, 0, "normal"},
	    {"x@y.z", "r@c.d", "192.169.7.7", "lan", NULL, NULL, 0, "normal"},
	    {"x@y.z", "r@c.d", "local", "lan", NULL, NULL, 0, "normal"},
	    {"x@y.z", "r@c.d", "10.0.0.1", "lan", "Joe", NULL, 0, "joe"},
	    {"x@y.z", "r@c.d", "local", NULL, NULL, NULL, 1000, "joe"},
	    {"x@y.z", "r@c.d", "local", NULL, NULL, NULL, 1001, "normal"},
	    /* of two that name as much the heavier */
	    {"alerts@a.b", "r@c.d", NULL, NULL, "joe", NULL, 0, "urgent"},
	    {"x@y.z", "OnCall@c.d", NULL, NULL, "joe", NULL, 0, "oncall"},
	    {"x@y.z", "r@x.ops.c.d", NULL, NULL, NULL, NULL, 0, "oncall"},
	    {"x@y.z", "r@ops.c.d", NULL, NULL, NULL, NULL, 0, "normal"},
	    /* built in, where no block matches */
	    {"x@y.z", "r@c.d", NULL, NULL, NULL, "Precedence: LIST", 0, "bulk"},
	    {"x@y.z", "r@c.d", NULL, NULL, NULL, "precedence:junk", 0, "bulk"},
	    {"x@y.z", "r@c.d", NULL, NULL, NULL, "Precedence: first-class", 0, "normal"},
	    {"x@y.z", "r@c.d", NULL, NULL, NULL, "List-Id: <l.c.d>", 0, "normal"},
	    {"alerts@a.b", "r@c.d", NULL, NULL, NULL, "Precedence: bulk", 0, "urgent"},
	};
	struct conf *conf = conffile_good(config);
	(void)state;
	self.conf = conf;
	class_configure(conf);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(&cases[i]);
	assert_int_equal(class_weight(class_urgent()), 1000);
	assert_int_equal(class_weight(class_normal()), 10);
	assert_int_equal(class_weight(class_named(msg_str("bulk"))), 2);
	assert_int_equal(class_weight(class_named(msg_str("gone"))), 10);
	assert_true(class_lifetime(class_named(msg_str("bulk"))) == UINT64_C(2) * 86400000);
	assert_true(class_lifetime(class_normal()) == UINT64_C(3) * 86400000);
	assert_true(class_lifetime(class_named(msg_str("gone"))) == UINT64_C(3) * 86400000);
	assert_true(class_lifetime(class_urgent()) == UINT64_C(5) * 86400000);
	assert_true(class_shortest_lifetime() == UINT64_C(2) * 86400000);
	assert_true(class_configured(class_urgent()) && !class_configured(class_normal()));
	conf_free(conf);
}

/* Without any block. */
static void test_no_configuration(void **state)
{
	struct conf *conf = conf_default();
	(void)state;
	self.conf = conf;
	class_configure(conf);
	check(&(struct of){"x@y.z", "r@c.d", NULL, NULL, NULL, NULL, 0, "normal"});
	check(&(struct of){"x@y.z", "r@c.d", NULL, NULL, NULL, "Precedence: bulk", 0, "bulk"});
	assert_int_equal(class_weight(class_named(msg_str("bulk"))), 1);
	assert_false(class_configured(class_urgent()));
	conf_free(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_no_configuration),
	};
	return cmocka_run_group_tests_name("classify", tests, conffile_setup, conffile_teardown);
}
