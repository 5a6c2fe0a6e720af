/* SPDX-License-Identifier: ISC */
/*
 * lib/conf.def as tables: the sections and options of baton.conf with all that is known of them,
 * and generic access to a struct conf by them. For lib/conf*.c, the tests and the man page's check;
 * programs use the structs.
 */
#pragma once

#include "lib/conf.h"

enum conf_kind_no {
	CONF_KIND_ROOT,
#define TITLED(kind, tag, member, help) CONF_KIND_##kind,
#define PLAIN(kind, tag, member, help)  CONF_KIND_##kind,
#include "lib/conf.def"
	CONF_KINDS
};

/* What an option's values are in C. */
enum conf_store {
	CONF_STORE_TEXT,    /* char * */
	CONF_STORE_BOOL,    /* bool */
	CONF_STORE_U32,     /* uint32_t and the enums */
	CONF_STORE_U64,     /* uint64_t */
	CONF_STORE_RATE,    /* struct conf_rate */
	CONF_STORE_LIST,    /* struct conf_list */
	CONF_STORE_ADDRS,   /* struct conf_addrs */
	CONF_STORE_NETS,    /* struct conf_nets */
	CONF_STORE_TARGETS, /* struct conf_targets */
	CONF_STORES
};

/* What an option's values mean. */
enum conf_type {
#define TYPE(name, store, what) CONF_TYPE_##name,
#include "lib/conf_value.def"
	CONF_TYPES
};

struct conf_opt {
	enum conf_kind_no kind;
	enum conf_type type;
	enum conf_store store;
	const char *name;
	size_t offset; /* in the section's struct */
	const char *def;
	uint64_t low;
	uint64_t high;
	const char *words;
	unsigned roles;
	const char *help;
};

struct conf_kind {
	const char *name; /* "" for the root */
	const char *help;
	bool titled;
	size_t size;         /* of the section's struct */
	size_t offset;       /* in struct conf: of the struct, or of the pointer if titled */
	size_t count_offset; /* titled: of the number of them */
};

extern const struct conf_kind conf_kinds[CONF_KINDS];

/* A section's options in the order of conf.def: the first for NULL, NULL after the last. */
const struct conf_opt *conf_opt_next(enum conf_kind_no kind, const struct conf_opt *opt);

/* The option of that name, or NULL. */
const struct conf_opt *conf_opt_find(enum conf_kind_no kind, const char *name);

/* Its bit in `given`. */
uint64_t conf_opt_bit(const struct conf_opt *opt);

/* Does the role get this option? master gets all. */
bool conf_opt_visible(const struct conf_opt *opt, enum role role);

/* How many sections of a kind there are (plain ones: 1), and the Nth of them. */
size_t conf_section_count(const struct conf *c, enum conf_kind_no kind);
struct conf_section *conf_section_at(const struct conf *c, enum conf_kind_no kind, size_t n);

/*
 * One more section of a titled kind, all defaults, `title` copied. Moves the others of its kind.
 * Returns it, or NULL without memory.
 */
struct conf_section *conf_section_add(struct conf *c, enum conf_kind_no kind, const char *title);

/* A conf with the defaults of the table and nothing computed; NULL without memory. */
struct conf *conf_new(void);

/* Sets all options of a section that is all zeroes to their defaults; 0 or -ENOMEM. */
int conf_section_defaults(enum conf_kind_no kind, struct conf_section *s);
void conf_section_clear(enum conf_kind_no kind, struct conf_section *s);
