/* SPDX-License-Identifier: ISC */
#include "t/unit/dnspkt.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/loop.h"

/* pkt_raw - append octets */
void pkt_raw(struct pkt *p, const void *data, size_t len)
{
	assert(p->len + len <= sizeof(p->data));
	memcpy(p->data + p->len, data, len);
	p->len += len;
}

/* pkt_u16 - append a number */
void pkt_u16(struct pkt *p, unsigned v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	pkt_raw(p, b, 2);
}

/* u32 - append a larger number */
static void u32(struct pkt *p, uint32_t v)
{
	pkt_u16(p, v >> 16);
	pkt_u16(p, v & 0xffff);
}

/* pkt_name - append a name, label by label */
void pkt_name(struct pkt *p, const char *name)
{
	while (*name != '\0') {
		size_t n = strcspn(name, ".");
		uint8_t len = (uint8_t)n;

		pkt_raw(p, &len, 1);
		pkt_raw(p, name, n);
		name += n + (name[n] == '.');
	}
	pkt_raw(p, "", 1);
}

/* pkt_start - header and question */
void pkt_start(struct pkt *p, uint16_t id, unsigned flags, const char *name, uint16_t type)
{
	p->len = 0;
	pkt_u16(p, id);
	pkt_u16(p, 0x8100 | flags);
	pkt_u16(p, name != NULL);
	pkt_raw(p, "\0\0\0\0\0\0", 6);
	if (name == NULL)
		return;
	pkt_name(p, name);
	pkt_u16(p, type);
	pkt_u16(p, 1);
}

/* pkt_rr - append a record and count it */
void pkt_rr(struct pkt *p, int section, const char *owner, unsigned type, uint32_t ttl,
    const void *rdata, size_t len)
{
	if (++p->data[section + 1] == 0)
		p->data[section]++;
	pkt_name(p, owner);
	pkt_u16(p, type);
	pkt_u16(p, 1);
	u32(p, ttl);
	pkt_u16(p, (unsigned)len);
	pkt_raw(p, rdata, len);
}

/* pkt_a - an address record of either kind */
void pkt_a(struct pkt *p, const char *owner, uint32_t ttl, const char *addr)
{
	uint8_t b[16];
	bool six = strchr(addr, ':') != NULL;

	assert(inet_pton(six ? AF_INET6 : AF_INET, addr, b) == 1);
	pkt_rr(p, PKT_AN, owner, six ? 28 : 1, ttl, b, six ? 16 : 4);
}

/* pkt_mx - an MX record */
void pkt_mx(struct pkt *p, const char *owner, uint32_t ttl, unsigned pref, const char *host)
{
	struct pkt r = {0};

	pkt_u16(&r, pref);
	pkt_name(&r, host);
	pkt_rr(p, PKT_AN, owner, 15, ttl, r.data, r.len);
}

/* pkt_cname - an alias */
void pkt_cname(struct pkt *p, const char *owner, uint32_t ttl, const char *target)
{
	struct pkt r = {0};

	pkt_name(&r, target);
	pkt_rr(p, PKT_AN, owner, 5, ttl, r.data, r.len);
}

/* pkt_soa - the SOA of a negative answer */
void pkt_soa(struct pkt *p, const char *owner, uint32_t ttl, uint32_t minimum)
{
	struct pkt r = {0};

	pkt_name(&r, "ns.example");
	pkt_name(&r, "admin.example");
	for (int i = 0; i < 4; i++)
		u32(&r, 1);
	u32(&r, minimum);
	pkt_rr(p, PKT_NS, owner, 6, ttl, r.data, r.len);
}

/* ask_read - what a query asks */
static bool ask_read(const uint8_t *q, size_t len, struct dnsask *ask)
{
	size_t at = 12, n = 0;

	if (len < 17)
		return false;
	ask->id = (uint16_t)(q[0] << 8 | q[1]);
	while (
	    at < len && q[at] != 0 && n + q[at] + 1 < sizeof(ask->name) && at + 1 + q[at] < len) {
		memcpy(ask->name + n, q + at + 1, q[at]);
		n += q[at];
		ask->name[n++] = '.';
		at += 1 + (size_t)q[at];
	}
	ask->name[n > 0 ? n - 1 : 0] = '\0';
	if (at + 5 > len)
		return false;
	ask->type = (uint16_t)(q[at + 1] << 8 | q[at + 2]);
	ask->edns = q[11] == 1;
	ask->cd = (q[3] & 0x10) != 0;
	return true;
}

