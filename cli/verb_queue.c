/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/filter.h"
#include "cli/groups.h"
#include "cli/listing.h"
#include "cli/style.h"
#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/json.h"

/* form_of - as the options say */
static enum listing_form form_of(const struct filter_options *options)
{
	return options->json ? LISTING_JSON : LISTING_MAILQ;
}

/* verb_queue - list or group what matches; without a filter everything */
int verb_queue(const struct conf *conf, int argc, char **argv)
{
	struct filter_options options;
	struct filter filter;
	uint64_t found;

	if (filter_parse(argc, argv, &filter, &options))
		return TOOL_USAGE;
	if (query_filter_empty(&filter.query))
		filter.query.all = true;
	if (options.by)
		return groups_print(conf, &filter.query, options.by, options.json);
	return listing_print(conf, &filter.query, form_of(&options), &found);
}

/* verb_show - some messages, by their IDs */
int verb_show(const struct conf *conf, int argc, char **argv)
{
	struct filter_options options;
	struct filter filter;
	uint64_t found;
	int r;

	if (filter_parse(argc, argv, &filter, &options))
		return TOOL_USAGE;
	if (filter.query.nids == 0) {
		fputs("usage: batonctl show ID... [--json]\n", stderr);
		return TOOL_USAGE;
	}
	r = listing_print(conf, &filter.query, form_of(&options), &found);
	return r == TOOL_OK && !found ? filter_nothing() : r;
}

/* print_when - what, and the time of day; nothing for 0 */
static void print_when(const char *what, uint64_t ms)
{
	char when[STYLE_TEXT];

	if (ms)
		printf("  %s %s", what, style_when(when, ms));
}

/* rate_text - "20/s" as the configuration has it, "none" */
static const char *rate_text(const struct query_site *s, char *buf, size_t size)
{
	const char *unit = s->rate_period == 1000      ? "s"
			   : s->rate_period == 60000   ? "m"
			   : s->rate_period == 3600000 ? "h"
						       : "d";

	if (!s->rate_count)
		return "none";
	snprintf(buf, size, "%u/%s", s->rate_count, unit);
	return buf;
}

/* print_site - one line of text: open/limit/configured connections */
static void print_site(const struct query_site *s)
{
	char rate[32];

	printf("%-32.*s %-8s %u/%u/%u  rate %s  queued %" PRIu64 "  active %u  ready %u",
	    (int)s->name.len, s->name.data, query_site_state_name(s->state), s->connections,
	    s->limit, s->configured, rate_text(s, rate, sizeof(rate)), s->queued, s->active,
	    s->ready);
	print_when("oldest", s->oldest_ms);
	print_when("next try", s->probe_ms);
	print_when("trouble", s->trouble_ms);
	if (s->trouble.len > 0)
		printf("  %.*s", (int)s->trouble.len, s->trouble.data);
	print_when("one command at a time until", s->steps_ms);
	print_when("IPv4 only until", s->ipv4_ms);
	print_when("TLS fails, plaintext until", s->plain_ms);
	putchar('\n');
}

/* print_site_json - one object a line */
static void print_site_json(const struct query_site *s)
{
	char rate[32];

	fputs("{\"site\":", stdout);
	json_write(stdout, s->name.data, s->name.len);
	printf(",\"state\":\"%s\",\"connections\":%u,\"limit\":%u,\"configured\":%u,"
	       "\"rate\":\"%s\",\"queued\":%" PRIu64 ",\"active\":%u,\"ready\":%u,"
	       "\"oldest\":%" PRIu64 ",\"probe\":%" PRIu64 ",\"one_command_until\":%" PRIu64
	       ",\"ipv4_until\":%" PRIu64 ",\"plaintext_until\":%" PRIu64 ",\"trouble_at\":%" PRIu64
	       ",\"trouble\":",
	    query_site_state_name(s->state), s->connections, s->limit, s->configured,
	    rate_text(s, rate, sizeof(rate)), s->queued, s->active, s->ready, s->oldest_ms / 1000,
	    s->probe_ms / 1000, s->steps_ms / 1000, s->ipv4_ms / 1000, s->plain_ms / 1000,
	    s->trouble_ms / 1000);
	json_write(stdout, s->trouble.data, s->trouble.len);
	puts("}");
}

/* on_sites - one packet of sites */
static void on_sites(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	const bool *json = tool->arg;
	struct query_site site;
	size_t pos = 0;

	(void)chan;
	while (query_next_site(msg->tool_site_rows.rows, &pos, &site) == 1) {
		if (*json)
			print_site_json(&site);
		else
			print_site(&site);
	}
	tool->done = msg->tool_site_rows.last;
}

/* verb_sites - state of every site in memory */
int verb_sites(const struct conf *conf, int argc, char **argv)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_site_rows] = on_sites};
	bool json = argc == 1 && strcmp(argv[0], "--json") == 0;

	if (argc > (json ? 1 : 0)) {
		fputs("usage: batonctl sites [--json]\n", stderr);
		return TOOL_USAGE;
	}
	return tool_request(conf, QUERY_SOCKET, ROLE_QMGR, MSG_tool_sites,
	    &(struct msg_tool_sites){.count = 1}, &handlers, &json);
}
