/* SPDX-License-Identifier: ISC */
/*
 * The listener of `metrics.address`: GET /metrics over HTTP/1.x answers with lib/metrics.h's text
 * of the whole board. One smtpd worker has the listener; it reads the board and nothing else, so
 * nobody else notices. One request a connection. Not libevent's HTTP server: the 2.1 that Debian
 * has can bound neither the number of its connections nor the time that a request takes.
 *
 * A client has METRICS_CLIENT_MS in all and METRICS_REQUEST bytes of request; of METRICS_CLIENTS
 * that are here one that hasn't said what it wants makes room for the next. The text is made anew
 * at most every METRICS_FRESH_MS, whatever is asked.
 */
#pragma once

#define METRICS_CLIENTS   8
#define METRICS_REQUEST   4096 /* bytes; Prometheus sends some 300 */
#define METRICS_CLIENT_MS 5000
#define METRICS_FRESH_MS  500
#define METRICS_PAUSE_MS  1000 /* without a descriptor nobody is let in for so long */

/* Before the sandbox: maps the board, to be read. */
void metrics_init(void);

/* A listening socket (taken over). Another one may follow: there are as many as addresses. */
void metrics_listen(int fd);

/* Closes the listeners and all clients. */
void metrics_stop(void);
