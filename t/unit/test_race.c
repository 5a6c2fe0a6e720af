/* SPDX-License-Identifier: ISC */
/*
 * Happy Eyeballs against listeners of the test: an address that says nothing is one whose line is
 * full. And which hosts are we ourselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deliver/race.h"
#include "deliver/self.h"
#include "deliver/source.h"
#include "lib/clock.h"
#include "lib/loop.h"
#include "t/unit/conffile.h"
#include "t/unit/owner.h"

/* -- a race --------------------------------------------------------------------------------- */

#define FULL 8 /* connections that fill a listener's line */

static struct hosts hosts;
static struct race race;
static struct race_source source;
static int won, ended;
static unsigned failed;

static void on_won(void *arg, unsigned addr, int fd)
{
	(void)arg;
	won = (int)addr;
	close(fd);
}

static void on_failed(void *arg, unsigned addr, int error)
{
	(void)arg, (void)addr;
	assert_int_not_equal(error, 0);
	failed++;
}

static void on_over(void *arg, int error)
{
	(void)arg;
	ended = error;
}

static const struct race_ops ops = {.won = on_won, .failed = on_failed, .over = on_over};

/* listen_on - at 127.0.0.n, at that port (0: any); returns the port */
static uint16_t listen_on(unsigned n, uint16_t port, int line, int *fd)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(0x7f000000 + n)};
	socklen_t len = sizeof(addr);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(*fd, line), 0);
	getsockname(*fd, (struct sockaddr *)&addr, &len);
	return ntohs(addr.sin_port);
}

/* fill - so many connects that the next one isn't answered any more */
static void fill(unsigned n, uint16_t port, int fds[FULL])
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(0x7f000000 + n)};
	for (unsigned i = 0; i < FULL; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fds[i], (struct sockaddr *)&addr, sizeof(addr)) < 0)
			assert_int_equal(errno, EINPROGRESS);
	}
}

/* set_hosts - 127.0.0.n for each, with its preference */
static void set_hosts(unsigned n, const unsigned *last, const uint16_t *preference, uint16_t port)
{
	hosts = (struct hosts){.nhosts = 1, .naddrs = n};
	for (unsigned i = 0; i < n; i++)
		hosts.addrs[i] = (struct host_addr){.preference = preference[i],
		    .addr = {.family = 4, .bytes = {127, 0, 0, (uint8_t)last[i]}}};
	assert_int_equal(race_init(&race, &ops, NULL), 0);
	race.hosts = &hosts;
	race.port = port;
	race.connect_ms = 600;
	race.source = &source;
	won = ended = -1;
	failed = 0;
}

/* run - until it is decided; ms */
static int64_t run(void)
{
	int64_t began = clock_ms();
	race_run(&race);
	while (won < 0 && ended < 0)
		loop_turn();
	return clock_ms() - began;
}

static void test_a_silent_address_is_overtaken(void **state)
{
	int silent, good, fds[FULL];
	(void)state;
	uint16_t port = listen_on(2, 0, 0, &silent);
	listen_on(3, port, 8, &good);
	fill(2, port, fds);
	set_hosts(2, (unsigned[]){2, 3}, (uint16_t[]){10, 10}, port);
	int64_t took = run();
	assert_int_equal(won, 1);
	assert_true(took >= RACE_STEP_MS - 20);
	/* long before the silent one's time was over, and that one may be tried again */
	assert_int_equal(failed, 0);
	assert_int_equal(hosts.addrs[0].state, HOST_LEFT);
	assert_int_equal(hosts.addrs[1].state, HOST_TRIED);
	/* the winner doesn't let us in: what is left is the silent one */
	won = -1;
	run();
	assert_int_equal(ended, 0);
	assert_int_equal(failed, 1);
	race_end(&race);
	for (unsigned i = 0; i < FULL; i++)
		close(fds[i]);
	close(silent);
	close(good);
}

static void test_a_backup_waits(void **state)
{
	int silent, backup, fds[FULL];
	(void)state;
	uint16_t port = listen_on(2, 0, 0, &silent);
	listen_on(3, port, 8, &backup);
	fill(2, port, fds);
	set_hosts(2, (unsigned[]){2, 3}, (uint16_t[]){10, 20}, port);
	run();
	/* the better host had all its time */
	assert_int_equal(won, 1);
	assert_int_equal(failed, 1);
	race_end(&race);
	for (unsigned i = 0; i < FULL; i++)
		close(fds[i]);
	close(silent);
	close(backup);
}

