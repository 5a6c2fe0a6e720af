/* SPDX-License-Identifier: ISC */
/*
 * Every pair is made once: when its second side joins. `expect` counts the processes that serve
 * now; the ones that start later bring their own LINK.
 */
#include "master/links.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"

static const struct {
	enum role a, b;
	enum link_kind kind;
} rows[] = {
    {ROLE_SMTPD, ROLE_QMGR, LINK_CHANNEL},
    {ROLE_SMTPD, ROLE_KEEPER, LINK_CHANNEL},
    {ROLE_SMTPD, ROLE_DNSCACHE, LINK_CHANNEL},
    {ROLE_QMGR, ROLE_KEEPER, LINK_CHANNEL},
    {ROLE_QMGR, ROLE_DNSCACHE, LINK_CHANNEL},
    {ROLE_QMGR, ROLE_DELIVER, LINK_CHANNEL},
    {ROLE_DELIVER, ROLE_DNSCACHE, LINK_CHANNEL},
    {ROLE_DELIVER, ROLE_SMTPD, LINK_SMTP},
};

/* tell - the end `fd` of a link with `peer` to `place` */
static int tell(struct place *place, const struct place *peer, enum link_kind kind, int fd)
{
	unsigned expect = places_serving(peer->service->role);
	return CHAN_SEND(place->chan, link, .role = (uint8_t)peer->service->role,
	    .instance = (uint16_t)peer->instance, .kind = (uint8_t)kind, .expect = (uint16_t)expect,
	    .socket = fd);
}

/* make - one link between two processes */
static int make(struct place *a, struct place *b, enum link_kind kind)
{
	int type = kind == LINK_CHANNEL ? SOCK_SEQPACKET : SOCK_STREAM;
	int pair[2];
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return -errno;
	int e = tell(a, b, kind, pair[0]);
	/* a neighbour that can't be told is about to be replaced: its end closes, both see it */
	if (!e)
		tell(b, a, kind, pair[1]);
	close(pair[0]);
	close(pair[1]);
	return e;
}

/* takes_link - whether `place` may still be given that kind */
static bool takes_link(const struct place *place, enum link_kind kind)
{
	/* nobody hands a notice to a worker that takes no more mail */
	return place_serves(place) && place->linked && place->chan &&
	       !(kind == LINK_SMTP && place->state == PLACE_DRAINING);
}

/* links_join - all links of a process that is ready */
int links_join(struct place *place)
{
	enum role role = place->service->role;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (role != rows[i].a && role != rows[i].b)
			continue;
		enum role peer = role == rows[i].a ? rows[i].b : rows[i].a;
		for (struct place *p = place_next(NULL); p; p = place_next(p)) {
			if (p->service->role != peer || !takes_link(p, rows[i].kind))
				continue;
			int e = make(place, p, rows[i].kind);
			if (e) {
				log_warnc(e, "link of %s to %s", role_name(role), role_name(peer));
				return e;
			}
		}
	}
	place->linked = true;
	return 0;
}
