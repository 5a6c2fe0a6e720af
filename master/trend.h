/* SPDX-License-Identifier: ISC */
/* How the sums of the board rose lately: a sample every BOARD_TREND_MS, for `batonctl status`. */
#pragma once

/* From now on. */
void trend_start(void);
