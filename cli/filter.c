/* SPDX-License-Identifier: ISC */
#include "cli/filter.h"

#include <stdio.h>
#include <string.h>

#include "cli/tool.h"
#include "lib/conf.h"
#include "lib/qid.h"

/* An option with a value: its name and what takes the value. */
struct filter_option {
	const char *name, *wants;
	int (*take)(struct query_filter *query, const char *value);
};

/* take_sender - a pattern */
static int take_sender(struct query_filter *query, const char *value)
{
	query->sender = msg_str(value);
	return 0;
}

/* take_recipient - a pattern */
static int take_recipient(struct query_filter *query, const char *value)
{
	query->recipient = msg_str(value);
	return 0;
}

/* take_domain - a pattern */
static int take_domain(struct query_filter *query, const char *value)
{
	query->domain = msg_str(value);
	return 0;
}

/* take_site - a pattern */
static int take_site(struct query_filter *query, const char *value)
{
	query->site = msg_str(value);
	return 0;
}

/* take_class - a pattern */
static int take_class(struct query_filter *query, const char *value)
{
	query->class = msg_str(value);
	return 0;
}

/* take_reason - a pattern; words without a star are looked for anywhere */
static int take_reason(struct query_filter *query, const char *value)
{
	static char anywhere[QUERY_PATTERN_MAX + 1];
	int n = strchr(value, '*') ? 0 : snprintf(anywhere, sizeof(anywhere), "*%s*", value);

	if (n >= (int)sizeof(anywhere))
		return -1;
	query->reason = msg_str(n ? anywhere : value);
	return 0;
}

/* take_older - a duration */
static int take_older(struct query_filter *query, const char *value)
{
	return conf_duration(value, &query->older_ms);
}

/* take_larger - a size */
static int take_larger(struct query_filter *query, const char *value)
{
	return conf_size(value, &query->larger);
}

/* take_state - a word */
static int take_state(struct query_filter *query, const char *value)
{
	int state = query_state_parse(value);

	query->state = state > 0 ? (uint8_t)state : 0;
	return state > 0 ? 0 : -1;
}

static const struct filter_option options_table[] = {
    {"--sender", "an address or a pattern such as *@example.org, or <>", take_sender},
    {"--recipient", "an address or a pattern such as *@example.org", take_recipient},
    {"--domain", "a domain or a pattern such as *.example.org", take_domain},
    {"--site", "a site's name or a pattern", take_site},
    {"--class", "the name of a class or a pattern", take_class},
    {"--reason", "words of the last reply, or a pattern such as 4.7.*", take_reason},
    {"--older", "a duration such as 2h or 5d", take_older},
    {"--larger", "a size such as 100K or 1M", take_larger},
    {"--state", "ready, active, deferred, paused, held, bouncing, notifying, damaged or poison",
	take_state},
};

/* find - the row of an option, NULL for another word */
static const struct filter_option *find(const char *word)
{
	for (size_t i = 0; i < sizeof(options_table) / sizeof(options_table[0]); i++)
		if (strcmp(options_table[i].name, word) == 0)
			return &options_table[i];
	return NULL;
}

/* take_id - a queue ID */
static int take_id(struct filter *filter, const char *word)
{
	if (filter->query.nids == QUERY_IDS_MAX) {
		fprintf(
		    stderr, "more than %d IDs: use several calls, or a filter\n", QUERY_IDS_MAX);
		return -1;
	}
	if (qid_parse(word, strlen(word), &filter->ids[filter->query.nids])) {
		fprintf(stderr,
		    "%s: neither a queue ID nor an option; `batonctl queue` lists IDs, "
		    "`batonctl --help` options\n",
		    word);
		return -1;
	}
	filter->query.nids++;
	filter->query.ids = filter->ids;
	return 0;
}

/* take_option - an option and, mostly, its value; words used, or -1 */
static int take_option(int argc, char **argv, struct filter *filter, struct filter_options *options)
{
	const struct filter_option *option = find(argv[0]);

	if (strcmp(argv[0], "--json") == 0)
		return options->json = true;
	if (strcmp(argv[0], "--dry-run") == 0)
		return options->dry_run = true;
	if (strcmp(argv[0], "--bounce") == 0)
		return options->bounce = true;
	if (strcmp(argv[0], "--by") == 0 && argc > 1) {
		options->by = argv[1];
		return 2;
	}
	if (strcmp(argv[0], "--all") == 0)
		return filter->query.all = true;
	if (!option) {
		fprintf(stderr, "%s: no such option; `batonctl --help` lists them\n", argv[0]);
		return -1;
	}
	if (argc < 2 || option->take(&filter->query, argv[1])) {
		fprintf(stderr, "%s wants %s\n", option->name, option->wants);
		return -1;
	}
	return 2;
}

/* filter_nothing - a verb has found nothing to do */
int filter_nothing(void)
{
	fputs("nothing in the queue matches; `batonctl queue` lists what there is\n", stderr);
	return TOOL_FAILED;
}

/* filter_parse - word by word */
int filter_parse(int argc, char **argv, struct filter *filter, struct filter_options *options)
{
	*filter = (struct filter){0};
	*options = (struct filter_options){0};
	for (int i = 0; i < argc;) {
		int used = argv[i][0] == '-' ? take_option(argc - i, argv + i, filter, options)
					     : take_id(filter, argv[i]) + 1;

		if (used <= 0)
			return -1;
		i += used;
	}
	return 0;
}
