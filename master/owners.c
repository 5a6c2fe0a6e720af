/* SPDX-License-Identifier: ISC */
#include "master/owners.h"

#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/str.h"
#include "master/textfile.h"

struct owner {
	struct owner *next;
	char user[];
};

struct owned {
	char address[ADDR_SIZE]; /* lower case */
	struct owner *owners;
	UT_hash_handle hh;
};

static const struct conf *conf;
static struct owned *addresses;

/* drop - a whole table */
static void drop(struct owned *table)
{
	struct owned *a, *next;
	HASH_ITER (hh, table, a, next) {
		struct owner *o, *after;
		LL_FOREACH_SAFE (a->owners, o, after)
			free(o);
		HASH_DEL(table, a);
		free(a);
	}
}

/* word - the next one of a line; false at its end */
static bool word(const char **at, size_t *left, const char **text, size_t *len)
{
	while (*left && strchr(" \t,", **at)) {
		++*at;
		--*left;
	}
	*text = *at;
	for (*len = 0; *len < *left && !strchr(" \t,", (*at)[*len]);)
		++*len;
	*at += *len;
	*left -= *len;
	return *len > 0;
}

/* of_address - its entry, made if there is none; NULL: out of memory */
static struct owned *of_address(struct owned **table, const char *address)
{
	struct owned *a;
	HASH_FIND_STR(*table, address, a);
	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	str_copy(a->address, sizeof(a->address), address);
	HASH_ADD_STR(*table, address, a);
	if (hash_added(a))
		return a;
	free(a);
	return NULL;
}

/* take_line - an address and its users; false: out of memory */
static bool take_line(
    struct owned **table, const char *line, size_t len, const char *path, unsigned number)
{
	char address[ADDR_SIZE];
	const char *text;
	size_t n;
	word(&line, &len, &text, &n);
	if (str_copy_n(address, sizeof(address), text, n) != 0) {
		log_warnx("%s:%u: not an address", path, number);
		return true;
	}
	str_lower(address, address, n);
	struct owned *a = of_address(table, address);
	if (!a)
		return false;
	while (word(&line, &len, &text, &n)) {
		struct owner *o = calloc(1, sizeof(*o) + n + 1);
		if (!o)
			return false;
		memcpy(o->user, text, n);
		LL_PREPEND(a->owners, o);
	}
	return true;
}

/* take - the whole file anew */
static bool take(struct textfile *file, const char *text, size_t len, const char *path)
{
	(void)file;
	struct owned *table = NULL;
	const char *line;
	size_t n;
	unsigned number = 0;
	while (textfile_line(&text, &len, &line, &n, &number)) {
		if (!take_line(&table, line, n, path, number)) {
			drop(table);
			return false;
		}
	}
	drop(addresses);
	addresses = table;
	return true;
}

/* gone - no file, no lines */
static void gone(struct textfile *file)
{
	(void)file;
	drop(addresses);
	addresses = NULL;
}

static struct textfile lines = {.read = take, .gone = gone};

/* owners_use - from now on */
void owners_use(const struct conf *c)
{
	conf = c;
	textfile_use(&lines, c->sender_owners);
}

/* owners_used - by the configuration */
bool owners_used(void)
{
	return *conf->sender_owners;
}

/* is_own - no line says otherwise: the user's own name */
static bool is_own(const char *user, const char *sender)
{
	const char *at = strrchr(sender, '@');
	size_t n = strlen(user);
	if (str_eq_ci(user, n, sender, strlen(sender)))
		return true;
	return at && str_eq_ci(user, n, sender, (size_t)(at - sender)) &&
	       conf_is_local_domain(conf, at + 1);
}

/* owners_allow - the line that is nearest */
int owners_allow(const char *user, const char *sender)
{
	char lower[ADDR_SIZE];
	struct owned *a = NULL;
	struct owner *o;
	if (!*conf->sender_owners || !*sender)
		return 1;
	int e = textfile_look(&lines);
	if (e)
		return e;
	if (str_copy(lower, sizeof(lower), sender) != 0)
		return 0;
	str_lower(lower, lower, strlen(lower));
	const char *at = strrchr(lower, '@');
	HASH_FIND_STR(addresses, lower, a);
	if (!a && at)
		HASH_FIND_STR(addresses, at, a);
	if (!a && !is_own(user, sender))
		HASH_FIND_STR(addresses, "*", a);
	else if (!a)
		return 1;
	LL_FOREACH (a ? a->owners : NULL, o) {
		if (strcmp(o->user, user) == 0 || strcmp(o->user, "*") == 0)
			return 1;
	}
	return 0;
}
