/* SPDX-License-Identifier: ISC */
/*
 * The message as it comes to the program `local` (lib/local.h): the promise of its length, then its
 * bytes. Its header is read ahead, so that a loop is seen before anything is written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTENT_HEAD_MAX (64u << 10) /* bytes of the header that are looked at */

struct content {
	int fd;
	uint64_t length, got; /* promised, and read so far */
	size_t head_len, head_used;
	char head[CONTENT_HEAD_MAX];
};

/* Reads the promise and the header. 0; -EBADMSG when the promise didn't come; else of read(). */
int content_open(struct content *c, int fd);

/*
 * The next bytes, 0 at the end; -EBADMSG when more or fewer come than were promised, or what read()
 * says.
 */
ssize_t content_read(struct content *c, void *buf, size_t size);

/*
 * Whether the header has a Delivered-To of that address (without case): it has been here. Only the
 * fields before the first empty line, and of those what was read ahead.
 */
bool content_was_at(const struct content *c, const char *address);
