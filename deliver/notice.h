/* SPDX-License-Identifier: ISC */
/*
 * notice_transport (hop.h): jobs of kind JOB_NOTICE. Each is composed (dsn.h) when its turn comes
 * and handed to an smtpd over one of the streams that master made (LINK_SMTP), as an ordinary SMTP
 * transaction with the null sender. The streams stay open; a hop is only the queue before them.
 */
#pragma once

#include "deliver/hop.h"

/* A new stream to an smtpd, taken over. */
void notice_link(int fd);

/* Closes all streams (the end of the process). */
void notice_drain(void);
