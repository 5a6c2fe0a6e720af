/* SPDX-License-Identifier: ISC */
/*
 * The second half of master/aliases.h. Included lists are read when they are wanted, so that a list
 * changed by its manager holds at once; keeper may read nothing but what its user may.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/log.h"
#include "master/aliases.h"

/* A member seen before, by its text in lower case. */
struct seen {
	UT_hash_handle hh;
	char text[];
};

/* One expansion. */
struct gather {
	const struct alias *alias;
	struct address_list *out;
	struct seen *seen;
};

/* put - one more of what goes out, unless it is there; 0 or -ENOMEM */
static int put(struct gather *g, const char *member)
{
	struct seen *s;
	size_t len = strlen(member);
	HASH_FIND(hh, g->seen, member, len, s);
	if (s)
		return 0;
	s = malloc(sizeof(*s) + len + 1);
	if (!s)
		return -ENOMEM;
	memcpy(s->text, member, len + 1);
	HASH_ADD_KEYPTR(hh, g->seen, s->text, len, s);
	if (!hash_added(s)) {
		free(s);
		return -ENOMEM;
	}
	return address_list_put(g->out, member, len);
}

/* put_address - one that is the alias itself is the user of that name */
static int put_address(struct gather *g, const char *member)
{
	char self[ALIASES_NAME_MAX + 3];
	if (strcasecmp(member, g->alias->name) != 0)
		return put(g, member);
	snprintf(self, sizeof(self), "\\\\%s", g->alias->name);
	return put(g, self);
}

/* put_entry - a command or file by its digest */
static int put_entry(struct gather *g, const char *member)
{
	char name[ALIASES_NAME_MAX + LOCAL_DIGEST_LEN + 3], digest[LOCAL_DIGEST_LEN + 1];
	address_list_digest(member, digest);
	snprintf(name, sizeof(name), "|%s:%s", g->alias->name, digest);
	return put(g, name);
}

static int include(struct gather *g, const char *path, unsigned depth);

/* put_included - a member of an included list; 0, -EINVAL, -ENOMEM */
static int put_included(struct gather *g, const char *path, const char *member, unsigned depth)
{
	const char *included = address_list_included(member);
	if (included)
		return include(g, included, depth + 1);
	if (address_list_is_address(member))
		return put_address(g, member);
	log_error("%s: commands and files in an included list aren't run; mail for %s waits", path,
	    g->alias->name);
	return -EINVAL;
}

/* read_list - an included list; 0, -EINVAL, -ENOMEM */
static int read_list(struct gather *g, const char *path, struct address_list *list)
{
	size_t len = 0;
	int e = -EINVAL, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = fd >= 0 ? alias_file_read(fd, ALIASES_INCLUDE_MAX, &len) : NULL;
	if (!text) {
		log_warn("%s: mail for %s waits", path, g->alias->name);
	} else {
		e = address_list_add_lines(list, text, len);
		if (e == -EINVAL)
			log_error("%s: has something that is no address; mail for %s waits", path,
			    g->alias->name);
	}
	free(text);
	if (fd >= 0)
		close(fd);
	return e;
}

/* include - all of an included list */
static int include(struct gather *g, const char *path, unsigned depth)
{
	struct address_list list = {0};
	if (depth > ALIASES_INCLUDE_DEPTH) {
		log_error("%s: included too deeply; mail for %s waits", path, g->alias->name);
		return -EINVAL;
	}
	int e = read_list(g, path, &list);
	for (size_t i = 0; i < list.n && !e; i++)
		e = put_included(g, path, list.v[i], depth);
	address_list_free(&list);
	return e;
}

/* put_member - one of the alias itself */
static int put_member(struct gather *g, const char *member)
{
	const char *included = address_list_included(member);
	if (included)
		return include(g, included, 1);
	return address_list_is_address(member) ? put_address(g, member) : put_entry(g, member);
}

/* aliases_members - in the order of the file */
int aliases_members(const struct alias *alias, struct address_list *out)
{
	struct gather g = {.alias = alias, .out = out};
	struct seen *s, *tmp;
	int e = alias->broken ? -EINVAL : 0;
	for (size_t i = 0; i < alias->members.n && !e; i++)
		e = put_member(&g, alias->members.v[i]);
	HASH_ITER (hh, g.seen, s, tmp) {
		HASH_DEL(g.seen, s);
		free(s);
	}
	return e;
}
