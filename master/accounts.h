/* SPDX-License-Identifier: ISC */
/*
 * Which users the host knows (keeper): getpwnam_r() on a few threads of its own, since whatever
 * stands behind the name service may be slow or dead, and answers kept for seconds. Everything but
 * the look-up itself happens on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCOUNTS_THREADS    4
#define ACCOUNTS_NAME_MAX   256
#define ACCOUNTS_CACHED_MAX 10000 /* names */
#define ACCOUNTS_OPEN_MAX   4096  /* questions that wait; more are answered ACCOUNT_UNSURE */
#define ACCOUNTS_WAIT_MS    10000 /* then a question is answered ACCOUNT_UNSURE */
#define ACCOUNTS_KNOWN_MS   10000 /* an answer is kept that long if there is such a user, */
#define ACCOUNTS_UNKNOWN_MS 5000  /* if there is none, */
#define ACCOUNTS_UNSURE_MS  1000  /* if the name service didn't say */

enum account_verdict {
	ACCOUNT_EXISTS,
	ACCOUNT_UNKNOWN,
	ACCOUNT_UNSURE /* nobody can tell now */
};

/* The answer: login is the user's name as the host writes it ("" unless ACCOUNT_EXISTS). */
typedef void accounts_answer(enum account_verdict verdict, const char *login, void *arg);

/*
 * Looks up names that nobody has, so that the name service loads what it needs: before the sandbox
 * is closed, for it can't load code afterwards.
 */
void accounts_prepare(void);

/* Starts the threads. After the sandbox is closed. Returns 0 or -E.... */
int accounts_start(void);

/*
 * Asks for a local part, first in lower case, then as given. The answer may come before this
 * returns. `urgent` questions come before all others: qmgr isn't to wait behind a client that
 * guesses names.
 */
void accounts_ask(const char *name, bool urgent, accounts_answer *answer, void *arg);

/* Asks for the user of that number, likewise. */
void accounts_ask_uid(uint32_t uid, accounts_answer *answer, void *arg);
