/* SPDX-License-Identifier: ISC */
/*
 * One list: what is asked, then what waits. An answer to a number that isn't known (asked through
 * an earlier link) is dropped. The first LOOKUPS_SOON of those that wait are announced, so that
 * most of them find their answer in dnscache's memory.
 */
#include "qmgr/lookup.h"

#include <stdlib.h>

#include "lib/answers.h"
#include "lib/counters.h"
#include "lib/dns.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/asked.h"
#include "qmgr/dest.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/settle.h"
#include "qmgr/site.h"

/* 50,000 at a start: small. */
struct lookup {
	struct dest *dest;
	struct lookup *next, *prev;
	uint64_t until;   /* loop_ms() when it has taken too long */
	uint32_t request; /* 0: waits in the line */
	bool soon;        /* announced, and in the line */
};

static struct lookup *all;    /* by age: the asked ones, then the line */
static struct lookup *unsent; /* of the asked ones the first one that this turn's end sends */
static struct lookup *line;   /* the first one that isn't asked */
static unsigned nasked;       /* LOOKUPS_MAX at most */
static struct event *timeout; /* of the oldest */
static uint32_t last_request;
static struct lookup *unannounced; /* in the line, the first one that isn't */
static unsigned nsoon;             /* announced and in the line */
static void announce(struct loop_task *task);
static struct loop_task announce_task = {.run = announce};
static void read_or_ask(struct loop_task *task);
static struct loop_task read_task = {.run = read_or_ask};
static void answered(struct dest *dest, const struct msg_dns_site_is *m);
static struct event *back_timer;
static uint64_t back_at; /* now_ms() when the resolvers came back */

/* domain_of - what is asked for */
static struct msg_bytes domain_of(const struct lookup *l)
{
	return msg_bytes(l->dest->name, l->dest->domain_len);
}

/* ask - one question, or it stays unasked until there is a link */
static void ask(const struct lookup *l)
{
	struct chan *chan = asked_dnscache();
	if (chan)
		CHAN_SEND(chan, dns_site, .request = l->request, .kind = DNS_SITE_MX,
		    .domain = domain_of(l));
}

/* read_or_ask - once a turn; who asked isn't told before he is done asking */
static void read_or_ask(struct loop_task *task)
{
	struct msg_dns_site_is m;
	unsigned nread = 0;
	(void)task;
	while (unsent && unsent != line) {
		struct lookup *l = unsent;
		if (nread == LOOKUPS_READ || !answers_find(DNS_SITE_MX, domain_of(l), &m)) {
			unsent = l->next;
			ask(l);
			continue;
		}
		struct dest *dest = l->dest;
		nread++;
		counter_add(C_dns_answers_read, 1);
		lookup_forget(dest);
		answered(dest, &m);
	}
	unsent = NULL;
}

/* announce - once a turn: what is asked next, one message or more */
static void announce(struct loop_task *task)
{
	static unsigned char buf[60000];
	struct chan *chan = asked_dnscache();
	struct wire_out out;
	(void)task;
	wire_out_fixed(&out, buf, sizeof(buf));
	while (chan && unannounced && nsoon < LOOKUPS_SOON &&
	       sizeof(buf) - out.len > DNS_NAME_MAX + 1) {
		dns_soon_put(&out, unannounced->dest->name, unannounced->dest->domain_len);
		unannounced->soon = true;
		unannounced = unannounced->next;
		nsoon++;
	}
	if (out.len)
		CHAN_SEND(chan, dns_soon, .domains = msg_bytes(buf, out.len));
}

/* leave_line - it doesn't wait any more */
static void leave_line(struct lookup *l)
{
	if (line == l)
		line = l->next;
	if (unannounced == l)
		unannounced = l->next;
	nsoon -= l->soon;
	l->soon = false;
	/* by the hundred: a message for each would cost what it saves */
	if (unannounced && nsoon <= LOOKUPS_SOON - LOOKUPS_SOON / 4)
		loop_defer(&announce_task);
}

/* next - the first of the line are asked */
static void next(void)
{
	while (line && nasked < LOOKUPS_MAX) {
		struct lookup *l = line;
		leave_line(l);
		l->request = ++last_request ? last_request : ++last_request;
		nasked++;
		if (!unsent)
			unsent = l;
		loop_defer(&read_task);
	}
}

/* arm - for the oldest, whether it was asked or stands in line */
static void arm(void)
{
	if (!all)
		return;
	uint64_t now = loop_ms(), ms = all->until > now ? all->until - now : 1;
	event_add(timeout, &(struct timeval){.tv_sec = (time_t)(ms / 1000),
			       .tv_usec = (suseconds_t)(ms % 1000 * 1000)});
}

/* lookup_forget - no answer is wanted any more */
void lookup_forget(struct dest *dest)
{
	struct lookup *l = dest->lookup;
	dest->lookup = NULL;
	if (!l)
		return;
	if (l->request)
		nasked--;
	else
		leave_line(l);
	if (unsent == l)
		unsent = l->next;
	DL_DELETE(all, l);
	free(l);
	next();
}

/* on_timeout - dnscache answers within seconds; this is the last resort */
static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	for (unsigned n = 0; all && all->until <= loop_ms() && n < LOOKUPS_MAX; n++) {
		struct dest *dest = all->dest;
		lookup_forget(dest);
		site_bind_trouble(dest, "no answer from dnscache");
	}
	arm();
}

