/* SPDX-License-Identifier: ISC */
/*
 * Bytes to and from a socket for the tools of the benchmark, in plaintext or in TLS from the first
 * byte. What is plaintext costs nothing more than the system call. One context a process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct wire {
	int fd;
	struct tls *tls;       /* NULL: plaintext */
	struct evbuffer *out;  /* not sealed yet: the handshake is still under way */
	struct evbuffer *send; /* sealed, not with the kernel */
	struct evbuffer *in;   /* content that was not asked for yet */
	bool ended;
};

/* Begins: on a connected or connecting socket. tls: whether it is to be secured. 0, or -1. */
int wire_client(struct wire *w, int fd, bool tls);
int wire_server(struct wire *w, int fd, bool tls);
/* Once, before wire_server() with tls: certificate and key, PEM files. 0, or -1 and said why. */
int wire_certificate(const char *chain, const char *key);

/* As send() and recv(), EAGAIN included; with TLS all bytes are taken. */
ssize_t wire_send(struct wire *w, const void *data, size_t len);
ssize_t wire_recv(struct wire *w, void *data, size_t len);

/* Bytes wait for the kernel: look at the socket's being writable, then wire_flush(). 0, or -1. */
bool wire_pending(const struct wire *w);
int wire_flush(struct wire *w);
/* Content waits that no event will tell of. */
bool wire_ready(const struct wire *w);

/* Closes the socket too. */
void wire_close(struct wire *w);
