/* SPDX-License-Identifier: ISC */
/*
 * The owner of a client (deliver/client.h) in tests: gives out jobs, remembers what became of them.
 * One client at a time, over a socket pair whose other end the test plays.
 */
#pragma once

#include "deliver/client.h"

#define JOBS_MAX 8

struct owner {
	struct job *queue;
	unsigned ready, ended, done;
	enum open_verdict why;
	enum ahead_verdict ahead;
	struct words words;
	int outcome[JOBS_MAX][4], code[JOBS_MAX][4]; /* of job i, recipient j; -1: none yet */
	char text[JOBS_MAX][4][80];
};

extern struct owner seen;
extern struct client *client;
extern const struct client_ops owner_ops;

/* Forgets what was seen. */
void owner_reset(void);

/* Queues job number `id` with its own segment. */
void add_job(unsigned id, unsigned nrcpts, const char *late, const char *body, uint32_t flags);

/* One turn that waits for nothing. */
void turn(void);

/* A client on one end of a pair; returns the other. */
int begin_with(enum conf_pipelining pipelining, uint32_t max_messages);
/* The same that speaks LMTP. */
int begin_lmtp(void);

/* Ends the test: the client is gone and nothing of it is left. fd may be -1. */
void over(int fd);

/* Group fixtures: a loop of its own. */
int make_loop(void **state);
int free_loop(void **state);
