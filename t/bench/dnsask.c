/* SPDX-License-Identifier: ISC */
/*
 * dnsask - dnscache on its own, under questions: starts the real program as master does, links
 * itself to it as its qmgr, and is the resolver that it asks. Prints "key=value" for what it saw.
 *
 *   dnsask PROGRAM latency N   N times the site of one known domain, one after another, as an asker
 *                              comes by it (lib/answers.h, else a message); then N / 10 times
 *                              by messages only (asked_)
 *   dnsask PROGRAM same N      N questions for one new domain at once
 *   dnsask PROGRAM once N      the sites of N domains, each asked twice, 200 at a time
 *   dnsask PROGRAM random N    N random names through a cache of 4 MiB
 *
 * The resolver answers all at once: MX mx.NAME, addresses for hosts that are called so; a thread
 * of its own counts each name and type.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/answers.h"
#include "lib/child.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/dns.h"
#include "lib/msg.h"

enum { WINDOW = 200, DOMAINS_MAX = 2000000, SLOTS = 4 };

static _Atomic uint8_t (*counts)[SLOTS]; /* by domain: MX, A, AAAA, anything else */
static _Atomic uint64_t queries;
static int resolver_fd;
static int answers_writer, answers_reader;
static pid_t child_pid;
static char jail[] = "/tmp/dnsask.XXXXXX"; /* the empty folder that root locks it into */

/* die - with the reason */
static void die(const char *what)
{
	fprintf(stderr, "dnsask: %s: %s\n", what, strerror(errno));
	if (child_pid > 0)
		kill(child_pid, SIGKILL);
	exit(1);
}

/* -- the resolver ---------------------------------------------------------------------------- */

/* count - a query, by the first number in its name */
static void count(const uint8_t *q, size_t at, unsigned type)
{
	unsigned slot = type == DNS_MX ? 0 : type == DNS_A ? 1 : type == DNS_AAAA ? 2 : 3;
	unsigned long n = 0;

	queries++;
	for (size_t i = 12; i < at; i++) {
		if (q[i] != 'd' || q[i + 1] < '0' || q[i + 1] > '9')
			continue;
		while (q[++i] >= '0' && q[i] <= '9')
			n = n * 10 + (unsigned long)(q[i] - '0');
		if (n < DOMAINS_MAX && counts[n][slot] < 255)
			counts[n][slot]++;
		return;
	}
}

