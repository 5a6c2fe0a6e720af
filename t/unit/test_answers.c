/* SPDX-License-Identifier: ISC */
/* lib/answers: what is told is read, as long as it's good, and whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/answers.h"

static int writer, reader;

/* setup - as master, dnscache and an asker in one process */
static int setup(void **state)
{
	(void)state;
	if (answers_create(&writer, &reader) || answers_serve(writer) || answers_attach(reader))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return close(writer) | close(reader);
}

/* tell - that site, hosts made of one letter */
static void tell(const char *domain, const char *site, uint32_t ttl_s, size_t nhosts, char letter)
{
	char hosts[2000];
	memset(hosts, letter, sizeof(hosts));
	const struct msg_dns_site_is m = {.request = 77,
	    .verdict = DNS_OK,
	    .security = DNS_SECURE,
	    .ttl_s = ttl_s,
	    .site = msg_str(site),
	    .hosts = msg_bytes(hosts, nhosts),
	    .text = msg_str("")};
	answers_tell(DNS_SITE_MX, domain, &m);
}

/* found - the site that is read of a domain, "" for none */
static const char *found(const char *domain)
{
	static char site[DNS_NAME_SIZE];
	struct msg_dns_site_is m;
	site[0] = '\0';
	if (answers_find(DNS_SITE_MX, msg_str(domain), &m))
		snprintf(site, sizeof(site), "%.*s", (int)m.site.len, m.site.data);
	return site;
}

static void told_and_read(void **state)
{
	struct msg_dns_site_is m;
	(void)state;
	assert_false(answers_find(DNS_SITE_MX, msg_str("a.test"), &m));
	tell("a.test", "mx.a.test", 300, 40, 'h');
	assert_true(answers_find(DNS_SITE_MX, msg_str("a.test"), &m));
	assert_int_equal(m.request, 0);
	assert_int_equal(m.verdict, DNS_OK);
	assert_int_equal(m.security, DNS_SECURE);
	assert_in_range(m.ttl_s, 298, 300);
	assert_int_equal(m.hosts.len, 40);
	assert_int_equal(m.hosts.data[39], 'h');
	assert_string_equal(found("a.test"), "mx.a.test");
	assert_string_equal(found("a.tes"), "");
	assert_string_equal(found("b.test"), "");
	assert_false(answers_find(DNS_SITE_HOST, msg_str("a.test"), &m));
	tell("a.test", "other.test", 300, 40, 'h');
	assert_string_equal(found("a.test"), "other.test");
}

static void not_put(void **state)
{
	char longest[300];
	(void)state;
	tell("big.test", "mx.test", 300, 1200, 'h');
	assert_string_equal(found("big.test"), "");
	tell("brief.test", "mx.test", 0, 40, 'h');
	assert_string_equal(found("brief.test"), "");
	memset(longest, 'a', sizeof(longest));
	longest[DNS_NAME_MAX + 1] = '\0';
	tell(longest, "mx.test", 300, 40, 'h');
	assert_string_equal(found(longest), "");
	longest[DNS_NAME_MAX] = '\0';
	tell(longest, "mx.test", 300, 40, 'h');
	assert_string_equal(found(longest), "mx.test");
}

static void dropped(void **state)
{
	(void)state;
	tell("a.test", "mx.a.test", 300, 40, 'h');
	answers_drop();
	assert_string_equal(found("a.test"), "");
	tell("a.test", "mx.a.test", 300, 40, 'h');
	assert_string_equal(found("a.test"), "mx.a.test");
	/* the next dnscache knows nothing of what the last one said */
	assert_int_equal(answers_serve(writer), 0);
	assert_string_equal(found("a.test"), "");
}

static void runs_out(void **state)
{
	(void)state;
	tell("a.test", "mx.a.test", 1, 40, 'h');
	assert_string_equal(found("a.test"), "mx.a.test");
	nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 10000000}, NULL);
	assert_string_equal(found("a.test"), "");
}

static void for_reading_only(void **state)
{
	char path[64];
	(void)state;
	struct stat st;
	assert_int_equal(fstat(reader, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fcntl(reader, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_ptr_equal(
	    mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0),
	    MAP_FAILED);
	assert_int_equal(ftruncate(writer, 4096), -1);
	snprintf(path, sizeof(path), "/proc/self/exe");
	int other = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(answers_attach(other), -EBADMSG);
	close(other);
	assert_string_equal(found("a.test"), "");
	assert_int_equal(answers_attach(reader), 0);
}

/* whatever stands in the file, a reader neither dies of it nor reads beyond */
static void garbage(void **state)
{
	struct msg_dns_site_is m;
	struct stat st;
	unsigned x = 1;
	(void)state;
	tell("a.test", "mx.a.test", 300, 40, 'h');
	assert_int_equal(fstat(writer, &st), 0);
	unsigned char *p =
	    mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	size_t at = 4096;
	while (at + 8 < (size_t)st.st_size && memcmp(p + at, "a.test", 6) != 0)
		at += 8;
	assert_true(at + 8 < (size_t)st.st_size);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned char was[256];
		size_t from = at - 40 + (x = x * 1103515245 + 12345) % 96;
		memcpy(was, p + at - 40, sizeof(was));
		p[from] = (unsigned char)(x >> 16);
		p[from + 1] = (unsigned char)(x >> 8);
		if (answers_find(DNS_SITE_MX, msg_str("a.test"), &m))
			assert_true(m.hosts.len <= ANSWERS_BYTES && m.site.len <= ANSWERS_BYTES);
		memcpy(p + at - 40, was, sizeof(was));
	}
	assert_string_equal(found("a.test"), "mx.a.test");
	munmap(p, (size_t)st.st_size);
}

/* a writer in another process, as fast as it can: what is read is always of one piece */
static void whole_or_nothing(void **state)
{
	struct msg_dns_site_is m;
	unsigned seen = 0, kinds[26] = {0};
	(void)state;
	answers_drop();
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned i = 0; i < 2000000000; i++)
			tell("a.test", "mx.a.test", 300, 300 + i % 26, (char)('a' + i % 26));
		_exit(0);
	}
	assert_true(pid > 0);
	for (unsigned i = 0; (seen < 20000 || i < 100000) && i < 5000000; i++) {
		if (!answers_find(DNS_SITE_MX, msg_str("a.test"), &m))
			continue;
		unsigned letter = (unsigned)(m.hosts.data[0] - 'a');
		assert_in_range(letter, 0, 25);
		assert_int_equal(m.hosts.len, 300 + letter);
		for (size_t k = 0; k < m.hosts.len; k++)
			if (m.hosts.data[k] != m.hosts.data[0])
				fail_msg("two answers in one");
		kinds[letter] = 1;
		seen++;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(seen >= 20000);
	unsigned n = 0;
	for (unsigned i = 0; i < 26; i++)
		n += kinds[i];
	assert_true(n > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(told_and_read),
	    cmocka_unit_test(not_put),
	    cmocka_unit_test(dropped),
	    cmocka_unit_test(runs_out),
	    cmocka_unit_test(for_reading_only),
	    cmocka_unit_test(garbage),
	    cmocka_unit_test(whole_or_nothing),
	};
	return cmocka_run_group_tests_name("answers", tests, setup, teardown);
}
