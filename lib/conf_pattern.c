/* SPDX-License-Identifier: ISC */
/*
 * Names and patterns: the syntax of domains, users, addresses and what stands for many of them.
 * They are kept as written; conf_lookup.c compares them.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/conf_parse.h"
#include "lib/dnslist.h"

#define DOMAIN_MAX 253
#define LABEL_MAX  63
#define LOCAL_MAX  256 /* RFC 5321 4.5.3.1.1 says 64; we take what a path allows */
#define NAME_MAX_  64

/* conf_domain_valid - labels of letters, digits, hyphens and underscores */
bool conf_domain_valid(const char *s, size_t len)
{
	size_t label = 0;
	bool digits = true;
	if (len == 0 || len > DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)s[i];
		if (ch == '.') {
			if (label == 0 || s[i - 1] == '-')
				return false;
			label = 0;
			digits = true;
			continue;
		}
		if (!(isascii(ch) && (isalnum(ch) || ch == '-' || ch == '_')))
			return false;
		if ((label == 0 && ch == '-') || ++label > LABEL_MAX)
			return false;
		digits = digits && isdigit(ch);
	}
	/* a last label of digits makes it look like an address (RFC 1123 2.1) */
	return label > 0 && s[len - 1] != '-' && !digits;
}

/* domain_or_below - "domain" or ".domain" */
static bool domain_or_below(const char *s)
{
	s += *s == '.';
	return conf_domain_valid(s, strlen(s));
}

/* literal - an address literal (RFC 5321 4.1.3) */
static bool literal(const char *s)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	size_t n = strlen(s);
	if (n < 2 || s[0] != '[' || s[n - 1] != ']')
		return false;
	int family = strncasecmp(s + 1, "IPv6:", 5) == 0 ? AF_INET6 : AF_INET;
	size_t skip = family == AF_INET6 ? 6 : 1;
	if (n - skip - 1 >= sizeof(text))
		return false;
	memcpy(text, s + skip, n - skip - 1);
	text[n - skip - 1] = '\0';
	return inet_pton(family, text, bytes) == 1;
}

/* local_valid - a local part as it may stand in a pattern: no quoting, so no specials either */
static bool local_valid(const char *s, size_t len)
{
	if (len == 0 || len > LOCAL_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] <= ' ' || strchr("@\"\\<>(),;:[]", s[i]))
			return false;
	return true;
}

/* conf_parse_domain - one domain, or "" */
int conf_parse_domain(const struct conf_opt *o, const char *text, void *to, char *why)
{
	(void)why;
	if (*text ? !conf_domain_valid(text, strlen(text)) : o->low)
		return -EINVAL;
	return conf_keep(text, to);
}

/* conf_parse_domains - a domain, all below one, or an address literal */
int conf_parse_domains(const struct conf_opt *o, const char *text, void *to, char *why)
{
	(void)o;
	(void)why;
	return domain_or_below(text) || literal(text) ? conf_keep(text, to) : -EINVAL;
}

/* conf_parse_user - a name: of a user, a credential, a source */
int conf_parse_user(const struct conf_opt *o, const char *text, void *to, char *why)
{
	size_t n = strlen(text);
	(void)why;
	if (n > NAME_MAX_ || (n == 0 && o->low))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!isascii((unsigned char)text[i]) || !isgraph((unsigned char)text[i]))
			return -EINVAL;
	return conf_keep(text, to);
}

/* conf_parse_address - one address, or "" */
int conf_parse_address(const struct conf_opt *o, const char *text, void *to, char *why)
{
	const char *at = strrchr(text, '@');
	(void)why;
	if (*text ? !at || !local_valid(text, (size_t)(at - text)) ||
			!conf_domain_valid(at + 1, strlen(at + 1))
		  : o->low)
		return -EINVAL;
	return conf_keep(text, to);
}

/* conf_parse_rcpt - whose mail a route takes */
int conf_parse_rcpt(const struct conf_opt *o, const char *text, void *to, char *why)
{
	const char *at = strrchr(text, '@');
	(void)o;
	(void)why;
	if (at ? !local_valid(text, (size_t)(at - text)) || text[0] == '*' ||
		     !conf_domain_valid(at + 1, strlen(at + 1))
	       : strcmp(text, "*") != 0 && !domain_or_below(text))
		return -EINVAL;
	return conf_keep(text, to);
}

