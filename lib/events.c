/* SPDX-License-Identifier: ISC */
/*
 * A slot is written like this: seq becomes 0, the rest is put, seq becomes what it is. A reader
 * copies the slot between two looks at seq: equal ones, not 0, mean that what it has is whole. The
 * fences are free on x86, where stores are seen in their order.
 */
#include "lib/events.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"

_Static_assert(sizeof(struct event_slot) == EVENT_SLOT, "slots are as large as said");
_Static_assert(sizeof(struct events_ring) == EVENT_SLOT, "the header takes one slot");

struct events_ring *events_mine;
int64_t events_clock;
static uint64_t next_slot; /* index of the slot that is written next: written modulo slots */

static const char *const words[EVENT_TYPE_COUNT] = {
#define EVENT(name, word) [EVENT_##name] = word,
#include "lib/events.def"
#undef EVENT
};

/* event_word - for people and JSON */
const char *event_word(unsigned type)
{
	return type < EVENT_TYPE_COUNT && words[type] ? words[type] : "?";
}

/* events_share - what a message makes in each role: two in smtpd, about five in both others */
unsigned events_share(enum role role, unsigned count)
{
	unsigned tenths = role == ROLE_SMTPD                          ? 2
			  : role == ROLE_QMGR || role == ROLE_DELIVER ? 4
								      : 0;
	unsigned share = EVENTS_KEPT / 10 * tenths / (count ? count : 1);
	return !tenths ? 0 : share > EVENTS_MIN ? share : EVENTS_MIN;
}

/* ring_size - bytes of a ring */
static size_t ring_size(uint64_t slots)
{
	return sizeof(struct events_ring) + slots * sizeof(struct event_slot);
}

/* map - a ring, or NULL with errno */
static struct events_ring *map(int fd, int prot, size_t *size)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return NULL;
	if (st.st_size < (off_t)ring_size(1)) {
		errno = EBADMSG;
		return NULL;
	}
	*size = (size_t)st.st_size;
	struct events_ring *ring = mmap(NULL, *size, prot, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return NULL;
	if (ring->magic == EVENTS_RING_MAGIC && ring->slots && ring->slots < *size &&
	    ring_size(ring->slots) == *size)
		return ring;
	munmap(ring, *size);
	errno = EBADMSG;
	return NULL;
}

/* events_create - an empty ring; its owner alone may open it anew */
int events_create(unsigned slots)
{
	struct events_ring head = {
	    .magic = EVENTS_RING_MAGIC, .slots = slots, .since_us = clock_us()};
	int fd = memfd_create("baton-events", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)ring_size(slots)) == 0 &&
	    pwrite(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	    fchmod(fd, S_IRUSR) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	int e = -errno;
	close(fd);
	return e;
}

/* events_attach - go on where the one before stopped */
int events_attach(int fd)
{
	size_t size;
	struct events_ring *ring = map(fd, PROT_READ | PROT_WRITE, &size);
	if (!ring)
		return -errno;
	next_slot = ring->written % ring->slots;
	events_mine = ring;
	return 0;
}

/* events_time - read once between two ticks */
int64_t events_time(void)
{
	if (!events_clock)
		events_clock = clock_us();
	return events_clock;
}

