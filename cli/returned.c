/* SPDX-License-Identifier: ISC */
#include "cli/returned.h"

#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "cli/stored.h"
#include "lib/str.h"

/* wants_none - NOTIFY without failure (RFC 3461 4.1) */
static bool wants_none(const struct letter *l)
{
	const char *notify = strcasestr(l->rcpt_params, " NOTIFY=");

	return notify && !strcasestr(notify, "failure");
}

/* status_of - the enhanced code of a reply, "5.0.0" where it has none */
static int status_of(const char *reply, const char **status)
{
	size_t n = reply && strlen(reply) > 4 ? strspn(reply + 4, "0123456789.") : 0;

	*status = n >= 5 && reply[4] == '5' ? reply + 4 : "5.0.0";
	return n >= 5 && reply[4] == '5' ? (int)n : 5;
}

/* put_words - the part for people */
static void put_words(FILE *out, const struct letter *l, const char *hostname)
{
	const struct rcpt *r;

	fprintf(out,
	    "The message below waited on %s until it could be taken, and was refused then:\r\n\r\n",
	    hostname);
	DL_FOREACH (l->rcpts, r)
		if (r->state == RCPT_REFUSED)
			fprintf(out, "  <%s>: %s\r\n", r->address, r->reply ? r->reply : "refused");
}

/* put_report - the part for programs, RFC 3464 2 */
static void put_report(FILE *out, const struct letter *l, const char *hostname)
{
	const struct rcpt *r;
	const char *status;

	fprintf(out, "Reporting-MTA: dns; %s\r\n", hostname);
	DL_FOREACH (l->rcpts, r) {
		if (r->state != RCPT_REFUSED)
			continue;
		int n = status_of(r->reply, &status);

		fprintf(out,
		    "\r\nFinal-Recipient: rfc822; %s\r\nAction: failed\r\nStatus: %.*s\r\n",
		    r->address, n, status);
		if (r->reply)
			fprintf(out, "Diagnostic-Code: smtp; %s\r\n", r->reply);
	}
}

/* put_notice - the whole, in stored form: no line begins with a dot */
static int put_notice(
    FILE *out, const struct letter *l, FILE *file, off_t body, const char *hostname)
{
	char mark[80];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(mark, sizeof(mark), "%lld.%ld.%ld/%.30s", (long long)now.tv_sec, now.tv_nsec,
	    (long)getpid(), hostname);
	fprintf(out,
	    "From: Mail Delivery System <MAILER-DAEMON@%s>\r\nTo: <%s>\r\n"
	    "Subject: Returned mail: it was refused\r\nAuto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"%s\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	    "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n",
	    hostname, l->sender, mark, mark);
	put_words(out, l, hostname);
	fprintf(out, "\r\n--%s\r\nContent-Type: message/delivery-status\r\n\r\n", mark);
	put_report(out, l, hostname);
	fprintf(out,
	    "\r\n--%s\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
	    mark);
	int r = stored_copy(file, body, out);

	fprintf(out, "\r\n--%s--\r\n", mark);
	return r;
}

/* returned_send - from the null sender, to the one who sent it */
enum smtp_verdict returned_send(
    const struct letter *l, FILE *file, off_t body, const char *runtime, const char *hostname)
{
	struct submit s = {0};
	enum smtp_verdict v;

	if (!*l->sender || wants_none(l))
		return SMTP_REFUSED;
	v = submit_open(&s, runtime, hostname);
	if (v == SMTP_OK)
		v = submit_mail(&s, "", " BODY=8BITMIME");
	if (v == SMTP_OK)
		v = submit_rcpt(&s, l->sender, " NOTIFY=NEVER");
	if (v == SMTP_OK)
		v = submit_data(&s);
	if (v == SMTP_OK && put_notice(s.out, l, file, body, hostname))
		_exit(1); /* without the mark smtpd forgets it; master tries again */
	if (v == SMTP_OK)
		v = submit_end(&s);
	submit_close(&s);
	return v;
}
