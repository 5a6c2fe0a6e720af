/* SPDX-License-Identifier: ISC */
/*
 * The checks and defaults that need more than one option. Each check names the line of the option
 * that a user would change; the file's text is long gone, but raw has the lines.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/conf_raw.h"
#include "lib/conf_value.h"

/* add_text - one more entry of a list, by way of its option's checks */
static int add_text(
    enum conf_kind_no kind, struct conf_section *s, const char *name, const char *text)
{
	char why[CONF_REASON_MAX];
	return conf_value_add(conf_opt_find(kind, name), s, text, why);
}

/* given - was the option written down */
static bool given(enum conf_kind_no kind, const struct conf_section *s, const char *name)
{
	return s->given & conf_opt_bit(conf_opt_find(kind, name));
}

/* conf_place - file and line of an option's value */
void conf_place(const struct conf_raw *raw, enum conf_kind_no kind, const struct conf_section *s,
    const char *name, size_t at, const char **file, uint32_t *line)
{
	*file = s->file;
	*line = s->line;
	for (size_t i = 0; i < raw->n; i++) {
		const struct conf_raw_section *r = &raw->v[i];
		const struct conf_raw_opt *o = r->kind == kind ? conf_raw_find(r, name) : NULL;
		if (!o || r->shipped != s->shipped || strcmp(r->title, s->title) != 0)
			continue;
		*file = at < o->n ? o->v[at].file : o->file;
		*line = at < o->n ? o->v[at].line : o->line;
	}
}

/* say - an error or a note, with the section in front */
static void say(struct conf_raw *raw, bool note, enum conf_kind_no kind,
    const struct conf_section *s, const char *name, size_t at, const char *text)
{
	const struct conf_kind *k = &conf_kinds[kind];
	const char *file, *quote = k->titled ? "\"" : "", *title = k->titled ? s->title : "";
	uint32_t line;
	conf_place(raw, kind, s, name, at, &file, &line);
	(note ? conf_note : conf_error)(raw->msgs, file, line, "%s%s%s%s%s%s%s", k->name,
	    k->titled ? " " : "", quote, title, quote, k->name[0] ? ": " : "", text);
}

/* conf_complain - at the line of one of an option's values */
void conf_complain(struct conf_raw *raw, bool note, enum conf_kind_no kind,
    const struct conf_section *s, const char *name, size_t at, const char *format, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	say(raw, note, kind, s, name, at, text);
}

/* complain - at the option's line, or at the section's if it isn't given */
__attribute__((format(printf, 5, 6))) static void complain(struct conf_raw *raw,
    enum conf_kind_no kind, const struct conf_section *s, const char *name, const char *format, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	say(raw, false, kind, s, name, SIZE_MAX, text);
}

/* missing - a list that has to have an entry and has none; not if a bad entry was the reason */
static bool missing(enum conf_kind_no kind, const struct conf_section *s, const char *name,
    size_t n, const struct conf_raw *raw)
{
	return n == 0 && !(given(kind, s, name) && raw->msgs->errors);
}

