/* SPDX-License-Identifier: ISC */
#include "cli/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* paths_file - argument, environment, built-in */
const char *paths_file(const char *file)
{
	const char *env = getenv("BATON_CONF");

	return file ? file : env && *env ? env : CONF_PATH_DEFAULT;
}

/* first_error - the first message that isn't a note */
static const struct conf_message *first_error(const struct conf_messages *msgs)
{
	for (size_t i = 0; i < msgs->n; i++)
		if (!msgs->v[i].note)
			return &msgs->v[i];
	return NULL;
}

/* say_first - one line is enough for a user who only wants to send mail */
static void say_first(const char *who, const char *path, const struct conf_messages *msgs)
{
	const struct conf_message *m = first_error(msgs);

	if (m)
		fprintf(stderr, "%s: %s:%u: %s: using built-in paths\n", who, m->file, m->line,
		    m->text);
	else
		fprintf(stderr, "%s: %s: cannot be read: using built-in paths\n", who, path);
}

/* paths_load - the file, or what is built in */
const struct conf *paths_load(const char *file, const char *who, bool lenient)
{
	const char *path = paths_file(file);
	struct conf_messages msgs = {0};
	struct conf *conf = NULL;

	if (conf_load(path, &conf, &msgs) == 0) {
		conf_messages_free(&msgs);
		return conf;
	}
	if (lenient) {
		/* A host without any file is one with an empty file: nothing to say. */
		if (file || strcmp(path, CONF_PATH_DEFAULT) != 0 || access(path, F_OK) == 0 ||
		    errno != ENOENT)
			say_first(who, path, &msgs);
		conf = conf_default();
	} else {
		conf_messages_print(&msgs, stderr);
		if (access(path, F_OK))
			fprintf(stderr,
			    "%s: name the configuration with -c FILE or in BATON_CONF\n", who);
		conf = NULL;
	}
	conf_messages_free(&msgs);
	return conf;
}
