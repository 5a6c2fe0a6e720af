/* SPDX-License-Identifier: ISC */
/*
 * Plain growing arrays. Memory running out is remembered in raw->nomem and found at the end,
 * because most of this is called from inside libconfuse.
 */
#include "lib/conf_raw.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* add_message - the one place where messages are made */
static void add_message(struct conf_messages *m, const char *file, uint32_t line, bool note,
    const char *format, va_list ap)
{
	struct conf_message *v = reallocarray(m->v, m->n + 1, sizeof(*v));
	if (!v) {
		m->errors++;
		return;
	}
	m->v = v;
	struct conf_message *new = &v[m->n];
	*new = (struct conf_message){.file = strdup(file), .line = line, .note = note};
	if (!new->file || vasprintf(&new->text, format, ap) < 0) {
		free(new->file);
		m->errors++;
		return;
	}
	m->n++;
	m->errors += !note;
}

/* conf_error - something is wrong */
void conf_error(struct conf_messages *m, const char *file, uint32_t line, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	add_message(m, file, line, false, format, ap);
	va_end(ap);
}

/* conf_note - something is worth knowing */
void conf_note(struct conf_messages *m, const char *file, uint32_t line, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	add_message(m, file, line, true, format, ap);
	va_end(ap);
}

/* rank - the place of a message's file */
static size_t rank(const struct conf_message *msg, char *const *files, size_t nfiles)
{
	size_t i = 0;
	while (i < nfiles && strcmp(files[i], msg->file) != 0)
		i++;
	return i;
}

/* conf_messages_sort - by file and line; insertion keeps those of one line in order */
void conf_messages_sort(struct conf_messages *m, char *const *files, size_t nfiles)
{
	for (size_t i = 1; i < m->n; i++) {
		struct conf_message msg = m->v[i];
		size_t at = i, r = rank(&msg, files, nfiles);
		for (; at > 0; at--) {
			const struct conf_message *before = &m->v[at - 1];
			size_t b = rank(before, files, nfiles);
			if (b < r || (b == r && before->line <= msg.line))
				break;
			m->v[at] = *before;
		}
		m->v[at] = msg;
	}
}

/* conf_messages_print - "file:line: text" */
void conf_messages_print(const struct conf_messages *msgs, FILE *to)
{
	for (size_t i = 0; i < msgs->n; i++) {
		const struct conf_message *m = &msgs->v[i];
		if (m->line)
			fprintf(to, "%s:%u: %s%s\n", m->file, m->line, m->note ? "note: " : "",
			    m->text);
		else
			fprintf(to, "%s: %s%s\n", m->file, m->note ? "note: " : "", m->text);
	}
}

/* conf_messages_free - all zeroes again */
void conf_messages_free(struct conf_messages *msgs)
{
	for (size_t i = 0; i < msgs->n; i++) {
		free(msgs->v[i].file);
		free(msgs->v[i].text);
	}
	free(msgs->v);
	*msgs = (struct conf_messages){0};
}

/* conf_raw_file - keeps a file's name */
const char *conf_raw_file(struct conf_raw *raw, const char *path)
{
	char **v = reallocarray(raw->files, raw->nfiles + 1, sizeof(*v));
	if (v) {
		raw->files = v;
		v[raw->nfiles] = strdup(path);
		if (v[raw->nfiles])
			return v[raw->nfiles++];
	}
	raw->nomem = true;
	return "";
}

/* conf_raw_add - one more section */
struct conf_raw_section *conf_raw_add(struct conf_raw *raw, enum conf_kind_no kind,
    const char *title, const char *file, uint32_t line)
{
	struct conf_raw_section *v = reallocarray(raw->v, raw->n + 1, sizeof(*v));
	char *copy = strdup(title);
	if (v)
		raw->v = v;
	if (!v || !copy) {
		free(copy);
		raw->nomem = true;
		return NULL;
	}
	v[raw->n] =
	    (struct conf_raw_section){.kind = kind, .title = copy, .file = file, .line = line};
	return &v[raw->n++];
}

