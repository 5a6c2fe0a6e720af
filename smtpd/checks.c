/* SPDX-License-Identifier: ISC */
/*
 * The order is that of the table: what needs no DNS first. A temporary failure of the DNS defers,
 * but for lists: those of others may fail at any time, and mail must not stand still then.
 */
#include "smtpd/checks.h"

#include <stdio.h>
#include <string.h>

#include "lib/dns.h"
#include "lib/str.h"

struct input {
	const struct conf *conf;
	const struct said *said;
	const struct facts *facts;
	char *text;
};

static const struct verdict fine;

/* over - is a rate given and exceeded */
static bool over(const struct conf_rate *rate, uint32_t n)
{
	return rate->count && n > rate->count;
}

/* per_client - sessions at a time */
static struct verdict per_client(const struct input *in)
{
	uint32_t limit = in->conf->limits.per_client;
	if (limit && in->facts->open > limit)
		return verdict_reply(421, "4.7.0", "Too many connections from your address");
	return fine;
}

/* error_rate - those of earlier sessions */
static struct verdict error_rate(const struct input *in)
{
	const struct conf_rate *rate = &in->conf->policy.error_rate;
	if (rate->count && in->facts->rate[TALLY_ERRORS] >= rate->count)
		return verdict_reply(
		    421, "4.7.0", "Too many errors from your address, try again later");
	return fine;
}

/* connection_rate - this one included */
static struct verdict connection_rate(const struct input *in)
{
	if (over(&in->conf->policy.connection_rate, in->facts->rate[TALLY_CONNECTIONS]))
		return verdict_reply(
		    421, "4.7.0", "Too many connections from your address in a short time");
	return fine;
}

/* message_rate - this one included */
static struct verdict message_rate(const struct input *in)
{
	if (over(&in->conf->policy.message_rate, in->facts->rate[TALLY_MESSAGES]))
		return verdict_reply(
		    450, "4.7.1", "Too many messages from your address in a short time");
	return fine;
}

/* recipient_rate - this one included */
static struct verdict recipient_rate(const struct input *in)
{
	if (over(&in->conf->policy.recipient_rate, in->facts->rate[TALLY_RECIPIENTS]))
		return verdict_reply(
		    450, "4.7.1", "Too many recipients from your address in a short time");
	return fine;
}

/* is_literal - an address in brackets (RFC 5321 §4.1.3) */
static bool is_literal(const char *helo)
{
	struct dns_addr addr;
	return helo[0] == '[' && dns_addr_parse(helo, strlen(helo), &addr) == 0;
}

/* is_full - a name of the DNS with a dot inside, that isn't an address */
static bool is_full(const char *name)
{
	char clean[DNS_NAME_SIZE];
	struct dns_addr addr;
	size_t len = strlen(name);
	return dns_name_clean(name, len, clean) == 0 && strchr(clean, '.') &&
	       dns_addr_parse(name, len, &addr) != 0;
}

/* helo_fqdn - and nobody else is called as we are */
static struct verdict helo_fqdn(const struct input *in)
{
	const char *helo = in->said->helo;
	if (is_literal(helo))
		return fine;
	if (!is_full(helo))
		return verdict_reply(
		    550, "5.7.1", "The name in your EHLO is no fully qualified domain name");
	if (str_is_ci(helo, strlen(helo), in->conf->hostname))
		return verdict_reply(550, "5.7.1", "The name in your EHLO is ours, not yours");
	return fine;
}

/* helo_known - in the DNS */
static struct verdict helo_known(const struct input *in)
{
	if (is_literal(in->said->helo))
		return fine;
	if (in->facts->dns[FACT_HELO] == FACT_NO)
		return verdict_reply(550, "5.7.1", "The name in your EHLO is not in the DNS");
	if (in->facts->dns[FACT_HELO] != FACT_YES)
		return verdict_reply(
		    450, "4.7.1", "Cannot look up the name in your EHLO now, try again later");
	return fine;
}

/* dnsbl - the sum over all lists that answered */
static struct verdict dnsbl(const struct input *in)
{
	if (in->facts->score < (int64_t)in->conf->policy.dnsbl_threshold)
		return fine;
	const char *list = in->facts->list ? in->facts->list : "several lists";
	snprintf(in->text, CHECKS_TEXT, "Your address %s is listed by %.*s", in->said->address,
	    (int)strcspn(list, "=*"), list);
	return verdict_reply(554, "5.7.1", in->text);
}

/* rdns - the address has a name */
static struct verdict rdns(const struct input *in)
{
	if (in->facts->dns[FACT_NAME] == FACT_NO)
		return verdict_reply(
		    550, "5.7.25", "Your address has no name (PTR record) in the DNS");
	if (in->facts->dns[FACT_NAME] != FACT_YES)
		return verdict_reply(450, "4.7.25",
		    "Cannot look up the name of your address now, try again later");
	return fine;
}

/* fcrdns - and the name has the address */
static struct verdict fcrdns(const struct input *in)
{
	if (in->facts->dns[FACT_BACK] == FACT_NO)
		return verdict_reply(550, "5.7.25",
		    "The name of your address does not have that address in the DNS");
	if (in->facts->dns[FACT_BACK] != FACT_YES)
		return verdict_reply(450, "4.7.25",
		    "Cannot look up the name of your address now, try again later");
	return fine;
}

