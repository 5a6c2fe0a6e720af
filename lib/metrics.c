/* SPDX-License-Identifier: ISC */
/*
 * Lines of one name stand together, each with labels of its own: both are demanded by the format.
 * So the labels are copied first, and a name that is there twice (a row changed hands meanwhile) is
 * given once.
 */
#include "lib/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/role.h"

static const char *const ends[BOARD_ENDS] = {
    [BOARD_DELIVERED] = "delivered",
    [BOARD_DEFERRED] = "deferred",
    [BOARD_BOUNCED] = "bounced",
    [BOARD_ACCEPTED] = "accepted",
};

/* Labels of one kind, copied. */
struct labels {
	unsigned n;
	struct board_label at[BOARD_SITES + 1];
	unsigned number[BOARD_SITES + 1]; /* of the row */
};

/* ends_with - whether a name has that end; its length before it */
static bool ends_with(const char *name, const char *end, size_t *before)
{
	size_t n = strlen(name), m = strlen(end);
	if (n < m || strcmp(name + n - m, end) != 0)
		return false;
	*before = n - m;
	return true;
}

/* metrics_name - baton_..., with its unit, with _total */
const char *metrics_name(enum counter c, char *buf, size_t size)
{
	const char *name = counter_name(c), *total = counter_is_gauge(c) ? "" : "_total";
	size_t before;
	if (c == C_queue_oldest_ms)
		snprintf(buf, size, "baton_queue_oldest_age_seconds");
	else if (ends_with(name, "_us", &before))
		snprintf(buf, size, "baton_%.*s_seconds%s", (int)before, name, total);
	else
		snprintf(buf, size, "baton_%s%s", name, total);
	return buf;
}

/* put_head - what a name is */
static void put_head(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* put_age - of the oldest message; 0 where there is none */
static void put_age(FILE *to, const char *name, uint64_t arrival_ms)
{
	int64_t age = arrival_ms ? clock_wall_ms() - (int64_t)arrival_ms : 0;
	put_head(to, name, "gauge", "Age of the oldest message in the queue; 0: it is empty");
	fprintf(to, "%s %.3f\n", name, age > 0 ? (double)age / 1000 : 0);
}

/* put_counter - one row of counters.def */
static void put_counter(FILE *to, const struct board *board, enum counter c)
{
	uint64_t sum = board_sum(board, c);
	char name[96];
	size_t before;
	metrics_name(c, name, sizeof(name));
	if (c == C_queue_oldest_ms) {
		put_age(to, name, sum);
		return;
	}
	put_head(to, name, counter_is_gauge(c) ? "gauge" : "counter", counter_help(c));
	if (ends_with(counter_name(c), "_us", &before))
		fprintf(
		    to, "%s %" PRIu64 ".%06u\n", name, sum / 1000000, (unsigned)(sum % 1000000));
	else
		fprintf(to, "%s %" PRIu64 "\n", name, sum);
}

/* put_processes - how many serve, how often one was started again */
static void put_processes(FILE *to, const struct board *board)
{
	uint64_t serve[ROLE_COUNT] = {0}, again[ROLE_COUNT] = {0};
	for (uint32_t i = 1; i < board->head.used && i < BOARD_PAGES; i++) {
		struct board_row row = board->head.row[i];
		if (row.role >= ROLE_COUNT)
			continue;
		serve[row.role] += row.serves;
		again[row.role] += row.starts > 0 ? row.starts - 1 : 0;
	}
	put_head(to, "baton_processes", "gauge", "Processes that serve");
	for (enum role r = ROLE_SMTPD; r <= ROLE_DNSCACHE; r++)
		fprintf(to, "baton_processes{role=\"%s\"} %" PRIu64 "\n", role_name(r), serve[r]);
	put_head(
	    to, "baton_process_restarts_total", "counter", "Processes started in place of one");
	for (enum role r = ROLE_SMTPD; r <= ROLE_DNSCACHE; r++)
		fprintf(to, "baton_process_restarts_total{role=\"%s\"} %" PRIu64 "\n", role_name(r),
		    again[r]);
}

/* has - whether that name was copied already */
static bool has(const struct labels *l, const char *name)
{
	for (unsigned i = 0; i < l->n; i++)
		if (strcmp(l->at[i].name, name) == 0)
			return true;
	return false;
}

/* copy_labels - those with a name, and the last row as "other" */
static void copy_labels(struct labels *l, const struct board_label *rows, unsigned n)
{
	l->n = 0;
	for (unsigned i = 0; i <= n; i++) {
		struct board_label *at = &l->at[l->n];
		bool named = board_label(&rows[i], at);
		if (i == n)
			memcpy(at->name, METRICS_OTHER, sizeof(METRICS_OTHER));
		else if (!named || strcmp(at->name, METRICS_OTHER) == 0 || has(l, at->name))
			continue;
		l->number[l->n++] = i;
	}
}

/* put_text - a label's value, escaped as the format wants it */
static void put_text(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', to);
		fputc(*text, to);
	}
}

