/* SPDX-License-Identifier: ISC */
/*
 * The front of a record (envelope and our header lines) is put when the body is whole, or when it
 * turns out too large for memory: a stream's front can't change any more but for its flags.
 */
#include "smtpd/body.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/classes.h"
#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/envelope.h"
#include "lib/events.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/qid.h"
#include "lib/str.h"
#include "smtpd/fixup.h"
#include "smtpd/headers.h"
#include "smtpd/intake.h"
#include "smtpd/overheard.h"
#include "smtpd/stream.h"

#define ENVELOPE_FLAGS_AT 6    /* the flags are the envelope's first attribute: their value */
#define ENVELOPE_FIXED    1290 /* at most, of everything but recipients, sender, HELO */
#define ENVELOPE_RCPT     25   /* of one recipient beyond its address and ORCPT */
#define ENVELOPE_NOTED    (HEADERS_NOTED * (HEADERS_NOTED_LEN + 6)) /* of header fields */
#define LOG_CLASSED       100 /* recipients whose classes are named there */
#define LOG_RCPTS         900 /* bytes of recipients in the line of acceptance */

static const struct verdict more = {.act = ACT_REPLY};

/* body_refuse - the body isn't wanted any more; the first reason counts */
void body_refuse(struct tx *tx, struct verdict v)
{
	if (!tx->refused.code)
		tx->refused = v;
	parcel_free(tx->parcel);
	tx->parcel = NULL;
}

/* body_error - what the client is told of a failure of ours */
struct verdict body_error(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
	case -ENOMEM:
		return verdict_reply(452, "4.3.1", "Insufficient system storage, try again later");
	case -EMSGSIZE:
		return verdict_reply(552, "5.3.4", "Message too big for this system");
	case -ETIMEDOUT:
		return verdict_reply(451, "4.3.0", "The queue takes no mail now, try again later");
	default:
		return verdict_reply(451, "4.3.0", "Cannot store the message, try again later");
	}
}

/* put_noted - header fields that classes look at */
static void put_noted(struct envelope_writer *w, struct session *s)
{
	const struct parcel *p = s->tx->parcel;
	struct msg_bytes noted[HEADERS_NOTED];
	size_t n = headers_note((const char *)p->buf + p->body, p->end - p->body, s->conf, noted);

	s->tx->noted = n > 0;
	for (size_t i = 0; i < n; i++)
		envelope_put_bytes(w, ENV_HEADER, noted[i].data, noted[i].len);
}

/* put_envelope - everything that is known of the message; flags first, see ENVELOPE_FLAGS_AT */
static void put_envelope(struct envelope_writer *w, struct session *s, uint32_t flags)
{
	const struct tx *tx = s->tx;
	const struct conf_listen *listen = s->peer.listen;

	envelope_put_u32(w, ENV_FLAGS, flags);
	envelope_put_bytes(w, ENV_SENDER, tx->sender, strlen(tx->sender));
	envelope_put_u64(w, ENV_ARRIVAL, (uint64_t)clock_wall_ms());
	envelope_put_u32(w, ENV_TOOK, (uint32_t)(loop_ms() - tx->began_ms));
	envelope_put_bytes(w, ENV_CLIENT, s->peer.address, strlen(s->peer.address));
	envelope_put_bytes(w, ENV_HELO, s->helo, strlen(s->helo));
	if (listen)
		envelope_put_bytes(w, ENV_LISTENER, listen->title, strlen(listen->title));
	if (s->peer.uid != UINT32_MAX)
		envelope_put_u32(w, ENV_UID, s->peer.uid);
	if (s->peer.user[0])
		envelope_put_bytes(w, ENV_USER, s->peer.user, strlen(s->peer.user));
	if (tx->message_id[0])
		envelope_put_bytes(w, ENV_MESSAGE_ID, tx->message_id, strlen(tx->message_id));
	put_noted(w, s);
	if (tx->ret)
		envelope_put_u8(w, ENV_RET, tx->ret);
	if (tx->envid[0])
		envelope_put_bytes(w, ENV_ENVID, tx->envid, strlen(tx->envid));
	for (size_t pos = 0; pos < tx->rcpts_len;) {
		struct envelope_rcpt rcpt = tx_next_rcpt(tx, &pos);
		envelope_put_rcpt(w, &rcpt);
	}
}

