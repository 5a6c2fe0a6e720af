/* SPDX-License-Identifier: ISC */
/*
 * The parse, the only file that knows libconfuse. To it every option is a string or a list of
 * strings and every section may come again; what it finds is written down in callbacks, value by
 * value with the line, because it keeps no lines itself. Its sections are removed as soon as they
 * are complete: it would let a later one replace an earlier one of the same title. conf_text.c has
 * looked at the text before.
 */
#include "lib/conf.h"

#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf_raw.h"
#include "lib/conf_value.h"

/* Stands behind the last line of each file: only a whole text gets there. */
#define END_MARK "end-of-file"

#define OPTS_MAX 64

/* The file that is being read; its includer is `outer`. libconfuse's lexer is static, so are we. */
struct source {
	struct source *outer;
	const char *file;
	struct conf_text text;
	size_t closed; /* sections seen to their end */
	unsigned depth;
	bool ended;
};

static struct {
	struct conf_raw *raw;
	struct source *source;
	cfg_t *root;
	cfg_t *section; /* the section that `pending` is of */
	struct conf_raw_section *pending;
	bool shipped;
} parse;

static int parse_file(const char *path, unsigned depth);

/* kind_of - the kind of a libconfuse section, by its name */
static enum conf_kind_no kind_of(const cfg_t *cfg)
{
	for (int k = 1; k < CONF_KINDS; k++)
		if (cfg != parse.root && strcmp(conf_kinds[k].name, cfg->name) == 0)
			return (enum conf_kind_no)k;
	return CONF_KIND_ROOT;
}

/* raw_section - where the options of cfg go; a section begins with the first */
static struct conf_raw_section *raw_section(cfg_t *cfg)
{
	if (cfg == parse.root)
		return &parse.raw->v[0];
	if (parse.section != cfg) {
		const struct source *src = parse.source;
		uint32_t line = src->closed < src->text.nsections
				    ? src->text.sections[src->closed].line
				    : (uint32_t)cfg->line;
		const char *title = cfg_title(cfg);
		parse.pending =
		    conf_raw_add(parse.raw, kind_of(cfg), title ? title : "", src->file, line);
		parse.section = parse.pending ? cfg : NULL;
		if (parse.pending)
			parse.pending->shipped = parse.shipped;
	}
	return parse.pending;
}

/* on_value - libconfuse read one value */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct conf_raw_section *s = raw_section(cfg);
	const struct conf_opt *o = conf_opt_find(kind_of(cfg), opt->name);
	if (!s || !o) { /* "section|option" is libconfuse's way around, not ours */
		conf_error(parse.raw->msgs, parse.source->file, (uint32_t)cfg->line,
		    "unknown name \"%s\"", opt->name);
		return -1;
	}
	if (parse.shipped && cfg == parse.root)
		conf_error(parse.raw->msgs, parse.source->file, (uint32_t)cfg->line,
		    "only site sections belong into this file");
	conf_raw_value(
	    parse.raw, s, o, value, opt->nvalues <= 1, parse.source->file, (uint32_t)cfg->line);
	*(const char **)result = value;
	return 0;
}

/* empty_lists - lists that were given without a value call nobody; found afterwards */
static void empty_lists(cfg_t *cfg, struct conf_raw_section *s, uint32_t from, uint32_t to)
{
	const struct source *src = parse.source;
	for (cfg_opt_t *opt = cfg->opts; s && opt->name; opt++) {
		const struct conf_opt *o = conf_opt_find(s->kind, opt->name);
		if (!o || !(opt->flags & CFGF_LIST) || !(opt->flags & CFGF_MODIFIED) ||
		    opt->nvalues)
			continue;
		const struct conf_raw_opt *before = conf_raw_find(s, opt->name);
		if (before && before->n == 0)
			continue;
		conf_raw_value(parse.raw, s, o, NULL, true, src->file,
		    conf_text_empty_list(&src->text, opt->name, from, to));
	}
}