/* same_addr - one address and port */
static bool same_addr(const struct conf_addr *a, const struct conf_addr *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* check_names - hostname, origin and the domains that follow from them */
static int check_names(struct conf *c)
{
	char name[CONF_NAME_SIZE];
	struct conf_section *root = (struct conf_section *)c;
	int r = 0;
	if (!c->hostname[0]) {
		conf_host_name(name);
		r = conf_set_text(&c->hostname, name);
	}
	if (!r && !c->origin[0]) {
		conf_mail_name(name);
		r = conf_set_text(&c->origin, name[0] ? name : c->hostname);
	}
	if (r || given(CONF_KIND_ROOT, root, "local_domains"))
		return r;
	r = add_text(CONF_KIND_ROOT, root, "local_domains", "localhost");
	if (!r && strcasecmp(c->hostname, "localhost") != 0)
		r = add_text(CONF_KIND_ROOT, root, "local_domains", c->hostname);
	if (!r && strcasecmp(c->origin, c->hostname) != 0)
		r = add_text(CONF_KIND_ROOT, root, "local_domains", c->origin);
	return r;
}

/* check_tls - pairs of certificate and key */
static void check_tls(const struct conf *c, struct conf_raw *raw)
{
	const struct conf_tls_files *t = &c->tls;
	if (t->certificate.n != t->key.n)
		complain(raw, CONF_KIND_TLS, (const struct conf_section *)t,
		    t->key.n ? "key" : "certificate",
		    "as many keys as certificates are needed (%zu and %zu)", t->key.n,
		    t->certificate.n);
	if (!c->deliver.certificate[0] != !c->deliver.key[0])
		complain(raw, CONF_KIND_DELIVER, (const struct conf_section *)&c->deliver,
		    c->deliver.key[0] ? "key" : "certificate",
		    "certificate and key belong together");
}

/* check_addresses - no two listeners on one address */
static void check_addresses(const struct conf *c, size_t i, struct conf_raw *raw)
{
	const struct conf_listen *l = &c->listen[i];
	char buf[CONF_ADDR_TEXT];
	for (size_t a = 0; a < l->address.n; a++)
		for (size_t j = 0; j <= i; j++)
			for (size_t b = 0; b < (j < i ? c->listen[j].address.n : a); b++)
				if (same_addr(&c->listen[j].address.v[b], &l->address.v[a]))
					complain(raw, CONF_KIND_LISTEN,
					    (const struct conf_section *)l, "address",
					    "%s is taken by listen \"%s\" (%s:%u)",
					    conf_addr_format(&l->address.v[a], buf),
					    c->listen[j].title, c->listen[j].file,
					    c->listen[j].line);
}

/* check_listen - at least one listener, each with addresses, TLS only with a certificate */
static int check_listen(struct conf *c, struct conf_raw *raw)
{
	bool certificate = c->tls.certificate.n > 0;
	if (c->nlisten == 0) {
		struct conf_section *s = conf_section_add(c, CONF_KIND_LISTEN, "default");
		if (!s || add_text(CONF_KIND_LISTEN, s, "address", "127.0.0.1:25") ||
		    add_text(CONF_KIND_LISTEN, s, "address", "[::1]:25"))
			return -ENOMEM;
	}
	for (size_t i = 0; i < c->nlisten; i++) {
		struct conf_listen *l = &c->listen[i];
		struct conf_section *s = (struct conf_section *)l;
		if (missing(CONF_KIND_LISTEN, s, "address", l->address.n, raw))
			complain(raw, CONF_KIND_LISTEN, s, "address", "needs an address");
		check_addresses(c, i, raw);
		if (l->tls == CONF_LISTEN_TLS_UNSET)
			l->tls = certificate ? CONF_LISTEN_TLS_OFFERED : CONF_LISTEN_TLS_NONE;
		else if (l->tls != CONF_LISTEN_TLS_NONE && !certificate)
			complain(raw, CONF_KIND_LISTEN, s, "tls",
			    "needs a certificate: tls { certificate = ... key = ... }");
	}
	return 0;
}

/* check_domain - the title stands for `domain` where that isn't given */
static int check_domain(
    enum conf_kind_no kind, struct conf_section *s, const struct conf_list *l, struct conf_raw *raw)
{
	int r = 0;
	if (!given(kind, s, "domain")) {
		r = add_text(kind, s, "domain", s->title);
		if (r == -EINVAL)
			complain(raw, kind, s, "domain",
			    "its title is no domain, so it needs domain = \"...\"");
	} else if (missing(kind, s, "domain", l->n, raw)) {
		complain(raw, kind, s, "domain", "needs an entry");
	}
	return r == -EINVAL ? 0 : r;
}

/* check_targets - ports filled in, lists of one kind */
static int check_targets(const struct conf *c, struct conf_route *t, struct conf_raw *raw)
{
	struct conf_section *s = (struct conf_section *)t;
	int r = 0;
	for (size_t i = 0; !r && i < t->to.n; i++) {
		struct conf_target *hop = &t->to.v[i];
		if (hop->kind == CONF_TARGET_RELAY && hop->port == 0) {
			hop->port = (uint16_t)c->deliver.port;
			hop->implicit_tls = hop->port == 465;
			r = conf_target_rename(hop);
		}
		bool lmtp = hop->kind == CONF_TARGET_LMTP || hop->kind == CONF_TARGET_LMTP_UNIX;
		bool first = t->to.v[0].kind == CONF_TARGET_RELAY;
		if (t->to.n > 1 && (hop->kind == CONF_TARGET_RELAY ? !first : !lmtp || first))
			complain(raw, CONF_KIND_ROUTE, s, "to",
			    "only hosts can stand in a list, all SMTP or all LMTP");
		if (t->auth[0] && hop->kind != CONF_TARGET_RELAY)
			complain(raw, CONF_KIND_ROUTE, s, "auth",
			    "needs a fixed host in to, not %s", hop->name);
		if (t->tls == CONF_TLS_NONE && hop->implicit_tls)
			complain(raw, CONF_KIND_ROUTE, s, "tls",
			    "none contradicts %s, which is TLS from the start", hop->name);
	}
	return r;
}

/* check_source - what is named has to be there */
static void check_source(const struct conf *c, enum conf_kind_no kind, const struct conf_section *s,
    const char *title, struct conf_raw *raw)
{
	if (title[0] && !conf_source(c, title))
		complain(raw, kind, s, "source", "there is no source \"%s\"", title);
}

/* check_routes - what a route refers to */
static int check_routes(struct conf *c, struct conf_raw *raw)
{
	int r = 0;
	for (size_t i = 0; !r && i < c->nroute; i++) {
		struct conf_route *t = &c->route[i];
		struct conf_section *s = (struct conf_section *)t;
		r = check_domain(CONF_KIND_ROUTE, s, &t->domain, raw);
		if (missing(CONF_KIND_ROUTE, s, "to", t->to.n, raw))
			complain(raw, CONF_KIND_ROUTE, s, "to", "needs an entry");
		if (!r)
			r = check_targets(c, t, raw);
		if (t->balance && t->to.n < 2)
			complain(raw, CONF_KIND_ROUTE, s, "balance", "needs a list of hosts in to");
		check_source(c, CONF_KIND_ROUTE, s, t->source, raw);
	}
	return r;
}

/* check_default_route - a route for what no route takes */
static int check_default_route(struct conf *c)
{
	for (size_t i = 0; i < c->nroute; i++)
		for (size_t j = 0; j < c->route[i].domain.n; j++)
			if (strcmp(c->route[i].domain.v[j], "*") == 0 && !c->route[i].sender.n)
				return 0;
	struct conf_section *s = conf_section_add(c, CONF_KIND_ROUTE, "mx");
	return s ? add_text(CONF_KIND_ROUTE, s, "domain", "*") : -ENOMEM;
}

/* check_class - a name that isn't built in is only reached by what the block says */
static void check_class(const struct conf_class *class, struct conf_raw *raw)
{
	static const char *const built_in[] = {"urgent", "normal", "bulk"};
	const struct conf_section *s = (const struct conf_section *)class;
	const struct {
		const char *name;
		size_t n;
	} what[] = {{"sender", class->sender.n}, {"header", class->header.n},
	    {"recipient", class->recipient.n}, {"client", class->client.n},
	    {"listener", class->listener.n}, {"user", class->user.n}};
	bool reached = false;
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++)
		reached |= strcmp(class->title, built_in[i]) == 0;
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++)
		reached |= !missing(CONF_KIND_CLASS, s, what[i].name, what[i].n, raw);
	if (strlen(class->title) > CONF_CLASS_NAME_MAX)
		complain(raw, CONF_KIND_CLASS, s, "sender", "the title is too long");
	else if (!reached)
		complain(raw, CONF_KIND_CLASS, s, "sender", "needs to say which mail it is for");
}