/*
 * name_classes - of the first recipients, each once. smtpd has no other use for them; where the
 * configuration has none, and the message says nothing itself, it costs nothing.
 */
static void name_classes(const struct session *s, const struct envelope_writer *w)
{
	static struct classes classes;
	struct tx *tx = s->tx;
	struct envelope env;
	char address[ADDR_SIZE];
	size_t pos = 0, n = 0;

	if ((!s->conf->nclass && !tx->noted) || !log_wants(LOG_INFO) ||
	    envelope_read(w->data, w->len, &env) != 0)
		return;
	classes_match(&classes, s->conf, &env, w->data, w->len);
	for (unsigned i = 0; i < LOG_CLASSED && pos < tx->rcpts_len; i++) {
		struct envelope_rcpt rcpt = tx_next_rcpt(tx, &pos);
		str_copy_n(address, sizeof(address), rcpt.address.data, rcpt.address.len);
		const char *name = classes_pick(&classes, address);
		size_t len = strlen(name);
		if (strstr(tx->class, name) || n + len + 2 > sizeof(tx->class))
			continue;
		n += (size_t)snprintf(
		    tx->class + n, sizeof(tx->class) - n, "%s%s", n ? "," : "", name);
	}
	if (strcmp(tx->class, CLASS_NORMAL) == 0)
		tx->class[0] = '\0';
}

/* body_mends - does this listener mend line ends? */
bool body_mends(const struct session *s)
{
	return s->peer.listen && s->peer.listen->line_endings == CONF_LINES_NORMALISE;
}

/* flags_of - what is known of the body now */
static uint32_t flags_of(const struct tx *tx)
{
	/* Many clients say SMTPUTF8 of any mail: what doesn't need it can go to any next hop. */
	uint32_t utf8 = tx->utf8_header ? tx->flags & ENVF_SMTPUTF8 : 0;
	if (tx->utf8_address)
		utf8 = ENVF_SMTPUTF8;
	return (tx->flags & ~(uint32_t)ENVF_SMTPUTF8) | utf8 | (tx->dot.eightbit ? ENVF_8BIT : 0);
}

/* headroom - the most that stands in front of the body */
static size_t headroom(const struct session *s)
{
	const struct tx *tx = s->tx;
	return RECORD_HEADER + ENVELOPE_FIXED + ENVELOPE_NOTED + HEADERS_MAX + strlen(tx->sender) +
	       strlen(s->helo) + tx->rcpts_len + (size_t)tx->nrcpts * ENVELOPE_RCPT;
}

/* note_seen - what the header says that concerns us; refuses a loop */
static void note_seen(struct session *s, const struct headers_seen *seen)
{
	struct tx *tx = s->tx;
	size_t len = seen->id_len < sizeof(tx->message_id) ? seen->id_len : 0;
	for (size_t i = 0; i < len; i++) /* it goes into the envelope, which takes text only */
		if (seen->id[i] < ' ' || seen->id[i] == 0x7f)
			len = 0;
	memcpy(tx->message_id, seen->id ? seen->id : "", len);
	tx->message_id[len] = '\0';
	tx->utf8_header = seen->eightbit;
	struct verdict v = policy_hops(s->conf, seen->received);
	if (v.code)
		body_refuse(tx, v);
}

/* mend - the fix-ups of a submission; an error refuses it */
static int mend(struct session *s, const struct fixup *fix)
{
	struct tx *tx = s->tx;

	if (!fix->text)
		return 0;
	if (fix->body) {
		uint64_t added = tx->fold.added;
		tx->fold = fix->fold;
		tx->fold.added = added;
	}
	tx->mended += (int64_t)fix->text_len - (int64_t)fix->len;
	return parcel_replace(tx->parcel, fix->len, fix->text, fix->text_len, headroom(s));
}

