/* SPDX-License-Identifier: ISC */
/* How long each command is waited for (RFC 5321 §4.5.3.2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/pipeline.h"
#include "lib/hash.h"
#include "t/unit/owner.h"

#define MINUTE 60000u

/* next - the owner's first job */
static struct job *next(void *arg)
{
	struct job *job = seen.queue;
	(void)arg;
	if (job)
		DL_DELETE(seen.queue, job);
	return job;
}

static void done(void *arg, struct job *job)
{
	(void)arg;
	job_free(job);
}

static void test_patience(void **state)
{
	static const struct pipeline_ops ops = {.next = next, .done = done};
	static const unsigned replies[] = {250, 250, 250, 354};
	static const uint32_t wait[] = {5 * MINUTE, 5 * MINUTE, 5 * MINUTE, 2 * MINUTE};
	struct evbuffer *out = evbuffer_new();
	struct pipeline p;
	struct words words;
	(void)state;
	owner_reset();
	pipeline_init(&p, &ops, NULL);
	p.mode = PIPELINE_ENVELOPE;
	assert_int_equal(pipeline_patience(&p, 5 * MINUTE), 0);
	add_job(0, 2, "", "some text\r\n", 0);
	assert_int_equal(pipeline_send(&p, out, 4096), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pipeline_patience(&p, 5 * MINUTE), wait[i]);
		words_set(&words, replies[i], "2.0.0", "ok");
		assert_int_equal(pipeline_reply(&p, &words), PIPELINE_GOES_ON);
	}
	evbuffer_drain(out, evbuffer_get_length(out));
	assert_int_equal(pipeline_send(&p, out, 4), 1);
	assert_int_equal(pipeline_patience(&p, 5 * MINUTE), 3 * MINUTE);
	assert_int_equal(pipeline_send(&p, out, 4096), 0);
	assert_int_equal(pipeline_patience(&p, 5 * MINUTE), 10 * MINUTE);
	words_set(&words, 250, "2.0.0", "ok");
	assert_int_equal(pipeline_reply(&p, &words), PIPELINE_GOES_ON);
	assert_int_equal(pipeline_patience(&p, 5 * MINUTE), 0);
	evbuffer_free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_patience),
	};
	return cmocka_run_group_tests(tests, make_loop, free_loop);
}