/* check_rest - sites, sources and classes */
static int check_rest(struct conf *c, struct conf_raw *raw)
{
	int r = 0;
	for (size_t i = 0; !r && i < c->nsite; i++)
		r = check_domain(
		    CONF_KIND_SITE, (struct conf_section *)&c->site[i], &c->site[i].domain, raw);
	for (size_t i = 0; i < c->nsource; i++) {
		struct conf_section *s = (struct conf_section *)&c->source[i];
		if (missing(CONF_KIND_SOURCE, s, "address", c->source[i].address.n, raw))
			complain(raw, CONF_KIND_SOURCE, s, "address", "needs an address");
	}
	for (size_t i = 0; !r && i < c->nvirtual; i++)
		r = check_domain(CONF_KIND_VIRTUAL, (struct conf_section *)&c->virtual[i],
		    &c -> virtual[i].domain, raw);
	for (size_t i = 0; i < c->nclass; i++) {
		check_class(&c->class[i], raw);
		check_source(c, CONF_KIND_CLASS, (struct conf_section *)&c->class[i],
		    c -> class[i].source, raw);
	}
	return r;
}

/* check_retry - first <= max <= lifetime, at the line of the one that was changed */
static void check_retry(const struct conf *c, struct conf_raw *raw)
{
	const struct conf_section *s = (const struct conf_section *)&c->retry;
	if (c->retry.first > c->retry.max)
		complain(raw, CONF_KIND_RETRY, s,
		    given(CONF_KIND_RETRY, s, "first") ? "first" : "max",
		    "first is longer than max (4h if not given)");
	if (c->retry.max > c->retry.lifetime)
		complain(raw, CONF_KIND_RETRY, s,
		    given(CONF_KIND_RETRY, s, "lifetime") ? "lifetime" : "max",
		    "max is longer than lifetime (5d if not given)");
}

