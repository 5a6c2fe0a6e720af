/* SPDX-License-Identifier: ISC */
/* A fact is its number (u8) and its text, counted. */
#include "lib/explain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
	const char *name, *label;
	enum explain_kind kind;
} facts[EXPLAIN_FACTS] = {
#define FACT(name, kind, label) {#name, label, EXPLAIN_##kind},
#include "lib/explain.def"
};

/* explain_name - in JSON */
const char *explain_name(enum explain_fact fact)
{
	return facts[fact].name;
}

/* explain_kind - how it is printed */
enum explain_kind explain_kind(enum explain_fact fact)
{
	return facts[fact].kind;
}

/* explain_label - for a person */
const char *explain_label(enum explain_fact fact)
{
	return facts[fact].label;
}

/* explain_put - append one fact, or nothing */
void explain_put(struct wire_out *out, enum explain_fact fact, const char *fmt, ...)
{
	char text[EXPLAIN_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	if (out->len + 5 + len > EXPLAIN_MAX)
		return;
	wire_put_u8(out, (uint8_t)fact);
	wire_put_bytes(out, text, len);
}

/* explain_next - the next fact of an answer */
int explain_next(struct msg_bytes in, size_t *pos, struct explain_row *row)
{
	struct wire_in w;
	size_t len;
	if (*pos >= in.len)
		return *pos > in.len ? -EBADMSG : 0;
	wire_in_init(&w, in.data + *pos, in.len - *pos);
	uint8_t fact = wire_get_u8(&w);
	const char *data = wire_get_bytes(&w, &len);
	if (w.err || fact >= EXPLAIN_FACTS)
		return -EBADMSG;
	*row = (struct explain_row){(enum explain_fact)fact, {data, (uint32_t)len}};
	*pos = in.len - wire_left(&w);
	return 1;
}
