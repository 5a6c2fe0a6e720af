/* SPDX-License-Identifier: ISC */
/* dnscache/serve: askers at the other end of a channel, who ask, prefetch, overdo it, and die. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "dnscache/serve.h"
#include "lib/chan.h"
#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/loop.h"
#include "t/unit/dnspkt.h"

static struct dnsserver server;
static struct resolver *resolver;
static bool silent;

/* What the asker heard, by request number. */
static struct {
	unsigned answers;
	uint32_t last;
	unsigned verdicts[DNS_VERDICTS];
	char site[DNS_NAME_SIZE];
	char text[400];
	size_t len;
	uint8_t data[64];
} got;

/* say - every name has an MX, every host an address, but for those called "no..." */
static bool say(const struct dnsask *q, struct pkt *p, void *arg)
{
	char mx[300];

	(void)arg;
	if (silent)
		return false;
	pkt_start(p, q->id, PKT_RA, q->name, q->type);
	if (strncmp(q->name, "no", 2) == 0) {
		p->data[3] |= 3;
		pkt_soa(p, "test", 60, 60);
	} else if (q->type == DNS_MX) {
		snprintf(mx, sizeof(mx), "mx.%s", q->name);
		pkt_mx(p, q->name, 300, 10, mx);
	} else if (q->type == DNS_A) {
		pkt_a(p, q->name, 300, "192.0.2.1");
	}
	return true;
}

/* note - what all answers have in common */
static void note(uint32_t number, uint8_t verdict, const struct msg_bytes *text)
{
	got.answers++;
	got.last = number;
	assert_true(verdict < DNS_VERDICTS);
	got.verdicts[verdict]++;
	snprintf(got.text, sizeof(got.text), "%.*s", (int)text->len, text->data);
}

static void on_site_is(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_dns_site_is *m = &msg->dns_site_is;

	(void)chan, (void)arg;
	note(m->request, m->verdict, &m->text);
	snprintf(got.site, sizeof(got.site), "%.*s", (int)m->site.len, m->site.data);
}

static void on_lookup_is(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_dns_lookup_is *m = &msg->dns_lookup_is;

	(void)chan, (void)arg;
	note(m->request, m->verdict, &m->text);
	got.len = m->records.len < sizeof(got.data) ? m->records.len : sizeof(got.data);
	memcpy(got.data, m->records.data, got.len);
}

static void on_closed(struct chan *chan, void *arg)
{
	(void)arg;
	chan_free(chan);
}

/* asker - a channel whose other end is served */
static struct chan *asker(enum role role)
{
	static const struct chan_handlers handlers = {
	    .on[MSG_dns_site_is] = on_site_is,
	    .on[MSG_dns_lookup_is] = on_lookup_is,
	    .closed = on_closed,
	};
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	serve_link(fds[0], role, 1);
	return chan_new(fds[1], role, ROLE_DNSCACHE, 0, &handlers, NULL);
}

/* tick - wakes the loop */
static void tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

/* turn - run the loop until so many answers came, or for `ms` */
static void turn(unsigned answers, int ms)
{
	int64_t end = clock_ms() + ms;
	struct event *timer = event_new(loop_base(), -1, EV_PERSIST, tick, NULL);

	event_add(timer, &(struct timeval){.tv_usec = 5000});
	while (got.answers < answers && clock_ms() < end)
		loop_turn();
	event_free(timer);
}

static void site(struct chan *chan, uint32_t number, const char *domain)
{
	assert_int_equal(CHAN_SEND(chan, dns_site, .request = number, .kind = DNS_SITE_MX,
			     .domain = msg_str(domain)),
	    0);
}

static void lookup(struct chan *chan, uint32_t number, uint16_t type, const char *name)
{
	assert_int_equal(
	    CHAN_SEND(chan, dns_lookup, .request = number, .type = type, .name = msg_str(name)), 0);
}