/* lookup_site - ask, or wait for one's turn */
void lookup_site(struct dest *dest)
{
	struct lookup *l = calloc(1, sizeof(*l));
	if (!l || (!timeout && !(timeout = evtimer_new(loop_base(), on_timeout, NULL))))
		log_fatal("out of memory for a question to dnscache");
	l->dest = dest;
	l->until = loop_ms() + LOOKUP_MS;
	dest->lookup = l;
	DL_APPEND(all, l);
	if (!evtimer_pending(timeout, NULL))
		arm();
	if (!line)
		line = l;
	if (!unannounced)
		unannounced = l;
	next();
	if (unannounced)
		loop_defer(&announce_task);
}

/* lookup_linked - ask everything again */
void lookup_linked(void)
{
	struct lookup *l;
	unsent = NULL;
	for (l = all; l != line; l = l->next)
		ask(l);
	/* what was announced to the last dnscache is unknown to this one */
	for (l = line; l; l = l->next)
		l->soon = false;
	nsoon = 0;
	unannounced = line;
	next();
	if (unannounced)
		loop_defer(&announce_task);
}

/* asks_dns - whether a site is one that is down because nobody could say where it is */
static bool asks_dns(const struct site *site)
{
	const struct pool *pool = site->pools;
	return site->state == SITE_DOWN && pool && !pool->ntargets && !pool->by_mx &&
	       pool->transport == TRANSPORT_SMTP && pool->dests && pool->dests->domain_len;
}

/* on_back - a slice of the sites that wait for DNS asks again */
static void on_back(evutil_socket_t fd, short what, void *arg)
{
	unsigned left = LOOKUPS_MAX;
	(void)fd, (void)what, (void)arg;
	for (struct site *site = site_first(); site; site = site->hh.next) {
		if (!asks_dns(site) || (site->trouble && site->trouble->at_ms > back_at))
			continue;
		if (left-- == 0) {
			event_add(back_timer, &(struct timeval){.tv_usec = 1000});
			return;
		}
		site_flush(site);
	}
}

/* lookup_back - resolvers answer again: nobody waits for his next probe */
void lookup_back(void)
{
	if (!back_timer && !(back_timer = evtimer_new(loop_base(), on_back, NULL)))
		log_fatal("out of memory");
	back_at = now_ms();
	on_back(-1, 0, NULL);
}

/* refuse - the domain takes no mail: all that is ready fails, and what comes as long as that holds
 */
static void refuse(struct dest *dest, uint16_t code, const char *status, const char *text)
{
	dest_enter(dest, DEST_REFUSED);
	dest->refused_code = code;
	dest->refused_status = strdup(status);
	dest->refused_text = strdup(text);
	if (!dest->refused_status || !dest->refused_text)
		log_fatal("out of memory");
	while (dest->ready) {
		struct rcpt *rcpt = dest->ready;
		dest_remove(dest, rcpt);
		settle_failed(rcpt, code, status, "", text);
	}
}

/* no_domain - NXDOMAIN. RFC 3463: 5.1.2 bad destination system address */
static void no_domain(struct dest *dest)
{
	refuse(dest, 556, "5.1.2", "the domain does not exist");
}

/* null_mx - RFC 7505 §4.1 */
static void null_mx(struct dest *dest)
{
	refuse(dest, 556, "5.1.10", "the domain takes no mail (null MX)");
}

/* loops - RFC 5321 §5.1: nobody is better than we are, and we don't take it for ourselves */
static void loops(struct dest *dest)
{
	refuse(dest, 554, "5.4.6", "mail for the domain loops back to this host");
}

/* lookup_refused - deliver asked the same dnscache later */
void lookup_refused(struct dest *dest, enum open_verdict verdict)
{
	if (dest->state != DEST_BOUND)
		return;
	dest_unbind(dest);
	dest->bound_until = now_ms() + LOOKUP_TTL_MIN_S * UINT64_C(1000);
	if (verdict == OPEN_NULL_MX)
		null_mx(dest);
	else if (verdict == OPEN_LOOP)
		loops(dest);
	else
		no_domain(dest);
}

/* answered - what the verdict means for the destination */
static void answered(struct dest *dest, const struct msg_dns_site_is *m)
{
	char text[300];
	uint32_t ttl = m->ttl_s;
	if (ttl < LOOKUP_TTL_MIN_S)
		ttl = LOOKUP_TTL_MIN_S;
	if (ttl > LOOKUP_TTL_MAX_S)
		ttl = LOOKUP_TTL_MAX_S;
	dest->bound_until = now_ms() + ttl * UINT64_C(1000);
	switch (m->verdict) {
	case DNS_OK:
		site_bind_mx(dest, m->site, m->hosts);
		break;
	case DNS_NODOMAIN:
		no_domain(dest);
		break;
	case DNS_NODATA:
		refuse(dest, 556, "5.1.2", "no host takes mail for the domain");
		break;
	case DNS_NULLMX:
		null_mx(dest);
		break;
	default:
		snprintf(text, sizeof(text), "DNS: %.*s",
		    m->text.len > 200 ? 200 : (int)m->text.len, m->text.data);
		site_bind_trouble(dest, text);
	}
}

/* lookup_answer - dns_site_is */
void lookup_answer(const struct msg_dns_site_is *m)
{
	struct lookup *l = all; /* most answers come in the order asked */
	while (l != line && l->request != m->request)
		l = l->next;
	if (l == line)
		return;
	struct dest *dest = l->dest;
	lookup_forget(dest);
	answered(dest, m);
}
