/* SPDX-License-Identifier: ISC */
#include "deliver/dsn_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/log.h"

enum dsn_kind dsn_kind(const struct job *job)
{
	switch (job->ends[0].rcpt.action) {
	case ACTION_FAILED:
		return DSN_FAILURE;
	case ACTION_DELAYED:
		return DSN_DELAY;
	default:
		return DSN_SUCCESS;
	}
}

void dsn_say(struct evbuffer *out, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = evbuffer_add_vprintf(out, fmt, args);
	va_end(args);
	if (n < 0)
		log_fatal("out of memory for a notice");
}

const char *dsn_clean(struct msg_bytes text, char *out, size_t size)
{
	size_t n = 0;
	for (uint32_t i = 0; i < text.len && n + 1 < size; i++) {
		char c = text.data[i];
		bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
		if (space && (!n || out[n - 1] == ' '))
			continue;
		out[n++] = space ? ' ' : c > ' ' && c < 127 ? c : '?';
	}
	if (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return out;
}

void dsn_fold(struct evbuffer *out, const char *head, const char *indent, const char *text)
{
	size_t used = strlen(head);
	dsn_say(out, "%s", head);
	while (*text) {
		size_t room = used < DSN_LINE ? DSN_LINE - used : 0, left = strlen(text);
		size_t word = strcspn(text, " "), n = left;
		if (left > room) {
			n = word; /* a long one has a line of its own */
			for (size_t i = n; i <= room; i++)
				if (text[i] == ' ')
					n = i;
		}
		if (n > DSN_LINE_MAX)
			n = DSN_LINE_MAX;
		dsn_say(out, "%.*s", (int)n, text);
		text += n;
		text += strspn(text, " ");
		if (*text)
			dsn_say(out, "\r\n%s", indent);
		used = strlen(indent);
	}
	dsn_say(out, "\r\n");
}

void dsn_field(struct evbuffer *out, const char *name, const char *fmt, ...)
{
	char text[DSN_TEXT_ROOM + 32], head[64];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n < 0)
		log_bug("a field can't be written");
	snprintf(head, sizeof(head), "%s: ", name);
	dsn_fold(out, head, "    ", text);
}

const char *dsn_date(uint64_t ms, char out[DSN_DATE])
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;
	if (!localtime_r(&t, &tm) || !strftime(out, DSN_DATE, "%a, %d %b %Y %H:%M:%S %z", &tm))
		out[0] = '\0';
	return out;
}

/* well_formed - digits.digits.digits (RFC 3463 §2) */
static bool well_formed(const char *status)
{
	int end = 0;
	unsigned class, subject, detail;
	return sscanf(status, "%1u.%3u.%3u%n", &class, &subject, &detail, &end) == 3 &&
	       !status[end];
}

const char *dsn_status(const struct job_rcpt *rcpt, char out[DSN_STATUS])
{
	bool failed = rcpt->action == ACTION_FAILED;
	char class = failed ? '5' : rcpt->action == ACTION_DELAYED ? '4' : '2';
	dsn_clean(rcpt->status, out, DSN_STATUS);
	if (!well_formed(out))
		snprintf(out, DSN_STATUS, "%c.0.0", class);
	/* What was given up after trying long enough failed with the last 4.x.x. */
	if (!(failed && out[0] == '4'))
		out[0] = class;
	return out;
}

const char *dsn_words(const struct job_rcpt *rcpt, char out[DSN_TEXT_ROOM])
{
	char code[8] = "", status[DSN_STATUS], text[DSN_CLEAN];
	if (rcpt->code)
		snprintf(code, sizeof(code), "%u ", rcpt->code);
	dsn_clean(rcpt->status, status, sizeof(status));
	dsn_clean(rcpt->text, text, sizeof(text));
	snprintf(out, DSN_TEXT_ROOM, "%s%s%s%s", code, rcpt->code ? status : "",
	    rcpt->code && status[0] && text[0] ? " " : "", text);
	return out;
}
