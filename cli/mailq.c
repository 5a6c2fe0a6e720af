/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/listing.h"
#include "cli/paths.h"
#include "cli/tool.h"

/* usage - for who called it wrongly */
static int usage(void)
{
	fputs("usage: mailq [-C FILE] [--json]\n", stderr);
	return TOOL_USAGE;
}

int main(int argc, char **argv)
{
	const struct query_filter all = {.all = true};
	enum listing_form form = LISTING_MAILQ;
	const char *file = NULL;
	uint64_t found;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-C") == 0 && i + 1 < argc)
			file = argv[++i];
		else if (strcmp(argv[i], "--json") == 0)
			form = LISTING_JSON;
		else if (strcmp(argv[i], "-Ac") != 0 && strcmp(argv[i], "-v") != 0)
			return usage(); /* those two are sendmail's, and harmless */
	}
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	int r = listing_print(paths_load(file, "mailq", true), &all, form, &found);

	if (fflush(stdout) && r == TOOL_OK)
		r = TOOL_FAILED;
	return r;
}
