/* SPDX-License-Identifier: ISC */
/*
 * deliver as its neighbours see it: a qmgr, a dnscache, an smtpd and a next hop played by the test
 * over real channels and sockets. What is opened, carried, reported, repeated on a new link.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deliver/dial.h"
#include "deliver/handover.h"
#include "deliver/links.h"
#include "lib/child.h"
#include "lib/envelope.h"
#include "lib/local.h"
#include "lib/loop.h"
#include "lib/wire.h"

/* -- the neighbours --------------------------------------------------------------------------- */

#define LOG_MAX 64

/* Everything deliver said to qmgr, as a line each, in order. */
static char heard[LOG_MAX][700];
static unsigned nheard, next_heard;
static uint64_t last_seq;
static int local_pipe = -1, local_result = -1;
static struct chan *qmgr, *dnscache;
static uint32_t question;
static char question_domain[256];
static unsigned question_kind;

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	va_list args;
	assert_true(nheard < LOG_MAX);
	va_start(args, fmt);
	vsnprintf(heard[nheard++], sizeof(heard[0]), fmt, args);
	va_end(args);
}

#define S(b) (int)(b).len, (b).data

static void on_opened(struct chan *chan, union msg_any *any, void *arg)
{
	const struct msg_deliver_opened *m = &any->deliver_opened;
	(void)chan, (void)arg;
	note("opened %u verdict %u host %.*s code %u status %.*s", m->conn, m->verdict, S(m->host),
	    m->code, S(m->status));
}

static void on_result(struct chan *chan, union msg_any *any, void *arg)
{
	const struct msg_deliver_result *m = &any->deliver_result;
	char line[600];
	struct job_result r;
	size_t pos = 0, n = 0;
	(void)chan, (void)arg;
	n += (size_t)snprintf(line, sizeof(line), "result %u at %llu:%llu", m->conn,
	    (unsigned long long)m->segment, (unsigned long long)m->offset);
	while (job_next_result(m->results, &pos, &r) == 1 && n < sizeof(line) - 100)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %u=%u/%u/%.*s", r.number,
		    r.outcome, r.code, S(r.status));
	note("%s", line);
	last_seq = m->seq;
}

static void on_closed(struct chan *chan, union msg_any *any, void *arg)
{
	(void)chan, (void)arg;
	note("closed %u verdict %u", any->deliver_closed.conn, any->deliver_closed.verdict);
}

static void on_inflight(struct chan *chan, union msg_any *any, void *arg)
{
	const struct msg_deliver_inflight *m = &any->deliver_inflight;
	char line[300] = "";
	struct job_place p;
	size_t pos = 0, n = 0;
	(void)chan, (void)arg;
	while (job_next_place(m->places, &pos, &p) == 1 && n < sizeof(line) - 60)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %llu:%llu/%u",
		    (unsigned long long)p.segment, (unsigned long long)p.offset, p.number);
	note("inflight%s last %u", line, m->last);
}

static void on_local(struct chan *chan, union msg_any *any, void *arg)
{
	struct msg_deliver_local *m = &any->deliver_local;
	(void)chan, (void)arg;
	note("local user %.*s kind %u mailbox %.*s sender %.*s to %.*s", S(m->user), m->kind,
	    S(m->mailbox), S(m->sender), S(m->recipient));
	local_pipe = m->pipe;
	local_result = m->result;
	m->pipe = m->result = -1;
}

static void on_gone(struct chan *chan, void *arg)
{
	(void)chan, (void)arg;
	note("link gone");
}

static void on_question(struct chan *chan, union msg_any *any, void *arg)
{
	const struct msg_dns_site *m = &any->dns_site;
	(void)chan, (void)arg;
	question = m->request;
	question_kind = m->kind;
	snprintf(question_domain, sizeof(question_domain), "%.*s", S(m->domain));
}

static const struct chan_handlers qmgr_side = {.on = {[MSG_deliver_opened] = on_opened,
						   [MSG_deliver_result] = on_result,
						   [MSG_deliver_closed] = on_closed,
						   [MSG_deliver_inflight] = on_inflight,
						   [MSG_deliver_local] = on_local},
    .closed = on_gone};
