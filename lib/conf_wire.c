/* SPDX-License-Identifier: ISC */
/*
 * The form in which a configuration goes from master to a role. It is the table of conf.def, read
 * in order: version, role, then every section kind of which the role sees an option: the number of
 * its sections and each with its title, place, given bits and visible options. What is text is
 * checked on the way in by the parsers that the file goes through, so a decoded conf holds nothing
 * a file couldn't.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf_parse.h"
#include "lib/conf_raw.h"
#include "lib/wire.h"

#define CONF_WIRE_VERSION  0x42430005u
#define CONF_WIRE_MAX      (64u << 20)
#define CONF_WIRE_SECTIONS 100000u
#define CONF_WIRE_FILES    1000u

/* kind_visible - does the role see an option of the kind */
static bool kind_visible(enum conf_kind_no kind, enum role role)
{
	for (const struct conf_opt *o = NULL; (o = conf_opt_next(kind, o));)
		if (conf_opt_visible(o, role))
			return true;
	return false;
}

/* put_list - the items of any list, counted */
static void put_list(struct wire_out *w, const struct conf_opt *o, const char *at)
{
	char text[CONF_TARGET_TEXT];
	struct conf_any_list list;
	memcpy(&list, at, sizeof(list));
	wire_put_u32(w, (uint32_t)list.n);
	for (size_t i = 0; i < list.n; i++) {
		const void *item = list.v + i * conf_item_size(o->store);
		const struct conf_addr *addr = item;
		const struct conf_net *net = item;
		if (o->store == CONF_STORE_LIST) {
			wire_put_str(w, *(char *const *)item);
		} else if (o->store == CONF_STORE_TARGETS) {
			wire_put_str(w, conf_target_format(item, text));
		} else if (o->store == CONF_STORE_ADDRS) {
			wire_put_u8(w, addr->family == AF_INET ? 4 : 6);
			wire_put_raw(w, addr->bytes, sizeof(addr->bytes));
			wire_put_u16(w, addr->port);
		} else {
			wire_put_u8(w, net->family == AF_INET ? 4 : 6);
			wire_put_raw(w, net->bytes, sizeof(net->bytes));
			wire_put_u8(w, net->prefix);
		}
	}
}

/* put_opt - one option's value */
static void put_opt(struct wire_out *w, const struct conf_opt *o, const struct conf_section *s)
{
	const void *at = (const char *)s + o->offset;
	const struct conf_rate *rate = at;
	switch (o->store) {
	case CONF_STORE_TEXT:
		wire_put_str(w, *(char *const *)at);
		break;
	case CONF_STORE_BOOL:
		wire_put_bool(w, *(const bool *)at);
		break;
	case CONF_STORE_U32:
		wire_put_u32(w, *(const uint32_t *)at);
		break;
	case CONF_STORE_U64:
		wire_put_u64(w, *(const uint64_t *)at);
		break;
	case CONF_STORE_RATE:
		wire_put_u32(w, rate->count);
		wire_put_u32(w, rate->period);
		break;
	default:
		put_list(w, o, at);
	}
}

/* put_section - what the role sees of one section */
static void put_section(
    struct wire_out *w, enum conf_kind_no kind, const struct conf_section *s, enum role role)
{
	uint64_t given = 0;
	for (const struct conf_opt *o = NULL; (o = conf_opt_next(kind, o));)
		if (conf_opt_visible(o, role))
			given |= s->given & conf_opt_bit(o);
	wire_put_str(w, s->title);
	wire_put_str(w, s->file);
	wire_put_u32(w, s->line);
	wire_put_bool(w, s->shipped);
	wire_put_u64(w, given);
	for (const struct conf_opt *o = NULL; (o = conf_opt_next(kind, o));)
		if (conf_opt_visible(o, role))
			put_opt(w, o, s);
}

/* put_files - the secret, and the files that are for the role */
static void put_files(struct wire_out *w, const struct conf *c, enum role role)
{
	static const unsigned char none[CONF_SECRET];
	uint32_t n = 0;
	for (size_t i = 0; i < c->files.n; i++)
		n += role == ROLE_MASTER || (c->files.v[i].roles & ROLE_BIT(role));
	wire_put_raw(w, role == ROLE_SMTPD ? c->secret : none, CONF_SECRET);
	wire_put_u32(w, n);
	for (size_t i = 0; i < c->files.n; i++) {
		const struct conf_file *f = &c->files.v[i];
		if (role != ROLE_MASTER && !(f->roles & ROLE_BIT(role)))
			continue;
		wire_put_str(w, f->path);
		wire_put_bytes(w, f->data, f->len);
	}
}

/* serves_tools - whether the role has to know admins by their numbers */
static bool serves_tools(enum role role)
{
	return role == ROLE_QMGR || role == ROLE_DNSCACHE;
}

/* put_ids - counted */
static void put_ids(struct wire_out *w, const struct conf_ids *ids)
{
	wire_put_u32(w, (uint32_t)ids->n);
	for (size_t i = 0; i < ids->n; i++)
		wire_put_u32(w, ids->v[i]);
}

