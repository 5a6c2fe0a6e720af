/* SPDX-License-Identifier: ISC */
/* metrics: what the listener of `metrics.address` serves, without one. */
#include "lib/metrics.h"

#include <stdio.h>

#include "cli/snapshot.h"
#include "cli/tool.h"
#include "cli/verbs.h"

/* verb_metrics - the text */
int verb_metrics(const struct conf *conf, int argc, char **argv)
{
	int code;
	(void)argv;
	if (argc > 0) {
		fputs("usage: batonctl metrics\n", stderr);
		return TOOL_USAGE;
	}
	const struct board *board = snapshot_board(conf, &code);
	if (!board)
		return code ? code : TOOL_FAILED;
	if (metrics_print(board, stdout) != 0) {
		fputs("out of memory\n", stderr);
		code = TOOL_FAILED;
	}
	board_unview(board);
	return code;
}
