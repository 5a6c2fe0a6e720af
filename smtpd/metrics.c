/* SPDX-License-Identifier: ISC */
/*
 * After the answer our side is shut and what the client still says is read away, for closing with
 * input unread would reset the connection and might lose the end of the answer.
 */
#include "smtpd/metrics.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/metrics.h"

struct listener {
	struct listener *next;
	int fd;
	struct event *event;
};

enum state {
	READING, /* the request */
	WRITING, /* the answer */
	LEAVING  /* until the client closes too */
};

struct client {
	struct client *next, *prev; /* the oldest first */
	enum state state;
	int fd;
	struct event *event, *timer;
	struct evbuffer *out;
	size_t len;
	char in[METRICS_REQUEST + 1];
};

static const struct board *board;
static struct listener *listeners;
static struct client *clients;
static unsigned nclients;
static struct event *pause_timer;
static struct {
	char *data;
	size_t len;
	int64_t made_ms;
} text;

/* metrics_init - the whole board */
void metrics_init(void)
{
	board = board_view(CHILD_BOARD);
	if (!board)
		log_warn("figures can't be served");
}

/* drop - a client is gone */
static void drop(struct client *c)
{
	DL_DELETE(clients, c);
	nclients--;
	if (c->event)
		event_free(c->event);
	if (c->timer)
		event_free(c->timer);
	if (c->out)
		evbuffer_free(c->out);
	close(c->fd);
	free(c);
}

/* on_late - it had its time */
static void on_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	drop(arg);
}

/* make_text - what the board says now, or half a second ago; false when there is none */
static bool make_text(void)
{
	char *data = NULL;
	size_t len = 0;
	if (text.data && clock_ms() - text.made_ms < METRICS_FRESH_MS)
		return true;
	FILE *to = board ? open_memstream(&data, &len) : NULL;
	if (!to)
		return false;
	int e = metrics_print(board, to);
	if (fclose(to) != 0 || e) {
		free(data);
		return false;
	}
	free(text.data);
	text.data = data;
	text.len = len;
	text.made_ms = clock_ms();
	return true;
}

/* answer - status line, header, body unless only the header was asked for */
static void answer(
    struct client *c, const char *status, const char *more, const char *body, size_t len, bool head)
{
	evbuffer_add_printf(c->out,
	    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
	    status, body == text.data ? METRICS_TYPE : "text/plain; charset=utf-8", len, more);
	if (!head)
		evbuffer_add(c->out, body, len);
}

/* say - an answer of one line */
static void say(struct client *c, const char *status, const char *more, const char *body)
{
	answer(c, status, more, body, strlen(body), false);
}

/* judge - the request line */
static void judge(struct client *c)
{
	char *end = strpbrk(c->in, "\r\n"), *method = c->in;
	if (end)
		*end = '\0';
	char *path = strchr(method, ' '), *version = path ? strchr(path + 1, ' ') : NULL;
	if (!version || strncmp(version + 1, "HTTP/1.", 7) != 0) {
		say(c, "400 Bad Request", "", "this is no HTTP/1 request\n");
		return;
	}
	*path++ = *version = '\0';
	path[strcspn(path, "?#")] = '\0';
	bool head = strcmp(method, "HEAD") == 0;
	if (!head && strcmp(method, "GET") != 0)
		say(c, "405 Method Not Allowed", "Allow: GET, HEAD\r\n", "GET or HEAD only\n");
	else if (strcmp(path, "/metrics") != 0)
		say(c, "404 Not Found", "", "figures are at /metrics\n");
	else if (make_text())
		answer(c, "200 OK", "", text.data, text.len, head);
	else
		say(c, "503 Service Unavailable", "", "there are no figures now\n");
}

/* finish - all is written: wait for the client to close, so that it gets all */
static void finish(struct client *c)
{
	c->state = LEAVING;
	if (shutdown(c->fd, SHUT_WR) < 0)
		drop(c);
}

