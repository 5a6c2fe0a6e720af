/* SPDX-License-Identifier: ISC */
#include "cli/handover.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "cli/post.h"
#include "lib/drop.h"

static enum smtp_verdict refused; /* of the last recipient that was refused */

/* handover_fail - one line for people */
int handover_fail(int code, const char *what, const char *why)
{
	fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, what, *why ? ": " : "", why);
	return code;
}

/* handover_code - sysexits for smtpd's verdicts */
int handover_code(enum smtp_verdict v)
{
	static const int codes[] = {[SMTP_OK] = EX_OK,
	    [SMTP_TEMPORARY] = EX_TEMPFAIL,
	    [SMTP_NO_USER] = EX_NOUSER,
	    [SMTP_REFUSED] = EX_UNAVAILABLE};

	return codes[v];
}

/* on_refused - each is said; class 5.1 is about an address */
static void on_refused(const char *what, const char *reply)
{
	enum smtp_verdict v = strncmp(reply + 4, "5.1.", 4) == 0 ? SMTP_NO_USER : SMTP_REFUSED;

	if (v > refused)
		refused = v;
	handover_fail(0, what, reply);
}

/* drop_rest - who is still open gets it from the drop folder */
static int drop_rest(struct keep *k, const struct conf *conf, const char *reply, bool verbose)
{
	int r = keep_commit(k);

	if (r) {
		handover_fail(0, "mail cannot be taken now", reply);
		fprintf(stderr, "%s: nor be left in %s/" DROP_FOLDER ": %s\n",
		    program_invocation_short_name, conf->spool, strerror(-r));
		return EX_TEMPFAIL;
	}
	if (verbose)
		printf("%s; the message waits in %s/" DROP_FOLDER "\n", reply, conf->spool);
	return EX_OK;
}

/* handover - smtpd, else the drop folder */
int handover(const struct conf *conf, struct letter *l, struct message *m, bool verbose)
{
	struct submit s = {0};
	struct keep k;
	int code = EX_OK;
	enum smtp_verdict v = post_begin(&s, l, conf->runtime, conf->hostname, on_refused);

	if (v != SMTP_OK && letter_count(l, RCPT_OPEN) == 0) {
		message_drain();
		submit_close(&s);
		return handover_code(refused);
	}
	keep_start(&k, l, conf->spool);
	if (message_write(m, &(struct outlet){.submit = v == SMTP_OK ? &s : NULL, .keep = &k})) {
		/* Leaving without the final mark: smtpd drops what it has. */
		keep_end(&k);
		return handover_fail(EX_IOERR, "standard input", strerror(errno));
	}
	if (v == SMTP_OK && post_end(&s, l, on_refused) == SMTP_OK && verbose)
		printf("%s\n", s.reply);
	if (letter_count(l, RCPT_OPEN) > 0)
		code = drop_rest(&k, conf, s.reply, verbose);
	keep_end(&k);
	submit_close(&s);
	return code ? code : handover_code(refused);
}
