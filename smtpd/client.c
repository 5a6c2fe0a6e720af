/* SPDX-License-Identifier: ISC */
/*
 * work() is called whenever something may have changed: bytes came, a wait is over, output has
 * drained. It feeds the session until that stops, then looks how it stands. It is the only place
 * that frees a client.
 */
#include "smtpd/client.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/conn.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "smtpd/checks.h"
#include "smtpd/session.h"
#include "smtpd/starttls.h"

struct client {
	struct client *prev, *next;
	struct conn *conn;
	struct session *session;
	struct event *again; /* the next turn goes on where this one stopped */
	client_gone *gone;
	void *arg;
	uint64_t since; /* loop_ms() when it last got on; the list is in this order */
	size_t left;    /* input that the session hasn't taken yet */
	size_t came;    /* body bytes since then */
	bool paused, eof, securing;
	bool greeting; /* is held back */
	bool resting;  /* WAIT_PAUSE has its timer */
};

static struct client *clients;
static unsigned nclients;
static unsigned patience = CLIENT_TIMEOUT_MS;
static struct event *sweeper;
static uint64_t unread;     /* of all clients: their `left` */
static uint64_t unread_max; /* limits.unread */
static bool crowded;        /* more than that, and not yet less than half of it again */
static bool draining;
static bool leaving; /* no more clients come */
static void (*on_idle)(void);

/* stuck - it waits for us, or doesn't read what we say: bytes that came would lie there */
static bool stuck(const struct client *c)
{
	if (c->session->peer.kind == PEER_NOTICE || c->session->wait == WAIT_TLS)
		return false;
	return c->session->wait != WAIT_NONE || conn_unsent(c->conn) >= CLIENT_OUTPUT_MAX;
}

/* hold_input - back-pressure: no more bytes from who doesn't get on with those it sent */
static void hold_input(struct client *c)
{
	bool full =
	    evbuffer_get_length(conn_input(c->conn)) > CLIENT_INPUT_MAX || (crowded && stuck(c));
	if (full && !c->paused)
		conn_pause(c->conn);
	else if (!full && c->paused)
		conn_resume(c->conn);
	c->paused = full;
}

/* on_spread - there is room again: all may go on. Who can't be read from any more is gone */
static void on_spread(struct loop_task *task)
{
	struct client *c, *tmp;
	(void)task;
	DL_FOREACH_SAFE (clients, c, tmp)
		hold_input(c);
}

static struct loop_task spread = {.run = on_spread};

/* crowd - the limit is met: who is stuck isn't read from any more, before the next byte */
static void crowd(void)
{
	static uint64_t told;
	struct client *c;
	crowded = true;
	conn_thrift(true);
	DL_FOREACH (clients, c)
		hold_input(c);
	if (told && loop_ms() - told < CLIENT_TELL_MS)
		return;
	told = loop_ms();
	log_warnx("clients that wait have sent %llu bytes: no more is read from them",
	    (unsigned long long)unread);
}

/* note_unread - so much of this client's input is left now */
static void note_unread(struct client *c, size_t left)
{
	unread += left;
	unread -= c->left;
	c->left = left;
	if (!crowded && unread > unread_max) {
		crowd();
	} else if (crowded && unread <= unread_max / 2) {
		crowded = false;
		conn_thrift(false);
		loop_defer(&spread);
	}
}

/* client_free - the session may outlive its client by one sync */
static void client_free(struct client *c)
{
	DL_DELETE(clients, c);
	nclients--;
	note_unread(c, 0);
	if (c->again)
		event_free(c->again);
	if (c->gone)
		c->gone(c->arg);
	free(c);
	if (nclients == 0 && on_idle)
		on_idle();
}

/* hang_up - nothing more to say to each other */
static void hang_up(struct client *c)
{
	session_end(c->session);
	conn_free(c->conn);
	client_free(c);
}

/* finish - the last reply leaves; a client that said QUIT sends nothing more */
static void finish(struct client *c)
{
	unsigned linger = c->eof || c->session->quit ? 0 : CLIENT_LINGER_MS;
	session_end(c->session);
	conn_finish(c->conn, linger);
	client_free(c);
}

/* again_later - on_again() after so many ms; 0: in the next turn, after the others */
static int again_later(struct client *c, unsigned ms, event_callback_fn on_again)
{
	const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	if (!c->again && !(c->again = event_new(loop_base(), -1, 0, on_again, c)))
		return -ENOMEM;
	return event_add(c->again, &wait) < 0 ? -ENOMEM : 0;
}

static void on_again(evutil_socket_t fd, short what, void *arg);

/* secure - the handshake follows; until it is done nothing else happens on this connection */
static void secure(struct client *c)
{
	c->securing = true;
	if (starttls_begin(c->conn) < 0)
		hang_up(c);
	else
		conn_deadline(c->conn, CLIENT_SHAKE_MS);
}

