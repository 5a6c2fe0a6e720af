/* SPDX-License-Identifier: ISC */
/*
 * The state of sites: trouble, back-off, probes. Making sites and pools is qmgr/pool.c.
 *
 * Trouble while other connections of the site stand doesn't make it down: it is then known to stand
 * no more than those (qmgr/throttle.h). Only when nothing stands, or nothing is accepted at the
 * lowest limit, is it down.
 */
#include "qmgr/site.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/child.h"
#include "lib/log.h"
#include "lib/str.h"
#include "qmgr/alarm.h"
#include "qmgr/class.h"
#include "qmgr/dest.h"
#include "qmgr/dispatch.h"
#include "qmgr/fallback.h"
#include "qmgr/keep.h"
#include "qmgr/keys.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/schedule.h"

#define OURS_MS 1000 /* our own troubles are tried again after so long */

static const char *const verdicts[] = {
    [OPEN_OK] = "ok",
    [OPEN_UNREACHABLE] = "unreachable",
    [OPEN_REFUSED] = "refused",
    [OPEN_THROTTLED] = "throttled",
    [OPEN_DNS] = "dns",
    [OPEN_NO_DOMAIN] = "no_domain",
    [OPEN_NULL_MX] = "null_mx",
    [OPEN_TLS] = "tls",
    [OPEN_LOST] = "lost",
    [OPEN_IDLE] = "idle",
    [OPEN_LOCAL_LIMIT] = "local_limit",
    [OPEN_NO_IPV6] = "no_ipv6",
    [OPEN_LOOP] = "loop",
};

/* site_verdict_name - for logs */
const char *site_verdict_name(unsigned verdict)
{
	return verdict < sizeof(verdicts) / sizeof(verdicts[0]) ? verdicts[verdict] : "unknown";
}

/* site_enter - change the state */
void site_enter(struct site *site, enum site_state state)
{
	static const unsigned allowed[] = {
	    [SITE_UP] = 1u << SITE_DOWN,
	    [SITE_DOWN] = 1u << SITE_PROBING | 1u << SITE_UP,
	    [SITE_PROBING] = 1u << SITE_UP | 1u << SITE_DOWN,
	};
	if (!(allowed[site->state] & 1u << state))
		log_bug("site %s goes from state %d to %d", site->name, site->state, state);
	site->state = state;
}

/* wanted - whether any mail waits for it */
static bool wanted(const struct site *site)
{
	for (const struct pool *pool = site->pools; pool; pool = pool->next) {
		const struct dest *dest;
		DL_FOREACH2(pool->dests, dest, pool_next)
		{
			if (dest->refs || dest->index_due != DEST_NEVER)
				return true;
		}
	}
	return false;
}

/* rest - nobody waits for it: it is up, with one connection to begin with; that is the probe */
static void rest(struct site *site)
{
	site->probe_at = 0;
	throttle_restart(&site->throttle);
	site_enter(site, SITE_UP);
	keep_changed(site);
}

/* probe_pool - what failed last, or any that has a destination */
static struct pool *probe_pool(struct site *site)
{
	struct pool *pool = site->probe_pool ? site->probe_pool : site->pools;
	if (pool && pool->dests)
		return pool;
	for (pool = site->pools; pool && !pool->dests;)
		pool = pool->next;
	return pool;
}

/* probe - open one connection */
static void probe(struct site *site)
{
	struct pool *pool = probe_pool(site);
	if (!pool || !wanted(site)) {
		rest(site);
		return;
	}
	site_enter(site, SITE_PROBING);
	site->probe_at = 0;
	if (site->nconns)
		return; /* the last one is still closing: site_conn_gone() */
	if (dispatch_open(pool))
		return;
	site_enter(site, SITE_DOWN); /* no worker: as soon as there is one */
	site->probe_at = now_ms() + OURS_MS;
	site_set_timer(site, OURS_MS);
}

/* site_conn_gone - the next probe, if nobody else speaks for the site */
void site_conn_gone(struct site *site)
{
	if (site->state != SITE_PROBING || site->nconns)
		return;
	site_enter(site, SITE_DOWN);
	site->probe_at = now_ms() + OURS_MS;
	site_set_timer(site, OURS_MS);
}

/* site_probe - connect, or ask DNS again where that was the trouble */
void site_probe(struct site *site)
{
	struct pool *pool = site->pools;
	struct dest *dest, *tmp;
	if (!pool || pool->ntargets || pool->by_mx || pool->transport != TRANSPORT_SMTP) {
		probe(site);
		return;
	}
	/* A site made for a name without an answer: its destinations ask again. */
	site_enter(site, SITE_PROBING);
	site->probe_at = 0;
	DL_FOREACH_SAFE2(pool->dests, dest, tmp, pool_next)
	{
		dest_unbind(dest);
		schedule_rewind(dest);
	}
}

