/* SPDX-License-Identifier: ISC */
/* One table: which role may be linked, what it says, what happens when the link comes and goes. */
#include "smtpd/links.h"

#include "lib/child.h"
#include "lib/log.h"
#include "smtpd/accept.h"
#include "smtpd/lookup.h"
#include "smtpd/question.h"
#include "smtpd/recipient.h"
#include "smtpd/segments.h"

/* qmgr_closed - segments stay usable, what was asked for is asked of the next */
static void qmgr_closed(struct chan *chan, void *arg)
{
	(void)arg;
	segments_unlinked(chan);
	chan_free(chan);
}

/* keeper_closed - questions wait for the next one */
static void keeper_closed(struct chan *chan, void *arg)
{
	(void)arg;
	recipient_unlinked(chan);
	question_unlinked(chan);
	chan_free(chan);
}

/* dnscache_closed - questions wait for the next one */
static void dnscache_closed(struct chan *chan, void *arg)
{
	(void)arg;
	lookup_unlinked(chan);
	chan_free(chan);
}

static const struct chan_handlers qmgr = {
    .on = {[MSG_qmgr_segment] = segments_granted,
	[MSG_qmgr_taken] = segments_taken,
	[MSG_qmgr_pressure] = segments_pressed},
    .closed = qmgr_closed,
};
static const struct chan_handlers keeper = {
    .on = {[MSG_keeper_recipient_is] = recipient_is,
	[MSG_keeper_login_is] = question_login_is,
	[MSG_keeper_submit_is] = question_submit_is},
    .closed = keeper_closed,
};
static const struct chan_handlers dnscache = {
    .on = {[MSG_dns_lookup_is] = lookup_is},
    .closed = dnscache_closed,
};

/* keeper_linked - a new one is asked what is open */
static void keeper_linked(struct chan *chan)
{
	recipient_linked(chan);
	question_linked(chan);
}

/* links_add - LINK */
void links_add(struct chan *master, union msg_any *msg, void *arg)
{
	struct msg_link *m = &msg->link;
	const struct chan_handlers *handlers = NULL;
	void (*linked)(struct chan *) = NULL;

	(void)master, (void)arg;
	if (m->role == ROLE_QMGR) {
		handlers = &qmgr;
		linked = segments_linked;
	} else if (m->role == ROLE_KEEPER) {
		handlers = &keeper;
		linked = keeper_linked;
	} else if (m->role == ROLE_DNSCACHE) {
		handlers = &dnscache;
		linked = lookup_linked;
	} else if (m->role != ROLE_DELIVER || m->kind != LINK_SMTP) {
		log_warnx("master linked %s, which has no business here", role_name(m->role));
		return;
	}
	int fd = m->socket;
	m->socket = -1;
	if (!handlers) {
		accept_notice(fd);
		return;
	}
	struct chan *chan =
	    chan_new(fd, ROLE_SMTPD, (enum role)m->role, m->instance, handlers, NULL);
	if (!chan)
		log_fatal("no memory for a link to %s", role_name(m->role));
	if (linked)
		linked(chan);
}
