/* SPDX-License-Identifier: ISC */
/*
 * What a user's process says isn't trusted: it may name its own entries and its own mailbox only.
 */
#include "qmgr/member.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/child.h"
#include "lib/hash.h"
#include "lib/local.h"
#include "lib/str.h"
#include "qmgr/message.h"
#include "qmgr/route.h"

static bool by_domain;

/* member_by_domain - as keeper says */
void member_by_domain(bool yes)
{
	by_domain = yes;
}

/* is_hosted - whether the domain of an address has users of its own */
static bool is_hosted(const char *address)
{
	const char *at = strrchr(address, '@');
	return at && conf_virtual(child_self()->conf, at + 1);
}

/* member_key_of - by what an address is known: of a local one it is the name, unless domains count
 */
uint64_t member_key_of(const char *address, bool local)
{
	char key[MEMBER_SIZE];
	const char *at = strrchr(address, '@');
	size_t len = local && at && !by_domain && !is_hosted(address) ? (size_t)(at - address)
								      : strlen(address);
	if (len > sizeof(key))
		len = sizeof(key);
	str_lower(key, address, len);
	return hash_bytes(key, len) + local;
}

/* member_is_local - by the routes */
bool member_is_local(const struct rcpt *of, const char *address)
{
	char local[MEMBER_SIZE], domain[MEMBER_SIZE];
	route_split(address, local, domain, sizeof(local));
	const struct conf_route *r = conf_route(child_self()->conf, rcpt_sender(of), local, domain);
	return r->to.v[0].kind == CONF_TARGET_LOCAL;
}

/* is_here - whether a recipient is a user of this host, whatever is to be told of it by now */
static bool is_here(const struct rcpt *rcpt)
{
	return rcpt->flags & RCPTF_ENTRY || member_is_local(rcpt, rcpt->address);
}

/* member_key - what it goes by now */
uint64_t member_key(const struct rcpt *rcpt)
{
	return member_key_of(rcpt->address, is_here(rcpt));
}

/* is_name - whether the local part of an address is that name */
static bool is_name(const char *address, const char *name)
{
	char local[MEMBER_SIZE], domain[MEMBER_SIZE];
	route_split(address, local, domain, sizeof(local));
	return strcasecmp(local, name) == 0;
}

/* member_domain - behind the last @ */
const char *member_domain(const struct rcpt *rcpt)
{
	const char *at = strrchr(rcpt->address, '@');
	return at ? at + 1 : "";
}

/* is_digest - of an entry */
static bool is_digest(const char *text)
{
	return strlen(text) == LOCAL_DIGEST_LEN &&
	       strspn(text, "0123456789abcdef") == LOCAL_DIGEST_LEN;
}

/* with_domain - the address in full; false when it is too long */
static bool with_domain(const struct rcpt *of, const char *text, char out[MEMBER_SIZE])
{
	const char *domain = member_domain(of);
	/* an entry may be of an alias with a domain, which is none of its own */
	bool bare = text[0] == '|' || !strrchr(text, '@') || text[strlen(text) - 1] == '"';
	int n = bare && domain[0] ? snprintf(out, MEMBER_SIZE, "%s@%s", text, domain)
				  : snprintf(out, MEMBER_SIZE, "%s", text);
	return n > 0 && n < MEMBER_SIZE;
}

/* of_user - a member of a .forward as one of ours; false for one that may not be */
static bool of_user(
    const struct rcpt *of, const char *user, const char *text, char out[MEMBER_SIZE])
{
	char own[MEMBER_SIZE];
	int n;
	if (text[0] == '|') {
		n = snprintf(own, sizeof(own), "|%s/%s", user, text + 1);
		return is_digest(text + 1) && n > 0 && (size_t)n < sizeof(own) &&
		       with_domain(of, own, out);
	}
	text += strspn(text, "\\");
	if (!with_domain(of, text, own))
		return false;
	bool mine = is_name(own, user) && member_is_local(of, own) && !is_hosted(own);
	n = mine ? snprintf(out, MEMBER_SIZE, "\\%s", own) : snprintf(out, MEMBER_SIZE, "%s", own);
	return n > 0 && n < MEMBER_SIZE;
}

/* of_alias - a member of an alias; one that is the alias itself means the user */
static bool of_alias(const struct rcpt *of, const char *text, char out[MEMBER_SIZE])
{
	char own[MEMBER_SIZE];
	if (!with_domain(of, text, own))
		return false;
	bool itself = strchr(text, '@') &&
		      member_key_of(own, true) == member_key_of(of->address, true) &&
		      member_is_local(of, own);
	int n = snprintf(out, MEMBER_SIZE, "%s%s", itself ? "\\\\" : "", own);
	return n > 0 && n < MEMBER_SIZE;
}

/* is_clean - nothing that could end a line */
static bool is_clean(struct msg_bytes text)
{
	for (uint32_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 127)
			return false;
	return text.len > 0 && text.len <= MEMBER_ADDRESS_MAX;
}

/* member_address - as a .forward's, or an alias' */
bool member_address(
    const struct rcpt *of, const char *user, struct msg_bytes member, char out[MEMBER_SIZE])
{
	char text[MEMBER_ADDRESS_MAX + 1];
	if (!is_clean(member) || str_copy_n(text, sizeof(text), member.data, member.len) != 0)
		return false;
	return user ? of_user(of, user, text, out) : of_alias(of, text, out);
}

/* member_entry - the last separator: names may have any */
bool member_entry(const struct rcpt *rcpt, struct msg_bytes *name, struct msg_bytes *digest)
{
	const char *at = strrchr(rcpt->address, '@');
	const char *end = at ? at : rcpt->address + rcpt->address_len;
	const char *sep = end - LOCAL_DIGEST_LEN - 1;
	if (sep <= rcpt->address) {
		*name = *digest = msg_str("");
		return true;
	}
	*name = msg_bytes(rcpt->address + 1, (size_t)(sep - rcpt->address - 1));
	*digest = msg_bytes(sep + 1, LOCAL_DIGEST_LEN);
	return *sep == ':';
}

/* member_shown - for people and other hosts */
struct msg_bytes member_shown(const struct rcpt *rcpt)
{
	static char text[MEMBER_SIZE];
	struct msg_bytes name, digest;
	size_t skip = strspn(rcpt->address, "\\");
	if (!(rcpt->flags & RCPTF_ENTRY))
		return msg_bytes(rcpt->address + skip, rcpt->address_len - skip);
	const char *at = strrchr(rcpt->address, '@');
	member_entry(rcpt, &name, &digest);
	if (memchr(name.data, '@', name.len))
		at = NULL; /* an alias with a domain of its own */
	int n = snprintf(text, sizeof(text), "%.*s%s", (int)name.len, name.data, at ? at : "");
	return msg_bytes(text, n > 0 && (size_t)n < sizeof(text) ? (size_t)n : 0);
}