static const struct chan_handlers dnscache_side = {
    .on = {[MSG_dns_site] = on_question}, .closed = on_gone};

static void nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* settle - turns until everything that is under way in this process has arrived */
static void settle(void)
{
	static const struct timeval now = {0, 0};
	for (unsigned i = 0; i < 8; i++) {
		event_base_once(loop_base(), -1, EV_TIMEOUT, nothing, NULL, &now);
		loop_turn();
	}
}

/* link_role - what master does: a socket pair, one end as LINK */
static int link_role(enum role role, enum link_kind kind)
{
	int pair[2];
	int type = kind == LINK_SMTP ? SOCK_STREAM : SOCK_SEQPACKET;
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	union msg_any any = {.link = {.role = role, .kind = kind, .expect = 1, .socket = pair[0]}};
	links_master.on[MSG_link](NULL, &any, NULL);
	assert_int_equal(any.link.socket, -1);
	return pair[1];
}

static void new_qmgr(void)
{
	chan_free(qmgr);
	settle();
	int fd = link_role(ROLE_QMGR, LINK_CHANNEL);
	qmgr = chan_new(fd, ROLE_QMGR, ROLE_DELIVER, 1, &qmgr_side, NULL);
	settle();
}

/* expect - the next thing that qmgr heard */
static void expect(const char *line)
{
	settle();
	if (next_heard >= nheard)
		fail_msg("nothing came instead of: %s", line);
	assert_string_equal(heard[next_heard++], line);
}

static void expect_no_more(void)
{
	settle();
	if (next_heard != nheard)
		fail_msg("unexpected: %s", heard[next_heard]);
}

static int make_world(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	loop_init();
	struct conf *conf = conf_default();
	/* child.c gives it to everybody; here nothing was started. */
	((struct child_self *)child_self())->conf = conf;
	return conf ? 0 : -1;
}

static int begin(void **state)
{
	(void)state;
	nheard = next_heard = 0;
	new_qmgr();
	results_committed(UINT64_MAX);
	expect("inflight last 1");
	int fd = link_role(ROLE_DNSCACHE, LINK_CHANNEL);
	chan_free(dnscache);
	dnscache = chan_new(fd, ROLE_DNSCACHE, ROLE_DELIVER, 1, &dnscache_side, NULL);
	question = 0;
	return 0;
}

static int end(void **state)
{
	(void)state;
	expect_no_more();
	assert_int_equal(hops_count(), 0);
	assert_int_equal(jobs_on_wire(), 0);
	results_committed(UINT64_MAX);
	assert_int_equal(results_kept(), 0);
	return 0;
}

/* open_hop - OPEN as qmgr sends it */
static void open_hop(
    uint32_t conn, enum transport transport, const char *host, uint16_t port, bool by_mx)
{
	CHAN_SEND(qmgr, deliver_open, .conn = conn, .transport = transport, .by_mx = by_mx,
	    .host = msg_str(host), .port = port, .credential = msg_str(""), .source = msg_str(""),
	    .site = msg_str(""), .connect_ms = 5000, .reply_ms = 5000, .idle_ms = 5000,
	    .max_messages = 100, .pipelining = CONF_PIPELINING_FULL);
	settle();
}

#define BODY "Subject: x\r\n\r\n..dot\r\nend\r\n"

/* segment - one that qmgr shows, with the body at 64 */
static void segment(uint64_t name, const char *body)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);
	assert_int_equal(pwrite(fd, body, strlen(body), 64), strlen(body));
	CHAN_SEND(qmgr, deliver_segment, .segment = name, .file = fd);
	close(fd);
}

