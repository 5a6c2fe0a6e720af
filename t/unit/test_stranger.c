/* SPDX-License-Identifier: ISC */
/* smtpd/stranger and lookup: what is asked and when; answers that are late, odd, or for nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "lib/chan.h"
#include "smtpd/lookup.h"
#include "smtpd_world.h"

static struct chan *dnscache, *smtpd_end;
static unsigned asked, asked_ptr;
static bool silent;
static uint8_t verdict;
static const char *records;
static size_t records_len;

/* on_lookup - the same answer to every question */
static void on_lookup(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)arg;
	asked++;
	asked_ptr += msg->dns_lookup.type == DNS_PTR;
	if (!silent)
		CHAN_SEND(chan, dns_lookup_is, .request = msg->dns_lookup.request,
		    .verdict = verdict, .records = msg_bytes(records, records_len),
		    .text = msg_str(""));
}

/* on_closed - the other end went first */
static void on_closed(struct chan *chan, void *arg)
{
	(void)arg;
	if (chan == smtpd_end) {
		lookup_unlinked(chan);
		smtpd_end = NULL;
	} else {
		dnscache = NULL;
	}
	chan_free(chan);
}

static const struct chan_handlers as_dnscache = {
    .on = {[MSG_dns_lookup] = on_lookup}, .closed = on_closed};
static const struct chan_handlers as_smtpd = {
    .on = {[MSG_dns_lookup_is] = lookup_is}, .closed = on_closed};

/* connect_dns - a dnscache, or the next one */
static void connect_dns(void)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	dnscache = chan_new(fds[0], ROLE_DNSCACHE, ROLE_SMTPD, 1, &as_dnscache, NULL);
	smtpd_end = chan_new(fds[1], ROLE_SMTPD, ROLE_DNSCACHE, 1, &as_smtpd, NULL);
	lookup_linked(smtpd_end);
}

/* setup - a world with a dnscache, and a policy that asks for all there is */
static int setup(void **state)
{
	int e = world_setup(state);
	struct conf_policy *p = &world.conf->policy;
	p->fcrdns = true;
	p->helo = CONF_NAME_KNOWN;
	p->sender_domain = CONF_NAME_KNOWN;
	p->lookup_timeout = 1000;
	asked = asked_ptr = 0;
	silent = false;
	verdict = DNS_OK;
	records = "\0\4\300\0\2\1";
	records_len = 6;
	connect_dns();
	return e;
}

/* teardown - no question may be left */
static int teardown(void **state)
{
	assert_int_equal(lookup_open(), 0);
	lookup_unlinked(smtpd_end);
	chan_free(dnscache);
	chan_free(smtpd_end);
	return world_teardown(state);
}

/* begin_mail - a stranger says MAIL; returns without waiting */
static void begin_mail(struct talk *t)
{
	static const char text[] = "EHLO a.test\r\nMAIL FROM:<x@b.test>\r\n";
	struct peer peer = peer_of("192.0.2.1");
	unsigned budget = 100;
	talk_begin(t, &peer);
	evbuffer_add(t->in, text, sizeof(text) - 1);
	session_feed(t->s, t->in, &budget);
}

/* wait_mail - until it is answered */
static const char *wait_mail(struct talk *t)
{
	while (t->s->wait != WAIT_NONE)
		loop_turn();
	const char *said = talk_said(t), *last = strstr(said, "\r\n250 ");
	return last ? strstr(last + 2, "\r\n") + 2 : said;
}

static void asked_at_once(void **state)
{
	struct talk t;
	(void)state;
	begin_mail(&t);
	assert_int_equal(t.s->wait, WAIT_FACTS);
	assert_int_equal(lookup_open(), 1 + 3 + 3); /* PTR, then MX, A, AAAA of two names */
	verdict = DNS_NODOMAIN;
	assert_memory_equal(wait_mail(&t), "550 5.7.25 ", 11);
	assert_int_equal(asked, 7);
	assert_int_equal(asked_ptr, 1);
	/* the address isn't asked for again, the names are */
	assert_memory_equal(talk_say(&t, "MAIL FROM:<x@b.test>\r\n"), "550 5.7.25 ", 11);
	assert_int_equal(asked, 13);
	assert_int_equal(asked_ptr, 1);
	talk_end(&t);
}

static void friends_ask_nothing(void **state)
{
	struct talk t;
	(void)state;
	struct peer peer = peer_of("127.0.0.1");
	talk_begin(&t, &peer);
	talk_say(&t, "EHLO printer\r\n");
	assert_memory_equal(talk_say(&t, "MAIL FROM:<x@nowhere>\r\n"), "250 ", 4);
	assert_int_equal(asked, 0);
	assert_null(t.s->stranger);
	talk_end(&t);
}

static void odd_records(void **state)
{
	struct talk t;
	(void)state;
	records = "\0\377x"; /* longer than there is */
	records_len = 3;
	begin_mail(&t);
	assert_memory_equal(wait_mail(&t), "550 5.7.25 ", 11);
	talk_end(&t);
	verdict = 200;
	begin_mail(&t);
	assert_memory_equal(wait_mail(&t), "450 4.7.25 ", 11);
	talk_end(&t);
}

static void gone_before_the_answer(void **state)
{
	struct talk t;
	(void)state;
	silent = true;
	begin_mail(&t);
	assert_int_equal(lookup_open(), 7);
	talk_end(&t);
	assert_int_equal(lookup_open(), 0);
}

static void no_answer(void **state)
{
	struct talk t;
	(void)state;
	silent = true;
	begin_mail(&t);
	uint64_t began = loop_ms();
	assert_memory_equal(wait_mail(&t), "450 4.7.25 ", 11);
	assert_true(loop_ms() - began >= 900);
	talk_end(&t);
}

static void another_dnscache(void **state)
{
	struct talk t;
	(void)state;
	silent = true;
	begin_mail(&t);
	while (asked < 7)
		loop_turn();
	chan_free(dnscache);
	while (smtpd_end)
		loop_turn();
	silent = false;
	verdict = DNS_NODATA;
	connect_dns();
	assert_memory_equal(wait_mail(&t), "550 5.7.25 ", 11);
	assert_int_equal(asked, 14);
	talk_end(&t);
}

static void answered(struct lookup *l, enum dns_verdict v, const void *data, size_t len)
{
	(void)l, (void)v, (void)data, (void)len;
}

static void too_many(void **state)
{
	static struct lookup l[LOOKUP_OPEN + 1];
	(void)state;
	silent = true;
	for (unsigned i = 0; i < LOOKUP_OPEN; i++)
		assert_true(lookup_ask(&l[i], DNS_A, "x.test", loop_ms() + 60000, answered));
	assert_false(
	    lookup_ask(&l[LOOKUP_OPEN], DNS_A, "x.test", loop_ms() + 60000, answered));
	struct talk t;
	begin_mail(&t);
	assert_memory_equal(wait_mail(&t), "450 4.7.25 ", 11);
	talk_end(&t);
	for (unsigned i = 0; i < LOOKUP_OPEN; i++)
		lookup_cancel(&l[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(asked_at_once),
	    TEST(friends_ask_nothing),
	    TEST(odd_records),
	    TEST(gone_before_the_answer),
	    TEST(no_answer),
	    TEST(another_dnscache),
	    TEST(too_many),
	};
	world_begin();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_end();
	return failed;
}
