/* SPDX-License-Identifier: ISC */
/* The verbs that change the queue. One that finds nothing to do says so and fails, but for flush.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/filter.h"
#include "cli/tool.h"
#include "cli/verbs.h"

/* What is asked, and what came of it. */
struct change {
	enum query_verb verb;
	const char *name, *done; /* "hold", "held" */
	const struct filter_options *options;
};

/* print_json - one object */
static void print_json(const struct change *c, const struct msg_tool_changed *m)
{
	printf("{\"verb\":\"%s\",\"messages\":%" PRIu64 ",\"recipients\":%" PRIu64
	       ",\"being_sent\":%" PRIu64 ",\"dry_run\":%s}\n",
	    c->name, m->messages, m->recipients, m->flying, c->options->dry_run ? "true" : "false");
}

/* print_text - one line, and what isn't done yet */
static void print_text(const struct change *c, const struct msg_tool_changed *m)
{
	printf("%s%s: %" PRIu64 " message%s, %" PRIu64 " recipient%s\n",
	    c->options->dry_run ? "would be " : "", c->done, m->messages,
	    m->messages == 1 ? "" : "s", m->recipients, m->recipients == 1 ? "" : "s");
	if (m->flying && c->verb != QUERY_FLUSH)
		printf("%" PRIu64 " of them %s being sent now: done when %s back undelivered\n",
		    m->flying, m->flying == 1 ? "is" : "are",
		    m->flying == 1 ? "it comes" : "they come");
}

/* on_changed - how much it was */
static void on_changed(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_tool_changed *m = &msg->tool_changed;
	struct tool *tool = arg;
	const struct change *c = tool->arg;

	(void)chan;
	if (tool_change_failed(tool, m))
		return;
	if (c->options->json)
		print_json(c, m);
	else if (m->recipients || c->verb == QUERY_FLUSH)
		print_text(c, m);
	if (m->recipients || c->verb == QUERY_FLUSH)
		return;
	tool->result = filter_nothing();
	tool->own = m->own;
	tool_say_own(tool);
}

/* ask - qmgr, which answers when the change is safe */
static int ask(const struct conf *conf, struct change *c, const struct query_filter *filter)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_changed] = on_changed};
	unsigned char encoded[QUERY_FILTER_MAX];
	struct msg_tool_change m = {.verb = (uint8_t)c->verb, .dry_run = c->options->dry_run};
	int n = query_filter_put(filter, encoded, sizeof(encoded));

	if (n < 0) {
		fputs("the filter is too long\n", stderr);
		return TOOL_USAGE;
	}
	m.filter = msg_bytes(encoded, (size_t)n);
	return tool_request(conf, QUERY_SOCKET, ROLE_QMGR, MSG_tool_change, &m, &handlers, c);
}

/* change - a verb with its words; all but flush want to be told which mail */
static int change(const struct conf *conf, struct change c, int argc, char **argv)
{
	struct filter_options options;
	struct filter filter;

	if (filter_parse(argc, argv, &filter, &options))
		return TOOL_USAGE;
	c.options = &options;
	if (query_filter_empty(&filter.query) && c.verb == QUERY_FLUSH)
		filter.query.all = true;
	if (query_filter_empty(&filter.query)) {
		fprintf(
		    stderr, "usage: batonctl %s " FILTER_USAGE " [--dry-run] [--json]\n", c.name);
		return TOOL_USAGE;
	}
	if (options.bounce && c.verb == QUERY_DELETE)
		c = (struct change){QUERY_BOUNCE, "bounce", "bounced", &options};
	return ask(conf, &c, &filter.query);
}

/* verb_flush - due now; without a filter everything, as `postqueue -f` */
int verb_flush(const struct conf *conf, int argc, char **argv)
{
	return change(conf, (struct change){QUERY_FLUSH, "flush", "made due", NULL}, argc, argv);
}

/* verb_delete - gone, without a bounce unless that is asked for */
int verb_delete(const struct conf *conf, int argc, char **argv)
{
	return change(conf, (struct change){QUERY_DELETE, "delete", "deleted", NULL}, argc, argv);
}

/* verb_hold - set aside until released */
int verb_hold(const struct conf *conf, int argc, char **argv)
{
	return change(conf, (struct change){QUERY_HOLD, "hold", "held", NULL}, argc, argv);
}

/* verb_release - what was held or set aside goes on */
int verb_release(const struct conf *conf, int argc, char **argv)
{
	return change(
	    conf, (struct change){QUERY_RELEASE, "release", "released", NULL}, argc, argv);
}

/* verb_bounce - returned to its sender */
int verb_bounce(const struct conf *conf, int argc, char **argv)
{
	return change(conf, (struct change){QUERY_BOUNCE, "bounce", "bounced", NULL}, argc, argv);
}