static void test_refused_ones_cost_no_time(void **state)
{
	int good;
	(void)state;
	uint16_t port = listen_on(5, 0, 8, &good);
	set_hosts(4, (unsigned[]){2, 3, 4, 5}, (uint16_t[]){1, 1, 2, 3}, port);
	run();
	assert_int_equal(won, 3);
	assert_int_equal(failed, 3);
	race_end(&race);
	close(good);
	/* a source without an address of that family: none can be used */
	source.bind = true;
	set_hosts(1, (unsigned[]){5}, (uint16_t[]){1}, port);
	run();
	assert_int_equal(ended, 0);
	assert_int_equal(failed, 1);
	race_end(&race);
	source.bind = false;
}

/* -- we ourselves --------------------------------------------------------------------------- */

/* cut - hosts at 127.0.0.n with preferences 10, 20, ...; how many are left */
static unsigned cut(const struct conf *conf, unsigned n, const unsigned *last, uint16_t port)
{
	static const uint16_t preference[] = {10, 20, 20, 30};
	set_hosts(n, last, preference, port);
	for (unsigned i = 0; i < n; i++) {
		snprintf(hosts.names[i], sizeof(hosts.names[i]), "mx%u.example", last[i]);
		hosts.addrs[i].host = (uint8_t)i;
	}
	race_end(&race);
	return self_cut(&hosts, conf, port);
}

static void test_self(void **state)
{
	(void)state;
	struct conf *conf = conffile_good("hostname = \"MX9.example\"\n"
					  "listen \"a\" { address = \"127.0.0.3:2525\" }\n"
					  "listen \"b\" { address = \"0.0.0.0:2526\" }\n"
					  "listen \"c\" { address = \"[::1]:2525\" }\n");
	/* nobody of us; one of us in the middle takes its equals and the worse ones along */
	assert_int_equal(cut(conf, 4, (unsigned[]){1, 2, 4, 5}, 2525), 4);
	assert_int_equal(cut(conf, 4, (unsigned[]){1, 2, 3, 5}, 2525), 1);
	assert_int_equal(cut(conf, 4, (unsigned[]){3, 2, 4, 5}, 2525), 0);
	assert_int_equal(cut(conf, 4, (unsigned[]){1, 2, 4, 3}, 2525), 3);
	/* another port is another program; a listener on all addresses is on each of ours */
	assert_int_equal(cut(conf, 4, (unsigned[]){3, 2, 4, 5}, 2527), 4);
	assert_int_equal(cut(conf, 4, (unsigned[]){1, 2, 4, 5}, 2526), 0);
	set_hosts(1, (unsigned[]){1}, (uint16_t[]){1}, 2526);
	race_end(&race);
	hosts.addrs[0].addr = (struct dns_addr){.family = 4, .bytes = {192, 0, 2, 77}};
	assert_int_equal(self_cut(&hosts, conf, 2526), 1);
	/* our own name, wherever it leads */
	assert_int_equal(cut(conf, 4, (unsigned[]){1, 9, 4, 5}, 25), 1);
	conf_free(conf);
}

/* -- where we come from --------------------------------------------------------------------- */

static unsigned always(unsigned below)
{
	return below - below;
}

static unsigned first_only(unsigned below)
{
	return below == 1 ? 0 : 1;
}

static void test_source(void **state)
{
	struct race_source got;
	char hello[256];
	(void)state;
	struct conf *conf =
	    conffile_good("hostname = \"us.example\"\n"
			  "source \"both\" { address = { \"192.0.2.1\", \"2001:db8::1\", "
			  "\"192.0.2.2\" } hello = \"news.example\" }\n"
			  "source \"four\" { address = \"192.0.2.3\" }\n");
	assert_int_equal(source_take(conf, msg_str(""), always, &got, hello), 0);
	assert_false(got.bind);
	assert_string_equal(hello, "us.example");
	assert_int_equal(source_take(conf, msg_str("both"), always, &got, hello), 0);
	assert_string_equal(hello, "news.example");
	assert_true(got.bind && got.v6.family == AF_INET6 && got.v4.bytes[3] == 2);
	assert_int_equal(source_take(conf, msg_str("both"), first_only, &got, hello), 0);
	assert_int_equal(got.v4.bytes[3], 1);
	assert_int_equal(source_take(conf, msg_str("four"), always, &got, hello), 0);
	assert_true(got.bind && !got.v6.family && got.v4.bytes[3] == 3);
	assert_string_equal(hello, "us.example");
	assert_int_equal(source_take(conf, msg_str("none"), always, &got, hello), -ENOENT);
	conf_free(conf);
}

static int set_up(void **state)
{
	conffile_setup(state);
	return make_loop(state);
}

static int tear_down(void **state)
{
	conffile_teardown(state);
	return free_loop(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_silent_address_is_overtaken),
	    cmocka_unit_test(test_a_backup_waits),
	    cmocka_unit_test(test_refused_ones_cost_no_time),
	    cmocka_unit_test(test_self),
	    cmocka_unit_test(test_source),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
