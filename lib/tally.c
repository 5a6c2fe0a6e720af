/* SPDX-License-Identifier: ISC */
/*
 * A client has its place in the same bucket of every table, since the hash has one seed for all; a
 * sum walks that bucket of each table in use. A place whose client has no session is given away
 * when the bucket is full, the one unused longest first. Its numbers go before its key changes, so
 * that a reader in between sees too little, never another client's numbers.
 */
#include "lib/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"

struct tally_client {
	uint64_t key[2]; /* all zero: free */
	uint32_t open;
	uint32_t used; /* second of the last use */
	struct {
		uint32_t period; /* number of the period that count is of */
		uint32_t count;
	} rate[TALLY_WHATS];
};

struct line {
	uint32_t used;
	uint32_t sessions;
};

struct head {
	uint64_t magic;
	uint64_t seed;
	struct line line[TALLY_WORKERS];
};

struct table {
	struct tally_client at[TALLY_BUCKETS][TALLY_WAYS];
};

#define HEAD_SIZE  ((sizeof(struct head) + 4095) / 4096 * 4096)
#define TABLE_SIZE ((sizeof(struct table) + 4095) / 4096 * 4096)
#define FILE_SIZE  (HEAD_SIZE + TALLY_WORKERS * TABLE_SIZE)

static struct head *head;
static unsigned self; /* our line and table, from 0 */

/* load - what another worker may be writing */
static uint32_t load(const uint32_t *v)
{
	return __atomic_load_n(v, __ATOMIC_SEQ_CST);
}

/* store - what other workers read */
static void store(uint32_t *v, uint32_t n)
{
	__atomic_store_n(v, n, __ATOMIC_SEQ_CST);
}

/* tally_create - sealed, so that a worker can't make the others fault */
int tally_create(void)
{
	struct head first = {.magic = TALLY_MAGIC};
	int fd = memfd_create("baton-tally", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (getrandom(&first.seed, sizeof(first.seed), 0) == (ssize_t)sizeof(first.seed) &&
	    ftruncate(fd, (off_t)FILE_SIZE) == 0 &&
	    pwrite(fd, &first, sizeof(first), 0) == (ssize_t)sizeof(first) &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	int e = -errno;
	close(fd);
	return e ? e : -EIO;
}

/* table_at - where a worker's table lies in the file */
static off_t table_at(unsigned worker)
{
	return (off_t)(HEAD_SIZE + worker * TABLE_SIZE);
}

/* tally_forget - the line first: from then on nobody looks at the table */
void tally_forget(int fd, unsigned worker)
{
	static const struct line none;
	if (fd < 0 || worker == 0 || worker > TALLY_WORKERS)
		return;
	worker--;
	off_t at = (off_t)(offsetof(struct head, line) + worker * sizeof(struct line));
	if (pwrite(fd, &none, sizeof(none), at) != (ssize_t)sizeof(none) ||
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, table_at(worker),
		(off_t)TABLE_SIZE) != 0)
		log_warn("what a dead worker counted stays counted");
}

/* attach - the mapping becomes ours */
static void attach(struct head *h, unsigned worker)
{
	head = h;
	self = worker;
	store(&head->line[self].sessions, 0);
	store(&head->line[self].used, 1);
}

/* tally_attach - shared from now on */
int tally_attach(int fd, unsigned worker)
{
	struct stat st;
	if (worker == 0 || worker > TALLY_WORKERS)
		return -EINVAL;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (st.st_size != (off_t)FILE_SIZE)
		return -EBADMSG;
	struct head *h = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED)
		return -errno;
	if (h->magic != TALLY_MAGIC) {
		munmap(h, FILE_SIZE);
		return -EBADMSG;
	}
	tally_forget(fd, worker); /* of the one before, whose end master hadn't seen */
	attach(h, worker - 1);
	return 0;
}

/* shared - the mapping; one of our own where none was given. NULL: no memory */
static struct head *shared(void)
{
	if (head)
		return head;
	struct head *h = mmap(NULL, HEAD_SIZE + TABLE_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h == MAP_FAILED)
		return NULL;
	attach(h, 0);
	return head;
}

