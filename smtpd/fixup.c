/* SPDX-License-Identifier: ISC */
/*
 * The pass copies nothing until something changes; then what lies between the changes is copied
 * along. A field whose address list proves broken at its end gets back what it was.
 */
#include "smtpd/fixup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/field.h"
#include "lib/mailbox_list.h"
#include "lib/str.h"
#include "smtpd/masquerade.h"

struct buffer {
	char *text;
	size_t len, size;
	bool failed; /* out of memory; nothing in it counts */
};

struct work {
	const struct conf *conf;
	bool privacy;
	const char *copied;      /* the text up to here is in the buffer, changed as it has to be */
	bool changed, of_sender; /* this field names the sender */
};

enum treat { KEEP, RECIPIENTS, SENDERS, DROP, AGENT };

/* By name, without "Resent-". */
static const struct {
	const char *name;
	size_t len;
	enum treat treat;
} fields[] = {
#define ROW(name, treat)                      \
	{                                     \
		name, sizeof(name) - 1, treat \
	}
    ROW("From", SENDERS),
    ROW("To", RECIPIENTS),
    ROW("Cc", RECIPIENTS),
    ROW("Bcc", DROP),
    ROW("Sender", SENDERS),
    ROW("Reply-To", SENDERS),
    ROW("User-Agent", AGENT),
    ROW("X-Mailer", AGENT),
    ROW("X-MimeOLE", AGENT),
    ROW("X-Newsreader", AGENT),
    ROW("X-Originating-IP", AGENT),
    ROW("X-Originating-Host", AGENT),
    ROW("X-Originating-Client", AGENT),
    ROW("X-Client-IP", AGENT),
    ROW("X-Sender-IP", AGENT),
    ROW("X-Source-IP", AGENT),
    ROW("X-Forwarded-For", AGENT),
    ROW("X-PHP-Script", AGENT),
    ROW("X-PHP-Originating-Script", AGENT),
#undef ROW
};

static struct buffer made, folded; /* of the text that came, and that with lines folded */

/* put - append to a buffer */
static void put(void *to, const char *bytes, size_t n)
{
	struct buffer *b = to;

	if (!b->text || b->size - b->len < n) {
		size_t size = b->size ? b->size : 4096;
		while (size - b->len < n)
			size *= 2;
		char *text = realloc(b->text, size);
		if (!text) {
			b->failed = true;
			return;
		}
		b->text = text;
		b->size = size;
	}
	memcpy(b->text + b->len, bytes, n);
	b->len += n;
}

/* change - what stands from there to there becomes this */
static void change(struct work *w, const char *from, const char *to, const char *bytes, size_t n)
{
	put(&made, w->copied, (size_t)(from - w->copied));
	put(&made, bytes, n);
	w->copied = to;
	w->changed = true;
}

/* encoded_word - a name in RFC 2047's form where an address should be */
static bool encoded_word(const struct mailbox *m)
{
	return m->len > 4 && !memcmp(m->address, "=?", 2) && !memcmp(m->to - 2, "?=", 2);
}

/* has_domain - is there an @ outside quotes? */
static bool has_domain(const struct mailbox *m)
{
	return m->address[m->len - 1] != '"' && memchr(m->address, '@', m->len);
}

/* on_mailbox - an address in a field; one that is broken or in several words stays */
static void on_mailbox(const struct mailbox *m, void *arg)
{
	struct work *w = arg;
	const char *origin = w->conf->origin;
	char address[ADDR_SIZE], becomes[ADDR_SIZE];
	bool bare = !has_domain(m), masks = w->of_sender && w->conf->masquerade.n;
	struct addr parsed;

	if (!bare && !masks)
		return;
	if (bare && ((size_t)(m->to - m->from) != m->len || encoded_word(m)))
		return;
	if (addr_mailbox(m->address, m->len, ADDR_LOCAL | ADDR_LOOSE | ADDR_UTF8, &parsed))
		return;
	int len = addr_normal(&parsed, address, sizeof(address));
	if (len <= 0 || (bare && (size_t)len + 1 + strlen(origin) >= sizeof(address)))
		return;
	if (bare) {
		address[len] = '@';
		memcpy(address + len + 1, origin, strlen(origin) + 1);
	}
	if (masks && masquerade(&w->conf->masquerade, address, strlen(address), becomes)) {
		change(w, m->from, m->to, becomes, strlen(becomes));
	} else if (bare) {
		change(w, m->to, m->to, "@", 1);
		put(&made, origin, strlen(origin));
	}
}