/* conf_raw_find - an option of a section */
struct conf_raw_opt *conf_raw_find(const struct conf_raw_section *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i].opt->name, name) == 0)
			return &s->v[i];
	return NULL;
}

/* drop_values - an option as if it had never been given */
static void drop_values(struct conf_raw_opt *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->v[i].text);
	free(o->v);
	o->v = NULL;
	o->n = 0;
}

/* option - the option's entry, for a first value emptied and noted, else as it is */
static struct conf_raw_opt *option(struct conf_raw *raw, struct conf_raw_section *s,
    const struct conf_opt *opt, bool first, const char *file, uint32_t line)
{
	struct conf_raw_opt *o = conf_raw_find(s, opt->name);
	if (o && first) {
		conf_note(raw->msgs, file, line, CONF_AGAIN, opt->name, o->file, o->line);
		drop_values(o);
	}
	if (!o) {
		struct conf_raw_opt *v = reallocarray(s->v, s->n + 1, sizeof(*v));
		if (!v)
			return NULL;
		s->v = v;
		o = &v[s->n++];
		*o = (struct conf_raw_opt){.opt = opt};
		first = true;
	}
	if (first) {
		o->file = file;
		o->line = line;
	}
	return o;
}

/* conf_raw_value - one more value of an option */
void conf_raw_value(struct conf_raw *raw, struct conf_raw_section *s, const struct conf_opt *opt,
    const char *text, bool first, const char *file, uint32_t line)
{
	struct conf_raw_opt *o = option(raw, s, opt, first, file, line);
	if (!o) {
		raw->nomem = true;
		return;
	}
	if (!text)
		return;
	struct conf_raw_value *v = reallocarray(o->v, o->n + 1, sizeof(*v));
	char *copy = strdup(text);
	if (v)
		o->v = v;
	if (!v || !copy) {
		free(copy);
		raw->nomem = true;
		return;
	}
	v[o->n++] = (struct conf_raw_value){.text = copy, .file = file, .line = line};
}

/* cmp_titles - sections of a kind by title, then in the order of the files */
static int cmp_titles(const void *a, const void *b)
{
	const struct conf_raw_section *x = *(struct conf_raw_section *const *)a;
	const struct conf_raw_section *y = *(struct conf_raw_section *const *)b;
	int r = (int)x->kind - (int)y->kind;
	if (!r)
		r = x->shipped - y->shipped;
	if (!r)
		r = strcasecmp(x->title, y->title);
	return r ? r : (x > y) - (x < y);
}

/* conf_raw_twins - sorted, since there may be thousands */
int conf_raw_twins(struct conf_raw *raw)
{
	struct conf_raw_section **v = calloc(raw->n + 1, sizeof(struct conf_raw_section *));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < raw->n; i++)
		v[i] = &raw->v[i];
	qsort(v, raw->n, sizeof(*v), cmp_titles);
	for (size_t i = 1, first = 0; i < raw->n; i++) {
		const struct conf_raw_section *a = v[first];
		if (!conf_kinds[a->kind].titled || a->kind != v[i]->kind ||
		    a->shipped != v[i]->shipped || strcasecmp(a->title, v[i]->title) != 0) {
			first = i;
			continue;
		}
		v[i]->twin = true;
		conf_error(raw->msgs, v[i]->file, v[i]->line, "%s \"%s\" is there already: %s:%u",
		    conf_kinds[a->kind].name, v[i]->title, a->file, a->line);
	}
	free(v);
	return 0;
}

/* conf_raw_free - frees all but the messages */
void conf_raw_free(struct conf_raw *raw)
{
	for (size_t i = 0; i < raw->n; i++) {
		for (size_t j = 0; j < raw->v[i].n; j++)
			drop_values(&raw->v[i].v[j]);
		free(raw->v[i].v);
		free(raw->v[i].title);
	}
	for (size_t i = 0; i < raw->nfiles; i++)
		free(raw->files[i]);
	free(raw->v);
	free(raw->files);
	*raw = (struct conf_raw){0};
}
