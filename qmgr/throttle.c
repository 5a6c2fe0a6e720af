/* SPDX-License-Identifier: ISC */
/* Additive increase, multiplicative decrease, with a memory of where it hurt. */
#include "qmgr/throttle.h"

#include <string.h>

/* throttle_init - low, doubling */
void throttle_init(struct throttle *t)
{
	*t = (struct throttle){.limit = THROTTLE_START, .slow = true};
}

/* throttle_restart - one, doubling */
void throttle_restart(struct throttle *t)
{
	t->limit = 1;
	t->slow = true;
	t->credit = t->over = t->refusals = t->strikes = 0;
}

/* cap - how far the limit may grow now */
static uint32_t cap(const struct throttle *t, uint32_t max, uint64_t now)
{
	uint32_t to = t->ceiling;
	if (!to)
		return max;
	if (now >= t->try_ms)
		to++;
	return to < max ? to : max;
}

/* lifted - whether the ceiling has just been proved wrong: more than that stood for a round */
static bool lifted(struct throttle *t, uint32_t standing)
{
	if (!t->ceiling || standing <= t->ceiling || ++t->over <= t->ceiling)
		return false;
	t->ceiling = t->over = 0;
	t->hold_ms = 0;
	return true;
}

/* throttle_accepted - grow, if the limit is what binds */
bool throttle_accepted(
    struct throttle *t, uint32_t open, uint32_t standing, uint32_t max, uint64_t now)
{
	t->refusals = t->strikes = 0;
	bool changed = lifted(t, standing);
	/* a limit that isn't reached teaches nothing; a round may double it */
	if (t->limit >= (t->slow ? 2 * open : open + 1) || t->limit >= cap(t, max, now))
		return changed;
	if (++t->credit < (t->slow ? 1 : t->limit))
		return changed;
	t->credit = 0;
	t->limit++;
	return true;
}

/* throttle_opened - within a burst of new connections some are let in after the first refusal */
void throttle_opened(struct throttle *t, uint32_t standing, uint64_t now)
{
	if (t->ceiling && t->limit <= t->ceiling && standing > t->ceiling &&
	    now < t->cut_ms + THROTTLE_CUT_MS)
		t->ceiling = standing;
}

/* at_least_one - a site always has one */
static uint32_t at_least_one(uint32_t n)
{
	return n ? n : 1;
}

/* throttle_trouble - cut, or fall back from a try */
bool throttle_trouble(struct throttle *t, enum throttle_kind kind, uint32_t standing,
    uint64_t hold_first, uint64_t hold_max, uint64_t now)
{
	bool tried = t->ceiling && t->limit > t->ceiling && standing >= t->ceiling;
	bool burst = t->cut_ms && now < t->cut_ms + THROTTLE_CUT_MS;
	uint32_t was = t->limit, ceiling = t->ceiling;
	if (t->strikes < UINT16_MAX)
		t->strikes++;
	t->slow = false;
	t->credit = t->over = 0;
	standing = at_least_one(standing);
	if (tried) {
		t->hold_ms *= 2;
		t->limit = t->ceiling;
	} else if (!burst) {
		t->ceiling = standing;
		t->limit = at_least_one(t->limit / 2);
	} else if (kind == THROTTLE_ENTRY && standing < t->ceiling) {
		t->ceiling = standing;
	}
	if (t->limit > t->ceiling)
		t->limit = t->ceiling;
	if (!burst || tried) {
		if (t->hold_ms < hold_first)
			t->hold_ms = hold_first;
		if (t->hold_ms > hold_max)
			t->hold_ms = hold_max;
		t->cut_ms = now;
		t->try_ms = now + t->hold_ms;
	}
	return t->limit != was || t->ceiling != ceiling;
}

/* says - whether the text contains a word, in any case */
static bool says(struct msg_bytes text, const char *word)
{
	size_t n = strlen(word);
	for (size_t i = 0; i + n <= text.len; i++)
		if (!strncasecmp(text.data + i, word, n))
			return true;
	return false;
}

/* starts - whether the status begins so */
static bool starts(struct msg_bytes status, const char *with)
{
	size_t n = strlen(with);
	return status.len >= n && !memcmp(status.data, with, n);
}

/* throttle_is_trouble - RFC 3463: x.3.2 not accepting, x.4.x network, x.7.x policy */
bool throttle_is_trouble(
    uint16_t code, struct msg_bytes status, struct msg_bytes text, bool *refusal)
{
	*refusal = false;
	if (code >= 500 || (code && code < 400))
		return false;
	if (says(text, "greylist") || says(text, "graylist"))
		return false;
	if (code == 421)
		return true;
	if (starts(status, "4.7.")) {
		*refusal = true;
		return true;
	}
	return starts(status, "4.4.") || (status.len == 5 && starts(status, "4.3.2"));
}
