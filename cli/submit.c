/* SPDX-License-Identifier: ISC */
#include "cli/submit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* verdict - what a reply's code means; the class 5.1 is about an address */
static enum smtp_verdict verdict(const struct submit *s)
{
	if (s->code >= 200 && s->code < 400)
		return SMTP_OK;
	if (s->code < 500)
		return SMTP_TEMPORARY;
	return strncmp(s->reply + 4, "5.1.", 4) == 0 ? SMTP_NO_USER : SMTP_REFUSED;
}

/* read_reply - up to its last line (RFC 5321 §4.2.1) */
static enum smtp_verdict read_reply(struct submit *s)
{
	do {
		if (!fgets(s->reply, sizeof(s->reply), s->in)) {
			snprintf(s->reply, sizeof(s->reply), "421 smtpd closed the connection");
			s->code = 0;
			return SMTP_TEMPORARY;
		}
	} while (strlen(s->reply) > 3 && s->reply[3] == '-');
	s->reply[strcspn(s->reply, "\r\n")] = '\0';
	s->code = atoi(s->reply);
	return verdict(s);
}

/* command - one line out, one reply in */
static enum smtp_verdict command(
    struct submit *s, const char *verb, const char *arg, const char *tail, const char *params)
{
	fprintf(s->out, "%s%s%s%s\r\n", verb, arg, tail, params);
	if (fflush(s->out)) {
		/* The reason may stand in a reply that came before the connection broke. */
		return read_reply(s);
	}
	return read_reply(s);
}

/* submit_dial - the socket */
int submit_dial(const char *runtime)
{
	const struct timeval wait = {.tv_sec = SUBMIT_WAIT_S};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", runtime, SUBMIT_SOCKET);
	int fd;

	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

/* open_streams - one to read, one to write; 0 or -E... */
static int open_streams(struct submit *s, const char *runtime)
{
	int fd = submit_dial(runtime), fd2 = fd < 0 ? -1 : dup(fd);

	if (fd < 0)
		return fd;
	s->in = fdopen(fd, "r");
	s->out = fd2 < 0 ? NULL : fdopen(fd2, "w");
	return s->in && s->out ? 0 : -ENOMEM;
}

/* submit_open - to the answer to EHLO */
enum smtp_verdict submit_open(struct submit *s, const char *runtime, const char *helo)
{
	enum smtp_verdict v;
	int r;

	*s = (struct submit){0};
	r = open_streams(s, runtime);
	if (r) {
		snprintf(
		    s->reply, sizeof(s->reply), "%s/%s: %s", runtime, SUBMIT_SOCKET, strerror(-r));
		return SMTP_TEMPORARY;
	}
	v = read_reply(s);
	return v == SMTP_OK ? command(s, "EHLO ", helo, "", "") : v;
}

/* submit_mail - the sender */
enum smtp_verdict submit_mail(struct submit *s, const char *sender, const char *params)
{
	return command(s, "MAIL FROM:<", sender, ">", params);
}

/* submit_rcpt - one recipient */
enum smtp_verdict submit_rcpt(struct submit *s, const char *recipient, const char *params)
{
	return command(s, "RCPT TO:<", recipient, ">", params);
}

/* submit_data - leave to send the message */
enum smtp_verdict submit_data(struct submit *s)
{
	return command(s, "DATA", "", "", "");
}

/* submit_end - the mark, and the answer that makes it safe */
enum smtp_verdict submit_end(struct submit *s)
{
	return command(s, ".", "", "", "");
}

/* submit_close - politely; nobody waits for the answer */
void submit_close(struct submit *s)
{
	if (s->out) {
		fputs("QUIT\r\n", s->out);
		fclose(s->out);
	}
	if (s->in)
		fclose(s->in);
	*s = (struct submit){0};
}
