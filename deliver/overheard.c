/* SPDX-License-Identifier: ISC */
#include "deliver/overheard.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OUTPUT_MAX 4096 /* bytes of commands that are shown at a time */

/* with - the client's peer */
static struct dialogue with(const struct client *c)
{
	return (struct dialogue){.kind = DIALOGUE_SITE,
	    .name = c->setup.site,
	    .host = c->setup.host,
	    .session = c->setup.tag};
}

/* overheard_reply - each line with the code, which the parser has taken off */
void overheard_reply(const struct client *c)
{
	const struct dialogue d = with(c);
	const char *text = c->reply.text, *end = text + c->reply.text_len;
	if (!dialogue_wanted(&d))
		return;
	if (c->state == CLIENT_AUTH) {
		dialogue_note(&d, false, "%u (login)", c->reply.code);
		return;
	}
	for (bool more = true; more;) {
		char line[1024];
		const char *lf = memchr(text, '\n', (size_t)(end - text));
		int len = (int)((lf ? lf : end) - text);
		more = lf && lf + 1 < end;
		int n = snprintf(
		    line, sizeof(line), "%u%c%.*s", c->reply.code, more ? '-' : ' ', len, text);
		if (n > 0)
			dialogue_say(&d, false, line,
			    (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
		text = lf ? lf + 1 : end;
	}
}

/* overheard_output - line by line */
void overheard_output(const struct client *c, struct evbuffer *out, size_t before)
{
	char text[OUTPUT_MAX];
	struct evbuffer_ptr at;
	const struct dialogue d = with(c);
	if (!dialogue_wanted(&d) || evbuffer_ptr_set(out, &at, before, EVBUFFER_PTR_SET) != 0)
		return;
	ssize_t n = evbuffer_copyout_from(out, &at, text, sizeof(text));
	if (n > 0)
		dialogue_say(&d, true, text, (size_t)n);
}

/* overheard_noted - in words */
void overheard_noted(const struct client *c, bool ours, const char *fmt, ...)
{
	char text[200];
	va_list ap;
	const struct dialogue d = with(c);
	if (!dialogue_wanted(&d))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dialogue_note(&d, ours, "%s", text);
}
