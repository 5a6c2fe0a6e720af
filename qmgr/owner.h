/* SPDX-License-Identifier: ISC */
/*
 * Whose mail a tool may see. For an ordinary user that is what was submitted under his uid, by the
 * kernel's word to smtpd, and what came from a login (AUTH) of his name. The uid is in SO_PEERCRED;
 * its login name keeper knows, which is asked before the tool's first message is read.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/msg.h"
#include "qmgr/keys.h"

#define OWNER_WAIT_MS 3000 /* for keeper; then the uid alone has to do */

struct owner {
	bool all; /* everybody's: an admin */
	uint32_t uid;
	char user[KEYS_USER_MAX + 1]; /* "": no name is known */
};

/* Whether the message is his. */
bool owner_has(const struct owner *owner, const struct row_msg *msg);

/* A question for the name of owner.uid; the memory is the asker's. */
struct owner_wait {
	struct owner_wait *next, *prev;
	uint32_t request;
	uint64_t until;
	struct owner owner;
	void (*done)(struct owner_wait *wait);
};

/* Asks; done() is called once, later. */
void owner_ask(struct owner_wait *wait);
/* No answer is wanted. */
void owner_forget(struct owner_wait *wait);

/* The link to keeper is new. */
void owner_linked(void);
/* keeper_name_is */
void owner_answer(const struct msg_keeper_name_is *m);
