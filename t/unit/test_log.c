/* SPDX-License-Identifier: ISC */
/* lib/log: the form of lines, what a peer's text can't do to them, and that nothing ever waits. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/log.h"
#include "lib/loop.h"

#define ID  UINT64_C(1764000000000000)
#define IDT "1J4B50P4G00"

static int pair[2];
static char got[LOG_BUFFER * 2];

/* setup - log to one end of a socket pair, as syslog so that lines have no time */
static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	log_open(pair[0], LOG_TO_SYSLOG, "smtpd", 1);
	log_set(LOG_FORMAT_TEXT, LOG_INFO);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

/* take - flush and read what arrived as one string */
static const char *take(void)
{
	assert_true(log_flush());
	ssize_t n = recv(pair[1], got, sizeof(got) - 1, MSG_DONTWAIT);
	got[n > 0 ? n : 0] = '\0';
	return got;
}

static void test_text(void **state)
{
	(void)state;
	log_event(LOG_INFO, ID, "accept", LOG_STR("client", "192.0.2.1"), LOG_U64("size", 4096),
	    LOG_I64("diff", -5), LOG_ID("old", ID), LOG_BYTES("reply", "250 ok", 3));
	assert_string_equal(take(),
	    "<22>smtpd/1 " IDT " accept client=192.0.2.1 size=4096 diff=-5 old=" IDT
	    " reply=250\n");
	log_event(LOG_WARN, 0, "refuse", LOG_STR("none", NULL), LOG_IF(false, LOG_U64("x", 1)),
	    LOG_IF(true, LOG_U64("y", UINT64_MAX)), LOG_I64("z", INT64_MIN));
	assert_string_equal(take(), "<20>smtpd/1 - refuse level=warning y=18446744073709551615 "
				    "z=-9223372036854775808\n");
	log_event(LOG_INFO, 0, "bare");
	assert_string_equal(take(), "<22>smtpd/1 - bare\n");
}

static void test_peer_text(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} table[] = {
	    {"", "\"\""},
	    {"<a@b=c>", "<a@b=c>"},
	    {"two words", "\"two words\""},
	    {"a\"b", "\"a\\\"b\""},
	    {"a\\x0a", "a\\\\x0a"},
	    {"a\nb", "a\\x0ab"},
	    {"x\r\n<22>smtpd/1 - accept y=1", "\"x\\x0d\\x0a<22>smtpd/1 - accept y=1\""},
	    {"\x1b[2J\x7f\xff", "\\x1b[2J\\x7f\\xff"},
	    {"gr\xc3\xbc\xc3\x9f", "gr\\xc3\\xbc\\xc3\\x9f"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char want[200];
		snprintf(want, sizeof(want), "<22>smtpd/1 - e v=%s end=1\n", table[i].out);
		log_event(LOG_INFO, 0, "e", LOG_STR("v", table[i].in), LOG_U64("end", 1));
		assert_string_equal(take(), want);
	}
	log_info("said %s", "a b\n\"c\"");
	assert_string_equal(take(), "<22>smtpd/1 - info: said a b\\x0a\"c\"\n");
}

static void test_json(void **state)
{
	(void)state;
	log_set(LOG_FORMAT_JSON, LOG_INFO);
	log_event(LOG_INFO, ID, "accept", LOG_STR("from", "a\"\xff"), LOG_U64("size", 7));
	assert_string_equal(take(),
	    "<22>{\"role\":\"smtpd/1\",\"level\":\"info\",\"id\":\"" IDT
	    "\",\"event\":\"accept\",\"from\":\"a\\\"\\u00ff\",\"size\":7}\n");
	log_warnx("x\n%d", 5);
	assert_string_equal(take(), "<20>{\"role\":\"smtpd/1\",\"level\":\"warning\",\"event\":"
				    "\"warning\",\"text\":\"x\\n5\"}\n");
}

