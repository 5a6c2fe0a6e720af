/* SPDX-License-Identifier: ISC */
/* Envelopes there and back, attributes of a later version, and what a hostile writer could send. */
#include "lib/envelope.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* put_rcpt - a recipient with nothing but its address */
static void put_rcpt(struct envelope_writer *w, const char *address)
{
	envelope_put_rcpt(
	    w, &(struct envelope_rcpt){.address = msg_str(address), .parent = UINT32_MAX});
}

/* put_minimum - what every message has */
static void put_minimum(struct envelope_writer *w)
{
	envelope_put_bytes(w, ENV_SENDER, "", 0);
	envelope_put_u64(w, ENV_ARRIVAL, 1700000000123ull);
}

static int read_back(const struct envelope_writer *w, struct envelope *env)
{
	return envelope_read(w->data, w->len, env);
}

static void test_there_and_back(void **state)
{
	struct envelope_writer w;
	struct envelope_rcpt rcpt;
	struct envelope env;
	size_t pos = 0;

	(void)state;
	envelope_writer_init(&w, 1 << 20);
	envelope_put_bytes(&w, ENV_SENDER, "a@example.org", 13);
	envelope_put_u64(&w, ENV_ARRIVAL, 1700000000123ull);
	envelope_put_u32(&w, ENV_FLAGS, ENVF_8BIT | ENVF_NOTICE);
	envelope_put_u32(&w, ENV_UID, 1000);
	put_rcpt(&w, "b@example.org");
	envelope_put_bytes(&w, ENV_CLIENT, "127.0.0.1", 9);
	envelope_put_rcpt(&w, &(struct envelope_rcpt){.address = msg_str("c@example.org"),
				  .sender = msg_str("owner-list@example.org"),
				  .notify = 4,
				  .orcpt = msg_str("rfc822;c"),
				  .parent = 0});
	assert_int_equal(w.error, 0);
	assert_int_equal(read_back(&w, &env), 0);
	assert_int_equal(env.arrival_ms, 1700000000123ull);
	assert_int_equal(env.flags, ENVF_8BIT | ENVF_NOTICE);
	assert_int_equal(env.uid, 1000);
	assert_int_equal(env.nrcpts, 2);
	assert_memory_equal(env.client.data, "127.0.0.1", 9);
	assert_int_equal(envelope_next_rcpt(w.data, w.len, &pos, &rcpt), 1);
	assert_memory_equal(rcpt.address.data, "b@example.org", 13);
	assert_null(rcpt.sender.data);
	assert_int_equal(rcpt.parent, UINT32_MAX);
	assert_int_equal(envelope_next_rcpt(w.data, w.len, &pos, &rcpt), 1);
	assert_int_equal(rcpt.sender.len, 22);
	assert_int_equal(rcpt.notify, 4);
	assert_int_equal(rcpt.parent, 0);
	assert_int_equal(envelope_next_rcpt(w.data, w.len, &pos, &rcpt), 0);
	struct msg_bytes field;
	pos = 0;
	assert_int_equal(env.nheaders, 0);
	assert_int_equal(envelope_next_header(w.data, w.len, &pos, &field), 0);
	envelope_put_bytes(&w, ENV_HEADER, "List-Id: <l>", 12);
	assert_int_equal(envelope_read(w.data, w.len, &env), 0);
	assert_int_equal(env.nheaders, 1);
	pos = 0;
	assert_int_equal(envelope_next_header(w.data, w.len, &pos, &field), 1);
	assert_memory_equal(field.data, "List-Id: <l>", 12);
	assert_int_equal(envelope_next_header(w.data, w.len, &pos, &field), 0);
	envelope_writer_free(&w);
}

static void test_a_later_version(void **state)
{
	struct envelope_writer w;
	struct envelope env;

	(void)state;
	envelope_writer_init(&w, 1 << 20);
	put_minimum(&w);
	envelope_put_bytes(&w, (enum envelope_attr)4711, "what is to come", 15);
	put_rcpt(&w, "b@example.org");
	assert_int_equal(read_back(&w, &env), 0);
	assert_int_equal(env.nrcpts, 1);
	envelope_writer_free(&w);
}

static void test_every_cut(void **state)
{
	struct envelope_writer w;
	struct envelope env;

	(void)state;
	envelope_writer_init(&w, 1 << 20);
	put_minimum(&w);
	put_rcpt(&w, "b@example.org");
	for (size_t len = 0; len < w.len; len++)
		assert_int_equal(envelope_read(w.data, len, &env), -EBADMSG);
	envelope_writer_free(&w);
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *what, *sender, *rcpt;
		int arrival;
	} bad[] = {
	    {"no recipient", "a@b", NULL, 1},
	    {"no arrival", "a@b", "c@d", 0},
	    {"no sender", NULL, "c@d", 1},
	    {"empty recipient", "a@b", "", 1},
	    {"line feed in a recipient", "a@b", "c@d\nRCPT TO:<e@f>", 1},
	    {"carriage return in the sender", "a@b\r", "c@d", 1},
	    {"DEL in a recipient", "a@b", "c\x7f@d", 1},
	};
	char longest[258];
	struct envelope_writer w;
	struct envelope env;

	(void)state;
	envelope_writer_init(&w, 1 << 20);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		envelope_writer_reset(&w);
		if (bad[i].sender)
			envelope_put_bytes(&w, ENV_SENDER, bad[i].sender, strlen(bad[i].sender));
		if (bad[i].arrival)
			envelope_put_u64(&w, ENV_ARRIVAL, 1);
		if (bad[i].rcpt)
			put_rcpt(&w, bad[i].rcpt);
		if (read_back(&w, &env) != -EBADMSG)
			fail_msg("%s: taken", bad[i].what);
	}
	memset(longest, 'a', sizeof(longest));
	longest[257] = '\0';
	envelope_writer_reset(&w);
	put_minimum(&w);
	put_rcpt(&w, longest);
	assert_int_equal(read_back(&w, &env), -EBADMSG);
	longest[256] = '\0';
	envelope_writer_reset(&w);
	put_minimum(&w);
	put_rcpt(&w, longest);
	assert_int_equal(read_back(&w, &env), 0);
	envelope_writer_free(&w);
}

static void test_the_writers_maximum(void **state)
{
	struct envelope_writer w;

	(void)state;
	envelope_writer_init(&w, 100);
	put_minimum(&w);
	for (int i = 0; i < 10; i++)
		put_rcpt(&w, "b@example.org");
	assert_int_equal(w.error, -EMSGSIZE);
	assert_true(w.len <= 100);
	envelope_writer_reset(&w);
	put_minimum(&w);
	assert_int_equal(w.error, 0);
	envelope_writer_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_there_and_back),
	    cmocka_unit_test(test_a_later_version),
	    cmocka_unit_test(test_every_cut),
	    cmocka_unit_test(test_what_is_refused),
	    cmocka_unit_test(test_the_writers_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
