/* SPDX-License-Identifier: ISC */
/* status: one screen. What is wrong comes first, with what to do; then the figures. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/problems.h"
#include "cli/snapshot.h"
#include "cli/style.h"
#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/counters.h"
#include "lib/json.h"

enum { SITES_SHOWN = 8, SPANS = 3 };

static const int64_t spans_ms[SPANS] = {10000, 60000, 900000};
static const char *const span_names[SPANS] = {"10s", "1m", "15m"};
static const char *const trends[TREND_KINDS] = {"accepted", "delivered", "deferred", "bounced"};

/* -- text ------------------------------------------------------------------------------------ */

/* text_problem - three lines at least */
static void text_problem(const struct problem *p, void *arg)
{
	(void)arg;
	printf("%s%s %s%s: %s\n", style(p->bad ? STYLE_BAD : STYLE_WARN), p->kind, p->subject,
	    style(STYLE_PLAIN), p->reason);
	printf("    next: %s\n", p->next);
}

/* text_head - how it is as a whole */
static void text_head(const struct snapshot *s, const struct conf *conf)
{
	uint64_t uptime = s->nprocesses ? s->processes[0].p.uptime_ms : 0;
	bool in = !s->sum[C_spool_full], out = true;
	char span[STYLE_TEXT];
	for (size_t i = 0; i < s->npauses; i++) {
		in &= s->pauses[i].kind != QUERY_PAUSE_IN;
		out &= s->pauses[i].kind != QUERY_PAUSE_OUT;
	}
	printf("%sbaton on %s%s, up %s: mail is %s%staken%s, %s%ssent%s\n", style(STYLE_BOLD),
	    conf->hostname, style(STYLE_PLAIN), style_span(span, uptime),
	    style(in ? STYLE_GOOD : STYLE_BAD), in ? "" : "NOT ", style(STYLE_PLAIN),
	    style(out ? STYLE_GOOD : STYLE_BAD), out ? "" : "NOT ", style(STYLE_PLAIN));
}

/* text_process - a line of the table */
static void text_process(const struct snapshot_process *p)
{
	char uptime[STYLE_TEXT], memory[STYLE_TEXT], cpu[STYLE_TEXT];
	style_span(uptime, p->p.uptime_ms);
	style_bytes(memory, p->memory);
	style_span(cpu, p->cpu_ms);
	printf("%-9s %3u %8u %-9s %8s %8s %8s %8u %8u\n", role_name(p->p.role), p->p.instance,
	    p->p.pid, p->state, p->p.uptime_ms ? uptime : "-", p->seen ? memory : "-",
	    p->seen ? cpu : "-", p->p.restarts, p->p.crashes);
}

/* text_rates - a second, over some times */
static void text_rates(const struct snapshot *s)
{
	printf("\n%sper second%s       10 s      1 min     15 min      total\n", style(STYLE_BOLD),
	    style(STYLE_PLAIN));
	for (unsigned t = 0; t < TREND_KINDS; t++) {
		printf("%-10s", trends[t]);
		for (unsigned i = 0; i < SPANS; i++) {
			int64_t over;
			double rate = board_rate(s->board, (enum board_trend)t, spans_ms[i], &over);
			printf(" %10.1f", rate);
		}
		printf(" %10" PRIu64 "\n", board_trend_now(s->board, (enum board_trend)t));
	}
}

/* rest - what is neither sent, ready nor set aside */
static uint64_t rest(const struct snapshot *s)
{
	uint64_t others = s->sum[C_queue_active] + s->sum[C_queue_ready] + s->sum[C_queue_aside];
	return s->sum[C_queue_recipients] > others ? s->sum[C_queue_recipients] - others : 0;
}

/* oldest - how long ago the oldest message came; 0: there is none */
static uint64_t oldest(const struct snapshot *s)
{
	uint64_t at = s->sum[C_queue_oldest_ms];
	return at && s->now_ms > at ? s->now_ms - at : 0;
}

