/* SPDX-License-Identifier: ISC */
/*
 * Threads of keeper's pools (accounts.h, checks.h): detached, and with no signal of the loop's.
 * SIGSYS stays unblocked, for it is the sandbox's (lib/sandbox.h).
 */
#pragma once

/* Starts n of them, for good. Returns 0 or -E.... */
int threads_start(unsigned n, void *(*run)(void *));
