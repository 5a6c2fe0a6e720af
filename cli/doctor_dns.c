/* SPDX-License-Identifier: ISC */
/* What the DNS says of this host and its domain, by dnscache's word. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "lib/str.h"

/* take_record - address or text of one */
static void take_record(struct doctor_answer *a, const struct dns_record *rec)
{
	if (a->type == DNS_A || a->type == DNS_AAAA) {
		if (!a->n)
			a->addr = rec->addr;
	} else if (a->n < 4) {
		size_t n = rec->len < sizeof(a->record[0]) ? rec->len : sizeof(a->record[0]) - 1;
		memcpy(a->record[a->n], rec->data, n);
		a->record[a->n][n] = '\0';
	}
	a->n++;
}

/* on_answer - dns_explain_is */
static void on_answer(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_dns_explain_is *m = &msg->dns_explain_is;
	struct doctor_answer *a = arg;
	struct dns_record rec;
	struct wire_in in;
	(void)chan;
	a->done = true;
	a->verdict = m->verdict;
	a->source = m->source;
	a->took_us = m->took_us;
	snprintf(a->server, sizeof(a->server), "%.*s", (int)m->server.len, m->server.data);
	snprintf(a->text, sizeof(a->text), "%.*s", (int)m->text.len, m->text.data);
	wire_in_init(&in, m->records.data, m->records.len);
	while (dns_record_next(&in, a->type, &rec))
		take_record(a, &rec);
}

/* on_refused - we may not ask */
static void on_refused(struct chan *chan, union msg_any *msg, void *arg)
{
	struct doctor_answer *a = arg;
	(void)chan;
	a->done = true;
	a->verdict = DNS_TEMPFAIL;
	snprintf(a->text, sizeof(a->text), "%.*s", (int)msg->tool_refused.text.len,
	    msg->tool_refused.text.data);
}

/* doctor_dns - one question */
bool doctor_dns(struct doctor *d, const char *name, uint16_t type, struct doctor_answer *out)
{
	static const struct chan_handlers handlers = {
	    .on = {[MSG_dns_explain_is] = on_answer, [MSG_tool_refused] = on_refused}};
	const struct msg_dns_explain msg = {.request = 1, .type = type, .name = msg_str(name)};
	*out = (struct doctor_answer){.type = type, .verdict = DNS_TEMPFAIL};
	if (!d->running || d->dns_dead)
		return false;
	int r = doctor_ask(
	    d, DNS_SOCKET, ROLE_DNSCACHE, MSG_dns_explain, &msg, &handlers, out, &out->done);
	if (r)
		snprintf(out->text, sizeof(out->text), "%s", strerror(-r));
	d->dns_dead = r || out->verdict == DNS_TEMPFAIL;
	return !d->dns_dead;
}

/* skipped - why nobody was asked */
static void skipped(struct doctor *d)
{
	if (!d->running)
		finding(d, LEVEL_WARNING, "start baton, then run the doctor again",
		    "not checked: baton is not running");
	else
		finding(d, LEVEL_WARNING, "mend the resolver, then run the doctor again",
		    "not checked: no resolver answers");
}

/* asks_dns - does any mail need it to find its way */
static bool asks_dns(const struct conf *conf)
{
	struct dns_addr addr;
	for (size_t i = 0; i < conf->nroute; i++)
		for (size_t k = 0; k < conf->route[i].to.n; k++) {
			const struct conf_target *t = &conf->route[i].to.v[k];
			if (t->kind == CONF_TARGET_MX)
				return true;
			if ((t->kind == CONF_TARGET_RELAY || t->kind == CONF_TARGET_LMTP) &&
			    dns_addr_parse(t->host, strlen(t->host), &addr) != 0)
				return true;
		}
	return false;
}

