/* SPDX-License-Identifier: ISC */
/*
 * Lines are handled whole where they have at most MIME_LINE octets, else in pieces: boundaries and
 * fields that matter are short, and text can be encoded piece by piece. The last two octets of a
 * piece are kept for the next one, so that the white space before a line's end comes with it.
 */
#include "deliver/mime_walk.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "lib/str.h"

#define KEPT 2 /* octets of a piece that go with the next one */

enum need { NEED_NOTHING, NEED_7BIT, NEED_QP };

/* One line, or a piece of one. */
struct piece {
	char *text;
	size_t len; /* without the CRLF */
	bool first, last;
};

/* refuse - it can't be done */
static int refuse(struct mime_walk *w, const char *why)
{
	w->why = why;
	return -EILSEQ;
}

/* put - octets into the output of the second walk */
static int put(struct mime_walk *w, const char *text, size_t len)
{
	return w->writing && evbuffer_add(w->out, text, len) < 0 ? -ENOMEM : 0;
}

/* put_text - the same of a string */
static int put_text(struct mime_walk *w, const char *text)
{
	return put(w, text, strlen(text));
}

/* pass - a piece as it is */
static int pass(struct mime_walk *w, const struct piece *p)
{
	int rc = p->first && p->len && p->text[0] == '.' ? put_text(w, ".") : 0;
	if (!rc)
		rc = put(w, p->text, p->len);
	return rc || !p->last ? rc : put_text(w, "\r\n");
}

/* has_8bit - whether there is an octet over 127 */
static bool has_8bit(const struct piece *p)
{
	for (size_t i = 0; i < p->len; i++)
		if ((unsigned char)p->text[i] > 127)
			return true;
	return false;
}

/* in_signed - whether a signature covers this place */
static bool in_signed(const struct mime_walk *w)
{
	for (unsigned i = 0; i < w->depth; i++)
		if (w->level[i].is_signed)
			return true;
	return false;
}

/* -- headers -------------------------------------------------------------------------------- */

/* enter_header - another entity begins */
static int enter_header(struct mime_walk *w, bool child)
{
	if (++w->part >= MIME_PARTS)
		return refuse(w, "it has too many parts");
	w->place = MIME_IN_HEADER;
	w->child = child;
	w->has_version = w->has_type = w->said = w->dropping = false;
	w->field = MIME_FIELD_OTHER;
	w->value_len = 0;
	w->type = (struct mime_type){0};
	w->encoding = MIME_7BIT;
	return 0;
}

/* end_field - the one at hand is whole; of several the first one counts */
static void end_field(struct mime_walk *w)
{
	if (w->field == MIME_FIELD_TYPE && !w->has_type) {
		mime_type_read(w->value, w->value_len, &w->type);
		w->has_type = true;
	} else if (w->field == MIME_FIELD_ENCODING && w->encoding == MIME_7BIT) {
		w->encoding = mime_encoding_read(w->value, w->value_len);
	}
	w->field = MIME_FIELD_OTHER;
	w->value_len = 0;
	w->dropping = false;
}

/* add_value - more of a field's value */
static void add_value(struct mime_walk *w, const char *text, size_t len)
{
	if (w->field == MIME_FIELD_OTHER)
		return;
	if (len > sizeof(w->value) - w->value_len)
		len = sizeof(w->value) - w->value_len;
	memcpy(w->value + w->value_len, text, len);
	w->value_len += len;
}

/* say_encoding - the field in its new form, once */
static int say_encoding(struct mime_walk *w)
{
	bool was_said = w->said;
	w->said = true;
	if (was_said)
		return 0;
	return put_text(w, w->need[w->part] == NEED_QP
			       ? "Content-Transfer-Encoding: quoted-printable\r\n"
			       : "Content-Transfer-Encoding: 7bit\r\n");
}

