/* SPDX-License-Identifier: ISC */
#include "smtpd/overheard.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/str.h"
#include "smtpd/commands.h"

#define REPLY_MAX 4096 /* bytes of one reply that are shown */

/* with - the session's client */
static struct dialogue with(const struct session *s)
{
	/* a link of our own deliver worker is no client */
	return (struct dialogue){.kind = DIALOGUE_CLIENT,
	    .name = s->peer.kind == PEER_NOTICE ? NULL : s->peer.address,
	    .session = s->number};
}

/* overheard_line - a command, but for its secrets */
void overheard_line(struct session *s, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);
	size_t verb = space ? (size_t)(space - line) : len;
	bool auth = str_is_ci(line, verb, "AUTH");
	s->tried_auth |= auth;
	if (!dialogue_any)
		return;
	const struct dialogue d = with(s);
	if (!dialogue_wanted(&d))
		return;
	if (s->state == SMTP_AUTH) {
		dialogue_note(&d, false, "(login, %zu bytes)", len);
	} else if (auth) {
		const char *more = space ? memchr(space + 1, ' ', len - verb - 1) : NULL;
		dialogue_note(&d, false, "%.*s%s", (int)(more ? (size_t)(more - line) : len), line,
		    more ? " (login)" : "");
	} else if (s->tried_auth && !commands_known(line, verb)) {
		dialogue_note(&d, false, "(no command, %zu bytes)", len);
	} else {
		dialogue_say(&d, false, line, len);
	}
}

/* overheard_reply - line by line */
void overheard_reply(const struct session *s, size_t before)
{
	char text[REPLY_MAX];
	struct evbuffer_ptr at;
	const struct dialogue d = with(s);
	if (!s->out || !dialogue_wanted(&d) ||
	    evbuffer_ptr_set(s->out, &at, before, EVBUFFER_PTR_SET) != 0)
		return;
	ssize_t n = evbuffer_copyout_from(s->out, &at, text, sizeof(text));
	if (n > 0)
		dialogue_say(&d, true, text, (size_t)n);
}

/* overheard_noted - in words */
void overheard_noted(const struct session *s, bool ours, const char *fmt, ...)
{
	char text[200];
	va_list ap;
	const struct dialogue d = with(s);
	if (!dialogue_wanted(&d))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dialogue_note(&d, ours, "%s", text);
}