/* job - one message in segment 7; rcpts many recipients */
static void job(
    uint32_t conn, enum job_kind kind, uint64_t offset, const char *body, unsigned rcpts)
{
	unsigned char buf[4096];
	struct job_list list;
	char address[40];
	job_list_init(&list, buf, sizeof(buf));
	for (unsigned i = 0; i < rcpts; i++) {
		snprintf(address, sizeof(address), "r%u@example.net", i);
		struct job_rcpt rcpt = {.number = i,
		    .address = msg_str(address),
		    .orcpt = msg_str(""),
		    .action = ACTION_FAILED,
		    .code = 550,
		    .status = msg_str("5.1.1"),
		    .text = msg_str("no\x01 such \xff user"),
		    .host = msg_str("mx.example.net")};
		assert_int_equal(job_put_rcpt(&list, &rcpt), 0);
	}
	size_t plain = strlen(body);
	for (const char *p = body; (p = strstr(p, "\r\n..")); p++)
		plain--;
	CHAN_SEND(qmgr, deliver_job, .conn = conn, .kind = kind, .id = 1234567, .segment = 7,
	    .offset = offset, .body = 64, .body_len = strlen(body), .plain_len = plain,
	    .sender = msg_str("s@example.org"), .envid = msg_str(""),
	    .recipients = job_list_bytes(&list), .user = msg_str("ann"),
	    .mailbox_kind = LOCAL_MAILDIR, .mailbox = msg_str("~/M"), .ret = RET_HDRS,
	    .report_to = msg_str("s@example.org"));
	settle();
}

/* -- a next hop ---------------------------------------------------------------------------------
 */

static int listener = -1;

static uint16_t listen_somewhere(void)
{
	struct sockaddr_in addr = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	if (listener >= 0)
		close(listener);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 8), 0);
	getsockname(listener, (struct sockaddr *)&addr, &len);
	return ntohs(addr.sin_port);
}

/* talk - say something, return what comes back */
static const char *talk(int fd, const char *text)
{
	static char buf[16384];
	if (text)
		assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	settle();
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static int accept_hop(void)
{
	int fd = accept(listener, NULL, NULL);
	talk(fd, "220 there\r\n");
	talk(fd, "250-there\r\n250 PIPELINING\r\n");
	return fd;
}

/* -- tests ----------------------------------------------------------------------------------------
 */

static void test_discard(void **state)
{
	(void)state;
	open_hop(1, TRANSPORT_DISCARD, "", 0, false);
	expect("opened 1 verdict 0 host  code 0 status ");
	segment(7, BODY);
	job(1, JOB_DISCARD, 0, BODY, 2);
	expect("result 1 at 7:0 0=0/250/2.0.0 1=0/250/2.0.0");
	CHAN_SEND(qmgr, deliver_close, .conn = 1);
	expect("closed 1 verdict 9");
}

static void test_refused_jobs(void **state)
{
	(void)state;
	/* no such connection: CLOSED and JOB crossed */
	segment(7, BODY);
	job(9, JOB_MAIL, 0, BODY, 1);
	expect("result 9 at 7:0 0=3/0/4.3.0");
	open_hop(1, TRANSPORT_DISCARD, "", 0, false);
	next_heard++;
	CHAN_SEND(qmgr, deliver_release, .segment = 7);
	job(1, JOB_DISCARD, 0, BODY, 1);
	expect("result 1 at 7:0 0=1/0/4.3.0");
	/* a transport that isn't, a number that is taken */
	open_hop(2, (enum transport)77, "", 0, false);
	expect("opened 2 verdict 10 host  code 0 status 4.3.0");
	open_hop(1, TRANSPORT_DISCARD, "", 0, false);
	expect("opened 1 verdict 10 host  code 0 status 4.3.0");
	CHAN_SEND(qmgr, deliver_close, .conn = 1);
	expect("closed 1 verdict 9");
}

/* What would become a command line of its own never gets near a peer. */
static void test_smuggled_address(void **state)
{
	static const char *const bad[] = {"a@b\r\nRCPT TO:<c@d>", "a\n@b", "", "a@b\x7f"};
	unsigned char buf[500];
	(void)state;
	segment(7, BODY);
	open_hop(1, TRANSPORT_DISCARD, "", 0, false);
	next_heard++;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct job_list list;
		struct job_rcpt rcpt = {.number = 3,
		    .address = msg_str(bad[i]),
		    .orcpt = msg_str(""),
		    .status = msg_str(""),
		    .text = msg_str(""),
		    .host = msg_str("")};
		job_list_init(&list, buf, sizeof(buf));
		assert_int_equal(job_put_rcpt(&list, &rcpt), 0);
		CHAN_SEND(qmgr, deliver_job, .conn = 1, .kind = JOB_DISCARD, .segment = 7,
		    .body = 64, .sender = msg_str(""), .envid = msg_str(""),
		    .recipients = job_list_bytes(&list), .user = msg_str(""),
		    .mailbox = msg_str(""));
		expect("result 1 at 7:0 3=5/0/4.3.0");
	}
	CHAN_SEND(qmgr, deliver_close, .conn = 1);
	expect("closed 1 verdict 9");
}