/* begin_field - its name, and whether it stays */
static int begin_field(struct mime_walk *w, const struct piece *p)
{
	const char *colon = memchr(p->text, ':', p->len);
	size_t len = colon ? (size_t)(colon - p->text) : 0;
	end_field(w);
	while (len && (p->text[len - 1] == ' ' || p->text[len - 1] == '\t'))
		len--;
	if (str_is_ci(p->text, len, "MIME-Version"))
		w->has_version = true;
	else if (str_is_ci(p->text, len, "Content-Type"))
		w->field = MIME_FIELD_TYPE;
	else if (str_is_ci(p->text, len, "Content-Transfer-Encoding"))
		w->field = MIME_FIELD_ENCODING;
	if (colon)
		add_value(w, colon + 1, (size_t)(p->text + p->len - colon - 1));
	w->dropping = w->writing && w->field == MIME_FIELD_ENCODING && w->need[w->part];
	return w->dropping ? say_encoding(w) : pass(w, p);
}

/* say_rest - what the header lacks to say that its text is encoded */
static int say_rest(struct mime_walk *w)
{
	int rc = 0;
	if (w->need[w->part] != NEED_QP || w->said)
		return 0;
	if (w->part == 0 && !w->has_version)
		rc = put_text(w, "MIME-Version: 1.0\r\n");
	if (!rc && w->part == 0 && !w->has_type)
		rc = put_text(w, "Content-Type: text/plain; charset=unknown-8bit\r\n");
	return rc ? rc : say_encoding(w);
}

/* push - into a multipart */
static int push(struct mime_walk *w)
{
	if (w->depth == MIME_DEPTH)
		return refuse(w, "its parts lie too deep in each other");
	w->level[w->depth++] = w->type;
	w->place = MIME_OUTSIDE;
	return 0;
}

/* end_header - the empty line: what comes now */
static int end_header(struct mime_walk *w)
{
	end_field(w);
	if (!w->has_type && w->child && w->level[w->depth - 1].digest)
		w->type.kind = MIME_MESSAGE;
	if (!w->writing && w->encoding == MIME_8BIT && !in_signed(w))
		w->need[w->part] = NEED_7BIT;
	int rc = w->writing ? say_rest(w) : 0;
	if (!rc)
		rc = put_text(w, "\r\n");
	if (rc)
		return rc;
	w->sealed = w->type.kind != MIME_LEAF || w->encoding == MIME_ENCODED;
	w->place = MIME_IN_BODY;
	w->qp = (struct qp){0};
	if (w->encoding == MIME_ENCODED)
		return 0;
	if (w->type.kind == MIME_MULTIPART)
		return push(w);
	return w->type.kind == MIME_MESSAGE ? enter_header(w, false) : 0;
}

/* in_header - a line of it */
static int in_header(struct mime_walk *w, const struct piece *p)
{
	if (p->first && p->last && !p->len)
		return end_header(w);
	if (p->first && p->text[0] != ' ' && p->text[0] != '\t')
		return begin_field(w, p);
	add_value(w, p->text, p->len);
	return w->dropping ? 0 : pass(w, p);
}

/* -- bodies --------------------------------------------------------------------------------- */

/* look - the first walk: what the text needs */
static int look(struct mime_walk *w, const struct piece *p)
{
	if (w->need[w->part] == NEED_QP || !has_8bit(p))
		return 0;
	if (in_signed(w))
		return refuse(w, "a signature covers its 8-bit text");
	if (w->sealed)
		return refuse(w, "its 8-bit text lies where no encoding is possible");
	w->need[w->part] = NEED_QP;
	return 0;
}

/* in_body - text of a leaf */
static int in_body(struct mime_walk *w, const struct piece *p)
{
	char encoded[QP_ROOM(MIME_LINE)];
	if (!w->writing)
		return look(w, p);
	if (w->need[w->part] != NEED_QP)
		return pass(w, p);
	return put(w, encoded, qp_encode(&w->qp, p->text, p->len, p->last, encoded));
}

/* outside - nobody reads it; it must be of seven bits all the same */
static int outside(struct mime_walk *w, const struct piece *p)
{
	if (has_8bit(p) && in_signed(w))
		return refuse(w, "a signature covers its 8-bit text");
	for (size_t i = 0; i < p->len; i++)
		if ((unsigned char)p->text[i] > 127)
			p->text[i] = '?';
	return pass(w, p);
}

