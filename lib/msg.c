/* SPDX-License-Identifier: ISC */
/*
 * lib/msg.def is expanded here into four small functions a message (put, get, close, number of
 * descriptors) and one table of rows that names them. Fields are put and got in the order of the
 * row, by one macro each, so the two directions cannot differ.
 *
 * Header of a message in a packet: type u16 | descriptors u8 | zero u8 | length of fields u32.
 */
#include "lib/msg.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/wire.h"

#define MSG_STR_MAX 65535u

struct row {
	const char *name;
	void (*put)(struct wire_out *w, const void *msg, int *fds, unsigned *n);
	void (*get)(struct wire_in *w, void *msg, const int *fds, unsigned *n);
	void (*close)(void *msg);
	uint32_t max;
	uint16_t senders, receivers;
	uint8_t kind, fds;
};

/* put_str - a counted text; one with a NUL, or too long, spoils the whole message */
static void put_str(struct wire_out *w, struct msg_bytes s)
{
	if (s.len > MSG_STR_MAX || (s.len > 0 && memchr(s.data, '\0', s.len) != NULL))
		w->err = -EINVAL;
	wire_put_bytes(w, s.data, s.len);
}

/* get_bytes - a counted string in place */
static struct msg_bytes get_bytes(struct wire_in *w)
{
	size_t len;
	const char *data = wire_get_bytes(w, &len);

	return (struct msg_bytes){data, (uint32_t)len};
}

/* get_str - a counted text in place; a NUL would cut it short for whoever prints it */
static struct msg_bytes get_str(struct wire_in *w)
{
	struct msg_bytes s = get_bytes(w);

	if (s.len > MSG_STR_MAX || memchr(s.data, '\0', s.len) != NULL)
		wire_in_fail(w);
	return s;
}

/* close_fd - a descriptor that no handler kept */
static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#define U8(f)    wire_put_u8(w, m->f);
#define U16(f)   wire_put_u16(w, m->f);
#define U32(f)   wire_put_u32(w, m->f);
#define U64(f)   wire_put_u64(w, m->f);
#define STR(f)   put_str(w, m->f);
#define BYTES(f) wire_put_bytes(w, m->f.data, m->f.len);
#define FD(f)    fds[(*n)++] = m->f;
#define MSG(number, name, kind, senders, receivers, max, fields)                           \
	static void put_##name(struct wire_out *w, const void *msg, int *fds, unsigned *n) \
	{                                                                                  \
		const struct msg_##name *m = msg;                                          \
		(void)m, (void)w, (void)fds, (void)n;                                      \
		fields                                                                     \
	}
#include "lib/msg.def"
#undef MSG
#undef U8
#undef U16
#undef U32
#undef U64
#undef STR
#undef BYTES
#undef FD

#define U8(f)    m->f = wire_get_u8(w);
#define U16(f)   m->f = wire_get_u16(w);
#define U32(f)   m->f = wire_get_u32(w);
#define U64(f)   m->f = wire_get_u64(w);
#define STR(f)   m->f = get_str(w);
#define BYTES(f) m->f = get_bytes(w);
#define FD(f)    m->f = fds[(*n)++];
#define MSG(number, name, kind, senders, receivers, max, fields)                          \
	static void get_##name(struct wire_in *w, void *msg, const int *fds, unsigned *n) \
	{                                                                                 \
		struct msg_##name *m = msg;                                               \
		(void)m, (void)w, (void)fds, (void)n;                                     \
		m->unused_ = 0;                                                           \
		fields                                                                    \
	}
#include "lib/msg.def"
#undef MSG
#undef FD

#undef U8
#undef U16
#undef U32
#undef U64
#undef STR
#undef BYTES
#define U8(f)
#define U16(f)
#define U32(f)
#define U64(f)
#define STR(f)
#define BYTES(f)
#define FD(f) close_fd(&m->f);
#define MSG(number, name, kind, senders, receivers, max, fields) \
	static void close_##name(void *msg)                      \
	{                                                        \
		struct msg_##name *m = msg;                      \
		(void)m;                                         \
		fields                                           \
	}
#include "lib/msg.def"
#undef MSG
#undef FD

