/* SPDX-License-Identifier: ISC */
/*
 * Reading and writing the explicit wire format that channels, segment records, envelopes and index
 * rows share: big-endian fixed-width integers and counted byte strings (u32 length, then the
 * bytes).
 *
 * Both ends are cursors with a sticky error. A get that would run past the end returns zero (or an
 * empty string), consumes the rest and marks the cursor; a put that doesn't fit changes nothing
 * more and marks it. So a decoder or encoder is a straight list of calls and one check at its end:
 * wire_in_end() for readers (which also refuses left-over bytes), wire_out_end() for writers.
 *
 * A reader owns nothing: strings are returned in place and live as long as the buffer. A writer is
 * over a fixed buffer of the caller's, or over a malloc'ed one that grows up to a hard maximum and
 * is freed with wire_out_free() or taken with wire_out_take(). No function here allocates
 * otherwise.
 */
#pragma once

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* --- reading --- */

struct wire_in {
	const uint8_t *pos;
	const uint8_t *end;
	int err; /* 0 or -EBADMSG, sticky */
};

/* Start reading n bytes at buf. */
static inline void wire_in_init(struct wire_in *w, const void *buf, size_t n)
{
	w->pos = buf;
	w->end = w->pos ? w->pos + n : w->pos;
	w->err = 0;
}

/* Bytes not read yet. */
static inline size_t wire_left(const struct wire_in *w)
{
	return (size_t)(w->end - w->pos);
}

/* Mark the message as bad, for values that are well-formed here and wrong to the caller. */
static inline void wire_in_fail(struct wire_in *w)
{
	w->pos = w->end;
	w->err = -EBADMSG;
}

/* The next n bytes in place, or NULL and the sticky error. n = 0 gives a valid empty slice. */
static inline const uint8_t *wire_get_raw(struct wire_in *w, size_t n)
{
	const uint8_t *p = w->pos;
	if (__builtin_expect(wire_left(w) < n, 0)) {
		wire_in_fail(w);
		return NULL;
	}
	w->pos = n ? p + n : p; /* p may be NULL in an empty buffer */
	return p;
}

static inline uint8_t wire_get_u8(struct wire_in *w)
{
	const uint8_t *p = wire_get_raw(w, 1);
	return p ? *p : 0;
}

