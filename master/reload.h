/* SPDX-License-Identifier: ISC */
/*
 * Reading the configuration: at start, at SIGHUP or `batonctl reload`, and what of the host flows
 * into it while we run (resolv.conf).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Reads the file for the first time and puts it in force. Says on stderr what is wrong with it or
 * noteworthy, as "file:line: reason". Returns 0 or -E....
 */
int reload_first(const char *path);

/*
 * Reads it again and brings the tree to it. On failure the old one stays in force, nothing has
 * changed, the reason is logged, and in `reason` for who asked (several lines).
 */
int reload_config(char *reason, size_t size);

/* Watches /etc/resolv.conf and the hosts file and tells dnscache when it changes. */
void reload_watch(void);

/* Monotonic time at which this instance started. */
int64_t reload_started_ms(void);
