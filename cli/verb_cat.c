/* SPDX-License-Identifier: ISC */
/* A message is read from the pipe to its end: what comes short of its size is damaged. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/qid.h"
#include "lib/query.h"

struct cat {
	int pipe;
	uint64_t size;
};

/* on_cat - here it comes */
static void on_cat(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	struct cat *cat = tool->arg;
	(void)chan;
	cat->pipe = msg->tool_cat_is.pipe;
	cat->size = msg->tool_cat_is.size;
	msg->tool_cat_is.pipe = -1;
	tool->done = true;
}

/* print - a block, without the CRs of line ends; *cr: the last byte before it was one */
static void print(const char *in, size_t len, bool *cr)
{
	for (size_t i = 0; i < len; i++) {
		if (*cr && in[i] != '\n')
			putchar_unlocked('\r');
		*cr = in[i] == '\r';
		if (!*cr)
			putchar_unlocked(in[i]);
	}
}

/* copy_out - all of it; true when it is whole */
static bool copy_out(const struct cat *cat, bool raw)
{
	static char block[65536];
	uint64_t got = 0;
	bool cr = false;
	ssize_t n;
	while ((n = read(cat->pipe, block, sizeof(block))) > 0 || (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		got += (uint64_t)n;
		if (raw)
			fwrite(block, 1, (size_t)n, stdout);
		else
			print(block, (size_t)n, &cr);
	}
	if (cr)
		putchar_unlocked('\r');
	return n == 0 && got == cat->size && fflush(stdout) == 0;
}

/* one - a message */
static int one(const struct conf *conf, const char *text, bool raw)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_cat_is] = on_cat};
	struct msg_tool_cat ask = {0};
	struct cat cat = {.pipe = -1};
	struct tool tool;
	if (qid_parse(text, strlen(text), &ask.id)) {
		fprintf(stderr, "%s: not a queue ID; `mailq` lists them\n", text);
		return TOOL_USAGE;
	}
	int r = tool_open(&tool, conf, QUERY_SOCKET, ROLE_QMGR);
	if (r)
		return r;
	tool.arg = &cat;
	r = tool_ask(&tool, MSG_tool_cat, &ask, &handlers);
	tool_close(&tool);
	if (r == TOOL_OK && !copy_out(&cat, raw)) {
		fprintf(stderr,
		    "%s: it isn't whole: the record is damaged, or its reading was "
		    "interrupted; the log has the reason\n",
		    text);
		r = TOOL_FAILED;
	}
	if (cat.pipe >= 0)
		close(cat.pipe);
	return r;
}

/* verb_cat - one after the other */
int verb_cat(const struct conf *conf, int argc, char **argv)
{
	int result = TOOL_OK, given = 0;
	bool raw = false;
	for (int i = 0; i < argc; i++)
		raw |= strcmp(argv[i], "--raw") == 0;
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--raw") == 0)
			continue;
		int r = one(conf, argv[i], raw);
		if (r)
			result = r;
		given++;
	}
	if (given)
		return result;
	fputs("usage: batonctl cat " CAT_USAGE "\n", stderr);
	return TOOL_USAGE;
}