/* ours - the null sender, bare users and our own domains need no DNS */
static bool ours(const struct input *in)
{
	const char *domain = in->said->sender_domain;
	return !domain || conf_is_local_domain(in->conf, domain);
}

/* sender_fqdn - somewhere an answer could go */
static struct verdict sender_fqdn(const struct input *in)
{
	const char *domain = in->said->sender_domain;
	if (ours(in) || is_literal(domain) || is_full(domain))
		return fine;
	return verdict_reply(
	    550, "5.1.8", "The sender's domain is no fully qualified domain name");
}

/* sender_known - RFC 7505 §4.2 for null MX */
static struct verdict sender_known(const struct input *in)
{
	if (ours(in) || is_literal(in->said->sender_domain))
		return fine;
	switch (in->facts->dns[FACT_SENDER]) {
	case FACT_YES:
		return fine;
	case FACT_NO:
		return verdict_reply(550, "5.1.8", "The sender's domain does not exist");
	case FACT_NULLMX:
		return verdict_reply(550, "5.7.27", "The sender's domain takes no mail");
	case FACT_UNKNOWN:
	case FACT_TEMPFAIL:
		break;
	}
	return verdict_reply(
	    451, "4.1.8", "Cannot look up the sender's domain now, try again later");
}

/* always - a rate of 0 objects to nothing */
static bool always(const struct conf *c)
{
	(void)c;
	return true;
}

/* has_lists - somebody is asked */
static bool has_lists(const struct conf *c)
{
	return c->policy.dnsbl.n > 0;
}

/* wants_rdns - fcrdns includes it */
static bool wants_rdns(const struct conf *c)
{
	return c->policy.rdns || c->policy.fcrdns;
}

/* wants_fcrdns - asked for */
static bool wants_fcrdns(const struct conf *c)
{
	return c->policy.fcrdns;
}

/* helo_from_fqdn - fqdn or known */
static bool helo_from_fqdn(const struct conf *c)
{
	return c->policy.helo >= CONF_NAME_FQDN;
}

/* helo_from_known - known */
static bool helo_from_known(const struct conf *c)
{
	return c->policy.helo >= CONF_NAME_KNOWN;
}

/* sender_from_fqdn - fqdn or known */
static bool sender_from_fqdn(const struct conf *c)
{
	return c->policy.sender_domain >= CONF_NAME_FQDN;
}

/* sender_from_known - known */
static bool sender_from_known(const struct conf *c)
{
	return c->policy.sender_domain >= CONF_NAME_KNOWN;
}

/*
 * HELO is judged at MAIL: mail programs of users who are about to log in often have no full name to
 * say.
 */
static const struct check {
	enum check_stage stage;
	const char *name;
	unsigned needs;
	bool (*on)(const struct conf *conf);
	struct verdict (*judge)(const struct input *in);
} table[] = {
    {CHECK_CONNECT, "per_client", 0, always, per_client},
    {CHECK_CONNECT, "error_rate", 0, always, error_rate},
    {CHECK_CONNECT, "connection_rate", 0, always, connection_rate},
    {CHECK_MAIL, "helo", 0, helo_from_fqdn, helo_fqdn},
    {CHECK_MAIL, "sender_domain", 0, sender_from_fqdn, sender_fqdn},
    {CHECK_MAIL, "dnsbl", FACT_BIT(FACT_LISTS), has_lists, dnsbl},
    {CHECK_MAIL, "rdns", FACT_BIT(FACT_NAME), wants_rdns, rdns},
    {CHECK_MAIL, "fcrdns", FACT_BIT(FACT_BACK), wants_fcrdns, fcrdns},
    {CHECK_MAIL, "helo", FACT_BIT(FACT_HELO), helo_from_known, helo_known},
    {CHECK_MAIL, "sender_domain", FACT_BIT(FACT_SENDER), sender_from_known, sender_known},
    {CHECK_MAIL, "message_rate", 0, always, message_rate},
    {CHECK_RCPT, "recipient_rate", 0, always, recipient_rate},
};
#define CHECKS (sizeof(table) / sizeof(table[0]))

/* checks_need - of the rows that are on */
unsigned checks_need(const struct conf *conf, enum check_stage stage)
{
	unsigned needs = 0;
	for (const struct check *c = table; c < table + CHECKS; c++)
		if (c->stage == stage && c->on(conf))
			needs |= c->needs;
	return needs;
}

/* checks_judge - row by row */
struct verdict checks_judge(const struct conf *conf, enum check_stage stage,
    const struct said *said, const struct facts *facts, char text[CHECKS_TEXT], const char **name)
{
	struct input in = {conf, said, facts, text};
	for (const struct check *c = table; c < table + CHECKS; c++) {
		if (c->stage != stage || !c->on(conf))
			continue;
		struct verdict v = c->judge(&in);
		*name = c->name;
		if (v.code)
			return v;
	}
	return fine;
}

/* checks_greet_delay - with implicit TLS the client speaks first; behind AUTH are no strangers */
unsigned checks_greet_delay(const struct conf *conf, const struct peer *peer)
{
	if (!peer_is_stranger(peer) || peer->listen->tls == CONF_LISTEN_TLS_IMPLICIT ||
	    peer->listen->auth == CONF_AUTH_REQUIRED)
		return 0;
	return (unsigned)conf->policy.greet_delay;
}