static int setup(void **state)
{
	(void)state;
	if (loop_base() == NULL)
		loop_init();
	memset(&got, 0, sizeof(got));
	silent = false;
	dnsserver_start(&server, say, NULL);
	resolver = resolver_new(4 << 20, 1 << 20, 200);
	assert_non_null(resolver);
	upstream_servers(resolver_upstream(resolver), &server.addr, 1);
	serve_init(resolver, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	turn(1u << 30, 30); /* closed channels are noticed */
	resolver_free(resolver);
	dnsserver_stop(&server);
	return 0;
}

static void test_site(void **state)
{
	struct chan *c = asker(ROLE_QMGR);

	(void)state;
	site(c, 7, "example.test");
	turn(1, 5000);
	assert_int_equal(got.last, 7);
	assert_int_equal(got.verdicts[DNS_OK], 1);
	assert_string_equal(got.site, "mx.example.test");
	site(c, 8, "no.test");
	turn(2, 5000);
	assert_int_equal(got.verdicts[DNS_NODOMAIN], 1);
	assert_string_equal(got.text, "no.test: no such domain");
	site(c, 9, "[192.0.2.1]");
	turn(3, 5000);
	assert_string_equal(got.site, "192.0.2.1");
	chan_free(c);
}

static void test_lookup(void **state)
{
	struct chan *c = asker(ROLE_SMTPD);

	(void)state;
	lookup(c, 1, DNS_A, "Host.Test.");
	turn(1, 5000);
	assert_int_equal(got.verdicts[DNS_OK], 1);
	assert_int_equal(got.len, 6);
	assert_memory_equal(got.data, "\0\4\xc0\0\2\1", 6);
	lookup(c, 2, DNS_A, "192.0.2.7");
	turn(2, 5000);
	assert_memory_equal(got.data, "\0\4\xc0\0\2\7", 6);
	lookup(c, 3, DNS_AAAA, "192.0.2.7");
	lookup(c, 4, DNS_A, "odd name");
	lookup(c, 5, 255, "any.test");
	turn(5, 5000);
	assert_int_equal(got.verdicts[DNS_NODATA], 1);
	assert_int_equal(got.verdicts[DNS_NODOMAIN], 2);
	assert_int_equal(server.asked, 1);
	chan_free(c);
}

/* A thousand messages to a new domain: one MX question, one of each address. */
static void test_asked_once(void **state)
{
	struct chan *c = asker(ROLE_QMGR), *d = asker(ROLE_QMGR);

	(void)state;
	for (uint32_t i = 0; i < 500; i++) {
		site(c, i, "example.test");
		site(d, i, "example.test");
	}
	turn(1000, 5000);
	assert_int_equal(got.verdicts[DNS_OK], 1000);
	assert_int_equal(server.asked, 3);
	chan_free(c);
	chan_free(d);
}

static void test_soon(void **state)
{
	struct chan *c = asker(ROLE_QMGR);
	uint8_t buf[100];
	struct wire_out w;

	(void)state;
	wire_out_fixed(&w, buf, sizeof(buf));
	dns_soon_put(&w, "one.test", 8);
	dns_soon_put(&w, "two.test", 8);
	dns_soon_put(&w, "odd name", 8);
	assert_int_equal(CHAN_SEND(c, dns_soon, .domains = msg_bytes(buf, w.len)), 0);
	turn(1, 200);
	assert_int_equal(got.answers, 0);
	assert_int_equal(server.asked, 6);
	site(c, 1, "two.test");
	turn(1, 5000);
	assert_int_equal(got.verdicts[DNS_OK], 1);
	assert_int_equal(server.asked, 6);
	chan_free(c);
}

/* An asker that goes is forgotten with what it asked; another one's answer still comes. */
static void test_asker_dies(void **state)
{
	struct chan *c = asker(ROLE_DELIVER), *d = asker(ROLE_DELIVER);

	(void)state;
	silent = true;
	for (uint32_t i = 0; i < 100; i++) {
		site(c, i, "example.test");
		lookup(c, 1000 + i, DNS_A, "mx.example.test");
	}
	site(d, 5000, "example.test");
	turn(1, 100);
	chan_free(c);
	turn(1, 100);
	assert_int_equal(got.answers, 0);
	silent = false;
	turn(1, 10000);
	assert_int_equal(got.answers, 1);
	assert_int_equal(got.last, 5000);
	assert_int_equal(got.verdicts[DNS_OK], 1);
	chan_free(d);
}

static void test_too_many(void **state)
{
	struct chan *c = asker(ROLE_SMTPD);
	uint64_t before = counter_read(counters_mine, C_dns_requests);

	(void)state;
	silent = true;
	for (uint32_t i = 0; i < SERVE_REQUESTS_MAX + 10; i++)
		lookup(c, i, DNS_A, "host.test");
	turn(10, 10000);
	assert_int_equal(got.answers, 10);
	assert_int_equal(got.verdicts[DNS_TEMPFAIL], 10);
	assert_int_equal(got.last, SERVE_REQUESTS_MAX + 9);
	assert_int_equal(
	    counter_read(counters_mine, C_dns_requests) - before, SERVE_REQUESTS_MAX + 10);
	silent = false;
	turn(SERVE_REQUESTS_MAX + 10, 10000);
	assert_int_equal(got.verdicts[DNS_OK], SERVE_REQUESTS_MAX);
	chan_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_site),
	    TEST(test_lookup),
	    TEST(test_asked_once),
	    TEST(test_soon),
	    TEST(test_asker_dies),
	    TEST(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
