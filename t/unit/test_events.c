/* SPDX-License-Identifier: ISC */
/* lib/events: rings that are written over, torn, cut short by a death, read by others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/events.h"

#define SLOTS 64

static struct events_ring *ring; /* what we write into, as a reader would not have it */
static struct events_reader reader;

/* fresh - an empty ring that this process writes into */
static int fresh(unsigned slots)
{
	int fd = events_create(slots);
	assert_true(fd >= 0);
	assert_int_equal(events_attach(fd), 0);
	ring = events_mine;
	events_close(&reader);
	assert_int_equal(events_open(fd, &reader), 0);
	return fd;
}

/* put - an event with a text of n bytes of that letter */
static void put(uint64_t id, size_t n, char letter)
{
	char text[EVENT_TEXT_MAX + 100];
	memset(text, letter, n);
	EVENT_PUT(FINAL, .id = id, .value = id * 2, .at_us = (int64_t)id, .code = 250,
	    .what = msg_str("mx"), .words = msg_bytes(text, n));
}

/* count - what a reader finds of an ID; each event has to be whole */
static unsigned count(const struct events_reader *r, uint64_t id)
{
	struct event e;
	uint64_t pos = 0, last = 0;
	unsigned n = 0;
	while (events_read(r, &pos, &e)) {
		assert_true(e.seq > last);
		last = e.seq;
		assert_int_equal(e.value, e.id * 2);
		for (size_t i = 1; i < e.words_len; i++)
			assert_int_equal(e.text[e.what_len + i], e.text[e.what_len]);
		n += e.id == id;
	}
	return n;
}

static void test_one(void **state)
{
	struct event e;
	uint64_t pos = 0;
	int fd = fresh(SLOTS);
	(void)state;
	EVENT_PUT(ACCEPTED, .id = 77, .number = 3, .value = 4096, .code = 7, .at_us = 1234567,
	    .what = msg_str("192.0.2.1"), .words = msg_str("a@b"));
	assert_int_equal(events_read(&reader, &pos, &e), 1);
	assert_int_equal(e.type, EVENT_ACCEPTED);
	assert_int_equal(e.id, 77);
	assert_int_equal(e.number, 3);
	assert_int_equal(e.value, 4096);
	assert_int_equal(e.code, 7);
	assert_int_equal(e.at_us, 1234567);
	assert_int_equal(e.what_len, 9);
	assert_int_equal(e.words_len, 3);
	assert_memory_equal(e.text, "192.0.2.1a@b", 12);
	assert_int_equal(events_read(&reader, &pos, &e), 0);
	assert_string_equal(event_word(EVENT_ACCEPTED), "accepted");
	assert_string_equal(event_word(EVENT_TYPE_COUNT), "?");
	close(fd);
}

/* texts of every length come back whole, up to what is kept */
static void test_long_text(void **state)
{
	struct event e;
	int fd = fresh(SLOTS);
	(void)state;
	for (size_t n = 0; n <= EVENT_TEXT_MAX + 50; n++) {
		uint64_t pos = ring->written;
		put(n + 1, n, (char)('a' + n % 26));
		assert_int_equal(events_read(&reader, &pos, &e), 1);
		assert_int_equal(e.id, n + 1);
		assert_int_equal(e.what_len, 2);
		assert_int_equal(e.words_len, n < EVENT_TEXT_MAX - 2 ? n : EVENT_TEXT_MAX - 2);
		for (size_t i = 0; i < e.words_len; i++)
			assert_int_equal(e.text[2 + i], 'a' + n % 26);
		assert_int_equal(events_read(&reader, &pos, &e), 0);
	}
	close(fd);
}

/* after any number of events the last ones are there, each once and in order */
static void test_wrap(void **state)
{
	int fd = fresh(SLOTS);
	(void)state;
	assert_int_equal(events_horizon(&reader), ring->since_us);
	for (uint64_t id = 1; id <= 10 * SLOTS + 7; id++) {
		put(id, 20, 'x');
		uint64_t first = id > SLOTS ? id - SLOTS + 1 : 1;
		assert_int_equal(count(&reader, id), 1);
		assert_int_equal(count(&reader, first), 1);
		assert_int_equal(count(&reader, first - 1), 0);
		assert_int_equal(count(&reader, id + 1), 0);
	}
	assert_int_equal(events_horizon(&reader), 9 * SLOTS + 8);
	close(fd);
}

/* what was begun before the ring's oldest slot is no event any more, nor is its rest */
static void test_overwritten_text(void **state)
{
	int fd = fresh(SLOTS);
	(void)state;
	const unsigned taken = (300 + 2 + EVENT_TEXT - 1) / EVENT_TEXT;
	put(1, 300, 'a');
	for (uint64_t id = 2; id <= SLOTS - taken + 1; id++)
		put(id, 20, 'x');
	assert_int_equal(count(&reader, 1), 1);
	put(1000, 20, 'y'); /* over its first slot */
	assert_int_equal(count(&reader, 1), 0);
	assert_int_equal(count(&reader, 2), 1);
	assert_int_equal(count(&reader, 1000), 1);
	close(fd);
}

