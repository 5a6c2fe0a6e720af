/* SPDX-License-Identifier: ISC */
/* Nanoseconds, for a third of a second a turn is no whole number of anything larger. */
#include "qmgr/rate.h"

#define MS INT64_C(1000000) /* nanoseconds */

/* step - between two of them */
static int64_t step(const struct conf_rate *limit)
{
	return (int64_t)limit->period * 1000000 / limit->count;
}

/* rate_wait_us - rounded up */
int64_t rate_wait_us(const struct rate *r, const struct conf_rate *limit, int64_t now_us)
{
	int64_t wait = r->next_ns - now_us * 1000;
	if (!limit->count || wait <= 0)
		return 0;
	return (wait + 999) / 1000;
}

/* missed - turns that went by: owed to who waited for them */
static void missed(struct rate *r, int64_t late, int64_t now)
{
	r->debt_ns = r->waits ? r->debt_ns + late : 0;
	if (r->debt_ns > RATE_DEBT_MS * MS)
		r->debt_ns = RATE_DEBT_MS * MS;
	r->next_ns = now;
}

/* rate_take - from the due time on, or from now if that lies too far back */
void rate_take(struct rate *r, const struct conf_rate *limit, int64_t now_us)
{
	int64_t now = now_us * 1000;
	if (!limit->count)
		return;
	if (r->next_ns < now - RATE_LATE_MS * MS)
		missed(r, now - r->next_ns, now);
	int64_t ns = step(limit);
	if (r->debt_ns > 0) {
		ns /= 2;
		r->debt_ns -= ns;
	}
	r->next_ns += ns;
	r->waits = false;
}

/* rate_back - the next one may go that much earlier */
void rate_back(struct rate *r, const struct conf_rate *limit)
{
	if (limit->count)
		r->next_ns -= step(limit);
}
