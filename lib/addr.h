/* SPDX-License-Identifier: ISC */
/*
 * Mail addresses: the paths of MAIL and RCPT (RFC 5321 4.1.2), and addresses as people and files
 * write them. Parsing is pure: the result is slices of the text that was given and lives as long.
 * What takes an address on trust from another process parses it again with addr_mailbox().
 *
 * Addresses travel and are stored as "local@domain" text without angle brackets, the null path as
 * the empty text; addr_normal() makes two spellings of one address the same bytes. The parameters
 * behind a path are in lib/addr_param.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	ADDR_PATH_MAX = 256,               /* octets with angle brackets, RFC 5321 4.5.3.1.3 */
	ADDR_TEXT_MAX = ADDR_PATH_MAX - 2, /* "local@domain" */
	ADDR_SIZE = ADDR_TEXT_MAX + 1,     /* a buffer for one, with its NUL */
	ADDR_DOMAIN_MAX = 255,
	ADDR_LABEL_MAX = 63,
};

/* What else than a plain mailbox is taken. */
enum {
	ADDR_NULL = 1,  /* the null path <>, as the sender of notices */
	ADDR_LOCAL = 2, /* an address without domain (<postmaster> needs no flag) */
	ADDR_UTF8 = 4,  /* valid UTF-8 in local part and domain: SMTPUTF8, RFC 6531 */
	/*
	 * What clients in the field send and Postfix takes: spaces before the path, a path without
	 * angle brackets, dots at the ends of a local part or in a row.
	 */
	ADDR_LOOSE = 8,
};

struct addr {
	const char *text; /* the mailbox as written, without brackets and source route */
	size_t len;       /* 0: the null path */
	const char *local;
	size_t local_len; /* as written, with its quotes */
	const char *domain;
	size_t domain_len; /* 0: none; of an address literal with its brackets */
	bool quoted;       /* the local part is in quotes */
	bool literal;      /* the domain is [1.2.3.4] or [IPv6:...] */
	bool eightbit;     /* something is not ASCII: SMTPUTF8 is needed to pass it on */
};

/*
 * Read the path at the front of n bytes: <mailbox>, <@a,@b:mailbox> (the route is skipped, RFC 5321
 * appendix C), <> and so on as flags say. *used is set to the bytes up to and including the closing
 * bracket. Returns 0, -EINVAL (not a path), -ENAMETOOLONG (over ADDR_PATH_MAX or a part over its
 * limit), or -EILSEQ (bytes over 127 without ADDR_UTF8, or no valid UTF-8).
 */
int addr_path(const char *text, size_t n, unsigned flags, struct addr *out, size_t *used);

/* Read exactly n bytes as an address without brackets; "" only with ADDR_NULL. Errors as above. */
int addr_mailbox(const char *text, size_t n, unsigned flags, struct addr *out);

/* Is this a domain (or with literals set, also an address literal) by the rules above? 0 or -E...
 */
int addr_check_domain(const char *text, size_t n, bool literals);

/*
 * The normal form: domain in lower case, the local part in quotes only where it must be. Writes C
 * text of at most size bytes to out; returns its length or -ENAMETOOLONG.
 */
int addr_normal(const struct addr *a, char *out, size_t size);

/* One address? Local parts byte by byte after unquoting, domains without regard to case. */
bool addr_equal(const struct addr *a, const struct addr *b);

/* The local part without quotes and backslashes as C text; its length or -ENAMETOOLONG. */
int addr_local_plain(const struct addr *a, char *out, size_t size);

/*
 * The opposite: n bytes as a local part, in quotes where it needs them, as C text. Returns the
 * length, -ENAMETOOLONG, or -EINVAL for what can't be in a local part at all (control characters).
 */
int addr_local_quote(const char *plain, size_t n, char *out, size_t size);

/*
 * An address that was taken before as its local part, without quotes, and its domain in lower case
 * ("" for none), each in size bytes: for comparing with patterns.
 */
void addr_split(const char *address, char *local, char *domain, size_t size);