/* conf_encode - the role's part */
int conf_encode(const struct conf *c, enum role role, unsigned char **buf, size_t *len)
{
	struct wire_out w;
	wire_out_grow(&w, CONF_WIRE_MAX);
	wire_put_u32(&w, CONF_WIRE_VERSION);
	wire_put_u8(&w, (uint8_t)role);
	for (int k = 0; k < CONF_KINDS; k++) {
		enum conf_kind_no kind = (enum conf_kind_no)k;
		if (!kind_visible(kind, role))
			continue;
		size_t n = conf_section_count(c, kind);
		wire_put_u32(&w, (uint32_t)n);
		for (size_t i = 0; i < n; i++)
			put_section(&w, kind, conf_section_at(c, kind, i), role);
	}
	put_files(&w, c, role);
	if (serves_tools(role)) {
		put_ids(&w, &c->admin_uids);
		put_ids(&w, &c->admin_gids);
	}
	int r = wire_out_end(&w);
	if (r) {
		wire_out_free(&w);
		return r;
	}
	*buf = wire_out_take(&w, len);
	return 0;
}

/* get_text - a string by way of the option's parser; "" only where the file could leave it out */
static int get_text(struct wire_in *w, const struct conf_opt *o, struct conf_section *s)
{
	char text[CONF_TARGET_TEXT], why[CONF_REASON_MAX];
	size_t n;
	const char *p = wire_get_bytes(w, &n);
	if (n >= sizeof(text) || memchr(p, '\0', n))
		return -EBADMSG;
	memcpy(text, p, n);
	text[n] = '\0';
	int r = conf_value_add(o, s, text, why);
	return r == -EINVAL ? -EBADMSG : r;
}

/* get_item - an address or network of a list */
static int get_item(struct wire_in *w, const struct conf_opt *o, char *item)
{
	struct conf_addr *addr = (void *)item;
	struct conf_net *net = (void *)item;
	uint8_t version = wire_get_u8(w), *bytes = addr->bytes;
	const uint8_t *p = wire_get_raw(w, sizeof(addr->bytes));
	if (!p || (version != 4 && version != 6))
		return -EBADMSG;
	if (o->store == CONF_STORE_NETS)
		bytes = net->bytes;
	memcpy(bytes, p, sizeof(addr->bytes));
	if (o->store == CONF_STORE_NETS) {
		net->family = version == 4 ? AF_INET : AF_INET6;
		net->prefix = wire_get_u8(w);
		return net->prefix > (version == 4 ? 32 : 128) ? -EBADMSG : 0;
	}
	addr->family = version == 4 ? AF_INET : AF_INET6;
	addr->port = wire_get_u16(w);
	return 0;
}

/* get_list - as many items as the bytes that are left could hold */
static int get_list(struct wire_in *w, const struct conf_opt *o, struct conf_section *s)
{
	uint32_t n = wire_get_u32(w);
	int r = 0;
	conf_value_clear(o, s);
	if (n > CONF_LIST_MAX || n > wire_left(w))
		return -EBADMSG;
	if (o->store == CONF_STORE_LIST || o->store == CONF_STORE_TARGETS) {
		for (uint32_t i = 0; !r && i < n; i++)
			r = get_text(w, o, s);
		return r;
	}
	struct conf_any_list list = {.v = n ? calloc(n, conf_item_size(o->store)) : NULL};
	if (n && !list.v)
		return -ENOMEM;
	for (; !r && list.n < n; list.n++)
		r = get_item(w, o, list.v + list.n * conf_item_size(o->store));
	memcpy((char *)s + o->offset, &list, sizeof(list));
	return r;
}

/* get_u32 - a number, factor or word in its range */
static int get_u32(struct wire_in *w, const struct conf_opt *o, uint32_t *to)
{
	size_t len;
	*to = wire_get_u32(w);
	if (o->type == CONF_TYPE_WORD)
		return conf_word_at(o->words, *to, &len) ? 0 : -EBADMSG;
	return *to < o->low || *to > o->high ? -EBADMSG : 0;
}

/* get_opt - one option's value */
static int get_opt(struct wire_in *w, const struct conf_opt *o, struct conf_section *s)
{
	void *at = (char *)s + o->offset;
	struct conf_rate *rate = at;
	switch (o->store) {
	case CONF_STORE_TEXT:
		return get_text(w, o, s);
	case CONF_STORE_BOOL:
		*(bool *)at = wire_get_bool(w);
		return 0;
	case CONF_STORE_U32:
		return get_u32(w, o, at);
	case CONF_STORE_U64:
		*(uint64_t *)at = wire_get_u64(w);
		return *(uint64_t *)at < o->low || *(uint64_t *)at > o->high ? -EBADMSG : 0;
	case CONF_STORE_RATE:
		rate->count = wire_get_u32(w);
		rate->period = wire_get_u32(w);
		return rate->count && !rate->period ? -EBADMSG : 0;
	default:
		return get_list(w, o, s);
	}
}

