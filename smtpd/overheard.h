/* SPDX-License-Identifier: ISC */
/*
 * What a session says and hears, for `batonctl debug` (lib/dialogue.h). Each call costs one look at
 * a flag while nothing is asked for. A login's lines are left out, and so is, in a session that has
 * tried one, whatever is no command: it may be what was meant to be a secret.
 */
#pragma once

#include <stddef.h>

#include "lib/dialogue.h"
#include "smtpd/session.h"

/* A line of the client, before it is looked at. */
void overheard_line(struct session *s, const char *line, size_t len);

/* What lies in the output behind `before` bytes. */
void overheard_reply(const struct session *s, size_t before);

/* Other things: what isn't shown, and what is no line. */
#define overheard_note(s, ours, ...)                           \
	do {                                                   \
		if (dialogue_any)                              \
			overheard_noted(s, ours, __VA_ARGS__); \
	} while (0)
void overheard_noted(const struct session *s, bool ours, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