/* is_boundary - whether the line is this multipart's; *closes: the last one (RFC 2046 §5.1.1) */
static bool is_boundary(const struct mime_type *level, const struct piece *p, bool *closes)
{
	size_t at = 2 + level->boundary_len;
	if (p->len < at || memcmp(p->text + 2, level->boundary, level->boundary_len) != 0)
		return false;
	*closes = p->len >= at + 2 && p->text[at] == '-' && p->text[at + 1] == '-';
	for (at += *closes ? 2 : 0; at < p->len; at++)
		if (p->text[at] != ' ' && p->text[at] != '\t')
			return false;
	return true;
}

/* find_boundary - the multipart that a line divides, from the innermost on; -1: it's no boundary */
static int find_boundary(const struct mime_walk *w, const struct piece *p, bool *closes)
{
	if (!p->first || !p->last || p->len < 3 || p->text[0] != '-' || p->text[1] != '-')
		return -1;
	for (unsigned i = w->depth; i-- > 0;)
		if (is_boundary(&w->level[i], p, closes))
			return (int)i;
	return -1;
}

/* handle - a line, or a piece of one */
static int handle(struct mime_walk *w, const struct piece *p)
{
	bool closes = false;
	int level = find_boundary(w, p, &closes), rc;
	if (level < 0) {
		switch (w->place) {
		case MIME_IN_HEADER:
			return in_header(w, p);
		case MIME_IN_BODY:
			return in_body(w, p);
		case MIME_OUTSIDE:
			return outside(w, p);
		}
	}
	rc = pass(w, p);
	if (rc)
		return rc;
	w->depth = (unsigned)level + !closes;
	w->place = MIME_OUTSIDE;
	return closes ? 0 : enter_header(w, true);
}

/* -- lines ---------------------------------------------------------------------------------- */

/* whole_line - a CRLF came */
static int whole_line(struct mime_walk *w)
{
	struct piece p = {
	    .text = w->line, .len = w->line_len - 2, .first = !w->begun, .last = true};
	w->line_len = 0;
	w->begun = false;
	return handle(w, &p);
}

/* part_line - there is no room for more of it */
static int part_line(struct mime_walk *w)
{
	struct piece p = {.text = w->line, .len = w->line_len - KEPT, .first = !w->begun};
	int rc = handle(w, &p);
	memmove(w->line, w->line + p.len, KEPT);
	w->line_len = KEPT;
	w->begun = true;
	return rc;
}

/* up_to_lf - how many octets to the next LF, all where there is none; *found: there is */
static size_t up_to_lf(const char *data, size_t len, bool *found)
{
	const char *lf = memchr(data, '\n', len);
	*found = lf;
	return lf ? (size_t)(lf - data) + 1 : len;
}

int mime_walk_feed(struct mime_walk *w, const char *data, size_t len, struct evbuffer *out)
{
	int rc = 0;
	w->out = out;
	while (len && !rc) {
		size_t room = sizeof(w->line) - w->line_len;
		bool lf;
		size_t n = up_to_lf(data, len < room ? len : room, &lf);
		memcpy(w->line + w->line_len, data, n);
		w->line_len += n;
		data += n;
		len -= n;
		if (lf && w->line_len >= 2 && w->line[w->line_len - 2] == '\r')
			rc = whole_line(w);
		else if (w->line_len == sizeof(w->line))
			rc = part_line(w);
	}
	return rc;
}

int mime_walk_end(struct mime_walk *w, struct evbuffer *out)
{
	struct piece p = {.text = w->line, .len = w->line_len, .first = !w->begun};
	w->out = out;
	w->line_len = 0;
	return p.len ? handle(w, &p) : 0;
}

/* reset - before the first byte */
static void reset(struct mime_walk *w)
{
	w->part = UINT_MAX; /* one before the first */
	w->depth = 0;
	w->line_len = 0;
	w->begun = false;
	enter_header(w, false);
}

void mime_walk_begin(struct mime_walk *w)
{
	w->writing = false;
	w->why = NULL;
	memset(w->need, NEED_NOTHING, sizeof(w->need));
	reset(w);
}

void mime_walk_again(struct mime_walk *w)
{
	w->writing = true;
	reset(w);
}
