/* SPDX-License-Identifier: ISC */
/* qmgr/turns.h: shares by weight, senders in turn, one message's recipients together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/child.h"
#include "qmgr/class.h"
#include "qmgr/dest.h"
#include "qmgr/message.h"
#include "qmgr/site.h"
#include "qmgr/turns.h"

static struct child_self self;
const struct child_self *child_self(void)
{
	return &self;
}

#define EACH 12000

static struct pool *pool;
static struct dest dests[3];
static struct message *msgs;
static unsigned nmsgs;

static int setup(void **state)
{
	(void)state;
	pool = calloc(1, sizeof(*pool));
	msgs = calloc(EACH * 3, sizeof(*msgs));
	nmsgs = 0;
	return pool && msgs ? 0 : -1;
}

/* add - a recipient; of a message of its own where msg is NULL */
static struct rcpt *add(
    const char *class, const char *sender, struct dest *dest, struct message *msg, bool front)
{
	struct rcpt *rcpt = calloc(1, sizeof(*rcpt) + 1);
	assert_non_null(rcpt);
	rcpt->msg = msg ? msg : &msgs[nmsgs++];
	rcpt->msg->left++;
	rcpt->dest = dest;
	rcpt->class = class_named(msg_str(class));
	rcpt->lane = class_lane(rcpt->class, sender);
	turns_add(pool, rcpt, front);
	return rcpt;
}

/* take - the recipient whose turn it is, alone; its class */
static const char *take(void)
{
	struct rcpt *rcpt = turns_first(pool);
	if (!rcpt)
		return NULL;
	const char *name = rcpt->class->name;
	turns_used(pool, rcpt, 1);
	turns_remove(rcpt);
	free(rcpt);
	return name;
}

static int teardown(void **state)
{
	(void)state;
	while (take())
		;
	turns_free(pool);
	free(pool);
	free(msgs);
	return 0;
}

/* As long as all three wait they share 1000:10:1; a rest goes to who is left. */
static void test_shares(void **state)
{
	(void)state;
	unsigned urgent = 0, normal = 0, bulk = 0;
	for (unsigned i = 0; i < EACH; i++) {
		add(CLASS_BULK, "b@x", &dests[0], NULL, false);
		add(CLASS_NORMAL, "n@x", &dests[0], NULL, false);
		add(CLASS_URGENT, "u@x", &dests[0], NULL, false);
	}
	for (unsigned i = 0; i < 1011 * 10; i++) {
		const char *name = take();
		urgent += !strcmp(name, CLASS_URGENT);
		normal += !strcmp(name, CLASS_NORMAL);
		bulk += !strcmp(name, CLASS_BULK);
	}
	print_message("urgent %u, normal %u, bulk %u\n", urgent, normal, bulk);
	assert_in_range(urgent, 9990, 10010);
	assert_in_range(normal, 99, 102);
	assert_in_range(bulk, 9, 11);
}

/* A class that was idle has saved up nothing, and comes at once. */
static void test_idle_saves_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		add(CLASS_NORMAL, "n@x", &dests[0], NULL, false);
	for (unsigned i = 0; i < 1000; i++)
		take();
	for (unsigned i = 0; i < 1000; i++)
		add(CLASS_BULK, "b@x", &dests[0], NULL, false);
	unsigned bulk = 0;
	for (unsigned i = 0; i < 1100; i++)
		bulk += !strcmp(take(), CLASS_BULK);
	assert_in_range(bulk, 99, 102);
	add(CLASS_URGENT, "u@x", &dests[0], NULL, false);
	assert_true(!strcmp(take(), CLASS_URGENT) || !strcmp(take(), CLASS_URGENT));
}

/* One sender's thousand, at several destinations, and another's one. */
static void test_senders_take_turns(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		add(CLASS_NORMAL, "many@x", &dests[i % 3], NULL, false);
	struct rcpt *one = add(CLASS_NORMAL, "one@x", &dests[0], NULL, false);
	take();
	assert_ptr_equal(turns_first(pool), one);
	take();
	struct rcpt *back = add(CLASS_NORMAL, "many@x", &dests[1], NULL, true);
	assert_ptr_equal(turns_first(pool), back); /* not tried: it keeps its turn */
}

/* Recipients of one message at one destination go together, others in between or not. */
static void test_bundles(void **state)
{
	(void)state;
	struct message *msg = &msgs[nmsgs++];
	msg->left = 1; /* one more of it lives in the index */
	struct rcpt *a = add(CLASS_NORMAL, "s@x", &dests[0], msg, false);
	add(CLASS_NORMAL, "s@x", &dests[1], msg, false);
	add(CLASS_NORMAL, "s@x", &dests[0], NULL, false);
	struct rcpt *b = add(CLASS_NORMAL, "s@x", &dests[0], msg, false);
	assert_ptr_equal(turns_first(pool), a);
	assert_ptr_equal(turns_more(a), b);
	assert_null(turns_more(b));
	turns_remove(a);
	assert_ptr_equal(turns_first(pool), b); /* out of the middle: the rest keeps its place */
	turns_remove(b);
	assert_ptr_equal(turns_first(pool)->dest, &dests[1]);
	free(a);
	free(b);
	assert_true(turns_has(pool, class_normal()));
	assert_false(turns_has(pool, class_urgent()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_idle_saves_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_senders_take_turns, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bundles, setup, teardown),
	};
	return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