/* conf_parse_sender - who sent it */
int conf_parse_sender(const struct conf_opt *o, const char *text, void *to, char *why)
{
	const char *at = strrchr(text, '@');
	bool good = strcmp(text, "*") == 0 || strcmp(text, "<>") == 0;
	(void)o;
	(void)why;
	if (at && text[0] == '*')
		good = at == text + 1 && domain_or_below(at + 1);
	else if (at)
		good = local_valid(text, (size_t)(at - text)) &&
		       conf_domain_valid(at + 1, strlen(at + 1));
	return good ? conf_keep(text, to) : -EINVAL;
}

/* conf_parse_site - what a site block is for */
int conf_parse_site(const struct conf_opt *o, const char *text, void *to, char *why)
{
	char host[DOMAIN_MAX + 1];
	uint16_t port;
	(void)o;
	if (strcmp(text, "*") != 0 && !domain_or_below(text) &&
	    (text[0] != '[' || conf_hostport_parse(text, host, &port, why))) {
		why[0] = '\0';
		return -EINVAL;
	}
	return conf_keep(text, to);
}

/* conf_parse_header - a field name (RFC 5322 2.2), perhaps with the value it has to have */
int conf_parse_header(const struct conf_opt *o, const char *text, void *to, char *why)
{
	size_t n = strcspn(text, ":");
	const char *value = text[n] ? text + n + 1 : NULL;
	(void)o;
	(void)why;
	if (n == 0 || n > 77 || (value && !value[strspn(value, " ")]))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] > '~')
			return -EINVAL;
	for (const char *p = value; p && *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p == 0x7f)
			return -EINVAL;
	return conf_keep(text, to);
}

/* conf_parse_name - of a user or a listener */
int conf_parse_name(const struct conf_opt *o, const char *text, void *to, char *why)
{
	if (!text[0])
		return -EINVAL;
	return conf_parse_user(o, text, to, why);
}

/* conf_parse_admin - a user or %group */
int conf_parse_admin(const struct conf_opt *o, const char *text, void *to, char *why)
{
	if (!text[0] || (text[0] == '%' && !text[1]))
		return -EINVAL;
	return conf_parse_user(o, text, to, why);
}

/* conf_parse_masq - local@domain=local@domain, where * on the right keeps what the left matched */
int conf_parse_masq(const struct conf_opt *o, const char *text, void *to, char *why)
{
	const char *at = strchr(text, '@'); /* a local part may have a "=" */
	const char *eq = at ? strchr(at, '=') : NULL;
	const char *at2 = eq ? strchr(eq, '@') : NULL;
	(void)o;
	(void)why;
	if (!at2)
		return -EINVAL;
	const char *domain = at + 1;
	size_t n = (size_t)(eq - domain);
	bool below = n > 1 && *domain == '.';
	if (!local_valid(text, (size_t)(at - text)) ||
	    !local_valid(eq + 1, (size_t)(at2 - eq - 1)) ||
	    !conf_domain_valid(at2 + 1, strlen(at2 + 1)))
		return -EINVAL;
	if (!(n == 1 && *domain == '*') && !conf_domain_valid(domain + below, n - below))
		return -EINVAL;
	return conf_keep(text, to);
}

/* conf_parse_print - kept as 64 small hex digits */
int conf_parse_print(const struct conf_opt *o, const char *text, void *to, char *why)
{
	char hex[65];
	size_t n = 0;
	(void)o;
	(void)why;
	for (const char *p = text; *p; p++) {
		if (*p == ':' && n && n % 2 == 0 && p[1])
			continue;
		if (!isxdigit((unsigned char)*p) || n == 64)
			return -EINVAL;
		hex[n++] = (char)tolower((unsigned char)*p);
	}
	hex[n] = '\0';
	return n == 64 ? conf_keep(hex, to) : -EINVAL;
}

/* conf_parse_dnslist - an entry of policy.dnsbl */
int conf_parse_dnslist(const struct conf_opt *o, const char *text, void *to, char *why)
{
	struct dnslist list;
	(void)o;
	(void)why;
	return dnslist_parse(text, &list) ? -EINVAL : conf_keep(text, to);
}
