/* SPDX-License-Identifier: ISC */
/*
 * Checking passwords (keeper): lib/secret.h on a few threads of their own, apart from those of the
 * name service, since a hash is slow by design. Each asker has a queue; the threads take from the
 * queues in turn, so one worker that is flooded with guesses delays the others by no more than its
 * turn. Everything but the check itself happens on the loop.
 */
#pragma once

#include "lib/secret.h"

#define CHECKS_THREADS   2
#define CHECKS_QUEUES    64  /* askers by their number; more share */
#define CHECKS_QUEUE_MAX 128 /* of one asker that wait or run; more aren't taken */

/* What secret_check() said. */
typedef void checks_answer(int right, void *arg);

/* Starts the threads. After the sandbox is closed. Returns 0 or -E.... */
int checks_start(void);

/*
 * Checks a password for that asker; secret and password are copied. Returns 0, and answer() comes
 * later; -EAGAIN: that asker has too many under way; -ENOMEM.
 */
int checks_ask(unsigned asker, const struct secret *secret, const char *password,
    checks_answer *answer, void *arg);
