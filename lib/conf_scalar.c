/* SPDX-License-Identifier: ISC */
/*
 * Values that are one number, word or path. None of them allocates but the path; all take the whole
 * text or nothing.
 */
#include "lib/conf_parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* conf_why - writes a reason; returns -EINVAL for the caller to return */
int conf_why(char *why, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(why, CONF_REASON_MAX, format, ap);
	va_end(ap);
	return -EINVAL;
}

/* whole - a decimal number at *s, which is moved behind it */
static int whole(const char **s, uint64_t *out)
{
	uint64_t v = 0;
	if (!isdigit((unsigned char)**s))
		return -EINVAL;
	for (; isdigit((unsigned char)**s); (*s)++)
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(**s - '0'), &v))
			return -EINVAL;
	*out = v;
	return 0;
}

/* scaled - a decimal number with one of the units behind it, or without where a unit is 1 */
static int scaled(const char *s, const char *units, const uint64_t *factors, uint64_t *out)
{
	uint64_t v;
	if (whole(&s, &v))
		return -EINVAL;
	if (!*s && v == 0) {
		*out = 0;
		return 0;
	}
	const char *unit = *s ? strchr(units, *s) : NULL;
	if (!*s ? units[0] != ' ' : !unit || s[1])
		return -EINVAL;
	return __builtin_mul_overflow(v, factors[unit ? unit - units : 0], out) ? -EINVAL : 0;
}

/* conf_parse_bool - true, false and their kin */
int conf_parse_bool(const struct conf_opt *o, const char *text, void *to, char *why)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
	(void)o;
	(void)why;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i]) == 0) {
			*(bool *)to = i & 1;
			return 0;
		}
	return -EINVAL;
}

/* conf_parse_number - a whole number in its range */
int conf_parse_number(const struct conf_opt *o, const char *text, void *to, char *why)
{
	uint64_t v;
	if (whole(&text, &v) || *text)
		return -EINVAL;
	if (v < o->low || v > o->high || v > UINT32_MAX)
		return conf_why(why, "must be between %" PRIu64 " and %" PRIu64, o->low, o->high);
	*(uint32_t *)to = (uint32_t)v;
	return 0;
}

/* conf_parse_factor - a number with at most three decimals, kept in thousandths */
int conf_parse_factor(const struct conf_opt *o, const char *text, void *to, char *why)
{
	uint64_t v;
	if (whole(&text, &v) || v > 1000000)
		return -EINVAL;
	v *= 1000;
	if (*text == '.') {
		uint64_t place = 100;
		for (text++; isdigit((unsigned char)*text) && place; text++, place /= 10)
			v += (uint64_t)(*text - '0') * place;
	}
	if (*text)
		return -EINVAL;
	if (v < o->low || v > o->high)
		return conf_why(why, "must be between %g and %g", (double)o->low / 1000,
		    (double)o->high / 1000);
	*(uint32_t *)to = (uint32_t)v;
	return 0;
}

/* conf_word_at - the Nth of words separated by "|": its start and length; NULL after the last */
const char *conf_word_at(const char *words, size_t n, size_t *len)
{
	for (; n; n--) {
		words = strchr(words, '|');
		if (!words)
			return NULL;
		words++;
	}
	*len = strcspn(words, "|");
	return words;
}

/* conf_parse_word - one of the words the option knows, kept as its number */
int conf_parse_word(const struct conf_opt *o, const char *text, void *to, char *why)
{
	char known[CONF_REASON_MAX] = "";
	const char *w;
	size_t len, used = 0;
	for (uint32_t i = 0; (w = conf_word_at(o->words, i, &len)); i++) {
		if (len == 0)
			continue;
		if (strlen(text) == len && memcmp(text, w, len) == 0) {
			*(uint32_t *)to = i;
			return 0;
		}
		int n = snprintf(
		    known + used, sizeof(known) - used, "%s%.*s", used ? ", " : "", (int)len, w);
		used += n > 0 && (size_t)n < sizeof(known) - used ? (size_t)n : 0;
	}
	return conf_why(why, "must be one of %s", known);
}

/* conf_size - bytes, with K, M or G for powers of 1024 */
int conf_size(const char *text, uint64_t *bytes)
{
	static const uint64_t factors[] = {1, 1 << 10, 1 << 20, 1 << 30};
	return scaled(text, " KMG", factors, bytes);
}

/* conf_duration - milliseconds from s, m, h or d */
int conf_duration(const char *text, uint64_t *ms)
{
	static const uint64_t factors[] = {1000, 60000, 3600000, 86400000};
	return scaled(text, "smhd", factors, ms);
}

/* conf_parse_size - within the option's range */
int conf_parse_size(const struct conf_opt *o, const char *text, void *to, char *why)
{
	uint64_t v;
	if (conf_size(text, &v))
		return -EINVAL;
	if (v < o->low || v > o->high)
		return conf_why(
		    why, "must be between %" PRIu64 " and %" PRIu64 " bytes", o->low, o->high);
	*(uint64_t *)to = v;
	return 0;
}

/* conf_parse_time - within the option's range */
int conf_parse_time(const struct conf_opt *o, const char *text, void *to, char *why)
{
	uint64_t v;
	if (conf_duration(text, &v))
		return -EINVAL;
	if (v < o->low || v > o->high)
		return conf_why(why, "must be between %" PRIu64 " and %" PRIu64 " seconds",
		    o->low / 1000, o->high / 1000);
	*(uint64_t *)to = v;
	return 0;
}

/* conf_parse_rate - so many in a second, minute, hour or day, or none */
int conf_parse_rate(const struct conf_opt *o, const char *text, void *to, char *why)
{
	static const char units[] = "smhd";
	static const uint32_t periods[] = {1000, 60000, 3600000, 86400000};
	struct conf_rate *rate = to;
	uint64_t v;
	(void)o;
	if (strcmp(text, "none") == 0) {
		*rate = (struct conf_rate){0};
		return 0;
	}
	if (whole(&text, &v) || text[0] != '/' || !text[1] || text[2] || !strchr(units, text[1]))
		return -EINVAL;
	if (v < 1 || v > 1000000000)
		return conf_why(why, "must be between 1 and 1000000000, or none");
	rate->count = (uint32_t)v;
	rate->period = periods[strchr(units, text[1]) - units];
	return 0;
}

/* conf_keep - keeps a copy of a text that was found good */
int conf_keep(const char *text, void *to)
{
	char *copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	*(char **)to = copy;
	return 0;
}

/* conf_parse_path - an absolute path, or "" where it may be */
int conf_parse_path(const struct conf_opt *o, const char *text, void *to, char *why)
{
	bool list = conf_value_is_list(o);
	if (*text == '/' ? false : *text || list || o->low)
		return -EINVAL;
	if (o->high && !list && strlen(text) > o->high)
		return conf_why(why, "must not be longer than %" PRIu64 " bytes", o->high);
	return conf_keep(text, to);
}

/* conf_parse_users - a file, or Dovecot's socket */
int conf_parse_users(const struct conf_opt *o, const char *text, void *to, char *why)
{
	size_t prefix = strlen(CONF_DOVECOT);
	(void)o;
	if (strncmp(text, CONF_DOVECOT, prefix) != 0)
		return *text == '/' ? conf_keep(text, to) : -EINVAL;
	if (text[prefix] != '/')
		return conf_why(why, "needs an absolute path behind " CONF_DOVECOT);
	if (strlen(text + prefix) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return conf_why(why, "has a path that is too long for a socket");
	return conf_keep(text, to);
}
