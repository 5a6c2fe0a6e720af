/* SPDX-License-Identifier: ISC */
#include "deliver/trial_dns.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/chan.h"
#include "lib/str.h"

#define WAIT_MS 60000

/* One question to dnscache. */
struct question {
	uint16_t type;
	bool done;
	struct trial_addrs *out;
};

/* add - one more address */
static void add(struct trial_addrs *out, const struct dns_addr *addr)
{
	if (out->n < TRIAL_ADDRS)
		out->v[out->n++] = *addr;
}

/* on_answer - dnscache's */
static void on_answer(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_dns_explain_is *m = &msg->dns_explain_is;
	struct question *q = arg;
	struct dns_record rec;
	struct wire_in in;
	(void)chan;
	q->done = true;
	wire_in_init(&in, m->records.data, m->records.len);
	while (dns_record_next(&in, q->type, &rec))
		add(q->out, &rec.addr);
	if (!q->out->n)
		snprintf(q->out->why, sizeof(q->out->why), "%s%s%.*s", dns_verdict_name(m->verdict),
		    m->text.len ? ": " : "", (int)m->text.len, m->text.data);
}

/* ask - one type; 0, or -E... where dnscache can't be asked */
static int ask(int fd, const char *host, uint16_t type, struct trial_addrs *out)
{
	static const struct chan_handlers handlers = {.on = {[MSG_dns_explain_is] = on_answer}};
	static unsigned char packet[MSG_PACKET_MAX];
	const struct msg_dns_explain msg = {.request = 1, .type = type, .name = msg_str(host)};
	struct question q = {.type = type, .out = out};
	int fds[MSG_FDS_MAX], r = 0;
	unsigned nfds;
	int n = msg_encode(MSG_dns_explain, &msg, packet, sizeof(packet), fds, &nfds);
	if (n < 0 || send(fd, packet, (size_t)n, MSG_NOSIGNAL) != n)
		return n < 0 ? n : -errno;
	while (!r && !q.done)
		r = chan_receive_once(fd, ROLE_TOOL, ROLE_DNSCACHE, &handlers, &q, WAIT_MS);
	return q.done ? 0 : r;
}

/* from_dnscache - of the instance that runs; false: there is none, or it doesn't talk to us */
static bool from_dnscache(const struct conf *conf, const char *host, struct trial_addrs *out)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", conf->runtime, DNS_SOCKET);
	if (fd < 0)
		return false;
	int r = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	if (!r && conf->deliver.ipv6)
		r = ask(fd, host, DNS_AAAA, out);
	if (!r)
		r = ask(fd, host, DNS_A, out);
	close(fd);
	str_copy(out->from, sizeof(out->from), "dnscache");
	return r == 0;
}

/* from_system - as any program of this host finds it */
static void from_system(const struct conf *conf, const char *host, struct trial_addrs *out)
{
	const struct addrinfo hints = {
	    .ai_family = conf->deliver.ipv6 ? AF_UNSPEC : AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int r = getaddrinfo(host, NULL, &hints, &list);
	*out = (struct trial_addrs){0};
	str_copy(out->from, sizeof(out->from), "the system: no instance answers");
	if (r)
		snprintf(out->why, sizeof(out->why), "%s", gai_strerror(r));
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		struct dns_addr addr = {.family = a->ai_family == AF_INET6 ? 6 : 4};
		const void *from =
		    addr.family == 6
			? (const void *)&((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_addr
			: (const void *)&((struct sockaddr_in *)(void *)a->ai_addr)->sin_addr;
		memcpy(addr.bytes, from, addr.family == 6 ? 16 : 4);
		add(out, &addr);
	}
	if (list)
		freeaddrinfo(list);
}

void trial_lookup(const struct conf *conf, const char *host, struct trial_addrs *out)
{
	struct dns_addr addr;
	*out = (struct trial_addrs){0};
	if (dns_addr_parse(host, strlen(host), &addr) == 0) {
		add(out, &addr);
		str_copy(out->from, sizeof(out->from), "an address");
	} else if (!from_dnscache(conf, host, out)) {
		from_system(conf, host, out);
	}
}
