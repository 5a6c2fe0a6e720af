/* SPDX-License-Identifier: ISC */
/*
 * A cursor over the text and one function a rule of the grammar; each returns 0 or -E... and leaves
 * the cursor behind what it took. Bytes are classified by one table.
 */
#include "lib/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>

#include "lib/str.h"

struct cursor {
	const char *p;
	const char *end;
	unsigned flags;
	bool eightbit;
};

enum { ATEXT = 1, LDH = 2, QTEXT = 4 };

/* RFC 5322 atext; letters, digits, hyphen (and the underscore that hosts have); RFC 5321 qtextSMTP
 */
static const uint8_t class[256] = {
    [' '] = QTEXT,
    ['!'] = ATEXT | QTEXT,
    ['#' ... '\''] = ATEXT | QTEXT,
    ['('] = QTEXT,
    [')'] = QTEXT,
    ['*'] = ATEXT | QTEXT,
    ['+'] = ATEXT | QTEXT,
    [','] = QTEXT,
    ['-'] = ATEXT | LDH | QTEXT,
    ['.'] = QTEXT,
    ['/'] = ATEXT | QTEXT,
    ['0' ... '9'] = ATEXT | LDH | QTEXT,
    [':' ... '<'] = QTEXT,
    ['='] = ATEXT | QTEXT,
    ['>'] = QTEXT,
    ['?'] = ATEXT | QTEXT,
    ['@'] = QTEXT,
    ['A' ... 'Z'] = ATEXT | LDH | QTEXT,
    ['['] = QTEXT,
    [']'] = QTEXT,
    ['^'] = ATEXT | QTEXT,
    ['_'] = ATEXT | LDH | QTEXT,
    ['`'] = ATEXT | QTEXT,
    ['a' ... 'z'] = ATEXT | LDH | QTEXT,
    ['{' ... '~'] = ATEXT | QTEXT,
};

/* at - is the cursor at this byte? */
static bool at(const struct cursor *c, char byte)
{
	return c->p < c->end && *c->p == byte;
}

/*
 * run - take as many bytes of a class as there are, UTF-8 included where it is allowed. -EILSEQ for
 * a byte over 127 that isn't.
 */
static int run(struct cursor *c, unsigned of)
{
	for (; c->p < c->end; c->p++) {
		uint8_t byte = (uint8_t)*c->p;
		if (class[byte] & of)
			continue;
		if (byte < 0x80)
			break;
		size_t len = str_utf8(c->p, (size_t)(c->end - c->p));
		if (!(c->flags & ADDR_UTF8) || len == 0)
			return -EILSEQ;
		c->eightbit = true;
		c->p += len - 1;
	}
	return 0;
}

/* dot_string - a local part without quotes */
static int dot_string(struct cursor *c)
{
	for (;;) {
		const char *from = c->p;
		int e = run(c, ATEXT);
		if (e)
			return e;
		if (c->p == from && !(c->flags & ADDR_LOOSE))
			return -EINVAL;
		if (!at(c, '.'))
			return 0;
		c->p++;
	}
}

/* quoted_string - a local part in quotes */
static int quoted_string(struct cursor *c)
{
	c->p++;
	for (;;) {
		int e = run(c, QTEXT);
		if (e)
			return e;
		if (at(c, '"')) {
			c->p++;
			return 0;
		}
		if (!at(c, '\\') || c->end - c->p < 2)
			return -EINVAL;
		/* quoted-pairSMTP: backslash and a printable ASCII character. */
		if (c->p[1] < ' ' || c->p[1] > '~')
			return -EINVAL;
		c->p += 2;
	}
}

/* domain_name - labels with dots between them */
static int domain_name(struct cursor *c)
{
	const char *start = c->p;
	for (;;) {
		const char *from = c->p;
		bool before = c->eightbit;
		c->eightbit = false;
		int e = run(c, LDH);
		bool unicode = c->eightbit;
		c->eightbit |= before;
		if (e)
			return e;
		if (c->p == from || *from == '-' || c->p[-1] == '-')
			return -EINVAL;
		/* A label in UTF-8 is shorter or longer in the DNS; only IDNA can tell. */
		if (!unicode && c->p - from > ADDR_LABEL_MAX)
			return -ENAMETOOLONG;
		if (!at(c, '.'))
			break;
		c->p++;
	}
	return c->p - start > ADDR_DOMAIN_MAX ? -ENAMETOOLONG : 0;
}