static void test_qmgr_replaced(void **state)
{
	(void)state;
	uint16_t port = listen_somewhere();
	open_hop(5, TRANSPORT_SMTP, "127.0.0.1", port, false);
	int fd = accept_hop();
	expect("opened 5 verdict 0 host 127.0.0.1 code 0 status ");
	segment(7, BODY);
	job(5, JOB_MAIL, 100, BODY, 1);
	talk(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	talk(fd, "250 2.0.0 done\r\n");
	expect("result 5 at 7:100 0=0/250/2.0.0");
	job(5, JOB_MAIL, 200, BODY, 2);
	job(5, JOB_MAIL, 300, BODY, 1);
	assert_non_null(strstr(
	    talk(fd, "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n"), "\r\n.\r\nRSET\r\n"));
	/* 200 is on the wire, and 300 sent ahead; 400 waits. */
	job(5, JOB_MAIL, 400, BODY, 1);
	new_qmgr();
	expect("result 0 at 7:100 0=0/250/2.0.0");
	expect("inflight 7:200/0 7:200/1 7:300/0 last 1");
	/* The new one's numbers have nothing to do with the old one's. */
	open_hop(5, TRANSPORT_DISCARD, "", 0, false);
	expect("opened 5 verdict 0 host  code 0 status ");
	talk(fd, "250 2.0.0 done\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	expect("result 0 at 7:200 0=0/250/2.0.0 1=2/550/5.1.1");
	assert_string_equal(talk(fd, "250 2.0.0 done\r\n"), "QUIT\r\n");
	expect("result 0 at 7:300 0=0/250/2.0.0");
	assert_int_equal(results_kept(), 3);
	CHAN_SEND(qmgr, deliver_committed, .seq = last_seq - 1);
	settle();
	assert_int_equal(results_kept(), 1);
	CHAN_SEND(qmgr, deliver_close, .conn = 5);
	expect("closed 5 verdict 9");
	close(fd);
}

static void test_qmgr_gone_while_idle(void **state)
{
	(void)state;
	uint16_t port = listen_somewhere();
	open_hop(5, TRANSPORT_SMTP, "127.0.0.1", port, false);
	int fd = accept_hop();
	expect("opened 5 verdict 0 host 127.0.0.1 code 0 status ");
	open_hop(6, TRANSPORT_SMTP, "127.0.0.1", port, false);
	int silent = accept(listener, NULL, NULL);
	new_qmgr();
	expect("inflight last 1");
	assert_string_equal(talk(fd, NULL), "QUIT\r\n");
	close(fd);
	close(silent);
}

static void test_close_gives_back(void **state)
{
	(void)state;
	uint16_t port = listen_somewhere();
	open_hop(5, TRANSPORT_SMTP, "[127.0.0.1]", port, false);
	int fd = accept_hop();
	next_heard++;
	segment(7, BODY);
	job(5, JOB_MAIL, 100, BODY, 1);
	job(5, JOB_MAIL, 200, BODY, 1);
	CHAN_SEND(qmgr, deliver_close, .conn = 5);
	expect("result 5 at 7:200 0=3/0/");
	talk(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_string_equal(talk(fd, "250 2.0.0 done\r\n"), "QUIT\r\n");
	expect("result 5 at 7:100 0=0/250/2.0.0");
	expect("closed 5 verdict 9");
	close(fd);
}

static void test_no_next_hop(void **state)
{
	(void)state;
	uint16_t port = listen_somewhere();
	close(listener);
	listener = -1;
	open_hop(5, TRANSPORT_SMTP, "127.0.0.1", port, false);
	expect("opened 5 verdict 1 host 127.0.0.1 code 0 status 4.4.1");
}

static void answer(enum dns_verdict verdict, const unsigned char *hosts, size_t len)
{
	CHAN_SEND(dnscache, dns_site_is, .request = question, .verdict = verdict,
	    .site = msg_str(""), .hosts = msg_bytes(hosts, len), .text = msg_str(""));
	settle();
}

static void test_dns(void **state)
{
	static const struct {
		bool by_mx;
		enum dns_verdict verdict;
		const char *opened;
	} t[] = {
	    {true, DNS_NULLMX, "opened 5 verdict 6 host example.net code 0 status 5.1.10"},
	    {true, DNS_NODOMAIN, "opened 5 verdict 5 host example.net code 0 status 5.1.2"},
	    {true, DNS_NODATA, "opened 5 verdict 5 host example.net code 0 status 5.4.4"},
	    {true, DNS_TEMPFAIL, "opened 5 verdict 4 host example.net code 0 status 4.4.3"},
	    /* a smarthost with a slip of the pen bounces nothing */
	    {false, DNS_NODOMAIN, "opened 5 verdict 4 host example.net code 0 status 4.4.3"},
	    {false, DNS_NODATA, "opened 5 verdict 4 host example.net code 0 status 4.4.3"},
	    {true, DNS_OK, "opened 5 verdict 1 host example.net code 0 status 4.4.1"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		open_hop(5, TRANSPORT_SMTP, "example.net", 25, t[i].by_mx);
		assert_string_equal(question_domain, "example.net");
		assert_int_equal(question_kind, t[i].by_mx ? DNS_SITE_MX : DNS_SITE_HOST);
		answer(t[i].verdict, NULL, 0);
		expect(t[i].opened);
	}
}

/* The first host refuses us, the second can't be reached, the third takes us. */
static void test_next_host(void **state)
{
	unsigned char buf[2048];
	struct wire_out out;
	(void)state;
	uint16_t port = listen_somewhere();
	wire_out_fixed(&out, buf, sizeof(buf));
	struct dns_host host = {.preference = 10, .naddrs = 1, .name = "mx1.example.net"};
	dns_addr_parse("127.0.0.1", 9, &host.addrs[0]);
	dns_host_put(&out, &host);
	host.preference = 20;
	memcpy(host.name, "mx2", 3);
	dns_addr_parse("127.0.0.2", 9, &host.addrs[0]);
	dns_host_put(&out, &host);
	host.preference = 30;
	memcpy(host.name, "mx3", 3);
	dns_addr_parse("127.0.0.1", 9, &host.addrs[0]);
	dns_host_put(&out, &host);
	assert_int_equal(wire_out_end(&out), 0);
	for (int third = 0; third < 2; third++) {
		open_hop(5, TRANSPORT_SMTP, "example.net", port, true);
		answer(DNS_OK, buf, out.len);
		int fd = accept(listener, NULL, NULL);
		talk(fd, "554 5.7.1 no\r\n");
		close(fd);
		settle();
		fd = accept(listener, NULL, NULL);
		if (third) {
			talk(fd, "220 hi\r\n");
			talk(fd, "250 hi\r\n");
			expect("opened 5 verdict 0 host mx3.example.net code 0 status ");
			CHAN_SEND(qmgr, deliver_close, .conn = 5);
			expect("closed 5 verdict 9");
		} else {
			talk(fd, "554 5.7.1 no\r\n");
			expect("opened 5 verdict 2 host mx3.example.net code 554 status 5.7.1");
		}
		close(fd);
	}
}

/* A question that dnscache took with it into its grave is asked again. */
static void test_dnscache_replaced(void **state)
{
	(void)state;
	open_hop(5, TRANSPORT_SMTP, "example.net", 25, true);
	uint32_t first = question;
	question = 0;
	chan_free(dnscache);
	settle();
	dnscache = chan_new(link_role(ROLE_DNSCACHE, LINK_CHANNEL), ROLE_DNSCACHE, ROLE_DELIVER, 1,
	    &dnscache_side, NULL);
	settle();
	assert_int_equal(question, first);
	answer(DNS_NULLMX, NULL, 0);
	expect("opened 5 verdict 6 host example.net code 0 status 5.1.10");
	answer(DNS_NULLMX, NULL, 0); /* twice: nobody minds */
}

static void test_local(void **state)
{
	static const struct {
		const char *line, *result;
	} t[] = {
	    {"250 2.0.0 delivered\n", "result 3 at 7:0 0=0/250/2.0.0"},
	    {"452 4.2.2 full\n", "result 3 at 7:0 0=1/452/4.2.2"},
	    {"550 5.1.1 no such user\n", "result 3 at 7:0 0=2/550/5.1.1"},
	    {"", "result 3 at 7:0 0=1/0/4.3.0"},
	    {"nonsense\n", "result 3 at 7:0 0=1/0/4.3.0"},
	    {"250 2.0.0", "result 3 at 7:0 0=1/0/4.3.0"},
	};
	char content[200];
	uint64_t len;
	(void)state;
	open_hop(3, TRANSPORT_LOCAL, "", 0, false);
	expect("opened 3 verdict 0 host local code 0 status ");
	segment(7, BODY);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		job(3, JOB_LOCAL, 0, BODY, 1);
		expect("local user ann kind 1 mailbox ~/M sender s@example.org to r0@example.net");
		assert_int_equal(read(local_pipe, &len, 8), 8);
		assert_int_equal(be64toh(len), strlen(BODY) - 1);
		assert_int_equal(read(local_pipe, content, sizeof(content)), strlen(BODY) - 1);
		assert_memory_equal(content, "Subject: x\r\n\r\n.dot\r\nend\r\n", strlen(BODY) - 1);
		assert_int_equal(read(local_pipe, content, sizeof(content)), 0);
		assert_int_equal(
		    write(local_result, t[i].line, strlen(t[i].line)), strlen(t[i].line));
		close(local_pipe);
		close(local_result);
		expect(t[i].result);
	}
	/* One at a time; what waits comes back. */
	job(3, JOB_LOCAL, 0, BODY, 1);
	job(3, JOB_LOCAL, 10, BODY, 1);
	expect("local user ann kind 1 mailbox ~/M sender s@example.org to r0@example.net");
	CHAN_SEND(qmgr, deliver_close, .conn = 3);
	expect("result 3 at 7:10 0=3/0/");
	close(local_pipe);
	close(local_result);
	expect("result 3 at 7:0 0=1/0/4.3.0");
	expect("closed 3 verdict 9");
}

static void test_local_damaged(void **state)
{
	char content[200];
	(void)state;
	open_hop(3, TRANSPORT_LOCAL, "", 0, false);
	next_heard++;
	segment(7, "a\r\n.\r\nb\r\n");
	job(3, JOB_LOCAL, 0, "a\r\n.\r\nb\r\n", 1);
	next_heard++;
	/* Only the promise came: nothing can be delivered of it. */
	settle();
	assert_int_equal(read(local_pipe, content, sizeof(content)), 8);
	assert_int_equal(read(local_pipe, content, sizeof(content)), 0);
	assert_int_equal(write(local_result, "451 4.3.0 short\n", 16), 16);
	close(local_pipe);
	close(local_result);
	expect("result 3 at 7:0 0=5/0/4.3.0");
	CHAN_SEND(qmgr, deliver_close, .conn = 3);
	expect("closed 3 verdict 9");
}

static void test_notice(void **state)
{
	(void)state;
	open_hop(4, TRANSPORT_NOTICE, "", 0, false);
	expect_no_more(); /* no smtpd listens */
	int fd = link_role(ROLE_SMTPD, LINK_SMTP);
	assert_string_equal(talk(fd, "220 smtpd\r\n"), "EHLO localhost\r\n");
	talk(fd, "250-smtpd\r\n250-8BITMIME\r\n250 PIPELINING\r\n");
	expect("opened 4 verdict 0 host smtpd code 0 status ");
	segment(7, BODY);
	job(4, JOB_NOTICE, 0, BODY, 2);
	assert_string_equal(talk(fd, NULL), "MAIL FROM:<>\r\nRCPT TO:<s@example.org>\r\nDATA\r\n");
	const char *text = talk(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	static const char *const parts[] = {"From: Mail Delivery System <MAILER-DAEMON@",
	    "\r\nTo: <s@example.org>\r\n", "\r\nAuto-Submitted: auto-replied\r\n",
	    "report-type=delivery-status", "\r\nFinal-Recipient: rfc822; r0@example.net\r\n",
	    "\r\nFinal-Recipient: rfc822; r1@example.net\r\n", "\r\nAction: failed\r\n",
	    "\r\nStatus: 5.1.1\r\n", "\r\nRemote-MTA: dns; mx.example.net\r\n",
	    "\r\nDiagnostic-Code: smtp; 550 5.1.1 no? such ? user\r\n",
	    "\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n\r\n--"};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strstr(text, parts[i]))
			fail_msg("no \"%s\" in\n%s", parts[i], text);
	assert_null(strstr(text, "..dot")); /* the header only */
	assert_string_equal(text + strlen(text) - 7, "--\r\n.\r\n");
	talk(fd, "250 2.0.0 queued\r\n");
	expect("result 4 at 7:0 0=0/250/2.0.0 1=0/250/2.0.0");

	/* A refusal is no end of it, whatever its code. */
	job(4, JOB_NOTICE, 0, BODY, 1);
	talk(fd, "250 ok\r\n550 5.1.1 no\r\n554 none\r\n");
	expect("result 4 at 7:0 0=1/550/5.1.1");

	/* smtpd dies: one was under way, one waits for the next smtpd. */
	job(4, JOB_NOTICE, 0, BODY, 1);
	talk(fd, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	job(4, JOB_NOTICE, 10, BODY, 1);
	close(fd);
	expect("result 4 at 7:0 0=1/0/4.4.2");
	expect_no_more();
	fd = link_role(ROLE_SMTPD, LINK_SMTP);
	talk(fd, "220 smtpd\r\n");
	talk(fd, "250 PIPELINING\r\n");
	talk(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	talk(fd, "250 2.0.0 queued\r\n");
	expect("result 4 at 7:10 0=0/250/2.0.0");
	CHAN_SEND(qmgr, deliver_close, .conn = 4);
	expect("closed 4 verdict 9");
	close(fd);
	settle();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_discard, begin, end),
	    cmocka_unit_test_setup_teardown(test_refused_jobs, begin, end),
	    cmocka_unit_test_setup_teardown(test_smuggled_address, begin, end),
	    cmocka_unit_test_setup_teardown(test_qmgr_replaced, begin, end),
	    cmocka_unit_test_setup_teardown(test_qmgr_gone_while_idle, begin, end),
	    cmocka_unit_test_setup_teardown(test_close_gives_back, begin, end),
	    cmocka_unit_test_setup_teardown(test_no_next_hop, begin, end),
	    cmocka_unit_test_setup_teardown(test_dns, begin, end),
	    cmocka_unit_test_setup_teardown(test_next_host, begin, end),
	    cmocka_unit_test_setup_teardown(test_dnscache_replaced, begin, end),
	    cmocka_unit_test_setup_teardown(test_local, begin, end),
	    cmocka_unit_test_setup_teardown(test_local_damaged, begin, end),
	    cmocka_unit_test_setup_teardown(test_notice, begin, end),
	};
	return cmocka_run_group_tests(tests, make_world, NULL);
}
