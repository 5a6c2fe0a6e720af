/* SPDX-License-Identifier: ISC */
#include "master/debug.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/clock.h"
#include "lib/dialogue.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "master/place.h"

/* A rule in force. */
struct rule {
	uint8_t kind;
	int64_t until_ms;
	char name[DIALOGUE_NAME_MAX + 1];
};

static struct rule rules[DIALOGUES_MAX];
static unsigned nrules;
static struct event *timer; /* when the first one ends */

/* encode - all of them, into a static buffer */
static struct msg_bytes encode(void)
{
	static unsigned char buf[DIALOGUE_LIST_MAX];
	struct wire_out out;
	wire_out_fixed(&out, buf, sizeof(buf));
	for (unsigned i = 0; i < nrules; i++)
		dialogue_put(&out, &(const struct dialogue_rule){.kind = rules[i].kind,
				       .until_ms = rules[i].until_ms,
				       .name = msg_str(rules[i].name)});
	return msg_bytes(buf, out.len);
}

/* concerns - roles that have dialogues */
static bool concerns(const struct place *place)
{
	return place->chan &&
	       (place->service->role == ROLE_SMTPD || place->service->role == ROLE_DELIVER);
}

/* debug_send - to a new process */
void debug_send(const struct place *place)
{
	if (nrules && concerns(place))
		CHAN_SEND(place->chan, debug, .rules = encode());
}

/* tell - everybody */
static void tell(void)
{
	for (struct place *p = place_next(NULL); p; p = place_next(p))
		if (concerns(p))
			CHAN_SEND(p->chan, debug, .rules = encode());
}

/* note - in the log: who reads it should know why there is so much of it */
static void note(const struct rule *rule, const char *state)
{
	int64_t left = rule->until_ms - clock_ms();
	log_event(LOG_INFO, 0, "debug", LOG_STR("state", state),
	    LOG_STR("what", dialogue_kind_name(rule->kind)), LOG_STR("name", rule->name),
	    LOG_U64("seconds", left > 0 ? (uint64_t)(left + 999) / 1000 : 0));
}

/* take_off - the i-th one */
static void take_off(unsigned i, const char *why)
{
	note(&rules[i], why);
	rules[i] = rules[--nrules];
}

static void on_time(evutil_socket_t fd, short what, void *arg);

/* arm - for the one that ends first */
static void arm(void)
{
	int64_t first = INT64_MAX, now = clock_ms();
	if (!timer)
		timer = evtimer_new(loop_base(), on_time, NULL);
	for (unsigned i = 0; i < nrules; i++)
		if (rules[i].until_ms < first)
			first = rules[i].until_ms;
	if (!timer || !nrules) {
		if (timer)
			evtimer_del(timer);
		return; /* the roles look at the time themselves */
	}
	int64_t ms = first > now ? first - now : 0;
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	evtimer_add(timer, &tv);
}

/* on_time - a rule's time is over */
static void on_time(evutil_socket_t fd, short what, void *arg)
{
	int64_t now = clock_ms();
	(void)fd, (void)what, (void)arg;
	for (unsigned i = nrules; i-- > 0;)
		if (rules[i].until_ms <= now)
			take_off(i, "ended");
	tell();
	arm();
}

/* find - the rule of that name, or NULL */
static struct rule *find(uint8_t kind, const char *name)
{
	for (unsigned i = 0; i < nrules; i++)
		if (rules[i].kind == kind && strcasecmp(rules[i].name, name) == 0)
			return &rules[i];
	return NULL;
}

/* begin - a rule, or another end of one; NULL or why not */
static const char *begin(const struct msg_tool_debug *m, const char *name)
{
	struct rule *rule = find(m->kind, name);
	uint64_t ms = m->for_ms ? m->for_ms : DIALOGUE_FOR_MS;
	if ((m->kind != DIALOGUE_SITE && m->kind != DIALOGUE_CLIENT) || !*name)
		return "neither a site nor a client is named";
	if (ms > DIALOGUE_MOST_MS)
		return "a day is the longest time for which dialogues are logged";
	if (!rule && nrules == DIALOGUES_MAX)
		return "as many dialogues are logged already as may be at a time; "
		       "`batonctl debug --off` ends them";
	if (!rule)
		rule = &rules[nrules++];
	rule->kind = m->kind;
	rule->until_ms = clock_ms() + (int64_t)ms;
	snprintf(rule->name, sizeof(rule->name), "%s", name);
	note(rule, "begins");
	return NULL;
}

/* end - one rule, or all (DIALOGUE_ALL) */
static const char *end(const struct msg_tool_debug *m, const char *name)
{
	unsigned before = nrules;
	for (unsigned i = nrules; i-- > 0;)
		if (m->kind == DIALOGUE_ALL || &rules[i] == find(m->kind, name))
			take_off(i, "off");
	return before == nrules && m->kind != DIALOGUE_ALL ? "that isn't being logged" : NULL;
}

/* debug_asked - carry it out, answer with what holds then */
void debug_asked(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_tool_debug *m = &msg->tool_debug;
	char name[DIALOGUE_NAME_MAX + 1];
	const char *error = NULL;
	(void)arg;
	if (m->what.len > DIALOGUE_NAME_MAX)
		error = "the name is too long";
	else
		snprintf(name, sizeof(name), "%.*s", (int)m->what.len, m->what.data);
	if (!error && m->verb == DIALOGUE_BEGIN)
		error = begin(m, name);
	else if (!error && m->verb == DIALOGUE_END)
		error = end(m, name);
	if (!error && m->verb != DIALOGUE_LIST) {
		tell();
		arm();
	}
	CHAN_SEND(chan, tool_debugged, .ok = !error, .text = msg_str(error ? error : ""),
	    .rules = encode());
}
