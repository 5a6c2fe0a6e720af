/* SPDX-License-Identifier: ISC */
/*
 * Replies of an SMTP or LMTP server, for deliver (RFC 5321 4.2, RFC 3463, RFC 2034). Pure and
 * resumable: whole lines are taken out of what is offered, the last incomplete one stays with the
 * caller, and no byte is searched twice. One reply at a time, so replies to pipelined commands
 * come out one by one.
 *
 * A server is a peer like any other: lines, their number and their sum are bounded, what is kept of
 * the text is bounded (the rest is dropped, not an error), and what isn't a reply ends the parse
 * with a reason. After REPLY_BAD nothing that follows on the connection can be trusted.
 *
 * LF alone ends a line here, as in other clients: no command of ours ever held one, so nothing can
 * be smuggled by it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;

enum {
	REPLY_LINE_MAX = 2048,    /* bytes with the line end; RFC 5321 4.5.3.1.5 says 512 */
	REPLY_LINES_MAX = 256,    /* lines of one reply */
	REPLY_TEXT_MAX = 8 * 512, /* bytes kept of a reply's text */
	REPLY_QUOTE_MAX = 60,     /* bytes that `error` quotes of a line that isn't a reply */
	REPLY_DSN_SIZE = 10,      /* a buffer for "5.999.999" with its NUL */
};

enum reply_verdict {
	REPLY_MORE, /* no whole reply yet */
	REPLY_OK,   /* code, text and the others are those of one reply, until the next call */
	REPLY_BAD,  /* what came isn't a reply: `error` says why */
};

struct reply {
	uint16_t code; /* 200 to 599 */
	/* The enhanced status code if there is one whose class fits the code; else all are 0. */
	uint16_t dsn_class, dsn_subject, dsn_detail;
	/*
	 * The lines' text with \n between them, without codes; C text. Control characters are "?",
	 * other bytes as they came. cut: there was more than REPLY_TEXT_MAX.
	 */
	char text[REPLY_TEXT_MAX + 1];
	size_t text_len;
	bool cut;
	unsigned lines;
	const char *error; /* its words; good until the next call */
	char quote[REPLY_QUOTE_MAX + 32];

	bool open;      /* a line with "-" was seen, more belong to this reply */
	size_t scanned; /* bytes of the current line in which no LF is */
};

/* Start on a new connection. */
void reply_init(struct reply *r);

/* Take one reply from the n bytes at buf; *used of them are finished with, whatever the verdict. */
enum reply_verdict reply_feed(struct reply *r, const char *buf, size_t n, size_t *used);

/* The same from the front of an evbuffer, from which it drains what it used. */
enum reply_verdict reply_feed_evbuffer(struct reply *r, struct evbuffer *in);

/*
 * Walk over the lines of the text: set *pos to NULL before the first call; true while there is a
 * line, which *line and *len then are.
 */
bool reply_next_line(const struct reply *r, const char **pos, const char **line, size_t *len);

/* The status for people and DSNs, "5.1.1"; where the server gave none "5.0.0" by the code. */
void reply_dsn(const struct reply *r, char out[REPLY_DSN_SIZE]);