/* on_timer - the next probe is due, or a limit may be tried again */
static void on_timer(void *arg)
{
	struct site *site = arg;
	alarm_off(&site->timer);
	if (site->paused)
		return; /* the end of that looks again */
	if (site->state == SITE_DOWN) {
		site_probe(site);
	} else if (site->state == SITE_UP) {
		site->full_until = 0; /* its clock may be a moment ahead of ours */
		for (struct pool *pool = site->pools; pool; pool = pool->next)
			dispatch_pool(pool);
	}
}

/* site_set_timer - once, after ms */
void site_set_timer(struct site *site, uint64_t ms)
{
	alarm_set(&site->timer, ms, on_timer, site);
}

/* site_interval - doubling, to what the configuration and the kind of site allow */
uint32_t site_interval(const struct site *site, uint64_t last)
{
	const struct conf_retry *retry = &child_self()->conf->retry;
	uint64_t max = site->limits.probe_max < retry->max ? site->limits.probe_max : retry->max;
	uint64_t first = site->ours && retry->first > OURS_MS ? OURS_MS : retry->first;
	uint64_t ms = last ? last * 2 : first;
	if (site->ours)
		max = SITE_PROBE_OURS_MS;
	if (site->fixed && max > SITE_PROBE_FIXED_MS)
		max = SITE_PROBE_FIXED_MS;
	return (uint32_t)(ms < max ? ms : max);
}

