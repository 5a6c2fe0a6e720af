/* SPDX-License-Identifier: ISC */
#include "cli/letter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* is_plain - no control character, a length that may be */
static bool is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return len <= LETTER_ADDRESS_MAX;
}

/* domain_for - what an address lacks: "@origin", or nothing */
static int domain_for(const char *address, size_t len, const char *origin)
{
	return len > 0 && *origin && !memchr(address, '@', len);
}

/* letter_add - one more recipient */
int letter_add(struct letter *l, const char *address, size_t len, const char *origin)
{
	bool bare = domain_for(address, len, origin);
	size_t size = len + (bare ? strlen(origin) + 1 : 0);
	struct rcpt *r, *same;

	if (len == 0 || !is_plain(address, len))
		return -EINVAL;
	if (l->nrcpts >= LETTER_RCPTS_MAX)
		return -E2BIG;
	r = calloc(1, sizeof(*r) + size + 1);
	if (!r)
		return -ENOMEM;
	snprintf(r->address, size + 1, "%.*s%s%s", (int)len, address, bare ? "@" : "",
	    bare ? origin : "");
	HASH_FIND(hh, l->by_address, r->address, strlen(r->address), same);
	if (same) {
		free(r);
		return 0;
	}
	HASH_ADD_KEYPTR(hh, l->by_address, r->address, strlen(r->address), r);
	if (!hash_added(r)) {
		free(r);
		return -ENOMEM;
	}
	DL_APPEND(l->rcpts, r);
	l->nrcpts++;
	return 0;
}

/* letter_from - the sender */
int letter_from(struct letter *l, const char *address, size_t len, const char *origin)
{
	if (len >= 2 && address[0] == '<' && address[len - 1] == '>') {
		address++;
		len -= 2;
	}
	bool bare = domain_for(address, len, origin);
	char *text;

	if (!is_plain(address, len))
		return -EINVAL;
	if (asprintf(&text, "%.*s%s%s", (int)len, address, bare ? "@" : "", bare ? origin : "") < 0)
		return -ENOMEM;
	free(l->sender);
	l->sender = text;
	return 0;
}

/* letter_count - recipients in a state */
size_t letter_count(const struct letter *l, enum rcpt_state state)
{
	const struct rcpt *r;
	size_t n = 0;

	DL_FOREACH (l->rcpts, r)
		n += r->state == state;
	return n;
}

/* letter_move - from one state to another */
void letter_move(struct letter *l, enum rcpt_state from, enum rcpt_state to)
{
	struct rcpt *r;

	DL_FOREACH (l->rcpts, r)
		if (r->state == from)
			r->state = to;
}

/* letter_refuse - one; without memory its words are not kept */
void letter_refuse(struct rcpt *r, const char *reply)
{
	r->state = RCPT_REFUSED;
	free(r->reply);
	r->reply = strdup(reply);
}

/* letter_free - all of it */
void letter_free(struct letter *l)
{
	struct rcpt *r, *next;

	HASH_CLEAR(hh, l->by_address);
	DL_FOREACH_SAFE (l->rcpts, r, next) {
		free(r->reply);
		free(r);
	}
	free(l->sender);
	*l = (struct letter){0};
}
