/* SPDX-License-Identifier: ISC */
/*
 * newaliases: other mailers build a database of the aliases file here. keeper reads the file itself
 * when it changes, so all that is left to do is to say whether it can be read.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/paths.h"

int main(int argc, char **argv)
{
	const char *file = NULL;
	const struct conf *conf;

	if (argc == 3 && strcmp(argv[1], "-C") == 0)
		file = argv[2];
	else if (argc != 1) {
		fputs("usage: newaliases [-C FILE]\n", stderr);
		return EX_USAGE;
	}
	conf = paths_load(file, "newaliases", true);
	if (*conf->aliases && access(conf->aliases, R_OK)) {
		fprintf(stderr, "newaliases: %s: %s\n", conf->aliases, strerror(errno));
		return EX_NOINPUT;
	}
	printf("%s: read when it changes, nothing to build\n",
	    *conf->aliases ? conf->aliases : "no aliases");
	return EX_OK;
}
