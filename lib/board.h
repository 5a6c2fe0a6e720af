/* SPDX-License-Identifier: ISC */
/*
 * The board: one file in memory with all that an instance counts. Whoever may read it (one smtpd
 * worker for Prometheus, batonctl) maps it and asks nobody. master makes it. It has three parts,
 * each with one writer:
 *
 *   head    master   which process counts in which page, and how the sums rose lately
 *   labels  qmgr     what became of recipients, by site and by class
 *   pages            one for each process (lib/counters.h)
 *
 * A child is handed the file as CHILD_COUNTERS, maps its own parts before its sandbox closes, and
 * loses the descriptor: it can spoil no numbers but its own. Readers get another descriptor, which
 * can only be read. The file is sealed, so nobody can cut it under the others' mappings. Texts of a
 * board may be anything: readers take them with board_text().
 *
 * Sites have labels by name for the BOARD_SITES busiest; what the others do is counted in the last
 * row. A site that has become busier than one with a row takes that row, which begins at 0.
 */
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/counters.h"

#define BOARD_MAGIC      0x4241544f4e424431ull /* "BATONBD1" */
#define BOARD_PAGES      774                   /* master and its places */
#define BOARD_SITES      100                   /* sites that are counted by name */
#define BOARD_CLASSES    32                    /* classes, by name; further ones together */
#define BOARD_NAME       256                   /* bytes of a name with its NUL */
#define BOARD_TREND_MS   5000
#define BOARD_TRENDS     181 /* 15 minutes */
#define BOARD_LATENCIES  14
#define BOARD_PAGE_BYTES 4096

/* What is counted of a recipient's attempts and of its end. */
enum board_end { BOARD_DELIVERED, BOARD_DEFERRED, BOARD_BOUNCED, BOARD_ACCEPTED, BOARD_ENDS };

/* What `batonctl status` gives as rates. */
enum board_trend { TREND_ACCEPTED, TREND_DELIVERED, TREND_DEFERRED, TREND_BOUNCED, TREND_KINDS };

/* Upper bounds of the buckets of delivery times, ms; the last one has none. */
extern const uint32_t board_latency_ms[BOARD_LATENCIES];

/* The process of a page. */
struct board_row {
	uint8_t role;  /* enum role; 0: none was there yet */
	uint8_t alive; /* what its gauges say holds */
	uint8_t serves;
	uint16_t instance;
	uint32_t pid, starts, crashes;
	int64_t ready_ms; /* monotonic */
};

struct board_sample {
	int64_t at_ms; /* monotonic; 0: none yet */
	uint64_t v[TREND_KINDS];
};

struct board_head {
	uint64_t magic, size, counters;
	uint32_t used;  /* rows */
	uint32_t trend; /* the next sample */
	struct board_row row[BOARD_PAGES];
	struct board_sample sample[BOARD_TRENDS];
};

/* A name and its counts. seq is odd while the row changes its owner. */
struct board_label {
	uint32_t seq;
	uint32_t score; /* halved now and then: how busy it was lately */
	char name[BOARD_NAME];
	uint64_t ends[BOARD_ENDS];
};

/* How long delivered recipients took from their arrival. */
struct board_latency {
	uint64_t bucket[BOARD_LATENCIES + 1]; /* not cumulative */
	uint64_t sum_ms;
};

struct board_labels {
	struct board_label site[BOARD_SITES + 1];
	struct board_label class[BOARD_CLASSES + 1];
	struct board_latency latency[BOARD_CLASSES + 1]; /* of the class of that number */
};

struct board_page {
	alignas(BOARD_PAGE_BYTES) struct counters_page counters;
};

struct board {
	alignas(BOARD_PAGE_BYTES) struct board_head head;
	alignas(BOARD_PAGE_BYTES) struct board_labels labels;
	struct board_page page[BOARD_PAGES];
};

/*
 * master: makes the board and counts in its first page from now on. *fd is for children, *reader
 * for those who only read; both close-on-exec. NULL with errno set.
 */
struct board *board_create(int *fd, int *reader);

/*
 * A child: counts in that page from now on (counters_use()); the file stays open. Returns 0,
 * -EBADMSG for a file that is no board of this build, -EINVAL, or another -E....
 */
int board_attach(int fd, unsigned page);

/* qmgr: its part. NULL with errno set. */
struct board_labels *board_labels(int fd);

/* A reader: all of it, read only. NULL with errno set (EBADMSG: no board of this build). */
const struct board *board_view(int fd);
void board_unview(const struct board *board);

/* The sum of a counter over all processes; of a gauge over those that live. */
uint64_t board_sum(const struct board *board, enum counter c);

/*
 * A row of the labels as it was at one moment: false for one that has no name. The name ends
 * with a NUL and has no control characters.
 */
bool board_label(const struct board_label *at, struct board_label *copy);

/*
 * How much a trend rose a second over the last `ms`, or since the instance started; *span_ms: over
 * which time that is, 0 where nothing is known yet.
 */
double board_rate(const struct board *board, enum board_trend trend, int64_t ms, int64_t *span_ms);

/* The sum that a trend is made of, now. */
uint64_t board_trend_now(const struct board *board, enum board_trend trend);
