/* SPDX-License-Identifier: ISC */
/*
 * Whole words are read and written, so no value is torn. A name is longer: its writer makes seq
 * odd, and a reader that finds it odd or changed tries again a few times, then does without.
 */
#include "lib/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"

enum { LABEL_TRIES = 100 };

const uint32_t board_latency_ms[BOARD_LATENCIES] = {
    10, 50, 100, 250, 500, 1000, 5000, 15000, 60000, 300000, 900000, 3600000, 14400000, 86400000};

_Static_assert(sizeof(struct board_page) == BOARD_PAGE_BYTES, "a page of counters is a page");

/* reopen - the same file, to be read only */
static int reopen(int fd)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* make_file - sealed; who gets a reader's descriptor can't open the file anew for writing */
static int make_file(void)
{
	int fd = memfd_create("baton-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)sizeof(struct board)) == 0 && fchmod(fd, 0400) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	int e = errno;
	close(fd);
	errno = e;
	return -1;
}

/* board_create - head, and master's own page */
struct board *board_create(int *fd, int *reader)
{
	int f = make_file(), r = f >= 0 ? reopen(f) : -1;
	void *p = MAP_FAILED;
	if (r >= 0)
		p = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	if (p == MAP_FAILED) {
		int e = errno;
		if (r >= 0)
			close(r);
		if (f >= 0)
			close(f);
		errno = e;
		return NULL;
	}
	struct board *board = p;
	board->head.magic = BOARD_MAGIC;
	board->head.size = sizeof(struct board);
	board->head.counters = COUNTERS;
	board->head.used = 1;
	counters_use(&board->page[0].counters);
	*fd = f;
	*reader = r;
	return board;
}

/* check - whether fd is a board of this build */
static int check(int fd)
{
	uint64_t head[3];
	struct stat st;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (st.st_size != (off_t)sizeof(struct board) ||
	    pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return -EBADMSG;
	return head[0] == BOARD_MAGIC && head[1] == sizeof(struct board) && head[2] == COUNTERS
		   ? 0
		   : -EBADMSG;
}

/* map_part - some bytes of it, to be written */
static void *map_part(int fd, size_t offset, size_t size)
{
	int e = check(fd);
	if (e) {
		errno = -e;
		return NULL;
	}
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	return p == MAP_FAILED ? NULL : p;
}

/* board_attach - a child's own page */
int board_attach(int fd, unsigned page)
{
	if (page == 0 || page >= BOARD_PAGES)
		return -EINVAL;
	struct board_page *p =
	    map_part(fd, offsetof(struct board, page) + page * sizeof(*p), sizeof(*p));
	if (!p)
		return -errno;
	counters_use(&p->counters);
	return 0;
}

/* board_labels - qmgr's part */
struct board_labels *board_labels(int fd)
{
	return map_part(fd, offsetof(struct board, labels), sizeof(struct board_labels));
}

/* board_view - all, to be read */
const struct board *board_view(int fd)
{
	int e = check(fd);
	if (e) {
		errno = -e;
		return NULL;
	}
	void *p = mmap(NULL, sizeof(struct board), PROT_READ, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* board_unview - done with it */
void board_unview(const struct board *board)
{
	if (board)
		munmap((void *)board, sizeof(*board));
}

/* board_sum - over all rows in use */
uint64_t board_sum(const struct board *board, enum counter c)
{
	uint32_t used = board->head.used;
	uint64_t sum = 0;
	for (uint32_t i = 0; i < used && i < BOARD_PAGES; i++)
		/* what a gauge said when its process ended is no state any more */
		if (board->head.row[i].alive || !counter_is_gauge(c))
			sum += counter_read(&board->page[i].counters, c);
	return sum;
}

/* clean - an end, and nothing that a terminal would obey */
static void clean(char name[BOARD_NAME])
{
	name[BOARD_NAME - 1] = '\0';
	for (char *p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			*p = '?';
}

/* board_label - at one moment */
bool board_label(const struct board_label *at, struct board_label *copy)
{
	for (int i = 0; i < LABEL_TRIES; i++) {
		uint32_t seq = __atomic_load_n(&at->seq, __ATOMIC_ACQUIRE);
		memcpy(copy, at, sizeof(*copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if ((seq & 1) == 0 && seq == __atomic_load_n(&at->seq, __ATOMIC_RELAXED)) {
			clean(copy->name);
			return copy->name[0];
		}
	}
	return false;
}

/* board_trend_now - by what it is made of */
uint64_t board_trend_now(const struct board *board, enum board_trend trend)
{
	static const enum counter made_of[TREND_KINDS] = {
	    [TREND_ACCEPTED] = C_smtp_messages_accepted,
	    [TREND_DELIVERED] = C_queue_delivered,
	    [TREND_DEFERRED] = C_queue_deferrals,
	    [TREND_BOUNCED] = C_queue_bounced,
	};
	return board_sum(board, made_of[trend]);
}

/* board_rate - against the youngest sample that is old enough, or the oldest there is */
double board_rate(const struct board *board, enum board_trend trend, int64_t ms, int64_t *span_ms)
{
	const struct board_sample *found = NULL;
	int64_t now = clock_ms();
	*span_ms = 0;
	for (unsigned i = 0; i < BOARD_TRENDS; i++) {
		const struct board_sample *s = &board->head.sample[i];
		if (!s->at_ms)
			continue;
		bool old = now - s->at_ms >= ms, found_old = found && now - found->at_ms >= ms;
		if (!found || (old && (!found_old || s->at_ms > found->at_ms)) ||
		    (!old && !found_old && s->at_ms < found->at_ms))
			found = s;
	}
	if (!found || now <= found->at_ms)
		return 0;
	*span_ms = now - found->at_ms;
	uint64_t sum = board_trend_now(board, trend);
	if (sum <= found->v[trend])
		return 0;
	return (double)(sum - found->v[trend]) * 1000 / (double)*span_ms;
}
