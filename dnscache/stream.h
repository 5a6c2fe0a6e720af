/* SPDX-License-Identifier: ISC */
/*
 * TCP connections to resolvers, one each, shared by all questions that are under way there and
 * kept for the next ones (RFC 7766 §6.2): answers come in any order and are told apart by their ID.
 *
 * A server may close a connection that it holds for idle while a question is on its way there; so
 * the questions of one that had worked before move to a new connection, each once. Lives on the
 * process' loop.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "dnscache/query.h"

#define STREAM_IDLE_MS 8000 /* a connection without a question is closed after so long */

struct stream;
struct stream_wait;

/*
 * Called once, from the loop, with the packet that has our ID, or with NULL: the server can't be
 * reached or closed the connection. The wait is the caller's again.
 */
typedef void stream_heard(struct stream_wait *wait, const uint8_t *packet, size_t len);

/* A question on a connection: part of the caller's own struct. */
struct stream_wait {
	stream_heard *heard; /* this and arg are set by the caller */
	void *arg;
	/* private */
	struct stream_wait *prev, *next;
	struct stream *stream;
	uint16_t id;
	uint16_t len;
	bool moved;
	uint8_t packet[2 + QUERY_PACKET_MAX]; /* with its length, as it is sent */
};

/*
 * Sends a packet to the server at `to`. Returns 0; -EEXIST when its ID is in use there (choose
 * another one); or another negative errno, and `heard` won't be called.
 */
int stream_ask(
    const struct sockaddr_storage *to, struct stream_wait *wait, const uint8_t *packet, size_t len);

/* The answer isn't wanted any more; one that waits for nothing is left alone. */
void stream_cancel(struct stream_wait *wait);

/* Connections that were made since the start; for tests and counters. */
unsigned stream_made(void);

/* Closes connections without questions. */
void stream_close_idle(void);
