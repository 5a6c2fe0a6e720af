/* SPDX-License-Identifier: ISC */
/* What the instance itself is troubled by: cli/problems.h finds it, as for `batonctl status`. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/doctor.h"
#include "cli/problems.h"
#include "cli/snapshot.h"
#include "cli/style.h"
#include "cli/tool.h"

#define SITES_SAID 5 /* sites in trouble that are said one by one */

/* on_problem - worst first */
static void on_problem(const struct problem *problem, void *arg)
{
	struct doctor *d = arg;
	finding(d, problem->bad ? LEVEL_FAIL : LEVEL_WARNING, problem->next, "%s: %s",
	    problem->subject, problem->reason);
}

/* say_size - how much waits, and for how long the oldest of it */
static void say_size(struct doctor *d, const struct snapshot *s)
{
	char text[STYLE_TEXT];
	uint64_t queued = 0, oldest = 0;
	for (size_t i = 0; i < s->nsites; i++) {
		const struct query_site *site = &s->sites[i].s;
		queued += site->queued;
		if (site->oldest_ms && (!oldest || site->oldest_ms < oldest))
			oldest = site->oldest_ms;
	}
	if (!queued || !oldest || oldest > s->now_ms)
		finding(d, LEVEL_OK, "", "%" PRIu64 " recipients wait", queued);
	else
		finding(d, LEVEL_OK, "", "%" PRIu64 " recipients wait, the oldest for %s", queued,
		    style_span(text, s->now_ms - oldest));
}

/* check_queue - of a running instance */
void check_queue(struct doctor *d)
{
	struct snapshot s = {0};
	if (!d->running) {
		finding(d, LEVEL_WARNING, "start baton, then run the doctor again",
		    "not checked: baton is not running");
		return;
	}
	if (snapshot_take(&s, d->conf, NULL, true) != TOOL_OK) {
		finding(d, LEVEL_WARNING, "run the doctor as root", "it can't be looked at");
		return;
	}
	problems_find(&s, d->conf, SITES_SAID, on_problem, d);
	say_size(d, &s);
	snapshot_free(&s);
}
