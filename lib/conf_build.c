/* SPDX-License-Identifier: ISC */
/*
 * From files to a struct conf: parse (conf.c), take every value with its checks (here), then look
 * at the whole (conf_check.c). All steps go on after an error, so that one run shows as many
 * mistakes as can be known.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf_raw.h"
#include "lib/conf_value.h"

/* conf_set_text - sets a text to a copy of another */
int conf_set_text(char **to, const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

/* refuse - says why a value is wrong, without its control characters */
static void refuse(struct conf_raw *raw, const struct conf_opt *opt, const struct conf_raw_value *v,
    const char *why)
{
	char text[80];
	snprintf(text, sizeof(text), "%s", v->text);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	conf_error(raw->msgs, v->file, v->line, "%s = \"%s%s\": %s", opt->name, text,
	    strlen(v->text) < sizeof(text) ? "" : "...", why);
}

/* note_again - a plain section may come again, with an option that an earlier one had */
static void note_again(struct conf_raw *raw, const struct conf_raw_section *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct conf_raw_opt *before = NULL, *o = &s->v[i];
		for (const struct conf_raw_section *e = raw->v; e < s; e++)
			if (e->kind == s->kind && conf_raw_find(e, o->opt->name))
				before = conf_raw_find(e, o->opt->name);
		if (before)
			conf_note(raw->msgs, o->file, o->line, CONF_AGAIN, o->opt->name,
			    before->file, before->line);
	}
}

/* take_option - all values of one option */
static int take_option(struct conf_section *s, struct conf_raw *raw, const struct conf_raw_opt *o)
{
	char why[CONF_REASON_MAX];
	if (conf_value_is_list(o->opt))
		conf_value_clear(o->opt, s);
	s->given |= conf_opt_bit(o->opt);
	for (size_t i = 0; i < o->n; i++) {
		int r = conf_value_add(o->opt, s, o->v[i].text, why);
		if (r == -EINVAL)
			refuse(raw, o->opt, &o->v[i], why);
		else if (r)
			return r;
	}
	return 0;
}

/* title_valid - titles are names of routes, sites and credentials in logs and commands */
static bool title_valid(const char *title)
{
	size_t n = strlen(title);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)title[i] <= ' ' || (unsigned char)title[i] > '~' ||
		    title[i] == '"')
			return false;
	return n > 0 && n < CONF_NAME_SIZE;
}

/* take_section - one section with its options */
static int take_section(struct conf *c, struct conf_raw *raw, const struct conf_raw_section *from)
{
	struct conf_section *s;
	if (conf_kinds[from->kind].titled) {
		if (!title_valid(from->title)) {
			conf_error(raw->msgs, from->file, from->line,
			    "the title of a %s is a name without spaces",
			    conf_kinds[from->kind].name);
			return 0;
		}
		s = conf_section_add(c, from->kind, from->title);
	} else {
		s = conf_section_at(c, from->kind, 0);
		note_again(raw, from);
	}
	if (!s || conf_set_text(&s->file, from->file))
		return -ENOMEM;
	s->line = from->line;
	s->shipped = from->shipped;
	int r = 0;
	for (size_t i = 0; !r && i < from->n; i++)
		r = take_option(s, raw, &from->v[i]);
	return r;
}

/* conf_build - takes all of raw */
int conf_build(struct conf *c, struct conf_raw *raw)
{
	int r = 0;
	for (size_t i = 0; !r && i < raw->n; i++)
		r = raw->v[i].twin ? 0 : take_section(c, raw, &raw->v[i]);
	return r;
}

