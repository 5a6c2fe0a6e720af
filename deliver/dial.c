/* SPDX-License-Identifier: ISC */
/*
 * race.c finds an address that lets us connect; the client that gets its socket speaks. One that
 * ends before it was ready starts the race anew among the addresses that are left; once ready, its
 * end is the hop's end.
 */
#include "deliver/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/client.h"
#include "deliver/hosts.h"
#include "deliver/race.h"
#include "deliver/resolve.h"
#include "deliver/secure.h"
#include "deliver/self.h"
#include "deliver/source.h"
#include "deliver/unix_ask.h"
#include "deliver/verdict.h"
#include "lib/child.h"
#include "lib/dialogue.h"
#include "lib/log.h"
#include "lib/str.h"

struct dial {
	struct hop *hop;
	struct resolve *question;
	struct unix_ask *ask;
	struct client *client;
	bool by_mx, ready;
	bool ipv4;    /* the site refuses what comes over IPv6 */
	bool no_ipv6; /* a refusal of IPv6 may be answered by IPv4 */
	uint16_t port;
	struct race race;
	unsigned addr; /* that the client is connected to */
	struct client_setup setup;
	enum conf_tls tls;        /* as OPEN wants it; setup.tls is for the address at hand */
	int plain;                /* this address has failed with TLS; -1: none */
	char name[DNS_NAME_SIZE]; /* of a fixed host, as it was configured */
	struct race_source source;
	char hello[256], credential[256];
	char site[DIALOGUE_NAME_MAX + 1];
	enum open_verdict verdict; /* the most telling so far */
	struct words words;
	struct hosts hosts;
};

static const struct client_ops ops;
static const struct race_ops race_ops;

int dial_weight(enum open_verdict verdict)
{
	switch (verdict) {
	case OPEN_THROTTLED:
		return 4;
	case OPEN_REFUSED:
	case OPEN_TLS:
		return 3;
	case OPEN_UNREACHABLE:
	case OPEN_LOST:
		return 2;
	default:
		return 1;
	}
}

/* free_dial - everything but the hop */
static void free_dial(struct dial *d)
{
	resolve_cancel(d->question);
	unix_ask_cancel(d->ask);
	race_end(&d->race);
	client_free(d->client);
	free(d);
}

/* give_up - no address let us in */
static void give_up(struct dial *d, enum open_verdict verdict, const struct words *words)
{
	struct hop *hop = d->hop;
	struct words copy = *words;
	free_dial(d);
	hop_failed(hop, verdict, &copy);
}

/* give_up_ours - the same in our own words */
static void give_up_ours(
    struct dial *d, enum open_verdict verdict, const char *status, const char *text)
{
	struct words words;
	words_set(&words, 0, status, "%s", text);
	give_up(d, verdict, &words);
}

/* remember - what an address said, if it tells more than the ones before */
static void remember(struct dial *d, enum open_verdict verdict, const struct words *words)
{
	if (d->words.status[0] && dial_weight(verdict) <= dial_weight(d->verdict))
		return;
	d->verdict = verdict;
	d->words = *words;
}

/* name_address - what is being tried, for results and logs */
static void name_address(struct dial *d, const struct host_addr *addr)
{
	char text[DNS_LITERAL_SIZE];
	dns_addr_text(&addr->addr, text);
	str_copy(d->hop->host, sizeof(d->hop->host), d->hosts.names[addr->host]);
	snprintf(d->hop->address, sizeof(d->hop->address),
	    addr->addr.family == 6 ? "[%s]:%u" : "%s:%u", text, d->port);
}

/* want_tls - what is asked of this address; what a fixed host has to prove is the name configured
 */
static void want_tls(struct dial *d, const struct host_addr *addr)
{
	d->setup.secure.name = d->by_mx ? d->hosts.names[addr->host] : d->name;
	d->setup.tls = secure_wanted(d->tls, d->credential[0], &addr->addr);
	if (d->setup.tls == CONF_TLS_OPPORTUNISTIC && !d->setup.implicit_tls &&
	    ((int)d->addr == d->plain || secure_is_broken(&d->setup.secure)))
		d->setup.tls = CONF_TLS_NONE;
}

/* on_failed - an address can't be connected */
static void on_failed(void *arg, unsigned addr, int error)
{
	struct dial *d = arg;
	struct words words;
	name_address(d, &d->hosts.addrs[addr]);
	words_set(&words, 0, "4.4.1", "%s",
	    error == ETIMEDOUT ? "connection timed out" : strerror(error));
	remember(d, OPEN_UNREACHABLE, &words);
}

/* on_over - no address is left, or we can't go on */
static void on_over(void *arg, int error)
{
	struct dial *d = arg;
	if (error)
		give_up_ours(d, OPEN_LOCAL_LIMIT, "4.3.1", strerror(error));
	else
		give_up(d, d->verdict, &d->words);
}

