/* SPDX-License-Identifier: ISC */
/*
 * Each place is a seqlock with one writer: its number is odd while it's being written, and a reader
 * whose copy lies between two different numbers throws it away. All words of a place are read and
 * written as relaxed atomics, ordered by the fences around them.
 */
#include "lib/answers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"

#define ANSWERS_MAGIC 0x4241544f4e414e31ull /* "BATONAN1" */

/* What one place says. */
struct said {
	uint64_t drops; /* the head's, when it was said: another one now means that it's void */
	int64_t at_ms;
	int64_t until_ms;
	uint8_t kind;
	uint8_t spare;
	uint16_t name_len;
	uint32_t len; /* of the answer, which stands behind the name */
	uint8_t bytes[ANSWERS_BYTES];
};

enum { WORDS = sizeof(struct said) / sizeof(uint64_t) };
_Static_assert(sizeof(struct said) % sizeof(uint64_t) == 0, "said is made of words");

struct slot {
	uint64_t number;
	uint64_t word[WORDS];
};

struct head {
	uint64_t magic;
	uint64_t drops;
	uint64_t spare[510];
	struct slot slot[ANSWERS_SLOTS];
};

static struct head *head;         /* of dnscache */
static const struct head *theirs; /* of those who ask */

/* answers_create - the mode keeps a role from opening its descriptor anew for writing */
int answers_create(int *writer, int *reader)
{
	char path[48];
	int fd = memfd_create("baton-answers", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;
	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fchmod(fd, 0600) != 0 || ftruncate(fd, (off_t)sizeof(struct head)) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		goto out;
	*reader = open(path, O_RDONLY | O_CLOEXEC);
	if (*reader < 0)
		goto out;
	*writer = fd;
	return 0;
out:
	err = -errno;
	close(fd);
	return err;
}

/* map - the file, if it is one of ours; NULL with errno set */
static void *map(int fd, int prot)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return NULL;
	if (st.st_size != (off_t)sizeof(struct head)) {
		errno = EBADMSG;
		return NULL;
	}
	void *p = mmap(NULL, sizeof(struct head), prot, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* slot_number - where a question has its place (FNV-1a) */
static unsigned slot_number(enum dns_site_kind kind, const char *domain, size_t len)
{
	uint64_t h = 14695981039346656037ull ^ kind;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)domain[i]) * 1099511628211ull;
	return (unsigned)((h ^ h >> 32) % ANSWERS_SLOTS);
}

/* answers_serve - a place that the one before us was writing has an odd number for good */
int answers_serve(int fd)
{
	struct head *h = map(fd, PROT_READ | PROT_WRITE);
	if (!h)
		return -errno;
	for (unsigned i = 0; h->magic == ANSWERS_MAGIC && i < ANSWERS_SLOTS; i++)
		if (h->slot[i].number & 1)
			__atomic_store_n(
			    &h->slot[i].number, h->slot[i].number + 1, __ATOMIC_RELEASE);
	h->magic = ANSWERS_MAGIC;
	head = h;
	answers_drop();
	return 0;
}

/* answers_drop - places of an earlier count of drops are void */
void answers_drop(void)
{
	if (head)
		__atomic_fetch_add(&head->drops, 1, __ATOMIC_SEQ_CST);
}

/* put - what a place says from now on */
static void put(struct slot *slot, const struct said *said, size_t size)
{
	uint64_t number = slot->number, words[WORDS];
	size_t n = (size + sizeof(*words) - 1) / sizeof(*words);
	words[n - 1] = 0;
	memcpy(words, said, size);
	__atomic_store_n(&slot->number, number + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (size_t i = 0; i < n; i++)
		__atomic_store_n(&slot->word[i], words[i], __ATOMIC_RELAXED);
	__atomic_store_n(&slot->number, number + 2, __ATOMIC_RELEASE);
}

/* answers_tell - what doesn't fit is asked by messages */
void answers_tell(enum dns_site_kind kind, const char *domain, const struct msg_dns_site_is *m)
{
	static struct said said;
	static unsigned char packet[MSG_HEADER + ANSWERS_BYTES];
	size_t name_len = strlen(domain);
	struct msg_dns_site_is answer = *m;
	answer.request = 0;
	if (!head || m->verdict != DNS_OK || m->ttl_s == 0 || name_len > DNS_NAME_MAX)
		return;
	int n = msg_encode(MSG_dns_site_is, &answer, packet, sizeof(packet), NULL, &(unsigned){0});
	if (n < MSG_HEADER || (size_t)n - MSG_HEADER + name_len > ANSWERS_BYTES)
		return;
	int64_t now = clock_ms(),
		good = m->ttl_s < ANSWERS_MS / 1000 ? m->ttl_s * 1000 : ANSWERS_MS;
	said.drops = head->drops;
	said.at_ms = now;
	said.until_ms = now + good;
	said.kind = (uint8_t)kind;
	said.name_len = (uint16_t)name_len;
	said.len = (uint32_t)n - MSG_HEADER;
	memcpy(said.bytes, domain, name_len);
	memcpy(said.bytes + name_len, packet + MSG_HEADER, said.len);
	put(&head->slot[slot_number(kind, domain, name_len)], &said,
	    offsetof(struct said, bytes) + name_len + said.len);
}

/* answers_attach - read only */
int answers_attach(int fd)
{
	theirs = map(fd, PROT_READ);
	return theirs ? 0 : -errno;
}

/* get - a copy of a place; false when it was being written */
static bool get(const struct slot *slot, struct said *said)
{
	uint64_t words[WORDS];
	uint64_t number = __atomic_load_n(&slot->number, __ATOMIC_ACQUIRE);
	if (number == 0 || number & 1)
		return false;
	for (size_t i = 0; i < WORDS; i++)
		words[i] = __atomic_load_n(&slot->word[i], __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&slot->number, __ATOMIC_RELAXED) != number)
		return false;
	memcpy(said, words, sizeof(*said));
	return true;
}

/* answers_it - whether it is the answer to that question, still good and of a possible size */
static bool answers_it(const struct said *said, enum dns_site_kind kind, struct msg_bytes domain,
    uint64_t drops, int64_t now)
{
	return said->kind == kind && said->name_len == domain.len && said->len <= ANSWERS_BYTES &&
	       said->name_len + said->len <= ANSWERS_BYTES &&
	       memcmp(said->bytes, domain.data, domain.len) == 0 && said->drops == drops &&
	       said->at_ms <= now && now < said->until_ms && said->until_ms - now <= ANSWERS_MS;
}

/* answers_find - decoded like a message, for dnscache may be somebody else's by now */
bool answers_find(enum dns_site_kind kind, struct msg_bytes domain, struct msg_dns_site_is *m)
{
	static struct said said;
	union msg_any any;
	int64_t now = clock_ms();
	if (!theirs || domain.len > DNS_NAME_MAX)
		return false;
	uint64_t drops = __atomic_load_n(&theirs->drops, __ATOMIC_SEQ_CST);
	if (!get(&theirs->slot[slot_number(kind, domain.data, domain.len)], &said) ||
	    !answers_it(&said, kind, domain, drops, now) ||
	    msg_decode(MSG_dns_site_is, said.bytes + said.name_len, said.len, NULL, 0, &any) != 0 ||
	    any.dns_site_is.verdict != DNS_OK)
		return false;
	*m = any.dns_site_is;
	uint32_t age_s = (uint32_t)((now - said.at_ms) / 1000);
	m->ttl_s -= m->ttl_s < age_s ? m->ttl_s : age_s;
	return true;
}
