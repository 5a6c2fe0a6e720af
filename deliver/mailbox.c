/* SPDX-License-Identifier: ISC */
/*
 * What both kinds of mailbox share: where it is, how the message is copied, how failures are
 * called. The copy is one pass over blocks of 64 KiB. Two things may straddle a block's end, a CR
 * whose LF is in the next one and the first bytes of a line that may become "From ": such a tail
 * is carried over to the next block.
 *
 * Failures of the host (full disk, wrong permissions, a read-only file system) are temporary: an
 * administrator's slip must not bounce mail.
 */
#include "deliver/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"

#define COPY_BLOCK 65536
#define COPY_CARRY 8 /* at most "From" and a CR */

struct copy {
	int fd;
	bool quote, line_start;
	size_t out_len;
	char out[COPY_BLOCK];
	int error;
};

/* mailbox_say - set the result */
void mailbox_say(struct mailbox_result *res, unsigned code, const char *status, int exit_code,
    const char *fmt, ...)
{
	va_list args;
	res->code = code;
	snprintf(res->status, sizeof(res->status), "%s", status);
	res->exit_code = exit_code;
	va_start(args, fmt);
	vsnprintf(res->text, sizeof(res->text), fmt, args);
	va_end(args);
	/* One line: a path with a line end in it must not make a second one. */
	for (char *p = res->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
}

/* mailbox_say_errno - set the result after a failed system call */
void mailbox_say_errno(struct mailbox_result *res, int error, const char *what)
{
	const char *why = strerror(abs(error));
	switch (abs(error)) {
	case EDQUOT:
	case EFBIG:
		mailbox_say(res, 452, "4.2.2", EX_TEMPFAIL, "%s: %s", what, why);
		break;
	case ENOSPC:
		mailbox_say(res, 452, "4.3.1", EX_TEMPFAIL, "%s: %s", what, why);
		break;
	case EBADMSG:
		mailbox_say(res, 451, "4.3.0", EX_DATAERR, "the message did not arrive whole");
		break;
	default:
		mailbox_say(res, 451, "4.2.0", EX_TEMPFAIL, "%s: %s", what, why);
		break;
	}
}

/* mailbox_expand - the mailbox's path for this user */
int mailbox_expand(const char *mailbox, const char *user, const char *home, char out[PATH_MAX])
{
	size_t len = 0;
	if (!user[0] || user[0] == '.' || strchr(user, '/'))
		return -EINVAL;
	if (mailbox[0] == '~' && mailbox[1] == '/') {
		len = strlen(home);
		if (len >= PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(out, home, len);
		mailbox++;
	}
	for (const char *p = mailbox; *p; p++) {
		const char *add = p;
		size_t n = 1;
		if (*p == '%' && *++p == 'u') {
			add = user;
			n = strlen(user);
		} else if (*add == '%' && *p != '%') {
			return -EINVAL;
		}
		if (n >= PATH_MAX - len)
			return -ENAMETOOLONG;
		memcpy(out + len, add, n);
		len += n;
	}
	out[len] = '\0';
	return out[0] == '/' ? 0 : -EINVAL;
}

/* mailbox_write - write all of it */
int mailbox_write(int fd, const void *data, size_t len)
{
	const char *p = data;
	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* mailbox_sync_folder - make a new name in a folder survive a crash */
int mailbox_sync_folder(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	int fd, rc = 0;
	if (len >= sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, path, len);
	folder[len] = '\0';
	fd = open(len ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* put - append to the output block, writing it when full */
static void put(struct copy *c, const char *data, size_t len)
{
	while (len && !c->error) {
		size_t room = sizeof(c->out) - c->out_len;
		size_t n = len < room ? len : room;
		memcpy(c->out + c->out_len, data, n);
		c->out_len += n;
		data += n;
		len -= n;
		if (c->out_len == sizeof(c->out)) {
			c->error = mailbox_write(c->fd, c->out, c->out_len);
			c->out_len = 0;
		}
	}
}

/*
 * convert - one block: CRLF becomes LF, "From " at a line's start is quoted. Returns how many
 * bytes at the end were left for the next block; none when `last`.
 */
static size_t convert(struct copy *c, const char *data, size_t len, bool last)
{
	const char *p = data, *end = data + len;
	while (p < end) {
		size_t left = (size_t)(end - p);
		if (c->quote && c->line_start && *p == 'F') {
			size_t n = left < 5 ? left : 5;
			if (n < 5 && !last && !memcmp(p, "From ", n))
				return left;
			if (n == 5 && !memcmp(p, "From ", 5))
				put(c, ">", 1);
		}
		const char *nl = memchr(p, '\n', left);
		if (nl) {
			size_t n = (size_t)(nl - p);
			put(c, p, n && nl[-1] == '\r' ? n - 1 : n);
			put(c, "\n", 1);
			c->line_start = true;
			p = nl + 1;
			continue;
		}
		size_t keep = end[-1] == '\r' && !last ? 1 : 0;
		put(c, p, left - keep);
		c->line_start = c->line_start && left == keep;
		return keep;
	}
	return 0;
}

/* copy_body - the content to its end */
static int copy_body(struct copy *c, struct content *content)
{
	char in[COPY_CARRY + COPY_BLOCK];
	size_t carry = 0;
	for (;;) {
		ssize_t n = content_read(content, in + carry, COPY_BLOCK);
		if (n < 0)
			return (int)n;
		size_t len = carry + (size_t)n;
		carry = convert(c, in, len, !n);
		if (c->error || !n)
			return c->error;
		memmove(in, in + len - carry, carry);
	}
}

/* put_path - an address in a header line; what would end the line is left out */
static void put_path(struct copy *c, const char *path)
{
	for (; *path; path++)
		if ((unsigned char)*path >= ' ' && *path != 127)
			put(c, path, 1);
}

/* mailbox_copy - header lines of the delivery, then the message */
int mailbox_copy(const struct mailbox_request *req, int fd, bool quote)
{
	struct copy *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct copy){.fd = fd, .quote = quote, .line_start = true};
	put(c, "Return-Path: <", 14);
	put_path(c, req->sender);
	put(c, ">\nDelivered-To: ", 16);
	put_path(c, req->recipient);
	put(c, "\n", 1);
	int rc = copy_body(c, req->in);
	if (!rc)
		rc = mailbox_write(fd, c->out, c->out_len);
	free(c);
	return rc;
}

/* mailbox_from - readers take the line apart at its spaces */
int mailbox_from(const struct mailbox_request *req, char out[MAILBOX_FROM_MAX])
{
	char date[32];
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;
	if (!localtime_r(&now, &tm) || !strftime(date, sizeof(date), "%a %b %e %T %Y", &tm))
		return -EINVAL;
	int n = snprintf(out, MAILBOX_FROM_MAX, "From %s %s\n",
	    req->sender[0] ? req->sender : "MAILER-DAEMON", date);
	if (n < 0 || n >= MAILBOX_FROM_MAX)
		return -ENAMETOOLONG;
	for (size_t i = 5; i < (size_t)n - strlen(date) - 2; i++)
		if ((unsigned char)out[i] <= ' ' || out[i] == 127)
			out[i] = '-';
	return n;
}

/* mailbox_begin - the header, and whether the message has been here */
bool mailbox_begin(struct mailbox_request *req, struct content *content, struct mailbox_result *res)
{
	int rc = content_open(content, req->content);
	req->in = content;
	if (rc < 0) {
		mailbox_say_errno(res, rc, "message");
		return false;
	}
	if (content_was_at(content, req->recipient)) {
		mailbox_say(res, 554, "5.4.6", EX_DATAERR,
		    "mail loop: the message was delivered to %s before", req->recipient);
		return false;
	}
	return true;
}

/* mailbox_into - by kind */
void mailbox_into(const struct mailbox_request *req, const char *path, struct mailbox_result *res)
{
	if (req->kind == LOCAL_MAILDIR)
		mailbox_maildir(req, path, res);
	else
		mailbox_mbox(req, path, res);
}

/* mailbox_deliver - the mailbox of the configuration */
void mailbox_deliver(const struct mailbox_request *req, struct mailbox_result *res)
{
	char path[PATH_MAX];
	int rc = mailbox_expand(req->mailbox, req->user, req->home, path);
	if (rc < 0)
		mailbox_say(res, 451, "4.3.5", EX_CANTCREAT, "the mailbox \"%s\" makes no path: %s",
		    req->mailbox, strerror(-rc));
	else
		mailbox_into(req, path, res);
}
