/* SPDX-License-Identifier: ISC */
/*
 * How to write without waiting to a descriptor whose O_NONBLOCK must stay as it is, since stderr's
 * open file description is shared with the shell, with master and with every child:
 *
 *   socket          send() with MSG_DONTWAIT, which concerns that call alone.
 *   pipe, terminal  opened anew through /proc/self/fd as a description of our own, non-blocking.
 *                   Where that fails (no /proc, another user's pipe): poll() for room, then write
 * at most PIPE_BUF bytes, which a pipe with room takes at once. Another process may take that room
 * in between; then this write waits for the reader. file            written directly; disks aren't
 * waited for any other way.
 *
 * preadv2's RWF_NOWAIT isn't used: older kernels refuse it for pipes and most file systems. Pieces
 * end at line ends and are at most PIPE_BUF bytes where other writers share the stream, so that
 * lines of several processes don't mix.
 */
#include "lib/log_write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"

enum { FD_OWN_MIN = 10 }; /* below lie the fixed descriptors of children */

enum kind { KIND_UNKNOWN, KIND_SOCKET, KIND_NONBLOCK, KIND_POLL, KIND_FILE };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char buffer[LOG_BUFFER];
static size_t head, tail; /* what isn't written yet */
static uint64_t lost;

static int out_fd = STDERR_FILENO;
static int own_fd = -1; /* out_fd's pipe or terminal, opened anew */
static enum kind kind = KIND_UNKNOWN;
static size_t piece_max = PIPE_BUF;
static enum log_target target = LOG_TO_STDERR;
static char who[40] = "baton";

/* open_anew - a non-blocking description of our own for the same pipe or terminal; -1 if refused */
static int open_anew(int fd)
{
	char path[40];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0 || own >= FD_OWN_MIN)
		return own;
	int high = fcntl(own, F_DUPFD_CLOEXEC, FD_OWN_MIN);
	close(own);
	return high;
}

/* find_kind - see what the descriptor is and how it is to be written to */
static void find_kind(void)
{
	struct stat st;
	if (own_fd >= 0)
		close(own_fd);
	own_fd = -1;
	kind = KIND_FILE;
	piece_max = LOG_BUFFER;
	if (fstat(out_fd, &st) || S_ISREG(st.st_mode))
		return;
	piece_max = PIPE_BUF;
	if (S_ISSOCK(st.st_mode)) {
		int type = SOCK_STREAM;
		socklen_t len = sizeof(type);
		kind = KIND_SOCKET;
		if (!getsockopt(out_fd, SOL_SOCKET, SO_TYPE, &type, &len) && type != SOCK_STREAM)
			piece_max = LOG_PACKET_MAX;
		return;
	}
	own_fd = open_anew(out_fd);
	kind = own_fd >= 0 ? KIND_NONBLOCK : KIND_POLL;
}

/* log_open - log to a descriptor from now on */
void log_open(int fd, enum log_target to, const char *name, unsigned instance)
{
	pthread_mutex_lock(&lock);
	out_fd = fd;
	target = to;
	if (instance)
		snprintf(who, sizeof(who), "%s/%u", name, instance);
	else
		snprintf(who, sizeof(who), "%s", name);
	tzset();
	find_kind();
	pthread_mutex_unlock(&lock);
}

static const char *const target_names[] = {
    [LOG_TO_STDERR] = "stderr", [LOG_TO_SYSLOG] = "syslog", [LOG_TO_JOURNAL] = "journal"};

/* log_target_name - for a child's environment */
const char *log_target_name(enum log_target of)
{
	return target_names[of];
}

/* log_target_named - out of it */
enum log_target log_target_named(const char *name)
{
	for (unsigned i = 0; name && i < sizeof(target_names) / sizeof(target_names[0]); i++)
		if (strcmp(target_names[i], name) == 0)
			return (enum log_target)i;
	return LOG_TO_STDERR;
}

/* log_journal - the same file as JOURNAL_STREAM names, by device and inode */
bool log_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;
	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(fd, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}

