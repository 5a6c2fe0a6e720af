/* SPDX-License-Identifier: ISC */
/* A strike is taken back by any answer, so one slow name doesn't make a busy server down. */
#include "dnscache/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"

/* server_same - whether two socket addresses are one */
bool server_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	socklen_t len =
	    a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	return a->ss_family == b->ss_family && memcmp(a, b, len) == 0;
}

/* server_text - a server for people */
const char *server_text(const struct upstream_server *s)
{
	static char name[DNS_SERVER_SIZE];
	char text[DNS_LITERAL_SIZE] = "?";
	const struct sockaddr_in *in = (const struct sockaddr_in *)&s->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&s->addr;
	bool six = s->addr.ss_family == AF_INET6;

	inet_ntop(s->addr.ss_family, six ? (const void *)&in6->sin6_addr : &in->sin_addr, text,
	    sizeof(text));
	snprintf(name, sizeof(name), six ? "[%s]:%u" : "%s:%u", text,
	    ntohs(six ? in6->sin6_port : in->sin_port));
	return name;
}

/* server_edns - with or without */
bool server_edns(const struct upstream_server *s, bool again)
{
	return clock_ms() >= s->plain_ms && (s->edns || !again);
}

/* server_heard - it answered something */
void server_heard(struct upstream_server *s, const struct server_try *t)
{
	int64_t us = clock_us() - t->sent_us;

	us = us < 1 ? 1 : us;
	s->answered++;
	s->total_us += (uint64_t)us;
	s->strikes = 0;
	if (s->down)
		log_info("resolver %s answers again", server_text(s));
	s->down = false;
	s->edns |= t->edns;
	if (t->again && !t->edns && !t->tcp && !s->edns)
		s->plain_ms = clock_ms() + SERVER_PLAIN_MS;
	if (!t->tcp)
		s->latency_us =
		    s->latency_us == 0 ? (uint32_t)us : (uint32_t)((s->latency_us * 7LL + us) / 8);
}

/* server_choked - it doesn't know EDNS */
void server_choked(struct upstream_server *s)
{
	s->edns = false;
	s->plain_ms = clock_ms() + SERVER_PLAIN_MS;
}

/* server_silent - nothing came */
bool server_silent(struct upstream_server *s, bool dead)
{
	s->silent++;
	s->strikes++;
	if (s->down || (!dead && s->strikes < SERVER_STRIKES))
		return false;
	log_warnx("resolver %s doesn't answer", server_text(s));
	s->down = true;
	s->edns = false;
	return true;
}

/* server_show - for tools */
void server_show(const struct upstream_server *s, struct dns_server *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", server_text(s));
	out->down = s->down;
	out->trusted = s->trusted;
	out->latency_us = s->latency_us;
	out->sent = s->sent;
	out->answered = s->answered;
	out->silent = s->silent;
	out->refused = s->refused;
}
