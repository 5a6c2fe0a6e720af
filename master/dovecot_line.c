/* SPDX-License-Identifier: ISC */
#include "master/dovecot_line.h"

#include <errno.h>
#include <string.h>

#include "lib/str.h"

static const struct {
	const char *word;
	enum dovecot_kind kind;
} words[] = {
    {"VERSION", DOVECOT_VERSION},
    {"MECH", DOVECOT_MECH},
    {"DONE", DOVECOT_DONE},
    {"OK", DOVECOT_OK},
    {"FAIL", DOVECOT_FAIL},
    {"CONT", DOVECOT_CONT},
};

struct text {
	const char *at;
	size_t len;
};

/* next - the word in front of the next tab, which is taken off with it; false: there is none */
static bool next(struct text *rest, struct text *word)
{
	if (!rest->at)
		return false;
	const char *tab = memchr(rest->at, '\t', rest->len);
	*word = (struct text){rest->at, tab ? (size_t)(tab - rest->at) : rest->len};
	*rest = tab ? (struct text){tab + 1, rest->len - word->len - 1} : (struct text){NULL, 0};
	return true;
}

/* is - exactly that word */
static bool is(const struct text *t, const char *word)
{
	return t->len == strlen(word) && memcmp(t->at, word, t->len) == 0;
}

/* kind_of - by the first word */
static enum dovecot_kind kind_of(const struct text *word)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (is(word, words[i].word))
			return words[i].kind;
	return DOVECOT_OTHER;
}

/* take_number - the word is a number of 32 bits */
static bool take_number(struct text *rest, uint32_t *number)
{
	struct text word;
	unsigned long long v;
	if (!next(rest, &word) || str_to_u64(word.at, word.len, UINT32_MAX, &v) != 0)
		return false;
	*number = (uint32_t)v;
	return true;
}

/* take_user - a name with a control character (they come escaped by one) is none for us */
static void take_user(const char *name, size_t n, struct dovecot_line *out)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			return;
	str_copy_n(out->user, sizeof(out->user), name, n);
}

/* take_fields - what stands behind the number of OK and FAIL */
static void take_fields(struct text *rest, struct dovecot_line *out)
{
	struct text word;
	while (next(rest, &word)) {
		if (word.len > 5 && memcmp(word.at, "user=", 5) == 0)
			take_user(word.at + 5, word.len - 5, out);
		else if (is(&word, "temp"))
			out->temp = true;
	}
}

/* dovecot_line_read - by its kind */
int dovecot_line_read(const char *line, size_t n, struct dovecot_line *out)
{
	struct text rest = {line, n}, word = {0};
	memset(out, 0, sizeof(*out));
	next(&rest, &word);
	out->kind = kind_of(&word);
	switch (out->kind) {
	case DOVECOT_VERSION:
		return take_number(&rest, &out->id) ? 0 : -EINVAL;
	case DOVECOT_OK:
	case DOVECOT_FAIL:
		if (!take_number(&rest, &out->id))
			return -EINVAL;
		take_fields(&rest, out);
		return 0;
	case DOVECOT_CONT:
		if (!take_number(&rest, &out->id) || !next(&rest, &word))
			return -EINVAL;
		break;
	case DOVECOT_MECH:
		if (!next(&rest, &word))
			return -EINVAL;
		break;
	default:
		return 0;
	}
	out->text = word.at;
	out->len = word.len;
	return 0;
}
