/* SPDX-License-Identifier: ISC */
/*
 * Every question is a struct ask of its own, in the list of its stranger until it is answered. Of
 * several questions about one fact the best answer wins: learn() has the order.
 */
#include "smtpd/stranger.h"

#include <stdlib.h>
#include <string.h>

#include "lib/dnslist.h"
#include "lib/hash.h"
#include "lib/loop.h"
#include "smtpd/checks.h"
#include "smtpd/lookup.h"
#include "smtpd/session.h"

struct ask {
	struct lookup lookup; /* first */
	struct ask *prev, *next;
	struct stranger *of;
	enum fact_kind kind;
	unsigned index; /* FACT_LISTS: of its entry, dnswl's behind dnsbl's */
};

struct stranger {
	struct session *s;
	struct facts facts;
	struct dns_addr addr;
	struct ask *asks;
	unsigned pending[FACTS];
	uint64_t deadline;
	int64_t worst;                            /* score of facts.list */
	struct verdict (*then)(struct session *); /* NULL: MAIL isn't waiting */
};

static void ask(struct stranger *st, enum fact_kind kind, unsigned index, enum dns_type type,
    const char *name);

/* learn - of two answers about a fact */
static void learn(struct stranger *st, enum fact_kind kind, enum fact fact)
{
	static const int rank[] = {[FACT_UNKNOWN] = 0,
	    [FACT_NO] = 1,
	    [FACT_TEMPFAIL] = 2,
	    [FACT_YES] = 3,
	    [FACT_NULLMX] = 4};
	if (rank[fact] > rank[st->facts.dns[kind]])
		st->facts.dns[kind] = fact;
}

/* as_fact - is there such a name */
static enum fact as_fact(enum dns_verdict verdict)
{
	switch (verdict) {
	case DNS_OK:
		return FACT_YES;
	case DNS_NULLMX:
		return FACT_NULLMX;
	case DNS_NODOMAIN:
	case DNS_NODATA:
		return FACT_NO;
	default:
		return FACT_TEMPFAIL;
	}
}

/* entry - the list of that number; false: there is none */
static bool entry(const struct conf *conf, unsigned index, struct dnslist *list, bool *good)
{
	const struct conf_list *bad = &conf->policy.dnsbl, *well = &conf->policy.dnswl;
	*good = index >= bad->n;
	const struct conf_list *from = *good ? well : bad;
	size_t at = *good ? index - bad->n : index;
	return at < from->n && dnslist_parse(from->v[at], list) == 0;
}

/* listed - a list's answer: how much it says against the client, or for it */
static void listed(struct stranger *st, const struct ask *a, struct wire_in *w)
{
	struct dnslist list;
	struct dns_record r;
	bool good, counts = false;
	if (!entry(st->s->conf, a->index, &list, &good))
		return;
	while (dns_record_next(w, DNS_A, &r))
		counts |= dnslist_counts(&list, &r.addr);
	if (!counts)
		return;
	st->facts.score += good ? -(int64_t)list.score : (int64_t)list.score;
	if (!good && (int64_t)list.score > st->worst) {
		st->worst = list.score;
		st->facts.list = st->s->conf->policy.dnsbl.v[a->index];
	}
}

/* named - the names of the address: do they have that address? */
static void named(struct stranger *st, struct wire_in *w)
{
	struct dns_record r;
	char name[DNS_NAME_SIZE];
	unsigned n = 0;
	while (n < STRANGER_NAMES && dns_record_next(w, DNS_PTR, &r))
		if (dns_name_clean(r.data, r.len, name) == 0) {
			n++;
			ask(st, FACT_BACK, 0, st->addr.family == 4 ? DNS_A : DNS_AAAA, name);
		}
	if (n == 0)
		learn(st, FACT_BACK, FACT_NO);
}

/* has_addr - is the client's among the addresses of its name? */
static bool has_addr(const struct stranger *st, uint16_t type, struct wire_in *w)
{
	struct dns_record r;
	while (dns_record_next(w, type, &r))
		if (r.addr.family == st->addr.family &&
		    memcmp(r.addr.bytes, st->addr.bytes, st->addr.family == 4 ? 4 : 16) == 0)
			return true;
	return false;
}

