/* SPDX-License-Identifier: ISC */
/*
 * large LISTEN NEXT FILE: what a relay of large messages can't do without, and nothing else: a
 * process for each client, which receives a message, writes it to FILE.PID as it comes, syncs,
 * answers 250, reads it back and sends it to the next hop over a kept connection. It checks nothing
 * and queues nothing; LISTEN and NEXT are ports of 127.0.0.1. One message after the other, without
 * pipelining. The measure beside Baton's 10 MB messages in t/bench/run.
 */
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK (256 << 10)
#define MARK  "\r\n.\r\n"

static char buf[CHUNK + 1];

/* tcp - a socket on 127.0.0.1 that listens or connects */
static int tcp(const char *port, bool listens)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	a.sin_port = htons((uint16_t)atoi(port));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (listens ? bind(fd, (void *)&a, sizeof(a)) || listen(fd, 1024)
		    : connect(fd, (void *)&a, sizeof(a)))
		err(1, "port %s", port);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* put - everything */
static void put(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);
		if (n <= 0)
			err(1, "write");
		data += n;
		len -= (size_t)n;
	}
}

/* ask - a command and the last line of its reply */
static void ask(int fd, const char *command)
{
	size_t have = 0;
	put(fd, command, strlen(command));
	do {
		ssize_t n = read(fd, buf + have, CHUNK - have);
		if (n <= 0)
			exit(0); /* the sink has all it wanted */
		have += (size_t)n;
	} while (buf[have - 1] != '\n');
}

/* receive - a body and its mark into the file, synced; its length */
static off_t receive(int client, int file)
{
	size_t mark = strlen(MARK), have = 0;
	off_t at = 0;
	for (;;) {
		ssize_t n = read(client, buf + have, CHUNK - have);
		if (n <= 0)
			exit(0);
		have += (size_t)n;
		bool end = have >= mark && memcmp(buf + have - mark, MARK, mark) == 0;
		if (!end && have < CHUNK)
			continue;
		/* What could be the front of the mark stays for the next time. */
		size_t len = end ? have : have - mark;
		if (pwrite(file, buf, len, at) != (ssize_t)len)
			err(1, "file");
		at += (off_t)len;
		have -= len;
		memmove(buf, buf + len, have);
		if (end)
			break;
	}
	if (fdatasync(file))
		err(1, "sync");
	return at;
}

/* deliver - to the next hop */
static void deliver(int hop, int file, off_t len)
{
	ask(hop, "MAIL FROM:<a@example.org>\r\n");
	ask(hop, "RCPT TO:<b@example.org>\r\n");
	ask(hop, "DATA\r\n");
	for (off_t at = 0; at < len;) {
		ssize_t n = pread(file, buf, CHUNK, at);
		if (n <= 0)
			err(1, "file");
		put(hop, buf, (size_t)n);
		at += n;
	}
	ask(hop, "");
}

/* serve - one client */
static void serve(int client, int hop, const char *path)
{
	char name[4096];
	snprintf(name, sizeof(name), "%s.%d", path, (int)getpid());
	ask(hop, "");
	ask(hop, "HELO large\r\n");
	put(client, "220 large\r\n", 11);
	for (;;) {
		ssize_t n = read(client, buf, CHUNK);
		if (n <= 0)
			exit(0);
		if (strncmp(buf, "DATA", 4) != 0) {
			put(client, "250 ok\r\n", 8);
			continue;
		}
		int file = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
		put(client, "354 go on\r\n", 11);
		off_t len = receive(client, file);
		put(client, "250 stored\r\n", 12);
		deliver(hop, file, len);
		close(file);
		unlink(name);
	}
}

/* reap - their CPU is ours then */
static void reap(int sig)
{
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		errx(100, "usage: large LISTEN NEXT FILE");
	signal(SIGCHLD, reap);
	int listener = tcp(argv[1], true);
	for (;;) {
		int client = accept(listener, NULL, NULL);
		if (client < 0)
			err(1, "accept");
		if (fork() == 0)
			serve(client, tcp(argv[2], false), argv[3]);
		close(client);
	}
}