/* write_out - as much as it takes; the event says what is waited for next */
static void write_out(struct client *c)
{
	short wait = EV_READ;
	while (evbuffer_get_length(c->out) > 0) {
		int n = evbuffer_write(c->out, c->fd);
		if (n < 0 && errno == EAGAIN) {
			wait = EV_WRITE;
			break;
		}
		if (n <= 0) {
			drop(c);
			return;
		}
	}
	event_del(c->event);
	if (event_assign(c->event, loop_base(), c->fd, (short)(wait | EV_PERSIST),
		event_get_callback(c->event), c) < 0 ||
	    event_add(c->event, NULL) < 0)
		drop(c);
	else if (wait == EV_READ)
		finish(c);
}

/* read_in - until the empty line that ends a request */
static void read_in(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->len, METRICS_REQUEST - c->len, 0);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			drop(c);
		return;
	}
	c->len += (size_t)n;
	c->in[c->len] = '\0';
	if (strlen(c->in) != c->len)
		say(c, "400 Bad Request", "", "this is no HTTP/1 request\n");
	else if (strstr(c->in, "\r\n\r\n") || strstr(c->in, "\n\n"))
		judge(c);
	else if (c->len == METRICS_REQUEST)
		say(c, "431 Request Header Fields Too Large", "", "that is too much\n");
	else
		return;
	c->state = WRITING;
	write_out(c);
}

/* read_away - what is said after the answer */
static void read_away(struct client *c)
{
	ssize_t n = recv(c->fd, c->in, METRICS_REQUEST, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		drop(c);
}

/* on_event - by state */
static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	(void)fd, (void)what;
	if (c->state == READING)
		read_in(c);
	else if (c->state == WRITING)
		write_out(c);
	else
		read_away(c);
}

/* make_room - for one more: the oldest that hasn't said what it wants, else the oldest */
static void make_room(void)
{
	struct client *c;
	if (nclients < METRICS_CLIENTS)
		return;
	DL_FOREACH (clients, c) {
		if (c->state != WRITING) {
			drop(c);
			return;
		}
	}
	drop(clients);
}

/* take - one client */
static void take(int fd)
{
	static const struct timeval limit = {
	    .tv_sec = METRICS_CLIENT_MS / 1000, .tv_usec = METRICS_CLIENT_MS % 1000 * 1000};
	make_room();
	struct client *c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->fd = fd;
	DL_APPEND(clients, c);
	nclients++;
	c->out = evbuffer_new();
	c->event = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_event, c);
	c->timer = evtimer_new(loop_base(), on_late, c);
	if (!c->out || !c->event || !c->timer || event_add(c->event, NULL) < 0 ||
	    event_add(c->timer, &limit) < 0)
		drop(c);
}

/* on_rested - there may be descriptors again */
static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	for (struct listener *l = listeners; l; l = l->next)
		event_add(l->event, NULL);
}

/* rest - a listener that can't be served would wake us for ever */
static void rest(void)
{
	static const struct timeval pause = {.tv_sec = METRICS_PAUSE_MS / 1000};
	if (!pause_timer)
		pause_timer = evtimer_new(loop_base(), on_rested, NULL);
	if (!pause_timer || event_add(pause_timer, &pause) < 0)
		return;
	for (struct listener *l = listeners; l; l = l->next)
		event_del(l->event);
}

/* on_acceptable - one a wake-up: mail goes first */
static void on_acceptable(evutil_socket_t listener, short what, void *arg)
{
	(void)what, (void)arg;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		take(fd);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		rest();
}

/* metrics_listen - one address more */
void metrics_listen(int fd)
{
	struct listener *l = calloc(1, sizeof(*l));
	if (l)
		l->event = event_new(loop_base(), fd, EV_READ | EV_PERSIST, on_acceptable, NULL);
	if (!l || !l->event || event_add(l->event, NULL) < 0)
		log_fatal("no event for a listener");
	l->fd = fd;
	l->next = listeners;
	listeners = l;
}

/* metrics_stop - the worker ends, or another one serves from now on */
void metrics_stop(void)
{
	while (listeners) {
		struct listener *l = listeners;
		listeners = l->next;
		event_free(l->event);
		close(l->fd);
		free(l);
	}
	while (clients)
		drop(clients);
}
