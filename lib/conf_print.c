/* SPDX-License-Identifier: ISC */
/*
 * Values and whole configurations as text that conf_load() would take back.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/conf_parse.h"

/* print_time - a duration in its largest whole unit */
static void print_time(uint64_t ms, FILE *to)
{
	static const uint64_t factors[] = {86400000, 3600000, 60000, 1000};
	for (size_t i = 0; i < 4; i++)
		if (ms && ms % factors[i] == 0) {
			fprintf(to, "%" PRIu64 "%c", ms / factors[i], "dhms"[i]);
			return;
		}
	fprintf(to, "%" PRIu64, ms);
}

/* conf_quote - a text as the file has it */
void conf_quote(const char *text, FILE *to)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', to);
		fputc(*text, to);
	}
	fputc('"', to);
}

/* print_item - the Nth item of a list */
static void print_item(enum conf_store store, const struct conf_any_list *list, size_t i, FILE *to)
{
	char buf[CONF_ADDR_TEXT + 4];
	const char *item = list->v + i * conf_item_size(store);
	switch (store) {
	case CONF_STORE_LIST:
		conf_quote(*(char *const *)(const void *)item, to);
		break;
	case CONF_STORE_ADDRS:
		conf_quote(conf_addr_format((const void *)item, buf), to);
		break;
	case CONF_STORE_NETS:
		conf_quote(conf_net_format((const void *)item, buf), to);
		break;
	default:
		conf_target_print((const void *)item, to);
	}
}

/* print_scalar - numbers in the units of the file */
static void print_scalar(const struct conf_opt *o, const char *at, FILE *to)
{
	uint32_t u32 = 0;
	uint64_t u64 = 0;
	size_t len;
	const struct conf_rate *rate = (const void *)at;
	memcpy(&u32, at, o->store == CONF_STORE_U32 ? sizeof(u32) : 0);
	memcpy(&u64, at, o->store == CONF_STORE_U64 ? sizeof(u64) : 0);
	const char *w;
	switch (o->type) {
	case CONF_TYPE_BOOL:
		fputs(*(const bool *)at ? "true" : "false", to);
		break;
	case CONF_TYPE_WORD:
		w = conf_word_at(o->words, u32, &len);
		fprintf(to, "\"%.*s\"", w ? (int)len : 0, w ? w : "");
		break;
	case CONF_TYPE_FACTOR:
		fprintf(to, "%" PRIu32 ".%03" PRIu32, u32 / 1000, u32 % 1000);
		break;
	case CONF_TYPE_TIME:
		print_time(u64, to);
		break;
	case CONF_TYPE_SIZE:
		fprintf(to, "%" PRIu64 "%s", u64 & 1048575 || !u64 ? u64 : u64 >> 20,
		    u64 & 1048575 || !u64 ? "" : "M");
		break;
	case CONF_TYPE_RATE:
		if (rate->count)
			fprintf(to, "\"%" PRIu32 "/%c\"", rate->count,
			    rate->period < 60000      ? 's'
			    : rate->period < 3600000  ? 'm'
			    : rate->period < 86400000 ? 'h'
						      : 'd');
		else
			fputs("\"none\"", to);
		break;
	default:
		fprintf(to, "%" PRIu32, u32);
	}
}

/* conf_value_print - the value as it would stand in the file */
void conf_value_print(const struct conf_opt *opt, const struct conf_section *s, FILE *to)
{
	const char *at = (const char *)s + opt->offset;
	if (opt->store == CONF_STORE_TEXT) {
		conf_quote(*(char *const *)(const void *)at, to);
	} else if (conf_value_is_list(opt)) {
		struct conf_any_list list;
		memcpy(&list, at, sizeof(list));
		fputs("{", to);
		for (size_t i = 0; i < list.n; i++) {
			fputs(i ? ", " : " ", to);
			print_item(opt->store, &list, i, to);
		}
		fputs(" }", to);
	} else {
		print_scalar(opt, at, to);
	}
}

/* print_section - the lines of one section */
static void print_section(
    const struct conf_section *s, enum conf_kind_no kind, const char *indent, FILE *to)
{
	for (const struct conf_opt *o = NULL; (o = conf_opt_next(kind, o));) {
		/* what a site leaves out it inherits, which isn't the same as its default */
		if (kind == CONF_KIND_SITE && !(s->given & conf_opt_bit(o)))
			continue;
		/* a word that is "not set" can't be written */
		if (o->type == CONF_TYPE_WORD && !o->def[0] &&
		    *(const uint32_t *)(const void *)((const char *)s + o->offset) == 0)
			continue;
		fprintf(to, "%s%s = ", indent, o->name);
		conf_value_print(o, s, to);
		fputc('\n', to);
	}
}

/* conf_print - every option with its value */
void conf_print(const struct conf *c, FILE *to)
{
	for (int k = 0; k < CONF_KINDS; k++) {
		enum conf_kind_no kind = (enum conf_kind_no)k;
		for (size_t i = 0; i < conf_section_count(c, kind); i++) {
			const struct conf_section *s = conf_section_at(c, kind, i);
			if (s->shipped)
				continue; /* named by `sites` already */
			if (kind == CONF_KIND_ROOT) {
				print_section(s, kind, "", to);
				continue;
			}
			fprintf(to, "\n%s ", conf_kinds[kind].name);
			if (conf_kinds[kind].titled) {
				conf_quote(s->title, to);
				fputc(' ', to);
			}
			fputs("{\n", to);
			print_section(s, kind, "\t", to);
			fputs("}\n", to);
		}
	}
}