/* check_resolver - does one answer, and how quickly */
void check_resolver(struct doctor *d)
{
	struct doctor_answer a;
	char fix[400], name[DNS_NAME_SIZE];
	if (!d->running) {
		skipped(d);
		return;
	}
	/* a name that nobody has asked for: what is asked must go out */
	snprintf(name, sizeof(name), "doctor-%ld.%.200s", (long)getpid(), d->conf->origin);
	doctor_dns(d, name, DNS_A, &a);
	snprintf(fix, sizeof(fix),
	    "is the address in %s right, is the server up, does a firewall stop port 53? "
	    "`batonctl dns --stats` shows each",
	    d->conf->resolver.servers.n ? "resolver.servers" : "/etc/resolv.conf");
	if (d->dns_dead)
		finding(d, asks_dns(d->conf) ? LEVEL_FAIL : LEVEL_WARNING, fix, "%s: %s",
		    strstr(a.text, "resolver") ? a.text : "no resolver answers",
		    asks_dns(d->conf) ? "mail whose way the DNS has to say waits"
				      : "no route needs it, all go to addresses");
	else if (a.took_us > 1000000)
		finding(d, LEVEL_WARNING, "a resolver on this host (unbound) would be quicker",
		    "the resolver %s took %u ms for an answer", a.server, a.took_us / 1000);
	else
		finding(d, LEVEL_OK, "", "%s answers, in %u.%u ms", a.server[0] ? a.server : "it",
		    a.took_us / 1000, a.took_us / 100 % 10);
}

/* -- our names */

/* by_mx - does mail of most domains go out by itself */
static bool by_mx(const struct conf *conf)
{
	return conf_route(conf, "x@x.invalid", "x", "x.invalid")->to.v[0].kind == CONF_TARGET_MX;
}

/* own_address - the one that a connection to the Internet leaves from; nothing is sent */
static bool own_address(const struct conf *conf, struct dns_addr *out)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(25)}, own = {0};
	socklen_t len = sizeof(own);
	for (size_t i = 0; i < conf->nsource; i++) {
		if (!conf->source[i].address.n)
			continue;
		const struct conf_addr *a = &conf->source[i].address.v[0];
		out->family = a->family == AF_INET ? 4 : 6;
		memcpy(out->bytes, a->bytes, sizeof(out->bytes));
		return true;
	}
	inet_pton(AF_INET, "192.0.2.1", &to.sin_addr); /* RFC 5737: nobody's */
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
		    getsockname(fd, (struct sockaddr *)&own, &len) == 0;
	if (fd >= 0)
		close(fd);
	*out = (struct dns_addr){.family = 4};
	memcpy(out->bytes, &own.sin_addr, 4);
	return good;
}

