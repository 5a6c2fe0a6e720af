/* SPDX-License-Identifier: ISC */
/* Words of a site's trouble begin with what kind it is (qmgr/site.c): that chooses the advice. */
#include "cli/problems.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "cli/style.h"
#include "lib/counters.h"

#define LOW_TIMES 2 /* below so many times spool_min_free the disk is nearly full */

/* Who hears of it. */
struct teller {
	const struct snapshot *s;
	const struct conf *conf;
	problem_fn *fn;
	void *arg;
	unsigned n;
};

/* put - one text of a problem, without what a terminal would obey */
__attribute__((format(printf, 3, 4))) static void put(
    char *to, size_t size, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(to, size, fmt, ap);
	va_end(ap);
	if (n < 0)
		*to = '\0';
	for (; *to; to++)
		if ((unsigned char)*to < 0x20 || (unsigned char)*to > 0x7e)
			*to = '?';
}

#define REASON(p, ...) put((p)->reason, sizeof((p)->reason), __VA_ARGS__)
#define NEXT(p, ...)   put((p)->next, sizeof((p)->next), __VA_ARGS__)

/* tell - one more */
static void tell(struct teller *t, const struct problem *p)
{
	t->n++;
	t->fn(p, t->arg);
}

/* -- processes ------------------------------------------------------------------------------- */

/* about_processes - those that should run and don't */
static void about_processes(struct teller *t)
{
	for (size_t i = 0; i < t->s->nprocesses; i++) {
		const struct snapshot_process *p = &t->s->processes[i];
		struct problem m = {.kind = "process", .bad = true};
		if (strcmp(p->state, "waiting") != 0 && p->p.pid)
			continue;
		put(m.subject, sizeof(m.subject), "%s %u", role_name(p->p.role), p->p.instance);
		REASON(&m, "it does not run: it ended and is to be started again (%u crash%s)",
		    p->p.crashes, p->p.crashes == 1 ? "" : "es");
		NEXT(&m, "its last words are in the log; look for child_end and %s there",
		    role_name(p->p.role));
		tell(t, &m);
	}
	if (t->s->qmgr)
		return;
	struct problem m = {.kind = "process", .bad = true, .subject = "qmgr"};
	REASON(&m, "the queue manager does not answer: nothing can be said of sites and pauses");
	NEXT(&m, "if it does not come back in a minute, see the log for qmgr");
	tell(t, &m);
}

/* -- the disk -------------------------------------------------------------------------------- */

/* about_disk - full, or soon */
static void about_disk(struct teller *t)
{
	uint64_t left = t->s->sum[C_spool_free_bytes], min = t->s->sum[C_spool_min_free_bytes];
	bool full = t->s->sum[C_spool_full];
	char a[STYLE_TEXT], b[STYLE_TEXT];
	struct problem m = {.kind = "disk", .bad = full};
	if (!t->s->qmgr || (!full && left >= LOW_TIMES * min))
		return;
	put(m.subject, sizeof(m.subject), "%s", t->conf->spool);
	if (full)
		REASON(&m,
		    "the disk is full: %s free, less than spool_min_free (%s). No mail is taken, "
		    "clients are told 452; what is queued still goes out",
		    style_bytes(a, left), style_bytes(b, min));
	else
		REASON(&m,
		    "the disk is nearly full: %s free; below %s (spool_min_free) no mail is taken",
		    style_bytes(a, left), style_bytes(b, min));
	NEXT(&m,
	    "make room on that file system (`df -h %s`), or lower spool_min_free in baton.conf and "
	    "`batonctl reload`; Baton goes on by itself",
	    t->conf->spool);
	tell(t, &m);
}

/* -- sites ----------------------------------------------------------------------------------- */

/* starts - whether the words say that kind */
static bool starts(struct msg_bytes words, const char *kind)
{
	size_t n = strlen(kind);
	return words.len > n && memcmp(words.data, kind, n) == 0 && words.data[n] == ':';
}

/* route_to - the route that names the site as a next hop; NULL: none does */
static const struct conf_route *route_to(const struct conf *conf, const char *site)
{
	for (size_t i = 0; i < conf->nroute; i++)
		for (size_t k = 0; k < conf->route[i].to.n; k++)
			if (strcmp(conf->route[i].to.v[k].name, site) == 0)
				return &conf->route[i];
	return NULL;
}

/* about_login - whether the words are of a login that failed (RFC 4954) */
static bool about_login(const char *words)
{
	static const char *const marks[] = {
	    "535", "534", "530", "5.7.8", "5.7.9", "uthenticat", "redential", "assword", "login"};
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (strstr(words, marks[i]))
			return true;
	return false;
}

/* refused_advice - it doesn't want us, or our login */
static void refused_advice(
    struct problem *m, const struct conf *conf, const struct conf_route *route, const char *words)
{
	const char *test = route ? route->title : "ROUTE";
	if (route && route->auth[0] && about_login(words))
		NEXT(m,
		    "the login failed: mend user and password of \"%s\" in %s, then `batonctl "
		    "reload`; "
		    "`batonctl test-relay '%s'` tries the login alone",
		    route->auth, conf->credentials, test);
	else if (about_login(words))
		NEXT(m,
		    "it wants a login: give the route auth = \"NAME\" and %s a line \"NAME user "
		    "password\", then `batonctl reload`",
		    conf->credentials);
	else
		NEXT(m, "it refuses us, and its words say why; `batonctl test-relay` shows each "
			"step. When "
			"that is mended, `batonctl flush` tries again at once");
}

