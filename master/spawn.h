/* SPDX-License-Identifier: ISC */
/*
 * Makes processes: fork and exec of a role's program, with the descriptors and the environment
 * that lib/child.h promises it and nothing else.
 */
#pragma once

#include "lib/board.h"
#include "lib/log.h"
#include "master/tree.h"

/*
 * Finds the folder of the role's programs relative to our own, keeps the spool lock and the log
 * descriptor for the children, and makes sure that no descriptor of ours has a number that a
 * child's has. Returns 0 or -E....
 */
int spawn_init(int lock_fd);

/*
 * The same descriptor with a number that is no child's, close-on-exec; fd is closed unless it is
 * one of the standard three. -1 with errno set.
 */
int spawn_high_fd(int fd);

/* The board of the instance, once spawn_init() was called; *reader: for who may only read it. */
struct board *spawn_board(int *reader);

/* What children log to: the descriptor (kept, closed by the next call), and what it is. */
void spawn_set_log(int fd, enum log_target target);

/* The path of a program in libexec/baton; valid for ever. */
const char *spawn_program(const char *name);

/* The folder into which roles are locked as root. */
void spawn_set_chroot(const char *path);

/*
 * Starts the place's program. On success 0, place->pid is set and *chan_fd is master's end of its
 * channel. Returns -E... when there was no descriptor, memory or process left.
 */
int spawn_child(struct place *place, int *chan_fd);

/* The place's process is dead: takes back what was counted in its name. */
void spawn_ended(const struct place *place);

/*
 * In a forked child, before anything else: default signal handlers, empty mask. Both kinds of
 * children, roles and local deliveries, begin like this.
 */
void spawn_reset_signals(void);

/* fork() with all signals blocked until the child has called spawn_reset_signals(). */
pid_t spawn_fork(void);
