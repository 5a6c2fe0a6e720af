/* SPDX-License-Identifier: ISC */
#include "master/failures.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"

struct count {
	char key[FAILURES_KEY];
	unsigned failures, waiting;
	int64_t until_ms;
	UT_hash_handle hh;
};

/* The known table's keys are a client and a user; its counts mean nothing. */
static struct count *clients, *users, *known;

/* find - what is there and not too old */
static struct count *find(struct count **table, const char *key, int64_t now)
{
	struct count *c;
	HASH_FIND_STR(*table, key, c);
	if (c && c->until_ms <= now && !c->waiting) {
		HASH_DEL(*table, c);
		free(c);
		c = NULL;
	}
	return c;
}

/* make_room - the oldest goes, unless somebody waits on it */
static void make_room(struct count **table)
{
	struct count *c, *next;
	if (HASH_COUNT(*table) < FAILURES_TABLE)
		return;
	HASH_ITER (hh, *table, c, next) {
		if (c->waiting)
			continue;
		HASH_DEL(*table, c);
		free(c);
		return;
	}
}

/* note - that key, newest in its table; NULL when there is no memory */
static struct count *note(struct count **table, const char *key, int64_t now, int64_t keep)
{
	struct count *c = find(table, key, now);
	if (c) {
		HASH_DEL(*table, c);
	} else {
		make_room(table);
		c = calloc(1, sizeof(*c));
		if (!c)
			return NULL;
		memcpy(c->key, key, strlen(key) + 1);
	}
	memset(&c->hh, 0, sizeof(c->hh));
	HASH_ADD_STR(*table, key, c);
	if (!hash_added(c)) {
		free(c);
		return NULL;
	}
	c->until_ms = now + keep;
	return c;
}

/* client_key - an address, or of IPv6 its network */
static void client_key(char *key, size_t size, const char *client)
{
	unsigned char in6[16];
	if (strchr(client, ':') && inet_pton(AF_INET6, client, in6) == 1) {
		memset(in6 + 8, 0, 8);
		if (inet_ntop(AF_INET6, in6, key, (socklen_t)size))
			return;
	}
	snprintf(key, size, "%s", client);
}

/* pair_key - of a client and a user */
static void pair_key(char *key, size_t size, const struct failures_try *t)
{
	snprintf(key, size, "%.64s %.255s", t->client, t->user);
}

/* may - is there room for one more of that key; *waits: it counts among those that wait */
static bool may(struct count **table, const char *key, int64_t now, bool *waits)
{
	struct count *c = find(table, key, now);
	*waits = c && c->failures > FAILURES_FREE;
	return !*waits || c->waiting < FAILURES_WAITING;
}

/* count_waiting - one more, or one less */
static void count_waiting(struct count **table, const char *key, bool *waits, bool more)
{
	struct count *c = NULL;
	if (*waits)
		HASH_FIND_STR(*table, key, c);
	if (c)
		c->waiting = more ? c->waiting + 1 : c->waiting - 1;
	*waits = c && more;
}

/* failures_begin - is there room for it */
bool failures_begin(struct failures_try *t, const char *client, const char *user, int64_t now)
{
	char pair[FAILURES_KEY];
	memset(t, 0, sizeof(*t));
	client_key(t->client, sizeof(t->client), client);
	snprintf(t->user, sizeof(t->user), "%.255s", user);
	pair_key(pair, sizeof(pair), t);
	if (!may(&clients, t->client, now, &t->client_waits))
		return false;
	bool room = may(&users, t->user, now, &t->user_waits);
	if (find(&known, pair, now))
		t->user_waits = false;
	else if (!room)
		return false;
	count_waiting(&clients, t->client, &t->client_waits, true);
	count_waiting(&users, t->user, &t->user_waits, true);
	return true;
}

/* delay - of a count */
static unsigned delay(const struct count *c)
{
	if (!c || c->failures <= FAILURES_FREE)
		return 0;
	unsigned n = c->failures - FAILURES_FREE - 1;
	unsigned ms = n < 8 ? FAILURES_FIRST_MS << n : FAILURES_MAX_MS;
	return ms < FAILURES_MAX_MS ? ms : FAILURES_MAX_MS;
}

/* fail - one more failure of that key; how long its answer waits */
static unsigned fail(struct count **table, const char *key, int64_t now)
{
	struct count *c = *key ? note(table, key, now, FAILURES_FORGET_MS) : NULL;
	if (c)
		c->failures++;
	return delay(c);
}

/* failures_wrong - for both */
unsigned failures_wrong(struct failures_try *t, int64_t now)
{
	unsigned a = fail(&clients, t->client, now), b = fail(&users, t->user, now);
	return a > b ? a : b;
}

/* failures_right - they know each other */
void failures_right(struct failures_try *t, int64_t now)
{
	char pair[FAILURES_KEY];
	pair_key(pair, sizeof(pair), t);
	note(&known, pair, now, FAILURES_GOOD_MS);
}

/* failures_end - room for the next */
void failures_end(struct failures_try *t)
{
	count_waiting(&clients, t->client, &t->client_waits, false);
	count_waiting(&users, t->user, &t->user_waits, false);
}

/* drop - a table */
static void drop(struct count **table)
{
	struct count *c, *next;
	HASH_ITER (hh, *table, c, next) {
		HASH_DEL(*table, c);
		free(c);
	}
}

/* failures_reset - for tests */
void failures_reset(void)
{
	drop(&clients);
	drop(&users);
	drop(&known);
}
