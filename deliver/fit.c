/* SPDX-License-Identifier: ISC */
#include "deliver/fit.h"

#include <errno.h>

#include "lib/envelope.h"

/* too_large - the peer said what it takes: no need to send it (RFC 1870 §6.2) */
static bool too_large(const struct ehlo *peer, struct job *job)
{
	struct words words;
	unsigned long long size = job->plain_len + job->late_len;
	if (!peer->size_max || size <= peer->size_max)
		return false;
	words_set(&words, 552, "5.3.4", "message size %llu exceeds the next hop's limit of %llu",
	    size, (unsigned long long)peer->size_max);
	job_decide_rest(job, OUT_FAILED, &words);
	return true;
}

/* needs_utf8 - its addresses or header can't be said to this peer (RFC 6531 §3.2) */
static bool needs_utf8(const struct ehlo *peer, struct job *job)
{
	struct words words;
	if (peer->smtputf8 || !(job->flags & ENVF_SMTPUTF8))
		return false;
	words_set(
	    &words, 553, "5.6.7", "the message needs SMTPUTF8, which the next hop does not offer");
	job_decide_rest(job, OUT_FAILED, &words);
	return true;
}

/* look - at what has to be changed (RFC 3463: 5.6.3 conversion required but not supported) */
static int look(struct job *job, struct downgrade **down)
{
	struct words words;
	if (!*down)
		*down = downgrade_new(job);
	if (!*down)
		return -ENOMEM;
	int rc = downgrade_look(*down);
	if (rc != -EILSEQ)
		return rc;
	words_set(&words, 554, "5.6.3",
	    "the next hop does not offer 8BITMIME, and the message can't be converted: %s",
	    downgrade_why(*down));
	job_decide_rest(job, OUT_FAILED, &words);
	return FIT_REFUSED;
}

int fit_job(const struct ehlo *peer, struct job *job, struct downgrade **down)
{
	if (!*down && (too_large(peer, job) || needs_utf8(peer, job)))
		return FIT_REFUSED;
	if (peer->eightbit || !(job->flags & ENVF_8BIT))
		return 0;
	return look(job, down);
}
