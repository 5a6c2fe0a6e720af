/* SPDX-License-Identifier: ISC */
/* What was read ahead is given out first. */
#include "deliver/content.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/local.h"

#define DELIVERED_TO "Delivered-To:"

/* read_some - one read; bytes, 0 at the end, -errno */
static ssize_t read_some(int fd, void *buf, size_t size)
{
	ssize_t n;
	do {
		n = read(fd, buf, size);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* read_length - the promise before the content */
static int read_length(int fd, uint64_t *length)
{
	unsigned char raw[LOCAL_LENGTH_BYTES];
	size_t have = 0;
	while (have < sizeof(raw)) {
		ssize_t n = read_some(fd, raw + have, sizeof(raw) - have);
		if (n <= 0)
			return n < 0 ? (int)n : -EBADMSG;
		have += (size_t)n;
	}
	memcpy(length, raw, sizeof(*length));
	*length = be64toh(*length);
	return 0;
}

/* has_header - whether an empty line has come */
static bool has_header(const struct content *c)
{
	return memmem(c->head, c->head_len, "\r\n\r\n", 4) ||
	       (c->head_len >= 2 && !memcmp(c->head, "\r\n", 2));
}

/* content_open - the promise, then as much as the header needs */
int content_open(struct content *c, int fd)
{
	*c = (struct content){.fd = fd};
	int rc = read_length(fd, &c->length);
	while (!rc && c->head_len < sizeof(c->head) && !has_header(c)) {
		ssize_t n = read_some(fd, c->head + c->head_len, sizeof(c->head) - c->head_len);
		if (n <= 0)
			return (int)n;
		c->head_len += (size_t)n;
	}
	return rc;
}

/* content_read - the promise is checked as far as can be told */
ssize_t content_read(struct content *c, void *buf, size_t size)
{
	ssize_t n;
	if (c->head_used < c->head_len) {
		size_t left = c->head_len - c->head_used;
		n = (ssize_t)(left < size ? left : size);
		memcpy(buf, c->head + c->head_used, (size_t)n);
		c->head_used += (size_t)n;
	} else {
		n = read_some(c->fd, buf, size);
	}
	if (n < 0)
		return n;
	c->got += (uint64_t)n;
	if (c->got > c->length || (!n && c->got < c->length))
		return -EBADMSG;
	return n;
}

/* is_field - whether a line is a Delivered-To of that address */
static bool is_field(const char *line, size_t len, const char *address)
{
	const size_t name = sizeof(DELIVERED_TO) - 1;
	if (len < name || strncasecmp(line, DELIVERED_TO, name))
		return false;
	line += name, len -= name;
	while (len && (*line == ' ' || *line == '\t'))
		line++, len--;
	while (len && strchr(" \t\r", line[len - 1]))
		len--;
	return len == strlen(address) && !strncasecmp(line, address, len);
}

/* content_was_at - line by line */
bool content_was_at(const struct content *c, const char *address)
{
	const char *p = c->head, *end = c->head + c->head_len;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = nl ? (size_t)(nl - p) : (size_t)(end - p);
		if (!nl || len == 0 || (len == 1 && *p == '\r'))
			return false;
		if (is_field(p, len, address))
			return true;
		p = nl + 1;
	}
	return false;
}
