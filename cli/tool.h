/* SPDX-License-Identifier: ISC */
/*
 * A tool's conversation with a role: a SOCK_SEQPACKET connection to a socket in `runtime`, over
 * which the tool_* messages of lib/msg.def pass. One request, then answers until a handler says
 * that the last one came. Blocking: a tool has nothing else to do.
 */
#pragma once

#include "lib/chan.h"
#include "lib/conf.h"

#define TOOL_WAIT_MS 60000 /* silence after which a tool gives up; work is done in slices */

enum {
	TOOL_OK = 0,
	TOOL_FAILED = 1,       /* the role said no, or something went wrong on the way */
	TOOL_USAGE = 64,       /* EX_USAGE */
	TOOL_UNREACHABLE = 69, /* EX_UNAVAILABLE: nobody serves the socket */
	TOOL_NOT_ALLOWED = 77  /* EX_NOPERM: the role says who may */
};

struct tool {
	int fd;
	enum role role; /* whom we speak to */
	bool done;      /* a handler sets it at the last answer */
	bool own;       /* the answer was about the user's own mail only: a handler sets it */
	int result;     /* TOOL_OK, TOOL_FAILED */
	int wait_ms;    /* silence after which it is given up; tool_open() sets TOOL_WAIT_MS */
	void *arg;
};

/*
 * Connects to the socket `name` of the instance, served by `role`. Returns TOOL_OK, or
 * TOOL_UNREACHABLE after saying why on stderr.
 */
int tool_open(struct tool *tool, const struct conf *conf, const char *name, enum role role);

/*
 * Sends one message and hands every answer to the handlers (arg: the struct tool) until one sets
 * `done`; a refusal of a role that answers tool_changed is printed. Returns tool->result, or
 * TOOL_FAILED after saying what broke.
 */
int tool_ask(
    struct tool *tool, enum msg_type type, const void *msg, const struct chan_handlers *handlers);

void tool_close(struct tool *tool);

/* All three, for a conversation of one request; arg is the tool's. */
int tool_request(const struct conf *conf, const char *name, enum role role, enum msg_type type,
    const void *msg, const struct chan_handlers *handlers, void *arg);

/* The answer tool_changed came: whether it is a refusal, which is then printed and the result. */
bool tool_change_failed(struct tool *tool, const struct msg_tool_changed *m);

/* On stderr, for an answer that was about the user's own mail only: that it was. Else nothing. */
void tool_say_own(const struct tool *tool);
