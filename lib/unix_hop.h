/* SPDX-License-Identifier: ISC */
/*
 * How deliver comes by a connected Unix socket (LMTP): it has no paths and may make no such socket
 * itself. It makes a socket pair, sends one end with deliver_connect to qmgr, which passes it on
 * with qmgr_connect; master connects and answers into that end: once, a big-endian errno (0: it
 * stands) and with 0 the connected, non-blocking descriptor. The pair's end without an answer
 * counts as EPIPE. master connects only what the configuration names as a next hop or mailbox.
 */
#pragma once

#define UNIX_HOP_WAIT_S 30 /* for master's answer */

/* master: the answer. fd stays the caller's; it is sent with error 0. Returns 0 or -errno. */
int unix_hop_answer(int answer, int error, int fd);

/*
 * deliver: takes the answer that is there. Returns 0 and the descriptor; -errno of the connect();
 * -EPIPE when nobody will answer, -EBADMSG for what is no answer.
 */
int unix_hop_take(int answer, int *fd);
