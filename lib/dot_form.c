/* SPDX-License-Identifier: ISC */
/*
 * Stretches without CR or LF inside a line are copied whole; the state machine sees line ends, the
 * first byte of each line, and CRs. The three ways of dot_form() differ only in what a dot at the
 * start of a line becomes: doubled when stuffing; as it came when normalising, where the client has
 * doubled it already, except that a lone dot is no end (only CRLF.CRLF was) and is doubled.
 */
#include "lib/dot_form.h"

#include <string.h>

/* dot_form_init - start at the beginning of a body */
void dot_form_init(struct dot_form *f, enum dot_how how)
{
	*f = (struct dot_form){.how = how};
}

/* behind_cr - is a CR kept that is good only if an LF follows at once? */
static bool behind_cr(const struct dot_form *f)
{
	return f->state == DOT_FORM_CR || f->state == DOT_FORM_DOT_CR;
}

/* put - append bytes to the output */
static char *put(char *out, const char *s, size_t n)
{
	memcpy(out, s, n);
	return out + n;
}

/* lone_dot - a line is a dot and nothing else */
static char *lone_dot(struct dot_form *f, char *out)
{
	f->state = DOT_FORM_START;
	if (f->how == DOT_STUFF_STOP) {
		f->stopped = true;
		return out;
	}
	return put(out, "..\r\n", 4);
}

/* line_end - an LF, which ends a line wherever it stands */
static char *line_end(struct dot_form *f, char *out)
{
	if (f->state == DOT_FORM_DOT || f->state == DOT_FORM_DOT_CR)
		return lone_dot(f, out);
	f->state = DOT_FORM_START;
	return put(out, "\r\n", 2);
}

/* carriage_return - a CR, of which nothing is written until it is known what follows */
static void carriage_return(struct dot_form *f)
{
	if (f->state == DOT_FORM_DOT)
		f->state = DOT_FORM_DOT_CR;
	else if (f->state != DOT_FORM_DOT_CR)
		f->state = DOT_FORM_CR;
}

/* decide - another byte follows: write what was kept before it */
static char *decide(struct dot_form *f, char *out)
{
	if (f->state == DOT_FORM_DOT || f->state == DOT_FORM_DOT_CR)
		out = put(out, "..", f->how == DOT_NORMALISE ? 1 : 2);
	if (behind_cr(f)) {
		*out++ = ' ';
		f->mended = true;
	}
	f->state = DOT_FORM_TEXT;
	return out;
}

/* stretch - how many bytes of in come before the next CR or LF; lf remembers where that LF is */
static size_t stretch(const char *in, const char *end, const char **lf)
{
	if (!*lf || *lf < in) {
		*lf = memchr(in, '\n', (size_t)(end - in));
		if (!*lf)
			*lf = end;
	}
	const char *cr = memchr(in, '\r', (size_t)(*lf - in));
	return (size_t)((cr ? cr : *lf) - in);
}

/* dot_form - the stored form of bytes */
size_t dot_form(struct dot_form *f, const char *in, size_t n, char *out)
{
	const char *end = in + n, *lf = NULL;
	char *start = out;
	while (in < end && !f->stopped) {
		if (*in == '\n') {
			f->mended |= !behind_cr(f);
			out = line_end(f, out);
			in++;
		} else if (*in == '\r') {
			f->mended |= behind_cr(f);
			carriage_return(f);
			in++;
		} else if (*in == '.' && f->state == DOT_FORM_START) {
			f->state = DOT_FORM_DOT;
			in++;
		} else {
			out = decide(f, out);
			size_t len = stretch(in, end, &lf);
			out = put(out, in, len);
			in += len;
		}
	}
	return (size_t)(out - start);
}

/* dot_form_end - complete the last line */
size_t dot_form_end(struct dot_form *f, char *out)
{
	char *start = out;
	f->mended |= behind_cr(f);
	if (f->state != DOT_FORM_START && !f->stopped)
		out = line_end(f, out);
	return (size_t)(out - start);
}

/* dot_plain_init - start at the beginning of a stored body */
void dot_plain_init(struct dot_plain *u, bool lf)
{
	*u = (struct dot_plain){.lf = lf, .line_start = true};
}

/* plain_line_end - what stands for the LF at in[len], `len` bytes of whose line are in this piece
 */
static char *plain_line_end(struct dot_plain *u, const char *in, size_t len, char *out)
{
	bool crlf = len ? in[len - 1] == '\r' : u->last_cr;
	size_t keep = len - (u->lf && crlf && len > 0);
	out = put(out, in, keep);
	*out++ = '\n';
	u->line_start = crlf;
	u->last_cr = false;
	return out;
}

/* dot_plain - the plain form of stored bytes */
size_t dot_plain(struct dot_plain *u, const char *in, size_t n, char *out)
{
	const char *end = in + n;
	char *start = out;
	while (in < end) {
		if (u->line_start) {
			u->line_start = false;
			in += *in == '.';
			if (in == end)
				break;
		}
		/* A CR that was kept belongs before this piece unless an LF follows at once. */
		if (u->last_cr && u->lf && *in != '\n') {
			*out++ = '\r';
			u->last_cr = false;
		}
		const char *lf = memchr(in, '\n', (size_t)(end - in));
		if (lf) {
			out = plain_line_end(u, in, (size_t)(lf - in), out);
			in = lf + 1;
			continue;
		}
		size_t len = (size_t)(end - in);
		u->last_cr = end[-1] == '\r';
		out = put(out, in, len - (u->lf && u->last_cr));
		in = end;
	}
	return (size_t)(out - start);
}

/* dot_plain_end - write the CR that was kept */
size_t dot_plain_end(struct dot_plain *u, char *out)
{
	if (!u->lf || !u->last_cr)
		return 0;
	u->last_cr = false;
	*out = '\r';
	return 1;
}
