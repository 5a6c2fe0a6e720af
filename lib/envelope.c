/* SPDX-License-Identifier: ISC */
/*
 * A recipient is an attribute whose value is a list of the same form, so one function walks both
 * levels. What a compromised smtpd could put here is checked in envelope_read(): after it, sizes
 * and the characters of addresses can be relied on by qmgr and, through its jobs, by deliver.
 */
#include "lib/envelope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire.h"

#define ATTR_HEADER 6   /* type u16, length u32 */
#define ADDRESS_MAX 256 /* RFC 5321 §4.5.3.1.3, the path without its brackets */
#define TEXT_MAX    1024

/* -- writing ------------------------------------------------------------------------------ */

/* envelope_writer_init - empty, nothing allocated yet */
void envelope_writer_init(struct envelope_writer *w, size_t max)
{
	*w = (struct envelope_writer){.max = max};
}

/* envelope_writer_free - the buffer goes, the struct stays usable */
void envelope_writer_free(struct envelope_writer *w)
{
	free(w->data);
	envelope_writer_init(w, w->max);
}

/* envelope_writer_reset - the next message */
void envelope_writer_reset(struct envelope_writer *w)
{
	w->len = 0;
	w->error = 0;
}

/* writer_room - room for n more bytes, NULL and the sticky error where there is none */
static unsigned char *writer_room(struct envelope_writer *w, size_t n)
{
	if (w->error)
		return NULL;
	if (n > w->max || w->len > w->max - n) {
		w->error = -EMSGSIZE;
		return NULL;
	}
	if (w->size - w->len < n) {
		size_t size = w->size ? w->size : 512;
		unsigned char *data;

		while (size - w->len < n)
			size *= 2;
		data = realloc(w->data, size);
		if (!data) {
			w->error = -ENOMEM;
			return NULL;
		}
		w->data = data;
		w->size = size;
	}
	w->len += n;
	return w->data + w->len - n;
}

/* put_header - type and length of an attribute */
static void put_header(struct envelope_writer *w, unsigned type, size_t len)
{
	unsigned char *p = writer_room(w, ATTR_HEADER);
	struct wire_out out;

	if (!p)
		return;
	wire_out_fixed(&out, p, ATTR_HEADER);
	wire_put_u16(&out, (uint16_t)type);
	wire_put_u32(&out, (uint32_t)len);
}

/* put_attr - one attribute of either level */
static void put_attr(struct envelope_writer *w, unsigned type, const void *data, size_t len)
{
	unsigned char *p;

	put_header(w, type, len);
	p = writer_room(w, len);
	if (p && len > 0)
		memcpy(p, data, len);
}

/* put_number - an integer of 1, 4 or 8 bytes */
static void put_number(struct envelope_writer *w, unsigned type, uint64_t value, size_t bytes)
{
	uint64_t big = htobe64(value);

	put_attr(w, type, (unsigned char *)&big + sizeof(big) - bytes, bytes);
}

/* envelope_put_bytes - a text of the message */
void envelope_put_bytes(
    struct envelope_writer *w, enum envelope_attr type, const void *data, size_t len)
{
	put_attr(w, type, data, len);
}

/* envelope_put_u64 - a number of the message */
void envelope_put_u64(struct envelope_writer *w, enum envelope_attr type, uint64_t value)
{
	put_number(w, type, value, 8);
}

/* envelope_put_u32 - a number of the message */
void envelope_put_u32(struct envelope_writer *w, enum envelope_attr type, uint32_t value)
{
	put_number(w, type, value, 4);
}

/* envelope_put_u8 - a number of the message */
void envelope_put_u8(struct envelope_writer *w, enum envelope_attr type, uint8_t value)
{
	put_number(w, type, value, 1);
}

/* envelope_put_rcpt - a recipient with what is known of it */
void envelope_put_rcpt(struct envelope_writer *w, const struct envelope_rcpt *rcpt)
{
	size_t start = w->len, len;
	struct wire_out out;

	put_header(w, ENV_RCPT, 0);
	put_attr(w, RCPT_ADDRESS, rcpt->address.data, rcpt->address.len);
	if (rcpt->sender.data)
		put_attr(w, RCPT_SENDER, rcpt->sender.data, rcpt->sender.len);
	if (rcpt->orcpt.len > 0)
		put_attr(w, RCPT_ORCPT, rcpt->orcpt.data, rcpt->orcpt.len);
	if (rcpt->notify)
		put_number(w, RCPT_NOTIFY, rcpt->notify, 1);
	if (rcpt->parent != UINT32_MAX)
		put_number(w, RCPT_PARENT, rcpt->parent, 4);
	if (w->error)
		return;
	len = w->len - start - ATTR_HEADER;
	wire_out_fixed(&out, w->data + start + 2, 4);
	wire_put_u32(&out, (uint32_t)len);
}

/* -- reading ------------------------------------------------------------------------------ */

struct attr {
	unsigned type;
	const char *data;
	uint32_t len;
};

/* next_attr - 1 an attribute, 0 the end, -EBADMSG */
static int next_attr(const void *data, size_t len, size_t *pos, struct attr *attr)
{
	struct wire_in w;
	size_t n;

	if (*pos == len)
		return 0;
	wire_in_init(&w, (const char *)data + *pos, len - *pos);
	attr->type = wire_get_u16(&w);
	attr->data = wire_get_bytes(&w, &n);
	attr->len = (uint32_t)n;
	if (w.err)
		return -EBADMSG;
	*pos += ATTR_HEADER + n;
	return 1;
}