/* on_won - an address is connected */
static void on_won(void *arg, unsigned addr, int fd)
{
	struct dial *d = arg;
	d->addr = addr;
	name_address(d, &d->hosts.addrs[addr]);
	want_tls(d, &d->hosts.addrs[addr]);
	d->setup.try_ipv4 = d->no_ipv6 && d->hosts.addrs[addr].addr.family == 6;
	d->client = client_adopt(&d->setup, fd, &ops, d);
	if (!d->client)
		give_up_ours(d, OPEN_LOCAL_LIMIT, "4.3.1", strerror(errno));
}

static const struct race_ops race_ops = {.won = on_won, .failed = on_failed, .over = on_over};

/* try_hosts - the addresses are known */
static void try_hosts(struct dial *d)
{
	d->no_ipv6 = hosts_have(&d->hosts, 4) && (!d->source.bind || d->source.v4.family);
	if (race_init(&d->race, &race_ops, d) < 0) {
		give_up_ours(d, OPEN_LOCAL_LIMIT, "4.3.0", "out of memory");
		return;
	}
	d->race.hosts = &d->hosts;
	d->race.port = d->port;
	d->race.connect_ms = d->setup.connect_ms;
	d->race.source = &d->source;
	race_run(&d->race);
}

/* on_ready - it lets us in */
static void on_ready(void *arg)
{
	struct dial *d = arg;
	d->ready = true;
	client_tls(d->client, d->hop->tls);
	hop_opened(d->hop);
}

/* on_next - the client wants a job */
static struct job *on_next(void *arg)
{
	struct dial *d = arg;
	return hop_next(d->hop);
}

/* on_done - a job is over */
static void on_done(void *arg, struct job *job)
{
	struct dial *d = arg;
	d->hop->window = (uint8_t)client_wants(d->client);
	hop_done(d->hop, job);
}

/* on_ended - the client is over: the hop too, unless another address may be tried */
static void on_ended(void *arg, enum open_verdict why, const struct words *words)
{
	struct dial *d = arg;
	struct hop *hop = d->hop;
	struct words copy = *words;
	bool over = d->ready || hop->state == HOP_CLOSING;
	hop->ahead = (uint8_t)client_ahead(d->client);
	client_free(d->client);
	d->client = NULL;
	if (over) {
		free_dial(d);
		hop_closed(hop, why, &copy);
	} else if (why == OPEN_LOCAL_LIMIT || !d->hosts.naddrs) {
		give_up(d, why, &copy);
	} else if (d->setup.try_ipv4 && verdict_no_ipv6(&copy)) {
		give_up(d, OPEN_NO_IPV6, &copy);
	} else if (why == OPEN_TLS && d->setup.tls == CONF_TLS_OPPORTUNISTIC &&
		   !d->setup.implicit_tls) {
		secure_note_broken(&d->setup.secure, d->site, copy.text, copy.len);
		d->plain = (int)d->addr;
		d->hosts.addrs[d->addr].state = HOST_LEFT;
		race_run(&d->race);
	} else {
		remember(d, why, &copy);
		race_run(&d->race);
	}
}

static const struct client_ops ops = {
    .ready = on_ready, .next = on_next, .done = on_done, .ended = on_ended};

/* random_below - for the order of equal hosts */
static unsigned random_below(unsigned below)
{
	return arc4random_uniform(below);
}

/* dns_failed - what an answer without hosts means. A fixed next hop that can't be found never
 * bounces mail: that is the administrator's slip, or the DNS's. */
static void dns_failed(struct dial *d, enum dns_verdict verdict, struct msg_bytes text)
{
	struct words words;
	enum open_verdict open = OPEN_DNS;
	const char *status = "4.4.3";
	if (d->by_mx && verdict == DNS_NULLMX) {
		open = OPEN_NULL_MX;
		status = "5.1.10";
	} else if (d->by_mx && (verdict == DNS_NODOMAIN || verdict == DNS_NODATA)) {
		open = OPEN_NO_DOMAIN;
		status = verdict == DNS_NODOMAIN ? "5.1.2" : "5.4.4";
	}
	if (text.len)
		words_set(&words, 0, status, "%.*s", (int)text.len, text.data);
	else
		words_set(&words, 0, status, "DNS: %s", dns_verdict_name(verdict));
	give_up(d, open, &words);
}

/* read_hosts - over which families we may go there; a host that has but IPv6 is reached by that */
static int read_hosts(struct dial *d, struct msg_bytes list)
{
	bool ipv6 = child_self()->conf->deliver.ipv6;
	int rc = hosts_read(list, ipv6 && !d->ipv4, random_below, &d->hosts);
	return rc == -ENOENT && ipv6 && d->ipv4 ? hosts_read(list, true, random_below, &d->hosts)
						: rc;
}

