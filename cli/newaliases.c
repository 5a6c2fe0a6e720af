/* SPDX-License-Identifier: ISC */
/*
 * newaliases: names the mistakes of the aliases file, then has keeper make its map anew, which it
 * would do by itself when somebody asks. Without a running Baton there is nothing more to do: the
 * map is made at its start.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/paths.h"
#include "cli/tool.h"
#include "lib/alias_file.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/status.h"

/* A name that was there; of two equal ones the first counts. */
struct seen {
	UT_hash_handle hh;
	char name[];
};

/* One reading. */
struct check {
	struct alias_reader reader;
	const char *path;
	struct seen *seen;
	size_t names, mistakes;
};

/* on_mistake - one of a line */
static void on_mistake(struct alias_reader *reader, unsigned line, const char *words)
{
	struct check *c = (struct check *)reader;
	c->mistakes++;
	fprintf(stderr, "newaliases: %s:%u: %s\n", c->path, line, words);
}

/* on_alias - one more, or one again */
static int on_alias(struct alias_reader *reader, struct alias_entry *alias)
{
	struct check *c = (struct check *)reader;
	char words[ALIASES_NAME_MAX + 40];
	size_t len = strlen(alias->name);
	struct seen *s;
	HASH_FIND(hh, c->seen, alias->name, len, s);
	if (s) {
		snprintf(words, sizeof(words), "%s was given before, ignored", alias->name);
		on_mistake(reader, alias->line, words);
		return 0;
	}
	s = malloc(sizeof(*s) + len + 1);
	if (!s)
		return -ENOMEM;
	memcpy(s->name, alias->name, len + 1);
	HASH_ADD_KEYPTR(hh, c->seen, s->name, len, s);
	c->names++;
	return hash_added(s) ? 0 : -ENOMEM;
}

/* check - the file as keeper takes it; the exit code */
static int check(const char *path)
{
	struct check c = {.reader = {.take = on_alias, .mistake = on_mistake}, .path = path};
	FILE *file = fopen(path, "re");
	int e = file ? alias_file_walk(file, &c.reader) : -errno;
	if (file)
		fclose(file);
	if (e) {
		fprintf(stderr, "newaliases: %s: %s\n", path,
		    e == -EINVAL ? "is no text" : strerror(-e));
		return e == -EINVAL || e == -EFBIG ? EX_DATAERR : EX_NOINPUT;
	}
	printf("%s: %zu alias%s, %zu mistake%s\n", path, c.names, c.names == 1 ? "" : "es",
	    c.mistakes, c.mistakes == 1 ? "" : "s");
	return c.mistakes ? EX_DATAERR : EX_OK;
}

/* on_controlled - what became of the map */
static void on_controlled(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_tool_controlled *m = &msg->tool_controlled;
	struct tool *tool = arg;
	(void)chan;
	tool->done = true;
	tool->result = m->ok ? TOOL_OK : TOOL_FAILED;
	if (!m->ok)
		fprintf(stderr, "newaliases: %.*s\n", (int)m->text.len, m->text.data);
}

/* rebuild - have keeper make the map; the exit code */
static int rebuild(const struct conf *conf)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_controlled] = on_controlled};
	const struct msg_tool_control ask = {.verb = CONTROL_ALIASES};
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", conf->runtime, CONTROL_SOCKET);
	if (access(path, F_OK) != 0) {
		puts("Baton isn't running here; it reads the file when it starts");
		return EX_OK;
	}
	int r = tool_request(
	    conf, CONTROL_SOCKET, ROLE_MASTER, MSG_tool_control, &ask, &handlers, NULL);
	return r ? EX_UNAVAILABLE : EX_OK;
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
	if (!*conf->aliases) {
		puts("no aliases");
		return EX_OK;
	}
	int mistakes = check(conf->aliases);
	if (mistakes != EX_OK && mistakes != EX_DATAERR)
		return mistakes;
	int r = rebuild(conf);
	return mistakes ? mistakes : r;
}
