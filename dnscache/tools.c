/* SPDX-License-Identifier: ISC */
/* The kernel says who connects; from then on a tool is served as serve.c serves everyone. */
#include "dnscache/tools.h"

#include <event2/event.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dnscache/serve.h"
#include "lib/log.h"
#include "lib/loop.h"

static struct event *acceptor;

/* may_ask - root, or the user as whom this process runs */
static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* on_accept - one tool a turn */
static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	(void)what, (void)arg;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (may_ask(fd) && serve_tools() < TOOLS_MAX)
		serve_link(fd, ROLE_TOOL, 0);
	else
		close(fd);
}

/* tools_listen - from now on */
void tools_listen(int fd)
{
	if (acceptor) {
		close(event_get_fd(acceptor));
		event_free(acceptor);
	}
	acceptor = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_accept, NULL);
	if (!acceptor || event_add(acceptor, NULL) != 0)
		log_fatal("out of memory");
}
