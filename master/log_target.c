/* SPDX-License-Identifier: ISC */
/*
 * Children write whole lines, many in a packet, each "<priority>who ...". A line becomes a datagram
 * of RFC 3164's form. /dev/log takes it or not, nothing waits: what it doesn't take goes to stderr,
 * so that an instance whose syslog is down isn't mute.
 */
#include "master/log_target.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/loop.h"
#include "master/spawn.h"

#define SYSLOG_PATH "/dev/log"
enum { PACKETS_A_TURN = 64, LINE_ROOM = LOG_LINE_MAX + 128, SOCKET_BUFFER = 1 << 20 };

static int syslog_fd = -1;
static int feed = -1; /* what our processes write comes out here */
static struct event *feed_event;

/* connect_syslog - to whoever listens there now */
static int connect_syslog(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = SYSLOG_PATH};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* try_send - one datagram; false when it wasn't taken */
static bool try_send(const char *text, size_t len)
{
	if (syslog_fd >= 0 && send(syslog_fd, text, len, MSG_NOSIGNAL) >= 0)
		return true;
	if (syslog_fd >= 0 && (errno == EAGAIN || errno == ENOBUFS))
		return false;
	if (syslog_fd >= 0)
		close(syslog_fd);
	syslog_fd = connect_syslog();
	return syslog_fd >= 0 && send(syslog_fd, text, len, MSG_NOSIGNAL) >= 0;
}

/* send_line - "<priority>who ..." as syslog wants it */
static void send_line(const char *line, size_t len)
{
	static char out[LINE_ROOM];
	char when[32];
	time_t now = time(NULL);
	struct tm tm;
	const char *end = memchr(line, '>', len < 5 ? len : 5);
	size_t pri = end ? (size_t)(end - line) + 1 : 0;
	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm);
	int n = snprintf(out, sizeof(out), "%.*s%s baton[%ld]: %.*s", (int)pri, line, when,
	    (long)getpid(), (int)(len - pri), line + pri);
	if (n <= 0)
		return;
	size_t size = (size_t)n < sizeof(out) ? (size_t)n : sizeof(out) - 1;
	if (!try_send(out, size))
		dprintf(STDERR_FILENO, "%.*s\n", (int)(len - pri), line + pri);
}

/* hand_on - a few packets of lines; false when none is left */
static bool hand_on(void)
{
	static char packet[LOG_PACKET_MAX];
	for (int i = 0; i < PACKETS_A_TURN; i++) {
		ssize_t n = recv(feed, packet, sizeof(packet), MSG_DONTWAIT);
		if (n <= 0)
			return false;
		for (char *p = packet, *end = packet + n; p < end;) {
			char *nl = memchr(p, '\n', (size_t)(end - p));
			size_t len = (size_t)((nl ? nl : end) - p);
			if (len > 0)
				send_line(p, len);
			p += len + 1;
		}
	}
	return true;
}

/* on_feed - lines have come */
static void on_feed(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	hand_on();
}

/* start_syslog - true when there is one */
static bool start_syslog(void)
{
	int pair[2], size = SOCKET_BUFFER;
	syslog_fd = connect_syslog();
	if (syslog_fd < 0)
		return false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return false;
	feed = pair[0];
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	feed_event = event_new(loop_base(), feed, EV_READ | EV_PERSIST, on_feed, NULL);
	int own = spawn_high_fd(pair[1]);
	if (own < 0 || !feed_event || event_add(feed_event, NULL) != 0)
		log_fatal("cannot log to syslog");
	log_open(own, LOG_TO_SYSLOG, "master", 0);
	spawn_set_log(dup(own), LOG_TO_SYSLOG);
	return true;
}

/* log_target_apply - level and form */
void log_target_apply(const struct conf *conf)
{
	static const int levels[] = {[CONF_LOG_ERROR] = LOG_ERROR,
	    [CONF_LOG_WARN] = LOG_WARN,
	    [CONF_LOG_INFO] = LOG_INFO,
	    [CONF_LOG_DEBUG] = LOG_DEBUG};
	log_set(conf->log_format == CONF_LOG_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT,
	    levels[conf->log_level]);
}

/* log_target_start - as configured, else stderr */
void log_target_start(const struct conf *conf)
{
	log_target_apply(conf);
	if (conf->log == CONF_LOG_SYSLOG && start_syslog())
		return;
	enum log_target target = log_journal(STDERR_FILENO) ? LOG_TO_JOURNAL : LOG_TO_STDERR;
	log_open(STDERR_FILENO, target, "master", 0);
	spawn_set_log(STDERR_FILENO, target);
	if (conf->log == CONF_LOG_SYSLOG)
		log_info("no %s: the log goes to stderr", SYSLOG_PATH);
}

/* log_target_drain - the last lines */
void log_target_drain(void)
{
	log_flush();
	while (feed >= 0 && hand_on())
		;
}
