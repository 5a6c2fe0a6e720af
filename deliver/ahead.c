/* SPDX-License-Identifier: ISC */
#include "deliver/ahead.h"

/* on_timeout - the peer threw away what it hadn't asked for; or it is slow, or gone */
static enum ahead_verdict on_timeout(const struct pipeline *p, const struct tx *head)
{
	if (head->ahead && head->heard == head->first)
		return AHEAD_CONFUSED;
	/* A first envelope that was answered in part: perhaps. */
	if (!p->carried && head->heard > head->first && !head->data_ok)
		return AHEAD_LOST;
	return AHEAD_UNKNOWN;
}

enum ahead_verdict ahead_judge(const struct pipeline *p, bool timed_out)
{
	const struct tx *head = &p->tx[p->head];
	if (p->confused)
		return AHEAD_CONFUSED;
	if (p->fine)
		return AHEAD_FINE;
	if (!p->count || p->goodbye || p->mode == PIPELINE_STEP || head->heard == head->sent)
		return AHEAD_UNKNOWN;
	if (timed_out)
		return on_timeout(p, head);
	return p->count > 1 || head->ahead ? AHEAD_LOST : AHEAD_UNKNOWN;
}
