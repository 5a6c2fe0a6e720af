/* SPDX-License-Identifier: ISC */
/*
 * Who is in memory and when. A recipient that is due takes a place in its destination's ready list
 * if the active window has room; otherwise, and when its time is later, it lives in the index and
 * is read back by its destination's walk (refill), a few at a time. A destination's timer knows
 * the earliest due time that it has there.
 *
 * The window is bounded as a whole (WINDOW_ALL) and for each destination, which gets at most a
 * quarter of what is still free: however many slow ones there are, a new one finds room. A lane
 * (class and sender) that has few in it gets in even where others have filled it, so that nobody
 * waits in the index behind another one's million.
 * schedule.c keeps the window, refill.c reads back, expire.c looks for what is over.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"

#define WINDOW_ALL        20000u
#define WINDOW_DEST       4000u
#define WINDOW_DEST_MIN   20u  /* so that a connection is worth opening */
#define WINDOW_FEW        16u   /* of one sender at a destination, whatever others have there */
#define WINDOW_SPARE      4000u /* for that, beyond WINDOW_ALL ... */
#define WINDOW_SPARE_DEST 1000u /* ... and beyond WINDOW_DEST */
#define REFILL_ROWS       500   /* recipients read back in one slice */
#define REFILL_LOW        100   /* ready recipients of a destination below which more are read */
#define REFILL_AT_ONCE    4     /* slices asked for at a time */

struct dest;
struct rcpt;

void schedule_init(void);
/* Everybody has spoken: reading back may begin. */
void schedule_start(void);

/* A recipient with a destination goes where it belongs now: ready, or back to the index. */
void schedule_place(struct rcpt *rcpt);

/* Its next attempt is at due_ms. */
void schedule_later(struct rcpt *rcpt, uint64_t due_ms);

/* Out of memory: the index has it as it is. Frees it, and its message when that was the last. */
void schedule_forget(struct rcpt *rcpt);

/* A destination has a due key in the index that isn't in memory. */
void schedule_note(struct dest *dest, uint32_t lane, uint64_t due_ms);

/* How many more recipients of it the window takes: of any lane, or of this one. */
unsigned schedule_room(const struct dest *dest);
unsigned schedule_lane_room(const struct dest *dest, uint32_t lane);
/* How many of the lane it takes even if others have filled it; what is left for all such. */
unsigned schedule_few(const struct dest *dest, uint32_t lane);
unsigned schedule_spare(const struct dest *dest);
/* Nobody gets in. */
bool schedule_full(void);

/* It gives up its place in the window, if it has one. */
void schedule_leave(struct rcpt *rcpt);

/* The destination may have room for more: reads back what is due. */
void schedule_refill(struct dest *dest);

/* All it has in the index is looked at again, whatever was known. */
void schedule_rewind(struct dest *dest);

/* Slices for those in line, as long as there is room. */
void refill_pump(void);

/* Its ready recipients go back to the index: its site is down. */
void schedule_park(struct dest *dest);

/* Recipients of the destination whose lifetime is over are read back, each once: see bounce.h. */
void schedule_expire(struct dest *dest);

/* Learns all destinations of the index; `done` is called in the loop when they are known. */
void schedule_load(void (*done)(void));

/* Milliseconds until the next try after `attempts` of them; random is any number. */
uint64_t schedule_interval(const struct conf_retry *retry, unsigned attempts, uint32_t random);
/* The time of the next try, on now_ms()'s clock. */
uint64_t schedule_retry_at(unsigned attempts);
/* Whether the message has outlived retry.lifetime at `when`. */
bool schedule_expired(const struct rcpt *rcpt, uint64_t when);

uint32_t schedule_random(void);
unsigned schedule_active(void);