#define FD(f)   +1
#define R(role) | ROLE_BIT(ROLE_##role)
#define MSG(number, name, kind, senders, receivers, max, fields)                              \
	[number] = {#name, put_##name, get_##name, close_##name, max, 0 senders, 0 receivers, \
	    MSG_##kind, 0 fields},
static const struct row rows[MSG_TYPES] = {
#include "lib/msg.def"
};
#undef MSG
#undef FD

/* What the rows promise each other is held at compile time. */
#define FD(f) +1
#define MSG(number, name, kind, senders, receivers, max, fields)                                 \
	_Static_assert((number) > 0 && (number) < 1024, #name ": number");                       \
	_Static_assert(MSG_##kind != MSG_REQUEST || (number) % 2 == 0, #name ": requests even"); \
	_Static_assert(MSG_##kind != MSG_REPLY || (number) % 2 == 1, #name ": replies odd");     \
	_Static_assert((max) + MSG_HEADER <= MSG_PACKET_MAX, #name ": fits a packet");           \
	_Static_assert((0 fields) <= MSG_FDS_MAX, #name ": descriptors");
#include "lib/msg.def"
#undef MSG
#undef FD

/* row_of - the row of a type, NULL where msg.def has none */
static const struct row *row_of(unsigned type)
{
	return type < MSG_TYPES && rows[type].name != NULL ? &rows[type] : NULL;
}

/* msg_str - a message's view of a C string */
struct msg_bytes msg_str(const char *text)
{
	return (struct msg_bytes){text, (uint32_t)strlen(text)};
}

/* msg_bytes - a message's view of len bytes; what no message can carry becomes a length it refuses
 */
struct msg_bytes msg_bytes(const void *data, size_t len)
{
	return (struct msg_bytes){data, len > UINT32_MAX ? UINT32_MAX : (uint32_t)len};
}

/* msg_name - the name in msg.def */
const char *msg_name(unsigned type)
{
	const struct row *row = row_of(type);

	return row ? row->name : "unknown";
}

/* msg_allowed - the permission table */
bool msg_allowed(unsigned type, enum role sender, enum role receiver)
{
	const struct row *row = row_of(type);

	return row && (row->senders & ROLE_BIT(sender)) && (row->receivers & ROLE_BIT(receiver));
}

/* msg_encode - header and fields */
int msg_encode(
    unsigned type, const void *msg, unsigned char *out, size_t size, int *fds, unsigned *nfds)
{
	const struct row *row = row_of(type);
	struct wire_out w;
	unsigned n = 0;

	if (!row)
		return -EINVAL;
	if (size > (size_t)row->max + MSG_HEADER)
		size = (size_t)row->max + MSG_HEADER;
	wire_out_fixed(&w, out, size);
	wire_put_u16(&w, (uint16_t)type);
	wire_put_u8(&w, row->fds);
	wire_put_u8(&w, 0);
	wire_put_u32(&w, 0);
	row->put(&w, msg, fds, &n);
	wire_patch_u32(&w, 4, (uint32_t)(w.len - MSG_HEADER));
	*nfds = n;
	return w.err ? w.err : (int)w.len;
}

/* msg_peek - the header alone */
int msg_peek(const unsigned char *in, size_t len, unsigned *type, unsigned *nfds, size_t *body)
{
	struct wire_in w;

	wire_in_init(&w, in, len);
	*type = wire_get_u16(&w);
	*nfds = wire_get_u8(&w);
	if (wire_get_u8(&w) != 0)
		wire_in_fail(&w);
	*body = wire_get_u32(&w);
	if (w.err || *body > wire_left(&w))
		return -EBADMSG;
	return 0;
}

/* msg_decode - the fields behind a header */
int msg_decode(unsigned type, const unsigned char *body, size_t len, const int *fds, unsigned nfds,
    union msg_any *msg)
{
	const struct row *row = row_of(type);
	struct wire_in w;
	unsigned n = 0;

	if (!row || len > row->max || nfds != row->fds)
		return -EBADMSG;
	wire_in_init(&w, body, len);
	row->get(&w, msg, fds, &n);
	return wire_in_end(&w);
}

/* msg_close_fds - what the handler left */
void msg_close_fds(unsigned type, union msg_any *msg)
{
	const struct row *row = row_of(type);

	if (row)
		row->close(msg);
}
