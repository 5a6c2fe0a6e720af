/* SPDX-License-Identifier: ISC */
/*
 * <postmaster> stays without a domain: it means the postmaster of this host, whatever `origin` is
 * (RFC 5321 §4.5.1). Any other bare address is one of `origin`.
 */
#include "smtpd/address.h"

#include <errno.h>
#include <string.h>

#include "lib/idna.h"
#include "lib/str.h"

/* complete - add origin; 0 or -ENAMETOOLONG */
static int complete(struct session *s, size_t len)
{
	const char *origin = s->conf->origin;
	size_t n = strlen(origin);

	if (len + 1 + n >= sizeof(s->cmd.address))
		return -ENAMETOOLONG;
	s->cmd.address[len] = '@';
	memcpy(s->cmd.address + len + 1, origin, n + 1);
	s->cmd.domain = s->cmd.address + len + 1;
	return 0;
}

/* to_ascii - the domain behind an address of `local` bytes and @ as the DNS has it; 0 or -E... */
static int to_ascii(struct session *s, size_t local)
{
	char domain[ADDR_DOMAIN_MAX + 1];
	char *at = s->cmd.address + local + 1;
	int len = idna_to_ascii(at, strlen(at), domain, sizeof(domain));

	if (len < 0)
		return len;
	return str_copy(at, sizeof(s->cmd.address) - local - 1, domain) ? -ENAMETOOLONG : 0;
}

/* not_ascii - is there a byte over 127? */
static bool not_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 0x7f)
			return true;
	return false;
}

/* take - from the parsed address into s->cmd */
static int take(struct session *s, const struct addr *a)
{
	int len = addr_normal(a, s->cmd.address, sizeof(s->cmd.address));

	s->cmd.domain = NULL;
	s->cmd.local[0] = '\0';
	s->cmd.utf8 = a->eightbit;
	s->cmd.utf8_local = false;
	if (len <= 0) /* the null path is "" */
		return len;
	int error = addr_local_plain(a, s->cmd.local, sizeof(s->cmd.local));
	if (error < 0)
		return error;
	s->cmd.utf8_local = not_ascii(s->cmd.local);
	if (a->domain_len) {
		s->cmd.domain = s->cmd.address + (size_t)len - a->domain_len;
		return not_ascii(s->cmd.domain) ? to_ascii(s, (size_t)len - a->domain_len - 1) : 0;
	}
	if (str_is_ci(s->cmd.address, (size_t)len, "postmaster"))
		return 0;
	return complete(s, (size_t)len);
}

/* address_check - keyword, path */
struct verdict address_check(
    struct session *s, struct args args, const char *keyword, unsigned flags, const char **pos)
{
	bool sender = keyword[0] == 'F';
	size_t n = strlen(keyword), used;
	struct addr addr;

	if (!str_starts_ci(args.text, args.len, keyword))
		return sender ? verdict_reply(501, "5.5.4", "Syntax: MAIL FROM:<address>")
			      : verdict_reply(501, "5.5.4", "Syntax: RCPT TO:<address>");
	int error = addr_path(args.text + n, args.len - n, flags, &addr, &used);
	if (!error)
		error = take(s, &addr);
	if (error) {
		s->cmd.address[0] = '\0';
		if (error == -ENAMETOOLONG)
			return verdict_reply(501, sender ? "5.1.7" : "5.1.3", "Address too long");
		if (error == -EILSEQ)
			return verdict_reply(553, "5.6.7", "Address with bytes that are not ASCII");
		return verdict_reply(501, sender ? "5.1.7" : "5.1.3", "Bad address syntax");
	}
	*pos = args.text + n + used;
	return (struct verdict){0};
}