/* on_section - libconfuse read a section to its end */
static int on_section(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *sec = cfg_opt_getnsec(opt, 0);
	struct conf_raw_section *s = sec ? raw_section(sec) : NULL;
	(void)cfg;
	if (!s)
		return -1;
	empty_lists(sec, s, s->line, (uint32_t)sec->line);
	if (parse.shipped && s->kind != CONF_KIND_SITE)
		conf_error(
		    parse.raw->msgs, s->file, s->line, "only site sections belong into this file");
	parse.section = NULL;
	parse.source->closed++;
	return cfg_opt_rmnsec(opt, 0);
}

/* on_include - include("path"), relative to the file it stands in */
static int on_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	struct source *src = parse.source;
	uint32_t line = (uint32_t)cfg->line;
	char *path = NULL;
	(void)opt;
	if (argc != 1 || !argv[0][0]) {
		conf_error(parse.raw->msgs, src->file, line, "include() takes one path");
		return 0;
	}
	if (src->depth >= CONF_INCLUDE_DEPTH) {
		conf_error(parse.raw->msgs, src->file, line,
		    "more than %d files include each other", CONF_INCLUDE_DEPTH);
		return 0;
	}
	const char *slash = strrchr(src->file, '/');
	int n = argv[0][0] == '/' || !slash
		    ? asprintf(&path, "%s", argv[0])
		    : asprintf(&path, "%.*s/%s", (int)(slash - src->file), src->file, argv[0]);
	if (n < 0) {
		parse.raw->nomem = true;
		return 0;
	}
	int r = parse_file(path, src->depth + 1);
	if (r < 0)
		conf_error(
		    parse.raw->msgs, src->file, line, "can't include %s: %s", path, strerror(-r));
	free(path);
	return r == 1 ? -1 : 0;
}

/* on_end - the line behind the last one, in the root */
static int on_end(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	(void)cfg;
	(void)opt;
	(void)argc;
	(void)argv;
	parse.source->ended = true;
	return 0;
}

/* quoted - the text between the first pair of ' in libconfuse's words, of 256 bytes */
static const char *quoted(const char *words, char *out)
{
	const char *start = strchr(words, '\'');
	const char *end = start ? strrchr(start + 1, '\'') : NULL;
	snprintf(out, 256, "%.*s", end ? (int)(end - start - 1) : 0, end ? start + 1 : "");
	return out;
}

/* on_error - libconfuse's complaints, in our words and at the line where the mistake is */
static void on_error(cfg_t *cfg, const char *format, va_list ap)
{
	struct source *src = parse.source;
	struct conf_messages *m = parse.raw->msgs;
	uint32_t line = (uint32_t)cfg->line;
	char words[512], name[256];
	vsnprintf(words, sizeof(words), format, ap);
	quoted(words, name);
	const char *where = cfg == parse.root ? "" : conf_kinds[kind_of(cfg)].name;
	if (strncmp(words, "no such option", 14) == 0 && strcmp(name, "include") == 0)
		conf_error(m, src->file, line, "include() has to stand outside of sections");
	else if (strncmp(words, "no such option", 14) == 0)
		conf_error(m, src->file, line, "unknown name \"%s\"%s%s", name,
		    *where ? " in " : "", where);
	else if (strncmp(words, "missing equal sign", 18) == 0)
		conf_error(m, src->file, conf_text_bare(&src->text, name, line),
		    "no \"=\" behind %s", name);
	else if (strncmp(words, "missing title", 13) == 0)
		conf_error(m, src->file, conf_text_bare(&src->text, name, line),
		    "%s needs a title: %s \"...\" { }", name, name);
	else if (strncmp(words, "missing opening brace", 21) == 0)
		conf_error(m, src->file, conf_text_bare(&src->text, name, line),
		    "no \"{\" behind %s%s", name,
		    conf_kinds[kind_of(cfg)].titled ? " and its title" : "");
	else if (strncmp(words, "missing parenthesis", 19) == 0)
		conf_error(m, src->file, conf_text_bare(&src->text, name, line),
		    "no \"(\" behind %s", name);
	else if (strncmp(words, "unexpected token", 16) == 0)
		conf_error(m, src->file, line, "\"%s\" is out of place", name);
	else
		conf_error(m, src->file, line, "%s", words);
}

