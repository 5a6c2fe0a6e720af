/* SPDX-License-Identifier: ISC */
/*
 * What a client says to a next hop and hears from it, for `batonctl debug` (lib/dialogue.h). Each
 * call costs one look at a flag while nothing is asked for. Of a login nothing is shown but the
 * mechanism and the codes of the replies, for a host may repeat what was said to it.
 */
#pragma once

#include <event2/buffer.h>
#include <stddef.h>

#include "deliver/client_state.h"
#include "lib/dialogue.h"

/* A reply, as it came. */
void overheard_reply(const struct client *c);

/* What lies in the output behind `before` bytes: commands. */
void overheard_output(const struct client *c, struct evbuffer *out, size_t before);

/* What isn't shown, and what is no line. */
#define overheard_note(c, ours, ...)                           \
	do {                                                   \
		if (dialogue_any)                              \
			overheard_noted(c, ours, __VA_ARGS__); \
	} while (0)
void overheard_noted(const struct client *c, bool ours, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