/* get_place - the file and line where it stands */
static int get_place(struct wire_in *w, struct conf_section *s)
{
	char file[PATH_MAX];
	size_t n;
	const char *p = wire_get_bytes(w, &n);
	s->line = wire_get_u32(w);
	if (w->err || n >= sizeof(file) || memchr(p, '\0', n))
		return -EBADMSG;
	memcpy(file, p, n);
	file[n] = '\0';
	return conf_set_text(&s->file, file);
}

/* get_section - one section into the conf */
static int get_section(struct wire_in *w, struct conf *c, enum conf_kind_no kind, enum role role)
{
	char title[CONF_NAME_SIZE];
	size_t n;
	const char *p = wire_get_bytes(w, &n);
	if (w->err || n >= sizeof(title) || memchr(p, '\0', n))
		return -EBADMSG;
	memcpy(title, p, n);
	title[n] = '\0';
	struct conf_section *s = conf_kinds[kind].titled ? conf_section_add(c, kind, title)
							 : conf_section_at(c, kind, 0);
	if (!s)
		return -ENOMEM;
	int r = get_place(w, s);
	if (r)
		return r;
	s->shipped = wire_get_bool(w);
	s->given = wire_get_u64(w);
	for (const struct conf_opt *o = NULL; !r && (o = conf_opt_next(kind, o));)
		if (conf_opt_visible(o, role))
			r = get_opt(w, o, s);
	return r ? r : w->err;
}

/* get_file - one of them */
static int get_file(struct wire_in *w, struct conf_file *f)
{
	size_t path_len, len;
	const char *path = wire_get_bytes(w, &path_len), *data = wire_get_bytes(w, &len);
	if (w->err || !path_len || memchr(path, '\0', path_len))
		return -EBADMSG;
	f->path = strndup(path, path_len);
	f->data = malloc(len + 1);
	if (!f->path || !f->data)
		return -ENOMEM;
	memcpy(f->data, data, len);
	f->data[len] = '\0';
	f->len = len;
	return 0;
}

/* get_files - the secret, and files */
static int get_files(struct wire_in *w, struct conf *c)
{
	const uint8_t *secret = wire_get_raw(w, CONF_SECRET);
	uint32_t n = wire_get_u32(w);
	int r = 0;
	if (!secret || n > CONF_WIRE_FILES || n > wire_left(w))
		return -EBADMSG;
	memcpy(c->secret, secret, CONF_SECRET);
	c->files.v = n ? calloc(n, sizeof(*c->files.v)) : NULL;
	if (n && !c->files.v)
		return -ENOMEM;
	while (!r && c->files.n < n)
		r = get_file(w, &c->files.v[c->files.n++]);
	return r;
}

/* get_ids - as many as the bytes that are left could hold */
static int get_ids(struct wire_in *w, struct conf_ids *ids)
{
	uint32_t n = wire_get_u32(w);
	if (n > CONF_LIST_MAX + 1 || n > wire_left(w) / sizeof(*ids->v))
		return -EBADMSG;
	ids->v = n ? calloc(n, sizeof(*ids->v)) : NULL;
	if (n && !ids->v)
		return -ENOMEM;
	while (ids->n < n)
		ids->v[ids->n++] = wire_get_u32(w);
	return 0;
}

/* get_conf - all sections the role sees */
static int get_conf(struct wire_in *w, struct conf *c)
{
	if (wire_get_u32(w) != CONF_WIRE_VERSION)
		return -EBADMSG;
	enum role role = (enum role)wire_get_u8(w);
	if (role <= ROLE_NONE || role >= ROLE_COUNT)
		return -EBADMSG;
	int r = 0;
	for (int k = 0; !r && k < CONF_KINDS; k++) {
		enum conf_kind_no kind = (enum conf_kind_no)k;
		if (!kind_visible(kind, role))
			continue;
		uint32_t n = wire_get_u32(w);
		if (conf_kinds[kind].titled ? n > CONF_WIRE_SECTIONS : n != 1)
			return -EBADMSG;
		for (uint32_t i = 0; !r && i < n; i++)
			r = get_section(w, c, kind, role);
	}
	if (!r)
		r = get_files(w, c);
	if (!r && serves_tools(role))
		r = get_ids(w, &c->admin_uids);
	if (!r && serves_tools(role))
		r = get_ids(w, &c->admin_gids);
	return r ? r : wire_in_end(w);
}

/* conf_decode - a conf from bytes */
int conf_decode(const unsigned char *buf, size_t len, struct conf **out)
{
	struct wire_in w;
	struct conf *c = conf_new();
	*out = NULL;
	if (!c)
		return -ENOMEM;
	wire_in_init(&w, buf, len);
	int r = get_conf(&w, c);
	if (!r && !c->hostname[0])
		r = conf_set_text(&c->hostname, "localhost");
	if (!r && !c->origin[0])
		r = conf_set_text(&c->origin, c->hostname);
	if (!r)
		r = conf_complete(c);
	if (r)
		conf_free(c);
	else
		*out = c;
	return r == -E2BIG || r == -EINVAL ? -EBADMSG : r;
}
