/* SPDX-License-Identifier: ISC */
/*
 * Records for people: `batonctl cat`. What qmgr names goes unstuffed into a pipe that is made here,
 * so that nobody else can make a write to it wait; its other end goes to qmgr and to the tool. A
 * copy that nobody reads for COPY_IDLE_S is ended, and so are all when qmgr is gone.
 */
#pragma once

#include "lib/chan.h"

#define COPIES_MAX  16 /* under way; one more is refused */
#define COPY_IDLE_S 60

/* deliver_copy: begins one; every one is answered with deliver_copied in the end. */
void copy_start(struct chan *qmgr, const struct msg_deliver_copy *msg);

/* qmgr is gone: all end, nobody is told. */
void copies_end(void);