/* print - formatted text into what is left of a buffer; where the next one goes */
static char *print(char *at, const char *end, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(at, (size_t)(end - at), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	return n < end - at ? at + n + 1 : at + (end - at); /* behind the NUL */
}

/* site_restore_trouble - its text; what it was made of is told by it */
void site_restore_trouble(struct site *site, struct msg_bytes text, uint64_t at)
{
	struct trouble *t = calloc(1, sizeof(*t) + text.len + 2);
	if (!t)
		log_fatal("out of memory");
	t->status = t->host = t->data + text.len + 1;
	t->text = t->data;
	memcpy(t->data, text.data, text.len);
	free(site->trouble);
	site->trouble = t;
	t->at_ms = at;
}

/* site_restore_down - its probe is due when it would have been */
void site_restore_down(struct site *site, uint64_t since, uint64_t probe_at)
{
	uint64_t now = now_ms();
	site_enter(site, SITE_DOWN);
	site->down_since = since;
	site->probe_at = probe_at;
	site_set_timer(site, probe_at > now ? probe_at - now : 0);
}

/* site_set_trouble - what was said last; there may be 50,000 of them: no longer than they are */
void site_set_trouble(struct site *site, const char *what, uint16_t code, struct msg_bytes status,
    struct msg_bytes host, struct msg_bytes text)
{
	char buf[800], *at = buf, *end = buf + sizeof(buf);
	at = print(at, end, "%.*s", status.len > 12 ? 12 : (int)status.len, status.data);
	char *host_at = at;
	at = print(at, end, "%.*s", host.len > 100 ? 100 : (int)host.len, host.data);
	char *text_at = at;
	at = print(at, end, "%s: %s%s%.*s", what, host_at, host.len ? ": " : "",
	    text.len > 500 ? 500 : (int)text.len, text.data);
	struct trouble *t = malloc(sizeof(*t) + (size_t)(at - buf));
	if (!t)
		log_fatal("out of memory");
	memcpy(t->data, buf, (size_t)(at - buf));
	t->code = code;
	t->status = t->data;
	t->host = t->data + (host_at - buf);
	t->text = t->data + (text_at - buf);
	t->at_ms = now_ms();
	free(site->trouble);
	site->trouble = t;
}

/* loudness - that a host refuses us is for somebody to look at; each try of it is one line */
static int loudness(const char *why)
{
	static const enum open_verdict refusals[] = {OPEN_REFUSED, OPEN_TLS, OPEN_THROTTLED};
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (!strcmp(why, verdicts[refusals[i]]))
			return LOG_WARN;
	return LOG_INFO;
}

/* site_down - nothing of it stands: park its mail, probe it later */
void site_down(struct site *site, const char *why)
{
	bool was_up = site->state == SITE_UP;
	uint64_t now = now_ms();
	site->probe_interval = site_interval(site, site->probe_interval);
	uint64_t ms =
	    site->probe_interval / 4 * 3 + schedule_random() % (site->probe_interval / 2 + 1);
	if (site->state != SITE_DOWN)
		site_enter(site, SITE_DOWN);
	if (was_up)
		site->down_since = now;
	site->probe_at = now + ms;
	site_set_timer(site, ms);
	keep_now(site);
	log_event(loudness(why), 0, "site", LOG_STR("site", site->name), LOG_STR("state", "down"),
	    LOG_STR("reason", why), LOG_STR("words", site->trouble ? site->trouble->text : NULL),
	    LOG_U64("next_ms", ms));
	for (struct pool *pool = site->pools; pool; pool = pool->next) {
		struct dest *dest, *tmp;
		while (dispatch_close(pool))
			;
		DL_FOREACH_SAFE2(pool->dests, dest, tmp, pool_next)
		{
			schedule_park(dest);
			schedule_expire(dest);
		}
		if (!pool->nready)
			turns_free(pool); /* 50,000 may be down */
	}
}

/* site_failed - a connection did not come to be, or was refused */
void site_failed(struct pool *pool, enum open_verdict verdict, uint16_t code,
    struct msg_bytes status, struct msg_bytes host, struct msg_bytes text)
{
	struct site *site = pool->site;
	if (verdict == OPEN_LOCAL_LIMIT) {
		log_debug("site %s: our own limit", site->name);
		site_full(site);
		site_conn_gone(site);
		return;
	}
	site_set_trouble(site, site_verdict_name(verdict), code, status, host, text);
	site->probe_pool = pool;
	if (fallback_next(pool))
		return;
	pool->target = 0;
	if (site->nconns > pool->scouts)
		site_trouble(site, THROTTLE_ENTRY);
	else
		site_down(site, site_verdict_name(verdict));
}

/* site_breaks_tls - the workers know which host it is */
void site_breaks_tls(struct msg_bytes name, uint32_t ms)
{
	char text[KEYS_DEST_MAX + 1];
	struct site *site =
	    str_copy_n(text, sizeof(text), name.data, name.len) ? NULL : site_find(text);
	if (site)
		site->plain_until = now_ms() + (ms < SITE_PLAIN_MAX_MS ? ms : SITE_PLAIN_MAX_MS);
}

/* site_refuses_ipv6 - the other way at once: what was refused was no word about the mail */
void site_refuses_ipv6(struct pool *pool, struct msg_bytes host, struct msg_bytes text)
{
	struct site *site = pool->site;
	site->ipv4_until = now_ms() + SITE_IPV4_MS;
	keep_changed(site);
	log_event(LOG_INFO, 0, "site", LOG_STR("site", site->name), LOG_STR("state", "ipv4"),
	    LOG_BYTES("host", host.data, host.len), LOG_BYTES("words", text.data, text.len));
	if (site->state == SITE_DOWN) /* that was its probe */
		site_probe(site);
	else
		dispatch_pool(pool);
}

/* site_opened - it stands */
void site_opened(struct pool *pool)
{
	struct site *site = pool->site;
	if (site->state == SITE_UP) {
		throttle_opened(&site->throttle, site->nconns - site->opening, now_ms());
		return;
	}
	site_enter(site, SITE_UP);
	throttle_restart(&site->throttle);
	keep_changed(site);
	alarm_off(&site->timer);
	log_event(LOG_INFO, 0, "site", LOG_STR("site", site->name), LOG_STR("state", "up"),
	    LOG_U64("down_ms", now_ms() - site->down_since));
	site->probe_at = 0;
	for (struct pool *p = site->pools; p; p = p->next) {
		struct dest *dest, *tmp;
		DL_FOREACH_SAFE2(p->dests, dest, tmp, pool_next)
		schedule_refill(dest);
		dispatch_pool(p);
	}
}

/* site_proved - a recipient was answered: what was wrong is over */
void site_proved(struct site *site)
{
	if (site->probe_interval)
		keep_changed(site);
	site->probe_interval = 0;
	site->throttle.strikes = 0;
}

/* site_flush - at once */
void site_flush(struct site *site)
{
	uint64_t now = now_ms(), since = now - site->flushed;
	if (site->state != SITE_DOWN || site->paused)
		return;
	site->probe_interval = 0;
	if (now >= site->flushed && since < SITE_FLUSH_MS) {
		site->probe_at = now + SITE_FLUSH_MS - since;
		site_set_timer(site, SITE_FLUSH_MS - since);
		return;
	}
	site->flushed = now;
	alarm_off(&site->timer);
	site_probe(site);
}
