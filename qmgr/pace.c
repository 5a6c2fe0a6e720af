/* SPDX-License-Identifier: ISC */
/*
 * For each address the time at which all that was let through would be worked off at the rate
 * (`until`): a notice may go when that is less than a burst ahead. An address whose time has passed
 * needs no memory; the list is in the order of last use.
 */
#include "qmgr/pace.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "qmgr/schedule.h"

struct pace {
	uint64_t until_us;
	bool held; /* and that was logged */
	struct pace *next, *prev;
	UT_hash_handle hh;
	char address[];
};

static struct pace *table, *list;

/* drop - nothing is known of it any more */
static void drop(struct pace *p)
{
	HASH_DELETE(hh, table, p);
	DL_DELETE(list, p);
	free(p);
}

/* sweep - a few of the longest unused, when their time has passed; all beyond the limit */
static void sweep(uint64_t now_us)
{
	for (int i = 0; i < 2 && list && list->until_us <= now_us; i++)
		drop(list);
	while (HASH_COUNT(table) > PACE_ADDRESSES)
		drop(list);
}

/* get - the one of that address, made if needed; last in the list */
static struct pace *get(const char *address)
{
	struct pace *p;
	size_t len = strlen(address);
	HASH_FIND(hh, table, address, len, p);
	if (p) {
		DL_DELETE(list, p);
		DL_APPEND(list, p);
		return p;
	}
	p = calloc(1, sizeof(*p) + len + 1);
	if (!p)
		log_fatal("out of memory");
	memcpy(p->address, address, len);
	HASH_ADD(hh, table, address, len, p);
	if (!hash_added(p))
		log_fatal("out of memory");
	DL_APPEND(list, p);
	return p;
}

/* hold - log it once, until the address had nothing to wait for again */
static void hold(struct pace *p, const struct pace_rule *rule)
{
	if (p->held)
		return;
	p->held = true;
	log_event(LOG_WARN, 0, "notices", LOG_STR("to", p->address), LOG_STR("state", "held_back"),
	    LOG_U64("burst", rule->burst), LOG_U64("rate", rule->count),
	    LOG_U64("period_ms", rule->period));
}

/* pace_slot - now, or when the rate allows */
uint64_t pace_slot(const char *address, const struct pace_rule *rule, uint64_t now, bool *again)
{
	uint64_t now_us = now * 1000;
	*again = false;
	sweep(now_us);
	if (!rule->count)
		return now;
	uint64_t step = (uint64_t)rule->period * 1000 / rule->count;
	uint64_t burst = (rule->burst - 1) * step;
	struct pace *p = get(address);
	if (p->until_us <= now_us) {
		p->until_us = now_us;
		p->held = false;
	}
	uint64_t at = p->until_us > now_us + burst ? (p->until_us - burst) / 1000 : now;
	if (at > now)
		hold(p, rule);
	if (at > now + rule->ahead) {
		*again = true;
		return now + rule->ahead + schedule_random() % (rule->ahead / 2 + 1);
	}
	p->until_us += step;
	return at;
}

/* pace_count - remembered */
unsigned pace_count(void)
{
	return HASH_COUNT(table);
}
