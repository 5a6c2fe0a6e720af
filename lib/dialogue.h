/* SPDX-License-Identifier: ISC */
/*
 * Dialogues in the log: the SMTP conversations of a site or a client, line by line, for as long as
 * the administrator asked for it (`batonctl debug`). master keeps the list and tells smtpd and
 * deliver all of it whenever it changes; a process logs what matches from the next line on, also on
 * connections that stand, and stops by itself when the time is over, whatever becomes of master.
 *
 *   dialogue client=192.0.2.1 session=7 they="MAIL FROM:<a@example.org>"
 *   dialogue site=mx.example.net host=mx1.example.net session=12 we="DATA"
 *
 * These lines are logged whatever log_level says. No secret and no content is among them: who calls
 * dialogue_say() leaves out what belongs to a login, and says of a message only how large it is.
 */
#pragma once

#include <event2/buffer.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/msg.h"
#include "lib/wire.h"

#define DIALOGUES_MAX     16 /* rules at a time */
#define DIALOGUE_NAME_MAX 255
#define DIALOGUE_FOR_MS   (10 * 60 * 1000u)   /* unless asked for otherwise */
#define DIALOGUE_MOST_MS  (24 * 3600 * 1000u) /* the longest */
#define DIALOGUE_LIST_MAX (DIALOGUES_MAX * (DIALOGUE_NAME_MAX + 16)) /* bytes, encoded */

enum dialogue_verb { DIALOGUE_LIST = 0, DIALOGUE_BEGIN = 1, DIALOGUE_END = 2 };
enum dialogue_kind { DIALOGUE_ALL = 0, DIALOGUE_SITE = 1, DIALOGUE_CLIENT = 2 };

struct dialogue_rule {
	uint8_t kind;          /* DIALOGUE_SITE, DIALOGUE_CLIENT */
	int64_t until_ms;      /* clock_ms() */
	struct msg_bytes name; /* a site or one of its hosts; a client's address, or "local" */
};

/* "site", "client" */
const char *dialogue_kind_name(unsigned kind);

/* The list of rules as messages carry it: 1 and a rule, 0 at the end, -EBADMSG. *pos starts at 0.
 */
void dialogue_put(struct wire_out *out, const struct dialogue_rule *rule);
int dialogue_next(struct msg_bytes list, size_t *pos, struct dialogue_rule *rule);

/* -- in a role */

extern bool dialogue_any; /* there may be rules: to be asked before anything else */

/* These rules hold from now on, in place of those before. */
void dialogue_set(struct msg_bytes list);

/* Who speaks: what the rules are compared with, and what the lines say. */
struct dialogue {
	enum dialogue_kind kind;
	const char *name; /* the site, or the client's address */
	const char *host; /* of the site; NULL: none */
	uint64_t session; /* tells the connections of one process apart */
};

/* Whether it is logged now. */
bool dialogue_wanted(const struct dialogue *with);

/* One line for each line of the text; ours: we say it. Call only what dialogue_wanted() wants. */
void dialogue_say(const struct dialogue *with, bool ours, const char *text, size_t len);

/* The same for what a buffer holds behind its first `before` bytes, DIALOGUE_OUTPUT_MAX of it. */
#define DIALOGUE_OUTPUT_MAX 4096
void dialogue_say_from(const struct dialogue *with, bool ours, struct evbuffer *out, size_t before);

/* The same with words of our own about what isn't shown: "(a message of 4096 bytes)". */
void dialogue_note(const struct dialogue *with, bool ours, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void dialogue_vnote(const struct dialogue *with, bool ours, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