/* text_queue - by state, the disk, the connections */
static void text_queue(const struct snapshot *s)
{
	char age[STYLE_TEXT], left[STYLE_TEXT], min[STYLE_TEXT];
	printf("\n%squeue%s       %" PRIu64 " messages, %" PRIu64 " recipients: %" PRIu64
	       " being sent, %" PRIu64 " ready, %" PRIu64 " deferred, %" PRIu64 " set aside; ",
	    style(STYLE_BOLD), style(STYLE_PLAIN), s->sum[C_queue_messages],
	    s->sum[C_queue_recipients], s->sum[C_queue_active], s->sum[C_queue_ready], rest(s),
	    s->sum[C_queue_aside]);
	if (s->sum[C_queue_oldest_ms])
		printf("oldest %s\n", style_span(age, oldest(s)));
	else
		puts("none is old");
	printf("%sdisk%s        %s free; below %s no mail is taken\n", style(STYLE_BOLD),
	    style(STYLE_PLAIN), style_bytes(left, s->sum[C_spool_free_bytes]),
	    style_bytes(min, s->sum[C_spool_min_free_bytes]));
	printf("%sconnections%s %" PRIu64 " from clients, %" PRIu64 " to next hops\n",
	    style(STYLE_BOLD), style(STYLE_PLAIN), s->sum[C_smtp_sessions_open],
	    s->sum[C_deliver_connections_open]);
	printf("%ssites%s       %" PRIu64 " known, %" PRIu64 " down\n", style(STYLE_BOLD),
	    style(STYLE_PLAIN), s->sum[C_queue_sites], s->sum[C_queue_sites_down]);
}

/* text_learned - what a site was found to want; nothing for most */
static void text_learned(const struct snapshot *s)
{
	char when[STYLE_TEXT];
	for (size_t i = 0; i < s->nsites; i++) {
		const struct query_site *q = &s->sites[i].s;
		if (q->steps_ms)
			printf(
			    "learned     %s: one command at a time until %s, for it loses track of "
			    "pipelined ones\n",
			    q->name.data, style_when(when, q->steps_ms));
		if (q->ipv4_ms)
			printf("learned     %s: IPv4 only until %s, for it refused us over IPv6\n",
			    q->name.data, style_when(when, q->ipv4_ms));
		if (q->plain_ms)
			printf(
			    "learned     %s: plaintext until %s, for TLS fails with a host of it\n",
			    q->name.data, style_when(when, q->plain_ms));
	}
}

/* text_counters - all that is counted */
static void text_counters(const struct snapshot *s)
{
	for (unsigned c = 0; c < COUNTERS; c++)
		if (s->sum[c])
			printf("%-32s %12" PRIu64 "\n", counter_name((enum counter)c), s->sum[c]);
}

/* text - the screen */
static void text(const struct snapshot *s, const struct conf *conf)
{
	text_head(s, conf);
	putchar('\n');
	if (problems_find(s, conf, SITES_SHOWN, text_problem, NULL) == 0)
		puts("nothing is wrong");
	if (s->sum[C_queue_sites_down] > SITES_SHOWN)
		puts("    more sites are down: `batonctl sites` lists all");
	printf("\n%sprocess        pid state       uptime   memory      cpu restarts  crashes%s\n",
	    style(STYLE_BOLD), style(STYLE_PLAIN));
	for (size_t i = 0; i < s->nprocesses; i++)
		text_process(&s->processes[i]);
	text_rates(s);
	text_queue(s);
	text_learned(s);
}

/* -- JSON ------------------------------------------------------------------------------------ */

/* json_text - a string with its quotes */
static void json_text(const char *key, const char *value)
{
	printf("\"%s\":", key);
	json_write(stdout, value, strlen(value));
}

