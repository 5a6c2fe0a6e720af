/* SPDX-License-Identifier: ISC */
/* Slices of the text until a member is known to be one; only that is copied. */
#include "lib/address_list.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "lib/str.h"

/* address_list_outside - a command has quotes, but what it does with < and > is its own */
size_t address_list_outside(const char *text, size_t len, char c)
{
	bool quoted = false, angled = false, command = false, begun = false;
	for (size_t i = 0; i < len; i++) {
		if (!begun && !isspace((unsigned char)text[i])) {
			begun = true;
			command = text[i] == '|';
		}
		if (text[i] == '\\' && i + 1 < len && quoted)
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && text[i] == c && !angled)
			return i;
		else if (!quoted && !command && (text[i] == '<' || text[i] == '>'))
			angled = text[i] == '<';
	}
	return len;
}

/* in_angles - what stands between < and >, for "Words <user@domain>" */
static struct slice in_angles(struct slice s)
{
	const char *open = memchr(s.p, '<', s.len);
	if (open && s.len > 1 && s.p[s.len - 1] == '>' && s.p[0] != '"' && s.p[0] != '|')
		return slice_trim((struct slice){open + 1, (size_t)(s.p + s.len - 1 - (open + 1))});
	return s;
}

/* is_quoted - whether quotes stand around the whole */
static bool is_quoted(struct slice s)
{
	if (s.len < 2 || s.p[0] != '"')
		return false;
	for (size_t i = 1; i < s.len; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len)
			i++;
		else if (s.p[i] == '"')
			return i == s.len - 1;
	}
	return false;
}

/* is_address - a form that a recipient can have */
static bool is_address(struct slice s)
{
	bool quoted = false;
	if (s.len == 0 || s.len > ADDRESS_LIST_ADDRESS_MAX || strchr("|/:@", s.p[0]) ||
	    (s.p[0] == '\\' && (s.len == 1 || strchr("\\|/:@\"", s.p[1]))))
		return false;
	/* in angles even this is one, but it would be read as something else the next time */
	if (is_quoted(s) && strchr("|/:", s.p[1]))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\\' && quoted && i + 1 < s.len)
			c = (unsigned char)s.p[++i];
		else if (c == '"')
			quoted = !quoted;
		if (c < ' ' || c == 127 || (!quoted && strchr(" ,;<>()", c)))
			return false;
	}
	return !quoted;
}

/* unquote - without the quotes around, and what they protected as it is; the length */
static size_t unquote(struct slice s, char *out)
{
	size_t n = 0;
	if (!is_quoted(s)) {
		memcpy(out, s.p, s.len);
		return s.len;
	}
	for (size_t i = 1; i < s.len - 1; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len - 1)
			i++;
		out[n++] = s.p[i];
	}
	return n;
}

/* is_text - nothing but what may stand in one line */
static bool is_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 127)
			return false;
	return true;
}

/* put_other - a command, a file or an included list; 0, -EINVAL, -ENOMEM */
static int put_other(struct address_list *list, struct slice s)
{
	char text[ADDRESS_LIST_OTHER_MAX + 1];
	const size_t mark = sizeof(ADDRESS_LIST_INCLUDE) - 1;
	if (s.len > sizeof(text) - 1)
		return -EINVAL;
	size_t n = unquote(s, text);
	if (n > 2 && text[0] == '|' && text[1] == '"') {
		char inner[ADDRESS_LIST_OTHER_MAX + 1];
		memcpy(inner, text + 1, n - 1);
		n = 1 + unquote((struct slice){inner, n - 1}, text + 1);
	}
	text[n] = '\0';
	if (!is_text(text, n) || n < 2)
		return -EINVAL;
	if (text[0] == ':' && (strncasecmp(text, ADDRESS_LIST_INCLUDE, mark) || text[mark] != '/'))
		return -EINVAL;
	return address_list_put(list, text, n);
}

/* address_list_put - grown by doubling: a power of two is a full list */
int address_list_put(struct address_list *list, const char *member, size_t len)
{
	if ((list->n & (list->n - 1)) == 0) {
		size_t room = list->n ? list->n * 2 : 1;
		char **more = realloc(list->v, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		list->v = more;
	}
	char *copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, member, len);
	copy[len] = '\0';
	list->v[list->n++] = copy;
	return 0;
}

/* put - one member, whatever it is */
static int put(struct address_list *list, struct slice s)
{
	if (list->n >= ADDRESS_LIST_MAX)
		return -EINVAL;
	bool quoted = is_quoted(s);
	if (s.len > (size_t)quoted && strchr("|/:", s.p[quoted]))
		return put_other(list, s);
	s = in_angles(s);
	bool wild = list->wild && s.len > 1 && s.p[0] == '@';
	struct slice text = wild ? (struct slice){s.p + 1, s.len - 1} : s;
	return is_address(text) ? address_list_put(list, s.p, s.len) : -EINVAL;
}

/* address_list_add - "a, , b" and a comma at the end are harmless */
int address_list_add(struct address_list *list, const char *text, size_t len)
{
	struct slice rest = {text, len};
	int err = 0;
	while (rest.len > 0) {
		size_t n = address_list_outside(rest.p, rest.len, ',');
		struct slice s = slice_trim((struct slice){rest.p, n});
		size_t past = n < rest.len ? n + 1 : n;
		rest.p += past;
		rest.len -= past;
		int e = s.len ? put(list, s) : 0;
		if (e == -ENOMEM)
			return e;
		err = e ? e : err;
	}
	return err;
}

/* address_list_add_lines - line by line */
int address_list_add_lines(struct address_list *list, const char *text, size_t len)
{
	int err = 0;
	while (len > 0) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len;
		int e = text[0] == '#' ? 0 : address_list_add(list, text, n);
		if (e == -ENOMEM)
			return e;
		err = e ? e : err;
		n += nl != NULL;
		text += n;
		len -= n;
	}
	return err;
}

/* address_list_free - empty again */
void address_list_free(struct address_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct address_list){.wild = list->wild};
}

/* address_list_is_address - by its first byte */
bool address_list_is_address(const char *member)
{
	return !strchr("|/:", member[0]);
}

/* address_list_included - behind the mark */
const char *address_list_included(const char *member)
{
	return member[0] == ':' ? member + sizeof(ADDRESS_LIST_INCLUDE) - 1 : NULL;
}

/* address_list_digest - it names, it doesn't protect: who may write the file may run the command */
void address_list_digest(const char *member, char out[LOCAL_DIGEST_LEN + 1])
{
	snprintf(out, LOCAL_DIGEST_LEN + 1, "%016llx",
	    (unsigned long long)XXH3_64bits(member, strlen(member)));
}

/* address_list_entry - by digest */
const char *address_list_entry(const struct address_list *list, const char *digest)
{
	char own[LOCAL_DIGEST_LEN + 1];
	for (size_t i = 0; i < list->n; i++) {
		if (list->v[i][0] != '|' && list->v[i][0] != '/')
			continue;
		address_list_digest(list->v[i], own);
		if (!strcmp(own, digest))
			return list->v[i];
	}
	return NULL;
}
