/* SPDX-License-Identifier: ISC */
#include "deliver/trial_hosts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/addr.h"
#include "lib/str.h"

#define ADDRESS_SIZE 512

/* add_tcp - one more, with its addresses */
static void add_tcp(struct trial_hosts *out, const struct conf *conf,
    const struct conf_target *target, const char *host, uint16_t port)
{
	struct trial_host *h = &out->v[out->n];
	if (out->n == TRIAL_HOSTS)
		return;
	*h = (struct trial_host){.target = target, .port = port, .fd = -1};
	h->lmtp = target->kind == CONF_TARGET_LMTP;
	str_copy(h->host, sizeof(h->host), host);
	if (out->by_mx)
		snprintf(h->name, sizeof(h->name), "%s port %u", host, port);
	else
		str_copy(h->name, sizeof(h->name), target->name);
	trial_lookup(conf, host, &h->addrs);
	out->n++;
}

/* connect_path - now, as long as we may; the socket is left to the loop */
static int connect_path(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (str_copy(to.sun_path, sizeof(to.sun_path), path))
		return -ENAMETOOLONG;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	int err = errno;
	if (fd >= 0)
		close(fd);
	return -err;
}

/* add_unix - a socket that is there and takes us */
static void add_unix(struct trial_hosts *out, const struct conf_target *target)
{
	struct trial_host *h = &out->v[out->n];
	if (out->n == TRIAL_HOSTS)
		return;
	*h = (struct trial_host){.target = target, .lmtp = true};
	str_copy(h->name, sizeof(h->name), target->name);
	h->fd = connect_path(target->path);
	if (h->fd < 0)
		snprintf(
		    h->addrs.why, sizeof(h->addrs.why), "%s: %s", target->path, strerror(-h->fd));
	out->n++;
}

/* add_mx - those of the recipient's domain */
static void add_mx(struct trial_hosts *out, const struct conf *conf,
    const struct conf_target *target, const char *to)
{
	char local[ADDRESS_SIZE], domain[ADDRESS_SIZE] = "";
	struct trial_mx mx;
	if (to)
		addr_split(to, local, domain, sizeof(local));
	if (!domain[0] || str_copy(out->domain, sizeof(out->domain), domain)) {
		snprintf(out->why, sizeof(out->why),
		    "it goes to the MX hosts of each recipient's domain: name one with --to "
		    "ADDRESS");
		return;
	}
	out->by_mx = true;
	if (domain[0] == '[') { /* an address literal is its own host (RFC 5321 §4.1.3) */
		add_tcp(out, conf, target, domain, (uint16_t)conf->deliver.port);
		return;
	}
	trial_lookup_mx(conf, domain, &mx);
	if (!mx.n)
		snprintf(out->why, sizeof(out->why), "no MX hosts of %s: %s", out->domain, mx.why);
	for (unsigned i = 0; i < mx.n; i++)
		add_tcp(out, conf, target, mx.v[i].name, (uint16_t)conf->deliver.port);
}

void trial_hosts_find(const struct conf *conf, const struct conf_route *route, const char *to,
    struct trial_hosts *out)
{
	*out = (struct trial_hosts){0};
	for (size_t i = 0; i < route->to.n; i++) {
		const struct conf_target *target = &route->to.v[i];
		switch (target->kind) {
		case CONF_TARGET_RELAY:
		case CONF_TARGET_LMTP:
			add_tcp(out, conf, target, target->host, target->port);
			break;
		case CONF_TARGET_LMTP_UNIX:
			add_unix(out, target);
			break;
		case CONF_TARGET_MX:
			add_mx(out, conf, target, to);
			break;
		case CONF_TARGET_LOCAL:
		case CONF_TARGET_DISCARD:
		case CONF_TARGET_ERROR:
			snprintf(out->why, sizeof(out->why),
			    "it goes to %s: there is no host to try", target->name);
			break;
		}
	}
}
