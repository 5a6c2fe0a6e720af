/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/status.h"

/* on_controlled - master's answer */
static void on_controlled(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_tool_controlled *m = &msg->tool_controlled;
	struct tool *tool = arg;

	(void)chan;
	tool->done = true;
	tool->result = m->ok ? TOOL_OK : TOOL_FAILED;
	if (m->text.len > 0)
		fprintf(m->ok ? stdout : stderr, "%.*s\n", (int)m->text.len, m->text.data);
}

/* control - one verb for master */
static int control(const struct conf *conf, enum control_verb verb)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_controlled] = on_controlled};
	const struct msg_tool_control ask = {.verb = (uint8_t)verb};

	return tool_request(
	    conf, CONTROL_SOCKET, ROLE_MASTER, MSG_tool_control, &ask, &handlers, NULL);
}

/* verb_reload - what is wrong with the file was said before we came here; master looks again */
int verb_reload(const struct conf *conf, int argc, char **argv)
{
	(void)argv;
	if (argc > 0) {
		fputs("usage: batonctl reload\n", stderr);
		return TOOL_USAGE;
	}
	return control(conf, CONTROL_RELOAD);
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
