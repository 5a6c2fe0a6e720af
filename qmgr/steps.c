/* SPDX-License-Identifier: ISC */
#include "qmgr/steps.h"

#include "lib/log.h"
#include "qmgr/keep.h"
#include "qmgr/now.h"
#include "qmgr/site.h"

#define STEPS_MS (STEPS_DAYS * UINT64_C(86400000))

void steps_heard(struct site *site, uint8_t ahead)
{
	if (ahead == AHEAD_FINE)
		site->losses = 0;
	if (ahead == AHEAD_LOST)
		site->losses++;
	if (ahead != AHEAD_CONFUSED && site->losses < STEPS_LOSSES)
		return;
	site->losses = 0;
	/* Connections that were open when this was learned bring it again. */
	if (steps_pipelining(site) != CONF_PIPELINING_OFF)
		log_event(LOG_WARN, 0, "site", LOG_STR("site", site->name),
		    LOG_STR("pipelining", "off"),
		    LOG_STR("reason", "it loses track of commands sent ahead of its replies"),
		    LOG_U64("days", STEPS_DAYS));
	site->steps_ms = now_ms();
	keep_changed(site);
}

uint64_t steps_until(const struct site *site)
{
	uint64_t end = site->steps_ms + STEPS_MS;
	return site->steps_ms && now_ms() < end ? end : 0;
}

uint8_t steps_pipelining(const struct site *site)
{
	return steps_until(site) ? CONF_PIPELINING_OFF : site->limits.pipelining;
}
