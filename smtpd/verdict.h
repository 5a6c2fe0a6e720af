/* SPDX-License-Identifier: ISC */
/*
 * What a command's handler decides; the session acts on it. Texts are literals or lie in the
 * session, never in a handler's stack.
 */
#pragma once

#include <stdint.h>

enum act {
	ACT_REPLY, /* say it */
	ACT_WAIT,  /* nothing yet: session_resume() will bring the verdict */
	ACT_BODY,  /* say it, what follows is the message's content */
	ACT_TLS,   /* say it, then the handshake */
	ACT_CLOSE, /* say it and close */
	ACT_SAID   /* the handler wrote its (multi-line) reply itself */
};

struct verdict {
	enum act act;
	uint16_t code;      /* 0: no objection, where a function may object */
	const char *status; /* RFC 3463, NULL: none */
	const char *text;
};

static inline struct verdict verdict_reply(uint16_t code, const char *status, const char *text)
{
	return (struct verdict){ACT_REPLY, code, status, text};
}

static inline struct verdict verdict_act(enum act act)
{
	return (struct verdict){.act = act};
}
