/* SPDX-License-Identifier: ISC */
/*
 * One question put to one server once: one packet out, one answer in, over UDP or TCP (stream.h).
 * The caller (upstream.c) keeps the time and decides what comes next.
 *
 * Against forged answers (RFC 5452): each exchange over UDP has a socket of its own, connected, so
 * that the kernel takes packets from the server's address and port only, with a source port that
 * the kernel picks at random, and a random ID. What doesn't match ID and question is ignored; after
 * EXCHANGE_STRAY_MAX such packets somebody is guessing, and the exchange ends as if the server
 * were dead.
 *
 * Lives on the process' loop (lib/loop.h).
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "dnscache/query.h"

#define EXCHANGE_STRAY_MAX 16

struct exchange;

/*
 * Called once, from the loop, never from within exchange_start(). answer is NULL when the server
 * can't be reached or spoke nonsense; else it is good until the function returns, and its status is
 * anything but QUERY_NOT_MINE. The exchange is over; the function calls exchange_free().
 */
typedef void exchange_done(struct exchange *x, const struct query_answer *answer, void *arg);

/*
 * Sends q to the server at `to`; form is made of enum query_form. Returns NULL when
 * that fails at once (no descriptors, no route, no memory), with errno.
 */
struct exchange *exchange_start(const struct query_question *q, const struct sockaddr_storage *to,
    bool tcp, unsigned form, exchange_done *done, void *arg);

/* Ends an exchange, whether its answer came or not. NULL is allowed. */
void exchange_free(struct exchange *x);
