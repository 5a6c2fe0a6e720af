/* SPDX-License-Identifier: ISC */
/*
 * One value of an option: from the text of the file to its C form, and away again. Pure; used for
 * what the file says, for the table's defaults and for what conf_decode() got. For lib/conf*.c.
 *
 * Values are ASCII (UTF-8 in paths and error texts) without control characters.
 */
#pragma once

#include "lib/conf_table.h"

#define CONF_TEXT_MAX   1024 /* bytes of one value */
#define CONF_REASON_MAX 256  /* bytes of why a value is refused, with its 0 */
#define CONF_LIST_MAX   10000

/*
 * Takes one value into the section: a scalar is replaced, a list grows by it. Returns 0, -ENOMEM,
 * or -EINVAL with the reason in `why` ("must be a duration such as ...", without name and value)
 * and the section unchanged.
 */
int conf_value_add(const struct conf_opt *opt, struct conf_section *s, const char *text,
    char why[CONF_REASON_MAX]);

/* Frees what the option holds; lists are empty then, texts NULL. */
void conf_value_clear(const struct conf_opt *opt, struct conf_section *s);

/* Sets the option to its default; 0 or -ENOMEM. Aborts if the table's default is wrong. */
int conf_value_default(const struct conf_opt *opt, struct conf_section *s);

/* Is it a list, one that takes several values? */
bool conf_value_is_list(const struct conf_opt *opt);

/* The value as it would stand in the file, quotes and braces included. */
void conf_value_print(const struct conf_opt *opt, const struct conf_section *s, FILE *to);

/* The parsers that other files of lib/conf*.c use on their own; as conf_value_add(). */
int conf_target_parse(const char *text, struct conf_target *out, char why[CONF_REASON_MAX]);
void conf_target_clear(struct conf_target *t);

/* Renews t->name from the other fields. */
int conf_target_rename(struct conf_target *t);

/* "host:port", "[host]:port", "[host]": *port is 0 where none is given. host of 256 bytes. */
int conf_hostport_parse(const char *text, char *host, uint16_t *port, char why[CONF_REASON_MAX]);

bool conf_domain_valid(const char *s, size_t len);
