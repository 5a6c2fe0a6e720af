/* SPDX-License-Identifier: ISC */
/*
 * A frame of `batonctl top`: lines of plain text, each with one style, cut to the width of the
 * screen when they are written.
 */
#pragma once

#include <stdio.h>

#include "cli/snapshot.h"
#include "cli/style.h"

#define FRAME_LINES   200
#define FRAME_COLUMNS 400 /* with the NUL */

struct frame_line {
	enum style style;
	char text[FRAME_COLUMNS];
};

struct frame {
	unsigned n, max; /* lines; as many fit */
	struct frame_line at[FRAME_LINES];
};

/* What was counted at a site, at one moment: rates are what it rose since the frame before. */
struct frame_past {
	bool known;
	int64_t at_ms;
	uint64_t trend[TREND_KINDS];
	uint64_t cpu_ms[ROLE_COUNT];
	struct board_labels labels;
};

/* Fills a frame of at most `rows` lines; past is read, then made the present. */
void top_frame(struct frame *f, const struct snapshot *s, const struct conf *conf, unsigned rows,
    struct frame_past *past);

/*
 * Writes it: onto a terminal from its top left corner on, each line cut to `columns`, the rest of
 * the screen cleared; else (columns 0) as it is, with an empty line behind.
 */
void top_write(const struct frame *f, unsigned columns, FILE *to);