static void test_sentences(void **state)
{
	(void)state;
	errno = ENOSPC;
	log_warn("index");
	assert_int_equal(errno, ENOSPC);
	assert_string_equal(take(), "<20>smtpd/1 - warning: index: No space left on device\n");
	assert_int_equal(errno, ENOSPC);
	log_warnc(-EACCES, "open %s", "/x");
	assert_string_equal(take(), "<20>smtpd/1 - warning: open /x: Permission denied\n");
	log_error("bad");
	assert_string_equal(take(), "<19>smtpd/1 - error: bad\n");
	log_text(LOG_INFO, ID, "seen");
	assert_string_equal(take(), "<22>smtpd/1 " IDT " info: seen\n");
}

/* evaluated - counts how often arguments are */
static uint64_t evaluations;
static uint64_t evaluated(void)
{
	return ++evaluations;
}

static void test_levels(void **state)
{
	(void)state;
	evaluations = 0;
	log_event(LOG_DEBUG, 0, "e", LOG_U64("n", evaluated()));
	log_debug("%d", (int)evaluated());
	assert_string_equal(take(), "");
	assert_int_equal(evaluations, 0);
	log_set(LOG_FORMAT_TEXT, LOG_DEBUG);
	log_event(LOG_DEBUG, 0, "e", LOG_U64("n", evaluated()));
	log_debug("%d", (int)evaluated());
	assert_string_equal(take(), "<23>smtpd/1 - e level=debug n=1\n<23>smtpd/1 - debug: 2\n");
	log_set(LOG_FORMAT_TEXT, LOG_ERROR);
	log_warnx("no");
	log_event(LOG_WARN, 0, "e");
	assert_string_equal(take(), "");
	assert_int_equal(log_level_parse("warn"), LOG_WARN);
	assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
	assert_int_equal(log_level_parse("info"), LOG_INFO);
	assert_int_equal(log_level_parse("error"), LOG_ERROR);
	assert_int_equal(log_level_parse("loud"), -EINVAL);
}

/* However long values are and whatever they hold, a line is whole and within LOG_LINE_MAX. */
static void test_long(void **state)
{
	(void)state;
	static char big[LOG_VALUE_MAX * 2];
	static const char fill[] = {'a', '\x01', '"', ' '};
	for (int form = LOG_FORMAT_TEXT; form <= (int)LOG_FORMAT_JSON; form++) {
		for (size_t i = 0; i < sizeof(fill); i++) {
			memset(big, fill[i], sizeof(big));
			log_set((enum log_format)form, LOG_INFO);
			log_event(LOG_INFO, ID, "e", LOG_BYTES("a", big, sizeof(big)),
			    LOG_BYTES("b", big, LOG_VALUE_MAX), LOG_BYTES("c", big, sizeof(big)),
			    LOG_BYTES("d", big, sizeof(big)), LOG_BYTES("e", big, sizeof(big)),
			    LOG_BYTES("f", big, sizeof(big)), LOG_BYTES("g", big, sizeof(big)),
			    LOG_BYTES("h", big, sizeof(big)), LOG_BYTES("i", big, sizeof(big)));
			const char *line = take(), *end = strchr(line, '\n');
			assert_non_null(end);
			assert_int_equal(end[1], '\0');
			assert_true((size_t)(end + 1 - line) <= LOG_LINE_MAX);
			assert_non_null(strstr(line, "..."));
			assert_memory_equal(
			    end - (form ? 9 : 6), form ? ",\"cut\":1}" : " cut=1", form ? 9 : 6);
			big[LOG_VALUE_MAX - 2] = '\0';
			log_info("%s", big);
			line = take();
			assert_true(strlen(line) > LOG_VALUE_MAX && strchr(line, '\n')[1] == '\0');
			if (form)
				assert_non_null(strstr(line, "\"}\n"));
		}
	}
}

