/* SPDX-License-Identifier: ISC */
/*
 * Straight lists of puts and gets. The first byte of a row is the version of its form, the last
 * four are a sum over the rest: LMDB has none. A reader refuses what doesn't fit, and the index is
 * then rebuilt from the segments.
 */
#include "qmgr/keys.h"

#include <string.h>
#include <xxhash.h>

#include "lib/wire.h"

#define ROW_VERSION 5
#define ROW_SUM     4
#define ROW_ROOM    (KEYS_ROW_MAX - ROW_SUM)

/* keys_msg - key of a message */
size_t keys_msg(unsigned char buf[8], uint64_t id)
{
	id = htobe64(id);
	memcpy(buf, &id, 8);
	return 8;
}

/* keys_rcpt - key of a recipient */
size_t keys_rcpt(unsigned char buf[12], uint64_t id, uint32_t number)
{
	keys_msg(buf, id);
	number = htobe32(number);
	memcpy(buf + 8, &number, 4);
	return 12;
}

/* keys_seg - key of a segment */
size_t keys_seg(unsigned char buf[8], uint64_t name)
{
	return keys_msg(buf, name);
}

/* keys_due - key of the schedule */
size_t keys_due(
    unsigned char buf[KEYS_DUE_MAX], const char *dest, size_t dest_len, const struct due_key *key)
{
	uint32_t lane = htobe32(key->lane);
	uint64_t due = htobe64(key->due);
	if (dest_len > KEYS_DEST_MAX)
		dest_len = KEYS_DEST_MAX;
	memcpy(buf, dest, dest_len);
	buf[dest_len] = 0;
	memcpy(buf + dest_len + 1, &lane, 4);
	memcpy(buf + dest_len + 5, &due, 8);
	keys_rcpt(buf + dest_len + 13, key->id, key->number);
	return dest_len + KEYS_DUE_TAIL;
}

/* keys_get_msg - the ID in a key */
int keys_get_msg(const void *key, size_t len, uint64_t *id)
{
	struct wire_in in;
	wire_in_init(&in, key, len);
	*id = wire_get_u64(&in);
	return wire_in_end(&in);
}

/* keys_get_rcpt - ID and number in a key */
int keys_get_rcpt(const void *key, size_t len, uint64_t *id, uint32_t *number)
{
	struct wire_in in;
	wire_in_init(&in, key, len);
	*id = wire_get_u64(&in);
	*number = wire_get_u32(&in);
	return wire_in_end(&in);
}

/* keys_get_due - the parts of a key of the schedule */
int keys_get_due(const void *key, size_t len, struct msg_bytes *dest, struct due_key *out)
{
	struct wire_in in;
	if (len < KEYS_DUE_TAIL || len > KEYS_DUE_MAX)
		return -EBADMSG;
	*dest = (struct msg_bytes){.data = key, .len = (uint32_t)(len - KEYS_DUE_TAIL)};
	wire_in_init(&in, (const char *)key + dest->len, KEYS_DUE_TAIL);
	if (wire_get_u8(&in) != 0)
		return -EBADMSG;
	out->lane = wire_get_u32(&in);
	out->due = wire_get_u64(&in);
	out->id = wire_get_u64(&in);
	out->number = wire_get_u32(&in);
	return wire_in_end(&in);
}

/* put_text - at most max bytes of a text */
static void put_text(struct wire_out *w, struct msg_bytes text, size_t max)
{
	wire_put_bytes(w, text.data, text.len < max ? text.len : max);
}

/* get_text - a counted text in place */
static struct msg_bytes get_text(struct wire_in *in)
{
	size_t len;
	const char *data = wire_get_bytes(in, &len);
	return (struct msg_bytes){.data = data, .len = (uint32_t)len};
}

/* start_row - a writer that has put the version */
static void start_row(struct wire_out *w, unsigned char buf[KEYS_ROW_MAX])
{
	wire_out_fixed(w, buf, ROW_ROOM);
	wire_put_u8(w, ROW_VERSION);
}

/* keys_seal_row - the sum in its last bytes */
void keys_seal_row(void *row, size_t len)
{
	uint32_t sum = htobe32((uint32_t)XXH3_64bits(row, len - ROW_SUM));
	memcpy((char *)row + len - ROW_SUM, &sum, ROW_SUM);
}

/* end_row - the sum behind it; the length or the error */
static int end_row(struct wire_out *w)
{
	int err = wire_out_end(w);
	if (err)
		return err;
	keys_seal_row(w->base, w->len + ROW_SUM);
	return (int)(w->len + ROW_SUM);
}

/* open_row - a reader behind the version, if the sum is right */
static void open_row(struct wire_in *in, const void *data, size_t len)
{
	uint32_t sum = 0;
	size_t n = len < ROW_SUM ? 0 : len - ROW_SUM;
	wire_in_init(in, data, n);
	if (n)
		memcpy(&sum, (const char *)data + n, ROW_SUM);
	if (wire_get_u8(in) != ROW_VERSION || be32toh(sum) != (uint32_t)XXH3_64bits(data, n))
		wire_in_fail(in);
}

