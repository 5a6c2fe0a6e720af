/* SPDX-License-Identifier: ISC */
#include "deliver/overheard.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
	const struct dialogue d = with(c);
	if (dialogue_wanted(&d))
		dialogue_say_from(&d, true, out, before);
}

/* overheard_noted - in words */
void overheard_noted(const struct client *c, bool ours, const char *fmt, ...)
{
	va_list ap;
	const struct dialogue d = with(c);
	if (!dialogue_wanted(&d))
		return;
	va_start(ap, fmt);
	dialogue_vnote(&d, ours, fmt, ap);
	va_end(ap);
}
