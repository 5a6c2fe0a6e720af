/* SPDX-License-Identifier: ISC */
/*
 * smtpd, the server side of SMTP: clients' sessions on one loop, their messages through one sync
 * thread into segments that qmgr grants. It reads no file, looks up no name, holds no secret but
 * the keys of our certificates.
 * Exit codes: 0 told to end (DRAIN) or master is gone, 111 could not start.
 */
#include <malloc.h>
#include <stdlib.h>

#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/tally.h"
#include "smtpd/accept.h"
#include "smtpd/client.h"
#include "smtpd/headers.h"
#include "smtpd/intake.h"
#include "smtpd/links.h"
#include "smtpd/metrics.h"
#include "smtpd/segments.h"
#include "smtpd/session.h"
#include "smtpd/starttls.h"
#include "smtpd/syncer.h"

/*
 * Buffers of large messages come and go with each: memory given back to the kernel in between would
 * be zeroed and mapped anew for every one of them.
 */
enum { KEEP_BYTES = 4 << 20, BLOCKS_MAX = 2 << 20 };

/* prepare - what the sandbox forbids later: a thread, limits, the time zone, OpenSSL's files */
static int prepare(const struct conf *conf)
{
	int e = tally_attach(CHILD_SHARED, child_self()->instance);
	if (e)
		log_warnc(e, "limits on clients hold for each worker by itself");
	accept_init(conf);
	if (conf->metrics.address.n)
		metrics_init();
	headers_date();
	syncer_start();
	return starttls_init(conf);
}

/* end - say where the segments end, and go */
static void end(void)
{
	segments_seal_all();
	loop_stop(EXIT_DONE);
}

/* on_wait - sessions whose clients are gone may still have a message with the sync thread */
static void on_wait(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (session_count() == 0)
		end();
}

/* on_idle - the last client is gone */
static void on_idle(void)
{
	static const struct timeval often = {.tv_usec = 10000};
	struct event *timer = event_new(loop_base(), -1, EV_PERSIST, on_wait, NULL);

	if (session_count() == 0 || !timer || event_add(timer, &often) < 0)
		end();
}

/* on_grace_over - who is still here is told to come back */
static void on_grace_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	client_close_all();
	end();
}

/* on_idle_over - who is between transactions is told to come back */
static void on_idle_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	client_drain();
}

/* after - call it once */
static void after(uint32_t ms, event_callback_fn call)
{
	const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (event_base_once(loop_base(), -1, EV_TIMEOUT, call, NULL, &wait) < 0)
		log_fatal("out of memory");
}

/* on_drain - no new clients; transactions may end */
static void on_drain(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	after(msg->drain.grace_ms, on_grace_over);
	if (msg->drain.idle_ms > 0)
		after(msg->drain.idle_ms, on_idle_over);
	accept_stop();
	metrics_stop();
	client_leave(on_idle);
	if (msg->drain.idle_ms == 0)
		client_drain();
}

/* on_listen - a socket to take clients from */
static void on_listen(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)arg;
	if (msg->listen.kind == LISTEN_METRICS)
		metrics_listen(msg->listen.socket);
	else
		accept_add(
		    msg->listen.socket, (enum listen_kind)msg->listen.kind, msg->listen.listener);
	msg->listen.socket = -1;
}

static const struct chan_handlers master = {
    .on = {[MSG_listen] = on_listen, [MSG_link] = links_add, [MSG_drain] = on_drain},
};

static const struct child smtpd = {
    .role = ROLE_SMTPD,
    .sandbox = SANDBOX_SMTPD,
    .chroots = true,
    .master = &master,
    .prepare = prepare,
    .forgets_files = true,
};

/* main - start, serve, end */
int main(int argc, char **argv)
{
	mallopt(M_MMAP_THRESHOLD, BLOCKS_MAX);
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	child_start(&smtpd, argc, argv);
	syncer_listen();
	intake_start();
	return loop_run();
}