/* check_clash - two routes that nothing but their order tells apart */
static void check_clash(const struct conf *c, struct conf_raw *raw)
{
	const struct conf_route *a, *b;
	const char *pattern;
	if (conf_index_clash(c, &a, &b, &pattern))
		complain(raw, CONF_KIND_ROUTE, (const struct conf_section *)b, "domain",
		    "\"%s\" has a route already for the same senders: \"%s\" (%s:%u)", pattern,
		    a->title, a->file, a->line);
}

/* conf_check - the whole */
int conf_check(struct conf *c, struct conf_raw *raw)
{
	if (!given(CONF_KIND_ROOT, (struct conf_section *)c, "log") && access("/dev/log", F_OK))
		c->log = CONF_LOG_STDERR;
	int r = check_names(c);
	check_tls(c, raw);
	if (!r)
		r = check_listen(c, raw);
	if (!r)
		r = check_routes(c, raw);
	if (!r)
		r = check_default_route(c);
	if (!r)
		r = check_rest(c, raw);
	check_retry(c, raw);
	if (!r)
		r = conf_complete(c);
	if (!r) {
		check_clash(c, raw);
		conf_check_virtual(c, raw);
	}
	if (r != -E2BIG)
		return r;
	conf_error(raw->msgs, c->file, 0, "the routes have too many domains and senders");
	return 0;
}

/* complete_mailbox - mailbox taken apart */
static int complete_mailbox(struct conf *c)
{
	char why[CONF_REASON_MAX] = "";
	conf_target_clear(&c->mailbox_target);
	const char *path = strchr(c->mailbox, ':') + 1;
	c->mailbox_kind = CONF_MAILBOX_LMTP;
	if (strncmp(c->mailbox, "mbox:", 5) == 0)
		c->mailbox_kind = CONF_MAILBOX_MBOX;
	else if (strncmp(c->mailbox, "maildir:", 8) == 0)
		c->mailbox_kind = CONF_MAILBOX_MAILDIR;
	if (c->mailbox_kind != CONF_MAILBOX_LMTP)
		return conf_set_text(&c->mailbox_path, path);
	int r = conf_set_text(&c->mailbox_path, "");
	return r ? r : conf_target_parse(c->mailbox, &c->mailbox_target, why);
}

/* conf_complete - what follows from the options */
int conf_complete(struct conf *c)
{
	struct conf_section *local = (struct conf_section *)&c->route_local;
	if (conf_section_defaults(CONF_KIND_ROUTE, local) ||
	    conf_set_text(&local->title, "local") || conf_set_text(&local->file, ""))
		return -ENOMEM;
	conf_value_clear(conf_opt_find(CONF_KIND_ROUTE, "to"), local);
	int r = add_text(CONF_KIND_ROUTE, local, "to", "local");
	if (!r)
		r = complete_mailbox(c);
	return r ? r : conf_index_build(c);
}
