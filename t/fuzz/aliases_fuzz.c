/* SPDX-License-Identifier: ISC */
/*
 * The text of an aliases file or of a list it includes. What a list has is again a list of the same
 * when it is written down; a command or file is found by its digest; an alias by its name.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alias_file.h"
#include "lib/log.h"

enum { KEEP = 1 << 16 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	log_set(LOG_FORMAT_TEXT, -1);
	return 0;
}

/* write_down - a member as somebody would write it: anything but an address in quotes */
static size_t write_down(const char *member, char *out)
{
	size_t n = 0;
	bool quote = !address_list_is_address(member);
	if (quote)
		out[n++] = '"';
	for (; *member; member++) {
		if (quote && (*member == '"' || *member == '\\'))
			out[n++] = '\\';
		out[n++] = *member;
	}
	if (quote)
		out[n++] = '"';
	return n;
}

/* check_member - short, one line, and the same when it is read again */
static void check_member(const char *member, bool wild)
{
	static char text[2 * ADDRESS_LIST_OTHER_MAX + 8];
	size_t max =
	    address_list_is_address(member) ? ADDRESS_LIST_ADDRESS_MAX : ADDRESS_LIST_OTHER_MAX;
	struct address_list again = {.wild = wild};
	size_t len = strlen(member);
	if (len == 0 || len > max || strpbrk(member, "\r\n"))
		abort();
	/* |"command" loses its quotes each time it is read */
	if (member[0] == '|' && member[1] == '"')
		return;
	int e = address_list_add(&again, text, write_down(member, text));
	if (e == 0 && (again.n != 1 || strcmp(again.v[0], member)))
		abort();
	if (e != 0 && len < max / 2)
		abort();
	address_list_free(&again);
}

/* check_list - every member, and those that have a digest by it */
static void check_list(const struct address_list *list, bool wild)
{
	char digest[LOCAL_DIGEST_LEN + 1];
	for (size_t i = 0; i < list->n; i++) {
		const char *member = list->v[i];
		check_member(member, wild);
		if (member[0] != '|' && member[0] != '/')
			continue;
		address_list_digest(member, digest);
		const char *found = address_list_entry(list, digest);
		if (strlen(digest) != LOCAL_DIGEST_LEN || !found || strcmp(found, member))
			abort();
	}
}

/* on_alias - a name, and members where it isn't broken */
static int on_alias(struct alias_reader *reader, struct alias_entry *alias)
{
	size_t len = strlen(alias->name);
	(void)reader;
	if (len == 0 || len > ALIASES_NAME_MAX || strchr(alias->name, '\n') || !alias->line)
		abort();
	for (const char *p = alias->name; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			abort();
	if (alias->members.n == 0 && !alias->broken)
		abort();
	for (size_t i = 0; i < alias->members.n; i++)
		if (alias->members.v[i][0] == '@' && alias->name[0] != '@')
			abort();
	check_list(&alias->members, alias->members.wild);
	return 0;
}

/* on_mistake - in some line */
static void on_mistake(struct alias_reader *reader, unsigned line, const char *words)
{
	(void)reader;
	if (!line || !*words)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct address_list list = {0};
	if (size == 0 || size > KEEP)
		return 0;
	address_list_add_lines(&list, (const char *)data, size);
	check_list(&list, false);
	address_list_free(&list);

	struct alias_reader reader = {.take = on_alias, .mistake = on_mistake};
	FILE *file = fmemopen((void *)data, size, "r");
	if (!file)
		abort();
	int e = alias_file_walk(file, &reader);
	if (e && e != -EINVAL)
		abort();
	fclose(file);
	return 0;
}
