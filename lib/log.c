/* SPDX-License-Identifier: ISC */
/*
 * Events of the log: lines are put together in place, in the buffer that log_flush() writes
 * (lib/log_write.c holds it and knows descriptors). A line is built between two pointers, key by
 * key; a key that would pass the end is taken back, so a line is always whole.
 */
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log_write.h"
#include "lib/qid.h"

enum { EXIT_FATAL = 111, TAIL_ROOM = 16, TEXT_MAX = LOG_VALUE_MAX };

int log_level_now = LOG_INFO;
static enum log_format format = LOG_FORMAT_TEXT;

/* A line under construction. */
struct line {
	char *p;
	char *end;
	bool cut;
	bool json; /* the form it began in, whatever log_set() says meanwhile */
};

/* log_set - form and level from now on */
void log_set(enum log_format new_format, int level)
{
	format = new_format;
	log_level_now = level;
}

/* log_level_parse - the level of a word */
int log_level_parse(const char *word)
{
	static const struct {
		const char *word;
		int level;
	} words[] = {
	    {"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(word, words[i].word))
			return words[i].level;
	return -EINVAL;
}

/* level_name - the word of a level in lines */
static const char *level_name(int level)
{
	return level <= LOG_ERROR  ? "error"
	       : level == LOG_WARN ? "warning"
	       : level <= LOG_INFO ? "info"
				   : "debug";
}

/* put - add n bytes to the line */
static inline void put(struct line *l, const char *s, size_t n)
{
	if (__builtin_expect((size_t)(l->end - l->p) < n, 0)) {
		l->cut = true;
		return;
	}
	memcpy(l->p, s, n);
	l->p += n;
}

/* put_c - add one byte */
static inline void put_c(struct line *l, char c)
{
	put(l, &c, 1);
}

/* put_s - add C text */
static inline void put_s(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/* put_u64 - add a number in decimal */
static void put_u64(struct line *l, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits);
	do
		digits[--i] = (char)('0' + v % 10);
	while (v /= 10);
	put(l, digits + i, sizeof(digits) - i);
}

/* What a byte needs in text: 0 nothing, 1 quotes around the value, 2 a backslash, 4 \xNN. */
enum { NEEDS_QUOTES = 1, NEEDS_BACKSLASH = 2, NEEDS_HEX = 4 };
static const uint8_t needs[256] = {
    [0 ... 0x1f] = NEEDS_HEX,
    [' '] = NEEDS_QUOTES,
    ['"'] = NEEDS_QUOTES | NEEDS_BACKSLASH,
    ['\\'] = NEEDS_BACKSLASH,
    [0x7f ... 0xff] = NEEDS_HEX,
};

/* put_escaped - add bytes with everything escaped that is in `mask` */
static void put_escaped(struct line *l, const char *s, size_t n, unsigned mask)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i], need = needs[c] & mask;
		if (need & NEEDS_HEX) {
			char hex[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};
			put(l, hex, sizeof(hex));
			continue;
		}
		if (need & NEEDS_BACKSLASH)
			put_c(l, '\\');
		put_c(l, (char)c);
	}
}

/* put_text_value - add a value in the text form */
static void put_text_value(struct line *l, const char *s, size_t n, bool more)
{
	unsigned all = n || more ? 0 : NEEDS_QUOTES;
	for (size_t i = 0; i < n; i++)
		all |= needs[(uint8_t)s[i]];
	if (all & NEEDS_QUOTES)
		put_c(l, '"');
	if (all & (NEEDS_BACKSLASH | NEEDS_HEX))
		put_escaped(l, s, n, NEEDS_BACKSLASH | NEEDS_HEX);
	else
		put(l, s, n);
	if (more)
		put(l, "...", 3);
	if (all & NEEDS_QUOTES)
		put_c(l, '"');
}

/* put_json_value - add a value as a JSON string */
static void put_json_value(struct line *l, const char *s, size_t n, bool more)
{
	size_t done;
	put_c(l, '"');
	l->p += json_escape(l->p, (size_t)(l->end - l->p), s, n, &done);
	l->cut |= done < n;
	if (more)
		put(l, "...", 3);
	put_c(l, '"');
}

/* put_value - add the value of a key, cut to LOG_VALUE_MAX */
static void put_value(struct line *l, const struct log_kv *kv)
{
	char id[QID_TEXT_MAX];
	const char *s = kv->bytes;
	size_t n = kv->len;
	switch (kv->type) {
	case LOG_KV_U64:
		put_u64(l, kv->u64);
		return;
	case LOG_KV_I64:
		if (kv->i64 < 0)
			put_c(l, '-');
		put_u64(l, kv->i64 < 0 ? 0 - (uint64_t)kv->i64 : (uint64_t)kv->i64);
		return;
	case LOG_KV_ID:
		n = qid_format(id, kv->u64);
		s = id;
		break;
	default:
		break;
	}
	bool more = n > LOG_VALUE_MAX;
	if (more)
		n = LOG_VALUE_MAX;
	(l->json ? put_json_value : put_text_value)(l, s, n, more);
}

/* put_keys - add all keys; one that doesn't fit ends the list */
static void put_keys(struct line *l, const struct log_kv *kv)
{
	bool json = l->json;
	for (; kv->type != LOG_KV_END; kv++) {
		char *before = l->p;
		if (kv->type == LOG_KV_NONE)
			continue;
		put(l, json ? ",\"" : " ", json ? 2 : 1);
		put(l, kv->key, kv->key_len);
		put(l, json ? "\":" : "=", json ? 2 : 1);
		put_value(l, kv);
		if (!l->cut)
			continue;
		l->p = before;
		l->end += TAIL_ROOM;
		put_s(l, json ? ",\"cut\":1" : " cut=1");
		return;
	}
	l->end += TAIL_ROOM;
}

