/* SPDX-License-Identifier: ISC */
/*
 * The processes that take files of the drop folder: one each, its file's owner. drop.c decides
 * which and when, and what their ends mean.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "lib/drop.h"

struct pickup {
	struct pickup *next;
	pid_t pid;
	uid_t uid;
	ino_t ino;
	int reason_fd;
	struct event *timer;
	char name[256]; /* in the folder */
	char reason[DROP_REASON_MAX + 1];
};

/*
 * Starts one on a file of `folder`, which looked like *st. 0; -EAGAIN for lack of descriptors,
 * processes or memory; -E... when the file can't be opened or has become another one.
 */
int pickup_start(int folder, const char *name, const struct stat *st);

/* Whether one is at work on that file. */
bool pickup_of(const char *name);

/* How many run: of a user, or with (uid_t)-1 in all. */
unsigned pickup_running(uid_t uid);

/* The pickup of a process that ended, with its reason; out of the list, to be freed. NULL: none. */
struct pickup *pickup_ended(pid_t pid);
void pickup_free(struct pickup *p);

/* Whether the name still is the file it was started on. */
bool pickup_unchanged(int folder, const struct pickup *p);

/* The file isn't due before that many seconds from now. */
void pickup_postpone(int folder, const char *name, time_t seconds);
