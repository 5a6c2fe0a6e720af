/* SPDX-License-Identifier: ISC */
/*
 * What stands in the files, before anything is checked but the syntax: sections with options with
 * values, each with its place. conf.c fills it with libconfuse's help, conf_build.c makes a struct
 * conf of it. Also the messages on the way. For lib/conf*.c; nothing here is reentrant.
 */
#pragma once

#include "lib/conf_table.h"

#define CONF_FILE_MAX      (4 << 20) /* bytes of one file */
#define CONF_INCLUDE_DEPTH 10

struct conf_raw_value {
	char *text;
	const char *file; /* owned by the raw's list of files */
	uint32_t line;
};

struct conf_raw_opt {
	const struct conf_opt *opt;
	const char *file; /* of the first value; of the option's name if there is none */
	uint32_t line;
	struct conf_raw_value *v;
	size_t n; /* 0: an empty list */
};

struct conf_raw_section {
	enum conf_kind_no kind;
	char *title; /* "" in plain sections */
	const char *file;
	uint32_t line;
	bool shipped;
	bool twin;              /* another one had the title before */
	struct conf_raw_opt *v; /* each option once: the later one wins */
	size_t n;
};

struct conf_raw {
	struct conf_raw_section *v; /* v[0] is the root; plain sections may come again */
	size_t n;
	char **files; /* in the order they were opened */
	size_t nfiles;
	struct conf_messages *msgs;
	bool nomem;
};

/* --- messages: errors and notes; nothing is said twice of one line --- */

void conf_error(struct conf_messages *m, const char *file, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void conf_note(struct conf_messages *m, const char *file, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The note on an option that is given twice: name, file and line of the one before. */
#define CONF_AGAIN "%s is given again; this one holds, not %s:%u"

/* Puts them in the order of files[] and lines. */
void conf_messages_sort(struct conf_messages *m, char *const *files, size_t nfiles);

/* --- the raw sections --- */

/* Takes over a file's name; the result lives as long as raw. */
const char *conf_raw_file(struct conf_raw *raw, const char *path);

struct conf_raw_section *conf_raw_add(struct conf_raw *raw, enum conf_kind_no kind,
    const char *title, const char *file, uint32_t line);

/* The option in this section, or NULL. */
struct conf_raw_opt *conf_raw_find(const struct conf_raw_section *s, const char *name);

/*
 * One more value of an option; `first`: what it held before is forgotten (and noted, if it was
 * given before). text NULL with first: an empty list.
 */
void conf_raw_value(struct conf_raw *raw, struct conf_raw_section *s, const struct conf_opt *opt,
    const char *text, bool first, const char *file, uint32_t line);

/* Marks the sections whose title is taken and complains of them; 0 or -ENOMEM. */
int conf_raw_twins(struct conf_raw *raw);

void conf_raw_free(struct conf_raw *raw);

/* --- a file's text, as libconfuse can take it --- */

/* Where a section begins. */
struct conf_text_section {
	uint32_t line;
};

struct conf_text {
	char *buf; /* comments blanked out, newlines kept; ends in a newline */
	size_t len;
	struct conf_text_section *sections; /* in the order of the file */
	size_t nsections;
};

/*
 * Reads a file and finds what libconfuse would misread or swallow: comments and strings without an
 * end, braces without a partner, stray characters. Returns 0, -EINVAL with an error added, or
 * another negative errno, with nothing added, if the file can't be read.
 */
int conf_text_read(
    const char *path, struct conf_text *out, struct conf_messages *m, const char *file);
void conf_text_free(struct conf_text *t);

/* The last line up to `line` where `word` stands without a "=" behind it; `line` if nowhere. */
uint32_t conf_text_bare(const struct conf_text *t, const char *word, uint32_t line);

/* The last line in from..to where `name` is given an empty list; `from` if nowhere. */
uint32_t conf_text_empty_list(
    const struct conf_text *t, const char *name, uint32_t from, uint32_t to);

/* --- the parse (conf.c) --- */

/*
 * Reads path and what it includes into raw. shipped: only sites may stand there. Errors are in
 * raw->msgs; returns 0 even then, or a negative errno if the file itself can't be read.
 */
int conf_parse(struct conf_raw *raw, const char *path, bool shipped);

/* --- from raw to conf --- */

/* Fills in c from all of raw but what conf_parse() refused; errors go to raw->msgs. 0 or -ENOMEM.
 */
int conf_build(struct conf *c, struct conf_raw *raw);

/*
 * What needs the whole: defaults that depend on others, references, contradictions. Errors go to
 * raw->msgs. Ends with conf_complete() if there are none. 0 or -ENOMEM.
 */
int conf_check(struct conf *c, struct conf_raw *raw);

/*
 * An error (or note) at the line of an option's value number `at`, of the option if it has no such
 * value, of the section if the option isn't given.
 */
void conf_complain(struct conf_raw *raw, bool note, enum conf_kind_no kind,
    const struct conf_section *s, const char *name, size_t at, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

/* Where that is; of plain sections that come again the last place counts. */
void conf_place(const struct conf_raw *raw, enum conf_kind_no kind, const struct conf_section *s,
    const char *name, size_t at, const char **file, uint32_t *line);

/* The blocks `virtual`, once the index is there; for conf_check(). */
void conf_check_virtual(const struct conf *c, struct conf_raw *raw);

/* conf_load() with one more step while the lines are still known; its error is the whole's. */
typedef int conf_more(struct conf *c, struct conf_raw *raw);
int conf_load_with(
    const char *path, struct conf **out, struct conf_messages *msgs, conf_more *more);

/* What a decoded conf needs too: the mailbox taken apart, the local route, the index. 0, -ENOMEM.
 */
int conf_complete(struct conf *c);

/* Sets a text to a copy of another; 0 or -ENOMEM. */
int conf_set_text(char **to, const char *text);

/* The look-ups' index over c's routes and sites; 0 or -ENOMEM. */
int conf_index_build(struct conf *c);
void conf_index_free(struct conf *c);

/* Two routes for the same recipients and senders (in the order of the file), or false. */
bool conf_index_clash(const struct conf *c, const struct conf_route **a,
    const struct conf_route **b, const char **pattern);

/* This host's name and the one in /etc/mailname ("" if none), asking no name service. */
#define CONF_NAME_SIZE 256
void conf_host_name(char out[CONF_NAME_SIZE]);
void conf_mail_name(char out[CONF_NAME_SIZE]);