/* json_problem - one object */
static void json_problem(const struct problem *p, void *arg)
{
	(void)arg;
	printf("{\"problem\":\"%s\",\"bad\":%s,", p->kind, p->bad ? "true" : "false");
	json_text("subject", p->subject);
	putchar(',');
	json_text("reason", p->reason);
	putchar(',');
	json_text("next", p->next);
	puts("}");
}

/* json_process - one object; what isn't known is null */
static void json_process(const struct snapshot_process *p)
{
	printf("{\"process\":\"%s\",\"instance\":%u,\"pid\":%u,\"uptime\":%" PRIu64 ".%03u,"
	       "\"restarts\":%u,\"crashes\":%u,\"state\":\"%s\",",
	    role_name(p->p.role), p->p.instance, p->p.pid, p->p.uptime_ms / 1000,
	    (unsigned)(p->p.uptime_ms % 1000), p->p.restarts, p->p.crashes, p->state);
	if (p->seen)
		printf("\"memory\":%" PRIu64 ",\"cpu\":%" PRIu64 ".%03u}\n", p->memory,
		    p->cpu_ms / 1000, (unsigned)(p->cpu_ms % 1000));
	else
		puts("\"memory\":null,\"cpu\":null}");
}

/* json_rates - an object for each kind */
static void json_rates(const struct snapshot *s)
{
	for (unsigned t = 0; t < TREND_KINDS; t++) {
		printf("{\"rate\":\"%s\"", trends[t]);
		for (unsigned i = 0; i < SPANS; i++) {
			int64_t over;
			printf(",\"%s\":%.3f", span_names[i],
			    board_rate(s->board, (enum board_trend)t, spans_ms[i], &over));
		}
		puts("}");
	}
}

/* json - one object a line */
static void json(const struct snapshot *s, const struct conf *conf)
{
	problems_find(s, conf, UINT32_MAX, json_problem, NULL);
	for (size_t i = 0; i < s->nprocesses; i++)
		json_process(&s->processes[i]);
	json_rates(s);
	printf("{\"queue\":{\"messages\":%" PRIu64 ",\"recipients\":%" PRIu64 ",\"active\":%" PRIu64
	       ",\"ready\":%" PRIu64 ",\"deferred\":%" PRIu64 ",\"aside\":%" PRIu64
	       ",\"oldest\":%" PRIu64 ".%03u}}\n",
	    s->sum[C_queue_messages], s->sum[C_queue_recipients], s->sum[C_queue_active],
	    s->sum[C_queue_ready], rest(s), s->sum[C_queue_aside], oldest(s) / 1000,
	    (unsigned)(oldest(s) % 1000));
	printf("{\"disk\":{\"free\":%" PRIu64 ",\"min_free\":%" PRIu64 ",\"full\":%s}}\n",
	    s->sum[C_spool_free_bytes], s->sum[C_spool_min_free_bytes],
	    s->sum[C_spool_full] ? "true" : "false");
	for (unsigned c = 0; c < COUNTERS; c++)
		if (s->sum[c])
			printf("{\"counter\":\"%s\",\"value\":%" PRIu64 "}\n",
			    counter_name((enum counter)c), s->sum[c]);
}

/* verb_status - the screen, or all of it for programs */
int verb_status(const struct conf *conf, int argc, char **argv)
{
	bool as_json = argc == 1 && strcmp(argv[0], "--json") == 0;
	bool counters = argc == 1 && strcmp(argv[0], "--counters") == 0;
	struct snapshot s;
	if (argc > (as_json || counters ? 1 : 0)) {
		fputs("usage: batonctl status " STATUS_USAGE "\n", stderr);
		return TOOL_USAGE;
	}
	style_choose();
	int code = snapshot_take(&s, conf, NULL, !counters);
	if (code == TOOL_OK && as_json)
		json(&s, conf);
	else if (code == TOOL_OK && counters)
		text_counters(&s);
	else if (code == TOOL_OK)
		text(&s, conf);
	snapshot_free(&s);
	board_unview(s.board);
	return code;
}