/* count - how often a text occurs in another */
static size_t count(const char *in, const char *what)
{
	size_t n = 0;
	for (const char *p = in; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/* fill_up - log n numbered lines and never wait */
static void fill_up(int n)
{
	for (int i = 0; i < n; i++) {
		log_event(LOG_INFO, 0, "line", LOG_I64("n", i),
		    LOG_STR("pad", "0123456789012345678901234567890123456789"));
		if (i % 10 == 0)
			log_flush();
	}
}

/* drain - read everything from fd, flushing; returns how many lines came and how many were lost */
static void drain(int fd, size_t *lines, size_t *lost)
{
	static char all[1 << 22];
	size_t n = 0;
	for (int quiet = 0; quiet < 2;) {
		log_flush();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		quiet = poll(&p, 1, 20) > 0 ? 0 : quiet + 1;
		if (quiet == 0)
			n += (size_t)read(fd, all + n, sizeof(all) - 1 - n);
		assert_true(n < sizeof(all) - 1);
	}
	all[n] = '\0';
	*lines = count(all, " line n=");
	*lost = 0;
	for (char *p = all; (p = strstr(p, " lines lost")); p++) {
		char *q = p;
		while (q[-1] != ' ')
			q--;
		*lost += strtoul(q, NULL, 10);
	}
	assert_true(n == 0 || all[n - 1] == '\n');
	assert_int_equal(count(all, "\n"), *lines + count(all, " lines lost"));
}

/* A full descriptor of each kind: no wait, each line arrives or is counted, flags untouched. */
static void check_full(int in, int out)
{
	size_t lines, lost;
	int flags = fcntl(in, F_GETFL);
	log_open(in, LOG_TO_SYSLOG, "smtpd", 1);
	alarm(20);
	fill_up(20000);
	assert_false(log_flush());
	drain(out, &lines, &lost);
	assert_true(lost > 0 && lines > 0);
	assert_int_equal(lines + lost, 20000);
	fill_up(3);
	drain(out, &lines, &lost);
	assert_int_equal(lines, 3);
	assert_int_equal(lost, 0);
	alarm(0);
	assert_int_equal(fcntl(in, F_GETFL), flags);
}

static void test_full_stream(void **state)
{
	(void)state;
	check_full(pair[0], pair[1]);
}

static void test_full_packets(void **state)
{
	(void)state;
	int p[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p), 0);
	check_full(p[0], p[1]);
	log_open(pair[0], LOG_TO_SYSLOG, "smtpd", 1);
	close(p[0]);
	close(p[1]);
}

static void test_full_pipe(void **state)
{
	(void)state;
	int p[2];
	assert_int_equal(pipe(p), 0);
	check_full(p[1], p[0]);
	log_open(pair[0], LOG_TO_SYSLOG, "smtpd", 1);
	close(p[0]);
	close(p[1]);
}

/* A pipe that can't be opened anew (root can all the same): poll() before each write. */
static void test_full_foreign_pipe(void **state)
{
	(void)state;
	int p[2];
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fchmod(p[1], 0), 0);
	check_full(p[1], p[0]);
	log_open(pair[0], LOG_TO_SYSLOG, "smtpd", 1);
	close(p[0]);
	close(p[1]);
}

/* A descriptor nobody reads any more: lines are dropped and counted, the process lives. */
static void test_broken(void **state)
{
	(void)state;
	int p[2];
	assert_int_equal(pipe(p), 0);
	log_open(p[1], LOG_TO_SYSLOG, "smtpd", 1);
	close(p[0]);
	for (int i = 0; i < 7; i++) {
		log_info("x");
		assert_true(log_flush());
	}
	close(p[1]);
	log_open(pair[0], LOG_TO_SYSLOG, "smtpd", 1);
	log_info("back");
	assert_string_equal(take(), "<22>smtpd/1 - info: back\n"
				    "<20>smtpd/1 - warning: 7 lines lost, the log was full\n");
}

static void test_stderr_time(void **state)
{
	(void)state;
	log_open(pair[0], LOG_TO_STDERR, "qmgr", 0);
	log_info("x");
	const char *line = take();
	int y, mo, d, h, mi, s, ms, end = 0;
	assert_int_equal(
	    sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3d%*1[+-]%*2d:%*2d qmgr - info: x\n%n", &y, &mo,
		&d, &h, &mi, &s, &ms, &end),
	    7);
	assert_int_equal(end, strlen(line));
	assert_true(y >= 2024);
	log_set(LOG_FORMAT_JSON, LOG_INFO);
	log_event(LOG_INFO, 0, "e");
	line = take();
	assert_memory_equal(line, "{\"time\":\"2", 10);
	assert_non_null(strstr(line, "\",\"role\":\"qmgr\",\"level\":\"info\",\"event\":\"e\"}\n"));
}