/* put_ends - what became of recipients; the first `n` kinds of ends */
static void put_ends(
    FILE *to, const char *name, const char *label, const struct labels *l, unsigned n)
{
	for (unsigned i = 0; i < l->n; i++)
		for (unsigned e = 0; e < n; e++) {
			fprintf(to, "%s{%s=\"", name, label);
			put_text(to, l->at[i].name);
			fprintf(to, "\",outcome=\"%s\"} %" PRIu64 "\n", ends[e], l->at[i].ends[e]);
		}
}

/* put_bucket - one line of a histogram */
static void put_bucket(FILE *to, const char *class, const char *le, uint64_t n)
{
	fputs("baton_delivery_seconds_bucket{class=\"", to);
	put_text(to, class);
	fprintf(to, "\",le=\"%s\"} %" PRIu64 "\n", le, n);
}

/* put_latency - of one class: every bucket holds those below it */
static void put_latency(FILE *to, const char *class, const struct board_latency *at)
{
	uint64_t n = 0;
	char le[32];
	for (unsigned i = 0; i <= BOARD_LATENCIES; i++) {
		n += __atomic_load_n(&at->bucket[i], __ATOMIC_RELAXED);
		if (i < BOARD_LATENCIES)
			snprintf(le, sizeof(le), "%g", (double)board_latency_ms[i] / 1000);
		put_bucket(to, class, i < BOARD_LATENCIES ? le : "+Inf", n);
	}
	fputs("baton_delivery_seconds_sum{class=\"", to);
	put_text(to, class);
	fprintf(to, "\"} %.3f\n", (double)__atomic_load_n(&at->sum_ms, __ATOMIC_RELAXED) / 1000);
	fputs("baton_delivery_seconds_count{class=\"", to);
	put_text(to, class);
	fprintf(to, "\"} %" PRIu64 "\n", n);
}

/* put_labelled - by site and by class */
static void put_labelled(FILE *to, const struct board *board, struct labels *l)
{
	static const char sites[] = "baton_site_recipients_total",
			  classes[] = "baton_class_recipients_total";
	copy_labels(l, board->labels.site, BOARD_SITES);
	put_head(to, sites, "counter",
	    "Recipients by site: attempts that ended so; the 100 busiest sites, the rest as other");
	put_ends(to, sites, "site", l, BOARD_ACCEPTED);
	copy_labels(l, board->labels.class, BOARD_CLASSES);
	put_head(to, classes, "counter",
	    "Recipients by class: accepted, or attempts that ended so; 32 classes, the rest as "
	    "other");
	put_ends(to, classes, "class", l, BOARD_ENDS);
	put_head(to, "baton_delivery_seconds", "histogram",
	    "Time from a message's arrival until a recipient of it was delivered");
	for (unsigned i = 0; i < l->n; i++)
		put_latency(to, l->at[i].name, &board->labels.latency[l->number[i]]);
}

_Static_assert(BOARD_SITES == 100 && BOARD_CLASSES == 32, "the help texts say so");
_Static_assert(BOARD_CLASSES <= BOARD_SITES, "struct labels has room for both");

/* metrics_print - all of it */
int metrics_print(const struct board *board, FILE *to)
{
	struct labels *l = malloc(sizeof(*l));
	if (!l)
		return -ENOMEM;
	for (unsigned c = 0; c < COUNTERS; c++)
		put_counter(to, board, (enum counter)c);
	put_processes(to, board);
	put_labelled(to, board, l);
	free(l);
	return 0;
}