/* parse_sites - the shipped site entries; where they aren't installed is no mistake */
static int parse_sites(struct conf_raw *raw)
{
	const struct conf_raw_opt *o = conf_raw_find(&raw->v[0], "sites");
	const char *def = conf_opt_find(CONF_KIND_ROOT, "sites")->def;
	const char *path = o ? o->v[0].text : def;
	if (path[0] != '/')
		return 0;
	/* kept apart: parsing may move raw->v */
	const char *file = o ? o->v[0].file : "";
	uint32_t line = o ? o->v[0].line : 0;
	int r = conf_parse(raw, path, true);
	if (r == -ENOMEM)
		return r;
	if (r && !(r == -ENOENT && strcmp(path, def) == 0))
		conf_error(raw->msgs, file, line, "can't read %s: %s", path, strerror(-r));
	return 0;
}

/* conf_load - reads, checks and completes a configuration */
int conf_load(const char *path, struct conf **out, struct conf_messages *msgs)
{
	return conf_load_with(path, out, msgs, NULL);
}

/* conf_load_with - the same with a step of the caller's */
int conf_load_with(const char *path, struct conf **out, struct conf_messages *msgs, conf_more *more)
{
	struct conf_raw raw = {.msgs = msgs};
	struct conf *c = NULL;
	*out = NULL;
	int r = conf_parse(&raw, path, false);
	if (r) {
		conf_error(msgs, path, 0, "can't be read: %s", strerror(-r));
		goto out;
	}
	raw.v[0].file = raw.files[0];
	r = parse_sites(&raw);
	c = r ? NULL : conf_new();
	if (!c) {
		r = -ENOMEM;
		goto out;
	}
	bool understood = msgs->errors == 0;
	r = conf_raw_twins(&raw);
	if (!r)
		r = conf_build(c, &raw);
	if (!r && understood) /* of half a file the whole can't be judged */
		r = conf_check(c, &raw);
	if (!r && understood && more)
		r = more(c, &raw);
	if (!r && (msgs->errors || raw.nomem))
		r = raw.nomem ? -ENOMEM : -EINVAL;
	conf_messages_sort(msgs, raw.files, raw.nfiles);
	if (!r) {
		*out = c;
		c = NULL;
	}
out:
	conf_free(c);
	conf_raw_free(&raw);
	return r;
}

/* conf_default - as an empty file gives it */
struct conf *conf_default(void)
{
	struct conf_messages msgs = {0};
	struct conf_raw raw = {.msgs = &msgs};
	struct conf *c = conf_new();
	if (c && (!conf_raw_add(&raw, CONF_KIND_ROOT, "", "", 0) || conf_check(c, &raw))) {
		conf_free(c);
		c = NULL;
	}
	conf_raw_free(&raw);
	conf_messages_free(&msgs);
	return c;
}

/* conf_file - what a role was given of a file */
const struct conf_file *conf_file(const struct conf *c, const char *path)
{
	for (size_t i = 0; i < c->files.n; i++)
		if (strcmp(c->files.v[i].path, path) == 0)
			return &c->files.v[i];
	return NULL;
}

/* conf_files_forget - no trace of a key stays in memory */
void conf_files_forget(struct conf *c)
{
	for (size_t i = 0; i < c->files.n; i++) {
		if (c->files.v[i].data)
			explicit_bzero(c->files.v[i].data, c->files.v[i].len);
		free(c->files.v[i].data);
		free(c->files.v[i].path);
	}
	free(c->files.v);
	c->files = (struct conf_files){0};
}

/* conf_free - all that a conf owns */
void conf_free(struct conf *c)
{
	if (!c)
		return;
	conf_index_free(c);
	for (int k = 0; k < CONF_KINDS; k++) {
		enum conf_kind_no kind = (enum conf_kind_no)k;
		size_t n = conf_section_count(c, kind);
		struct conf_section *first = conf_section_at(c, kind, 0);
		for (size_t i = 0; i < n; i++)
			conf_section_clear(kind, conf_section_at(c, kind, i));
		if (conf_kinds[kind].titled)
			free(first);
	}
	conf_section_clear(CONF_KIND_ROUTE, (struct conf_section *)&c->route_local);
	free(c->mailbox_path);
	conf_target_clear(&c->mailbox_target);
	conf_files_forget(c);
	free(c->admin_uids.v);
	free(c->admin_gids.v);
	free(c);
}
