/* SPDX-License-Identifier: ISC */
#include "master/order.h"

#include <stdlib.h>
#include <utlist.h>

#include "lib/log.h"
#include "master/place.h"

struct order {
	struct order *next;
	uint32_t request;
	struct chan *tool;
};

static struct order *orders;
static uint32_t last_request;

/* answer - the tool */
static void answer(struct chan *tool, bool ok, struct msg_bytes text)
{
	CHAN_SEND(tool, tool_controlled, .ok = ok, .text = text, .rows = msg_bytes("", 0));
}

/* keeper - the channel of the one that serves, or NULL */
static struct chan *keeper(void)
{
	for (struct place *p = place_next(NULL); p; p = place_next(p))
		if (p->service->role == ROLE_KEEPER && place_serves(p))
			return p->chan;
	return NULL;
}

/* order_aliases - to keeper */
void order_aliases(struct chan *tool)
{
	struct chan *to = keeper();
	struct order *o = to ? calloc(1, sizeof(*o)) : NULL;
	if (!o) {
		answer(tool, false, msg_str("keeper isn't running, try again later"));
		return;
	}
	o->request = ++last_request;
	o->tool = tool;
	LL_APPEND(orders, o);
	CHAN_SEND(to, aliases, .request = o->request);
}

/* order_forget - a tool has left */
void order_forget(const struct chan *tool)
{
	struct order *o, *next;
	LL_FOREACH_SAFE (orders, o, next) {
		if (o->tool != tool)
			continue;
		LL_DELETE(orders, o);
		free(o);
	}
}

/* order_done - keeper's answer */
void order_done(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_aliases_is *m = &msg->aliases_is;
	struct order *o;
	(void)chan, (void)arg;
	LL_SEARCH_SCALAR(orders, o, request, m->request);
	if (!o)
		return;
	answer(o->tool, m->ok, m->text);
	LL_DELETE(orders, o);
	free(o);
}

/* order_lost - there will be no answer */
void order_lost(void)
{
	struct order *o, *next;
	LL_FOREACH_SAFE (orders, o, next) {
		LL_DELETE(orders, o);
		answer(o->tool, false, msg_str("keeper ended meanwhile, try again"));
		free(o);
	}
}