/* a slot that is not whole is passed over; a text whose rest is missing ends there */
static void test_torn(void **state)
{
	struct event e;
	uint64_t pos = 0;
	int fd = fresh(SLOTS);
	(void)state;
	put(1, 20, 'a');
	put(2, 20, 'b');
	put(3, 200, 'c');
	put(4, 20, 'd');
	ring->slot[1].seq = 0;
	ring->slot[4].seq = 0; /* the last of the text of 3 */
	assert_int_equal(count(&reader, 1), 1);
	assert_int_equal(count(&reader, 2), 0);
	assert_int_equal(count(&reader, 4), 1);
	while (events_read(&reader, &pos, &e))
		if (e.id == 3)
			assert_int_equal(e.what_len + e.words_len, 2 * EVENT_TEXT);
	close(fd);
}

/* a writer that lies about lengths and kinds spoils its own events only */
static void test_lies(void **state)
{
	struct event e;
	uint64_t pos = 0;
	unsigned n = 0;
	int fd = fresh(SLOTS);
	(void)state;
	for (uint64_t id = 1; id <= 6; id++)
		put(id, 20, 'a');
	ring->slot[0].len = 255;
	ring->slot[1].type = EVENT_TYPE_COUNT;
	ring->slot[2].more = 255;
	ring->slot[3].what = 255;
	ring->slot[4].seq = 99;
	while (events_read(&reader, &pos, &e)) {
		n++;
		assert_true(e.what_len + e.words_len <= EVENT_TEXT_MAX);
	}
	assert_int_equal(n, 3);   /* the 3rd, 4th and 6th */
	ring->slots = 1ull << 40; /* nor is it believed later what it was at first */
	assert_int_equal(count(&reader, 0), 0);
	ring->slots = SLOTS;
	ring->written = UINT64_MAX - 5;
	pos = 0;
	assert_int_equal(events_read(&reader, &pos, &e), 0);
	close(fd);
}

/* write_and_die - a process that is killed while it writes */
static void write_and_die(int fd)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		events_mine = NULL;
		if (events_attach(fd) != 0)
			_exit(1);
		for (uint64_t id = 1;; id++)
			put(id, id % 400, (char)('a' + id % 26));
	}
	while (__atomic_load_n(&ring->written, __ATOMIC_ACQUIRE) < 100 * SLOTS)
		count(&reader, 0); /* read what it is writing over meanwhile */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* its events are there after its death, and the next one goes on behind them */
static void test_death(void **state)
{
	int fd = fresh(SLOTS);
	(void)state;
	write_and_die(fd);
	uint64_t written = ring->written;
	assert_int_equal(events_attach(fd), 0);
	ring = events_mine;
	put(1ull << 40, 20, 'n');
	assert_int_equal(ring->written, written + 1);
	assert_int_equal(count(&reader, 1ull << 40), 1);
	close(fd);
}

/* who gets it for reading can't write, cut or grow it */
static void test_read_only(void **state)
{
	char path[40];
	struct stat st;
	int fd = fresh(SLOTS);
	(void)state;
	put(5, 20, 'a');
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int read_fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read_fd >= 0);
	struct events_reader other;
	assert_int_equal(events_open(read_fd, &other), 0);
	assert_int_equal(count(&other, 5), 1);
	assert_ptr_equal(
	    mmap(NULL, other.size, PROT_READ | PROT_WRITE, MAP_SHARED, read_fd, 0), MAP_FAILED);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, (off_t)other.size * 2), -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, S_IRUSR);
	events_close(&other);
	close(read_fd);
	close(fd);
}

static void test_foreign(void **state)
{
	int fd = memfd_create("x", 0);
	(void)state;
	assert_int_equal(events_attach(fd), -EBADMSG);
	assert_int_equal(ftruncate(fd, 64 * EVENT_SLOT), 0);
	assert_int_equal(events_attach(fd), -EBADMSG);
	close(fd);
	int null = open("/dev/null", O_RDWR);
	assert_int_equal(events_attach(null), -EBADMSG);
	close(null);
}

static void test_shares(void **state)
{
	(void)state;
	assert_int_equal(events_share(ROLE_SMTPD, 2) * 2 + events_share(ROLE_QMGR, 1) +
			     events_share(ROLE_DELIVER, 2) * 2,
	    EVENTS_KEPT);
	assert_int_equal(events_share(ROLE_DELIVER, 256), EVENTS_MIN);
	assert_int_equal(events_share(ROLE_KEEPER, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one),
	    cmocka_unit_test(test_long_text),
	    cmocka_unit_test(test_wrap),
	    cmocka_unit_test(test_overwritten_text),
	    cmocka_unit_test(test_torn),
	    cmocka_unit_test(test_lies),
	    cmocka_unit_test(test_death),
	    cmocka_unit_test(test_read_only),
	    cmocka_unit_test(test_foreign),
	    cmocka_unit_test(test_shares),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
