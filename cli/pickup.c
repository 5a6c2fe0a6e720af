/* SPDX-License-Identifier: ISC */
/*
 * pickup: one file of the drop folder goes to smtpd (lib/drop.h is the contract). It runs as the
 * file's owner: so smtpd hears from the kernel whose mail it is, and nobody else reads it. As many
 * transactions as its recipients need; what was taken or refused is noted in the file, and of what
 * was refused the sender is told by mail.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/drop.h"
#include "cli/post.h"
#include "cli/returned.h"
#include "cli/stored.h"
#include "lib/drop.h"

static bool was_refused;
static char reason[DROP_REASON_MAX]; /* the first refusal, else the last deferral */

/* on_refused - the first one is told */
static void on_refused(const char *what, const char *reply)
{
	if (!was_refused)
		snprintf(reason, sizeof(reason), "%.200s: %.700s", what, reply);
	was_refused = true;
}

/* transaction - one; whether it got any further with a recipient */
static bool transaction(struct letter *l, FILE *file, off_t body, const char *const *argv)
{
	size_t open = letter_count(l, RCPT_OPEN);
	struct submit s;
	enum smtp_verdict v =
	    post_begin(&s, l, argv[DROP_ARG_RUNTIME], argv[DROP_ARG_HOSTNAME], on_refused);

	if (v == SMTP_OK) {
		if (stored_copy(file, body, s.out))
			_exit(EX_TEMPFAIL); /* without the mark: smtpd forgets it */
		post_end(&s, l, on_refused);
	}
	if (!was_refused)
		snprintf(reason, sizeof(reason), "%.900s", s.reply);
	submit_close(&s);
	return letter_count(l, RCPT_OPEN) < open;
}

/* finish - the reason for the log */
static int finish(int code)
{
	if (code != EX_OK)
		fprintf(stderr, "%s\n", reason);
	return code;
}

int main(int argc, char **argv)
{
	struct letter l = {0};
	FILE *file = fdopen(DROP_FILE_FD, "r");
	off_t body;

	if (argc != DROP_ARGS || !file)
		return EX_USAGE;
	signal(SIGPIPE, SIG_IGN);
	int r = drop_read(file, &l, &body);
	if (r) {
		snprintf(reason, sizeof(reason), "%s",
		    r == -EBADMSG ? "no whole file of the drop folder" : strerror(-r));
		return finish(r == -EBADMSG ? EX_DATAERR : EX_TEMPFAIL);
	}
	while (letter_count(&l, RCPT_OPEN) > 0 &&
	       transaction(&l, file, body, (const char *const *)argv))
		if (letter_count(&l, RCPT_OPEN) > 0 && drop_mark(DROP_FILE_FD, &l))
			return finish(EX_TEMPFAIL);
	if (letter_count(&l, RCPT_OPEN) > 0)
		return finish(EX_TEMPFAIL);
	if (letter_count(&l, RCPT_REFUSED) == 0)
		return EX_OK;
	if (drop_mark(DROP_FILE_FD, &l))
		return finish(EX_TEMPFAIL);
	switch (returned_send(&l, file, body, argv[DROP_ARG_RUNTIME], argv[DROP_ARG_HOSTNAME])) {
	case SMTP_OK:
		return EX_OK;
	case SMTP_TEMPORARY:
		return finish(EX_TEMPFAIL);
	default:
		return finish(EX_UNAVAILABLE);
	}
}
