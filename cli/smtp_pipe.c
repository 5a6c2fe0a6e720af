/* SPDX-License-Identifier: ISC */
#include "cli/smtp_pipe.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/handover.h"

#define CHUNK 65536

/* write_all - 0 or -E... */
static int write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

/* copy - what can be read now; 1 it goes on, 0 at the end, -E... */
static int copy(int from, int to)
{
	static char bytes[CHUNK];
	ssize_t n = read(from, bytes, sizeof(bytes));

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	if (n == 0)
		return 0;
	int r = write_all(to, bytes, (size_t)n);
	return r ? r : 1;
}

/* smtp_pipe - both ways until smtpd closes */
int smtp_pipe(const struct conf *conf)
{
	int fd = submit_dial(conf->runtime);

	if (fd < 0) {
		printf("421 4.3.2 %s: %s\r\n", conf->hostname, strerror(-fd));
		fflush(stdout);
		return EX_TEMPFAIL;
	}
	struct pollfd fds[] = {
	    {.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return EX_OSERR;
		if (fds[0].revents) {
			int r = copy(fd, STDOUT_FILENO);

			if (r <= 0)
				return r == 0 ? EX_OK : EX_IOERR;
		}
		if (fds[1].revents && copy(STDIN_FILENO, fd) <= 0) {
			/* its last answers still come */
			shutdown(fd, SHUT_WR);
			fds[1].fd = -1;
			fds[1].revents = 0;
		}
	}
}

/* smtp_verify - RCPT for each */
int smtp_verify(const struct conf *conf, const struct letter *l)
{
	struct submit s = {0};
	const struct rcpt *r;
	enum smtp_verdict worst = submit_open(&s, conf->runtime, conf->hostname);

	if (worst == SMTP_OK)
		worst = submit_mail(&s, l->sender, "");
	if (worst != SMTP_OK)
		return handover_fail(handover_code(worst), "nobody can tell now", s.reply);
	DL_FOREACH (l->rcpts, r) {
		enum smtp_verdict v = submit_rcpt(&s, r->address, "");

		printf("%s: %s\n", r->address, s.reply);
		worst = v > worst ? v : worst;
	}
	submit_close(&s);
	return handover_code(worst);
}
