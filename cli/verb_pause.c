/* SPDX-License-Identifier: ISC */
/* pause and resume. Without words `pause` lists what rests. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/style.h"
#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/conf.h"
#include "lib/json.h"
#include "lib/near.h"
#include "lib/query.h"

/* What the words of a command line say. */
struct pause {
	unsigned kind; /* enum query_pause; 0: none was named */
	const char *name;
	uint64_t for_ms;
	bool all, json, resume;
	bool unknown; /* answer: a site that nobody has heard of */
};

/* usage - of the verb that was called */
static int usage(bool resume)
{
	fputs(resume ? "usage: batonctl resume SITE | --domain D | in | out | --all [--json]\n"
		     : "usage: batonctl pause [SITE | --domain D | in | out] [--for 2h] [--json]\n",
	    stderr);
	return TOOL_USAGE;
}

/* name_it - what is paused; one thing at a time */
static int name_it(struct pause *p, unsigned kind, const char *name)
{
	if (p->kind || !name[0] || strlen(name) > QUERY_PAUSE_NAME_MAX)
		return -1;
	p->kind = kind;
	p->name = kind == QUERY_PAUSE_SITE || kind == QUERY_PAUSE_DOMAIN ? name : "";
	return 0;
}

/* take_word - one word and perhaps its value; words used, -1 for a wrong one */
static int take_word(struct pause *p, int argc, char **argv)
{
	const char *word = argv[0], *value = argc > 1 ? argv[1] : NULL;

	if (strcmp(word, "--json") == 0)
		return p->json = true;
	if (strcmp(word, "--all") == 0 && p->resume)
		return p->all = true;
	if (strcmp(word, "--for") == 0 && !p->resume)
		return value && !conf_duration(value, &p->for_ms) && p->for_ms ? 2 : -1;
	if (strcmp(word, "--domain") == 0)
		return value && !name_it(p, QUERY_PAUSE_DOMAIN, value) ? 2 : -1;
	if (strcmp(word, "in") == 0)
		return name_it(p, QUERY_PAUSE_IN, word) ? -1 : 1;
	if (strcmp(word, "out") == 0)
		return name_it(p, QUERY_PAUSE_OUT, word) ? -1 : 1;
	return word[0] == '-' || name_it(p, QUERY_PAUSE_SITE, word) ? -1 : 1;
}

/* print_time - of day; words for 0 */
static void print_time(const char *what, uint64_t ms, const char *zero)
{
	char when[STYLE_TEXT];

	printf(" %s %s", what, ms ? style_when(when, ms) : zero);
}

/* print_pause - one line */
static void print_pause(const struct query_pause_row *row, bool json)
{
	const char *kind = query_pause_name(row->kind);

	if (json) {
		printf("{\"what\":\"%s\",\"name\":", kind);
		json_write(stdout, row->name.data, row->name.len);
		printf(",\"since\":%" PRIu64 ",\"until\":%" PRIu64 "}\n", row->since_ms / 1000,
		    row->until_ms / 1000);
		return;
	}
	printf(
	    "%s%s%.*s: paused", kind, row->name.len ? " " : "", (int)row->name.len, row->name.data);
	print_time("since", row->since_ms, "?");
	print_time("until", row->until_ms, "resumed");
	putchar('\n');
}

/* on_pauses - one packet of the list */
static void on_pauses(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	const struct pause *p = tool->arg;
	struct query_pause_row row;
	size_t pos = 0;

	(void)chan;
	while (query_next_pause(msg->tool_pause_rows.rows, &pos, &row) == 1)
		print_pause(&row, p->json);
	if (!p->json && msg->tool_pause_rows.last && !pos)
		puts("nothing is paused");
	tool->done = msg->tool_pause_rows.last;
}

