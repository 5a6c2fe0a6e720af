/* SPDX-License-Identifier: ISC */
/*
 * The Received line is put together by a small bounded appender rather than by printf: it is
 * written for every message.
 */
#include "smtpd/headers.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/qid.h"
#include "lib/str.h"

struct text {
	char *at, *end;
};

/* put - append what fits */
static void put(struct text *t, const char *s, size_t len)
{
	if (len > (size_t)(t->end - t->at))
		len = (size_t)(t->end - t->at);
	memcpy(t->at, s, len);
	t->at += len;
}

/* puts0 - append a C string */
static void puts0(struct text *t, const char *s)
{
	put(t, s, strlen(s));
}

/* headers_date - "Sat, 21 Nov 2026 01:41:09 +0000" */
const char *headers_date(void)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
	    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	static char date[160]; /* far more than any date of this age needs */
	static time_t made;
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;

	if (now == made)
		return date;
	if (!localtime_r(&now, &tm))
		memset(&tm, 0, sizeof(tm));
	long offset = tm.tm_gmtoff / 60;
	long minutes = offset < 0 ? -offset : offset;
	snprintf(date, sizeof(date), "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld",
	    days[tm.tm_wday % 7], tm.tm_mday, months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
	made = now;
	return date;
}

/* put_from - who it came from, unless the listener keeps that to itself */
static void put_from(struct text *t, const struct headers_trace *trace)
{
	const struct peer *peer = trace->peer;
	char uid[32];

	switch (peer->kind) {
	case PEER_NOTICE:
		puts0(t, "by ");
		return;
	case PEER_LOCAL:
		snprintf(uid, sizeof(uid), "from local (uid %u)\r\n\tby ", peer->uid);
		puts0(t, uid);
		return;
	case PEER_NET:
		break;
	}
	if (peer->listen && peer->listen->privacy) {
		puts0(t, "by ");
		return;
	}
	puts0(t, "from ");
	puts0(t, trace->helo);
	/* RFC 5321 §4.1.3: address literals of IPv6 carry a tag. */
	puts0(t, strchr(peer->address, ':') ? " ([IPv6:" : " ([");
	puts0(t, peer->address);
	puts0(t, "])\r\n\tby ");
}

/* headers_received - our trace line */
size_t headers_received(char *out, size_t size, const struct headers_trace *trace, size_t *id_at)
{
	struct text t = {out, out + size};

	puts0(&t, "Received: ");
	put_from(&t, trace);
	puts0(&t, trace->hostname);
	/* RFC 3848, 6531 §4.3; TLS has no name of its own after HELO. */
	puts0(&t, !trace->esmtp ? " with SMTP" : trace->utf8 ? " with UTF8SMTP" : " with ESMTP");
	if (trace->esmtp && trace->peer->tls)
		puts0(&t, "S");
	if (trace->esmtp && trace->peer->kind == PEER_NET && trace->peer->user[0])
		puts0(&t, "A");
	puts0(&t, " id ");
	*id_at = (size_t)(t.at - out);
	put(&t, "00000000000000", QID_WIDTH);
	if (trace->rcpt) {
		puts0(&t, "\r\n\tfor <");
		put(&t, trace->rcpt, trace->rcpt_len);
		puts0(&t, ">");
	}
	if (trace->peer->tls) {
		puts0(&t, "\r\n\ttls ");
		puts0(&t, trace->peer->cipher);
		puts0(&t, " (");
		puts0(&t, trace->peer->tls);
		puts0(&t, ")");
	}
	puts0(&t, ";\r\n\t");
	puts0(&t, headers_date());
	puts0(&t, "\r\n");
	return (size_t)(t.at - out);
}

/* is_field - is it the header field `name`? A field's name may be followed by spaces (obsolete) */
static bool is_field(const char *line, size_t len, const char *name, size_t name_len)
{
	if (len <= name_len || !str_eq_ci(line, name_len, name, name_len))
		return false;
	while (name_len < len && (line[name_len] == ' ' || line[name_len] == '\t'))
		name_len++;
	return name_len < len && line[name_len] == ':';
}

