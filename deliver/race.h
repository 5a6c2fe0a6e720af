/* SPDX-License-Identifier: ISC */
/*
 * Happy Eyeballs (RFC 8305 §5) for dial.c: which of a list's addresses lets us connect first.
 * Attempts begin RACE_STEP_MS apart, or at once when the one before fails; the first that connects
 * wins and the others are given up, to be tried again should the winner not let us in. Only
 * addresses of one preference run together: a backup host is no alternative to one that is merely
 * slow (RFC 5321 §5.1).
 */
#pragma once

#include "deliver/hosts.h"
#include "lib/conf.h"

#define RACE_STEP_MS 250
#define RACE_MAX     4 /* attempts at a time */

/* Where connections come from, if it is said; family 0: none of that family. */
struct race_source {
	bool bind;
	struct conf_addr v4, v6;
};

struct race_ops {
	/* Address number addr is connected: fd is the callee's. The race is over. */
	void (*won)(void *arg, unsigned addr, int fd);
	/* One address failed with this errno; the race goes on. Must not end it. */
	void (*failed)(void *arg, unsigned addr, int error);
	/* The race is over: no address is left (0), or our own limit was met (an errno). */
	void (*over)(void *arg, int error);
};

struct race_try {
	int fd; /* -1: not in use */
	unsigned addr;
	struct race *race;
	struct event *event;
};

struct race {
	const struct race_ops *ops;
	void *arg;
	struct hosts *hosts;
	uint16_t port;
	uint32_t connect_ms; /* of one address */
	const struct race_source *source;
	struct event *step;
	unsigned running;
	struct race_try tries[RACE_MAX];
};

/* Prepares; hosts and source must outlive it. Returns 0 or -ENOMEM. */
int race_init(struct race *race, const struct race_ops *ops, void *arg);

/*
 * Runs among the addresses that are HOST_LEFT, of the best preference first. `won` or `over` comes
 * once, perhaps before it returns, and may free the race with what it lies in.
 */
void race_run(struct race *race);

/* Gives up what is under way and frees what race_init() made. */
void race_end(struct race *race);
