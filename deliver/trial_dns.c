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
	void (*take)(void *arg, const struct dns_record *rec); /* each record */
	void *arg;
	bool done;
	uint8_t verdict;
	char why[256]; /* the verdict in words */
};

/* add - one more address */
static void add(struct trial_addrs *out, const struct dns_addr *addr)
{
	if (out->n < TRIAL_ADDRS)
		out->v[out->n++] = *addr;
}

/* take_addr - A or AAAA */
static void take_addr(void *arg, const struct dns_record *rec)
{
	add(arg, &rec->addr);
}

/* take_mx - in the order of preference */
static void take_mx(void *arg, const struct dns_record *rec)
{
	struct trial_mx *out = arg;
	unsigned at = out->n;
	if (out->n == TRIAL_MX)
		return;
	while (at && out->v[at - 1].preference > rec->preference)
		at--;
	memmove(&out->v[at + 1], &out->v[at], (out->n - at) * sizeof(out->v[0]));
	if (str_copy_n(out->v[at].name, sizeof(out->v[at].name), rec->data, rec->len))
		out->v[at].name[0] = '\0';
	out->v[at].preference = rec->preference;
	out->n++;
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
	q->verdict = m->verdict;
	wire_in_init(&in, m->records.data, m->records.len);
	while (dns_record_next(&in, q->type, &rec))
		q->take(q->arg, &rec);
	snprintf(q->why, sizeof(q->why), "%s%s%.*s", dns_verdict_name(m->verdict),
	    m->text.len ? ": " : "", (int)m->text.len, m->text.data);
}

/* ask - one question; 0, or -E... where dnscache can't be asked */
static int ask(int fd, const char *name, struct question *q)
{
	static const struct chan_handlers handlers = {.on = {[MSG_dns_explain_is] = on_answer}};
	static unsigned char packet[MSG_PACKET_MAX];
	const struct msg_dns_explain msg = {.request = 1, .type = q->type, .name = msg_str(name)};
	int fds[MSG_FDS_MAX], r = 0;
	unsigned nfds;
	int n = msg_encode(MSG_dns_explain, &msg, packet, sizeof(packet), fds, &nfds);
	if (n < 0 || send(fd, packet, (size_t)n, MSG_NOSIGNAL) != n)
		return n < 0 ? n : -errno;
	while (!r && !q->done)
		r = chan_receive_once(fd, ROLE_TOOL, ROLE_DNSCACHE, &handlers, q, WAIT_MS);
	return q->done ? 0 : r;
}

/* reach - dnscache of the instance that runs; -1: there is none, or it doesn't talk to us */
static int reach(const struct conf *conf)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", conf->runtime, DNS_SOCKET);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* from_dnscache - both families; false where it can't be asked */
static bool from_dnscache(const struct conf *conf, const char *host, struct trial_addrs *out)
{
	static const uint16_t types[] = {DNS_AAAA, DNS_A};
	struct question q;
	int fd = reach(conf), r = 0;
	if (fd < 0)
		return false;
	for (unsigned i = conf->deliver.ipv6 ? 0 : 1; !r && i < 2; i++) {
		q = (struct question){.type = types[i], .take = take_addr, .arg = out};
		r = ask(fd, host, &q);
	}
	close(fd);
	str_copy(out->from, sizeof(out->from), "dnscache");
	str_copy(out->why, sizeof(out->why), q.why);
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

void trial_lookup_mx(const struct conf *conf, const char *domain, struct trial_mx *out)
{
	struct question q = {.type = DNS_MX, .take = take_mx, .arg = out};
	int fd = reach(conf);
	*out = (struct trial_mx){0};
	int r = fd < 0 ? -ENOTCONN : ask(fd, domain, &q);
	if (fd >= 0)
		close(fd);
	if (r)
		str_copy(out->why, sizeof(out->why),
		    "only a running instance looks for MX hosts, and none answers");
	else if (q.verdict == DNS_NODATA)
		str_copy(out->v[out->n++].name, sizeof(out->v[0].name), domain);
	else if (!out->n)
		str_copy(out->why, sizeof(out->why), q.why);
}
