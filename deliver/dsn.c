/* SPDX-License-Identifier: ISC */
/*
 * The text is put together as it would be stored: CRLF, dot-stuffed. No line of ours begins with
 * a dot, and the original's header comes out of the record in that form already. What peers said
 * is reduced to printable ASCII, so that the report's own syntax is ours.
 */
#include "deliver/dsn.h"

#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "deliver/body.h"
#include "lib/clock.h"
#include "lib/envelope.h"
#include "lib/log.h"
#include "lib/qid.h"

#define DATE_SIZE 40

/* say - printf() into the text */
static void __attribute__((format(printf, 2, 3))) say(struct evbuffer *out, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = evbuffer_add_vprintf(out, fmt, args);
	va_end(args);
	if (n < 0)
		log_fatal("out of memory for a notice");
}

/* say_text - a peer's words: nothing but printable ASCII */
static void say_text(struct evbuffer *out, struct msg_bytes text)
{
	char line[JOB_TEXT_MAX];
	size_t n = text.len < sizeof(line) ? text.len : sizeof(line);
	for (size_t i = 0; i < n; i++)
		line[i] = text.data[i] >= ' ' && text.data[i] < 127 ? text.data[i] : '?';
	say(out, "%.*s", (int)n, line);
}

/* date - a time as RFC 5322 §3.3 writes it */
static const char *date(int64_t ms, char out[DATE_SIZE])
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;
	if (!localtime_r(&t, &tm) || !strftime(out, DATE_SIZE, "%a, %d %b %Y %H:%M:%S %z", &tm))
		out[0] = '\0';
	return out;
}

/* failed - whether the notice tells of a failure; else of a delay */
static bool failed(const struct job *job)
{
	for (uint32_t i = 0; i < job->nends; i++)
		if (job->ends[i].rcpt.action != ACTION_DELAYED)
			return true;
	return false;
}