/* on_resolved - dnscache's answer */
static void on_resolved(
    void *arg, enum dns_verdict verdict, struct msg_bytes hosts, struct msg_bytes text)
{
	struct dial *d = arg;
	d->question = NULL;
	if (verdict != DNS_OK) {
		dns_failed(d, verdict, text);
		return;
	}
	int rc = read_hosts(d, hosts);
	if (rc == -ENOENT)
		give_up_ours(d, OPEN_UNREACHABLE, "4.4.1", "no address that we may use");
	else if (rc < 0)
		give_up_ours(d, OPEN_DNS, "4.4.3", "dnscache's answer makes no sense");
	else if (d->by_mx && !self_cut(&d->hosts, child_self()->conf, d->port))
		give_up_ours(d, OPEN_LOOP, "5.4.6", "mail for the domain loops back to this host");
	else
		try_hosts(d);
}

/* on_socket - master's answer: a Unix socket that stands, or why not */
static void on_socket(void *arg, int fd)
{
	struct dial *d = arg;
	d->ask = NULL;
	if (fd < 0) {
		give_up_ours(d, OPEN_UNREACHABLE, "4.4.1", strerror(-fd));
		return;
	}
	d->client = client_adopt(&d->setup, fd, &ops, d);
	if (!d->client)
		give_up_ours(d, OPEN_LOCAL_LIMIT, "4.3.0", strerror(errno));
}

/* dial_open - find the addresses, then try them */
static void dial_open(struct hop *hop, const struct msg_deliver_open *msg)
{
	struct dial *d = calloc(1, sizeof(*d));
	struct words words;
	if (!d) {
		words_set(&words, 0, "4.3.0", "out of memory");
		hop_failed(hop, OPEN_LOCAL_LIMIT, &words);
		return;
	}
	hop->carrier = d;
	d->hop = hop;
	d->by_mx = msg->by_mx;
	d->ipv4 = msg->ipv4;
	d->plain = -1;
	d->port = msg->port;
	d->tls = (enum conf_tls)msg->tls;
	str_copy_n(d->name, sizeof(d->name), msg->host.data, msg->host.len);
	int unfit = str_copy_n(
	    d->credential, sizeof(d->credential), msg->credential.data, msg->credential.len);
	d->setup = (struct client_setup){.hello = d->hello,
	    .connect_ms = msg->connect_ms,
	    .reply_ms = msg->reply_ms,
	    .idle_ms = msg->idle_ms,
	    .max_messages = msg->max_messages,
	    .pipelining = (enum conf_pipelining)msg->pipelining,
	    .lmtp = msg->transport == TRANSPORT_LMTP,
	    .implicit_tls = msg->implicit_tls,
	    .credential = d->credential,
	    .secure = {.port = msg->port,
		.verify = msg->tls == CONF_TLS_VERIFY,
		.show = !msg->by_mx && child_self()->conf->deliver.certificate[0]},
	    .tag = msg->conn,
	    .site = d->site,
	    .host = hop->host};
	str_copy_n(d->site, sizeof(d->site), msg->site.data, msg->site.len);
	str_copy_n(hop->host, sizeof(hop->host), msg->host.data, msg->host.len);
	if (unfit) {
		give_up_ours(d, OPEN_REFUSED, "4.7.0", "the login's name is too long");
	} else if (source_take(
		       child_self()->conf, msg->source, random_below, &d->source, d->hello) < 0) {
		give_up_ours(d, OPEN_LOCAL_LIMIT, "4.3.5", "the configured source is unknown");
	} else if (msg->host.len && msg->host.data[0] == '/') {
		d->tls = d->setup.tls = CONF_TLS_NONE; /* the path is on this host */
		d->ask = unix_ask(hops_qmgr(), msg->host, on_socket, d);
		if (!d->ask)
			give_up_ours(d, OPEN_LOCAL_LIMIT, "4.3.0", strerror(errno));
	} else if (hosts_literal(msg->host, &d->hosts) == 0) {
		try_hosts(d);
	} else {
		d->question =
		    resolve_site(d->by_mx ? DNS_SITE_MX : DNS_SITE_HOST, msg->host, on_resolved, d);
		if (!d->question)
			give_up_ours(d, OPEN_LOCAL_LIMIT, "4.3.0", "out of memory");
	}
}

/* dial_feed - jobs for the client */
static void dial_feed(struct hop *hop)
{
	struct dial *d = hop->carrier;
	client_feed(d->client);
}

/* dial_close - at once while nothing stands, else after what is on the wire */
static void dial_close(struct hop *hop)
{
	struct dial *d = hop->carrier;
	struct words words;
	if (d->client) {
		client_close(d->client);
		return;
	}
	words_set(&words, 0, "2.0.0", "closed before it opened");
	free_dial(d);
	hop_closed(hop, OPEN_IDLE, &words);
}

const struct hop_transport dial_transport = {
    .open = dial_open, .feed = dial_feed, .close = dial_close};
