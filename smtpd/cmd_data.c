/* SPDX-License-Identifier: ISC */
/*
 * DATA: the body goes from the input buffer into the parcel as it comes, since it is stored as it
 * leaves. A body that must be refused is read to its end all the same, so that no line
 * of it is ever taken for a command; the reply comes behind it.
 */
#include <string.h>

#include "smtpd/body.h"
#include "smtpd/commands.h"

#define NORMALISE_PIECE 4096        /* bytes whose line ends are mended at once */
#define LF_MARK         2           /* bytes of ".LF" */
#define PLACE_MIN       (16u << 10) /* less room isn't worth a read of its own */

static const struct verdict more = {.act = ACT_REPLY};

/* data_check - no argument */
struct verdict data_check(struct session *s, struct args args)
{
	(void)s;
	if (args.len)
		return verdict_reply(501, "5.5.4", "No argument is allowed here");
	return (struct verdict){0};
}

/* data_run - recipients are known, the body may come */
struct verdict data_run(struct session *s)
{
	struct tx *tx = s->tx;
	struct verdict v = body_begin(s);
	if (v.code)
		return v;
	dot_plain_init(&tx->unform, false);
	dot_form_init(&tx->form, DOT_NORMALISE);
	tx->lf_only = tx->lf_start = body_mends(s);
	session_enter(s, SMTP_DATA);
	return (struct verdict){ACT_BODY, 354, NULL, "End data with <CR><LF>.<CR><LF>"};
}

/* add_formed - what became of some bytes */
static void add_formed(struct session *s, const char *out, size_t n)
{
	char plain[DOT_PLAIN_ROOM(DOT_FORM_ROOM(NORMALISE_PIECE))];

	s->tx->plain_len += dot_plain(&s->tx->unform, out, n, plain);
	body_add(s, out, n);
}

/* add_body - take in bytes of the body, mended where the listener does that */
static void add_body(struct session *s, const char *at, size_t n)
{
	char out[DOT_FORM_ROOM(NORMALISE_PIECE)];
	struct tx *tx = s->tx;

	if (!tx->parcel)
		return;
	if (!body_mends(s))
		body_add(s, at, n);
	else
		add_formed(s, out, dot_form(&tx->form, at, n, out));
}

/* judge_lines - whether the line ends may stay, unstuffed length of the body */
static uint64_t judge_lines(struct session *s)
{
	struct tx *tx = s->tx;
	char out[DOT_END_ROOM];

	if (body_mends(s)) {
		if (tx->parcel)
			add_formed(s, out, dot_form_end(&tx->form, out));
		return tx->plain_len;
	}
	if (tx->dot.bare_lf || dot_bare_cr(&tx->dot))
		body_refuse(tx, verdict_reply(554, "5.6.0",
				    "Bare CR or LF in the message, lines end with CRLF"));
	return tx->dot.plain;
}

/* data_end - the body is whole: judge it, send it on its way */
static struct verdict data_end(struct session *s)
{
	return body_commit(s, judge_lines(s));
}

/* first_bytes - the front of the input, enough of it to see a mark */
static size_t first_bytes(struct evbuffer *in, const char **at)
{
	size_t total = evbuffer_get_length(in), n = evbuffer_get_contiguous_space(in);
	if (n < DOT_MARK && total > n)
		n = total < DOT_MARK ? total : DOT_MARK;
	*at = (const char *)evbuffer_pullup(in, (ev_ssize_t)n);
	return *at ? n : 0;
}

/* too_much - judge the size, and a client that goes on and on after it */
static struct verdict too_much(struct session *s)
{
	struct tx *tx = s->tx;
	uint64_t max = s->conf->message_size;

	if (tx->dot.plain > max && s->peer.kind != PEER_NOTICE)
		body_refuse(tx, body_error(-EMSGSIZE));
	if (!tx->refused.code || tx->dot.plain < max + BODY_DISCARD_MAX)
		return more;
	struct verdict v = tx->refused;
	v.act = ACT_CLOSE;
	return v;
}

/*
 * lf_end - where a listener mends line ends, a client may know no CR at all: then, and only then, a
 * lone dot between LFs is the end of data. One CR in the body and only CRLF.CRLF is, so that a body
 * that came through a server with proper lines can't be ended from inside. Returns how many of the
 * n bytes are body; a dot that might be the end is left for the next time.
 */
static size_t lf_end(struct tx *tx, const char *at, size_t n, bool *ended)
{
	for (size_t i = 0; i < n && tx->lf_only; i++) {
		bool lone = tx->lf_start && at[i] == '.';
		if (at[i] == '\r' || (lone && i + 1 < n && at[i + 1] == '\r'))
			tx->lf_only = false;
		else if (lone && (i + 1 == n || at[i + 1] == '\n')) {
			*ended = i + 1 < n;
			return i;
		}
		tx->lf_start = at[i] == '\n';
	}
	return n;
}

/* data_feed - one piece of the body */
struct verdict data_feed(struct session *s, struct evbuffer *in, size_t *turn)
{
	struct tx *tx = s->tx;
	const char *at;
	size_t used, n = first_bytes(in, &at), room = body_room(s);

	if (room == 0) {
		s->wait = WAIT_ROOM;
		return verdict_act(ACT_WAIT);
	}
	if (body_mends(s)) /* which can double what there is */
		room = (room + 1) / 2;
	/* A parcel takes some bytes beyond its room: a mark must not be cut where it can't be seen.
	 */
	if (room < DOT_MARK)
		room = DOT_MARK;
	if (n > room)
		n = room;
	if (body_mends(s) && n > NORMALISE_PIECE)
		n = NORMALISE_PIECE;
	bool ended = false;
	if (tx->lf_only)
		n = lf_end(tx, at, n, &ended);
	enum dot_verdict verdict = dot_feed(&tx->dot, at, n, &used);
	add_body(s, at, used);
	evbuffer_drain(in, used + (ended ? LF_MARK : verdict == DOT_END ? DOT_MARK : 0));
	*turn -= used < *turn ? used : *turn;
	if (verdict == DOT_END || ended)
		return data_end(s);
	if (used == 0)
		return verdict_act(ACT_WAIT);
	return too_much(s);
}

/* data_place - where a stream takes bytes as they are: line ends aren't mended, nor too many */
size_t data_place(struct session *s, char **at)
{
	const struct tx *tx = s->tx;
	if (!tx->parcel || !tx->parcel->stream || body_mends(s))
		return 0;
	size_t room = body_room(s);
	if (room > SESSION_BODY_TURN)
		room = SESSION_BODY_TURN;
	if (!tx->parcel || room < PLACE_MIN || tx->dot.plain + room > s->conf->message_size)
		return 0;
	*at = parcel_tail(tx->parcel);
	return room;
}

/*
 * data_placed - the end, and what might be one, is left to data_feed(). It is put away first: where
 * a line is broken the body grows over it
 */
ssize_t data_placed(struct session *s, const char *at, size_t n, struct evbuffer *rest)
{
	struct tx *tx = s->tx;
	size_t used;
	dot_feed(&tx->dot, at, n, &used);
	if (used < n && evbuffer_add(rest, at + used, n - used) < 0)
		return -ENOMEM;
	if (!tx->submitted || fold_passes(&tx->fold, at, used)) {
		parcel_added(tx->parcel, used);
	} else {
		static char copy[SESSION_BODY_TURN];
		memcpy(copy, at, used);
		body_add(s, copy, used);
	}
	return (ssize_t)used;
}
