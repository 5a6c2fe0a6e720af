/* SPDX-License-Identifier: ISC */
/*
 * A file of the drop folder as its owner could have written it: refused, or an envelope none of
 * whose words ends a line of SMTP; and a message that is stored form without an end mark.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/drop.h"
#include "cli/stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* check_line - no end of line inside */
static void check_line(const char *text)
{
	if (strpbrk(text, "\r\n"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct letter l = {0};
	struct rcpt *r;
	char *text = NULL;
	size_t len;
	off_t body;
	FILE *file = fdopen(memfd_create("drop", 0), "w+");
	FILE *out = open_memstream(&text, &len);

	if (!file || !out)
		abort();
	fprintf(file, "baton-drop 1 %020zu\n", size + 34);
	fwrite(data, 1, size, file);
	rewind(file);
	if (drop_read(file, &l, &body) == 0) {
		check_line(l.sender);
		check_line(l.mail_params);
		check_line(l.rcpt_params);
		DL_FOREACH (l.rcpts, r)
			check_line(r->address);
		if (stored_copy(file, body, out) || fflush(out))
			abort();
		if (memmem(text, len, "\r\n.\r\n", 5) || (len >= 3 && !memcmp(text, ".\r\n", 3)))
			abort();
	}
	fclose(out);
	fclose(file);
	letter_free(&l);
	free(text);
	return 0;
}