/* print_done - what rests or goes on now */
static void print_done(const struct pause *p, const struct msg_tool_changed *m)
{
	const char *verb = p->resume ? "resumed" : "paused";

	if (p->json)
		printf("{\"%s\":%" PRIu64 "}\n", verb, m->messages);
	else if (p->all)
		printf("resumed: %" PRIu64 "\n", m->messages);
	else if (m->messages)
		printf("%s: %s%s%s\n", verb, query_pause_name(p->kind), p->name[0] ? " " : "",
		    p->name);
}

/* The site that was named, and the closest that there is. */
struct nearest {
	const char *word;
	char best[QUERY_PAUSE_NAME_MAX + 1];
};

/* on_names - one packet of sites */
static void on_names(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	struct nearest *n = tool->arg;
	struct query_site site;
	char name[sizeof(n->best)];
	size_t pos = 0;

	(void)chan;
	while (query_next_site(msg->tool_site_rows.rows, &pos, &site) == 1) {
		const char *best = n->best[0] ? n->best : NULL;

		snprintf(name, sizeof(name), "%.*s", (int)site.name.len, site.name.data);
		near_offer(n->word, name, &best);
		if (best == name)
			memcpy(n->best, name, sizeof(name));
	}
	tool->done = msg->tool_site_rows.last;
}

/* say_unknown - that nobody has heard of it, and what may have been meant */
static void say_unknown(const struct conf *conf, const char *word)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_site_rows] = on_names};
	struct nearest near = {.word = word};

	fputs("no site of that name is in use now: it will rest when there is one "
	      "(`batonctl sites` lists names)\n",
	    stderr);
	tool_request(conf, QUERY_SOCKET, ROLE_QMGR, MSG_tool_sites, &(struct msg_tool_sites){0},
	    &handlers, &near);
	if (near.best[0])
		fprintf(stderr, "did you mean %s? `batonctl resume '%s'` takes this pause back\n",
		    near.best, word);
}

/* on_changed - it holds, and will after a restart */
static void on_changed(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_tool_changed *m = &msg->tool_changed;
	struct tool *tool = arg;
	struct pause *p = tool->arg;

	(void)chan;
	if (tool_change_failed(tool, m))
		return;
	print_done(p, m);
	if (!m->messages && !p->all) {
		fputs("it isn't paused; `batonctl pause` lists what is\n", stderr);
		tool->result = TOOL_FAILED;
	}
	p->unknown = m->messages && !m->recipients;
}

/* ask - qmgr */
static int ask(const struct conf *conf, struct pause *p, enum msg_type type, const void *msg)
{
	static const struct chan_handlers handlers = {
	    .on = {[MSG_tool_pause_rows] = on_pauses, [MSG_tool_changed] = on_changed}};
	int r = tool_request(conf, QUERY_SOCKET, ROLE_QMGR, type, msg, &handlers, p);

	if (p->unknown)
		say_unknown(conf, p->name);
	return r;
}

/* run - either verb */
static int run(const struct conf *conf, struct pause p, int argc, char **argv)
{
	for (int i = 0; i < argc;) {
		int used = take_word(&p, argc - i, argv + i);

		if (used < 0)
			return usage(p.resume);
		i += used;
	}
	if (!p.kind && !p.resume && !p.for_ms)
		return ask(conf, &p, MSG_tool_pauses, &(struct msg_tool_pauses){0});
	if (!p.kind == !p.all)
		return usage(p.resume);
	const struct msg_tool_pause m = {.kind = (uint8_t)p.kind,
	    .resume = p.resume,
	    .for_ms = p.for_ms,
	    .name = msg_str(p.name ? p.name : "")};
	return ask(conf, &p, MSG_tool_pause, &m);
}

/* verb_pause - rests from now on */
int verb_pause(const struct conf *conf, int argc, char **argv)
{
	return run(conf, (struct pause){0}, argc, argv);
}

/* verb_resume - goes on */
int verb_resume(const struct conf *conf, int argc, char **argv)
{
	return run(conf, (struct pause){.resume = true}, argc, argv);
}
