/* SPDX-License-Identifier: ISC */
#include "qmgr/asked.h"

#include "lib/log.h"
#include "qmgr/expand.h"
#include "qmgr/explain.h"
#include "qmgr/lookup.h"
#include "qmgr/owner.h"

static struct chan *keeper, *dnscache;

/* on_closed - asked again through the next link, for which arg is the place */
static void on_closed(struct chan *chan, void *arg)
{
	struct chan **place = arg;
	if (*place == chan)
		*place = NULL;
	chan_free(chan);
}

/* on_expanded - EXPAND's answer */
static void on_expanded(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)arg;
	if (!explain_heard_keeper(&m->keeper_expand_is))
		expand_answer(&m->keeper_expand_is);
}

/* on_name - NAME's answer */
static void on_name(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)arg;
	owner_answer(&m->keeper_name_is);
}

static const struct chan_handlers keeper_handlers = {
    .on = {[MSG_keeper_expand_is] = on_expanded, [MSG_keeper_name_is] = on_name},
    .closed = on_closed,
};

/* on_site - SITE's answer */
static void on_site(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)arg;
	if (!explain_heard_dns(&m->dns_site_is))
		lookup_answer(&m->dns_site_is);
}

/* on_back - the resolvers are there again */
static void on_back(struct chan *chan, union msg_any *m, void *arg)
{
	(void)chan, (void)m, (void)arg;
	lookup_back();
}

static const struct chan_handlers dnscache_handlers = {
    .on = {[MSG_dns_site_is] = on_site, [MSG_dns_back] = on_back},
    .closed = on_closed,
};

/* asked_keeper - NULL while there is none */
struct chan *asked_keeper(void)
{
	return keeper;
}

/* asked_dnscache - NULL while there is none */
struct chan *asked_dnscache(void)
{
	return dnscache;
}

/* replace - one of which there is one */
static void replace(struct chan **chan, enum role role, unsigned instance,
    const struct chan_handlers *handlers, int fd)
{
	chan_free(*chan);
	*chan = chan_new(fd, ROLE_QMGR, role, instance, handlers, chan);
	if (!*chan)
		log_fatal("out of memory for a link");
}

/* asked_linked - whoever waits asks again */
void asked_linked(enum role role, unsigned instance, int fd)
{
	if (role == ROLE_KEEPER) {
		replace(&keeper, role, instance, &keeper_handlers, fd);
		expand_linked();
		owner_linked();
	} else {
		replace(&dnscache, role, instance, &dnscache_handlers, fd);
		lookup_linked();
	}
}