/* insecure - no handshake came of it: there is nothing to be said that the peer could read */
static void insecure(struct client *c, const char *reason)
{
	starttls_failed(&c->session->peer, reason);
	hang_up(c);
}

/* goes - at the end of its transaction; a link from deliver has another worker to go to */
static bool goes(const struct client *c)
{
	return draining || (leaving && c->session->peer.kind == PEER_NOTICE);
}

/* rest - the session pauses; what comes meanwhile waits. The client may be gone afterwards */
static void rest(struct client *c)
{
	hold_input(c);
	if (c->resting)
		return;
	c->resting = true;
	if (again_later(c, c->session->pause_ms, on_again) < 0)
		hang_up(c);
}

/* got_on - the client did something: its time begins anew */
static void got_on(struct client *c)
{
	if (c->session->peer.kind == PEER_NOTICE)
		return; /* idles as long as there are no notices */
	DL_DELETE(clients, c);
	DL_APPEND(clients, c);
	c->since = loop_ms();
	c->came = 0;
	conn_deadline(c->conn, patience);
}

/*
 * feed - give the session what came; *more: it wants another turn. Says whether the client got on:
 * a command or a message was completed, or a good piece of body came. A byte now and then is not.
 */
static bool feed(struct client *c, bool *more)
{
	unsigned budget = CLIENT_COMMANDS_TURN;
	size_t had = evbuffer_get_length(conn_input(c->conn));
	bool was_in_body = session_in_body(c->session);

	if (conn_unsent(c->conn) < CLIENT_OUTPUT_MAX)
		*more = session_feed(c->session, conn_input(c->conn), &budget);
	c->came += had > c->left ? had - c->left : 0;
	note_unread(c, evbuffer_get_length(conn_input(c->conn)));
	bool in_body = session_in_body(c->session);
	return budget < CLIENT_COMMANDS_TURN || (was_in_body && !in_body) ||
	       (in_body && c->came >= CLIENT_BODY_STEP);
}

/* work - feed the session and see how it stands; the client may be gone afterwards */
static void work(struct client *c)
{
	bool more = false;

	if (feed(c, &more))
		got_on(c);
	if (goes(c) && session_idle(c->session) && c->session->wait == WAIT_NONE)
		session_goodbye(c->session, "4.3.2", "The server is shutting down");
	conn_written(c->conn);
	if (c->session->state == SMTP_CLOSING) {
		finish(c);
		return;
	}
	if (c->session->wait == WAIT_TLS) {
		if (!c->securing)
			secure(c);
		return;
	}
	if (c->session->wait == WAIT_PAUSE) {
		rest(c);
		return;
	}
	if (more && again_later(c, 0, on_again) < 0) {
		hang_up(c);
		return;
	}
	if (c->eof && !more && c->session->wait == WAIT_NONE) {
		log_debug("client %s is gone", c->session->peer.address);
		finish(c);
		return;
	}
	hold_input(c);
}

/* on_again - the next turn */
static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	(void)fd, (void)what;
	c->resting = false;
	session_go_on(c->session);
	if (c->greeting)
		session_greet(c->session);
	c->greeting = false;
	work(c);
}

/* on_ready - what the session waited for is there */
static void on_ready(struct session *s, void *arg)
{
	(void)s;
	work(arg);
}

/* secured - the session begins anew, or at all */
static void secured(struct client *c)
{
	struct session *s = c->session;
	struct peer peer = s->peer;
	c->securing = false;
	starttls_done(s->conf, c->conn, &peer);
	session_secured(s, &peer);
	note_unread(c, 0);
	got_on(c);
	if (starttls_implicit(&peer))
		session_greet(s);
	work(c);
}

/* on_shaking - events of a handshake */
static void on_shaking(struct client *c, enum conn_event event)
{
	switch (event) {
	case CONN_SECURED:
		secured(c);
		return;
	case CONN_EOF:
		insecure(c, "the client closed the connection");
		return;
	case CONN_TIMEOUT:
		insecure(c, "timeout");
		return;
	case CONN_ERROR:
		insecure(c, conn_error_text(c->conn));
		return;
	case CONN_INPUT:
	case CONN_DRAINED:
	case CONN_CONNECTED:
		return;
	}
}

