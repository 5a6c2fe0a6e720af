/* SPDX-License-Identifier: ISC */
/*
 * trace: what happened to a message, step by step, out of the processes' rings of events. A table
 * says what the texts and numbers of each event are called; a line is made of those it has.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/events_view.h"
#include "cli/fast.h"
#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/clock.h"
#include "lib/qid.h"
#include "lib/status.h"

/* What an event's texts and numbers are called; NULL: it has none. */
static const struct form {
	const char *what, *words, *number, *value, *code;
} forms[EVENT_TYPE_COUNT] = {
    [EVENT_ACCEPTED] = {"client", "from", "recipients", "size", NULL},
    [EVENT_TAKEN] = {NULL, "to", "recipients", NULL, NULL},
    [EVENT_WAITS] = {"of", "reason", "recipient", NULL, NULL},
    [EVENT_CONNECTING] = {"site", "host", NULL, "connection", NULL},
    [EVENT_CONNECTED] = {"host", "by", NULL, "connection", NULL},
    [EVENT_UNCONNECTED] = {"host", "reason", NULL, "connection", "code"},
    [EVENT_HANDED] = {"site", "to", "recipients", "connection", NULL},
    [EVENT_MAIL] = {NULL, "reply", NULL, "connection", "code"},
    [EVENT_RCPT] = {"to", "reply", NULL, "connection", "code"},
    [EVENT_DATA] = {NULL, "reply", NULL, "connection", "code"},
    [EVENT_FINAL] = {NULL, "reply", NULL, "connection", "code"},
    [EVENT_BROKEN] = {NULL, "reason", NULL, "connection", NULL},
    [EVENT_RESULT] = {"to", "result", "recipient", "attempts", "code"},
    [EVENT_NEXT] = {NULL, NULL, "recipient", "until", NULL},
    [EVENT_NOTICE] = {"about", "to", "recipient", "at", NULL},
    [EVENT_DONE] = {NULL, NULL, NULL, "age", NULL},
};

/* why a recipient waits: enum event_wait */
static const char *const waits[EVENT_WAITS_COUNT] = {
    [EVENT_WAIT_NONE] = "nothing",
    [EVENT_WAIT_DOWN] = "down",
    [EVENT_WAIT_PAUSED] = "paused",
    [EVENT_WAIT_RATE] = "rate",
    [EVENT_WAIT_LIMIT] = "limit",
    [EVENT_WAIT_CONNECTION] = "connection",
    [EVENT_WAIT_DNS] = "dns",
    [EVENT_WAIT_TURN] = "turn",
};

struct trace {
	struct events_view view;
	bool json;
	int64_t wall_us; /* what the wall clock is ahead of the monotonic one */
};

/* -- printing -----------------------------------------------------------------------------------
 */

/* key - of one more member */
static void key(const struct trace *t, const char *name)
{
	fast_text(t->json ? ",\"" : " ");
	fast_text(name);
	fast_text(t->json ? "\":" : "=");
}

/* put_text - a member that is text, where there is one */
static void put_text(const struct trace *t, const char *name, const char *text, size_t len)
{
	if (!name)
		return;
	bool quoted = !len || memchr(text, ' ', len) || memchr(text, '"', len);
	key(t, name);
	if (t->json) {
		fast_json(msg_bytes(text, len));
		return;
	}
	if (quoted)
		fast_char('"');
	fast_clean(msg_bytes(text, len));
	if (quoted)
		fast_char('"');
}

/* put_number - a member that is a number */
static void put_number(const struct trace *t, const char *name, uint64_t n)
{
	if (!name)
		return;
	key(t, name);
	fast_u64(n);
}

/* text_time - a time of day, with its date */
static void text_time(int64_t wall_us)
{
	time_t s = (time_t)(wall_us / 1000000);
	char text[40], us[12];
	struct tm tm;
	localtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(us, sizeof(us), ".%06u", (unsigned)(wall_us % 1000000));
	fast_text(text);
	fast_text(us);
}

/* put_seconds - with six decimals */
static void put_seconds(int64_t us)
{
	char text[40];
	snprintf(text, sizeof(text), "%" PRId64 ".%06u", us / 1000000, (unsigned)(us % 1000000));
	fast_text(text);
}

/* put_value - a size or number; times and spans as such */
static void put_value(const struct trace *t, const struct event *e)
{
	const char *name = forms[e->type].value;
	if (e->type != EVENT_NEXT && e->type != EVENT_NOTICE && e->type != EVENT_DONE) {
		put_number(t, name, e->value);
		return;
	}
	key(t, name);
	if (t->json || e->type == EVENT_DONE)
		fast_seconds(e->value);
	else
		text_time((int64_t)e->value * 1000);
}

/* put_members - everything of an event but who, when and what it is */
static void put_members(const struct trace *t, const struct event *e)
{
	const struct form *f = &forms[e->type];
	if (e->type == EVENT_WAITS) {
		const char *what_for = e->code < EVENT_WAITS_COUNT ? waits[e->code] : "?";
		put_text(t, "for", what_for, strlen(what_for));
	}
	put_text(t, f->what, e->text, e->what_len);
	put_text(t, e->type == EVENT_WAITS && !e->words_len ? NULL : f->words,
	    e->text + e->what_len, e->words_len);
	put_number(t, f->number, e->number);
	if (f->value)
		put_value(t, e);
	put_number(t, e->code ? f->code : NULL, e->code);
}