/* get_number - an integer of exactly `bytes` bytes */
static int get_number(const struct attr *attr, size_t bytes, uint64_t *value)
{
	uint64_t big = 0;

	if (attr->len != bytes)
		return -EBADMSG;
	memcpy((char *)&big + sizeof(big) - bytes, attr->data, bytes);
	*value = be64toh(big);
	return 0;
}

/* get_text - no control characters: these strings reach logs, headers and next hops */
static int get_text(const struct attr *attr, size_t max, struct msg_bytes *out)
{
	if (attr->len > max)
		return -EBADMSG;
	for (uint32_t i = 0; i < attr->len; i++)
		if ((unsigned char)attr->data[i] < 0x20 || attr->data[i] == 0x7f)
			return -EBADMSG;
	*out = (struct msg_bytes){attr->data, attr->len};
	return 0;
}

/* rcpt_attr - one attribute of a recipient; unknown ones are skipped */
static int rcpt_attr(const struct attr *attr, struct envelope_rcpt *rcpt)
{
	uint64_t n = 0;
	int r = 0;

	switch (attr->type) {
	case RCPT_ADDRESS:
		return get_text(attr, ADDRESS_MAX, &rcpt->address);
	case RCPT_SENDER:
		return get_text(attr, ADDRESS_MAX, &rcpt->sender);
	case RCPT_ORCPT:
		return get_text(attr, TEXT_MAX, &rcpt->orcpt);
	case RCPT_NOTIFY:
		r = get_number(attr, 1, &n);
		rcpt->notify = (uint8_t)n;
		return r;
	case RCPT_PARENT:
		r = get_number(attr, 4, &n);
		rcpt->parent = (uint32_t)n;
		return r;
	default:
		return 0;
	}
}

/* read_rcpt - a recipient's list */
static int read_rcpt(const struct attr *outer, struct envelope_rcpt *rcpt)
{
	struct attr attr;
	size_t pos = 0;
	int r;

	*rcpt = (struct envelope_rcpt){.parent = UINT32_MAX};
	while ((r = next_attr(outer->data, outer->len, &pos, &attr)) == 1)
		if (rcpt_attr(&attr, rcpt))
			return -EBADMSG;
	return r < 0 || rcpt->address.len == 0 ? -EBADMSG : 0;
}

/* number_attr - the message's numbers */
static int number_attr(const struct attr *attr, struct envelope *env)
{
	uint64_t n = 0;
	int r;

	switch (attr->type) {
	case ENV_ARRIVAL:
		return get_number(attr, 8, &env->arrival_ms);
	case ENV_TOOK:
		r = get_number(attr, 4, &n);
		env->took_ms = (uint32_t)n;
		return r;
	case ENV_FLAGS:
		r = get_number(attr, 4, &n);
		env->flags = (uint32_t)n;
		return r;
	case ENV_UID:
		r = get_number(attr, 4, &n);
		env->uid = (uint32_t)n;
		return r;
	case ENV_RET:
		r = get_number(attr, 1, &n);
		env->ret = (uint8_t)n;
		return r;
	default:
		return 0;
	}
}

/* text_of - where a text attribute belongs, NULL for other types */
static struct msg_bytes *text_of(struct envelope *env, unsigned type)
{
	switch (type) {
	case ENV_SENDER:
		return &env->sender;
	case ENV_CLIENT:
		return &env->client;
	case ENV_HELO:
		return &env->helo;
	case ENV_LISTENER:
		return &env->listener;
	case ENV_USER:
		return &env->user;
	case ENV_MESSAGE_ID:
		return &env->message_id;
	case ENV_CLASS:
		return &env->class_name;
	case ENV_ENVID:
		return &env->envid;
	default:
		return NULL;
	}
}

/* message_attr - one attribute of the message */
static int message_attr(const struct attr *attr, struct envelope *env)
{
	struct msg_bytes *text = text_of(env, attr->type);
	struct envelope_rcpt rcpt;
	struct msg_bytes field;

	if (text)
		return get_text(attr, attr->type == ENV_SENDER ? ADDRESS_MAX : TEXT_MAX, text);
	if (attr->type == ENV_HEADER) {
		env->nheaders++;
		return get_text(attr, TEXT_MAX, &field);
	}
	if (attr->type != ENV_RCPT)
		return number_attr(attr, env);
	if (env->nrcpts++ == ENVELOPE_RCPTS_MAX)
		return -EBADMSG;
	return read_rcpt(attr, &rcpt);
}

/* envelope_read - everything, checked */
int envelope_read(const void *data, size_t len, struct envelope *env)
{
	struct attr attr;
	size_t pos = 0;
	int r;

	*env = (struct envelope){.uid = UINT32_MAX};
	while ((r = next_attr(data, len, &pos, &attr)) == 1)
		if (message_attr(&attr, env))
			return -EBADMSG;
	if (r < 0 || !env->sender.data || env->arrival_ms == 0 || env->nrcpts == 0)
		return -EBADMSG;
	return 0;
}

/* envelope_next_rcpt - walk over what envelope_read() has accepted */
int envelope_next_rcpt(const void *data, size_t len, size_t *pos, struct envelope_rcpt *rcpt)
{
	struct attr attr;

	while (next_attr(data, len, pos, &attr) == 1)
		if (attr.type == ENV_RCPT)
			return read_rcpt(&attr, rcpt) == 0;
	return 0;
}

/* envelope_next_header - walk over what envelope_read() has accepted */
int envelope_next_header(const void *data, size_t len, size_t *pos, struct msg_bytes *field)
{
	struct attr attr;

	while (next_attr(data, len, pos, &attr) == 1)
		if (attr.type == ENV_HEADER)
			return get_text(&attr, TEXT_MAX, field) == 0;
	return 0;
}
