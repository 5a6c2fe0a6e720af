/* SPDX-License-Identifier: ISC */
/* lib/tls between a socket and its user; the client remembers sessions, verifies nothing. */
#include "wire.h"

#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tls.h"

static struct tls_server *server;
static struct tls_client *client;

/* begin - on that socket; secured: tls is NULL for want of memory only */
static int begin(struct wire *w, int fd, bool secured, struct tls *tls)
{
	*w = (struct wire){.fd = fd, .tls = tls};
	if (!secured || !tls)
		return secured ? -1 : 0;
	w->out = evbuffer_new();
	w->send = evbuffer_new();
	w->in = evbuffer_new();
	return w->out && w->send && w->in && !(tls_take(tls, NULL, 0, w->in, w->send) & TLS_BROKEN)
		   ? 0
		   : -1;
}

int wire_client(struct wire *w, int fd, bool tls)
{
	static const struct tls_client_setup setup;
	const struct tls_connect to = {.name = "localhost"};
	char why[256];
	if (tls && !client && !(client = tls_client_new(&setup, why, sizeof(why))))
		return -1;
	return begin(w, fd, tls, tls ? tls_connect(client, &to) : NULL);
}

int wire_server(struct wire *w, int fd, bool tls)
{
	return begin(w, fd, tls, tls ? tls_accept(server) : NULL);
}

/* slurp - a file with a NUL behind */
static unsigned char *slurp(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	unsigned char *data = calloc(1, (size_t)st.st_size + 1);
	ssize_t n = data ? read(fd, data, (size_t)st.st_size) : -1;
	close(fd);
	*len = n > 0 ? (size_t)n : 0;
	return n < 0 ? NULL : data;
}

int wire_certificate(const char *chain, const char *key)
{
	static const unsigned char secret[32];
	char why[256] = "can't be read";
	struct tls_pem_pair pair = {0};
	pair.chain = slurp(chain, &pair.chain_len);
	pair.key = slurp(key, &pair.key_len);
	struct tls_server_setup setup = {.pairs = &pair, .npairs = 1, .secret = secret};
	if (pair.chain && pair.key)
		server = tls_server_new(&setup, why, sizeof(why));
	if (!server)
		fprintf(stderr, "%s: %s\n", chain, why);
	return server ? 0 : -1;
}

int wire_flush(struct wire *w)
{
	if (!w->tls)
		return 0;
	if (tls_seal(w->tls, w->out, w->send, SIZE_MAX) < 0)
		return -1;
	while (evbuffer_get_length(w->send)) {
		size_t n = evbuffer_get_length(w->send);
		n = n < 65536 ? n : 65536;
		ssize_t sent = send(w->fd, evbuffer_pullup(w->send, (ssize_t)n), n, MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN || errno == ENOTCONN ? 0 : -1;
		evbuffer_drain(w->send, (size_t)sent);
	}
	return 0;
}

ssize_t wire_send(struct wire *w, const void *data, size_t len)
{
	if (!w->tls)
		return send(w->fd, data, len, MSG_NOSIGNAL);
	if (evbuffer_add(w->out, data, len) < 0 || wire_flush(w) < 0)
		return -1;
	return (ssize_t)len;
}

/* more - what the socket has; 0 at the end, -1 with errno */
static ssize_t more(struct wire *w)
{
	static char buf[65536];
	ssize_t n = recv(w->fd, buf, sizeof(buf), 0);
	if (n <= 0)
		return n;
	unsigned steps = tls_take(w->tls, buf, (size_t)n, w->in, w->send);
	w->ended |= (steps & TLS_ENDED) != 0;
	errno = EPROTO;
	return steps & TLS_BROKEN || wire_flush(w) < 0 ? -1 : n;
}

ssize_t wire_recv(struct wire *w, void *data, size_t len)
{
	if (!w->tls)
		return recv(w->fd, data, len, 0);
	if (!evbuffer_get_length(w->in) && !w->ended) {
		ssize_t n = more(w);
		if (n <= 0)
			return n;
	}
	if (!evbuffer_get_length(w->in)) {
		errno = EAGAIN;
		return w->ended ? 0 : -1;
	}
	return evbuffer_remove(w->in, data, len);
}

bool wire_pending(const struct wire *w)
{
	return w->tls && evbuffer_get_length(w->send);
}

bool wire_ready(const struct wire *w)
{
	return w->tls && evbuffer_get_length(w->in);
}

void wire_close(struct wire *w)
{
	close(w->fd);
	w->fd = -1;
	struct evbuffer *all[] = {w->out, w->send, w->in};
	for (int i = 0; i < 3; i++)
		if (all[i])
			evbuffer_free(all[i]);
	tls_free(w->tls);
	w->tls = NULL;
}
