/* SPDX-License-Identifier: ISC */
/*
 * The text is put together as it would be stored: CRLF, dot-stuffed. No line of ours begins with
 * a dot, and the original comes out of the record in that form already.
 */
#include "deliver/dsn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/body.h"
#include "deliver/dsn_parts.h"
#include "lib/clock.h"
#include "lib/envelope.h"
#include "lib/log.h"
#include "lib/qid.h"

#define BOUNDARY_MAX 64

/* doubled - whether it is about mail that nobody sent: nothing is ever told of this one */
static bool doubled(const struct job *job)
{
	return !job->sender.len || job->flags & ENVF_NOTICE;
}

/* subject - of the notice */
static const char *subject(const struct job *job)
{
	static const char *const subjects[] = {
	    [DSN_FAILURE] = "Undelivered mail returned to sender",
	    [DSN_DELAY] = "Delayed mail, still being tried",
	    [DSN_SUCCESS] = "Report on your mail",
	};
	return doubled(job) ? "A notice that could not be delivered" : subjects[dsn_kind(job)];
}

/* header - of the notice itself; 8-bit parts make the whole 8-bit (RFC 2045 §6.4) */
static void header(struct evbuffer *out, const struct job *job, const char *host,
    const char *boundary, bool eightbit)
{
	char when[DSN_DATE], id[QID_TEXT_MAX];
	qid_format(id, job->id);
	dsn_say(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", host);
	dsn_say(out, "To: <%.*s>\r\n", (int)job->report_to.len, job->report_to.data);
	dsn_say(out, "Subject: %s\r\n", subject(job));
	dsn_say(out, "Date: %s\r\n", dsn_date((uint64_t)clock_wall_ms(), when));
	dsn_say(out, "Message-ID: <%s.%llx.notice@%s>\r\n", id, (unsigned long long)clock_wall_us(),
	    host);
	/* RFC 3834: nobody answers this automatically. */
	dsn_say(out, "Auto-Submitted: auto-replied\r\n");
	dsn_say(out, "MIME-Version: 1.0\r\n");
	if (eightbit)
		dsn_say(out, "Content-Transfer-Encoding: 8bit\r\n");
	dsn_say(out,
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"%s\"\r\n\r\n",
	    boundary);
	dsn_say(out, "This is a delivery report in MIME format.\r\n\r\n");
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

/* wants_full - whether the message itself goes back: of failures only (RFC 3461 §4.3) */
static bool wants_full(const struct job *job, uint64_t size_max)
{
	struct body body;
	body_init(&body, job);
	return dsn_kind(job) == DSN_FAILURE && job->ret != RET_HDRS && body_size(&body) <= size_max;
}

/* fetch - at most max bytes of the message, as stored; whether that went well */
static bool fetch(const struct job *job, struct evbuffer *to, size_t max)
{
	struct body body;
	body_init(&body, job);
	return body_fill(&body, to, max) >= 0;
}

/*
 * original - what goes back of the message; whether all of it. What can't be read is left out: the
 * report matters more.
 */
static bool original(const struct job *job, struct evbuffer *to, uint64_t size_max)
{
	if (wants_full(job, size_max)) {
		if (fetch(job, to, SIZE_MAX))
			return true;
		evbuffer_drain(to, evbuffer_get_length(to));
	}
	if (!fetch(job, to, DSN_HEADERS_MAX))
		log_warnx("a notice goes without the header of its message, which can't be read");
	size_t len = evbuffer_get_length(to);
	const char *data = (const char *)evbuffer_pullup(to, -1);
	size_t keep = data ? header_end(data, len) : 0;
	struct evbuffer *head = evbuffer_new();
	if (!head || evbuffer_remove_buffer(to, head, keep) < 0)
		log_fatal("out of memory for a notice");
	evbuffer_drain(to, evbuffer_get_length(to));
	if (evbuffer_add_buffer(to, head) < 0)
		log_fatal("out of memory for a notice");
	evbuffer_free(head);
	return false;
}

/* has_8bit - whether there are bytes above 127 */
static bool has_8bit(struct evbuffer *text)
{
	size_t len = evbuffer_get_length(text);
	const unsigned char *data = evbuffer_pullup(text, -1);
	for (size_t i = 0; data && i < len; i++)
		if (data[i] > 127)
			return true;
	return false;
}

/* choose_boundary - one that the original has nowhere */
static void choose_boundary(const struct job *job, struct evbuffer *text, char *out)
{
	char id[QID_TEXT_MAX];
	unsigned long long now = (unsigned long long)clock_wall_us();
	struct evbuffer_ptr at;
	qid_format(id, job->id);
	do {
		snprintf(out, BOUNDARY_MAX, "=_%s.%llx", id, now++);
		at = evbuffer_search(text, out, strlen(out), NULL);
	} while (at.pos >= 0);
}

/* put_original - the third part */
static void put_original(struct evbuffer *out, struct evbuffer *text, bool full, bool eightbit)
{
	dsn_say(out, "Content-Type: %s\r\n", full ? "message/rfc822" : "text/rfc822-headers");
	if (eightbit)
		dsn_say(out, "Content-Transfer-Encoding: 8bit\r\n");
	dsn_say(out, "\r\n");
	if (evbuffer_add_buffer(out, text) < 0)
		log_fatal("out of memory for a notice");
}

/* carrier_of - the transaction that takes the notice to smtpd */
static struct job *carrier_of(struct job *job, struct evbuffer *out, bool eightbit)
{
	size_t len = evbuffer_get_length(out);
	char *content = malloc(len);
	if (!content || evbuffer_remove(out, content, len) != (int)len)
		log_fatal("out of memory for a notice");
	struct job *carrier = job_new_text(job->report_to, content, len);
	carrier->reports = job;
	carrier->flags = eightbit ? ENVF_8BIT : 0;
	carrier->id = job->id;
	carrier->ends[0].rcpt.notify = NOTIFY_NEVER;
	if (doubled(job))
		carrier->envid = msg_str(ENVELOPE_DOUBLE_ID);
	return carrier;
}

struct job *dsn_compose(struct job *job, const char *hostname, uint64_t size_max)
{
	struct evbuffer *out = evbuffer_new(), *text = evbuffer_new();
	char boundary[BOUNDARY_MAX];
	if (!out || !text)
		log_fatal("out of memory for a notice");
	bool full = original(job, text, size_max), eightbit = has_8bit(text);
	choose_boundary(job, text, boundary);
	header(out, job, hostname, boundary, eightbit);
	dsn_say(out, "--%s\r\n", boundary);
	dsn_people(out, job, hostname);
	dsn_say(out, "\r\n--%s\r\n", boundary);
	dsn_report(out, job, hostname);
	dsn_say(out, "\r\n--%s\r\n", boundary);
	put_original(out, text, full, eightbit);
	dsn_say(out, "\r\n--%s--\r\n", boundary);
	struct job *carrier = carrier_of(job, out, eightbit);
	evbuffer_free(text);
	evbuffer_free(out);
	return carrier;
}
