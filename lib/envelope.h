/* SPDX-License-Identifier: ISC */
/*
 * The envelope of a message as it is stored in its record: a list of typed attributes for the
 * message, in which each recipient is one attribute that holds a list of its own. A reader skips
 * types it doesn't know, so later versions add attributes without a new format.
 *
 *     attribute: type u16 | length u32 | value
 *
 * smtpd writes it, qmgr reads it (envelope_read() and the recipient cursor), nobody changes it.
 * Strings in a struct envelope point into the encoded bytes; they are not NUL-terminated.
 */
#pragma once

#include "lib/msg.h"

#define ENVELOPE_RCPTS_MAX 100000 /* of one message, expansions included */

/* attributes of the message: never renumbered */
enum envelope_attr {
	ENV_SENDER = 1,  /* reverse-path without <>; empty: null sender */
	ENV_ARRIVAL = 2, /* u64, ms since 1970 */
	ENV_FLAGS = 3,   /* u32, enum envelope_flag */
	ENV_CLIENT = 4,  /* address of the client as text, or "local" */
	ENV_HELO = 5,
	ENV_LISTENER = 6, /* its name in the configuration */
	ENV_USER = 7,     /* authenticated user or login name */
	ENV_UID = 8,      /* u32, of a local submission */
	ENV_MESSAGE_ID = 9,
	ENV_CLASS = 10,
	ENV_ENVID = 11,  /* RFC 3461, decoded */
	ENV_RET = 12,    /* u8, enum envelope_ret */
	ENV_HEADER = 13, /* a header field that classes look at: its first line */
	ENV_TOOK = 14,   /* u32, ms from MAIL to ENV_ARRIVAL */
	ENV_RCPT = 20,   /* a recipient: list of the attributes below */
};

enum envelope_rcpt_attr {
	RCPT_ADDRESS = 1, /* forward-path without <> and source route */
	RCPT_SENDER = 2,  /* its own reverse-path (owner-) */
	RCPT_NOTIFY = 3,  /* u8, enum envelope_notify */
	RCPT_ORCPT = 4,   /* type;xtext, as the parameter has it */
	RCPT_PARENT = 5,  /* u32: number of the recipient it was expanded from */
};

enum envelope_flag {
	ENVF_8BIT = 1,      /* body has octets above 127 */
	ENVF_SMTPUTF8 = 2,  /* MAIL said SMTPUTF8 */
	ENVF_BODY_8BIT = 4, /* MAIL said BODY=8BITMIME */
	ENVF_NOTICE = 8,    /* one of our own notices: never bounced */
	ENVF_DOUBLE = 16,   /* a notice about an undeliverable notice: never reported on */
};

/* RFC 3461 §4.1: what is reported of a recipient; 0: not said, which stands for NOTIFY_DEFAULT */
enum envelope_notify {
	NOTIFY_NEVER = 1,
	NOTIFY_SUCCESS = 2,
	NOTIFY_FAILURE = 4,
	NOTIFY_DELAY = 8,
	NOTIFY_DEFAULT = NOTIFY_FAILURE | NOTIFY_DELAY,
};

/* RFC 3461 §4.3: what a report of a failure returns of the message; 0: not said */
enum envelope_ret { RET_FULL = 1, RET_HDRS = 2 };

/* The ENVID that marks a notice as ENVF_DOUBLE on its way from deliver to smtpd. */
#define ENVELOPE_DOUBLE_ID "double-bounce"

struct envelope {
	struct msg_bytes sender;
	uint64_t arrival_ms;
	uint32_t took_ms; /* its transmission to us */
	uint32_t flags;
	struct msg_bytes client, helo, listener, user, message_id, class_name, envid;
	uint32_t uid;      /* UINT32_MAX: none */
	uint8_t ret;       /* 0: not said */
	uint32_t nrcpts;   /* recipients in the list */
	uint32_t nheaders; /* header fields in the list */
};

struct envelope_rcpt {
	struct msg_bytes address;
	struct msg_bytes sender; /* data == NULL: the message's */
	struct msg_bytes orcpt;
	uint8_t notify;  /* 0: not said */
	uint32_t parent; /* UINT32_MAX: none */
};

/* -- writing: into a growing buffer, in any order, recipients one by one */
struct envelope_writer {
	unsigned char *data;
	size_t len, size, max;
	int error; /* sticky: -ENOMEM, -EMSGSIZE */
};

/* max: bytes the encoded form may take at most (RECORD_ENVELOPE_MAX). */
void envelope_writer_init(struct envelope_writer *w, size_t max);
void envelope_writer_free(struct envelope_writer *w);
/* Empties it for the next message; keeps the memory. */
void envelope_writer_reset(struct envelope_writer *w);
void envelope_put_bytes(
    struct envelope_writer *w, enum envelope_attr type, const void *data, size_t len);
void envelope_put_u64(struct envelope_writer *w, enum envelope_attr type, uint64_t value);
void envelope_put_u32(struct envelope_writer *w, enum envelope_attr type, uint32_t value);
void envelope_put_u8(struct envelope_writer *w, enum envelope_attr type, uint8_t value);
void envelope_put_rcpt(struct envelope_writer *w, const struct envelope_rcpt *rcpt);

/* -- reading */

/*
 * Takes an encoded envelope apart and checks its whole structure, recipients included, so that a
 * later walk can't fail. Returns 0; -EBADMSG for a broken list, a missing sender or arrival, no
 * recipient or too many, an address with control characters or over 256 bytes.
 */
int envelope_read(const void *data, size_t len, struct envelope *env);

/*
 * Walks the recipients of an envelope that envelope_read() has accepted; *pos starts at 0.
 * Returns 1 and the recipient, or 0 at the end. Recipients are numbered 0, 1, ... in this order.
 */
int envelope_next_rcpt(const void *data, size_t len, size_t *pos, struct envelope_rcpt *rcpt);

/* Walks the noted header fields in the same way. */
int envelope_next_header(const void *data, size_t len, size_t *pos, struct msg_bytes *field);
