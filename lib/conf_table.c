/* SPDX-License-Identifier: ISC */
/*
 * conf.def is expanded once a section, so that each section's options lie together in one array;
 * the type of the C field gives the store, and a static assertion compares it with what the
 * option's type wants. Everything else of lib/conf*.c walks these tables, so a new option is one
 * row and one field.
 */
#include "lib/conf_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf_value.h"

/* clang-format off */
#define STORE_OF(tag, field) _Generic(&((struct tag *)0)->field,                                   \
	char **: CONF_STORE_TEXT, bool *: CONF_STORE_BOOL, uint32_t *: CONF_STORE_U32,             \
	uint64_t *: CONF_STORE_U64, struct conf_rate *: CONF_STORE_RATE,                           \
	struct conf_list *: CONF_STORE_LIST, struct conf_addrs *: CONF_STORE_ADDRS,                \
	struct conf_nets *: CONF_STORE_NETS, struct conf_targets *: CONF_STORE_TARGETS)

enum {
#define TYPE(name, store, what) TYPE_STORE_##name = CONF_STORE_##store,
#include "lib/conf_value.def"
};

#define OPT(k, tag, field, t, d, lo, hi, w, r, h)                                                  \
	_Static_assert((int)STORE_OF(tag, field) == (int)TYPE_STORE_##t, #tag "." #field);
#include "lib/conf.def"
/* clang-format on */

/* All options; a section's are the stretch of its kind, found by conf_kinds below. */
static const struct conf_opt opts[] = {
#define OPT(k, tag, field, t, d, lo, hi, w, r, h)     \
	{.kind = CONF_KIND_##k,                       \
	    .type = CONF_TYPE_##t,                    \
	    .store = (enum conf_store)TYPE_STORE_##t, \
	    .name = #field,                           \
	    .offset = offsetof(struct tag, field),    \
	    .def = d,                                 \
	    .low = lo,                                \
	    .high = hi,                               \
	    .words = w,                               \
	    .roles = r,                               \
	    .help = h},
#include "lib/conf.def"
};

#define NOPTS (sizeof(opts) / sizeof(opts[0]))

const struct conf_kind conf_kinds[CONF_KINDS] = {
#define ROOT_SECTION(h) [CONF_KIND_ROOT] = {.name = "", .help = h, .size = sizeof(struct conf)},
#define PLAIN(k, tag, member, h)            \
	[CONF_KIND_##k] = {.name = #member, \
	    .help = h,                      \
	    .size = sizeof(struct tag),     \
	    .offset = offsetof(struct conf, member)},
#define TITLED(k, tag, member, h)                    \
	[CONF_KIND_##k] = {.name = #member,          \
	    .help = h,                               \
	    .titled = true,                          \
	    .size = sizeof(struct tag),              \
	    .offset = offsetof(struct conf, member), \
	    .count_offset = offsetof(struct conf, n##member)},
#include "lib/conf.def"
};

/* conf_opt_next - walk the options of a section */
const struct conf_opt *conf_opt_next(enum conf_kind_no kind, const struct conf_opt *opt)
{
	for (opt = opt ? opt + 1 : opts; opt < opts + NOPTS; opt++)
		if (opt->kind == kind)
			return opt;
	return NULL;
}

/* conf_opt_find - an option by its name */
const struct conf_opt *conf_opt_find(enum conf_kind_no kind, const char *name)
{
	const struct conf_opt *o = NULL;
	while ((o = conf_opt_next(kind, o)))
		if (strcmp(o->name, name) == 0)
			break;
	return o;
}

/* conf_opt_bit - an option's bit in `given` */
uint64_t conf_opt_bit(const struct conf_opt *opt)
{
	uint64_t bit = 1;
	for (const struct conf_opt *o = NULL; (o = conf_opt_next(opt->kind, o)) != opt;)
		bit <<= 1;
	return bit;
}

/* conf_opt_visible - does a role get it */
bool conf_opt_visible(const struct conf_opt *opt, enum role role)
{
	return role == ROLE_MASTER || (opt->roles & ROLE_BIT(role));
}

/* titled_base - the array of a titled kind; memcpy, because its pointers have different types */
static char *titled_base(const struct conf *c, const struct conf_kind *k)
{
	char *base;
	memcpy(&base, (const char *)c + k->offset, sizeof(base));
	return base;
}

/* conf_section_count - how many sections of a kind there are */
size_t conf_section_count(const struct conf *c, enum conf_kind_no kind)
{
	const struct conf_kind *k = &conf_kinds[kind];
	return k->titled ? *(const size_t *)((const char *)c + k->count_offset) : 1;
}

/* conf_section_at - the Nth section of a kind */
struct conf_section *conf_section_at(const struct conf *c, enum conf_kind_no kind, size_t n)
{
	const struct conf_kind *k = &conf_kinds[kind];
	if (k->titled)
		return (struct conf_section *)(titled_base(c, k) + n * k->size);
	return (struct conf_section *)((char *)(uintptr_t)c + k->offset);
}

/* conf_section_add - one more section of a titled kind */
struct conf_section *conf_section_add(struct conf *c, enum conf_kind_no kind, const char *title)
{
	const struct conf_kind *k = &conf_kinds[kind];
	size_t *count = (size_t *)((char *)c + k->count_offset);
	char *base = reallocarray(titled_base(c, k), *count + 1, k->size);
	if (!base)
		return NULL;
	memcpy((char *)c + k->offset, &base, sizeof(base));
	struct conf_section *s = (struct conf_section *)(base + *count * k->size);
	memset(s, 0, k->size);
	s->title = strdup(title);
	s->file = strdup("");
	if (!s->title || !s->file || conf_section_defaults(kind, s)) {
		conf_section_clear(kind, s);
		return NULL;
	}
	(*count)++;
	return s;
}

/* conf_section_defaults - set all options of a section to their defaults */
int conf_section_defaults(enum conf_kind_no kind, struct conf_section *s)
{
	for (const struct conf_opt *o = NULL; (o = conf_opt_next(kind, o));) {
		int r = conf_value_default(o, s);
		if (r)
			return r;
	}
	return 0;
}

/* conf_section_clear - free what a section owns */
void conf_section_clear(enum conf_kind_no kind, struct conf_section *s)
{
	free(s->title);
	free(s->file);
	s->title = s->file = NULL;
	for (const struct conf_opt *o = NULL; (o = conf_opt_next(kind, o));)
		conf_value_clear(o, s);
}

/* conf_new - the table's defaults */
struct conf *conf_new(void)
{
	struct conf *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;
	for (int kind = 0; !r && kind < CONF_KINDS; kind++) {
		if (conf_kinds[kind].titled)
			continue;
		struct conf_section *s = conf_section_at(c, (enum conf_kind_no)kind, 0);
		s->title = strdup("");
		s->file = strdup("");
		r = s->title && s->file ? conf_section_defaults((enum conf_kind_no)kind, s)
					: -ENOMEM;
	}
	if (r) {
		conf_free(c);
		c = NULL;
	}
	return c;
}