/* line_begin - start a line: everything in front of the event. Takes the lock unless it fails. */
static bool line_begin(struct line *l, int level, uint64_t id)
{
	char text[QID_TEXT_MAX] = "-";
	bool json = l->json = format == LOG_FORMAT_JSON;
	l->p = log_line_begin();
	if (!l->p)
		return false;
	l->end = l->p + LOG_LINE_MAX - TAIL_ROOM - 2;
	l->cut = false;
	l->p += log_line_prefix(l->p, (size_t)(l->end - l->p), level, json);
	if (json) {
		put_s(l, "\"level\":\"");
		put_s(l, level_name(level));
		put_c(l, '"');
	}
	if (id)
		qid_format(text, id);
	if (json && id)
		put_s(l, ",\"id\":\"");
	if (!json || id)
		put_s(l, text);
	if (!json || id)
		put_c(l, json ? '"' : ' ');
	return true;
}

/* line_end - close the line and hand it to the buffer */
static void line_end(struct line *l)
{
	l->end += 2;
	if (l->json)
		put_c(l, '}');
	put_c(l, '\n');
	log_line_end(l->p);
}

/* log_event_kv - one line of keys and values */
void log_event_kv(int level, uint64_t id, const char *event, const struct log_kv *kv)
{
	struct line l;
	if (!line_begin(&l, level, id))
		return;
	bool json = l.json;
	put_s(&l, json ? ",\"event\":\"" : "");
	put_s(&l, event);
	put_s(&l, json ? "\"" : "");
	if (!json && level != LOG_INFO) {
		put_s(&l, " level=");
		put_s(&l, level_name(level));
	}
	put_keys(&l, kv);
	line_end(&l);
}

/* sentence - one line of words for people */
static void sentence(int level, uint64_t id, const char *word, const char *text)
{
	struct line l;
	if (!line_begin(&l, level, id))
		return;
	if (l.json) {
		put_s(&l, ",\"event\":\"");
		put_s(&l, word);
		put_s(&l, "\",\"text\":");
		put_json_value(&l, text, strlen(text), false);
	} else {
		put_s(&l, word);
		put_s(&l, ": ");
		put_escaped(&l, text, strlen(text), NEEDS_HEX);
	}
	l.end += TAIL_ROOM;
	line_end(&l);
}

/* sentencev - the same from a format, with the text of an error number behind it unless 0 */
static void sentencev(
    int level, uint64_t id, const char *word, int err, const char *fmt, va_list ap)
{
	char text[TEXT_MAX];
	int saved = errno;
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	if (err && n >= 0 && (size_t)n < sizeof(text)) {
		const char *why = strerrordesc_np(err < 0 ? -err : err);
		snprintf(text + n, sizeof(text) - (size_t)n, ": %s", why ? why : "unknown error");
	}
	sentence(level, id, word, n < 0 ? fmt : text);
	errno = saved;
}

/* log_lost - the line that stands for lines that were not logged */
void log_lost(uint64_t lines)
{
	char text[64];
	snprintf(
	    text, sizeof(text), "%llu lines lost, the log was full", (unsigned long long)lines);
	sentence(LOG_WARN, 0, level_name(LOG_WARN), text);
}

#define SENTENCE(level, id, word, err)                            \
	do {                                                      \
		va_list ap;                                       \
		va_start(ap, fmt);                                \
		if (log_wants(level))                             \
			sentencev(level, id, word, err, fmt, ap); \
		va_end(ap);                                       \
	} while (0)

/* log_text - a sentence about a message */
void log_text(int level, uint64_t id, const char *fmt, ...)
{
	SENTENCE(level, id, level_name(level), 0);
}

/* log_warn - a warning with errno */
void log_warn(const char *fmt, ...)
{
	SENTENCE(LOG_WARN, 0, "warning", errno);
}

/* log_warnc - a warning with an error number of the caller's */
void log_warnc(int err, const char *fmt, ...)
{
	SENTENCE(LOG_WARN, 0, "warning", err);
}

/* log_warnx - a warning without one */
void log_warnx(const char *fmt, ...)
{
	SENTENCE(LOG_WARN, 0, "warning", 0);
}

/* log_error - something needs a person */
void log_error(const char *fmt, ...)
{
	SENTENCE(LOG_ERROR, 0, "error", 0);
}

/* log_info - something worth knowing */
void log_info(const char *fmt, ...)
{
	SENTENCE(LOG_INFO, 0, "info", 0);
}

/* log_debugf - log_debug() once the level is known to be wanted */
void log_debugf(const char *fmt, ...)
{
	SENTENCE(LOG_DEBUG, 0, "debug", 0);
}

/* log_fatal - the environment makes going on impossible */
void log_fatal(const char *fmt, ...)
{
	SENTENCE(LOG_ERROR, 0, "fatal", 0);
	log_flush_last();
	_exit(EXIT_FATAL);
}

/* log_bug - our own data contradict themselves */
void log_bug(const char *fmt, ...)
{
	SENTENCE(LOG_ERROR, 0, "bug", 0);
	log_flush_last();
	abort();
}
