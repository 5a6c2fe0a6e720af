/* SPDX-License-Identifier: ISC */
/*
 * The messages between Baton's processes, made of the rows of lib/msg.def: an enum, a struct
 * for each message, names, and one table that encodes, decodes and checks them. There is no
 * second list to keep in step. lib/chan.h carries them; lib/PROTOCOL describes the bytes.
 *
 * A decoded message points into the packet it came in: STR and BYTES fields are valid until the
 * handler returns. Descriptors (FD fields) belong to the handler, which sets the field to -1
 * when it keeps one; the caller closes the rest with msg_close_fds().
 */
#pragma once

#include "lib/role.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSG_PACKET_MAX 65536 /* bytes of one packet */
#define MSG_HEADER     8     /* bytes before a message's fields: type, fds, length */
#define MSG_FDS_MAX    2     /* descriptors of one message */
#define MSG_PACKET_FDS 32    /* descriptors of one packet */

/* A counted string of a message; not NUL-terminated. */
struct msg_bytes {
	const char *data;
	uint32_t len;
};

enum msg_kind { MSG_REQUEST, MSG_REPLY, MSG_NOTICE };

enum msg_type {
	MSG_NONE = 0,
#define MSG(number, name, kind, senders, receivers, max, fields) MSG_##name = (number),
#include "lib/msg.def"
#undef MSG
	MSG_TYPES
};

#define U8(field)    uint8_t field;
#define U16(field)   uint16_t field;
#define U32(field)   uint32_t field;
#define U64(field)   uint64_t field;
#define STR(field)   struct msg_bytes field;
#define BYTES(field) struct msg_bytes field;
#define FD(field)    int field;
#define MSG(number, name, kind, senders, receivers, max, fields) \
	struct msg_##name {                                      \
		uint8_t unused_; /* a struct needs a member */   \
		fields                                           \
	};
#include "lib/msg.def"
#undef MSG
#undef U8
#undef U16
#undef U32
#undef U64
#undef STR
#undef BYTES
#undef FD

/* Room for any one decoded message. */
union msg_any {
	uint64_t align;
#define MSG(number, name, kind, senders, receivers, max, fields) struct msg_##name name;
#include "lib/msg.def"
#undef MSG
};

/* kinds of sockets that LISTEN carries */
enum listen_kind { LISTEN_SMTP = 0, LISTEN_SUBMIT = 1, LISTEN_TOOL = 2, LISTEN_METRICS = 3 };
/* kinds of sockets that LINK carries: a channel of messages, or a stream that speaks SMTP */
enum link_kind { LINK_CHANNEL = 0, LINK_SMTP = 1 };
/* files that a role without paths is given: the host's own names; its memory of the last run */
enum file_kind { FILE_HOSTS = 0, FILE_SAVED = 1 };
/* verdicts of keeper_recipient_is and keeper_expand_is */
enum keeper_verdict {
	KEEPER_MAILBOX = 0,
	KEEPER_ALIAS = 1,
	KEEPER_UNKNOWN = 2,
	KEEPER_TEMPFAIL = 3
};
/* mechanisms of keeper_login */
enum login_mechanism { LOGIN_PLAIN = 0, LOGIN_SCRAM_SHA_256 = 1 };
/* verdicts of keeper_login_is */
enum login_verdict {
	LOGIN_OK = 0,
	LOGIN_WRONG = 1,    /* no such user, or a wrong secret: nobody is told which */
	LOGIN_MORE = 2,     /* the client is to answer the challenge */
	LOGIN_TEMPFAIL = 3, /* nobody can tell now */
	LOGIN_SLOW = 4      /* this client, or this user, has failed too often of late */
};
/* verdicts of keeper_submit_is */
enum submit_verdict {
	SUBMIT_OK = 0,
	SUBMIT_NOT_OWNER = 1, /* the sender belongs to others */
	SUBMIT_OVER = 2,      /* more recipients than an hour has for one user */
	SUBMIT_TEMPFAIL = 3
};
/* CONTROL_BOARD is answered by tool_board */
enum control_verb {
	CONTROL_STATUS = 0,
	CONTROL_RELOAD = 1,
	CONTROL_ALIASES = 2,
	CONTROL_BOARD = 3
};

/* Makes a msg_bytes of a C string or of a pointer and length. */
struct msg_bytes msg_str(const char *text);
struct msg_bytes msg_bytes(const void *data, size_t len);

/* The message's name as in msg.def, "unknown" for a number that no row has. */
const char *msg_name(unsigned type);

/* Whether a row exists, and whether `sender` may say it to `receiver`. */
bool msg_allowed(unsigned type, enum role sender, enum role receiver);

/*
 * Encodes header and fields of `msg` (a struct msg_<name>) into out.
 * Returns the bytes written; -EMSGSIZE when out or the row's maximum is too small, -EINVAL for an
 * unknown type or a STR with a NUL or over 65,535 bytes. Descriptors are put into fds in order.
 */
int msg_encode(
    unsigned type, const void *msg, unsigned char *out, size_t size, int *fds, unsigned *nfds);

/*
 * Reads one message's header at in: type, its descriptors and the length of its fields.
 * Returns 0, or -EBADMSG when the header or what it promises doesn't fit into len.
 */
int msg_peek(const unsigned char *in, size_t len, unsigned *type, unsigned *nfds, size_t *body);

/*
 * Decodes the fields of a message of `type` (body bytes behind the header) into msg.
 * Returns 0, or -EBADMSG: unknown type, wrong size, wrong number of descriptors, NUL in a STR,
 * leftover bytes. Nothing is taken over in that case.
 */
int msg_decode(unsigned type, const unsigned char *body, size_t len, const int *fds, unsigned nfds,
    union msg_any *msg);

/* Closes the descriptors of a decoded message that its handler didn't take (set to -1). */
void msg_close_fds(unsigned type, union msg_any *msg);
