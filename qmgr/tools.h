/* SPDX-License-Identifier: ISC */
/*
 * The tools' socket: connections of batonctl and mailq, whose credentials the kernel tells
 * (lib/rights.h). What others than admins may ask is about their own mail (qmgr/owner.h); they
 * leave half of the connections to admins, and one of them the rest to others.
 */
#pragma once

#define TOOLS_MAX        64 /* connections at a time */
#define TOOLS_OTHERS_MAX 32 /* of others than admins */
#define TOOLS_USER_MAX   4  /* of one of them */

/* LISTEN from master: a listening SOCK_SEQPACKET socket, taken over. */
void tools_listen(int fd);
/* No more tools are let in. */
void tools_stop(void);
