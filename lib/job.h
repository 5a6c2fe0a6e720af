/* SPDX-License-Identifier: ISC */
/*
 * What qmgr and deliver say of recipients: the lists inside JOB, RESULT, INFLIGHT and the
 * members of an expansion. Encoded with lib/wire.h; both sides use these functions, so there is
 * one form. Text points into the encoded bytes.
 */
#pragma once

#include "lib/msg.h"

#define JOB_TEXT_MAX 512 /* bytes kept of a peer's reply */

enum job_kind {
	JOB_MAIL = 0,   /* a transaction with a next hop */
	JOB_NOTICE = 1, /* compose a bounce for these outcomes and hand it to smtpd */
	JOB_LOCAL = 2,  /* delivery into one mailbox */
	JOB_DISCARD = 3 /* drop it; says sent */
};

/* how a connection carries its jobs */
enum transport {
	TRANSPORT_SMTP = 0,
	TRANSPORT_LMTP = 1,
	TRANSPORT_LOCAL = 2,
	TRANSPORT_NOTICE = 3,
	TRANSPORT_DISCARD = 4
};

/* the end of one recipient of one job */
enum outcome {
	OUT_SENT = 0,      /* the next hop took responsibility */
	OUT_DEFERRED = 1,  /* 4xx or lost: an attempt was made, try again later */
	OUT_FAILED = 2,    /* 5xx: return to sender */
	OUT_NOT_TRIED = 3, /* came back untouched: no attempt, no back-off */
	OUT_TOO_MANY = 4,  /* 452 4.5.3: the rest may follow at once */
	OUT_DAMAGED = 5,   /* the record can't be sent (bad bytes on disk): set aside */
	OUT_EXPANDED = 6   /* a .forward: `members` take its place */
};

/* what a notice says has become of a recipient (RFC 3464 §2.3.3) */
enum job_action {
	ACTION_FAILED = 0,
	ACTION_DELAYED = 1,   /* still being tried */
	ACTION_DELIVERED = 2, /* in its mailbox */
	ACTION_RELAYED = 3,   /* to a host that reports nothing itself */
	ACTION_EXPANDED = 4,  /* an alias: others stand for it now */
	ACTIONS
};

/* why a connection did not come to be, or ended */
enum open_verdict {
	OPEN_OK = 0,
	OPEN_UNREACHABLE = 1, /* connect failed or timed out, no host has an address */
	OPEN_REFUSED = 2,     /* 5xx to greeting, EHLO, STARTTLS, AUTH, 530: it refuses us */
	OPEN_THROTTLED = 3,   /* 421 or 4xx before a transaction */
	OPEN_DNS = 4,         /* look-up failed for now */
	OPEN_NO_DOMAIN = 5,   /* the domain doesn't exist: its recipients bounce (5.1.2) */
	OPEN_NULL_MX = 6,     /* RFC 7505: its recipients bounce (5.1.10) */
	OPEN_TLS = 7,         /* TLS required and not to be had, or the certificate doesn't match */
	OPEN_LOST = 8,        /* broke down while in use */
	OPEN_IDLE = 9,        /* closed in peace: idle, told to, or its last message carried */
	OPEN_LOCAL_LIMIT = 10, /* our own limit (descriptors, memory): not the site's fault */
	OPEN_NO_IPV6 = 11,     /* it refuses us over IPv6 and has IPv4 addresses too */
	OPEN_LOOP = 12         /* we are the domain's best host: its recipients bounce (5.4.6) */
};

/* how a peer took what was written ahead of its replies (RFC 2920), as its connection ends */
enum ahead_verdict {
	AHEAD_UNKNOWN = 0, /* no transaction was sent ahead, or its end says nothing of that */
	AHEAD_FINE = 1,    /* one that was sent ahead was answered in order */
	AHEAD_LOST = 2,    /* the connection was lost with the first ones outstanding */
	AHEAD_CONFUSED = 3 /* replies out of step, or none until the timeout */
};

struct job_rcpt {
	uint32_t number; /* in the message's envelope, or given by an expansion */
	struct msg_bytes address;
	struct msg_bytes orcpt;
	uint8_t notify;
	/* JOB_NOTICE only: what happened to it */
	uint8_t action; /* enum job_action */
	uint16_t code;
	uint64_t tried_ms, until_ms; /* wall clock of its last attempt, and how long it is tried;
					0: not known, or doesn't matter */
	struct msg_bytes status, text, host;
};

struct job_result {
	uint32_t number;
	uint8_t outcome;               /* enum outcome */
	uint8_t passed;                /* OUT_SENT: the next hop reports what is to be reported */
	uint16_t code;                 /* reply code, 0: none */
	struct msg_bytes status, text; /* enhanced status "5.1.1", the peer's words */
	struct msg_bytes members;      /* OUT_EXPANDED: texts, first whose .forward it is */
};

struct job_place {
	uint64_t segment, offset;
	uint32_t number;
};

/* A list under construction in the caller's buffer; len grows, error is sticky (-EMSGSIZE). */
struct job_list {
	unsigned char *data;
	size_t len, size;
	int error;
};

void job_list_init(struct job_list *list, unsigned char *buf, size_t size);
/* Each returns 0, or -EMSGSIZE and leaves the list as it was. */
int job_put_rcpt(struct job_list *list, const struct job_rcpt *rcpt);
int job_put_result(struct job_list *list, const struct job_result *result);
int job_put_place(struct job_list *list, const struct job_place *place);
int job_put_text(struct job_list *list, struct msg_bytes text);
struct msg_bytes job_list_bytes(const struct job_list *list);

/* Walk a list; *pos starts at 0. Return 1 and the next entry, 0 at the end, -EBADMSG. */
int job_next_rcpt(struct msg_bytes list, size_t *pos, struct job_rcpt *rcpt);
int job_next_result(struct msg_bytes list, size_t *pos, struct job_result *result);
int job_next_place(struct msg_bytes list, size_t *pos, struct job_place *place);
int job_next_text(struct msg_bytes list, size_t *pos, struct msg_bytes *text);