/* parse_text - hands a text to libconfuse; 1 if it gave up (said why), else 0 or -errno */
static int parse_text(struct source *src)
{
	FILE *f = NULL;
	char *whole = NULL, *name = strdup(src->file);
	char *outer_name = parse.root->filename;
	int outer_line = parse.root->line;
	int r = -ENOMEM;
	if (!name || asprintf(&whole, "%s%s()\n", src->text.buf, END_MARK) < 0)
		goto out;
	f = fmemopen(whole, strlen(whole), "r");
	if (!f)
		goto out;
	parse.root->filename = name;
	size_t errors = parse.raw->msgs->errors;
	r = cfg_parse_fp(parse.root, f) == CFG_SUCCESS ? 0 : 1;
	if (parse.raw->msgs->errors == errors && (r || !src->ended)) {
		conf_error(parse.raw->msgs, src->file, 0, "can't be understood to its end");
		r = 1;
	}
	if (!r)
		empty_lists(parse.root, &parse.raw->v[0], 1, UINT32_MAX);
	parse.root->filename = outer_name;
	parse.root->line = outer_line;
out:
	if (f)
		fclose(f);
	free(whole);
	free(name);
	return r;
}

/* parse_file - one file, from outside or by include(); as parse_text() */
static int parse_file(const char *path, unsigned depth)
{
	struct source src = {.outer = parse.source, .depth = depth};
	size_t errors = parse.raw->msgs->errors;
	src.file = conf_raw_file(parse.raw, path);
	int r = conf_text_read(path, &src.text, parse.raw->msgs, src.file);
	if (r)
		return parse.raw->msgs->errors > errors ? 0 : r;
	parse.source = &src;
	r = parse_text(&src);
	parse.source = src.outer;
	conf_text_free(&src.text);
	return r;
}

/* describe - libconfuse's table of a section's options; returns how many */
static size_t describe(enum conf_kind_no kind, cfg_opt_t *to)
{
	size_t n = 0;
	for (const struct conf_opt *o = NULL; (o = conf_opt_next(kind, o)) && n < OPTS_MAX; n++) {
		cfg_opt_t scalar = CFG_STR_CB(o->name, NULL, CFGF_NODEFAULT, on_value);
		cfg_opt_t list = CFG_STR_LIST_CB(o->name, NULL, CFGF_NODEFAULT, on_value);
		to[n] = conf_value_is_list(o) ? list : scalar;
	}
	return n;
}

/* new_root - libconfuse's own object, with our whole table */
static cfg_t *new_root(void)
{
	cfg_opt_t end = CFG_END(), root[OPTS_MAX + CONF_KINDS + 3];
	cfg_opt_t(*sections)[OPTS_MAX + 1] = calloc(CONF_KINDS, sizeof(*sections));
	if (!sections)
		return NULL;
	size_t n = describe(CONF_KIND_ROOT, root);
	for (int k = 1; k < CONF_KINDS; k++) {
		const struct conf_kind *kind = &conf_kinds[k];
		sections[k][describe((enum conf_kind_no)k, sections[k])] = end;
		cfg_opt_t sec = CFG_SEC(
		    kind->name, sections[k], CFGF_MULTI | (kind->titled ? CFGF_TITLE : CFGF_NONE));
		sec.validcb = on_section;
		root[n++] = sec;
	}
	root[n++] = (cfg_opt_t)CFG_FUNC("include", on_include);
	root[n++] = (cfg_opt_t)CFG_FUNC(END_MARK, on_end);
	root[n] = end;
	cfg_t *cfg = cfg_init(root, CFGF_NONE);
	free(sections);
	if (cfg)
		cfg_set_error_function(cfg, on_error);
	return cfg;
}

/* conf_parse - a file and what it includes */
int conf_parse(struct conf_raw *raw, const char *path, bool shipped)
{
	memset(&parse, 0, sizeof(parse));
	parse.raw = raw;
	parse.shipped = shipped;
	if (!raw->n && !conf_raw_add(raw, CONF_KIND_ROOT, "", "", 0))
		return -ENOMEM;
	parse.root = new_root();
	if (!parse.root)
		return -ENOMEM;
	int r = parse_file(path, 1);
	cfg_free(parse.root);
	parse.root = NULL;
	return r < 0 ? r : raw->nomem ? -ENOMEM : 0;
}
