/* SPDX-License-Identifier: ISC */
/*
 * local: one delivery, as the recipient's user (lib/local.h). master's child has already become
 * that user; this program reads its arguments, hands them to mailbox.c, entry.c or forward.c,
 * writes the result and exits with what sysexits.h calls it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "deliver/entry.h"
#include "deliver/forward.h"
#include "deliver/mailbox.h"

/* kind_of - the kind that a word names, or -1 */
static int kind_of(const char *word)
{
	static const char *const names[] = LOCAL_KIND_NAMES;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(word, names[i]))
			return (int)i;
	return -1;
}

/* report - the one line on the result socket */
static void report(const struct mailbox_result *res)
{
	char line[LOCAL_RESULT_MAX];
	int n = snprintf(line, sizeof(line), "%u %s %s\n", res->code, res->status, res->text);
	if (n > 0 && (size_t)n < sizeof(line))
		mailbox_write(LOCAL_RESULT_FD, line, (size_t)n);
}

/* act - what the arguments ask for */
static void act(struct mailbox_request *req, struct mailbox_result *res)
{
	static struct content content;
	if (!mailbox_begin(req, &content, res))
		return;
	if (req->kind == LOCAL_ALIAS)
		entry_of_alias(req, LOCAL_ALIASES_FD, res);
	else if (req->kind == LOCAL_FORWARD)
		entry_of_forward(req, res);
	else if (req->kind == LOCAL_VIRTUAL)
		mailbox_virtual(req, res);
	else
		mailbox_deliver(req, res);
}

/* answer - the user's .forward; true when that is the result */
static bool answer(const struct mailbox_request *req, struct mailbox_result *res)
{
	static char out[LOCAL_RESULT_MAX + LOCAL_MEMBERS_MAX];
	size_t len = forward_answer(req, out, sizeof(out), res);
	if (len)
		mailbox_write(LOCAL_RESULT_FD, out, len);
	return len > 0;
}

int main(int argc, char **argv)
{
	struct mailbox_request req = {.content = LOCAL_CONTENT_FD,
	    .lock_wait_s = MAILBOX_LOCK_WAIT_S,
	    .command_s = LOCAL_COMMAND_MAX_S};
	struct mailbox_result res = {0};
	int kind = argc == LOCAL_ARGS ? kind_of(argv[LOCAL_ARG_KIND]) : -1;
	const char *home = getenv("HOME");

	signal(SIGPIPE, SIG_IGN);
	/* one less to think of in what the commands inherit */
	fcntl(LOCAL_RESULT_FD, F_SETFD, FD_CLOEXEC);
	if (kind < 0) {
		mailbox_say(&res, 451, "4.3.5", EX_USAGE, "local: wrong arguments");
	} else {
		req.kind = (enum local_kind)kind;
		req.mailbox = argv[LOCAL_ARG_MAILBOX];
		req.user = argv[LOCAL_ARG_USER];
		req.sender = argv[LOCAL_ARG_SENDER];
		req.recipient = argv[LOCAL_ARG_RECIPIENT];
		req.original = argv[LOCAL_ARG_ORIGINAL];
		req.home = home ? home : "";
		if (kind == LOCAL_READ && answer(&req, &res))
			return EX_OK;
		if (kind != LOCAL_READ)
			act(&req, &res);
	}
	report(&res);
	return res.exit_code;
}