/* on_conn - what happened on the connection */
static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
	struct client *c = arg;

	if (c->securing) {
		on_shaking(c, event);
		return;
	}
	switch (event) {
	case CONN_EOF:
		c->eof = true;
		work(c);
		return;
	case CONN_INPUT:
		if (c->greeting)
			session_early(c->session);
		work(c);
		return;
	case CONN_DRAINED:
		work(c);
		return;
	case CONN_TIMEOUT:
		if (c->session->wait != WAIT_NONE) { /* it is we who take long */
			conn_deadline(conn, patience);
			return;
		}
		if (c->since + patience > loop_ms()) { /* set when there was less time */
			conn_deadline(conn, (unsigned)(c->since + patience - loop_ms()));
			return;
		}
		session_goodbye(c->session, "4.4.2", "Timeout, closing connection");
		work(c);
		return;
	case CONN_ERROR:
		log_debug("client %s: connection lost (%s)", c->session->peer.address,
		    conn_error_text(conn));
		hang_up(c);
		return;
	case CONN_CONNECTED:
	case CONN_SECURED:
		return;
	}
}

/* on_place - a large body has its own */
static size_t on_place(void *arg, char **at)
{
	const struct client *c = arg;
	return session_place(c->session, at);
}

/* on_placed - what is no body is looked at like any input */
static int on_placed(void *arg, const char *at, size_t n)
{
	struct client *c = arg;
	ssize_t used = session_placed(c->session, at, n, conn_input(c->conn));
	if (used < 0)
		return (int)used;
	c->came += (size_t)used;
	return 0;
}

/* client_new - greeted at once */
int client_new(
    int fd, const struct peer *peer, const struct conf *conf, client_gone *gone, void *arg)
{
	struct client *c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->conn = conn_new(fd, on_conn, c);
	if (c->conn)
		c->session = session_new(peer, conf, conn_output(c->conn), on_ready, c);
	if (!c->session) {
		conn_free(c->conn);
		free(c);
		return -ENOMEM;
	}
	static const struct conn_place place = {.place = on_place, .placed = on_placed};
	conn_set_place(c->conn, &place);
	unread_max = conf->limits.unread;
	c->arg = arg;
	c->gone = gone;
	DL_APPEND(clients, c);
	nclients++;
	got_on(c);
	if (starttls_implicit(peer)) {
		c->session->wait = WAIT_TLS;
		secure(c);
		return 0;
	}
	unsigned delay = checks_greet_delay(conf, peer);
	c->greeting = delay > 0;
	if (c->greeting)
		session_pause(c->session, delay);
	else
		session_greet(c->session);
	work(c);
	return 0;
}

/* send_off - somebody else needs its place. It may be gone afterwards */
static void send_off(struct client *c)
{
	if (c->securing) {
		insecure(c, "timeout");
		return;
	}
	if (c->session->wait != WAIT_NONE) /* it is we who take long */
		return;
	session_goodbye(c->session, "4.3.2", "Too busy to wait for you, try again later");
	work(c);
}

/* on_sweep - those that were given more time than there is now */
static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct client *c, *tmp;
	(void)fd, (void)what, (void)arg;
	DL_FOREACH_SAFE (clients, c, tmp) {
		if (c->session->peer.kind == PEER_NOTICE)
			continue;
		if (c->since + patience > loop_ms())
			break;
		send_off(c);
	}
}

/* client_patience - longer deadlines stand until the sweeper comes */
void client_patience(unsigned ms)
{
	static const struct timeval often = {
	    .tv_sec = CLIENT_SWEEP_MS / 1000, .tv_usec = CLIENT_SWEEP_MS % 1000 * 1000};
	static uint64_t told;
	if (ms == patience)
		return;
	if (ms < patience && (!told || loop_ms() - told >= CLIENT_TELL_MS)) {
		log_warnx("slots run low: clients that are silent for %u s have to go", ms / 1000);
		told = loop_ms();
	}
	patience = ms;
	if (!sweeper)
		sweeper = event_new(loop_base(), -1, EV_PERSIST, on_sweep, NULL);
	if (!sweeper)
		return; /* the deadlines they have will do */
	if (ms >= CLIENT_TIMEOUT_MS)
		event_del(sweeper);
	else if (!event_pending(sweeper, EV_TIMEOUT, NULL))
		event_add(sweeper, &often);
}

/* client_count - all of them */
unsigned client_count(void)
{
	return nclients;
}

/* work_all - each may be gone afterwards */
static void work_all(void)
{
	struct client *c, *tmp;
	DL_FOREACH_SAFE (clients, c, tmp) {
		work(c);
	}
}

/* client_leave - nobody comes any more */
void client_leave(void (*idle)(void))
{
	leaving = true;
	work_all();
	on_idle = idle;
	if (nclients == 0)
		on_idle();
}

/* client_drain - who is between transactions goes now */
void client_drain(void)
{
	draining = true;
	work_all();
}

/* client_close_all - the grace is over */
void client_close_all(void)
{
	struct client *c, *tmp;
	DL_FOREACH_SAFE (clients, c, tmp) {
		session_goodbye(c->session, "4.3.2", "The server is shutting down");
		conn_written(c->conn);
		finish(c);
	}
}
