/* SPDX-License-Identifier: ISC */
/*
 * Chunks of any content and any cut: a message is taken exactly if its line ends are whole (or
 * mended), every chunk has its reply, and what follows the last one is a command again. The first
 * byte says whether the listener mends, the second how many chunks there are, the next ones how
 * long each is.
 */
#include <stdio.h>

#include "smtpd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - what has to hold */
static void must(bool ok)
{
	if (!ok)
		abort();
}

/* whole_lines - is every CR and LF part of a CRLF? */
static bool whole_lines(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n')
			return false;
		if (p[i] != '\r')
			continue;
		if (++i == n || p[i] != '\n')
			return false;
	}
	return true;
}

/* reply - the next line of the replies */
static const char *reply(char **heard)
{
	char *line = *heard, *end = strstr(line, "\r\n");
	must(end != NULL);
	*end = '\0';
	*heard = end + 2;
	return line;
}

/* chunk - one, with its announcement */
static void chunk(struct session *s, const uint8_t *p, size_t n, bool last)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "BDAT %zu%s\r\n", n, last ? " LAST" : "");
	feed(s, (uint8_t *)line, (size_t)len);
	feed(s, p, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char start[] = "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\n";
	static const char after[] = "NOOP\r\n";
	static char heard[HEARD];
	char *at = heard;

	if (!conf)
		begin();
	if (size < 10 || size > 90000)
		return 0;
	unsigned chunks = 1 + data[1] % 8;
	bool mends = data[0] & 1, broken = false;
	const uint8_t *body = data + 10, *end = data + size;
	bool good = mends || whole_lines(body, size - 10);
	struct session *s = meet(mends);
	feed(s, (const uint8_t *)start, sizeof(start) - 1);
	for (unsigned i = 0; i < chunks; i++) {
		size_t left = (size_t)(end - body), n = data[2 + i];
		if (n > left || i + 1 == chunks)
			n = left;
		chunk(s, body, n, i + 1 == chunks);
		body += n;
	}
	feed(s, (const uint8_t *)after, sizeof(after) - 1);
	must(s->state == SMTP_READY);
	part(s);
	heard_now(heard);
	for (int i = 0; i < 3; i++)
		must(reply(&at)[0] == '2');
	for (unsigned i = 0; i < chunks; i++) {
		const char *line = reply(&at);
		if (broken) {
			must(strncmp(line, "503 5.5.1", 9) == 0);
			continue;
		}
		broken = line[0] != '2';
		must(!broken || (!good && strncmp(line, "554 5.6.0", 9) == 0));
		if (i + 1 == chunks)
			must(good ? strstr(line, "queued as") != NULL : broken);
	}
	must(strcmp(reply(&at), "250 2.0.0 Ok") == 0 && !*at);
	return 0;
}