/* udp_ready - answer one packet */
static void udp_ready(evutil_socket_t fd, short what, void *arg)
{
	static struct pkt reply;
	struct dnsserver *s = arg;
	struct dnsask ask = {0};
	socklen_t fromlen = sizeof(ask.from);
	uint8_t q[600];
	ssize_t n = recvfrom(fd, q, sizeof(q), 0, (struct sockaddr *)&ask.from, &fromlen);

	(void)what;
	if (n <= 0 || !ask_read(q, (size_t)n, &ask))
		return;
	s->asked++;
	if (s->say(&ask, &reply, s->arg))
		sendto(fd, reply.data, reply.len, 0, (struct sockaddr *)&ask.from, fromlen);
}

/* A connection that somebody asks over. */
struct tcpconn {
	struct dnsserver *server;
	struct event *event;
	size_t len;
	uint8_t in[16384];
};

/* tcp_close - hang up */
static void tcp_close(struct tcpconn *c)
{
	for (size_t i = 0; i < DNSSERVER_CONNS; i++)
		if (c->server->conns[i] == c)
			c->server->conns[i] = NULL;
	close(event_get_fd(c->event));
	event_free(c->event);
	free(c);
}

/* tcp_answer - one question; false: hang up */
static bool tcp_answer(struct tcpconn *c, size_t len)
{
	static struct pkt reply;
	struct dnsask ask = {.tcp = true};
	uint8_t head[2];

	if (!ask_read(c->in + 2, len, &ask))
		return false;
	c->server->asked++;
	if (!c->server->say(&ask, &reply, c->server->arg))
		return false;
	head[0] = (uint8_t)(reply.len >> 8);
	head[1] = (uint8_t)reply.len;
	return send(event_get_fd(c->event), head, 2, MSG_NOSIGNAL | MSG_MORE) == 2 &&
	       send(event_get_fd(c->event), reply.data, reply.len, MSG_NOSIGNAL) > 0;
}

/* tcp_readable - answer what came */
static void tcp_readable(evutil_socket_t fd, short what, void *arg)
{
	struct tcpconn *c = arg;
	ssize_t n = recv(fd, c->in + c->len, sizeof(c->in) - c->len, 0);

	(void)what;
	if (n <= 0) {
		tcp_close(c);
		return;
	}
	c->len += (size_t)n;
	while (c->len >= 2 && c->len >= 2 + (size_t)(c->in[0] << 8 | c->in[1])) {
		size_t len = (size_t)(c->in[0] << 8 | c->in[1]);

		if (!tcp_answer(c, len)) {
			tcp_close(c);
			return;
		}
		c->len -= 2 + len;
		memmove(c->in, c->in + 2 + len, c->len);
	}
}

/* tcp_ready - take a connection */
static void tcp_ready(evutil_socket_t fd, short what, void *arg)
{
	struct dnsserver *s = arg;
	struct tcpconn *c = calloc(1, sizeof(*c));
	int sock = accept(fd, NULL, NULL);
	size_t i = 0;

	(void)what;
	while (i < DNSSERVER_CONNS && s->conns[i] != NULL)
		i++;
	assert(c != NULL && sock >= 0 && i < DNSSERVER_CONNS);
	s->conns[i] = c;
	c->server = s;
	c->event = event_new(loop_base(), sock, EV_READ | EV_PERSIST, tcp_readable, c);
	event_add(c->event, NULL);
}

/* dnsserver_start - sockets on one port, events */
void dnsserver_start(struct dnsserver *s, dnsserver_say *say, void *arg)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int ret = -1;

	memset(s, 0, sizeof(*s));
	s->say = say;
	s->arg = arg;
	for (int tries = 0; tries < 50 && ret != 0; tries++) {
		in.sin_port = 0;
		s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert(s->udp >= 0 && s->tcp >= 0);
		assert(bind(s->udp, (struct sockaddr *)&in, sizeof(in)) == 0);
		assert(getsockname(s->udp, (struct sockaddr *)&in, &len) == 0);
		/* The same port may be somebody else's for TCP: then take another. */
		ret = bind(s->tcp, (struct sockaddr *)&in, sizeof(in));
		if (ret != 0) {
			close(s->udp);
			close(s->tcp);
		}
	}
	assert(ret == 0 && listen(s->tcp, 16) == 0);
	memcpy(&s->addr, &in, sizeof(in));
	s->udp_event = event_new(loop_base(), s->udp, EV_READ | EV_PERSIST, udp_ready, s);
	s->tcp_event = event_new(loop_base(), s->tcp, EV_READ | EV_PERSIST, tcp_ready, s);
	event_add(s->udp_event, NULL);
	event_add(s->tcp_event, NULL);
}

/* dnsserver_stop - as if it had died */
void dnsserver_stop(struct dnsserver *s)
{
	if (s->udp_event == NULL)
		return;
	event_free(s->udp_event);
	event_free(s->tcp_event);
	s->udp_event = NULL;
	for (size_t i = 0; i < DNSSERVER_CONNS; i++)
		if (s->conns[i] != NULL)
			tcp_close(s->conns[i]);
	close(s->udp);
	close(s->tcp);
}