/* answer - the reply to a query, in place; its length, 0: none */
static size_t answer(uint8_t *q, size_t len)
{
	static const uint8_t head[] = {0xc0, 12, 0, 0, 0, 1, 0, 0, 14, 16, 0, 0};
	size_t at = 12;

	while (at < len && q[at] != 0)
		at += 1u + q[at];
	if (at + 5 > len || at > 300)
		return 0;
	unsigned type = (unsigned)(q[at + 1] << 8 | q[at + 2]);
	bool host = q[12] == 2 && memcmp(q + 13, "mx", 2) == 0;

	count(q, at, type);
	at += 5;
	q[2] = 0x81;
	q[3] = 0x80;
	memset(q + 6, 0, 6);
	memcpy(q + at, head, sizeof(head));
	q[at + 3] = (uint8_t)type;
	if (type == DNS_MX) {
		q[at + 11] = 7;
		memcpy(q + at + 12, "\0\12\2mx\xc0\x0c", 7);
	} else if (type == DNS_A || (type == DNS_AAAA && !host)) {
		q[at + 11] = type == DNS_A ? 4 : 16;
		memcpy(q + at + 12, "\x7f\0\0\1\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	} else {
		memcpy(
		    q + at, "\xc0\x0c\0\6\0\1\0\0\14\20\0\26\0\0", 14); /* an SOA: no such record */
		memcpy(q + at + 14, "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\14\20", 20);
		q[9] = 1;
		return at + 34;
	}
	q[7] = 1;
	return at + 12 + q[at + 11];
}

/* resolve - the resolver's thread */
static void *resolve(void *arg)
{
	struct sockaddr_in from;
	uint8_t q[2048];

	for (;;) {
		socklen_t fromlen = sizeof(from);
		ssize_t n = recvfrom(resolver_fd, q, 600, 0, (struct sockaddr *)&from, &fromlen);
		size_t len = n > 12 ? answer(q, (size_t)n) : 0;

		if (len > 0)
			sendto(resolver_fd, q, len, 0, (struct sockaddr *)&from, fromlen);
	}
	return arg;
}

/* start_resolver - on a port of its own; returns it */
static uint16_t start_resolver(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int room = 4 << 20;
	pthread_t thread;

	counts = mmap(NULL, (size_t)DOMAINS_MAX * SLOTS, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	resolver_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (counts == MAP_FAILED || resolver_fd < 0 ||
	    bind(resolver_fd, (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    getsockname(resolver_fd, (struct sockaddr *)&in, &len) != 0)
		die("resolver");
	setsockopt(resolver_fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (pthread_create(&thread, NULL, resolve, NULL) != 0)
		die("thread");
	return ntohs(in.sin_port);
}

/* -- dnscache -------------------------------------------------------------------------------- */

/* say - one message, with its descriptors */
static void say(int fd, enum msg_type type, const void *msg)
{
	static unsigned char packet[MSG_PACKET_MAX];
	union {
		char buf[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
		struct cmsghdr align;
	} control = {0};
	int fds[MSG_FDS_MAX];
	unsigned nfds;
	int n = msg_encode(type, msg, packet, sizeof(packet), fds, &nfds);
	struct iovec iov = {packet, n > 0 ? (size_t)n : 0};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds > 0) {
		h.msg_control = control.buf;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	if (n < 0 || sendmsg(fd, &h, MSG_NOSIGNAL) != n)
		die("cannot send");
}

/* sealed_config - dnscache's part of a configuration with our resolver and that much memory */
static int sealed_config(uint16_t port, uint64_t cache)
{
	struct conf *conf = conf_default();
	unsigned char *buf = NULL;
	size_t len = 0;
	int fd = memfd_create("config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	conf->resolver.servers.v = calloc(1, sizeof(*conf->resolver.servers.v));
	if (conf->resolver.servers.v == NULL || fd < 0)
		die("configuration");
	conf->resolver.servers.n = 1;
	conf->resolver.servers.v[0] =
	    (struct conf_addr){.family = AF_INET, .bytes = {127, 0, 0, 1}, .port = port};
	conf->resolver.cache = cache;
	if (conf_encode(conf, ROLE_DNSCACHE, &buf, &len) != 0 ||
	    write(fd, buf, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		die("configuration");
	free(buf);
	return fd;
}

/* run - in the child: the descriptors of lib/child.h, then the program */
static void run(const char *program, int master)
{
	int null = open("/dev/null", O_RDWR);
	int high = fcntl(master, F_DUPFD, 20);

	dup2(null, 0);
	dup2(null, 1);
	dup2(high, CHILD_MASTER);
	dup2(null, CHILD_LOCK);
	dup2(null, CHILD_COUNTERS);
	dup2(answers_writer, CHILD_SHARED);
	dup2(null, CHILD_BOARD);
	dup2(null, CHILD_EVENTS);
	close_range(CHILD_FD_FIRST_FREE, ~0u, 0);
	if (geteuid() == 0) {
		setenv("BATON_UID", "65534", 1);
		setenv("BATON_GID", "65534", 1);
		setenv("BATON_CHROOT", jail, 1);
	}
	execl(program, "dnscache", "1", (char *)NULL);
	_exit(111);
}

/* start - the program, configured and linked; our end of the link to it */
static int start(const char *program, uint64_t cache)
{
	int master[2], link[2];
	unsigned char packet[256];
	uint16_t port = start_resolver();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, master) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) != 0)
		die("socketpair");
	fcntl(master[1], F_SETFL, O_NONBLOCK);
	fcntl(link[1], F_SETFL, O_NONBLOCK);
	if (answers_create(&answers_writer, &answers_reader) != 0 ||
	    answers_attach(answers_reader) != 0)
		die("answers");
	if (geteuid() == 0 && mkdtemp(jail) == NULL)
		die(jail);
	child_pid = fork();
	if (child_pid == 0)
		run(program, master[1]);
	close(master[1]);
	say(master[0], MSG_config,
	    &(const struct msg_config){.generation = 1, .sealed = sealed_config(port, cache)});
	if (recv(master[0], packet, sizeof(packet), 0) <= 0)
		die("dnscache doesn't start");
	say(master[0], MSG_link,
	    &(const struct msg_link){
		.role = ROLE_QMGR, .instance = 1, .expect = 1, .socket = link[1]});
	close(link[1]);
	return link[0];
}

/* own_kib - what the program holds in memory of its own; what it tells answers through is shared */
static long own_kib(void)
{
	char path[64], line[256];
	long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)child_pid);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return kib;
}

/* -- questions ------------------------------------------------------------------------------- */

static uint64_t good, bad;

/* ask - where does mail for a domain go? */
static void ask(int fd, uint32_t number, const char *domain)
{
	say(fd, MSG_dns_site,
	    &(const struct msg_dns_site){
		.request = number, .kind = DNS_SITE_MX, .domain = msg_str(domain)});
}

/* hear - one packet of answers; how many */
static unsigned hear(int fd)
{
	static unsigned char packet[MSG_PACKET_MAX];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	unsigned n = 0;
	ssize_t len;

	if (poll(&p, 1, 30000) != 1 || (len = recv(fd, packet, sizeof(packet), 0)) <= 0)
		die("no answer");
	for (ssize_t at = 0; at + MSG_HEADER + 5 <= len; n++) {
		uint32_t size = (uint32_t)packet[at + 4] << 24 | (uint32_t)packet[at + 5] << 16 |
				(uint32_t)packet[at + 6] << 8 | packet[at + 7];

		if (packet[at + MSG_HEADER + 4] == DNS_OK)
			good++;
		else
			bad++;
		at += (ssize_t)(MSG_HEADER + size);
	}
	return n;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* nanoseconds - of the monotonic clock */
static int64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* latency - one question after another, known from the first on; how many were read */
static unsigned latency(int fd, unsigned n, bool reads, const char *name)
{
	int64_t *took = calloc(n, sizeof(*took));
	struct msg_dns_site_is m;
	unsigned nread = 0;

	if (took == NULL)
		die("memory");
	ask(fd, 0, "d1.test");
	hear(fd);
	for (unsigned i = 0; i < n; i++) {
		int64_t begin = nanoseconds();

		if (reads && answers_find(DNS_SITE_MX, msg_str("d1.test"), &m)) {
			nread++;
			good += m.hosts.len > 0;
		} else {
			ask(fd, i + 1, "d1.test");
			hear(fd);
		}
		took[i] = nanoseconds() - begin;
	}
	qsort(took, n, sizeof(*took), by_value);
	printf("%smedian_us=%.1f %sp99_us=%.1f ", name, (double)took[n / 2] / 1e3, name,
	    (double)took[n - n / 100 - 1] / 1e3);
	free(took);
	return nread;
}

/* many - questions about n names, at most WINDOW open; name writes the i-th one */
static void many(int fd, unsigned n, void (*name)(char *out, size_t size, unsigned i))
{
	char domain[64];
	unsigned open = 0, asked = 0;

	while (asked < n || open > 0) {
		while (asked < n && open < WINDOW) {
			name(domain, sizeof(domain), asked);
			ask(fd, asked++, domain);
			open++;
		}
		open -= hear(fd);
	}
}

static void name_same(char *out, size_t size, unsigned i)
{
	(void)i;
	snprintf(out, size, "d1.test");
}

static void name_twice(char *out, size_t size, unsigned i)
{
	snprintf(out, size, "d%u.test", i / 2);
}

static void name_random(char *out, size_t size, unsigned i)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	snprintf(out, size, "x%llx%0*u.test", (unsigned long long)x, (int)(x % 30), i);
}

/* most - the most queries of one name and type */
static unsigned most(void)
{
	unsigned m = 0;

	for (size_t i = 0; i < DOMAINS_MAX; i++)
		for (unsigned k = 0; k < SLOTS; k++)
			m = counts[i][k] > m ? counts[i][k] : m;
	return m;
}

int main(int argc, char **argv)
{
	unsigned n = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
	bool random = n > 0 && strcmp(argv[2], "random") == 0;
	int64_t begin;
	long before;
	int fd;

	if (n == 0 || n > DOMAINS_MAX * 10u) {
		fprintf(stderr, "usage: dnsask PROGRAM latency|same|once|random N\n");
		return 100;
	}
	fd = start(argv[1], random ? 4 << 20 : 256 << 20);
	before = own_kib();
	begin = clock_ms();
	if (strcmp(argv[2], "latency") == 0)
		printf(
		    "read=%u\n", latency(fd, n, true, "") + latency(fd, n / 10, false, "asked_"));
	else
		many(fd, strcmp(argv[2], "once") == 0 ? 2 * n : n,
		    random                         ? name_random
		    : strcmp(argv[2], "same") == 0 ? name_same
						   : name_twice);
	printf("good=%llu bad=%llu queries=%llu mx_of_first=%u most=%u seconds=%.2f "
	       "own_before_kib=%ld own_kib=%ld\n",
	    (unsigned long long)good, (unsigned long long)bad, (unsigned long long)queries,
	    counts[1][0], most(), (double)(clock_ms() - begin) / 1e3, before, own_kib());
	kill(child_pid, SIGKILL);
	waitpid(child_pid, NULL, 0);
	rmdir(jail);
	return 0;
}
