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
static enum submit_verdict verdict(const struct submit *s)
{
	if (s->code >= 200 && s->code < 400)
		return SUBMIT_OK;
	if (s->code < 500)
		return SUBMIT_TEMPORARY;
	return strncmp(s->reply + 4, "5.1.", 4) == 0 ? SUBMIT_NO_USER : SUBMIT_REFUSED;
}

/* read_reply - up to its last line (RFC 5321 §4.2.1) */
static enum submit_verdict read_reply(struct submit *s)
{
	do {
		if (!fgets(s->reply, sizeof(s->reply), s->in)) {
			snprintf(s->reply, sizeof(s->reply), "421 smtpd closed the connection");
			s->code = 0;
			return SUBMIT_TEMPORARY;
		}
	} while (strlen(s->reply) > 3 && s->reply[3] == '-');
	s->reply[strcspn(s->reply, "\r\n")] = '\0';
	s->code = atoi(s->reply);
	return verdict(s);
}

/* command - one line out, one reply in */
static enum submit_verdict command(
    struct submit *s, const char *verb, const char *arg, const char *tail, const char *params)
{
	fprintf(s->out, "%s%s%s%s\r\n", verb, arg, tail, params);
	if (fflush(s->out)) {
		/* The reason may stand in a reply that came before the connection broke. */
		return read_reply(s);
	}
	return read_reply(s);
}

/* dial - the socket, as two streams */
static int dial(struct submit *s, const char *runtime)
{
	const struct timeval wait = {.tv_sec = SUBMIT_WAIT_S};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", runtime, SUBMIT_SOCKET);
	int fd, fd2;

	if (n < 0 || (size_t)n >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) || (fd2 = dup(fd)) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	s->in = fdopen(fd, "r");
	s->out = fdopen(fd2, "w");
	return s->in && s->out ? 0 : -1;
}

/* submit_open - to the answer to EHLO */
enum submit_verdict submit_open(struct submit *s, const char *runtime, const char *helo)
{
	enum submit_verdict v;

	*s = (struct submit){0};
	if (dial(s, runtime)) {
		snprintf(s->reply, sizeof(s->reply), "%s/%s: %s", runtime, SUBMIT_SOCKET,
		    strerror(errno));
		return SUBMIT_TEMPORARY;
	}
	v = read_reply(s);
	return v == SUBMIT_OK ? command(s, "EHLO ", helo, "", "") : v;
}

/* submit_mail - what the body is isn't known yet: 8BITMIME allows both */
enum submit_verdict submit_mail(struct submit *s, const char *sender, const char *params)
{
	return command(s, "MAIL FROM:<", sender, "> BODY=8BITMIME", params);
}

/* submit_rcpt - one recipient */
enum submit_verdict submit_rcpt(struct submit *s, const char *recipient, const char *params)
{
	return command(s, "RCPT TO:<", recipient, ">", params);
}

/* submit_data - leave to send the message */
enum submit_verdict submit_data(struct submit *s)
{
	return command(s, "DATA", "", "", "");
}

/* submit_end - the mark, and the answer that makes it safe */
enum submit_verdict submit_end(struct submit *s)
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
