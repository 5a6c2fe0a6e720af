/* SPDX-License-Identifier: ISC */
/*
 * How the screens of status and top write: spans, sizes and times for people, colour where it is
 * wanted, and text of others without what a terminal would obey.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/msg.h"

#define STYLE_TEXT 40 /* room for any of the texts below */

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_DIM };

/* Colour or none: on a terminal, unless NO_COLOR is set or TERM is dumb. */
void style_choose(void);
/* The sequence that begins a style, "" without colour; STYLE_PLAIN ends it. */
const char *style(enum style style);

/* "43s", "2m13s", "5h02m", "3d4h", into buf; returns buf. */
const char *style_span(char buf[STYLE_TEXT], uint64_t ms);
/* "512", "4.0K", "12.3G". */
const char *style_bytes(char buf[STYLE_TEXT], uint64_t bytes);
/* Local time, "2026-11-21 10:00:00". */
const char *style_when(char buf[STYLE_TEXT], uint64_t ms);

/* Text of others: '?' in place of control characters; at most `max` bytes, 0: all. */
void style_clean(FILE *to, struct msg_bytes text, size_t max);
