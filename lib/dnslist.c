/* SPDX-License-Identifier: ISC */
/* An entry is read from its end: the score, the pattern, and what is left is the zone. */
#include "lib/dnslist.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REVERSE_V4 ".in-addr.arpa"
#define REVERSE_V6 ".ip6.arpa"

/* number - a decimal number at *s up to max, *s is moved behind it */
static int number(const char **s, uint32_t max, uint32_t *out)
{
	uint32_t v = 0;
	if (!isdigit((unsigned char)**s))
		return -EINVAL;
	for (; isdigit((unsigned char)**s); (*s)++) {
		v = v * 10 + (uint32_t)(**s - '0');
		if (v > max)
			return -EINVAL;
	}
	*out = v;
	return 0;
}

/* range - "4" or "4..7" into the next range of a part */
static int range(const char **s, struct dnslist *list, unsigned part)
{
	uint32_t low, high;
	unsigned n = list->part[part].n;
	if (n == DNSLIST_RANGES || number(s, 255, &low))
		return -EINVAL;
	high = low;
	if (strncmp(*s, "..", 2) == 0) {
		*s += 2;
		if (number(s, 255, &high) || high < low)
			return -EINVAL;
	}
	list->part[part].range[n].low = (uint8_t)low;
	list->part[part].range[n].high = (uint8_t)high;
	list->part[part].n++;
	return 0;
}

/* one_part - "2" or "[2;4..7]" */
static int one_part(const char **s, struct dnslist *list, unsigned part)
{
	uint32_t only;
	if (**s != '[') {
		if (number(s, 255, &only))
			return -EINVAL;
		list->part[part].range[0].low = list->part[part].range[0].high = (uint8_t)only;
		list->part[part].n = 1;
		return 0;
	}
	do {
		(*s)++;
		if (range(s, list, part))
			return -EINVAL;
	} while (**s == ';');
	return *(*s)++ == ']' ? 0 : -EINVAL;
}

/* pattern - four parts with dots between; *s is moved behind them */
static int pattern(const char **s, struct dnslist *list)
{
	for (unsigned i = 0; i < 4; i++)
		if ((i && *(*s)++ != '.') || one_part(s, list, i))
			return -EINVAL;
	list->filtered = true;
	return 0;
}

/* dnslist_parse - zone[=pattern][*score] */
int dnslist_parse(const char *text, struct dnslist *out)
{
	size_t len = strcspn(text, "=*");
	const char *s = text + len;

	memset(out, 0, sizeof(*out));
	out->score = 1;
	if (dns_name_clean(text, len, out->zone) || !strchr(out->zone, '.'))
		return -EINVAL;
	if (*s == '=') {
		s++;
		if (pattern(&s, out))
			return -EINVAL;
	}
	if (*s == '*') {
		s++;
		if (number(&s, DNSLIST_SCORE_MAX, &out->score) || out->score == 0)
			return -EINVAL;
	}
	return *s ? -EINVAL : 0;
}

/* in_part - is a byte in one of the part's ranges */
static bool in_part(const struct dnslist *list, unsigned part, uint8_t byte)
{
	for (unsigned i = 0; i < list->part[part].n; i++)
		if (byte >= list->part[part].range[i].low &&
		    byte <= list->part[part].range[i].high)
			return true;
	return false;
}

/* dnslist_counts - by the pattern, or what every list means */
bool dnslist_counts(const struct dnslist *list, const struct dns_addr *answer)
{
	const uint8_t *b = answer->bytes;
	if (answer->family != 4)
		return false;
	if (!list->filtered)
		return b[0] == 127 && !(b[1] == 255 && b[2] == 255) &&
		       !(b[1] == 0 && b[2] == 0 && b[3] == 1);
	for (unsigned i = 0; i < 4; i++)
		if (!in_part(list, i, b[i]))
			return false;
	return true;
}

/* dnslist_name - the reversed address, as for PTR, in front of the zone (RFC 5782 §2) */
int dnslist_name(const struct dnslist *list, const struct dns_addr *client, char out[DNS_NAME_SIZE])
{
	char reverse[DNS_NAME_SIZE];
	dns_addr_reverse(client, reverse);
	size_t tail = client->family == 4 ? sizeof(REVERSE_V4) - 1 : sizeof(REVERSE_V6) - 1;
	int n = snprintf(out, DNS_NAME_SIZE, "%.*s.%s", (int)(strlen(reverse) - tail), reverse,
	    list->zone);
	return n < 0 || n >= DNS_NAME_SIZE ? -EINVAL : 0;
}