/* tally_sessions - ours said, then all added */
uint32_t tally_sessions(uint32_t mine)
{
	uint32_t sum = 0;
	if (!shared())
		return mine;
	store(&head->line[self].sessions, mine);
	for (unsigned w = 0; w < TALLY_WORKERS; w++)
		sum += load(&head->line[w].sessions);
	return sum;
}

/* bucket - of a key, in a worker's table */
static struct tally_client *bucket(unsigned worker, const uint64_t key[2])
{
	struct table *t = (struct table *)((char *)head + table_at(worker));
	return t->at[hash_seeded(key, 2 * sizeof(key[0]), head->seed) % TALLY_BUCKETS];
}

/* find - a client's place in a worker's table */
static struct tally_client *find(unsigned worker, const uint64_t key[2])
{
	struct tally_client *c = bucket(worker, key);
	for (unsigned i = 0; i < TALLY_WAYS; i++, c++)
		if (__atomic_load_n(&c->key[0], __ATOMIC_ACQUIRE) == key[0] &&
		    __atomic_load_n(&c->key[1], __ATOMIC_ACQUIRE) == key[1])
			return c;
	return NULL;
}

/* make_key - never all zero; whole networks of IPv6, which are one customer's */
static void make_key(const struct dns_addr *addr, uint64_t key[2])
{
	key[0] = 0;
	memcpy(&key[0], addr->bytes, addr->family == 4 ? 4 : 8);
	key[1] = addr->family;
}

/* give - a free place of our table, or the one unused longest; NULL: all have sessions */
static struct tally_client *give(const uint64_t key[2])
{
	struct tally_client *c = bucket(self, key), *best = NULL;
	for (unsigned i = 0; i < TALLY_WAYS; i++, c++)
		if (c->open == 0 && (!best || c->used < best->used))
			best = c;
	if (!best)
		return NULL;
	for (unsigned i = 0; i < TALLY_WHATS; i++)
		store(&best->rate[i].count, 0);
	__atomic_store_n(&best->key[0], key[0], __ATOMIC_RELEASE);
	__atomic_store_n(&best->key[1], key[1], __ATOMIC_RELEASE);
	return best;
}

/* tally_enter - one more */
struct tally_client *tally_enter(const struct dns_addr *addr)
{
	uint64_t key[2];
	if (!shared())
		return NULL;
	make_key(addr, key);
	struct tally_client *c = find(self, key);
	if (!c)
		c = give(key);
	if (!c)
		return NULL;
	c->used = (uint32_t)(loop_ms() / 1000);
	store(&c->open, c->open + 1);
	return c;
}

/* tally_leave - one less */
void tally_leave(struct tally_client *c)
{
	if (c)
		store(&c->open, c->open - 1);
}

/* tally_open - over all tables in use */
uint32_t tally_open(const struct tally_client *c)
{
	uint32_t sum = 0;
	for (unsigned w = 0; c && w < TALLY_WORKERS; w++) {
		const struct tally_client *its =
		    load(&head->line[w].used) ? find(w, c->key) : NULL;
		sum += its ? load(&its->open) : 0;
	}
	return sum;
}

/* tally_rate - a count of an earlier period is none */
uint32_t tally_rate(struct tally_client *c, enum tally_what what, uint32_t period, uint32_t add)
{
	uint32_t now = (uint32_t)(loop_ms() / period), sum = 0;
	if (!c)
		return 0;
	if (c->rate[what].period != now) {
		store(&c->rate[what].count, 0);
		store(&c->rate[what].period, now);
	}
	store(&c->rate[what].count, c->rate[what].count + add);
	for (unsigned w = 0; w < TALLY_WORKERS; w++) {
		const struct tally_client *its =
		    load(&head->line[w].used) ? find(w, c->key) : NULL;
		if (its && load(&its->rate[what].period) == now)
			sum += load(&its->rate[what].count);
	}
	return sum;
}
