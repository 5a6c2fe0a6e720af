/* SPDX-License-Identifier: ISC */
#include "cli/stored.h"

#include <errno.h>

#include "lib/dot_form.h"

#define CHUNK 65536

/* stored_copy - made plain and stored again: of any bytes that is good form */
int stored_copy(FILE *file, off_t at, FILE *out)
{
	static char in[CHUNK], plain[DOT_PLAIN_ROOM(CHUNK)], stored[DOT_FORM_ROOM(CHUNK + 1)];
	struct dot_plain unstuff;
	struct dot_form stuff;
	size_t n;

	if (fseeko(file, at, SEEK_SET) != 0)
		return -EIO;
	dot_plain_init(&unstuff, false);
	dot_form_init(&stuff, DOT_STUFF);
	while ((n = fread(in, 1, sizeof(in), file)) > 0) {
		n = dot_plain(&unstuff, in, n, plain);
		fwrite(stored, 1, dot_form(&stuff, plain, n, stored), out);
	}
	n = dot_plain_end(&unstuff, plain);
	fwrite(stored, 1, dot_form(&stuff, plain, n, stored), out);
	fwrite(stored, 1, dot_form_end(&stuff, stored), out);
	return ferror(file) ? -EIO : 0;
}
