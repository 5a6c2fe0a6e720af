/* SPDX-License-Identifier: ISC */
/*
 * Every option with its value and the place it comes from: printed while what stands in the files
 * is still known, which is before conf_load() returns.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf_parse.h"
#include "lib/conf_raw.h"
#include "lib/json.h"
#include "lib/near.h"

#define COLUMN 56 /* where the place begins, if the value leaves room */

/* conf_more has no argument; nothing in lib/conf*.c is reentrant. */
static struct {
	const struct conf_show *how;
	FILE *to;
} show;

/* value_text - an option's value as the file has it, malloc'ed; NULL without memory */
static char *value_text(const struct conf_opt *o, const struct conf_section *s)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	conf_value_print(o, s, f);
	return fclose(f) ? NULL : text;
}

/* default_text - the same of a section with nothing in it */
static char *default_text(const struct conf_opt *o)
{
	union {
		struct conf_section head;
		uint64_t align;
		char room[sizeof(struct conf)];
	} *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	char *text = conf_value_default(o, &s->head) ? NULL : value_text(o, &s->head);
	conf_value_clear(o, &s->head);
	free(s);
	return text;
}

/* wanted - is it one of the names that were asked for */
static bool wanted(enum conf_kind_no kind, const char *name)
{
	char full[128];
	const char *section = conf_kinds[kind].name;
	snprintf(full, sizeof(full), "%s%s%s", section, section[0] ? "." : "", name);
	for (size_t i = 0; i < show.how->nnames; i++) {
		const char *word = show.how->names[i];
		if (!strcmp(word, full) || (section[0] && !strcmp(word, section)))
			return true;
	}
	return !show.how->nnames;
}

/* writable - a word that is "not set" can't be written; a site inherits what it leaves out */
static bool writable(enum conf_kind_no kind, const struct conf_opt *o, const struct conf_section *s)
{
	uint32_t word = 0;
	if (kind == CONF_KIND_SITE && !(s->given & conf_opt_bit(o)))
		return false;
	if (o->type != CONF_TYPE_WORD || o->def[0])
		return true;
	memcpy(&word, (const char *)s + o->offset, sizeof(word));
	return word != 0;
}

/* One option as it is printed. */
struct line {
	enum conf_kind_no kind;
	const struct conf_section *section;
	const struct conf_opt *opt;
	const char *value, *file;
	uint32_t number;
	bool given;
};

/* print_json - one object */
static void print_json(const struct line *l)
{
	fputs("{\"section\":", show.to);
	json_write(show.to, conf_kinds[l->kind].name, strlen(conf_kinds[l->kind].name));
	fputs(",\"title\":", show.to);
	json_write(show.to, l->section->title, strlen(l->section->title));
	fprintf(show.to, ",\"option\":\"%s\",\"value\":", l->opt->name);
	json_write(show.to, l->value, strlen(l->value));
	fprintf(show.to, ",\"given\":%s,\"file\":", l->given ? "true" : "false");
	json_write(show.to, l->given ? l->file : "", l->given ? strlen(l->file) : 0);
	fprintf(show.to, ",\"line\":%u}\n", l->given ? (unsigned)l->number : 0);
}

/* print_text - one line, the place as a comment */
static void print_text(const struct line *l)
{
	const char *indent = l->kind == CONF_KIND_ROOT ? "" : "    ";
	int used = fprintf(show.to, "%s%s = %s", indent, l->opt->name, l->value);
	fprintf(show.to, "%*s# ", used < COLUMN ? COLUMN - used : 1, "");
	if (l->given)
		fprintf(show.to, "%s:%u\n", l->file, (unsigned)l->number);
	else
		fputs("default\n", show.to);
}

/* begin - the first line of a section, before its first option */
static void begin(const struct line *l)
{
	fprintf(show.to, "\n%s ", conf_kinds[l->kind].name);
	if (conf_kinds[l->kind].titled) {
		conf_quote(l->section->title, show.to);
		fputc(' ', show.to);
	}
	fputs("{\n", show.to);
}