/* take - one answer */
static void take(struct stranger *st, const struct ask *a, enum dns_verdict verdict,
    const void *records, size_t len)
{
	struct wire_in w;
	enum fact fact = as_fact(verdict);

	wire_in_init(&w, records, len);
	switch (a->kind) {
	case FACT_LISTS:
		if (fact == FACT_YES)
			listed(st, a, &w);
		break;
	case FACT_NAME:
		learn(st, FACT_NAME, fact);
		if (!(checks_need(st->s->conf, CHECK_MAIL) & FACT_BIT(FACT_BACK)))
			break;
		if (fact == FACT_YES)
			named(st, &w);
		else
			learn(st, FACT_BACK, fact);
		break;
	case FACT_BACK:
		if (fact == FACT_YES && !has_addr(st, a->lookup.type, &w))
			fact = FACT_NO;
		learn(st, FACT_BACK, fact);
		break;
	case FACT_HELO:
		learn(st, FACT_HELO, fact == FACT_NULLMX ? FACT_YES : fact);
		break;
	case FACT_SENDER:
		learn(st, FACT_SENDER, fact);
		break;
	case FACTS:
		break;
	}
}

/* still - is something open that MAIL needs? FACT_BACK is asked when FACT_NAME is answered */
static bool still(const struct stranger *st)
{
	unsigned need = checks_need(st->s->conf, CHECK_MAIL);
	for (unsigned kind = 0; kind < FACTS; kind++)
		if (need & FACT_BIT(kind) && st->pending[kind])
			return true;
	return false;
}

static void go_on(struct stranger *st);

/* on_answer - one question less */
static void on_answer(
    struct lookup *l, enum dns_verdict verdict, const void *records, size_t len)
{
	struct ask *a = (struct ask *)l;
	struct stranger *st = a->of;

	take(st, a, verdict, records, len);
	st->pending[a->kind]--;
	DL_DELETE(st->asks, a);
	free(a);
	if (st->then && !still(st))
		go_on(st); /* may free the session */
}

/* ask - what can't be asked won't be known */
static void ask(struct stranger *st, enum fact_kind kind, unsigned index, enum dns_type type,
    const char *name)
{
	struct ask *a = calloc(1, sizeof(*a));
	if (a) {
		a->of = st;
		a->kind = kind;
		a->index = index;
	}
	if (!a || !lookup_ask(&a->lookup, type, name, st->deadline, on_answer)) {
		free(a);
		learn(st, kind, FACT_TEMPFAIL);
		return;
	}
	DL_APPEND(st->asks, a);
	st->pending[kind]++;
}

/* ask_lists - all at once */
static void ask_lists(struct stranger *st)
{
	const struct conf_policy *p = &st->s->conf->policy;
	struct dnslist list;
	char name[DNS_NAME_SIZE];
	bool good;
	for (unsigned i = 0; i < p->dnsbl.n + p->dnswl.n && i < STRANGER_LISTS; i++)
		if (entry(st->s->conf, i, &list, &good) &&
		    dnslist_name(&list, &st->addr, name) == 0)
			ask(st, FACT_LISTS, i, DNS_A, name);
}

/* ask_name - is a name in the DNS, by any of the records that count for mail? */
static void ask_name(struct stranger *st, enum fact_kind kind, const char *text)
{
	char name[DNS_NAME_SIZE];
	st->facts.dns[kind] = FACT_UNKNOWN;
	if (!text || text[0] == '[')
		return;
	if (dns_name_clean(text, strlen(text), name) != 0) {
		learn(st, kind, FACT_NO);
		return;
	}
	ask(st, kind, 0, DNS_MX, name);
	ask(st, kind, 0, DNS_A, name);
	ask(st, kind, 0, DNS_AAAA, name);
}

/* allow_time - how long it may take from now on */
static void allow_time(struct stranger *st)
{
	st->deadline = loop_ms() + st->s->conf->policy.lookup_timeout;
}

