/* SPDX-License-Identifier: ISC */
/*
 * The tools' socket: connections of batonctl and mailq, whose credentials the kernel tells. For now
 * root and the user this process runs as may ask; everybody else is told that they may not.
 */
#pragma once

#define TOOLS_MAX 64 /* connections at a time */

/* LISTEN from master: a listening SOCK_SEQPACKET socket, taken over. */
void tools_listen(int fd);
/* No more tools are let in. */
void tools_stop(void);