/* is_private - RFC 1918, 3927, 6598, loopback: what the world sees is another one */
static bool is_private(const struct dns_addr *a)
{
	const uint8_t *b = a->bytes;
	if (a->family == 6)
		return (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
	return b[0] == 10 || b[0] == 127 || (b[0] == 172 && (b[1] & 0xf0) == 16) ||
	       (b[0] == 192 && b[1] == 168) || (b[0] == 169 && b[1] == 254) ||
	       (b[0] == 100 && (b[1] & 0xc0) == 64);
}

/* check_reverse - the name of the address we leave from */
static void check_reverse(struct doctor *d)
{
	struct dns_addr own;
	struct doctor_answer a;
	char name[DNS_NAME_SIZE], text[DNS_LITERAL_SIZE], fix[500];
	if (!own_address(d->conf, &own))
		return;
	dns_addr_text(&own, text);
	if (is_private(&own)) {
		finding(d, LEVEL_OK, "",
		    "mail leaves from %s, a private address: the reverse name of your router's "
		    "public one has to be %s",
		    text, d->conf->hostname);
		return;
	}
	dns_addr_reverse(&own, name);
	doctor_dns(d, name, DNS_PTR, &a);
	snprintf(fix, sizeof(fix), "ask whoever gave you %s for a PTR record %s", text,
	    d->conf->hostname);
	if (d->dns_dead)
		skipped(d);
	else if (!a.n)
		finding(d, LEVEL_WARNING, fix,
		    "the address mail leaves from, %s, has no reverse name: many hosts refuse that",
		    text);
	else if (strcasecmp(a.record[0], d->conf->hostname) != 0)
		finding(d, LEVEL_WARNING, fix, "%s is called %s, not %s", text, a.record[0],
		    d->conf->hostname);
	else
		finding(d, LEVEL_OK, "", "%s is called %s", text, a.record[0]);
}

/* check_names - hostname forward, the address back */
void check_names(struct doctor *d)
{
	const char *host = d->conf->hostname;
	struct doctor_answer a;
	char text[DNS_LITERAL_SIZE];
	if (!strchr(host, '.'))
		finding(d, LEVEL_WARNING,
		    "hostname = \"mail.example.org\": a name that others know",
		    "hostname is \"%s\", which is no full name: others may refuse it in EHLO",
		    host);
	if (!by_mx(d->conf)) {
		finding(d, LEVEL_OK, "",
		    "mail goes through fixed hosts, to which our name matters "
		    "little");
		return;
	}
	if (!doctor_dns(d, host, DNS_A, &a)) {
		skipped(d);
		return;
	}
	if (!a.n)
		doctor_dns(d, host, DNS_AAAA, &a);
	if (!a.n)
		finding(d, LEVEL_WARNING,
		    "publish an A record for it, or set hostname to one that "
		    "has one",
		    "hostname %s has no address in the DNS: others may refuse it in EHLO", host);
	else
		finding(d, LEVEL_OK, "", "hostname %s is %s", host, dns_addr_text(&a.addr, text));
	check_reverse(d);
}

/* -- SPF, DKIM, DMARC */

/* beginning - how many of the texts begin so; *which the first */
static unsigned beginning(const struct doctor_answer *a, const char *what, unsigned *which)
{
	unsigned n = 0;
	for (unsigned i = a->n < 4 ? a->n : 4; i-- > 0;)
		if (str_starts_ci(a->record[i], strlen(a->record[i]), what)) {
			*which = i;
			n++;
		}
	return n;
}

/* check_spf - RFC 7208 */
static void check_spf(struct doctor *d, const char *domain)
{
	struct doctor_answer a;
	char fix[700];
	unsigned at = 0;
	if (!doctor_dns(d, domain, DNS_TXT, &a)) {
		skipped(d);
		return;
	}
	unsigned n = beginning(&a, "v=spf1", &at);
	snprintf(fix, sizeof(fix), "publish: %s. TXT \"v=spf1 mx a:%s -all\"%s", domain,
	    d->conf->hostname,
	    by_mx(d->conf) ? "" : ", with the include: that your provider names");
	if (n > 1)
		finding(d, LEVEL_FAIL, "make one record of them (RFC 7208 3.2)",
		    "SPF: %s has %u records, so none counts", domain, n);
	else if (!n)
		finding(
		    d, LEVEL_WARNING, fix, "SPF: %s says nothing of who may send for it", domain);
	else
		finding(d, LEVEL_OK, "", "SPF: %s", a.record[at]);
}

/* check_dkim - whether there is any key; which one is for whoever signs to say (RFC 6376) */
static void check_dkim(struct doctor *d, const char *domain)
{
	struct doctor_answer a;
	char name[DNS_NAME_SIZE];
	snprintf(name, sizeof(name), "_domainkey.%.200s", domain);
	if (!doctor_dns(d, name, DNS_TXT, &a))
		return;
	if (a.verdict == DNS_NODOMAIN)
		finding(d, LEVEL_WARNING,
		    "whoever signs your mail (a provider, a milter) has the record to publish",
		    "DKIM: no key is published below %s", name);
	else
		finding(d, LEVEL_OK, "", "DKIM: there are names below %s", name);
}

/* check_dmarc - RFC 7489 */
static void check_dmarc(struct doctor *d, const char *domain)
{
	struct doctor_answer a;
	char name[DNS_NAME_SIZE], fix[700];
	unsigned at = 0;
	snprintf(name, sizeof(name), "_dmarc.%.200s", domain);
	if (!doctor_dns(d, name, DNS_TXT, &a))
		return;
	snprintf(fix, sizeof(fix),
	    "publish: %s. TXT \"v=DMARC1; p=none; rua=mailto:postmaster@%s\"", name, domain);
	if (beginning(&a, "v=DMARC1", &at))
		finding(d, LEVEL_OK, "", "DMARC: %s", a.record[at]);
	else
		finding(d, LEVEL_WARNING, fix, "DMARC: %s has no policy", domain);
}

/* check_records - of the domain that our mail is from */
void check_records(struct doctor *d)
{
	const char *domain = d->conf->origin;
	if (!strchr(domain, '.')) {
		finding(d, LEVEL_WARNING, "origin = \"example.org\": the domain that mail is from",
		    "origin is \"%s\", no public domain", domain);
		return;
	}
	check_spf(d, domain);
	if (!d->running || d->dns_dead)
		return;
	check_dkim(d, domain);
	check_dmarc(d, domain);
}