/* the journal's stream is known by device and inode; lines there have a severity and no time */
static void test_journal(void **state)
{
	struct stat st;
	char stream[64];
	(void)state;
	assert_int_equal(fstat(pair[0], &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	unsetenv("JOURNAL_STREAM");
	assert_false(log_journal(pair[0]));
	setenv("JOURNAL_STREAM", stream, 1);
	assert_true(log_journal(pair[0]));
	assert_false(log_journal(pair[1]));
	setenv("JOURNAL_STREAM", "nonsense", 1);
	assert_false(log_journal(pair[0]));
	unsetenv("JOURNAL_STREAM");
	log_open(pair[0], log_target_named(log_target_name(LOG_TO_JOURNAL)), "qmgr", 1);
	log_event(LOG_INFO, 0, "e");
	assert_string_equal(take(), "<6>qmgr/1 - e\n");
	log_warnx("x");
	assert_string_equal(take(), "<4>qmgr/1 - warning: x\n");
	log_set(LOG_FORMAT_JSON, LOG_INFO);
	log_event(LOG_INFO, 0, "e");
	assert_string_equal(
	    take(), "<6>{\"role\":\"qmgr/1\",\"level\":\"info\",\"event\":\"e\"}\n");
	assert_int_equal(log_target_named(NULL), LOG_TO_STDERR);
	assert_int_equal(log_target_named("other"), LOG_TO_STDERR);
}

/* shout - a thread that logs */
static void *shout(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_event(LOG_INFO, 0, "line", LOG_I64("n", i), LOG_STR("of", arg));
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t t[3];
	static char names[3][4] = {"a", "b", "c"};
	size_t lines, lost;
	log_open(pair[0], LOG_TO_SYSLOG, "smtpd", 1);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, shout, names[i]), 0);
	for (size_t i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	drain(pair[1], &lines, &lost);
	assert_int_equal(lines + lost, 1500);
}

/* Last words come out, and the exit code is the one master knows. */
static void test_fatal(void **state)
{
	(void)state;
	for (int bug = 0; bug < 2; bug++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			signal(SIGABRT, SIG_DFL);
			errno = EIO;
			if (bug)
				log_bug("two %d", 2);
			log_fatal("one %d", 1);
		}
		int status;
		waitpid(pid, &status, 0);
		assert_string_equal(
		    take(), bug ? "<19>smtpd/1 - bug: two 2\n" : "<19>smtpd/1 - fatal: one 1\n");
		if (bug)
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		else
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 111);
	}
}

/* late_reader - a thread that reads everything, but not at once */
static void *late_reader(void *arg)
{
	static char rest[1 << 16];
	usleep(30000);
	while (recv(*(int *)arg, rest, sizeof(rest), 0) > 0)
		;
	return NULL;
}

/* nothing - a handler that is never called */
static void nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* A loop to which nothing happens wakes up for lines that a full descriptor didn't take. */
static void test_idle_loop(void **state)
{
	(void)state;
	pthread_t reader;
	int idle[2];
	loop_init();
	assert_int_equal(pipe(idle), 0);
	struct event *never = event_new(loop_base(), idle[0], EV_READ | EV_PERSIST, nothing, NULL);
	event_add(never, NULL);
	fill_up(5000);
	assert_false(log_flush());
	assert_int_equal(pthread_create(&reader, NULL, late_reader, &pair[1]), 0);
	alarm(10);
	loop_turn(); /* without that it would wait for `never` until the alarm */
	alarm(0);
	usleep(30000);
	assert_true(log_flush());
	shutdown(pair[0], SHUT_RDWR);
	pthread_join(reader, NULL);
	event_free(never);
	event_base_free(loop_base());
	close(idle[0]);
	close(idle[1]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_text),
	    T(test_peer_text),
	    T(test_json),
	    T(test_sentences),
	    T(test_levels),
	    T(test_long),
	    T(test_full_stream),
	    T(test_full_packets),
	    T(test_full_pipe),
	    T(test_full_foreign_pipe),
	    T(test_broken),
	    T(test_stderr_time),
	    T(test_journal),
	    T(test_threads),
	    T(test_fatal),
	    T(test_idle_loop),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