/* look_at_headers - and mend them, where it is submitted mail. whole: all of the body is here */
static void look_at_headers(struct session *s, bool whole, struct headers_seen *seen)
{
	struct tx *tx = s->tx;
	const struct parcel *p = tx->parcel;
	const char *text = (const char *)p->buf + p->body;
	size_t len = p->end - p->body;
	struct fixup fix;

	if (!tx->submitted) {
		headers_scan(text, len, seen);
		note_seen(s, seen);
		return;
	}
	int error = fixup_header(
	    s->conf, s->peer.listen && s->peer.listen->privacy, text, len, whole, &fix);
	*seen = fix.seen;
	note_seen(s, seen);
	if (tx->refused.code)
		return;
	if (!error)
		error = mend(s, &fix);
	if (error == -EMSGSIZE && len >= PARCEL_MEMORY_MAX)
		body_refuse(tx, verdict_reply(552, "5.3.4", "Message header too big"));
	else if (error) /* of a shorter one only where memory is short */
		body_refuse(tx, body_error(-ENOMEM));
}

/* put_front - envelope and our lines; what can't be is refused */
static void put_front(struct session *s, bool whole)
{
	static struct envelope_writer w;
	struct tx *tx = s->tx;
	struct headers_seen seen;
	char lines[HEADERS_MAX], id[HEADERS_ID_MAX] = "";
	size_t id_at, pos = 0;

	look_at_headers(s, whole, &seen);
	if (tx->refused.code)
		return;
	struct headers_trace trace = {.peer = &s->peer,
	    .helo = s->helo,
	    .hostname = s->conf->hostname,
	    .esmtp = s->esmtp,
	    .utf8 = tx->flags & ENVF_SMTPUTF8};
	if (tx->nrcpts == 1) {
		struct msg_bytes rcpt = tx_next_rcpt(tx, &pos).address;
		trace.rcpt = rcpt.data;
		trace.rcpt_len = rcpt.len;
	}
	size_t len = headers_received(lines, sizeof(lines) / 2, &trace, &id_at);
	if (tx->submitted || s->peer.kind == PEER_NOTICE) {
		if (!seen.message_id) {
			headers_make_id(id, sizeof(id), s->conf->hostname);
			str_copy(tx->message_id, sizeof(tx->message_id), id);
		}
		len += headers_missing(
		    lines + len, sizeof(lines) - len, &seen, id, tx->sender, s->conf->origin);
	}
	w.max = RECORD_ENVELOPE_MAX;
	envelope_writer_reset(&w);
	put_envelope(&w, s, flags_of(tx));
	int error = w.error;
	if (!error)
		name_classes(s, &w);
	if (!error)
		error = parcel_front(tx->parcel, w.data, w.len, lines, len, id_at);
	if (error) {
		log_warnc(error, "cannot put together an envelope");
		body_refuse(tx, body_error(error));
	}
}

/* log_accept - one line for each message that is ours now */
static void log_accept(const struct session *s, const struct parcel *p)
{
	const struct tx *tx = s->tx;
	char to[LOG_RCPTS], tls[96];
	size_t n = 0;

	if (!log_wants(LOG_INFO))
		return;
	for (size_t pos = 0; pos < tx->rcpts_len;) {
		struct msg_bytes a = tx_next_rcpt(tx, &pos).address;
		if (n + a.len + 1 > sizeof(to))
			break;
		if (n)
			to[n++] = ',';
		memcpy(to + n, a.data, a.len);
		n += a.len;
	}
	if (s->peer.tls)
		snprintf(tls, sizeof(tls), "%s/%s%s", s->peer.tls, s->peer.cipher,
		    s->peer.resumed ? "/resumed" : "");
	log_event(LOG_INFO, p->id, "accept", LOG_STR("client", s->peer.address),
	    LOG_STR("helo", s->helo),
	    LOG_IF(
		s->peer.listen, LOG_STR("listener", s->peer.listen ? s->peer.listen->title : "")),
	    LOG_IF(s->peer.tls, LOG_STR("tls", tls)),
	    LOG_IF(s->peer.uid != UINT32_MAX, LOG_U64("uid", s->peer.uid)),
	    LOG_IF(s->peer.user[0], LOG_STR("user", s->peer.user)),
	    LOG_IF(s->peer.kind == PEER_NOTICE, LOG_U64("notice", 1)), LOG_STR("from", tx->sender),
	    LOG_BYTES("to", to, n), LOG_U64("rcpts", tx->nrcpts), LOG_U64("size", p->plain_len),
	    LOG_IF(tx->message_id[0], LOG_STR("message_id", tx->message_id)),
	    LOG_IF(tx->class[0], LOG_STR("class", tx->class)));
}

