/* SPDX-License-Identifier: ISC */
/* An offset between the two clocks, taken once. */
#include "qmgr/now.h"

#include "lib/clock.h"
#include "lib/loop.h"

static int64_t offset;

/* now_init - take the offset */
void now_init(uint64_t wall_ms)
{
	offset = (wall_ms ? (int64_t)wall_ms : clock_wall_ms()) - clock_ms();
}

/* now_ms - the turn's monotonic time as a date */
uint64_t now_ms(void)
{
	return (uint64_t)((int64_t)loop_ms() + offset);
}