/* site_advice - by the kind of trouble */
static void site_advice(struct problem *m, const struct conf *conf, const struct query_site *q)
{
	const struct conf_route *route = route_to(conf, q->name.data);
	const char *name = q->name.data;
	if (starts(q->trouble, "refused"))
		refused_advice(m, conf, route, q->trouble.data);
	else if (starts(q->trouble, "unreachable") && route)
		NEXT(m,
		    "does that host run, and are name and port right in route \"%s\" of "
		    "baton.conf? "
		    "`batonctl test-relay '%s'` tries each step; `batonctl flush` tries again at "
		    "once",
		    route->title, route->title);
	else if (starts(q->trouble, "unreachable"))
		NEXT(m, "if others are unreachable too, look at this host's network and whether "
			"port 25 is "
			"open; else the site is down, and its mail waits for it");
	else if (starts(q->trouble, "tls"))
		NEXT(m, "TLS is demanded (tls = \"required\" or \"verify\") and is not to be had, "
			"or its "
			"certificate does not fit: `batonctl test-relay` shows it; a route or site "
			"may say "
			"tls = \"opportunistic\"");
	else if (starts(q->trouble, "dns"))
		NEXT(m,
		    "do the resolvers answer? `batonctl dns --stats` shows them, `batonctl dns %s "
		    "MX` "
		    "asks",
		    name);
	else if (starts(q->trouble, "throttled"))
		NEXT(m,
		    "it wants less mail at a time: Baton has slowed down by itself; a block site "
		    "\"%s\" "
		    "may set connections and rate",
		    name);
	else
		NEXT(m, "`batonctl why --site '%s'` says of each message what it waits for", name);
}

/* about_sites - down, or in trouble lately */
static void about_sites(struct teller *t, unsigned most)
{
	for (size_t i = 0; i < t->s->nsites && i < most; i++) {
		const struct query_site *q = &t->s->sites[i].s;
		bool down = q->state == QUERY_SITE_DOWN || q->state == QUERY_SITE_PROBING;
		struct problem m = {.kind = "site", .bad = down};
		char span[STYLE_TEXT];
		if (!t->s->sites[i].trouble)
			break; /* they come first */
		put(m.subject, sizeof(m.subject), "%s", q->name.data);
		if (q->state == QUERY_SITE_PAUSED)
			REASON(&m, "paused, %" PRIu64 " recipients wait; its last trouble: %s",
			    q->queued, q->trouble.data);
		else if (!down)
			REASON(&m, "had trouble, is served: %s", q->trouble.data);
		else if (q->probe_ms > t->s->now_ms)
			REASON(&m, "down, %" PRIu64 " recipients wait, next try in %s: %s",
			    q->queued, style_span(span, q->probe_ms - t->s->now_ms),
			    q->trouble.data);
		else
			REASON(&m, "down, %" PRIu64 " recipients wait, being tried now: %s",
			    q->queued, q->trouble.data);
		site_advice(&m, t->conf, q);
		tell(t, &m);
	}
}

/* -- what people did ------------------------------------------------------------------------- */

/* about_pauses - each of them */
static void about_pauses(struct teller *t)
{
	for (size_t i = 0; i < t->s->npauses; i++) {
		const struct query_pause_row *row = &t->s->pauses[i];
		const char *option = row->kind == QUERY_PAUSE_DOMAIN ? "--domain " : "";
		const char *what = row->name.len ? row->name.data : query_pause_name(row->kind);
		char when[STYLE_TEXT];
		struct problem m = {.kind = "pause",
		    .bad = row->kind == QUERY_PAUSE_IN || row->kind == QUERY_PAUSE_OUT};
		put(m.subject, sizeof(m.subject), "%s%s%s", query_pause_name(row->kind),
		    row->name.len ? " " : "", row->name.data);
		REASON(&m, "paused by a person, %s%s",
		    row->until_ms ? "until " : "until it is resumed",
		    row->until_ms ? style_when(when, row->until_ms) : "");
		NEXT(&m, "`batonctl resume %s%s` ends the pause", option, what);
		tell(t, &m);
	}
}

/* about_aside - what waits for a person */
static void about_aside(struct teller *t)
{
	uint64_t n = t->s->sum[C_queue_aside];
	struct problem m = {.kind = "aside", .subject = "queue"};
	if (!n)
		return;
	REASON(&m, "%" PRIu64 " recipient%s set aside until a person decides", n,
	    n == 1 ? " is" : "s are");
	NEXT(&m, "`batonctl queue --state held` (or damaged, poison) lists them, `batonctl why ID` "
		 "says why, `batonctl release ID` lets them go on");
	tell(t, &m);
}

/* problems_find - worst first */
unsigned problems_find(
    const struct snapshot *s, const struct conf *conf, unsigned sites, problem_fn *fn, void *arg)
{
	struct teller t = {.s = s, .conf = conf, .fn = fn, .arg = arg};
	about_processes(&t);
	about_disk(&t);
	about_sites(&t, sites);
	about_pauses(&t);
	about_aside(&t);
	return t.n;
}
