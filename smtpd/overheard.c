/* SPDX-License-Identifier: ISC */
#include "smtpd/overheard.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/str.h"
#include "smtpd/commands.h"

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
	const struct dialogue d = with(s);
	if (s->out && dialogue_wanted(&d))
		dialogue_say_from(&d, true, s->out, before);
}

/* overheard_noted - in words */
void overheard_noted(const struct session *s, bool ours, const char *fmt, ...)
{
	va_list ap;
	const struct dialogue d = with(s);
	if (!dialogue_wanted(&d))
		return;
	va_start(ap, fmt);
	dialogue_vnote(&d, ours, fmt, ap);
	va_end(ap);
}
