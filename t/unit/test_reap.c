/* SPDX-License-Identifier: ISC */
/* master/reap: what an end means, and how long the next start waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/reap.h"

/* status_of - the wait status of a process that ends like that */
static int status_of(int code, int sig)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		if (sig)
			kill(getpid(), sig);
		_exit(code);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_verdicts(void **state)
{
	(void)state;
	static const struct {
		int code, sig;
		enum reap_verdict want;
		const char *words;
	} cases[] = {
	    {0, 0, REAP_DONE, "exit code 0"},
	    {100, 0, REAP_NEVER, "exit code 100"},
	    {111, 0, REAP_TEMPORARY, "exit code 111"},
	    {1, 0, REAP_TEMPORARY, "exit code 1"},
	    {0, SIGKILL, REAP_CRASH, "killed by signal 9 (Killed)"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char words[64];
		int status = status_of(cases[i].code, cases[i].sig);
		assert_int_equal(reap_judge(status), cases[i].want);
		assert_string_equal(reap_words(status, words, sizeof(words)), cases[i].words);
	}
}

static void test_delays(void **state)
{
	(void)state;
	unsigned last = 0, sum = 0;
	/* at once, and it serves within two seconds also after a few deaths in a row */
	assert_int_equal(reap_delay_ms(REAP_CRASH, 1), 0);
	for (unsigned n = 1; n < 30; n++) {
		unsigned ms = reap_delay_ms(REAP_CRASH, n);
		assert_true(ms >= last && ms <= 60000);
		if (n <= 4)
			sum += ms;
		last = ms;
	}
	assert_true(sum < 1500);
	assert_int_equal(last, 60000);
	assert_int_equal(reap_delay_ms(REAP_TEMPORARY, 1), 500);
	assert_int_equal(reap_delay_ms(REAP_TEMPORARY, 30), 60000);
	assert_int_equal(reap_delay_ms(REAP_DONE, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_verdicts),
	    cmocka_unit_test(test_delays),
	};
	return cmocka_run_group_tests_name("reap", tests, NULL, NULL);
}
