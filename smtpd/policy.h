/* SPDX-License-Identifier: ISC */
/*
 * Who may do what: pure functions of the configuration, the peer and what it said. A verdict with
 * code 0 means no objection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/record.h"
#include "smtpd/verdict.h"

#define PEER_USER_MAX 255 /* bytes of a user's name */

enum peer_kind {
	PEER_NET,   /* over TCP */
	PEER_LOCAL, /* the Unix socket of sendmail(1); the kernel vouches for uid */
	PEER_NOTICE /* a deliver worker with a bounce */
};

/* Who is on the other side. */
struct peer {
	enum peer_kind kind;
	bool relay;                       /* in relay_from, on a listener where that counts */
	uint32_t uid;                     /* PEER_LOCAL; else UINT32_MAX */
	char address[64];                 /* as text; "local" for the other kinds */
	const struct conf_listen *listen; /* PEER_NET, else NULL */
	const char *tls;                  /* protocol, "TLSv1.3"; NULL: plaintext */
	const char *cipher;               /* the suite's IANA name */
	bool resumed;                     /* an earlier TLS session */
	bool certified;                   /* it showed one of relay_certificates */
	char user[PEER_USER_MAX + 1];     /* who has logged in, or whose uid it is; "": nobody */
	struct tally_client *tally;       /* a stranger's; NULL: it isn't counted */
};

enum rcpt_way {
	RCPT_WAY_RELAY, /* takes it without asking */
	RCPT_WAY_LOCAL, /* a local recipient: keeper knows whether it exists */
	RCPT_WAY_DENIED
};

/* A client of the network without leave to relay: section `policy` is for it. */
bool peer_is_stranger(const struct peer *peer);

/* The peer of a TCP connection; listen must outlive it. */
void policy_peer_net(const struct conf *conf, const struct conf_listen *listen,
    const struct sockaddr *addr, struct peer *peer);
/* A local user, or a deliver worker. */
void policy_peer_local(uint32_t uid, struct peer *peer);
void policy_peer_notice(struct peer *peer);

/* May it begin a session at all? */
struct verdict policy_session(const struct peer *peer);

/* May it send a message of `size` bytes (0: not said) now, with the spool in that state? */
struct verdict policy_mail(const struct conf *conf, const struct peer *peer, uint64_t size,
    enum pressure pressure, uint64_t free_bytes);

/* May it send to that domain (NULL: a bare local part)? */
enum rcpt_way policy_rcpt(const struct conf *conf, const struct peer *peer, const char *domain);

/*
 * Is mail of this peer submitted here (RFC 6409), so that its header is mended? Of a local user, of
 * a client that may send to anyone for what it is; not of a notice, which we wrote ourselves.
 */
bool policy_submits(const struct peer *peer);

/* Is that many Received lines too many? */
struct verdict policy_hops(const struct conf *conf, unsigned hops);
