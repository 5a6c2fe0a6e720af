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

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/str.h"
#include "master/aliases.h"

/* A member seen before, by its text in lower case. */
struct seen {
	UT_hash_handle hh;
	char text[];
};

/* One expansion. */
struct gather {
	const struct map_alias *alias;
	const char *local;  /* that was asked for, as it stands in an address */
	const char *origin; /* of members without a domain; NULL: that is the recipient's */
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

/* is_bare - an address without a domain: what follows a quoted local part is none of it */
static bool is_bare(const char *member)
{
	const char *at = strrchr(member, '@');
	return !at || strchr(at, '"');
}

/*
 * put_address - in full where that doesn't depend on who was asked for; one that is the alias
 * itself is the user of that name
 */
static int put_address(struct gather *g, const char *member)
{
	char full[2 * ALIASES_NAME_MAX + 3], self[ALIASES_NAME_MAX + 3];
	int n;
	if (member[0] == '@')
		n = snprintf(full, sizeof(full), "%s%s", g->local, member);
	else if (g->origin && is_bare(member))
		n = snprintf(full, sizeof(full), "%s@%s", member, g->origin);
	else
		n = snprintf(full, sizeof(full), "%s", member);
	if (n < 0 || (size_t)n >= sizeof(full)) {
		log_error("a member of %s is too long; its mail waits", g->alias->name);
		return -EINVAL;
	}
	if (strcasecmp(full, g->alias->name) != 0)
		return put(g, full);
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

/* quoted_local - a local part as it stands in an address; false: too long */
static bool quoted_local(const char *local, char *out, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "!#$%&'*+-/=?^_`{|}~.";
	size_t n = 0;
	bool quote = local[0] == '.' || strstr(local, "..") || !*local;
	for (const char *p = local; *p; p++)
		quote |= (unsigned char)*p < 128 && !strchr(plain, *p);
	if (!quote)
		return str_copy(out, size, local) == 0;
	for (const char *p = local; *p && n + 5 < size; p++) {
		if (n == 0)
			out[n++] = '"';
		if (*p == '"' || *p == '\\')
			out[n++] = '\\';
		out[n++] = *p;
	}
	if (n == 0 || n + 5 >= size)
		return false;
	out[n++] = '"';
	out[n] = '\0';
	return true;
}

/* aliases_members - in the order of the file */
int aliases_members(
    const struct map_alias *alias, const char *local, const char *origin, struct address_list *out)
{
	char quoted[ALIASES_NAME_MAX + 1];
	struct gather g = {.alias = alias, .out = out, .local = quoted};
	struct seen *s, *tmp;
	const char *member;
	size_t pos = 0;
	int e = alias->broken || !quoted_local(local, quoted, sizeof(quoted)) ? -EINVAL : 0;
	if (strchr(alias->name, '@') && *origin)
		g.origin = origin;
	while (!e && (member = map_member(alias, &pos)))
		e = put_member(&g, member);
	HASH_ITER (hh, g.seen, s, tmp) {
		HASH_DEL(g.seen, s);
		free(s);
	}
	return e;
}