/* begin - the next slot, marked as not whole */
static struct event_slot *begin(void)
{
	struct event_slot *s = &events_mine->slot[next_slot];
	if (++next_slot == events_mine->slots)
		next_slot = 0;
	__atomic_store_n(&s->seq, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return s;
}

/* end - it is whole */
static void end(struct event_slot *s)
{
	uint64_t seq = events_mine->written + 1;
	__atomic_store_n(&s->seq, seq, __ATOMIC_RELEASE);
	__atomic_store_n(&events_mine->written, seq, __ATOMIC_RELEASE);
}

/* put_more - the rest of a text, into further slots */
static void put_more(uint64_t id, int64_t at_us, const char *text, size_t len)
{
	while (len) {
		struct event_slot *s = begin();
		size_t n = len < EVENT_TEXT ? len : EVENT_TEXT;
		s->id = id;
		s->at_us = at_us;
		s->type = EVENT_MORE;
		s->len = (uint8_t)n;
		memcpy(s->text, text, n);
		end(s);
		text += n;
		len -= n;
	}
}

/* events_write - one event, in as many slots as its text takes */
void events_write(enum event_type type, const struct event_note *note)
{
	char all[EVENT_TEXT_MAX];
	size_t what = note->what.len < UINT8_MAX ? note->what.len : UINT8_MAX;
	size_t rest =
	    note->words.len < EVENT_TEXT_MAX - what ? note->words.len : EVENT_TEXT_MAX - what;
	size_t len = what + rest, first = len < EVENT_TEXT ? len : EVENT_TEXT;
	struct event_slot *s = begin();
	char *text = len <= EVENT_TEXT ? s->text : all;
	int64_t at_us = note->at_us ? note->at_us : events_time();

	if (what)
		memcpy(text, note->what.data, what);
	if (rest)
		memcpy(text + what, note->words.data, rest);
	s->id = note->id;
	s->at_us = at_us;
	s->value = note->value;
	s->number = note->number;
	s->code = note->code;
	s->type = (uint8_t)type;
	s->len = (uint8_t)first;
	s->what = (uint8_t)what;
	s->more = (uint8_t)((len - first + EVENT_TEXT - 1) / EVENT_TEXT);
	if (text == all)
		memcpy(s->text, all, first);
	end(s);
	if (len > first)
		put_more(note->id, at_us, all + first, len - first);
}

/* -- reading ------------------------------------------------------------------------------------
 */

/* events_open - for reading */
int events_open(int fd, struct events_reader *reader)
{
	reader->ring = map(fd, PROT_READ, &reader->size);
	if (!reader->ring)
		return -errno;
	reader->slots = (reader->size - sizeof(struct events_ring)) / sizeof(struct event_slot);
	return 0;
}

/* events_close - unmap */
void events_close(struct events_reader *reader)
{
	if (reader->ring)
		munmap((void *)(uintptr_t)reader->ring, reader->size);
	reader->ring = NULL;
}

/* look - a copy of the slot that holds number seq; false: it is being or was overwritten */
static bool look(const struct events_reader *reader, uint64_t seq, struct event_slot *out)
{
	const struct event_slot *s = &reader->ring->slot[(seq - 1) % reader->slots];
	if (__atomic_load_n(&s->seq, __ATOMIC_ACQUIRE) != seq)
		return false;
	memcpy(out, s, sizeof(*out));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&s->seq, __ATOMIC_RELAXED) != seq)
		return false;
	return out->len <= EVENT_TEXT && out->type > EVENT_NONE && out->type < EVENT_TYPE_COUNT;
}

/* gather - text of the slots behind the first one; the event's end is where they stop */
static size_t gather(const struct events_reader *reader, uint64_t seq,
    const struct event_slot *first, char text[EVENT_TEXT_MAX])
{
	struct event_slot s;
	size_t len = first->len;
	memcpy(text, first->text, len);
	for (unsigned i = 0; i < first->more; i++) {
		if (!look(reader, seq + 1 + i, &s) || s.type != EVENT_MORE || s.id != first->id ||
		    s.len > EVENT_TEXT_MAX - len)
			break;
		memcpy(text + len, s.text, s.len);
		len += s.len;
	}
	return len;
}

/* events_read - the next event that is whole */
int events_read(const struct events_reader *reader, uint64_t *pos, struct event *event)
{
	struct event_slot s;
	for (;;) {
		uint64_t written = __atomic_load_n(&reader->ring->written, __ATOMIC_ACQUIRE);
		uint64_t first = written > reader->slots ? written - reader->slots + 1 : 1;
		uint64_t seq = *pos + 1 > first ? *pos + 1 : first;
		if (seq > written)
			return 0;
		*pos = seq;
		if (look(reader, seq, &s) && s.type != EVENT_MORE)
			break;
	}
	*event = (struct event){.seq = *pos,
	    .id = s.id,
	    .value = s.value,
	    .at_us = s.at_us,
	    .number = s.number,
	    .code = s.code,
	    .type = s.type};
	size_t len = gather(reader, *pos, &s, event->text);
	event->what_len = s.what < len ? s.what : (uint16_t)len;
	event->words_len = (uint16_t)(len - event->what_len);
	return 1;
}

/* events_horizon - the ring's beginning, or its oldest event */
int64_t events_horizon(const struct events_reader *reader)
{
	struct event event;
	uint64_t pos = 0;
	if (__atomic_load_n(&reader->ring->written, __ATOMIC_ACQUIRE) <= reader->slots)
		return reader->ring->since_us;
	return events_read(reader, &pos, &event) ? event.at_us : reader->ring->since_us;
}