/* accepted - count and log, and what the client is told */
static struct verdict accepted(struct session *s, const struct parcel *p)
{
	static const char words[] = "queued as ";
	counter_add(C_smtp_messages_accepted, 1);
	counter_add(C_smtp_recipients_accepted, s->tx->nrcpts);
	counter_add(C_smtp_bytes_accepted, p->plain_len);
	EVENT_PUT(ACCEPTED, .id = p->id, .at_us = s->tx->whole_us, .number = s->tx->nrcpts,
	    .value = p->plain_len, .what = msg_str(s->peer.address),
	    .words = msg_str(s->tx->sender));
	EVENT_PUT(SYNCED, .id = p->id, .at_us = p->stream ? 0 : intake_synced_us());
	log_accept(s, p);
	memcpy(s->text, words, sizeof(words));
	qid_format(s->text + sizeof(words) - 1, p->id);
	return verdict_reply(250, "2.0.0", s->text);
}

/* on_parcel - what became of the message that the session waits for */
static void on_parcel(struct parcel *p, enum parcel_event event, int error)
{
	struct session *s = p->owner;
	struct verdict v = more;

	if (event == PARCEL_DONE || s->wait == WAIT_SYNC)
		v = error ? body_error(error) : accepted(s, p);
	else if (event == PARCEL_FAILED)
		body_refuse(s->tx, body_error(error));
	if (v.code) {
		s->tx->parcel = NULL;
		parcel_free(p);
	}
	if (s->wait != WAIT_NONE)
		session_resume(s, v); /* may free the session */
}

/* body_begin - recipients are known */
struct verdict body_begin(struct session *s)
{
	struct tx *tx = s->tx;
	tx->parcel =
	    parcel_new(headroom(s) + (tx->submitted ? FIXUP_ROOM : 0), tx->declared, on_parcel, s);
	if (!tx->parcel)
		return body_error(-ENOMEM);
	dot_init(&tx->dot);
	fold_init(&tx->fold, true);
	return more;
}

/* body_room - how many bytes may be taken; 0: wait */
size_t body_room(struct session *s)
{
	struct tx *tx = s->tx;
	ssize_t room = tx->parcel ? parcel_room(tx->parcel) : 0;

	if (room == -EFBIG) {
		put_front(s, false);
		if (tx->parcel)
			room = stream_begin(tx->parcel, ENVELOPE_FLAGS_AT);
		if (tx->parcel && room == 0)
			room = parcel_room(tx->parcel);
	}
	if (tx->parcel && room < 0)
		body_refuse(tx, body_error((int)room));
	if (!tx->parcel)
		return SESSION_BODY_TURN;
	return tx->submitted ? fold_room((size_t)room) : (size_t)room;
}

/* add - for fold() */
static void add(void *to, const char *bytes, size_t n)
{
	parcel_add(to, bytes, n);
}

/* body_add - with its long lines broken, where it is submitted */
void body_add(struct session *s, const char *stored, size_t n)
{
	if (s->tx->submitted)
		fold(&s->tx->fold, stored, n, add, s->tx->parcel);
	else
		parcel_add(s->tx->parcel, stored, n);
}

/* body_commit - the body is whole: send it on its way */
struct verdict body_commit(struct session *s, uint64_t plain)
{
	struct tx *tx = s->tx;

	s->verb = "body";
	overheard_note(s, false, "(a message of %llu bytes)", (unsigned long long)plain);
	if (tx->parcel && !tx->parcel->stream)
		put_front(s, true);
	if (!tx->parcel)
		return tx->refused;
	tx->whole_us = events_time();
	tx->parcel->plain_len =
	    tx->parcel->lines_len + plain + tx->fold.added + (uint64_t)tx->mended;
	s->wait = WAIT_SYNC;
	intake_commit(tx->parcel, flags_of(tx));
	return verdict_act(ACT_WAIT);
}