/* note_id - the value of a Message-ID field on its first line */
static void note_id(struct headers_seen *seen, const char *line, size_t len)
{
	const char *open = memchr(line, '<', len);
	const char *close = open ? memchr(open, '>', len - (size_t)(open - line)) : NULL;

	seen->message_id = true;
	if (!close || seen->id)
		return;
	seen->id = open;
	seen->id_len = (size_t)(close - open) + 1;
}

/* headers_see - one field, or one line of it */
void headers_see(struct headers_seen *seen, const char *line, size_t len)
{
	unsigned char high = 0;
	for (size_t i = 0; i < len; i++)
		high |= (unsigned char)line[i];
	seen->eightbit |= high > 0x7f;
	switch (str_lower_c(line[0])) {
	case 'r':
		seen->received += is_field(line, len, "Received", 8);
		break;
	case 'd':
		seen->date |= is_field(line, len, "Date", 4);
		break;
	case 'f':
		seen->from |= is_field(line, len, "From", 4);
		break;
	case 'm':
		if (is_field(line, len, "Message-ID", 10))
			note_id(seen, line, len);
		break;
	default:
		break;
	}
}

/* headers_scan - line by line to the empty one */
void headers_scan(const char *body, size_t len, struct headers_seen *seen)
{
	const char *at = body, *end = body + len;

	*seen = (struct headers_seen){0};
	while (at < end && *at != '\r') {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		size_t n = lf ? (size_t)(lf - at) : (size_t)(end - at);
		headers_see(seen, at, n);
		at += n + 1;
	}
}

/* is_noted - does a class want to see that field? */
static bool is_noted(const char *line, size_t len, const struct conf *conf)
{
	static const char *const always[] = {"Precedence", "List-Id", "Auto-Submitted"};

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (is_field(line, len, always[i], strlen(always[i])))
			return true;
	for (size_t i = 0; i < conf->nclass; i++) {
		const struct conf_list *header = &conf->class[i].header;
		for (size_t k = 0; k < header->n; k++)
			if (is_field(line, len, header->v[k], strcspn(header->v[k], ":")))
				return true;
	}
	return false;
}

/* headers_note - line by line to the empty one */
size_t headers_note(
    const char *body, size_t len, const struct conf *conf, struct msg_bytes out[HEADERS_NOTED])
{
	const char *at = body, *end = body + len;
	size_t n = 0;

	while (at < end && *at != '\r' && n < HEADERS_NOTED) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		size_t line = lf ? (size_t)(lf - at) : (size_t)(end - at), k = 0;
		if (*at != ' ' && *at != '\t' && is_noted(at, line, conf)) {
			while (k < line && k < HEADERS_NOTED_LEN && (unsigned char)at[k] >= ' ' &&
			       at[k] != 0x7f)
				k++;
			out[n++] = (struct msg_bytes){.data = at, .len = (uint32_t)k};
		}
		at += line + 1;
	}
	return n;
}

/* headers_make_id - unique in this process by the rising time, among processes by the hash's seed
 */
void headers_make_id(char *out, size_t size, const char *hostname)
{
	static uint64_t last;
	static uint32_t process;
	uint64_t now = (uint64_t)clock_wall_us();
	char id[QID_TEXT_MAX];

	last = now > last ? now : last + 1;
	if (!process)
		process = (uint32_t)hash_bytes("message-id", 10);
	qid_format(id, last);
	snprintf(out, size, "<%s.%08x@%s>", id, process, hostname);
}

/* headers_missing - Date, Message-ID, From */
size_t headers_missing(char *out, size_t size, const struct headers_seen *seen, const char *id,
    const char *sender, const char *origin)
{
	struct text t = {out, out + size};

	if (!seen->date) {
		puts0(&t, "Date: ");
		puts0(&t, headers_date());
		puts0(&t, "\r\n");
	}
	if (!seen->message_id) {
		puts0(&t, "Message-ID: ");
		puts0(&t, id);
		puts0(&t, "\r\n");
	}
	if (!seen->from) {
		puts0(&t, "From: ");
		if (*sender) {
			puts0(&t, sender);
		} else {
			puts0(&t, "MAILER-DAEMON@");
			puts0(&t, origin);
		}
		puts0(&t, "\r\n");
	}
	return (size_t)(t.at - out);
}
