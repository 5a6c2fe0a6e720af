/* SPDX-License-Identifier: ISC */
/*
 * newaliases: other mailers build a database of the aliases file here. keeper reads the file itself
 * when it changes; so what is left to do is to read it as keeper will, and to name its mistakes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/paths.h"
#include "lib/alias_file.h"
#include "lib/log.h"

/* check - the file as keeper takes it; the exit code */
static int check(const char *path)
{
	size_t len = 0, names, mistakes;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = fd >= 0 ? alias_file_read(fd, ALIASES_FILE_MAX, &len) : NULL;
	struct aliases *aliases = text ? aliases_parse(text, len, path) : NULL;
	log_flush();
	if (!aliases) {
		fprintf(stderr, "newaliases: %s: %s\n", path, strerror(text ? ENOMEM : errno));
		free(text);
		return EX_NOINPUT;
	}
	aliases_count(aliases, &names, &mistakes);
	printf("%s: %zu alias%s, %zu mistake%s; read when it changes, nothing to build\n", path,
	    names, names == 1 ? "" : "es", mistakes, mistakes == 1 ? "" : "s");
	aliases_free(aliases);
	free(text);
	close(fd);
	return mistakes ? EX_DATAERR : EX_OK;
}

int main(int argc, char **argv)
{
	const char *file = NULL;

	if (argc == 3 && strcmp(argv[1], "-C") == 0)
		file = argv[2];
	else if (argc != 1) {
		fputs("usage: newaliases [-C FILE]\n", stderr);
		return EX_USAGE;
	}
	log_open(STDERR_FILENO, LOG_TO_STDERR, "newaliases", 0);
	const struct conf *conf = paths_load(file, "newaliases", true);
	if (*conf->aliases)
		return check(conf->aliases);
	puts("no aliases");
	return EX_OK;
}
