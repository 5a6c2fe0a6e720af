/* SPDX-License-Identifier: ISC */
/*
 * connect() of a Unix socket is decided at once; where the listener's line is full it is EAGAIN,
 * which is the next hop's busyness and not ours to wait for.
 */
#include "master/reach.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/conf.h"
#include "lib/log.h"
#include "lib/unix_hop.h"
#include "master/config.h"

/* is_target - whether a next hop of the configuration has this path */
static bool is_target(const struct conf_target *t, struct msg_bytes path)
{
	return t->kind == CONF_TARGET_LMTP_UNIX && strlen(t->path) == path.len &&
	       memcmp(t->path, path.data, path.len) == 0;
}

/* is_named - whether any has */
static bool is_named(const struct conf *conf, struct msg_bytes path)
{
	if (conf->mailbox_kind == CONF_MAILBOX_LMTP && is_target(&conf->mailbox_target, path))
		return true;
	for (size_t i = 0; i < conf->nroute; i++)
		for (size_t k = 0; k < conf->route[i].to.n; k++)
			if (is_target(&conf->route[i].to.v[k], path))
				return true;
	return false;
}

/* reach - the connected socket, or -errno */
static int reach(struct msg_bytes path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (path.len >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path.data, path.len);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

void reach_order(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_qmgr_connect *m = &msg->qmgr_connect;
	(void)chan, (void)arg;
	int fd = -EACCES;
	if (is_named(config_now(), m->path))
		fd = reach(m->path);
	else
		log_warnx("qmgr asks for a socket that no route names: %.*s", (int)m->path.len,
		    m->path.data);
	int rc = unix_hop_answer(m->answer, fd < 0 ? -fd : 0, fd);
	if (rc < 0) /* deliver sees the end without an answer and tries later */
		log_debug("deliver did not wait for a socket: %s", strerror(-rc));
	if (fd >= 0)
		close(fd);
}
