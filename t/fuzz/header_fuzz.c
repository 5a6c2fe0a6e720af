/* SPDX-License-Identifier: ISC */
/*
 * The header section of any body: what is found lies in it and holds no control character where it
 * goes into an envelope or a log, and the lines that are added are whole lines and fit.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf.h"
#include "smtpd/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - what has to hold */
static void must(bool ok)
{
	if (!ok)
		abort();
}

/* whole_lines - only CRLF ends a line, and the last one is ended */
static void whole_lines(const char *p, size_t n)
{
	must(n == 0 || (n > 2 && p[n - 1] == '\n'));
	for (size_t i = 0; i < n; i++)
		must(p[i] != '\n' || (i > 0 && p[i - 1] == '\r'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf *conf;
	struct msg_bytes noted[HEADERS_NOTED];
	struct headers_seen seen;
	char lines[HEADERS_MAX], id[HEADERS_ID_MAX], *copy;

	if (!conf)
		conf = conf_default();
	copy = malloc(size + 1); /* of exactly this size, for the sanitizer */
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	headers_scan(copy, size, &seen);
	must(!seen.id || (seen.id >= copy && seen.id + seen.id_len <= copy + size));
	size_t n = headers_note(copy, size, conf, noted);
	must(n <= HEADERS_NOTED);
	for (size_t i = 0; i < n; i++) {
		must(noted[i].data >= copy && noted[i].data + noted[i].len <= copy + size);
		must(noted[i].len <= HEADERS_NOTED_LEN);
		for (size_t k = 0; k < noted[i].len; k++)
			must((unsigned char)noted[i].data[k] >= ' ' || noted[i].data[k] == '\t');
	}
	headers_make_id(id, sizeof(id), "mx.test");
	whole_lines(
	    lines, headers_missing(lines, sizeof(lines) / 2, &seen, id, "a@b.test", "mx.test"));
	free(copy);
	return 0;
}
