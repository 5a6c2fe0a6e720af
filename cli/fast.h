/* SPDX-License-Identifier: ISC */
/*
 * Standard output for a million lines: one buffer, written with write(2) when it is full, and the
 * few conversions a listing needs. It doesn't mix with stdio: fast_flush() before stdio writes, and
 * fflush() before the first fast_... .
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"

#define FAST_BUFFER 65536

void fast_text(const char *text);
void fast_bytes(const char *data, size_t len);
void fast_char(char c);
void fast_u64(uint64_t n);
/* Milliseconds as seconds with three decimals. */
void fast_seconds(uint64_t ms);
/* A JSON string with its quotes, escaped by lib/json.h. */
void fast_json(struct msg_bytes text);
/* Without what a terminal would obey: '?' in place of control characters. */
void fast_clean(struct msg_bytes text);

/* Writes what is left. 0, or -E...: of this or of any write before. */
int fast_flush(void);
