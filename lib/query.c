/* SPDX-License-Identifier: ISC */
/*
 * A filter is a list of attributes (type u8, then the value): what isn't given isn't there. Rows
 * are counted by u32, so that a reader can step over one, and a row's recipients are a counted
 * string inside it. Lengths that are only known at the end are patched in.
 */
#include "lib/query.h"

#include <strings.h>

enum filter_attr {
	FILTER_ALL = 1,
	FILTER_SENDER = 2,
	FILTER_RECIPIENT = 3,
	FILTER_DOMAIN = 4,
	FILTER_SITE = 5,
	FILTER_OLDER = 6,
	FILTER_LARGER = 7,
	FILTER_STATE = 8,
	FILTER_ID = 9,
	FILTER_CLASS = 10,
	FILTER_REASON = 11,
};

static const char *const state_names[QUERY_STATES] = {
    [QUERY_STATE_NONE] = "none",
    [QUERY_READY] = "ready",
    [QUERY_ACTIVE] = "active",
    [QUERY_DEFERRED] = "deferred",
    [QUERY_BOUNCING] = "bouncing",
    [QUERY_DAMAGED] = "damaged",
    [QUERY_POISON] = "poison",
    [QUERY_HELD] = "held",
    [QUERY_PAUSED] = "paused",
    [QUERY_NOTIFYING] = "notifying",
};

/* query_state_name - a state as the tools show it */
const char *query_state_name(unsigned state)
{
	return state < QUERY_STATES ? state_names[state] : state_names[QUERY_STATE_NONE];
}

/* query_state_parse - a state as a user writes it */
int query_state_parse(const char *word)
{
	for (int i = QUERY_READY; i < QUERY_STATES; i++) {
		if (!strcmp(word, state_names[i]))
			return i;
	}
	return -EINVAL;
}

/* query_wait_name - what it waits for, as programs read it */
const char *query_wait_name(unsigned wait)
{
	static const char *const names[QUERY_WAITS] = {"none", "time", "turn", "down", "pause",
	    "release", "dns", "limit", "notice", "internal"};
	return names[wait < QUERY_WAITS ? wait : QUERY_WAIT_NONE];
}

/* query_pause_name - a kind of pause as the tools show it */
const char *query_pause_name(unsigned kind)
{
	static const char *const names[QUERY_PAUSES] = {"none", "site", "domain", "in", "out"};
	return names[kind < QUERY_PAUSES ? kind : 0];
}

