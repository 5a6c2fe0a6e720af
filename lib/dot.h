/* SPDX-License-Identifier: ISC */
/*
 * Message bodies on the wire and in segments: where they end, and what is in them.
 *
 * A body is stored as it leaves: dot-stuffed, CRLF, without the final mark (DESIGN 2). So nothing
 * here changes bytes: dot_feed() says where a body that comes in ends and keeps what later checks
 * ask for; dot_scan() makes sure, before a stored body is sent, that no end is inside. What does
 * change bytes is in lib/dot_form.h.
 *
 * The end of data is CRLF.CRLF, or .CRLF where the body begins, and nothing else: neither LF.LF nor
 * CRLF.LF, LF.CRLF, CR.CR or CRLF.CR (RFC 5321 4.1.1.4, and the attacks known as SMTP smuggling). A
 * dot is a stuffed one only behind CRLF. All functions may be resumed at any byte.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;

enum {
	DOT_MARK = 3,       /* bytes of ".CRLF", the end of data behind the body's last CRLF */
	DOT_LINE_MAX = 998, /* RFC 5321 4.5.3.1.6, without CRLF; longer is for policy to judge */
};

enum dot_verdict {
	DOT_MORE, /* the end hasn't come yet */
	DOT_END,  /* the mark lies behind the body bytes used */
};

/* A body while it comes in. The caller reads what is named here; the rest is dot.c's. */
struct dot {
	uint64_t stored;  /* bytes of the body so far, as stored */
	uint64_t plain;   /* the same without stuffed dots: what SIZE counts */
	uint64_t lines;   /* CRLFs so far */
	uint64_t longest; /* bytes of the longest line so far, without CRLF and stuffed dot */
	bool bare_lf;     /* an LF without CR was seen */
	bool nul;         /* a NUL byte was seen */
	bool eightbit;    /* a byte over 127 was seen */

	bool line_start;   /* the next byte begins a line */
	bool last_cr;      /* the last byte was CR */
	unsigned held;     /* bytes of a possible mark at the start of a line */
	uint64_t crs;      /* CRs of any kind */
	uint64_t line_len; /* of the current line, without stuffed dot */
};

/* Start at the beginning of a body. */
void dot_init(struct dot *d);

/*
 * Take in what has come: in[0..*used) is body. On DOT_END the DOT_MARK bytes behind it are the
 * mark, which the caller drops. On DOT_MORE up to two bytes ("." or ".CR" at a line's start) may be
 * left unused; they are offered again with more behind them.
 */
enum dot_verdict dot_feed(struct dot *d, const char *in, size_t n, size_t *used);

/* The same over all chains of an evbuffer, of which nothing is drained or moved. */
enum dot_verdict dot_feed_evbuffer(struct dot *d, struct evbuffer *in, size_t *used);

/* Was a CR seen without an LF behind it? (One at the very end may still get its LF.) */
static inline bool dot_bare_cr(const struct dot *d)
{
	return d->crs - d->lines != d->last_cr;
}

/* A search for an end-of-data mark in a stored body, in pieces of any size. */
struct dot_scan {
	unsigned matched; /* bytes of CRLF.CRLF that the last bytes are */
};

/* Start at the beginning of a body. */
void dot_scan_init(struct dot_scan *s);

/* True when an end-of-data mark is in or ends in this piece: the body must not be sent. */
bool dot_scan(struct dot_scan *s, const char *p, size_t n);

/* Does what was scanned end with CRLF (or is nothing), so that ".CRLF" may follow? */
bool dot_scan_whole(const struct dot_scan *s);