/* mend_addresses - of a field; a list without an end is left alone */
static void mend_addresses(struct work *w, const char *body, size_t len)
{
	struct work before = *w;
	size_t made_len = made.len;

	if (mailbox_list_walk(body, len, on_mailbox, w) == 0)
		return;
	*w = before;
	made.len = made_len;
}

/* treat_of - what a field's name says */
static enum treat treat_of(const char *name, size_t len)
{
	if (len > 7 && str_starts_ci(name, len, "Resent-")) {
		name += 7;
		len -= 7;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (len == fields[i].len && str_eq_ci(name, len, fields[i].name, len))
			return fields[i].treat;
	return KEEP;
}

/* mend_field - with its folded lines */
static void mend_field(struct work *w, const char *field, size_t name, size_t len)
{
	enum treat treat = treat_of(field, name);

	if (treat == DROP || (treat == AGENT && w->privacy)) {
		change(w, field, field + len, "", 0);
	} else if (treat == SENDERS || treat == RECIPIENTS) {
		const char *body = (const char *)memchr(field, ':', len) + 1;
		w->of_sender = treat == SENDERS;
		mend_addresses(w, body, len - (size_t)(body - field));
	}
}

/* is_envelope - the line that a mailbox file puts before a message */
static bool is_envelope(const char *line, size_t len)
{
	return (len > 5 && !memcmp(line, "From ", 5)) || (len > 6 && !memcmp(line, ">From ", 6));
}

/* mend_fields - field by field, to the empty line, a line that is none (out->body), or the end */
static const char *mend_fields(
    struct work *w, const char *text, const char *end, bool whole, struct fixup *out)
{
	const char *at = text;

	while (at < end && *at != '\r') {
		size_t left = (size_t)(end - at), name = field_name_len(at, left);
		size_t len = field_len(at, left);

		if (name) {
			headers_see(&out->seen, at, len);
			mend_field(w, at, name, len);
		} else if (at == text && is_envelope(at, left)) {
			change(w, at, at + len, "", 0);
		} else if (!whole && !memchr(at, '\n', left)) {
			return end; /* the first part of a line: it may be a field */
		} else {
			out->body = true;
			change(w, at, at, "\r\n", 2);
			break;
		}
		at += len;
	}
	return at;
}

/* fold_lines - where some are too long */
static void fold_lines(struct fixup *out, const char *text, size_t len)
{
	const char *now = out->text ? out->text : text;
	size_t now_len = out->text ? out->text_len : len;

	if (!fold_needed(now, now_len))
		return;
	fold_header(now, now_len, put, &folded);
	out->text = folded.text;
	out->text_len = folded.len;
}

/* fixup_header - the fields, then the lines, then a body that begins without warning */
int fixup_header(const struct conf *conf, bool privacy, const char *text, size_t len, bool whole,
    struct fixup *out)
{
	const char *end = text + len;
	struct work w = {.conf = conf, .privacy = privacy, .copied = text};

	*out = (struct fixup){0};
	made.len = folded.len = 0;
	made.failed = folded.failed = false;
	const char *at = mend_fields(&w, text, end, whole, out);
	if (at == end && !whole)
		return -EMSGSIZE;
	out->len = (size_t)(at - text);
	if (w.changed) {
		put(&made, w.copied, (size_t)(at - w.copied));
		out->text = made.text;
		out->text_len = made.len;
	}
	fold_lines(out, text, out->len);
	if (out->body) { /* it is in `made` up to its empty line */
		struct buffer *b = out->text == folded.text ? &folded : &made;
		fold_init(&out->fold, false);
		fold(&out->fold, at, (size_t)(end - at), put, b);
		out->fold.added = 0;
		out->text = b->text;
		out->text_len = b->len;
		out->len = len;
	}
	return made.failed || folded.failed ? -ENOMEM : 0;
}
