/* SPDX-License-Identifier: ISC */
/*
 * Each type has one parser that takes one item of text to the place where it is kept; lists and
 * scalars differ only in where that place is. A parser that fails leaves nothing behind; when it
 * gives no reason of its own, the type's description is the reason. The parsers are in
 * conf_scalar.c, conf_pattern.c, conf_addr.c and conf_target.c.
 */
#include "lib/conf_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf_parse.h"

static conf_parser *const parsers[CONF_TYPES] = {
    [CONF_TYPE_BOOL] = conf_parse_bool,
    [CONF_TYPE_NUMBER] = conf_parse_number,
    [CONF_TYPE_FACTOR] = conf_parse_factor,
    [CONF_TYPE_WORD] = conf_parse_word,
    [CONF_TYPE_SIZE] = conf_parse_size,
    [CONF_TYPE_TIME] = conf_parse_time,
    [CONF_TYPE_RATE] = conf_parse_rate,
    [CONF_TYPE_PATH] = conf_parse_path,
    [CONF_TYPE_USERS] = conf_parse_users,
    [CONF_TYPE_DOMAIN] = conf_parse_domain,
    [CONF_TYPE_USER] = conf_parse_user,
    [CONF_TYPE_ADDRESS] = conf_parse_address,
    [CONF_TYPE_MAILBOX] = conf_parse_mailbox,
    [CONF_TYPE_PATHS] = conf_parse_path,
    [CONF_TYPE_DOMAINS] = conf_parse_domains,
    [CONF_TYPE_RCPTS] = conf_parse_rcpt,
    [CONF_TYPE_SENDERS] = conf_parse_sender,
    [CONF_TYPE_SITES] = conf_parse_site,
    [CONF_TYPE_HEADERS] = conf_parse_header,
    [CONF_TYPE_NAMES] = conf_parse_name,
    [CONF_TYPE_DNSLISTS] = conf_parse_dnslist,
    [CONF_TYPE_ADMINS] = conf_parse_admin,
    [CONF_TYPE_PRINTS] = conf_parse_print,
    [CONF_TYPE_MASQS] = conf_parse_masq,
    [CONF_TYPE_ADDRS] = conf_parse_addr,
    [CONF_TYPE_HOSTS] = conf_parse_addr,
    [CONF_TYPE_NETS] = conf_parse_net,
    [CONF_TYPE_TARGETS] = conf_parse_target,
};

static const char *const descriptions[CONF_TYPES] = {
#define TYPE(name, store, what) what,
#include "lib/conf_value.def"
};

/* The size of one item of each store, and whether it is kept in a list. */
static const struct {
	size_t item;
	bool list;
} stores[CONF_STORES] = {
    [CONF_STORE_TEXT] = {sizeof(char *), false},
    [CONF_STORE_BOOL] = {sizeof(bool), false},
    [CONF_STORE_U32] = {sizeof(uint32_t), false},
    [CONF_STORE_U64] = {sizeof(uint64_t), false},
    [CONF_STORE_RATE] = {sizeof(struct conf_rate), false},
    [CONF_STORE_LIST] = {sizeof(char *), true},
    [CONF_STORE_ADDRS] = {sizeof(struct conf_addr), true},
    [CONF_STORE_NETS] = {sizeof(struct conf_net), true},
    [CONF_STORE_TARGETS] = {sizeof(struct conf_target), true},
};

/* conf_item_size - bytes of one item of a list */
size_t conf_item_size(enum conf_store store)
{
	return stores[store].item;
}

/* conf_value_is_list - does it take several values */
bool conf_value_is_list(const struct conf_opt *opt)
{
	return stores[opt->store].list;
}

/* clean - no text of a configuration holds control characters, nor is it endless */
static bool clean(const char *text)
{
	size_t n = strlen(text);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return n <= CONF_TEXT_MAX;
}

/* add_item - one more item of a list */
static int add_item(const struct conf_opt *opt, char *at, const char *text, char *why)
{
	size_t size = stores[opt->store].item;
	struct conf_any_list list;
	memcpy(&list, at, sizeof(list));
	if (list.n >= CONF_LIST_MAX)
		return conf_why(why, "has more than %d entries", CONF_LIST_MAX);
	char *v = reallocarray(list.v, list.n + 1, size);
	if (!v)
		return -ENOMEM;
	list.v = v;
	memset(v + list.n * size, 0, size);
	int r = parsers[opt->type](opt, text, v + list.n * size, why);
	list.n += r == 0;
	memcpy(at, &list, sizeof(list));
	return r;
}

/* conf_value_add - takes one value */
int conf_value_add(
    const struct conf_opt *opt, struct conf_section *s, const char *text, char why[CONF_REASON_MAX])
{
	char *at = (char *)s + opt->offset;
	why[0] = '\0';
	if (!clean(text))
		return conf_why(
		    why, "has a control character, or is longer than %d bytes", CONF_TEXT_MAX);
	int r;
	if (conf_value_is_list(opt)) {
		r = add_item(opt, at, text, why);
	} else if (opt->store == CONF_STORE_TEXT) {
		char *new = NULL;
		r = parsers[opt->type](opt, text, &new, why);
		if (!r) {
			free(*(char **)at);
			*(char **)at = new;
		}
	} else {
		r = parsers[opt->type](opt, text, at, why);
	}
	if (r == -EINVAL && !why[0])
		conf_why(why, "must be %s", descriptions[opt->type]);
	return r;
}

/* conf_value_clear - frees what the option holds */
void conf_value_clear(const struct conf_opt *opt, struct conf_section *s)
{
	char *at = (char *)s + opt->offset;
	if (opt->store == CONF_STORE_TEXT) {
		free(*(char **)at);
		*(char **)at = NULL;
	} else if (conf_value_is_list(opt)) {
		struct conf_any_list list;
		memcpy(&list, at, sizeof(list));
		for (size_t i = 0; i < list.n && opt->store == CONF_STORE_LIST; i++)
			free(((char **)(void *)list.v)[i]);
		for (size_t i = 0; i < list.n && opt->store == CONF_STORE_TARGETS; i++)
			conf_target_clear((struct conf_target *)(void *)list.v + i);
		free(list.v);
		list = (struct conf_any_list){0};
		memcpy(at, &list, sizeof(list));
	}
}

/* must_add - a default of the table; it being wrong is a bug of ours */
static int must_add(const struct conf_opt *opt, struct conf_section *s, const char *text)
{
	char why[CONF_REASON_MAX];
	int r = conf_value_add(opt, s, text, why);
	if (r == -EINVAL) {
		fprintf(stderr, "bug: default of %s: %s\n", opt->name, why);
		abort();
	}
	return r;
}

/* conf_value_default - sets an option to its default */
int conf_value_default(const struct conf_opt *opt, struct conf_section *s)
{
	char *at = (char *)s + opt->offset;
	conf_value_clear(opt, s);
	if (opt->store == CONF_STORE_TEXT)
		return opt->def[0] ? must_add(opt, s, opt->def) : conf_keep("", at);
	if (opt->store == CONF_STORE_U32 && !opt->def[0]) {
		*(uint32_t *)(void *)at = 0; /* a word that is "not set" */
		return 0;
	}
	if (!conf_value_is_list(opt))
		return must_add(opt, s, opt->def);
	char item[CONF_TEXT_MAX];
	for (const char *p = opt->def; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");
		snprintf(item, sizeof(item), "%.*s", (int)n, p);
		int r = must_add(opt, s, item);
		if (r)
			return r;
		p += n;
	}
	return 0;
}
