/* SPDX-License-Identifier: ISC */
#include "cli/top_screen.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "cli/problems.h"
#include "lib/counters.h"

enum { PROBLEMS_SHOWN = 6, SITES_NAMED = 40 };

/* Where a problem goes, and whether there is room. */
struct teller {
	struct frame *f;
	unsigned left, more;
};

/* put - one line, if it fits; without what a terminal would obey */
__attribute__((format(printf, 3, 4))) static void put(
    struct frame *f, enum style style, const char *fmt, ...)
{
	if (f->n >= f->max)
		return;
	struct frame_line *line = &f->at[f->n++];
	va_list ap;
	va_start(ap, fmt);
	if (vsnprintf(line->text, sizeof(line->text), fmt, ap) < 0)
		line->text[0] = '\0';
	va_end(ap);
	for (char *p = line->text; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			*p = '?';
	line->style = style;
}

/* put_head - who, how long, how it is */
static void put_head(struct frame *f, const struct snapshot *s, const struct conf *conf)
{
	uint64_t uptime = s->nprocesses ? s->processes[0].p.uptime_ms : 0;
	char span[STYLE_TEXT], when[STYLE_TEXT];
	put(f, STYLE_BOLD, "baton on %s, up %s    %s    q quits", conf->hostname,
	    style_span(span, uptime), style_when(when, s->now_ms));
}

/* put_rates - since the frame before; in the first one over the last seconds */
static void put_rates(struct frame *f, const struct snapshot *s, const struct frame_past *past)
{
	double rate[TREND_KINDS];
	for (unsigned t = 0; t < TREND_KINDS; t++) {
		uint64_t now = board_trend_now(s->board, (enum board_trend)t);
		int64_t over = s->at_ms - past->at_ms;
		if (!past->known || over <= 0)
			rate[t] = board_rate(s->board, (enum board_trend)t, 10000, &over);
		else
			rate[t] = (double)(now - past->trend[t]) * 1000 / (double)over;
	}
	put(f, STYLE_PLAIN,
	    "per second   accepted %.1f  delivered %.1f  deferred %.1f  bounced %.1f",
	    rate[TREND_ACCEPTED], rate[TREND_DELIVERED], rate[TREND_DEFERRED], rate[TREND_BOUNCED]);
}

/* put_queue - by state, and the disk */
static void put_queue(struct frame *f, const struct snapshot *s)
{
	char age[STYLE_TEXT], room[STYLE_TEXT];
	uint64_t at = s->sum[C_queue_oldest_ms];
	put(f, STYLE_PLAIN,
	    "queue        messages %" PRIu64 "  recipients %" PRIu64 "  being sent %" PRIu64
	    "  ready %" PRIu64 "  aside %" PRIu64 "  oldest %s",
	    s->sum[C_queue_messages], s->sum[C_queue_recipients], s->sum[C_queue_active],
	    s->sum[C_queue_ready], s->sum[C_queue_aside],
	    at ? style_span(age, s->now_ms > at ? s->now_ms - at : 0) : "-");
	put(f, STYLE_PLAIN,
	    "connections  clients %" PRIu64 "  next hops %" PRIu64 "    sites %" PRIu64
	    "  down %" PRIu64 "    disk free %s",
	    s->sum[C_smtp_sessions_open], s->sum[C_deliver_connections_open], s->sum[C_queue_sites],
	    s->sum[C_queue_sites_down], style_bytes(room, s->sum[C_spool_free_bytes]));
}

/* add_cpu - of each role; 0 for what /proc doesn't show */
static uint64_t add_cpu(const struct snapshot *s, uint64_t cpu_ms[ROLE_COUNT])
{
	uint64_t memory = 0;
	memset(cpu_ms, 0, ROLE_COUNT * sizeof(*cpu_ms));
	for (size_t i = 0; i < s->nprocesses; i++) {
		const struct snapshot_process *p = &s->processes[i];
		if (p->p.role < ROLE_COUNT)
			cpu_ms[p->p.role] += p->cpu_ms;
		memory += p->memory;
	}
	return memory;
}

/* put_cpu - percent of one CPU by role, since the frame before */
static void put_cpu(struct frame *f, const struct snapshot *s, struct frame_past *past)
{
	char line[FRAME_COLUMNS] = "", memory[STYLE_TEXT];
	uint64_t cpu_ms[ROLE_COUNT], total = add_cpu(s, cpu_ms);
	int64_t over = s->at_ms - past->at_ms;
	size_t n = 0;
	for (enum role r = ROLE_MASTER; r <= ROLE_DNSCACHE; r++) {
		uint64_t rose = cpu_ms[r] > past->cpu_ms[r] ? cpu_ms[r] - past->cpu_ms[r] : 0;
		double percent = past->known && over > 0 ? (double)rose * 100 / (double)over : 0;
		int len = snprintf(line + n, sizeof(line) - n, "  %s %.0f", role_name(r), percent);
		n += len > 0 && (size_t)len < sizeof(line) - n ? (size_t)len : 0;
	}
	put(f, STYLE_PLAIN, "cpu %%      %s    memory %s", line, style_bytes(memory, total));
	memcpy(past->cpu_ms, cpu_ms, sizeof(cpu_ms));
}

/* put_problem - a line; status has what to do */
static void put_problem(const struct problem *p, void *arg)
{
	struct teller *t = arg;
	if (t->left == 0) {
		t->more++;
		return;
	}
	t->left--;
	put(t->f, p->bad ? STYLE_BAD : STYLE_WARN, "! %s %s: %s", p->kind, p->subject, p->reason);
}

/* find_label - the counts of a site; NULL: it has none of its own */
static const struct board_label *find_label(const struct board_labels *labels, const char *name)
{
	for (unsigned i = 0; i < BOARD_SITES; i++)
		if (strcmp(labels->site[i].name, name) == 0)
			return &labels->site[i];
	return NULL;
}

/* rose - a second, since the frame before; "-" where nobody counted */
static const char *rose(char buf[STYLE_TEXT], const struct snapshot *s,
    const struct frame_past *past, const struct board_labels *now, const char *site,
    enum board_end end)
{
	const struct board_label *a = past->known ? find_label(&past->labels, site) : NULL;
	const struct board_label *b = find_label(now, site);
	int64_t over = s->at_ms - past->at_ms;
	if (!past->known || !b || over <= 0)
		return "-";
	uint64_t before = a && a->ends[end] <= b->ends[end] ? a->ends[end] : 0;
	snprintf(buf, STYLE_TEXT, "%.1f", (double)(b->ends[end] - before) * 1000 / (double)over);
	return buf;
}

/* put_site - a line of the table */
static void put_site(struct frame *f, const struct snapshot *s, const struct frame_past *past,
    const struct board_labels *now, const struct snapshot_site *site)
{
	const struct query_site *q = &site->s;
	char sent[STYLE_TEXT], late[STYLE_TEXT], span[STYLE_TEXT] = "";
	bool down = q->state == QUERY_SITE_DOWN || q->state == QUERY_SITE_PROBING;
	if (q->probe_ms > s->now_ms)
		style_span(span, q->probe_ms - s->now_ms);
	put(f,
	    down            ? STYLE_BAD
	    : site->trouble ? STYLE_WARN
			    : STYLE_PLAIN,
	    "%-32.*s %-8s %5u/%-5u %8s %8s %8" PRIu64 " %6u  %s%s%s%s%s", SITES_NAMED, q->name.data,
	    query_site_state_name(q->state), q->connections, q->limit,
	    rose(sent, s, past, now, q->name.data, BOARD_DELIVERED),
	    rose(late, s, past, now, q->name.data, BOARD_DEFERRED), q->queued, q->active,
	    span[0] ? "next try in " : "", span, span[0] ? "; " : "",
	    site->trouble ? q->trouble.data : "",
	    q->steps_ms   ? " [one command at a time]"
	    : q->ipv4_ms  ? " [IPv4 only]"
	    : q->plain_ms ? " [TLS fails]"
			  : "");
}

/* copy_labels - each as it was at one moment */
static void copy_labels(struct board_labels *to, const struct board_labels *from)
{
	memset(to, 0, sizeof(*to));
	for (unsigned i = 0; i <= BOARD_SITES; i++)
		if (!board_label(&from->site[i], &to->site[i]))
			to->site[i].name[0] = '\0';
}

/* top_frame - all of it */
void top_frame(struct frame *f, const struct snapshot *s, const struct conf *conf, unsigned rows,
    struct frame_past *past)
{
	static struct board_labels now;
	struct teller t = {.f = f, .left = PROBLEMS_SHOWN};
	f->n = 0;
	f->max = rows && rows < FRAME_LINES ? rows : FRAME_LINES;
	copy_labels(&now, &s->board->labels);
	put_head(f, s, conf);
	put_rates(f, s, past);
	put_queue(f, s);
	put_cpu(f, s, past);
	if (problems_find(s, conf, PROBLEMS_SHOWN, put_problem, &t) > 0)
		put(f, STYLE_DIM, "  `batonctl status` says what to do%s",
		    t.more ? ", and has more" : "");
	put(f, STYLE_PLAIN, "%s", "");
	put(f, STYLE_BOLD, "%-32s %-8s %11s %8s %8s %8s %6s  %s", "site", "state", "conns/limit",
	    "sent/s", "defer/s", "queued", "active", "reason");
	for (size_t i = 0; i < s->nsites && f->n < f->max; i++)
		put_site(f, s, past, &now, &s->sites[i]);
	for (unsigned k = 0; k < TREND_KINDS; k++)
		past->trend[k] = board_trend_now(s->board, (enum board_trend)k);
	memcpy(&past->labels, &now, sizeof(now));
	past->at_ms = s->at_ms;
	past->known = true;
}

/* top_write - line by line; a last line without its end, or the terminal would scroll */
void top_write(const struct frame *f, unsigned columns, FILE *to)
{
	if (columns)
		fputs("\033[H", to);
	for (unsigned i = 0; i < f->n; i++) {
		const struct frame_line *line = &f->at[i];
		int width = columns ? (int)columns : FRAME_COLUMNS;
		fprintf(to, "%s%.*s%s%s%s", line->style ? style(line->style) : "", width,
		    line->text, line->style ? style(STYLE_PLAIN) : "", columns ? "\033[K" : "",
		    columns && i + 1 == f->n ? ""
		    : columns                ? "\r\n"
					     : "\n");
	}
	fputs(columns ? "\033[J" : "\n", to);
}