/* stranger_begin - the lists and the name of its address */
void stranger_begin(struct session *s)
{
	unsigned need = checks_need(s->conf, CHECK_MAIL);
	char reverse[DNS_NAME_SIZE];
	struct dns_addr addr;

	if (!need || !peer_is_stranger(&s->peer) ||
	    s->peer.listen->auth == CONF_AUTH_REQUIRED ||
	    dns_addr_parse(s->peer.address, strlen(s->peer.address), &addr) != 0)
		return;
	s->stranger = calloc(1, sizeof(*s->stranger));
	if (!s->stranger)
		return;
	s->stranger->s = s;
	s->stranger->addr = addr;
	allow_time(s->stranger);
	if (need & FACT_BIT(FACT_LISTS))
		ask_lists(s->stranger);
	if (need & FACT_BIT(FACT_NAME)) {
		dns_addr_reverse(&addr, reverse);
		ask(s->stranger, FACT_NAME, 0, DNS_PTR, reverse);
	}
}

/* stranger_end - with its questions */
void stranger_end(struct session *s)
{
	struct ask *a, *tmp;
	if (!s->stranger)
		return;
	DL_FOREACH_SAFE (s->stranger->asks, a, tmp) {
		lookup_cancel(&a->lookup);
		free(a);
	}
	free(s->stranger);
	s->stranger = NULL;
}

/* count - how often in the period, `add` more */
static uint32_t count(
    struct session *s, enum tally_what what, const struct conf_rate *rate, uint32_t add)
{
	return rate->count ? tally_rate(s->peer.tally, what, rate->period, add) : 0;
}

/* judge - by the table */
static struct verdict judge(struct session *s, enum check_stage stage, const struct facts *facts)
{
	const struct said said = {s->peer.address, s->helo, s->cmd.domain};
	return checks_judge(
	    s->conf, stage, &said, facts, s->text, &s->check);
}

/* judge_mail - what is known by now, and one message more */
static struct verdict judge_mail(struct session *s)
{
	static const struct facts none;
	struct facts facts = s->stranger ? s->stranger->facts : none;
	facts.rate[TALLY_MESSAGES] =
	    count(s, TALLY_MESSAGES, &s->conf->policy.message_rate, 1);
	return judge(s, CHECK_MAIL, &facts);
}

/* go_on - the last answer is there */
static void go_on(struct stranger *st)
{
	struct session *s = st->s;
	struct verdict (*then)(struct session *) = st->then;

	st->then = NULL;
	s->wait = WAIT_NONE;
	struct verdict v = judge_mail(s);
	if (!v.code)
		v = then(s);
	if (v.act != ACT_WAIT) /* else somebody else will resume it */
		session_resume(s, v);
}

/* stranger_mail - at once if nothing is to be waited for */
struct verdict stranger_mail(struct session *s, struct verdict (*then)(struct session *s))
{
	unsigned need = checks_need(s->conf, CHECK_MAIL);
	struct stranger *st = s->stranger;
	struct verdict v;

	if (!peer_is_stranger(&s->peer))
		return then(s);
	if (st) {
		allow_time(st);
		if (need & FACT_BIT(FACT_HELO))
			ask_name(st, FACT_HELO, s->helo);
		if (need & FACT_BIT(FACT_SENDER))
			ask_name(st, FACT_SENDER, s->cmd.domain);
		if (still(st)) {
			st->then = then;
			s->wait = WAIT_FACTS;
			return verdict_act(ACT_WAIT);
		}
	}
	v = judge_mail(s);
	return v.code ? v : then(s);
}

/* stranger_rcpt - one recipient more */
struct verdict stranger_rcpt(struct session *s)
{
	struct facts facts = {0};
	if (!peer_is_stranger(&s->peer))
		return (struct verdict){0};
	facts.rate[TALLY_RECIPIENTS] =
	    count(s, TALLY_RECIPIENTS, &s->conf->policy.recipient_rate, 1);
	return judge(s, CHECK_RCPT, &facts);
}

/* stranger_erred - one error more */
unsigned stranger_erred(struct session *s)
{
	if (!peer_is_stranger(&s->peer))
		return 0;
	count(s, TALLY_ERRORS, &s->conf->policy.error_rate, 1);
	if (s->errors <= s->conf->policy.soft_errors)
		return 0;
	return (unsigned)s->conf->policy.error_delay;
}