/* print_json - one object */
static void print_json(const struct trace *t, const struct seen_event *s, int64_t since)
{
	char process[32];
	const char *word = event_word(s->event.type);
	snprintf(process, sizeof(process), "%s/%u", role_name(s->role), s->instance);
	fast_text("{\"time\":");
	put_seconds(s->event.at_us + t->wall_us);
	fast_text(",\"after\":");
	put_seconds(since);
	put_text(t, "process", process, strlen(process));
	put_text(t, "event", word, strlen(word));
	put_members(t, &s->event);
	fast_text("}\n");
}

/* print_text - one line: when, how long after the one before, who, what */
static void print_text(const struct trace *t, const struct seen_event *s, int64_t since)
{
	char line[80];
	text_time(s->event.at_us + t->wall_us);
	snprintf(line, sizeof(line), " %+12.6f %9s/%-2u %s", (double)since / 1e6,
	    role_name(s->role), s->instance, event_word(s->event.type));
	fast_text(line);
	put_members(t, &s->event);
	fast_char('\n');
}

/* print_all - in the order of time */
static void print_all(const struct trace *t)
{
	for (size_t i = 0; i < t->view.n; i++) {
		const struct seen_event *s = &t->view.seen[i];
		int64_t since = i ? s->event.at_us - t->view.seen[i - 1].event.at_us : 0;
		(t->json ? print_json : print_text)(t, s, since);
	}
}

/* -- asking -------------------------------------------------------------------------------------
 */

/* on_ring - one more */
static void on_ring(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_tool_ring *m = &msg->tool_ring;
	struct tool *tool = arg;
	struct trace *t = tool->arg;
	int e = events_view_add(&t->view, m->ring, m->role, m->instance);

	(void)chan;
	if (e)
		fprintf(stderr, "the events of %s/%u: %s\n", role_name(m->role), m->instance,
		    strerror(-e));
	tool->done = m->last;
}

/* on_controlled - no rings, and why */
static void on_controlled(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	(void)chan;
	fprintf(
	    stderr, "%.*s\n", (int)msg->tool_controlled.text.len, msg->tool_controlled.text.data);
	tool->done = true;
	tool->result = TOOL_FAILED;
}

/* ask - all rings from master */
static int ask(const struct conf *conf, struct trace *t)
{
	static const struct chan_handlers handlers = {
	    .on = {[MSG_tool_ring] = on_ring, [MSG_tool_controlled] = on_controlled}};
	const struct msg_tool_rings all = {.unused_ = 0};
	struct tool tool;
	int r = tool_open(&tool, conf, CONTROL_SOCKET, ROLE_MASTER);
	if (r)
		return r;
	tool.arg = t;
	r = tool_ask(&tool, MSG_tool_rings, &all, &handlers);
	tool_close(&tool);
	return r;
}

/* say_since - "TIME: words" about where the rings begin */
static void say_since(const struct trace *t, const char *id, int64_t horizon, const char *words)
{
	char text[40];
	time_t s = (time_t)((horizon + t->wall_us) / 1000000);
	struct tm tm;
	localtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(stderr, words, id, text);
}

/*
 * say_unknown - nothing is there of it. An ID was dealt before its message was accepted, at about
 * the time that it is.
 */
static int say_unknown(const struct trace *t, const char *id, uint64_t number)
{
	int64_t horizon = events_view_horizon(&t->view, ROLE_SMTPD);
	if ((int64_t)number > horizon + t->wall_us)
		say_since(t, id, horizon,
		    "%s: was never seen: nothing of it was accepted since %s, and the ID is "
		    "younger\n");
	else
		say_since(t, id, horizon,
		    "%s: no events: it has left the ring, which goes back to %s, or was never "
		    "seen; the log has more\n");
	return TOOL_FAILED;
}

/* trace_id - one message */
static int trace_id(struct trace *t, const char *id)
{
	uint64_t number;
	if (qid_parse(id, strlen(id), &number) != 0) {
		fprintf(stderr, "%s: that is no queue ID\n", id);
		return TOOL_USAGE;
	}
	if (events_view_find(&t->view, number) != 0) {
		fputs("out of memory\n", stderr);
		return TOOL_FAILED;
	}
	if (!t->view.n)
		return say_unknown(t, id, number);
	if (!t->view.whole)
		say_since(t, id, events_view_horizon(&t->view, ROLE_SMTPD),
		    "%s: its beginning has left the ring, which goes back to %s\n");
	print_all(t);
	return fast_flush() ? TOOL_FAILED : TOOL_OK;
}

/* verb_trace - every event of a message that is still in the rings */
int verb_trace(const struct conf *conf, int argc, char **argv)
{
	static struct trace t;
	const char *id = NULL;
	int r;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			t.json = true;
		else if (!id && argv[i][0] != '-')
			id = argv[i];
		else
			id = "";
	}
	if (!id || !*id) {
		fputs("usage: batonctl trace " TRACE_USAGE "\n", stderr);
		return TOOL_USAGE;
	}
	t.wall_us = clock_wall_us() - clock_us();
	r = ask(conf, &t);
	if (!r)
		r = trace_id(&t, id);
	events_view_free(&t.view);
	return r;
}