/* print_option - if it is wanted; true: it was. *any: the section has begun */
static int print_option(const struct conf_raw *raw, struct line *l, bool *any)
{
	const struct conf_opt *o = l->opt;
	char *value, *def;
	int r = 0;
	if (!wanted(l->kind, o->name) || !writable(l->kind, o, l->section))
		return 0;
	value = value_text(o, l->section);
	def = default_text(o);
	if (!value || !def)
		r = -ENOMEM;
	l->value = value;
	l->given = l->section->given & conf_opt_bit(o);
	conf_place(raw, l->kind, l->section, o->name, 0, &l->file, &l->number);
	bool shown = !show.how->changed ||
		     (l->given && (l->kind == CONF_KIND_SITE || strcmp(value, def) != 0));
	if (!r && shown) {
		if (!*any && !show.how->json && l->kind != CONF_KIND_ROOT)
			begin(l);
		*any = true;
		(show.how->json ? print_json : print_text)(l);
	}
	free(value);
	free(def);
	return r;
}

/* print_section - what is wanted of it */
static int print_section(
    const struct conf_raw *raw, enum conf_kind_no kind, const struct conf_section *s)
{
	struct line l = {.kind = kind, .section = s};
	bool any = false;
	int r = 0;
	while (!r && (l.opt = conf_opt_next(kind, l.opt)))
		r = print_option(raw, &l, &any);
	if (any && !show.how->json && kind != CONF_KIND_ROOT)
		fputs("}\n", show.to);
	return r;
}

/* print_all - the shipped sites are in their own file, which `sites` names */
static int print_all(struct conf *c, struct conf_raw *raw)
{
	int r = 0;
	if (raw->msgs->errors)
		return 0;
	for (int k = 0; !r && k < CONF_KINDS; k++) {
		enum conf_kind_no kind = (enum conf_kind_no)k;
		for (size_t i = 0; !r && i < conf_section_count(c, kind); i++) {
			const struct conf_section *s = conf_section_at(c, kind, i);
			if (!s->shipped)
				r = print_section(raw, kind, s);
		}
	}
	return r;
}

/* each_name - calls fn for every name that can be asked for until it says true */
static bool each_name(bool (*fn)(const char *name, void *arg), void *arg)
{
	static char name[128];
	for (int k = 0; k < CONF_KINDS; k++) {
		const char *section = conf_kinds[k].name;
		if (section[0] && fn(section, arg))
			return true;
		for (const struct conf_opt *o = NULL;
		     (o = conf_opt_next((enum conf_kind_no)k, o));) {
			snprintf(
			    name, sizeof(name), "%s%s%s", section, section[0] ? "." : "", o->name);
			if (fn(name, arg))
				return true;
		}
	}
	return false;
}

/* is_it - for each_name() */
static bool is_it(const char *name, void *arg)
{
	return strcmp(name, arg) == 0;
}

/* What is looked for, and the closest so far. */
struct nearest {
	const char *word;
	char best[128];
};

/* offer - for each_name() */
static bool offer(const char *name, void *arg)
{
	struct nearest *n = arg;
	const char *best = n->best[0] ? n->best : NULL;
	near_offer(n->word, name, &best);
	if (best && best != n->best)
		snprintf(n->best, sizeof(n->best), "%s", best);
	return false;
}

/* conf_near_name - what was meant */
const char *conf_near_name(const char *word)
{
	static struct nearest n;
	n = (struct nearest){.word = word};
	each_name(offer, &n);
	return n.best;
}

/* conf_show - load and print */
int conf_show(const char *path, const struct conf_show *how, FILE *to, const char **unknown,
    struct conf_messages *msgs)
{
	struct conf *c = NULL;
	for (size_t i = 0; i < how->nnames; i++) {
		*unknown = how->names[i];
		if (!each_name(is_it, how->names[i]))
			return -ESRCH;
	}
	*unknown = NULL;
	show.how = how;
	show.to = to;
	int r = conf_load_with(path, &c, msgs, print_all);
	conf_free(c);
	return r;
}
