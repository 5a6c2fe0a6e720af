/* SPDX-License-Identifier: ISC */
/*
 * Most messages fit into PARCEL_SMALL with their headroom: those buffers go round in a short list
 * and cost no allocation. Larger ones double until they hold the body.
 */
#include "smtpd/parcel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/qid.h"
#include "smtpd/segments.h"
#include "smtpd/stream.h"

struct kept {
	struct kept *next;
};

static struct kept *kept;
static unsigned nkept;
static size_t all_bytes;

/* parcel_buffer_new - from the kept ones where that fits */
unsigned char *parcel_buffer_new(size_t size)
{
	size_t whole = (size + PARCEL_PAGE - 1) / PARCEL_PAGE * PARCEL_PAGE;
	unsigned char *buf;
	if (size == PARCEL_SMALL && kept) {
		buf = (unsigned char *)kept;
		kept = kept->next;
		nkept--;
	} else {
		buf = size <= PARCEL_SMALL ? malloc(size) : aligned_alloc(PARCEL_PAGE, whole);
	}
	if (buf)
		all_bytes += size;
	return buf;
}

/* parcel_buffer_free - NULL is allowed */
void parcel_buffer_free(unsigned char *buf, size_t size)
{
	if (!buf)
		return;
	all_bytes -= size;
	if (size == PARCEL_SMALL && nkept < PARCEL_KEPT) {
		struct kept *k = (struct kept *)buf;
		k->next = kept;
		kept = k;
		nkept++;
	} else {
		free(buf);
	}
}

/* parcel_bytes - what messages under way take */
size_t parcel_bytes(void)
{
	return all_bytes;
}

/* parcel_new - empty, with room in front */
struct parcel *parcel_new(size_t headroom, uint64_t expect, parcel_callback *callback, void *owner)
{
	size_t most = expect < PARCEL_MEMORY_MAX ? (size_t)expect : PARCEL_MEMORY_MAX;
	size_t size = PARCEL_SMALL;
	struct parcel *p;

	if (all_bytes > PARCEL_FULL)
		return NULL;
	/* A declared size is believed only up to what one message may take anyway. */
	if (headroom + most + PARCEL_SLACK > size)
		size = headroom + most + PARCEL_SLACK + PARCEL_SMALL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->buf = parcel_buffer_new(size);
	if (!p->buf) {
		free(p);
		return NULL;
	}
	p->size = size;
	p->body = p->end = headroom;
	p->callback = callback;
	p->owner = owner;
	return p;
}

/* parcel_free - a stream may still be with the sync thread and ends on its own */
void parcel_free(struct parcel *parcel)
{
	if (!parcel)
		return;
	if (parcel->stream && stream_abandon(parcel))
		return;
	parcel_buffer_free(parcel->buf, parcel->size);
	free(parcel);
}

/* grow - twice the room; 0 or -ENOMEM */
static int grow(struct parcel *p)
{
	size_t size = p->size * 2;
	unsigned char *buf = parcel_buffer_new(size);
	if (!buf)
		return -ENOMEM;
	memcpy(buf + p->body, p->buf + p->body, p->end - p->body);
	parcel_buffer_free(p->buf, p->size);
	p->buf = buf;
	p->size = size;
	return 0;
}

/* parcel_room - in the buffer, in a larger one, or in the stream */
ssize_t parcel_room(struct parcel *parcel)
{
	if (parcel->stream)
		return stream_room(parcel);
	size_t have = parcel->end - parcel->body;
	size_t most = all_bytes > PARCEL_CROWDED ? PARCEL_SMALL : PARCEL_MEMORY_MAX;
	if (have >= most)
		return -EFBIG;
	if (parcel->size - parcel->end <= PARCEL_SLACK && grow(parcel) < 0)
		return -ENOMEM;
	size_t room = parcel->size - parcel->end - PARCEL_SLACK;
	return (ssize_t)(room < most - have ? room : most - have);
}

/* parcel_add - room was asked for */
void parcel_add(struct parcel *parcel, const void *data, size_t len)
{
	if (len > parcel->size - parcel->end)
		log_bug("%zu bytes don't fit into a parcel", len);
	memcpy(parcel->buf + parcel->end, data, len);
	parcel->end += len;
}

/* parcel_front - right-aligned before the body */
int parcel_front(struct parcel *parcel, const void *envelope, size_t envelope_len,
    const char *lines, size_t lines_len, size_t id_at)
{
	if (RECORD_HEADER + envelope_len + lines_len > parcel->body)
		return -EMSGSIZE;
	size_t at = parcel->body - lines_len;
	memcpy(parcel->buf + at, lines, lines_len);
	parcel->id_at = at + id_at;
	parcel->lines_len = (uint32_t)lines_len;
	at -= envelope_len;
	memcpy(parcel->buf + at, envelope, envelope_len);
	parcel->envelope_len = (uint32_t)envelope_len;
	parcel->start = at - RECORD_HEADER;
	return 0;
}

/* parcel_replace - into the headroom where there is enough of it, else all moves */
int parcel_replace(
    struct parcel *parcel, size_t old_len, const char *text, size_t len, size_t headroom)
{
	size_t rest_at = parcel->body + old_len, rest = parcel->end - rest_at;
	size_t front = headroom + len;

	if (rest_at < front) {
		size_t size = parcel->size + front - rest_at;
		unsigned char *buf = parcel_buffer_new(size);
		if (!buf)
			return -ENOMEM;
		memcpy(buf + front, parcel->buf + rest_at, rest);
		parcel_buffer_free(parcel->buf, parcel->size);
		parcel->buf = buf;
		parcel->size = size;
		parcel->end = front + rest;
		rest_at = front;
	}
	parcel->body = rest_at - len;
	memcpy(parcel->buf + parcel->body, text, len);
	return 0;
}

/* parcel_body_len - as it will be stored */
uint64_t parcel_body_len(const struct parcel *parcel)
{
	if (parcel->stream)
		return stream_body_len(parcel);
	return parcel->lines_len + (parcel->end - parcel->body);
}

/* parcel_record_len - header to trailer */
uint64_t parcel_record_len(const struct parcel *parcel)
{
	return RECORD_HEADER + parcel->envelope_len + parcel_body_len(parcel) + RECORD_TRAILER;
}

/* parcel_put_id - QID_WIDTH characters were left for it */
void parcel_put_id(struct parcel *parcel, uint64_t id)
{
	char text[QID_TEXT_MAX];
	parcel->id = id;
	if (parcel->id_at && qid_format(text, id) == QID_WIDTH)
		memcpy(parcel->buf + parcel->id_at, text, QID_WIDTH);
}

/* parcel_close - everything that depends on the place */
void parcel_close(struct parcel *parcel, struct segment *segment, uint64_t offset, uint64_t id)
{
	static struct record_sum *sum;
	unsigned char *header = parcel->buf + parcel->start;
	unsigned char *body = header + RECORD_HEADER + parcel->envelope_len;
	struct record rec = {
	    .place = {.segment = segment->name, .nonce = segment->nonce, .offset = offset},
	    .id = id,
	    .envelope_len = parcel->envelope_len,
	    .body_len = parcel_body_len(parcel),
	    .plain_len = parcel->plain_len,
	};

	if (!sum && !(sum = record_sum_new(0)))
		log_fatal("out of memory");
	parcel->segment = segment;
	parcel_put_id(parcel, id);
	record_put_header(&rec, header + RECORD_HEADER, header);
	record_sum_reset(sum, segment->nonce);
	record_sum_add(sum, body, (size_t)rec.body_len);
	record_put_trailer(&rec, header, sum, parcel->buf + parcel->end);
}
