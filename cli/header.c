/* SPDX-License-Identifier: ISC */
#include "cli/header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/field.h"
#include "lib/str.h"

/* append - one more line, within the limit */
static int append(struct header *h, const char *line, size_t len)
{
	if (len > HEADER_MAX || h->len > HEADER_MAX - len)
		return -EMSGSIZE;
	if (h->size - h->len < len) {
		size_t size = h->size ? h->size * 2 : 8192;
		char *text;

		while (size - h->len < len)
			size *= 2;
		text = realloc(h->text, size);
		if (!text)
			return -ENOMEM;
		h->text = text;
		h->size = size;
	}
	memcpy(h->text + h->len, line, len);
	h->len += len;
	return 0;
}

/* bare - a line's length without its end */
static size_t bare(const char *line, size_t len)
{
	if (len > 0 && line[len - 1] == '\n')
		len--;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	return len;
}

enum line_kind { LINE_FIELD, LINE_FOLDED, LINE_EMPTY, LINE_FROM, LINE_DOT, LINE_BODY };

/* kind_of - what a line is at this place */
static enum line_kind kind_of(const struct header *h, const char *line, size_t len, bool dot_ends)
{
	size_t n = bare(line, len);

	if (n == 0)
		return LINE_EMPTY;
	if (dot_ends && n == 1 && line[0] == '.')
		return LINE_DOT;
	if (h->len == 0 && (str_starts_ci(line, n, "From ") || str_starts_ci(line, n, ">From ")))
		return LINE_FROM;
	if (h->len > 0 && (line[0] == ' ' || line[0] == '\t'))
		return LINE_FOLDED;
	return field_name_len(line, n) > 0 ? LINE_FIELD : LINE_BODY;
}

/* take_first - what was read of the body */
static int take_first(struct header *h, const char *piece, size_t len)
{
	h->first = malloc(len);
	if (!h->first)
		return -ENOMEM;
	memcpy(h->first, piece, len);
	h->first_len = len;
	return 0;
}

/* note_field - those whose lack is made good */
static void note_field(struct header *h, const char *line, size_t len)
{
	size_t n = field_name_len(line, len);

	h->has_from |= str_is_ci(line, n, "From");
	h->has_date |= str_is_ci(line, n, "Date");
}

/* take_line - one line of the section; 1 it goes on, 2 without this line, 0 it ended, -E... */
static int take_line(
    struct header *h, const char *line, size_t len, bool dot_ends, bool *message_ended)
{
	int r;

	switch (kind_of(h, line, len, dot_ends)) {
	case LINE_FIELD:
		note_field(h, line, len);
		/* fall through */
	case LINE_FOLDED:
		r = append(h, line, len);
		return r ? r : 1;
	case LINE_FROM:
		return 2;
	case LINE_EMPTY:
		h->ended = true;
		return 0;
	case LINE_DOT:
		*message_ended = true;
		return 0;
	case LINE_BODY:
		break;
	}
	return take_first(h, line, len);
}

/* read_piece - a line, or the next HEADER_PIECE bytes of one; its length, 0 at the end */
static size_t read_piece(FILE *in, char *piece)
{
	size_t n = 0;
	int c;

	while (n < HEADER_PIECE && (c = getc_unlocked(in)) != EOF) {
		piece[n++] = (char)c;
		if (c == '\n')
			break;
	}
	return n;
}

/* header_read - line by line to its end */
int header_read(struct header *h, FILE *in, bool dot_ends, bool *message_ended)
{
	char *piece = malloc(HEADER_PIECE);
	bool inside = false,
	     dropped = false; /* a line, the beginning of which was read, or left out */
	int r = piece ? 1 : -ENOMEM;

	*h = (struct header){0};
	*message_ended = false;
	while (r == 1) {
		size_t n = read_piece(in, piece);

		if (n == 0) {
			*message_ended = true;
			r = ferror(in) ? -EIO : 0;
			break;
		}
		if (!inside) {
			r = take_line(h, piece, n, dot_ends, message_ended);
			dropped = r == 2;
			r = dropped ? 1 : r;
		} else if (!dropped && append(h, piece, n)) {
			r = -EMSGSIZE;
		}
		inside = piece[n - 1] != '\n';
	}
	/* A last line without its end would run into what follows. */
	if (r == 0 && h->len > 0 && h->text[h->len - 1] != '\n')
		r = append(h, "\n", 1);
	free(piece);
	return r;
}

/* next_field - the field at *pos with its folded lines; false at the end */
static bool next_field(const struct header *h, size_t *pos, const char **field, size_t *len)
{
	if (*pos >= h->len)
		return false;
	*field = h->text + *pos;
	*len = field_len(*field, h->len - *pos);
	*pos += *len;
	return true;
}

/* header_each - the bodies of all fields of a name */
void header_each(const struct header *h, const char *name,
    void (*found)(const char *body, size_t len, void *arg), void *arg)
{
	const char *field;
	size_t pos = 0, len;

	while (next_field(h, &pos, &field, &len)) {
		const char *colon = memchr(field, ':', len);

		if (colon && str_is_ci(field, field_name_len(field, len), name))
			found(colon + 1, len - (size_t)(colon + 1 - field), arg);
	}
}

/* header_remove - close the gaps */
void header_remove(struct header *h, const char *name)
{
	const char *field;
	size_t pos = 0, len, to = 0;

	while (next_field(h, &pos, &field, &len)) {
		if (str_is_ci(field, field_name_len(field, len), name))
			continue;
		memmove(h->text + to, field, len);
		to += len;
	}
	h->len = to;
}

/* header_free - all of it */
void header_free(struct header *h)
{
	free(h->text);
	free(h->first);
	*h = (struct header){0};
}
