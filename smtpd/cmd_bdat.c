/* SPDX-License-Identifier: ISC */
/*
 * BDAT: chunks of a length that is said before them (RFC 3030), without BINARYMIME: a body is text
 * here too, so that it can leave by DATA. It is stuffed on its way into the parcel; whether a CR or
 * LF was bare is seen on the way, across the chunks.
 *
 * What follows a BDAT line is never read as commands: a chunk that is refused, for its order too,
 * is thrown away first, and one of which nobody knows how long it is ends the session. A refused
 * chunk ends its transaction, so that those that were sent behind it are refused too.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/str.h"
#include "smtpd/body.h"
#include "smtpd/commands.h"

#define BDAT_PIECE 4096 /* bytes that are stuffed at once */

static const struct verdict more = {.act = ACT_REPLY};
static const struct verdict quiet = {.act = ACT_SAID}; /* the reply comes behind the chunk */

/* parse - `size [LAST]` into s->cmd; 0, -EINVAL when the size is good, -EBADMSG when it isn't */
static int parse(struct session *s, struct args args)
{
	const char *space = memchr(args.text, ' ', args.len);
	size_t n = space ? (size_t)(space - args.text) : args.len;
	unsigned long long size;

	if (str_to_u64(args.text, n, INT64_MAX, &size) != 0)
		return -EBADMSG;
	while (n < args.len && args.text[n] == ' ')
		n++;
	s->cmd.size = size;
	s->cmd.last = str_is_ci(args.text + n, args.len - n, "LAST");
	return s->cmd.last || n == args.len ? 0 : -EINVAL;
}

/* drop - throw away the chunk that follows, then say why */
static struct verdict drop(struct session *s, struct verdict why)
{
	if (s->cmd.size > (uint64_t)s->conf->message_size + BODY_DISCARD_MAX)
		why.act = ACT_CLOSE;
	if (s->tx)
		session_enter(s, SMTP_READY);
	if (s->cmd.size == 0 || why.act == ACT_CLOSE)
		return why;
	s->chunk = s->cmd.size;
	s->drop = why;
	session_enter(s, SMTP_DROP);
	return quiet;
}

/* bdat_refuse - in the wrong place */
struct verdict bdat_refuse(struct session *s, struct args args, struct verdict why)
{
	if (parse(s, args) == -EBADMSG) {
		why = verdict_reply(501, "5.5.4", "Syntax: BDAT size [LAST]");
		why.act = ACT_CLOSE;
		return why;
	}
	return drop(s, why);
}

/* bdat_check - the arguments */
struct verdict bdat_check(struct session *s, struct args args)
{
	if (parse(s, args) == 0)
		return more;
	return bdat_refuse(s, args, verdict_reply(501, "5.5.4", "Syntax: BDAT size [LAST]"));
}

/* stuffed - bytes in stored form go into the parcel, are counted and judged */
static void stuffed(struct session *s, const char *out, size_t n)
{
	struct tx *tx = s->tx;
	size_t used;

	dot_feed(&tx->dot, out, n, &used); /* no mark is in what was stuffed */
	body_add(s, out, n);
	if (tx->dot.plain > s->conf->message_size && s->peer.kind != PEER_NOTICE)
		body_refuse(tx, body_error(-EMSGSIZE));
	else if (tx->form.mended && !body_mends(s))
		body_refuse(tx, verdict_reply(554, "5.6.0",
				    "Bare CR or LF in the message, lines end with CRLF"));
}

/* chunk_end - it is here: another one may come, or the message is whole */
static struct verdict chunk_end(struct session *s)
{
	struct tx *tx = s->tx;
	char out[DOT_END_ROOM];

	if (tx->parcel && tx->last)
		stuffed(s, out, dot_form_end(&tx->form, out));
	if (!tx->parcel)
		return tx->refused;
	if (tx->last)
		return body_commit(s, tx->dot.plain);
	session_enter(s, SMTP_CHUNKED);
	snprintf(s->text, sizeof(s->text), "%llu bytes are here", (unsigned long long)s->cmd.size);
	return verdict_reply(250, "2.0.0", s->text);
}

/* bdat_run - the first or another chunk comes */
struct verdict bdat_run(struct session *s)
{
	struct tx *tx = s->tx;
	uint64_t before = s->state == SMTP_CHUNKED ? tx->dot.plain : 0;

	if (before + s->cmd.size > s->conf->message_size && s->peer.kind != PEER_NOTICE)
		return drop(s, body_error(-EMSGSIZE));
	if (s->state == SMTP_RCPT) {
		struct verdict v = body_begin(s);
		if (v.code)
			return drop(s, v);
		dot_form_init(&tx->form, DOT_STUFF); /* nobody has stuffed it yet */
	}
	tx->last = s->cmd.last;
	s->chunk = s->cmd.size;
	session_enter(s, SMTP_BDAT);
	return s->chunk ? quiet : chunk_end(s);
}

/* dropped - bytes of a refused chunk */
static struct verdict dropped(struct session *s, struct evbuffer *in, size_t *turn)
{
	size_t n = evbuffer_get_length(in);

	if (n > s->chunk)
		n = (size_t)s->chunk;
	if (n > *turn)
		n = *turn;
	evbuffer_drain(in, n);
	*turn -= n;
	s->chunk -= n;
	return s->chunk ? more : s->drop;
}

/* piece_of - how many bytes at the front of the input may be taken at once; 0: none now */
static size_t piece_of(struct session *s, const struct evbuffer *in)
{
	/* Stuffing can double what there is. */
	size_t n = (body_room(s) + 1) / 2, there = evbuffer_get_contiguous_space(in);

	if (n > there)
		n = there;
	if (n > BDAT_PIECE)
		n = BDAT_PIECE;
	return n > s->chunk ? (size_t)s->chunk : n;
}

/* bdat_feed - one piece of a chunk */
struct verdict bdat_feed(struct session *s, struct evbuffer *in, size_t *turn)
{
	char out[DOT_FORM_ROOM(BDAT_PIECE)];
	struct tx *tx = s->tx;

	if (s->state == SMTP_DROP)
		return dropped(s, in, turn);
	size_t n = piece_of(s, in);
	if (n == 0) {
		s->wait = WAIT_ROOM;
		return verdict_act(ACT_WAIT);
	}
	const char *at = (const char *)evbuffer_pullup(in, (ev_ssize_t)n);
	if (tx->parcel)
		stuffed(s, out, dot_form(&tx->form, at, n, out));
	evbuffer_drain(in, n);
	*turn -= n < *turn ? n : *turn;
	s->chunk -= n;
	return s->chunk ? more : chunk_end(s);
}
