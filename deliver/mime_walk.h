/* SPDX-License-Identifier: ISC */
/*
 * A walk through a MIME message that makes seven bits of eight (RFC 6152 §3, RFC 2045 §6): twice
 * over the same bytes, in blocks of any size. The first walk finds out what each entity needs, the
 * second one writes:
 *
 *   text with octets over 127      becomes quoted-printable; a message that said nothing of MIME
 *                                  is told of it (RFC 1428)
 *   "8bit" or "binary" otherwise   becomes "7bit"
 *   all else                       stays as it is, octet for octet, headers always
 *
 * What lies in a multipart/signed, has an encoding already or may have none can't be changed; if it
 * has octets over 127 the first walk says so. Memory is bounded: the struct is all there is.
 */
#pragma once

#include <event2/buffer.h>

#include "deliver/mime_field.h"
#include "deliver/qp.h"

#define MIME_PARTS 1024 /* entities */
#define MIME_DEPTH 32   /* multiparts inside each other */
#define MIME_LINE  1000 /* of a line is looked at a time, and kept of a field */

enum mime_place {
	MIME_IN_HEADER,
	MIME_IN_BODY,
	MIME_OUTSIDE /* before the first and behind the last part of a multipart: for nobody */
};

enum mime_field_kind { MIME_FIELD_OTHER, MIME_FIELD_TYPE, MIME_FIELD_ENCODING };

struct mime_walk {
	bool writing;    /* the second walk */
	const char *why; /* it can't be done; NULL: it can */
	enum mime_place place;
	unsigned part, depth;
	bool child;  /* the entity is a part of the innermost multipart */
	bool sealed; /* the body may not be changed */
	/* of the entity's header */
	bool has_version, has_type, said;
	bool dropping; /* the field at hand was replaced */
	enum mime_field_kind field;
	struct mime_type type;
	enum mime_encoding encoding;
	struct qp qp;
	size_t value_len, line_len;
	bool begun; /* a piece of the line was handled already */
	struct evbuffer *out;
	struct mime_type level[MIME_DEPTH];
	unsigned char need[MIME_PARTS]; /* enum need of mime_walk.c */
	char value[MIME_LINE], line[MIME_LINE];
};

/* The first walk begins. */
void mime_walk_begin(struct mime_walk *w);
/* The second walk begins; the first one was finished and found that it can be done. */
void mime_walk_again(struct mime_walk *w);

/*
 * The next bytes, without stuffed dots; written to out (first walk: not used) with dots stuffed.
 * Returns 0; -EILSEQ: it can't be done, w->why says why; -ENOMEM.
 */
int mime_walk_feed(struct mime_walk *w, const char *data, size_t len, struct evbuffer *out);
/* The end of the message. */
int mime_walk_end(struct mime_walk *w, struct evbuffer *out);
