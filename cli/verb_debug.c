/* SPDX-License-Identifier: ISC */
/* debug: the dialogues of a site or a client go into the log for a while. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/clock.h"
#include "lib/conf_parse.h"
#include "lib/dialogue.h"
#include "lib/json.h"
#include "lib/status.h"

struct debug {
	uint8_t verb, kind;
	bool json;
	uint64_t for_ms;
	char name[DIALOGUE_NAME_MAX + 1];
};

/* name_it - whose dialogues; 0 or -1: named before, or too long */
static int name_it(struct debug *d, enum dialogue_kind kind, const char *name)
{
	unsigned char addr[16];
	int family = strchr(name, ':') ? AF_INET6 : AF_INET;
	if (d->kind || !*name || strlen(name) > DIALOGUE_NAME_MAX)
		return -1;
	d->kind = (uint8_t)kind;
	/* as smtpd writes it */
	if (kind != DIALOGUE_CLIENT || inet_pton(family, name, addr) != 1 ||
	    !inet_ntop(family, addr, d->name, sizeof(d->name)))
		snprintf(d->name, sizeof(d->name), "%s", name);
	return 0;
}

/* take_word - one word and perhaps its value; words used, -1 for a wrong one */
static int take_word(struct debug *d, int argc, char **argv)
{
	const char *word = argv[0], *value = argc > 1 ? argv[1] : NULL;
	if (strcmp(word, "--json") == 0)
		return d->json = true;
	if (strcmp(word, "--site") == 0)
		return value && !name_it(d, DIALOGUE_SITE, value) ? 2 : -1;
	if (strcmp(word, "--client") == 0)
		return value && !name_it(d, DIALOGUE_CLIENT, value) ? 2 : -1;
	if (strcmp(word, "--for") == 0)
		return value && !conf_duration(value, &d->for_ms) && d->for_ms ? 2 : -1;
	if (strcmp(word, "--off") == 0 || strcmp(word, "--list") == 0) {
		if (d->verb != DIALOGUE_BEGIN)
			return -1;
		d->verb = word[2] == 'o' ? DIALOGUE_END : DIALOGUE_LIST;
		return 1;
	}
	return -1;
}

/* print_rule - one line */
static void print_rule(const struct dialogue_rule *rule, bool json)
{
	int64_t left = rule->until_ms - clock_ms();
	uint64_t s = left > 0 ? (uint64_t)(left + 999) / 1000 : 0;
	if (json) {
		printf("{\"what\":\"%s\",\"name\":", dialogue_kind_name(rule->kind));
		json_write(stdout, rule->name.data, rule->name.len);
		printf(",\"seconds\":%" PRIu64 "}\n", s);
		return;
	}
	printf("%s %.*s: dialogues are logged for another %" PRIu64 "m%02us\n",
	    dialogue_kind_name(rule->kind), (int)rule->name.len, rule->name.data, s / 60,
	    (unsigned)(s % 60));
}

/* on_debugged - what is logged now */
static void on_debugged(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_tool_debugged *m = &msg->tool_debugged;
	struct tool *tool = arg;
	const struct debug *d = tool->arg;
	struct dialogue_rule rule;
	size_t pos = 0;

	(void)chan;
	tool->done = true;
	tool->result = m->ok ? TOOL_OK : TOOL_FAILED;
	if (m->text.len)
		fprintf(stderr, "%.*s\n", (int)m->text.len, m->text.data);
	if (!m->ok)
		return;
	while (dialogue_next(m->rules, &pos, &rule) == 1)
		print_rule(&rule, d->json);
	if (!pos && !d->json)
		puts("no dialogue is logged");
}

/* ask - master */
static int ask(const struct conf *conf, struct debug *d)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_debugged] = on_debugged};
	const struct msg_tool_debug request = {
	    .verb = d->verb, .kind = d->kind, .what = msg_str(d->name), .for_ms = d->for_ms};
	struct tool tool;
	int r = tool_open(&tool, conf, CONTROL_SOCKET, ROLE_MASTER);
	if (r)
		return r;
	tool.arg = d;
	r = tool_ask(&tool, MSG_tool_debug, &request, &handlers);
	tool_close(&tool);
	return r;
}

/* verb_debug - begin, end, list */
int verb_debug(const struct conf *conf, int argc, char **argv)
{
	struct debug d = {.verb = DIALOGUE_BEGIN};
	int used = 0;
	for (int i = 0; i < argc && used >= 0; i += used)
		used = take_word(&d, argc - i, argv + i);
	bool begins = d.verb == DIALOGUE_BEGIN;
	if (used < 0 || (begins && !d.kind) || (!begins && d.for_ms) ||
	    (d.verb == DIALOGUE_LIST && d.kind)) {
		fputs("usage: batonctl debug " DEBUG_USAGE "\n", stderr);
		return TOOL_USAGE;
	}
	return ask(conf, &d);
}