/* literal - [1.2.3.4] or [IPv6:...] (RFC 5321 4.1.3); no other kind is registered */
static int literal(struct cursor *c)
{
	char host[INET6_ADDRSTRLEN];
	unsigned char ip[sizeof(struct in6_addr)];
	const char *from = c->p + 1;
	const char *close = memchr(from, ']', (size_t)(c->end - from));
	if (!close)
		return -EINVAL;
	size_t n = (size_t)(close - from);
	bool six = str_starts_ci(from, n, "IPv6:");
	if (str_copy_n(host, sizeof(host), from + (six ? 5 : 0), n - (six ? 5 : 0)))
		return -EINVAL;
	if (inet_pton(six ? AF_INET6 : AF_INET, host, ip) != 1)
		return -EINVAL;
	c->p = close + 1;
	return 0;
}

/* route - skip the source route in front of a mailbox: @a,@b: */
static int route(struct cursor *c)
{
	while (at(c, '@')) {
		c->p++;
		int e = domain_name(c);
		if (e)
			return e;
		if (at(c, ':')) {
			c->p++;
			return 0;
		}
		if (!at(c, ','))
			return -EINVAL;
		c->p++;
	}
	return -EINVAL;
}

/* mailbox - local part and domain into *out */
static int mailbox(struct cursor *c, struct addr *out)
{
	*out = (struct addr){.text = c->p, .local = c->p, .domain = c->p, .quoted = at(c, '"')};
	int e = out->quoted ? quoted_string(c) : dot_string(c);
	if (e)
		return e;
	out->local_len = (size_t)(c->p - out->local);
	if (out->local_len == 0)
		return -EINVAL;
	if (at(c, '@')) {
		out->domain = ++c->p;
		out->literal = at(c, '[');
		e = out->literal ? literal(c) : domain_name(c);
		if (e)
			return e;
		out->domain_len = (size_t)(c->p - out->domain);
	} else {
		out->domain = c->p;
		if (!(c->flags & ADDR_LOCAL) &&
		    !str_is_ci(out->local, out->local_len, "postmaster"))
			return -EINVAL;
	}
	out->len = (size_t)(c->p - out->text);
	out->eightbit = c->eightbit;
	return out->len > ADDR_TEXT_MAX ? -ENAMETOOLONG : 0;
}

/* bracketed - what is inside angle brackets, and the closing one */
static int bracketed(struct cursor *c, struct addr *out)
{
	const char *open = c->p++;
	if (at(c, '>')) {
		if (!(c->flags & ADDR_NULL))
			return -EINVAL;
		*out = (struct addr){.text = c->p, .local = c->p, .domain = c->p};
		c->p++;
		return 0;
	}
	int e = at(c, '@') ? route(c) : 0;
	if (e == 0)
		e = mailbox(c, out);
	if (e)
		return e;
	if (!at(c, '>'))
		return -EINVAL;
	c->p++;
	return c->p - open > ADDR_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* addr_path - read the path at the front of a text */
int addr_path(const char *text, size_t n, unsigned flags, struct addr *out, size_t *used)
{
	struct cursor c = {.p = text, .end = text + n, .flags = flags};
	int e;
	*out = (struct addr){.text = "", .local = "", .domain = ""};
	while ((flags & ADDR_LOOSE) && at(&c, ' '))
		c.p++;
	if (at(&c, '<'))
		e = bracketed(&c, out);
	else if (flags & ADDR_LOOSE)
		e = mailbox(&c, out);
	else
		e = -EINVAL;
	*used = (size_t)(c.p - text);
	return e;
}

/* addr_mailbox - read a whole text as an address */
int addr_mailbox(const char *text, size_t n, unsigned flags, struct addr *out)
{
	struct cursor c = {.p = text, .end = text + n, .flags = flags};
	if (n == 0) {
		*out = (struct addr){.text = "", .local = "", .domain = ""};
		return flags & ADDR_NULL ? 0 : -EINVAL;
	}
	int e = mailbox(&c, out);
	return e ? e : c.p == c.end ? 0 : -EINVAL;
}

/* addr_check_domain - is this a domain? */
int addr_check_domain(const char *text, size_t n, bool literals)
{
	struct cursor c = {.p = text, .end = text + n, .flags = ADDR_UTF8};
	int e = literals && at(&c, '[') ? literal(&c) : domain_name(&c);
	return e ? e : c.p == c.end ? 0 : -EINVAL;
}

/* addr_local_plain - the local part without quotes */
int addr_local_plain(const struct addr *a, char *out, size_t size)
{
	size_t n = 0;
	const char *p = a->local + a->quoted, *end = a->local + a->local_len - a->quoted;
	if (size == 0 || size > INT_MAX)
		return -ENAMETOOLONG;
	for (; p < end; p++) {
		if (a->quoted && *p == '\\')
			p++;
		if (n + 1 == size)
			return -ENAMETOOLONG;
		out[n++] = *p;
	}
	out[n] = '\0';
	return (int)n;
}

/* needs_quotes - can't these bytes be a local part as they are? -EINVAL if not even in quotes */
static int needs_quotes(const char *plain, size_t n)
{
	bool quotes = n == 0 || plain[0] == '.' || plain[n - 1] == '.';
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = (uint8_t)plain[i];
		if (byte < ' ' || byte == 0x7f)
			return -EINVAL;
		if (byte == '.')
			quotes |= i > 0 && plain[i - 1] == '.';
		else
			quotes |= byte < 0x80 && !(class[byte] & ATEXT);
	}
	return quotes;
}

