/* SPDX-License-Identifier: ISC */
#include "cli/fast.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/json.h"

static struct {
	char buf[FAST_BUFFER];
	size_t len;
	int err; /* once set, nothing is written any more */
} fast;

/* fast_flush - all of the buffer */
int fast_flush(void)
{
	for (size_t done = 0; !fast.err && done < fast.len;) {
		ssize_t n = write(STDOUT_FILENO, fast.buf + done, fast.len - done);
		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			fast.err = -errno;
	}
	fast.len = 0;
	return fast.err;
}

/* room - at least n bytes, n being far less than the buffer */
static char *room(size_t n)
{
	if (FAST_BUFFER - fast.len < n)
		fast_flush();
	return fast.buf + fast.len;
}

/* fast_bytes - as they are */
void fast_bytes(const char *data, size_t len)
{
	while (len > 0) {
		size_t n = len < FAST_BUFFER / 2 ? len : FAST_BUFFER / 2;
		memcpy(room(n), data, n);
		fast.len += n;
		data += n;
		len -= n;
	}
}

/* fast_text - a C string */
void fast_text(const char *text)
{
	fast_bytes(text, strlen(text));
}

/* fast_char - one byte */
void fast_char(char c)
{
	*room(1) = c;
	fast.len++;
}

/* fast_u64 - decimal */
void fast_u64(uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);
	do
		digits[--i] = (char)('0' + n % 10);
	while (n /= 10);
	fast_bytes(digits + i, sizeof(digits) - i);
}

/* fast_seconds - 12.345 */
void fast_seconds(uint64_t ms)
{
	unsigned rest = (unsigned)(ms % 1000);
	const char decimals[4] = {
	    '.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10), (char)('0' + rest % 10)};
	fast_u64(ms / 1000);
	fast_bytes(decimals, sizeof(decimals));
}

/* fast_json - piece by piece where it doesn't fit at once */
void fast_json(struct msg_bytes text)
{
	fast_char('"');
	for (size_t at = 0, done; at < text.len; at += done) {
		char *to = room(512);
		fast.len += json_escape(to, 512, text.data + at, text.len - at, &done);
	}
	fast_char('"');
}

/* fast_clean - for terminals */
void fast_clean(struct msg_bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		fast_char(c < 0x20 || c == 0x7f ? '?' : (char)c);
	}
}
