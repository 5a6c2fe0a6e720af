/* SPDX-License-Identifier: ISC */
/*
 * The sockets of an instance: one for each address of each `listen` block (shared by all smtpd
 * workers), those of `metrics` (for one smtpd worker), and the Unix sockets in `runtime`:
 *
 *   submit   stream, SMTP        every smtpd    mode 0666: any user may submit, the kernel says who
 *   queue    SEQPACKET, tools    qmgr           mode 0666: who may do what is checked by the role,
 *   dns      SEQPACKET, tools    dnscache       which is told the peer's user by the kernel and can
 *   control  SEQPACKET, tools    master         answer why not
 *
 * master binds and keeps them, so that a replaced child finds the same sockets and clients wait in
 * them meanwhile. The folder `runtime` is ours by the spool's lock: what lies there is stale.
 */
#pragma once

#include "lib/conf.h"
#include "master/tree.h"

#define LISTEN_BACKLOG 1024

/*
 * Opens what conf names and isn't open, keeps what both name; what only the old one named is closed
 * by listen_commit(), or what is new by listen_abandon(). Returns 0, or -E... with a sentence in
 * `reason` about the one that failed (and nothing has changed then).
 */
int listen_open(const struct conf *conf, char *reason, size_t size);
void listen_commit(void);
void listen_abandon(void);

/* Hands a process of qmgr, dnscache or smtpd its sockets. */
int listen_give(struct place *place);

/* master's own socket for batonctl; -1: not open. */
int listen_control_fd(void);

/* Nobody can connect any more: closes all, removes the Unix sockets. */
void listen_close(void);
