/* SPDX-License-Identifier: ISC */
#include "lib/job.h"

#include <errno.h>

#include "lib/wire.h"

/* -- building: an entry is put whole or not at all ------------------------------------------- */

/* job_list_init - an empty list in the caller's buffer */
void job_list_init(struct job_list *list, unsigned char *buf, size_t size)
{
	*list = (struct job_list){.data = buf, .size = size};
}

/* begin - a writer behind what is there */
static struct wire_out begin(const struct job_list *list)
{
	struct wire_out w;

	wire_out_fixed(&w, list->data + list->len, list->size - list->len);
	return w;
}

/* commit - the entry belongs to the list, or it didn't fit */
static int commit(struct job_list *list, const struct wire_out *w)
{
	if (w->err) {
		list->error = -EMSGSIZE;
		return -EMSGSIZE;
	}
	list->len += w->len;
	return 0;
}

/* put - a counted string */
static void put(struct wire_out *w, struct msg_bytes s)
{
	wire_put_bytes(w, s.data, s.len);
}

/* put_cut - a peer's text, at most JOB_TEXT_MAX bytes of it */
static void put_cut(struct wire_out *w, struct msg_bytes s)
{
	wire_put_bytes(w, s.data, s.len > JOB_TEXT_MAX ? JOB_TEXT_MAX : s.len);
}

/* job_put_rcpt - a recipient of a job */
int job_put_rcpt(struct job_list *list, const struct job_rcpt *rcpt)
{
	struct wire_out w = begin(list);

	wire_put_u32(&w, rcpt->number);
	put(&w, rcpt->address);
	put(&w, rcpt->orcpt);
	wire_put_u8(&w, rcpt->notify);
	wire_put_u8(&w, rcpt->action);
	wire_put_u16(&w, rcpt->code);
	wire_put_u64(&w, rcpt->tried_ms);
	wire_put_u64(&w, rcpt->until_ms);
	put(&w, rcpt->status);
	put_cut(&w, rcpt->text);
	put(&w, rcpt->host);
	return commit(list, &w);
}

/* job_put_result - the end of a recipient */
int job_put_result(struct job_list *list, const struct job_result *result)
{
	struct wire_out w = begin(list);

	wire_put_u32(&w, result->number);
	wire_put_u8(&w, result->outcome);
	wire_put_u8(&w, result->passed);
	wire_put_u16(&w, result->code);
	put(&w, result->status);
	put_cut(&w, result->text);
	put(&w, result->members.len ? result->members : msg_str(""));
	return commit(list, &w);
}

/* job_put_place - a recipient by its record */
int job_put_place(struct job_list *list, const struct job_place *place)
{
	struct wire_out w = begin(list);

	wire_put_u64(&w, place->segment);
	wire_put_u64(&w, place->offset);
	wire_put_u32(&w, place->number);
	return commit(list, &w);
}

/* job_put_text - an address or a domain */
int job_put_text(struct job_list *list, struct msg_bytes text)
{
	struct wire_out w = begin(list);

	put(&w, text);
	return commit(list, &w);
}

/* job_list_bytes - for the message's field */
struct msg_bytes job_list_bytes(const struct job_list *list)
{
	return msg_bytes(list->data, list->len);
}

/* -- walking ------------------------------------------------------------------------------- */

/* enter - a reader at *pos; 1 when there is more */
static int enter(struct wire_in *w, struct msg_bytes list, size_t pos)
{
	if (pos >= list.len)
		return 0;
	wire_in_init(w, list.data + pos, list.len - pos);
	return 1;
}

/* leave - note how far the reader came */
static int leave(const struct wire_in *w, struct msg_bytes list, size_t *pos)
{
	if (w->err)
		return -EBADMSG;
	*pos = list.len - wire_left(w);
	return 1;
}

/* get - a counted string in place */
static struct msg_bytes get(struct wire_in *w)
{
	size_t len;
	const char *data = wire_get_bytes(w, &len);

	return msg_bytes(data, len);
}

/* job_next_rcpt - the next recipient */
int job_next_rcpt(struct msg_bytes list, size_t *pos, struct job_rcpt *rcpt)
{
	struct wire_in w;

	if (!enter(&w, list, *pos))
		return 0;
	rcpt->number = wire_get_u32(&w);
	rcpt->address = get(&w);
	rcpt->orcpt = get(&w);
	rcpt->notify = wire_get_u8(&w);
	rcpt->action = wire_get_u8(&w);
	rcpt->code = wire_get_u16(&w);
	rcpt->tried_ms = wire_get_u64(&w);
	rcpt->until_ms = wire_get_u64(&w);
	rcpt->status = get(&w);
	rcpt->text = get(&w);
	rcpt->host = get(&w);
	if (rcpt->action >= ACTIONS)
		wire_in_fail(&w);
	return leave(&w, list, pos);
}

/* job_next_result - the next result; an outcome nobody knows is a broken list */
int job_next_result(struct msg_bytes list, size_t *pos, struct job_result *result)
{
	struct wire_in w;

	if (!enter(&w, list, *pos))
		return 0;
	result->number = wire_get_u32(&w);
	result->outcome = wire_get_u8(&w);
	result->passed = wire_get_u8(&w);
	result->code = wire_get_u16(&w);
	result->status = get(&w);
	result->text = get(&w);
	result->members = get(&w);
	if (result->outcome > OUT_EXPANDED)
		wire_in_fail(&w);
	return leave(&w, list, pos);
}

/* job_next_place - the next place */
int job_next_place(struct msg_bytes list, size_t *pos, struct job_place *place)
{
	struct wire_in w;

	if (!enter(&w, list, *pos))
		return 0;
	place->segment = wire_get_u64(&w);
	place->offset = wire_get_u64(&w);
	place->number = wire_get_u32(&w);
	return leave(&w, list, pos);
}

/* job_next_text - the next text */
int job_next_text(struct msg_bytes list, size_t *pos, struct msg_bytes *text)
{
	struct wire_in w;

	if (!enter(&w, list, *pos))
		return 0;
	*text = get(&w);
	return leave(&w, list, pos);
}