/* header - of the notice itself */
static void header(
    struct evbuffer *out, const struct job *job, const char *host, const char *boundary)
{
	char when[DATE_SIZE], id[QID_TEXT_MAX];
	qid_format(id, job->id);
	say(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", host);
	say(out, "To: <%.*s>\r\n", (int)job->sender.len, job->sender.data);
	say(out, "Subject: %s\r\n",
	    failed(job) ? "Undelivered mail returned to sender"
			: "Delayed mail, still being tried");
	say(out, "Date: %s\r\n", date(clock_wall_ms(), when));
	say(out, "Message-ID: <%s.%llx.notice@%s>\r\n", id, (unsigned long long)clock_wall_us(),
	    host);
	/* RFC 3834: nobody answers this automatically. */
	say(out, "Auto-Submitted: auto-replied\r\n");
	say(out, "MIME-Version: 1.0\r\n");
	say(out,
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"%s\"\r\n\r\n",
	    boundary);
	say(out, "This is a delivery report in MIME format.\r\n\r\n");
}

/* for_people - the first part */
static void for_people(struct evbuffer *out, const struct job *job, const char *host)
{
	char when[DATE_SIZE];
	date((int64_t)job->arrival_ms, when);
	say(out, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
	say(out, "This is the mail system at %s.\r\n\r\n", host);
	if (failed(job))
		say(out,
		    "Your message of %s\r\ncould not be delivered to the recipients below. It "
		    "will not be tried again.\r\n\r\n",
		    when);
	else
		say(out,
		    "Your message of %s\r\nhas not reached the recipients below yet. You need "
		    "not send it again:\r\nit is still being tried.\r\n\r\n",
		    when);
	for (uint32_t i = 0; i < job->nends; i++) {
		const struct job_rcpt *rcpt = &job->ends[i].rcpt;
		say(out, "<%.*s>: ", (int)rcpt->address.len, rcpt->address.data);
		if (rcpt->host.len) {
			say(out, "host ");
			say_text(out, rcpt->host);
			say(out, " said:\r\n    ");
		}
		if (rcpt->code)
			say(out, "%u ", rcpt->code);
		say_text(out, rcpt->status);
		say(out, " ");
		say_text(out, rcpt->text);
		say(out, "\r\n\r\n");
	}
}

/* recipient - one group of the report (RFC 3464 §2.3) */
static void recipient(struct evbuffer *out, const struct job_rcpt *rcpt)
{
	say(out, "\r\nFinal-Recipient: rfc822; %.*s\r\n", (int)rcpt->address.len,
	    rcpt->address.data);
	if (rcpt->orcpt.len) {
		say(out, "Original-Recipient: ");
		say_text(out, rcpt->orcpt);
		say(out, "\r\n");
	}
	say(out, "Action: %s\r\n", rcpt->action == ACTION_DELAYED ? "delayed" : "failed");
	say(out, "Status: ");
	if (rcpt->status.len)
		say_text(out, rcpt->status);
	else
		say(out, "%s", rcpt->action == ACTION_DELAYED ? "4.0.0" : "5.0.0");
	say(out, "\r\n");
	if (rcpt->host.len) {
		say(out, "Remote-MTA: dns; ");
		say_text(out, rcpt->host);
		say(out, "\r\n");
	}
	/* What nobody at the other end said is no SMTP reply (RFC 3464 §2.3.6). */
	say(out, "Diagnostic-Code: %s; ", rcpt->code ? "smtp" : "x-baton");
	if (rcpt->code) {
		say(out, "%u ", rcpt->code);
		say_text(out, rcpt->status);
		say(out, " ");
	}
	say_text(out, rcpt->text);
	say(out, "\r\n");
}

/* report - the second part */
static void report(struct evbuffer *out, const struct job *job, const char *host)
{
	char when[DATE_SIZE], id[QID_TEXT_MAX];
	qid_format(id, job->id);
	say(out, "Content-Type: message/delivery-status\r\n\r\n");
	if (job->envid.len) {
		say(out, "Original-Envelope-Id: ");
		say_text(out, job->envid);
		say(out, "\r\n");
	}
	say(out, "Reporting-MTA: dns; %s\r\n", host);
	say(out, "X-Queue-Id: %s\r\n", id);
	say(out, "Arrival-Date: %s\r\n", date((int64_t)job->arrival_ms, when));
	for (uint32_t i = 0; i < job->nends; i++)
		recipient(out, &job->ends[i].rcpt);
}

/* header_end - where the header of a message ends, its last CRLF included */
static size_t header_end(const char *data, size_t len)
{
	if (len >= 2 && !memcmp(data, "\r\n", 2))
		return 0;
	const char *end = memmem(data, len, "\r\n\r\n", 4);
	if (end)
		return (size_t)(end - data) + 2;
	/* Longer than what was read: up to the last whole line. */
	const char *line = memrchr(data, '\n', len);
	return line ? (size_t)(line - data) + 1 : 0;
}

/* original - the third part; whether it holds 8-bit bytes */
static bool original(struct evbuffer *out, const struct job *job)
{
	struct evbuffer *head = evbuffer_new();
	struct body body;
	bool eightbit = false;
	if (!head)
		log_fatal("out of memory for a notice");
	body_init(&body, job);
	/* A header that can't be read is left out: the report matters more. */
	if (body_fill(&body, head, DSN_HEADERS_MAX) < 0)
		log_warnx("a notice goes without the header of its message, which can't be read");
	size_t len = evbuffer_get_length(head);
	const char *data = (const char *)evbuffer_pullup(head, -1);
	len = data ? header_end(data, len) : 0;
	for (size_t i = 0; i < len && !eightbit; i++)
		eightbit = (unsigned char)data[i] > 127;
	say(out, "Content-Type: text/rfc822-headers\r\n");
	if (eightbit)
		say(out, "Content-Transfer-Encoding: 8bit\r\n");
	say(out, "\r\n");
	if (len && evbuffer_add(out, data, len) < 0)
		log_fatal("out of memory for a notice");
	evbuffer_free(head);
	return eightbit;
}

struct job *dsn_compose(struct job *job, const char *hostname)
{
	struct evbuffer *out = evbuffer_new();
	char boundary[64], id[QID_TEXT_MAX];
	if (!out)
		log_fatal("out of memory for a notice");
	qid_format(id, job->id);
	snprintf(boundary, sizeof(boundary), "=_%s.%llx", id, (unsigned long long)clock_wall_us());
	header(out, job, hostname, boundary);
	say(out, "--%s\r\n", boundary);
	for_people(out, job, hostname);
	say(out, "\r\n--%s\r\n", boundary);
	report(out, job, hostname);
	say(out, "\r\n--%s\r\n", boundary);
	bool eightbit = original(out, job);
	say(out, "\r\n--%s--\r\n", boundary);
	size_t len = evbuffer_get_length(out);
	char *content = malloc(len);
	if (!content || evbuffer_remove(out, content, len) != (int)len)
		log_fatal("out of memory for a notice");
	evbuffer_free(out);
	struct job *carrier = job_new_text(job->sender, content, len);
	carrier->reports = job;
	carrier->flags = eightbit ? ENVF_8BIT : 0;
	carrier->id = job->id;
	return carrier;
}
