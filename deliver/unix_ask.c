/* SPDX-License-Identifier: ISC */
/* One end of a socket pair and an event on it; the other end is on its way to master. */
#include "deliver/unix_ask.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/loop.h"
#include "lib/unix_hop.h"

struct unix_ask {
	int fd;
	struct event *event;
	unix_ask_answer *answer;
	void *arg;
};

void unix_ask_cancel(struct unix_ask *ask)
{
	if (!ask)
		return;
	if (ask->event)
		event_free(ask->event);
	close(ask->fd);
	free(ask);
}

/* on_answer - it came, or the time is over */
static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct unix_ask *ask = arg;
	unix_ask_answer *answer = ask->answer;
	void *owner = ask->arg;
	int got = -1;
	int rc = what & EV_TIMEOUT ? -ETIMEDOUT : unix_hop_take(fd, &got);
	if (rc == -EAGAIN && !event_add(ask->event, NULL))
		return;
	unix_ask_cancel(ask);
	answer(owner, rc ? rc : got);
}

struct unix_ask *unix_ask(
    struct chan *qmgr, struct msg_bytes path, unix_ask_answer *answer, void *arg)
{
	static const struct timeval max = {.tv_sec = UNIX_HOP_WAIT_S};
	int pair[2], rc = -ENOMEM;
	if (!qmgr) {
		errno = EPIPE;
		return NULL;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return NULL;
	struct unix_ask *ask = calloc(1, sizeof(*ask));
	if (!ask) {
		close(pair[0]);
		goto out;
	}
	*ask = (struct unix_ask){.fd = pair[0], .answer = answer, .arg = arg};
	ask->event = event_new(loop_base(), ask->fd, EV_READ, on_answer, ask);
	if (ask->event && !event_add(ask->event, &max))
		rc = CHAN_SEND(qmgr, deliver_connect, .path = path, .answer = pair[1]);
out:
	close(pair[1]);
	if (rc < 0) {
		unix_ask_cancel(ask);
		errno = -rc;
		return NULL;
	}
	return ask;
}
