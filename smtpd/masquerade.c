/* SPDX-License-Identifier: ISC */
/*
 * The entries are texts that conf has checked: local@domain=local@domain. There are few of them and
 * most configurations have none, so they are taken apart each time.
 */
#include "smtpd/masquerade.h"

#include <string.h>

#include "lib/str.h"

struct half {
	const char *local, *domain;
	size_t local_len, domain_len;
};

/* take_half - local@domain up to `end` */
static struct half take_half(const char *text, const char *at, const char *end)
{
	return (struct half){text, at + 1, (size_t)(at - text), (size_t)(end - at - 1)};
}

/* take_entry - both halves; an entry that isn't one (conf lets none pass) fits nothing */
static bool take_entry(const char *entry, struct half *pattern, struct half *becomes)
{
	const char *at = strchr(entry, '@'); /* a local part may have a "=" */
	const char *eq = at ? strchr(at, '=') : NULL;
	const char *at2 = eq ? strchr(eq, '@') : NULL;

	if (!at2)
		return false;
	*pattern = take_half(entry, at, eq);
	*becomes = take_half(eq + 1, at2, at2 + strlen(at2));
	return true;
}

/* any - is it "*"? */
static bool any(const char *text, size_t len)
{
	return len == 1 && *text == '*';
}

/* domain_rank - how well a pattern's domain fits: 0 not, 1 "*", by length ".domain", then a name */
static size_t domain_rank(const struct half *pattern, const struct half *a)
{
	const char *p = pattern->domain;
	size_t n = pattern->domain_len;

	if (any(p, n))
		return 1;
	if (*p != '.')
		return str_eq_ci(p, n, a->domain, a->domain_len) ? ADDR_DOMAIN_MAX + 2 : 0;
	if (a->domain_len <= n)
		return 0;
	return str_eq_ci(p, n, a->domain + a->domain_len - n, n) ? n : 0;
}

/* rank - how well a pattern fits; 0: not */
static size_t rank(const struct half *pattern, const struct half *a)
{
	size_t domain = domain_rank(pattern, a);

	if (any(pattern->local, pattern->local_len))
		return domain;
	if (!domain || !str_eq_ci(pattern->local, pattern->local_len, a->local, a->local_len))
		return 0;
	return domain + 2 * ADDR_DOMAIN_MAX;
}

/* build - what the address becomes; false: no address */
static bool build(const struct half *becomes, const struct half *a, char out[ADDR_SIZE])
{
	bool keep = any(becomes->local, becomes->local_len);
	const char *local = keep ? a->local : becomes->local;
	size_t n = keep ? a->local_len : becomes->local_len;
	char text[ADDR_SIZE];
	struct addr parsed;

	if (n + 1 + becomes->domain_len > ADDR_TEXT_MAX)
		return false;
	memcpy(text, local, n);
	text[n] = '@';
	memcpy(text + n + 1, becomes->domain, becomes->domain_len);
	return addr_mailbox(text, n + 1 + becomes->domain_len, ADDR_LOOSE | ADDR_UTF8, &parsed) ==
		   0 &&
	       addr_normal(&parsed, out, ADDR_SIZE) > 0;
}

/* masquerade - the best entry */
bool masquerade(
    const struct conf_list *entries, const char *address, size_t len, char out[ADDR_SIZE])
{
	const char *at = entries->n ? memrchr(address, '@', len) : NULL;
	struct half pattern, becomes, best;
	size_t most = 0;

	if (!at)
		return false;
	struct half a = take_half(address, at, address + len);
	for (size_t i = 0; i < entries->n; i++) {
		if (!take_entry(entries->v[i], &pattern, &becomes))
			continue;
		size_t r = rank(&pattern, &a);
		if (r > most) {
			most = r;
			best = becomes;
		}
	}
	return most && build(&best, &a, out) &&
	       (strlen(out) != len || memcmp(out, address, len) != 0);
}
