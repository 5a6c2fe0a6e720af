/* SPDX-License-Identifier: ISC */
/*
 * A server's answers, whole and in pieces, as a buffer and as evbuffer chains: the same replies,
 * within their bounds.
 */
#include <event2/buffer.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* digest - fold one reply into a number */
static uint64_t digest(uint64_t sum, const struct reply *r, enum reply_verdict v)
{
	char dsn[REPLY_DSN_SIZE];
	if (v == REPLY_BAD)
		return sum * 31 + (r->error ? 7 : 1);
	if (r->code < 200 || r->code > 599 || r->text_len > REPLY_TEXT_MAX ||
	    r->text[r->text_len] || r->lines < 1 || r->lines > REPLY_LINES_MAX)
		abort();
	reply_dsn(r, dsn);
	sum = sum * 31 + r->code + r->dsn_class * 1000u + r->dsn_subject * 7u + r->dsn_detail;
	const char *pos = NULL, *line;
	size_t len, lines = 0;
	for (; reply_next_line(r, &pos, &line, &len); lines++)
		for (size_t i = 0; i < len; i++)
			sum = sum * 31 + (uint8_t)line[i];
	if (!r->cut && lines != r->lines)
		abort();
	return sum * 31 + lines;
}

/* parse - all replies as a number, `step` bytes more at a time */
static uint64_t parse(const uint8_t *data, size_t size, size_t step, bool chains)
{
	static struct reply r;
	struct evbuffer *b = evbuffer_new();
	size_t from = 0, upto = 0, used = 0;
	uint64_t sum = 0;
	enum reply_verdict v = REPLY_MORE;

	reply_init(&r);
	while (upto < size && v != REPLY_BAD) {
		size_t piece = size - upto < step ? size - upto : step;
		evbuffer_add_reference(b, data + upto, piece, NULL, NULL);
		upto += piece;
		do {
			if (chains)
				v = reply_feed_evbuffer(&r, b);
			else
				v = reply_feed(&r, (const char *)data + from, upto - from, &used);
			if (used > upto - from)
				abort();
			from += used;
			if (v != REPLY_MORE)
				sum = digest(sum, &r, v);
		} while (v == REPLY_OK);
	}
	evbuffer_free(b);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	size_t step = data[0] % 64 + 1;
	uint64_t whole = parse(data + 1, size - 1, size, false);
	if (parse(data + 1, size - 1, step, false) != whole ||
	    parse(data + 1, size - 1, step, true) != whole)
		abort();
	return 0;
}
