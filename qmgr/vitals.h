/* SPDX-License-Identifier: ISC */
/*
 * The state of the queue for readers of the board: how old the oldest message is, how much is set
 * aside, how many sites are down. Looked at every second where anything has changed.
 */
#pragma once

#define VITALS_MS 1000
#define VITALS_SITES \
	5000 /* where there are more sites they are counted every VITALS_SELDOM times */
#define VITALS_SELDOM 10

/* From now on; after the index was opened. */
void vitals_start(void);
