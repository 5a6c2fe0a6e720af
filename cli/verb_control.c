/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/json.h"
#include "lib/status.h"

/* print_process - a line of the table of processes */
static void print_process(const struct status_process *p, bool json)
{
	const char *role = role_name(p->role);
	char uptime[32];

	if (json) {
		printf("{\"process\":\"%s\",\"instance\":%u,\"pid\":%u,\"uptime\":%" PRIu64 ".%03u,"
		       "\"restarts\":%u,\"crashes\":%u,\"state\":",
		    role, p->instance, p->pid, p->uptime_ms / 1000, (unsigned)(p->uptime_ms % 1000),
		    p->restarts, p->crashes);
		json_write(stdout, p->state.data, p->state.len);
		puts("}");
		return;
	}
	snprintf(uptime, sizeof(uptime), "%" PRIu64 "h%02um%02us", p->uptime_ms / 3600000,
	    (unsigned)(p->uptime_ms / 60000 % 60), (unsigned)(p->uptime_ms / 1000 % 60));
	printf("%-9s %3u %8u %-9.*s %12s %8u %8u\n", role, p->instance, p->pid, (int)p->state.len,
	    p->state.data, p->uptime_ms ? uptime : "-", p->restarts, p->crashes);
}

/* print_counter - a counter of all processes */
static void print_counter(const struct status_counter *c, bool json)
{
	if (json)
		printf("{\"counter\":\"%.*s\",\"value\":%" PRIu64 "}\n", (int)c->name.len,
		    c->name.data, c->value);
	else
		printf("%-32.*s %12" PRIu64 "\n", (int)c->name.len, c->name.data, c->value);
}

/* print_rows - processes, then counters */
static int print_rows(struct msg_bytes rows, bool json)
{
	struct status_process process;
	struct status_counter counter;
	bool counters = false;
	size_t pos = 0;
	int row;

	if (!json)
		puts("process        pid      state           uptime restarts  crashes");
	while ((row = status_next(rows, &pos, &process, &counter)) > STATUS_END) {
		if (row == STATUS_COUNTER && !counters && !json)
			putchar('\n');
		counters = row == STATUS_COUNTER;
		if (counters)
			print_counter(&counter, json);
		else
			print_process(&process, json);
	}
	return row;
}

/* on_controlled - master's answer */
static void on_controlled(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_tool_controlled *m = &msg->tool_controlled;
	struct tool *tool = arg;
	const bool *json = tool->arg;

	(void)chan;
	tool->done = true;
	tool->result = m->ok ? TOOL_OK : TOOL_FAILED;
	if (m->text.len > 0)
		fprintf(m->ok ? stdout : stderr, "%.*s\n", (int)m->text.len, m->text.data);
	if (m->rows.len > 0 && print_rows(m->rows, *json) < 0)
		tool->result = TOOL_FAILED;
}

/* control - one verb for master */
static int control(const struct conf *conf, enum control_verb verb, bool json)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_controlled] = on_controlled};
	const struct msg_tool_control ask = {.verb = (uint8_t)verb};
	struct tool tool;
	int r = tool_open(&tool, conf, CONTROL_SOCKET, ROLE_MASTER);

	if (r)
		return r;
	tool.arg = &json;
	r = tool_ask(&tool, MSG_tool_control, &ask, &handlers);
	tool_close(&tool);
	return r;
}

/* verb_status - processes and counters */
int verb_status(const struct conf *conf, int argc, char **argv)
{
	bool json = argc == 1 && strcmp(argv[0], "--json") == 0;

	if (argc > (json ? 1 : 0)) {
		fputs("usage: batonctl status [--json]\n", stderr);
		return TOOL_USAGE;
	}
	return control(conf, CONTROL_STATUS, json);
}

/* verb_reload - what is wrong with the file was said before we came here; master looks again */
int verb_reload(const struct conf *conf, int argc, char **argv)
{
	(void)argv;
	if (argc > 0) {
		fputs("usage: batonctl reload\n", stderr);
		return TOOL_USAGE;
	}
	return control(conf, CONTROL_RELOAD, false);
}

/* verb_check - the file was read without an error, or we would not be here */
int verb_check(const struct conf *conf, int argc, char **argv)
{
	(void)argv;
	if (argc > 0) {
		fputs("usage: batonctl check\n", stderr);
		return TOOL_USAGE;
	}
	conf_print_open(conf, stdout);
	return TOOL_OK;
}