static inline uint16_t wire_get_u16(struct wire_in *w)
{
	uint16_t v = 0;
	const uint8_t *p = wire_get_raw(w, sizeof(v));
	if (p)
		memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t wire_get_u32(struct wire_in *w)
{
	uint32_t v = 0;
	const uint8_t *p = wire_get_raw(w, sizeof(v));
	if (p)
		memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint64_t wire_get_u64(struct wire_in *w)
{
	uint64_t v = 0;
	const uint8_t *p = wire_get_raw(w, sizeof(v));
	if (p)
		memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

/* One byte that must be 0 or 1. */
static inline bool wire_get_bool(struct wire_in *w)
{
	uint8_t v = wire_get_u8(w);
	if (v > 1)
		wire_in_fail(w);
	return v == 1;
}

/*
 * A counted string in place: its first byte, its length in *len. On error the result is "" with
 * length 0, never NULL, so that it may be passed on before the final check. Not NUL-terminated.
 */
static inline const char *wire_get_bytes(struct wire_in *w, size_t *len)
{
	uint32_t n = wire_get_u32(w);
	const uint8_t *p = wire_get_raw(w, n);
	if (__builtin_expect(!p || w->err, 0)) {
		*len = 0;
		return "";
	}
	*len = n;
	return (const char *)p;
}

/* 0 when everything was read and nothing failed; -EBADMSG otherwise, left-over bytes included. */
static inline int wire_in_end(const struct wire_in *w)
{
	return w->err ? w->err : w->pos == w->end ? 0 : -EBADMSG;
}

/* --- writing --- */

struct wire_out {
	uint8_t *base;
	size_t len;  /* bytes written */
	size_t size; /* bytes base has room for */
	size_t max;  /* what it may grow to; equal to size over a fixed buffer */
	int err;     /* 0, -EMSGSIZE (the maximum) or -ENOMEM, sticky */
	bool grows;
};

/* Write into buf, which has room for size bytes and stays the caller's. */
static inline void wire_out_fixed(struct wire_out *w, void *buf, size_t size)
{
	*w = (struct wire_out){.base = buf, .size = size, .max = size};
}

/* Write into a buffer that grows on demand to at most max bytes. Nothing is allocated yet. */
static inline void wire_out_grow(struct wire_out *w, size_t max)
{
	*w = (struct wire_out){.max = max, .grows = true};
}

/* Make room for n more bytes. For this header only: the slow path of wire_put_space(). */
int wire_out_room(struct wire_out *w, size_t n);

/*
 * Room for exactly n bytes that the caller fills in before its next put (a growing buffer may move
 * then); NULL with the sticky error when there is none.
 */
static inline uint8_t *wire_put_space(struct wire_out *w, size_t n)
{
	if (__builtin_expect(w->err || w->size - w->len < n || !w->base, 0) && wire_out_room(w, n))
		return NULL;
	uint8_t *p = w->base + w->len;
	w->len += n;
	return p;
}

/* n bytes without a count. */
static inline void wire_put_raw(struct wire_out *w, const void *buf, size_t n)
{
	uint8_t *p = wire_put_space(w, n);
	if (p && n)
		memcpy(p, buf, n);
}

static inline void wire_put_u8(struct wire_out *w, uint8_t v)
{
	wire_put_raw(w, &v, sizeof(v));
}

static inline void wire_put_u16(struct wire_out *w, uint16_t v)
{
	v = htobe16(v);
	wire_put_raw(w, &v, sizeof(v));
}

static inline void wire_put_u32(struct wire_out *w, uint32_t v)
{
	v = htobe32(v);
	wire_put_raw(w, &v, sizeof(v));
}

static inline void wire_put_u64(struct wire_out *w, uint64_t v)
{
	v = htobe64(v);
	wire_put_raw(w, &v, sizeof(v));
}

static inline void wire_put_bool(struct wire_out *w, bool v)
{
	wire_put_u8(w, v ? 1 : 0);
}

/* A counted string of n bytes; buf may be NULL when n is 0. More than 4 GiB - 1 is -EMSGSIZE. */
static inline void wire_put_bytes(struct wire_out *w, const void *buf, size_t n)
{
	if (__builtin_expect(n > UINT32_MAX, 0)) {
		if (!w->err)
			w->err = -EMSGSIZE;
		return;
	}
	wire_put_u32(w, (uint32_t)n);
	wire_put_raw(w, buf, n);
}

/* A counted string from C text, without its NUL. */
static inline void wire_put_str(struct wire_out *w, const char *s)
{
	wire_put_bytes(w, s, strlen(s));
}

/* Overwrite four bytes written earlier, at offset `at`: a length or count known only later. */
static inline void wire_patch_u32(struct wire_out *w, size_t at, uint32_t v)
{
	if (w->err || at > w->len || w->len - at < sizeof(v))
		return;
	v = htobe32(v);
	memcpy(w->base + at, &v, sizeof(v));
}

/* Forget what was written and the error, keep the buffer: for one writer used many times. */
static inline void wire_out_reset(struct wire_out *w)
{
	w->len = 0;
	w->err = 0;
}

/* 0 when every put fitted, else the sticky error: -EMSGSIZE or -ENOMEM. */
static inline int wire_out_end(const struct wire_out *w)
{
	return w->err;
}

/* The grown buffer, now the caller's to free() (NULL when nothing was written); resets w. */
uint8_t *wire_out_take(struct wire_out *w, size_t *len);

/* Free what a growing writer holds; does nothing to a fixed one. */
void wire_out_free(struct wire_out *w);
