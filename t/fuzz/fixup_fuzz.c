/* SPDX-License-Identifier: ISC */
/*
 * A submitted message: whatever its header is, what is made of it has proper lines of a proper
 * length, no end of data inside, grows by as many bytes plain as stored, and needs no second
 * mending; folded in pieces it becomes what it becomes as a whole, where it is ASCII.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dot.h"
#include "lib/dot_form.h"
#include "smtpd/fixup.h"

enum { SIZE = 1 << 18, LONG = 900 };

struct text {
	char at[SIZE];
	size_t len;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *entries[] = {(char *)"root@*=admin@example.org", (char *)"*@host.lan=*@example.org",
    (char *)"*@.lan=all@example.net"};
static const struct conf conf = {.origin = (char *)"o.test", .masquerade = {.v = entries, .n = 3}};

/* what has to hold; a macro, so that a stack says which of them didn't */
#define must(ok) ((ok) ? (void)0 : abort())

/* put - append */
static void put(void *to, const char *bytes, size_t n)
{
	struct text *t = to;
	must(n <= SIZE - t->len);
	memcpy(t->at + t->len, bytes, n);
	t->len += n;
}

/* plain_len - without stuffed dots */
static size_t plain_len(const struct text *t)
{
	static char plain[SIZE + 1];
	struct dot_plain unform;
	dot_plain_init(&unform, false);
	return dot_plain(&unform, t->at, t->len, plain);
}

/* clean - CRLF only, and nothing that ends a message */
static void clean(const struct text *t)
{
	struct dot_scan scan;
	for (size_t i = 0; i < t->len; i++) {
		must(t->at[i] != '\n' || (i > 0 && t->at[i - 1] == '\r'));
		must(t->at[i] != '\r' || (i + 1 < t->len && t->at[i + 1] == '\n'));
	}
	dot_scan_init(&scan);
	must(!dot_scan(&scan, t->at, t->len));
}

/* longest - bytes of the longest line, its CRLF not counted */
static size_t longest(const struct text *t)
{
	size_t most = 0, col = 0;
	for (size_t i = 0; i < t->len; i++) {
		col = t->at[i] == '\n' ? 0 : col + 1;
		if (col > most)
			most = col;
	}
	return most ? most - 1 : 0;
}

/* pieces - fold() in steps must be what it is at once */
static void pieces(const struct text *in, size_t step, bool header)
{
	static struct text whole, cut;
	struct fold f, g;
	whole.len = cut.len = 0;
	fold_init(&f, header);
	fold_init(&g, header);
	fold(&f, in->at, in->len, put, &whole);
	for (size_t at = 0; at < in->len; at += step)
		fold(&g, in->at + at, in->len - at < step ? in->len - at : step, put, &cut);
	must(whole.len == in->len + f.added && cut.len == in->len + g.added);
	clean(&whole);
	must(header || longest(&whole) <= DOT_LINE_MAX + 1); /* with a stuffed dot */
	must(plain_len(&whole) == plain_len(in) + f.added);
	for (size_t i = 0; i < in->len; i++)
		if (in->at[i] & 0x80) /* a character in two pieces may be cut */
			return;
	must(whole.len == cut.len && !memcmp(whole.at, cut.at, cut.len));
}

/* mend - the header */
static void mend(const struct text *in, bool privacy)
{
	static struct text out, again;
	struct fixup fix;

	must(fixup_header(&conf, privacy, in->at, in->len, true, &fix) == 0 && fix.len <= in->len);
	out.len = again.len = 0;
	put(&out, fix.text ? fix.text : in->at, fix.text ? fix.text_len : fix.len);
	again = out;
	must(longest(&again) <= DOT_LINE_MAX + 1);
	put(&out, in->at + fix.len, in->len - fix.len);
	clean(&out);
	must(plain_len(&out) - plain_len(in) == out.len - in->len);
	bool envelope = out.len > 5 && (!memcmp(out.at, "From ", 5) || !memcmp(out.at, ">From", 5));
	if (longest(in) > LONG || longest(&out) > LONG || envelope)
		return;
	must(fixup_header(&conf, privacy, out.at, out.len, true, &fix) == 0 && !fix.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct text in;
	struct dot_form form;
	struct fixup fix;

	if (size < 2 || size > SIZE / 16)
		return 0;
	/* Runs of one byte stand for long lines: the fuzzer finds them late by itself. */
	static struct text raw;
	raw.len = 0;
	for (size_t i = 2; i < size; i++) {
		size_t times = data[i] == 0x01 && raw.len < SIZE / 8 ? 990 : 1;
		for (size_t k = 0; k < times; k++)
			put(&raw, times > 1 ? "x" : (const char *)data + i, 1);
	}
	dot_form_init(&form, DOT_NORMALISE);
	in.len = dot_form(&form, raw.at, raw.len, in.at);
	in.len += dot_form_end(&form, in.at + in.len);
	mend(&in, data[0] & 1);
	pieces(&in, 1 + data[1], data[0] & 2);
	(void)fixup_header(&conf, false, in.at, in.len / 2, false, &fix);
	return 0;
}