/* keys_put_msg_row - encode a message */
int keys_put_msg_row(const struct row_msg *row, unsigned char buf[KEYS_ROW_MAX])
{
	struct wire_out w;
	start_row(&w, buf);
	wire_put_u64(&w, row->segment);
	wire_put_u64(&w, row->offset);
	wire_put_u64(&w, row->body_at);
	wire_put_u64(&w, row->body_len);
	wire_put_u64(&w, row->plain_len);
	wire_put_u64(&w, row->arrival_ms);
	wire_put_u32(&w, row->late_len);
	wire_put_u32(&w, row->flags);
	wire_put_u32(&w, row->took_ms);
	wire_put_u32(&w, row->lag_ms);
	wire_put_u8(&w, row->ret);
	wire_put_u32(&w, row->left);
	wire_put_u32(&w, row->next);
	put_text(&w, row->sender, KEYS_ROW_MAX);
	put_text(&w, row->envid, 128); /* RFC 3461 §4.4: at most 100 characters */
	wire_put_u32(&w, row->uid);
	put_text(&w, row->user, KEYS_USER_MAX);
	return end_row(&w);
}

/* keys_get_msg_row - decode a message */
int keys_get_msg_row(const void *data, size_t len, struct row_msg *row)
{
	struct wire_in in;
	open_row(&in, data, len);
	row->segment = wire_get_u64(&in);
	row->offset = wire_get_u64(&in);
	row->body_at = wire_get_u64(&in);
	row->body_len = wire_get_u64(&in);
	row->plain_len = wire_get_u64(&in);
	row->arrival_ms = wire_get_u64(&in);
	row->late_len = wire_get_u32(&in);
	row->flags = wire_get_u32(&in);
	row->took_ms = wire_get_u32(&in);
	row->lag_ms = wire_get_u32(&in);
	row->ret = wire_get_u8(&in);
	row->left = wire_get_u32(&in);
	row->next = wire_get_u32(&in);
	row->sender = get_text(&in);
	row->envid = get_text(&in);
	row->uid = wire_get_u32(&in);
	row->user = get_text(&in);
	return wire_in_end(&in);
}

/* keys_put_rcpt_row - encode a recipient; the peer's words get what room is left */
int keys_put_rcpt_row(const struct row_rcpt *row, unsigned char buf[KEYS_ROW_MAX])
{
	struct wire_out w;
	start_row(&w, buf);
	wire_put_u8(&w, row->stage);
	wire_put_u8(&w, row->was);
	wire_put_u8(&w, row->depth);
	wire_put_u8(&w, row->notify);
	wire_put_u8(&w, row->order);
	wire_put_u8(&w, row->flags);
	wire_put_u16(&w, row->attempts);
	wire_put_u16(&w, row->code);
	wire_put_u32(&w, row->parent);
	wire_put_u32(&w, row->lane);
	wire_put_u64(&w, row->due_ms);
	wire_put_u64(&w, row->tried_ms);
	/* dest and address can't be cut: a row must lead back to its keys and its recipient */
	wire_put_bytes(&w, row->dest.data, row->dest.len);
	wire_put_bytes(&w, row->address.data, row->address.len);
	put_text(&w, row->sender, row->sender.len <= KEYS_SENDER_MAX ? row->sender.len : 0);
	put_text(&w, row->class_name, KEYS_CLASS_MAX);
	put_text(&w, row->status, 16);
	size_t room = ROW_ROOM - w.len;
	size_t host = room > 200 ? 80 : 0;
	/* whole or not at all: cut xtext may be none, and a next hop would refuse it */
	put_text(&w, row->orcpt, row->orcpt.len + host + 16 <= room ? 500 : 0);
	put_text(&w, row->host, host);
	room = w.len + 4 < ROW_ROOM ? ROW_ROOM - w.len - 4 : 0;
	put_text(&w, row->text, room);
	return end_row(&w);
}

/* keys_get_rcpt_row - decode a recipient */
int keys_get_rcpt_row(const void *data, size_t len, struct row_rcpt *row)
{
	struct wire_in in;
	open_row(&in, data, len);
	row->stage = wire_get_u8(&in);
	row->was = wire_get_u8(&in);
	row->depth = wire_get_u8(&in);
	row->notify = wire_get_u8(&in);
	row->order = wire_get_u8(&in);
	row->flags = wire_get_u8(&in);
	row->attempts = wire_get_u16(&in);
	row->code = wire_get_u16(&in);
	row->parent = wire_get_u32(&in);
	row->lane = wire_get_u32(&in);
	row->due_ms = wire_get_u64(&in);
	row->tried_ms = wire_get_u64(&in);
	row->dest = get_text(&in);
	row->address = get_text(&in);
	row->sender = get_text(&in);
	row->class_name = get_text(&in);
	row->status = get_text(&in);
	row->orcpt = get_text(&in);
	row->host = get_text(&in);
	row->text = get_text(&in);
	if (row->stage >= STAGES || row->was >= STAGES || row->order > ORDER_BOUNCE ||
	    row->dest.len > KEYS_DEST_MAX)
		wire_in_fail(&in);
	return wire_in_end(&in);
}

