/* SPDX-License-Identifier: ISC */
/*
 * local: one delivery into one mailbox, as the recipient's user (lib/local.h). master's child
 * has already become that user; this program reads its arguments, hands them to mailbox.c, writes
 * the result line and exits with what sysexits.h calls it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
	struct mailbox_request req = {
	    .content = LOCAL_CONTENT_FD, .lock_wait_s = MAILBOX_LOCK_WAIT_S};
	struct mailbox_result res = {0};
	int kind = argc == LOCAL_ARGS ? kind_of(argv[LOCAL_ARG_KIND]) : -1;
	const char *home = getenv("HOME");

	signal(SIGPIPE, SIG_IGN);
	if (kind < 0) {
		mailbox_say(&res, 451, "4.3.5", EX_USAGE, "local: wrong arguments");
	} else {
		req.kind = (enum local_kind)kind;
		req.mailbox = argv[LOCAL_ARG_MAILBOX];
		req.user = argv[LOCAL_ARG_USER];
		req.sender = argv[LOCAL_ARG_SENDER];
		req.recipient = argv[LOCAL_ARG_RECIPIENT];
		req.home = home ? home : "";
		mailbox_deliver(&req, &res);
	}
	report(&res);
	return res.exit_code;
}