/* write_piece - one write that doesn't wait; -1 with errno */
static ssize_t write_piece(const char *p, size_t n)
{
	struct pollfd pfd = {.fd = out_fd, .events = POLLOUT};
	switch (kind) {
	case KIND_SOCKET:
		return send(out_fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	case KIND_NONBLOCK:
		return write(own_fd, p, n);
	case KIND_POLL:
		if (poll(&pfd, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		return write(out_fd, p, n);
	default:
		return write(out_fd, p, n);
	}
}

/* piece - how much of what waits to write next: whole lines, or part of one that is too long */
static size_t piece(void)
{
	size_t n = tail - head;
	if (n <= piece_max)
		return n;
	const char *nl = memrchr(buffer + head, '\n', piece_max);
	return nl ? (size_t)(nl + 1 - (buffer + head)) : piece_max;
}

/* drop_all - give up what waits, which can't be written */
static void drop_all(void)
{
	for (size_t i = head; i < tail; i++)
		lost += buffer[i] == '\n';
	head = tail = 0;
}

/* flush - write what waits; true when nothing is left */
static bool flush(void)
{
	if (kind == KIND_UNKNOWN)
		find_kind();
	while (head < tail) {
		ssize_t n = write_piece(buffer + head, piece());
		if (n >= 0) {
			head += (size_t)n;
		} else if (errno == EAGAIN || errno == ENOBUFS) {
			return false;
		} else if (errno != EINTR) {
			drop_all();
			return true;
		}
	}
	head = tail = 0;
	return true;
}

/* log_flush - write what was gathered */
bool log_flush(void)
{
	int saved = errno;
	uint64_t lines = 0;
	pthread_mutex_lock(&lock);
	bool all = true;
	if (head < tail) {
		uint64_t before = lost;
		all = flush();
		if (all && lost == before) {
			lines = lost;
			lost = 0;
		}
	}
	pthread_mutex_unlock(&lock);
	if (lines) {
		log_lost(lines);
		pthread_mutex_lock(&lock);
		all = flush();
		if (lost) /* this line too: say the old number next time */
			lost += lines - 1;
		pthread_mutex_unlock(&lock);
	}
	errno = saved;
	return all;
}

/* log_flush_last - flush before the process ends */
void log_flush_last(void)
{
	int64_t until = clock_ms() + LOG_FATAL_WAIT_MS;
	while (!log_flush()) {
		struct pollfd pfd = {.fd = out_fd, .events = POLLOUT};
		int64_t wait = until - clock_ms();
		if (wait <= 0 || poll(&pfd, 1, (int)wait) == 0)
			return;
	}
}

/* log_line_begin - room for one line, with the lock held */
char *log_line_begin(void)
{
	int saved = errno;
	pthread_mutex_lock(&lock);
	if (sizeof(buffer) - tail < LOG_LINE_MAX && flush() == false && head > 0) {
		memmove(buffer, buffer + head, tail - head);
		tail -= head;
		head = 0;
	}
	errno = saved;
	if (sizeof(buffer) - tail >= LOG_LINE_MAX)
		return buffer + tail;
	lost++;
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* log_line_end - the line is whole */
void log_line_end(const char *end)
{
	tail = (size_t)(end - buffer);
	pthread_mutex_unlock(&lock);
}

/* time_prefix - the time as in RFC 3339; the part that stays for a second is kept */
static size_t time_prefix(char *out, size_t size)
{
	static time_t second = -1;
	static char day[32], zone[8];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != second) {
		struct tm tm;
		char z[8];
		second = now.tv_sec;
		localtime_r(&second, &tm);
		strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S.", &tm);
		strftime(z, sizeof(z), "%z", &tm); /* +0100, where RFC 3339 wants +01:00 */
		snprintf(zone, sizeof(zone), "%.3s:%.2s", z, z + 3);
	}
	unsigned ms = (unsigned)(now.tv_nsec / 1000000);
	size_t n = strlen(day), zone_len = strlen(zone);
	if (n + 3 + zone_len > size)
		return 0;
	memcpy(out, day, n);
	out[n++] = (char)('0' + ms / 100);
	out[n++] = (char)('0' + ms / 10 % 10);
	out[n++] = (char)('0' + ms % 10);
	memcpy(out + n, zone, zone_len);
	return n + zone_len;
}

/* append - C text behind what stands in a buffer */
static size_t append(char *buf, size_t size, size_t at, const char *s)
{
	size_t n = strlen(s);
	if (at + n > size)
		return at;
	memcpy(buf + at, s, n);
	return at + n;
}

/* log_line_prefix - what stands in front of a line */
size_t log_line_prefix(char *out, size_t size, int level, bool json)
{
	size_t n = 0;
	if (target == LOG_TO_JOURNAL) {
		char text[] = {'<', (char)('0' + LOG_PRI(level)), '>', '\0'};
		n = append(out, size, n, text);
	} else if (target == LOG_TO_SYSLOG) {
		unsigned pri = LOG_MAIL | (unsigned)LOG_PRI(level); /* 16 to 23: two digits */
		char text[] = {'<', (char)('0' + pri / 10), (char)('0' + pri % 10), '>', '\0'};
		n = append(out, size, n, text);
	}
	n = append(out, size, n, json ? "{" : "");
	if (target == LOG_TO_STDERR) {
		n = append(out, size, n, json ? "\"time\":\"" : "");
		n += time_prefix(out + n, size - n);
		n = append(out, size, n, json ? "\"," : " ");
	}
	n = append(out, size, n, json ? "\"role\":\"" : "");
	n = append(out, size, n, who);
	return append(out, size, n, json ? "\"," : " ");
}