/* keys_put_seg_row - encode a segment */
int keys_put_seg_row(const struct row_seg *row, unsigned char buf[KEYS_ROW_MAX])
{
	struct wire_out w;
	start_row(&w, buf);
	wire_put_u64(&w, row->nonce);
	wire_put_u8(&w, row->kind);
	wire_put_u64(&w, row->size);
	wire_put_u64(&w, row->limit);
	wire_put_u64(&w, row->taken);
	wire_put_u64(&w, row->end);
	wire_put_u32(&w, row->live);
	wire_put_u64(&w, row->live_bytes);
	return end_row(&w);
}

/* keys_get_seg_row - decode a segment */
int keys_get_seg_row(const void *data, size_t len, struct row_seg *row)
{
	struct wire_in in;
	open_row(&in, data, len);
	row->nonce = wire_get_u64(&in);
	row->kind = wire_get_u8(&in);
	row->size = wire_get_u64(&in);
	row->limit = wire_get_u64(&in);
	row->taken = wire_get_u64(&in);
	row->end = wire_get_u64(&in);
	row->live = wire_get_u32(&in);
	row->live_bytes = wire_get_u64(&in);
	return wire_in_end(&in);
}

/* Types of a site's fields; they are on disk: append only. From SITE_TEXTS on they are texts. */
enum {
	SITE_USED = 1,
	SITE_LIMIT = 2,
	SITE_CEILING = 3,
	SITE_HOLD = 4,
	SITE_TRY = 5,
	SITE_RECIPIENTS = 6,
	SITE_DOWN_SINCE = 7,
	SITE_INTERVAL = 8,
	SITE_PROBE = 9,
	SITE_TROUBLE_AT = 10,
	SITE_ONE_DOMAIN = 11,
	SITE_STEPS = 12,
	SITE_IPV4 = 13,
	SITE_TEXTS = 128,
	SITE_TROUBLE = 128,
};

static const struct {
	uint8_t type;
	size_t offset;
} site_numbers[] = {
    {SITE_USED, offsetof(struct row_site, used_ms)},
    {SITE_LIMIT, offsetof(struct row_site, limit)},
    {SITE_CEILING, offsetof(struct row_site, ceiling)},
    {SITE_HOLD, offsetof(struct row_site, hold_ms)},
    {SITE_TRY, offsetof(struct row_site, try_ms)},
    {SITE_RECIPIENTS, offsetof(struct row_site, recipients)},
    {SITE_DOWN_SINCE, offsetof(struct row_site, down_ms)},
    {SITE_INTERVAL, offsetof(struct row_site, interval_ms)},
    {SITE_PROBE, offsetof(struct row_site, probe_ms)},
    {SITE_TROUBLE_AT, offsetof(struct row_site, trouble_ms)},
    {SITE_ONE_DOMAIN, offsetof(struct row_site, one_domain)},
    {SITE_IPV4, offsetof(struct row_site, ipv4_ms)},
    {SITE_STEPS, offsetof(struct row_site, steps_ms)},
};

#define SITE_NUMBERS (sizeof(site_numbers) / sizeof(site_numbers[0]))

/* keys_put_site_row - encode what was learned of a site */
int keys_put_site_row(const struct row_site *row, unsigned char buf[KEYS_ROW_MAX])
{
	struct wire_out w;
	start_row(&w, buf);
	for (size_t i = 0; i < SITE_NUMBERS; i++) {
		uint64_t n;
		memcpy(&n, (const char *)row + site_numbers[i].offset, sizeof(n));
		if (!n)
			continue;
		wire_put_u8(&w, site_numbers[i].type);
		wire_put_u64(&w, n);
	}
	if (row->trouble.len) {
		wire_put_u8(&w, SITE_TROUBLE);
		put_text(&w, row->trouble, 500);
	}
	return end_row(&w);
}

/* get_site_number - one field into its member; of an unknown type: past it */
static void get_site_number(struct wire_in *in, uint8_t type, struct row_site *row)
{
	uint64_t n = wire_get_u64(in);
	for (size_t i = 0; i < SITE_NUMBERS; i++)
		if (site_numbers[i].type == type)
			memcpy((char *)row + site_numbers[i].offset, &n, sizeof(n));
}

/* keys_get_site_row - decode what was learned of a site */
int keys_get_site_row(const void *data, size_t len, struct row_site *row)
{
	struct wire_in in;
	*row = (struct row_site){0};
	open_row(&in, data, len);
	while (!in.err && wire_left(&in)) {
		uint8_t type = wire_get_u8(&in);
		if (type < SITE_TEXTS) {
			get_site_number(&in, type, row);
			continue;
		}
		struct msg_bytes text = get_text(&in);
		if (type == SITE_TROUBLE)
			row->trouble = text;
	}
	return wire_in_end(&in);
}
