/* SPDX-License-Identifier: ISC */
/*
 * Lines of SMTP commands out of a stream. Only CRLF ends a line (RFC 5321 2.3.8); a bare LF or CR
 * is never taken for one, which is what keeps commands from being smuggled past a server that reads
 * lines differently from the client (or proxy) in front of it.
 *
 * The splitter is pure and resumable at any byte: the caller keeps the bytes, offers all it has,
 * and drops what was used. A byte is looked at once for the line's end, however small the pieces
 * are. A line that can't be taken is reported once, as soon as it is seen to be wrong (for the
 * first fault that is seen, which may depend on where the pieces end), and everything up to and
 * including its CRLF is then skipped without being kept. A caller that answers LINE_BARE_LF with an
 * error should close the connection: a peer that ends its lines with LF only never sends that CRLF.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;

enum {
	LINE_MAX_COMMAND = 2048, /* CRLF included; RFC 5321 4.5.3.1.4 asks for 512 and extensions */
};

enum line_verdict {
	LINE_MORE,    /* no line yet: drop `used` bytes, come back with more behind the rest */
	LINE_OK,      /* a line: text and len without its CRLF */
	LINE_LONG,    /* a line over the limit began; it is being skipped */
	LINE_BARE_LF, /* LF without CR; the line is being skipped to its CRLF */
	LINE_BARE_CR, /* CR without LF, likewise */
	LINE_NUL,     /* a whole line that contains a NUL byte; it is used up */
};

struct line {
	size_t max;     /* longest line taken, CRLF included */
	size_t scanned; /* bytes of the current line in which no LF is */
	bool skipping;  /* after a bad line, up to its CRLF */
	bool lf_ends;   /* LF alone ends a line too, for listeners that normalise */
};

/* Start at the beginning of a line; max bytes, CRLF included, at least 2. */
void line_init(struct line *l, size_t max);

/*
 * Look for one line in the n bytes at buf: all that wasn't used before, and what came since. *used
 * bytes from buf on are finished with after the line was handled, whatever the verdict is. *text
 * and *len are set for LINE_OK (and LINE_NUL) and point into buf.
 */
enum line_verdict line_next(
    struct line *l, const char *buf, size_t n, size_t *used, const char **text, size_t *len);

/*
 * The same from the front of an evbuffer, which may move what lies there to make one line
 * contiguous (never more than max bytes). After LINE_MORE *used is 0 and nothing is left to do
 * until more bytes came; after every other verdict the caller drains *used bytes once it is done
 * with the text. Out of memory is LINE_LONG: the line can't be taken.
 */
enum line_verdict line_next_evbuffer(
    struct line *l, struct evbuffer *in, size_t *used, const char **text, size_t *len);