/* query_site_state_name - a site's state as the tools show it */
const char *query_site_state_name(unsigned state)
{
	static const char *const names[] = {"up", "down", "probing", "paused"};
	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

/* put_text - an optional pattern */
static void put_text(struct wire_out *w, enum filter_attr type, struct msg_bytes text)
{
	if (!text.data)
		return;
	wire_put_u8(w, type);
	wire_put_bytes(w, text.data, text.len);
	if (text.len > QUERY_PATTERN_MAX && !w->err)
		w->err = -EMSGSIZE;
}

/* put_number - an optional number */
static void put_number(struct wire_out *w, enum filter_attr type, uint64_t value)
{
	if (!value)
		return;
	wire_put_u8(w, type);
	wire_put_u64(w, value);
}

/* query_filter_put - encode a filter */
int query_filter_put(const struct query_filter *f, unsigned char *out, size_t size)
{
	struct wire_out w;
	wire_out_fixed(&w, out, size < QUERY_FILTER_MAX ? size : QUERY_FILTER_MAX);
	if (f->nids > QUERY_IDS_MAX)
		return -EMSGSIZE;
	if (f->all)
		wire_put_u8(&w, FILTER_ALL);
	put_text(&w, FILTER_SENDER, f->sender);
	put_text(&w, FILTER_RECIPIENT, f->recipient);
	put_text(&w, FILTER_DOMAIN, f->domain);
	put_text(&w, FILTER_SITE, f->site);
	put_text(&w, FILTER_CLASS, f->class);
	put_text(&w, FILTER_REASON, f->reason);
	put_number(&w, FILTER_OLDER, f->older_ms);
	put_number(&w, FILTER_LARGER, f->larger);
	put_number(&w, FILTER_STATE, f->state);
	if (f->nids) {
		wire_put_u8(&w, FILTER_ID);
		wire_put_u32(&w, (uint32_t)f->nids);
		for (size_t i = 0; i < f->nids; i++)
			wire_put_u64(&w, f->ids[i]);
	}
	int err = wire_out_end(&w);
	return err ? err : (int)w.len;
}

/* get_text - a pattern, bounded */
static struct msg_bytes get_text(struct wire_in *in)
{
	size_t len;
	const char *text = wire_get_bytes(in, &len);
	if (len > QUERY_PATTERN_MAX)
		wire_in_fail(in);
	return (struct msg_bytes){.data = text, .len = (uint32_t)len};
}

/* get_ids - the list of IDs into the caller's room */
static void get_ids(struct wire_in *in, struct query_filter *f, uint64_t *ids)
{
	uint32_t n = wire_get_u32(in);
	if (n > QUERY_IDS_MAX - f->nids) {
		wire_in_fail(in);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		ids[f->nids++] = wire_get_u64(in);
	f->ids = ids;
}

/* query_filter_get - decode a filter */
int query_filter_get(struct msg_bytes bytes, struct query_filter *f, uint64_t *ids)
{
	struct wire_in in;
	wire_in_init(&in, bytes.data, bytes.len);
	*f = (struct query_filter){0};
	while (wire_left(&in) && !in.err) {
		switch (wire_get_u8(&in)) {
		case FILTER_ALL:
			f->all = true;
			break;
		case FILTER_SENDER:
			f->sender = get_text(&in);
			break;
		case FILTER_RECIPIENT:
			f->recipient = get_text(&in);
			break;
		case FILTER_DOMAIN:
			f->domain = get_text(&in);
			break;
		case FILTER_SITE:
			f->site = get_text(&in);
			break;
		case FILTER_CLASS:
			f->class = get_text(&in);
			break;
		case FILTER_REASON:
			f->reason = get_text(&in);
			break;
		case FILTER_OLDER:
			f->older_ms = wire_get_u64(&in);
			break;
		case FILTER_LARGER:
			f->larger = wire_get_u64(&in);
			break;
		case FILTER_STATE:
			f->state = (uint8_t)wire_get_u64(&in);
			if (f->state >= QUERY_STATES)
				wire_in_fail(&in);
			break;
		case FILTER_ID:
			get_ids(&in, f, ids);
			break;
		default:
			wire_in_fail(&in);
		}
	}
	return wire_in_end(&in);
}

/* query_filter_empty - whether nothing is given */
bool query_filter_empty(const struct query_filter *f)
{
	return !f->all && !f->sender.data && !f->recipient.data && !f->domain.data &&
	       !f->site.data && !f->class.data && !f->reason.data && !f->older_ms && !f->larger &&
	       !f->state && !f->nids;
}

/* query_filter_everything - `all`, and nothing else */
bool query_filter_everything(const struct query_filter *f)
{
	struct query_filter rest = *f;
	rest.all = false;
	return f->all && query_filter_empty(&rest);
}

/* query_match - a pattern with `*` against text; linear in both, by going back to the last `*` */
bool query_match(struct msg_bytes pattern, const char *text, size_t len)
{
	size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
	if (pattern.len == 2 && !memcmp(pattern.data, "<>", 2))
		return len == 0;
	while (t < len) {
		if (p < pattern.len && pattern.data[p] == '*') {
			star = p++;
			mark = t;
		} else if (p < pattern.len && !strncasecmp(pattern.data + p, text + t, 1)) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == '*')
		p++;
	return p == pattern.len;
}

/* query_rows_init - begin a packet's rows */
void query_rows_init(struct query_rows *rows, void *buf, size_t size)
{
	wire_out_fixed(&rows->out, buf, size < QUERY_ROWS_MAX ? size : QUERY_ROWS_MAX);
	rows->row_at = SIZE_MAX;
	rows->rcpts = 0;
}

/* undo - take back what didn't fit */
static int undo(struct wire_out *out, size_t len)
{
	int err = wire_out_end(out);
	if (err) {
		out->len = len;
		out->err = 0;
	}
	return err;
}

/* query_row_begin - the message's part of a row */
int query_row_begin(struct query_rows *rows, const struct query_row *row)
{
	struct wire_out *out = &rows->out;
	size_t at = out->len;
	wire_put_u32(out, 0); /* length of the rest, patched by query_row_end() */
	wire_put_bool(out, false);
	wire_put_u64(out, row->id);
	wire_put_u64(out, row->arrival_ms);
	wire_put_u64(out, row->size);
	wire_put_bytes(out, row->sender.data, row->sender.len);
	wire_put_bytes(out, row->class.data, row->class.len);
	int err = undo(out, at);
	if (err)
		return err;
	rows->row_at = at;
	rows->rcpts = 0;
	return 0;
}

/* query_row_rcpt - one recipient of the open row */
int query_row_rcpt(struct query_rows *rows, const struct query_rcpt *rcpt)
{
	struct wire_out *out = &rows->out;
	size_t at = out->len;
	wire_put_bytes(out, rcpt->address.data, rcpt->address.len);
	wire_put_u8(out, rcpt->state);
	wire_put_u16(out, rcpt->attempts);
	wire_put_u64(out, rcpt->next_ms);
	wire_put_bytes(out, rcpt->site.data, rcpt->site.len);
	wire_put_bytes(out, rcpt->reason.data, rcpt->reason.len);
	wire_put_u8(out, rcpt->wait);
	wire_put_bytes(out, rcpt->wait_text.data, rcpt->wait_text.len);
	int err = undo(out, at);
	if (!err)
		rows->rcpts++;
	return err;
}

/* query_row_end - patch the row's length, or take an empty one back */
void query_row_end(struct query_rows *rows, bool more)
{
	struct wire_out *out = &rows->out;
	if (rows->row_at == SIZE_MAX)
		return;
	if (!rows->rcpts) {
		out->len = rows->row_at;
	} else {
		wire_patch_u32(out, rows->row_at, (uint32_t)(out->len - rows->row_at - 4));
		out->base[rows->row_at + 4] = more;
	}
	rows->row_at = SIZE_MAX;
}

/* start_walk - a cursor over the rest of a list */
static bool start_walk(struct wire_in *in, struct msg_bytes list, size_t pos)
{
	if (pos >= list.len)
		return false;
	wire_in_init(in, list.data + pos, list.len - pos);
	return true;
}

/* get_bytes - a counted string in place */
static struct msg_bytes get_bytes(struct wire_in *in)
{
	size_t len;
	const char *data = wire_get_bytes(in, &len);
	return (struct msg_bytes){.data = data, .len = (uint32_t)len};
}

/* query_next_row - the next message of a listing */
int query_next_row(struct msg_bytes rows, size_t *pos, struct query_row *row)
{
	struct wire_in in, body;
	if (!start_walk(&in, rows, *pos))
		return 0;
	size_t len;
	const char *data = wire_get_bytes(&in, &len);
	if (in.err)
		return in.err;
	*pos += 4 + len;
	wire_in_init(&body, data, len);
	row->more = wire_get_bool(&body);
	row->id = wire_get_u64(&body);
	row->arrival_ms = wire_get_u64(&body);
	row->size = wire_get_u64(&body);
	row->sender = get_bytes(&body);
	row->class = get_bytes(&body);
	row->rcpts =
	    (struct msg_bytes){.data = (const char *)body.pos, .len = (uint32_t)wire_left(&body)};
	return body.err ? body.err : 1;
}

/* query_next_rcpt - the next recipient of a row */
int query_next_rcpt(struct msg_bytes rcpts, size_t *pos, struct query_rcpt *rcpt)
{
	struct wire_in in;
	if (!start_walk(&in, rcpts, *pos))
		return 0;
	rcpt->address = get_bytes(&in);
	rcpt->state = wire_get_u8(&in);
	rcpt->attempts = wire_get_u16(&in);
	rcpt->next_ms = wire_get_u64(&in);
	rcpt->site = get_bytes(&in);
	rcpt->reason = get_bytes(&in);
	rcpt->wait = wire_get_u8(&in);
	rcpt->wait_text = get_bytes(&in);
	*pos = rcpts.len - wire_left(&in);
	return in.err ? in.err : 1;
}

/* query_totals_put - encode the totals; the bytes written or -EMSGSIZE */
int query_totals_put(const struct query_totals *totals, unsigned char *buf, size_t size)
{
	struct wire_out out;
	wire_out_fixed(&out, buf, size);
	wire_put_u64(&out, totals->messages);
	wire_put_u64(&out, totals->recipients);
	wire_put_u64(&out, totals->bytes);
	int err = wire_out_end(&out);
	return err ? err : (int)out.len;
}

/* query_totals_get - decode the totals */
int query_totals_get(struct msg_bytes bytes, struct query_totals *totals)
{
	struct wire_in in;
	wire_in_init(&in, bytes.data, bytes.len);
	totals->messages = wire_get_u64(&in);
	totals->recipients = wire_get_u64(&in);
	totals->bytes = wire_get_u64(&in);
	return wire_in_end(&in);
}

/* query_pause_put - append one pause */
int query_pause_put(struct wire_out *out, const struct query_pause_row *pause)
{
	size_t at = out->len;
	wire_put_u8(out, pause->kind);
	wire_put_bytes(out, pause->name.data, pause->name.len);
	wire_put_u64(out, pause->since_ms);
	wire_put_u64(out, pause->until_ms);
	return undo(out, at);
}

/* query_next_pause - the next pause of an answer */
int query_next_pause(struct msg_bytes rows, size_t *pos, struct query_pause_row *pause)
{
	struct wire_in in;
	if (!start_walk(&in, rows, *pos))
		return 0;
	pause->kind = wire_get_u8(&in);
	pause->name = get_bytes(&in);
	pause->since_ms = wire_get_u64(&in);
	pause->until_ms = wire_get_u64(&in);
	*pos = rows.len - wire_left(&in);
	return in.err ? in.err : 1;
}

/* query_site_put - append one site */
int query_site_put(struct wire_out *out, const struct query_site *site)
{
	size_t at = out->len;
	wire_put_bytes(out, site->name.data, site->name.len);
	wire_put_u8(out, site->state);
	wire_put_u32(out, site->connections);
	wire_put_u32(out, site->limit);
	wire_put_u32(out, site->configured);
	wire_put_u32(out, site->rate_count);
	wire_put_u32(out, site->rate_period);
	wire_put_u32(out, site->active);
	wire_put_u32(out, site->ready);
	wire_put_u64(out, site->queued);
	wire_put_u64(out, site->oldest_ms);
	wire_put_u64(out, site->probe_ms);
	wire_put_u64(out, site->trouble_ms);
	wire_put_bytes(out, site->trouble.data, site->trouble.len);
	wire_put_u64(out, site->steps_ms);
	wire_put_u64(out, site->ipv4_ms);
	wire_put_u64(out, site->plain_ms);
	return undo(out, at);
}

/* query_next_site - the next site of an answer */
int query_next_site(struct msg_bytes rows, size_t *pos, struct query_site *site)
{
	struct wire_in in;
	if (!start_walk(&in, rows, *pos))
		return 0;
	site->name = get_bytes(&in);
	site->state = wire_get_u8(&in);
	site->connections = wire_get_u32(&in);
	site->limit = wire_get_u32(&in);
	site->configured = wire_get_u32(&in);
	site->rate_count = wire_get_u32(&in);
	site->rate_period = wire_get_u32(&in);
	site->active = wire_get_u32(&in);
	site->ready = wire_get_u32(&in);
	site->queued = wire_get_u64(&in);
	site->oldest_ms = wire_get_u64(&in);
	site->probe_ms = wire_get_u64(&in);
	site->trouble_ms = wire_get_u64(&in);
	site->trouble = get_bytes(&in);
	site->steps_ms = wire_get_u64(&in);
	site->ipv4_ms = wire_get_u64(&in);
	site->plain_ms = wire_get_u64(&in);
	*pos = rows.len - wire_left(&in);
	return in.err ? in.err : 1;
}