/* addr_local_quote - bytes as a local part, in quotes where it needs them */
int addr_local_quote(const char *plain, size_t n, char *out, size_t size)
{
	int quotes = needs_quotes(plain, n);
	if (quotes < 0)
		return quotes;
	size_t o = 0;
	if (size < n + 1 + 2 * (size_t)quotes || size > INT_MAX)
		return -ENAMETOOLONG;
	if (quotes)
		out[o++] = '"';
	for (size_t i = 0; i < n; i++) {
		bool pair = plain[i] == '"' || plain[i] == '\\';
		if (size - o < (size_t)pair + 2 + (size_t)quotes)
			return -ENAMETOOLONG;
		if (pair)
			out[o++] = '\\';
		out[o++] = plain[i];
	}
	if (quotes)
		out[o++] = '"';
	out[o] = '\0';
	return (int)o;
}

/* addr_normal - the normal form of an address */
int addr_normal(const struct addr *a, char *out, size_t size)
{
	char plain[ADDR_PATH_MAX];
	size_t n = a->local_len;
	if (size == 0)
		return -ENAMETOOLONG;
	if (a->quoted) {
		int len = addr_local_plain(a, plain, sizeof(plain));
		if (len >= 0)
			len = addr_local_quote(plain, (size_t)len, out, size);
		if (len < 0)
			return len;
		n = (size_t)len;
	} else if (n < size) {
		memcpy(out, a->local, n);
	}
	size_t total = n + (a->domain_len ? a->domain_len + 1 : 0);
	if (total >= size)
		return -ENAMETOOLONG;
	if (a->domain_len) {
		out[n] = '@';
		str_lower(out + n + 1, a->domain, a->domain_len);
	}
	out[total] = '\0';
	return (int)total;
}

/* addr_equal - are these one address? */
bool addr_equal(const struct addr *a, const struct addr *b)
{
	char x[ADDR_PATH_MAX], y[ADDR_PATH_MAX];
	if (!str_eq_ci(a->domain, a->domain_len, b->domain, b->domain_len))
		return false;
	if (!a->quoted && !b->quoted)
		return a->local_len == b->local_len && !memcmp(a->local, b->local, a->local_len);
	int n = addr_local_plain(a, x, sizeof(x)), m = addr_local_plain(b, y, sizeof(y));
	return n >= 0 && n == m && !memcmp(x, y, (size_t)n);
}

/* unquote - the local part as it is meant: "a\"b" without quotes and backslashes */
static void unquote(const char *text, size_t len, char *out, size_t size)
{
	size_t n = 0;
	bool quoted = len >= 2 && text[0] == '"' && text[len - 1] == '"';
	for (size_t i = quoted; i < len - quoted && n + 1 < size; i++) {
		if (quoted && text[i] == '\\' && i + 1 < len - 1)
			i++;
		out[n++] = text[i];
	}
	out[n] = '\0';
}

/* addr_split - local part and domain */
void addr_split(const char *address, char *local, char *domain, size_t size)
{
	const char *at = strrchr(address, '@');
	size_t len = at ? (size_t)(at - address) : strlen(address);
	domain[0] = '\0';
	if (at && str_copy(domain, size, at + 1) == 0)
		str_lower(domain, domain, strlen(domain));
	unquote(address, len, local, size);
}
