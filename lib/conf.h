/* SPDX-License-Identifier: ISC */
/*
 * The configuration: baton.conf read, checked and turned into one plain struct.
 *
 * master (and the tools) call conf_load(); every other role gets its part with conf_encode() from
 * master and reads it with conf_decode(). Both leave a whole `struct conf`: what the file omits,
 * and what a role doesn't see, has its default. A conf owns all it points to, is never changed
 * after it was made, and is freed as one with conf_free(); a reload makes a new one. The look-ups
 * at the end are pure functions of it and allocate nothing.
 *
 * Units: durations are milliseconds, sizes are bytes, factors are thousandths. Domains, addresses
 * and patterns are compared as ASCII without case. The table of options, with the defaults and
 * ranges, is lib/conf.def; what each one means to a user is in etc/baton.conf.5.
 *
 * Strings are never NULL: "" stands for "not set".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "lib/conf_types.h"
#include "lib/role.h"

#define CONF_PATH_DEFAULT    "/etc/baton/baton.conf"
#define CONF_SPOOL_DEFAULT   "/var/spool/baton"
#define CONF_RUNTIME_DEFAULT "/run/baton"

/* One thing to say about a file. Notes don't make it wrong. */
struct conf_message {
	char *file;
	uint32_t line; /* 0: the file as a whole */
	bool note;
	char *text;
};

/* Starts as all zeroes; grown by conf_load(), emptied by conf_messages_free(). */
struct conf_messages {
	size_t n;
	size_t errors; /* those that are no notes */
	struct conf_message *v;
};

/*
 * Reads and checks `path` with all it includes and the `sites` file. On success 0 and *out is the
 * new conf; else -EINVAL (the file is wrong; msgs say where and why), or another negative errno for
 * a file that can't be read, with a message too. Notes may come in either case. Messages are sorted
 * as found: file by file, line by line. Reads gethostname(), /etc/mailname and /etc/hosts for the
 * names that aren't given, asks no name service. Not for two threads at once (libconfuse).
 */
int conf_load(const char *path, struct conf **out, struct conf_messages *msgs);

/*
 * For master and `baton -n`: the same with the content of the files that roles can't open
 * (certificates, keys, CA certificates), which must be readable and fit each other, and with
 * conf.secret set. Links OpenSSL; tools don't want that and may not read keys.
 */
int conf_load_all(const char *path, struct conf **out, struct conf_messages *msgs);

/* The content of a file, or NULL: it was not to be read, or belongs to another role. */
const struct conf_file *conf_file(const struct conf *c, const char *path);

/* Forgets the contents: a role that has made use of its keys needs no second copy of them. */
void conf_files_forget(struct conf *c);

/* A conf as an empty file gives it; for tools that can't read theirs, and for tests. */
struct conf *conf_default(void);

void conf_free(struct conf *c);

/* "file:line: text" a line, notes with "note: " before the text. */
void conf_messages_print(const struct conf_messages *msgs, FILE *to);
void conf_messages_free(struct conf_messages *msgs);

/*
 * The role's part in a binary form of its own, *buf malloc'ed. Returns 0 or -ENOMEM. What the role
 * doesn't see isn't in it.
 */
int conf_encode(const struct conf *c, enum role role, unsigned char **buf, size_t *len);

/* Takes any bytes; -EBADMSG for what conf_encode() wouldn't write, -ENOMEM. */
int conf_decode(const unsigned char *buf, size_t len, struct conf **out);

/*
 * The route of a recipient, never NULL. `sender` is the envelope sender without <> ("" for the null
 * sender), `rcpt_local` the local part unquoted, `rcpt_domain` the domain ("" means a local user).
 * The most specific of address, domain, .domain (longest first), * wins; among equals the one with
 * the most specific matching sender before the one without. A domain of local_domains counts as a
 * route to "local" by that domain.
 */
const struct conf_route *conf_route(
    const struct conf *c, const char *sender, const char *rcpt_local, const char *rcpt_domain);

/*
 * The limits of a site: `site` its name, mx[0..nmx) its hosts, `domain` the destination ("" where
 * there is none). The user's blocks come before the shipped ones; of each the one that names the
 * site before the one that is a suffix of an MX host before the one that names the domain, longest
 * first. What the block leaves out comes from the shipped match, then from `site "*"`, then it is
 * built in. out->title is the block's ("*" if only that matches); its pointers are the conf's.
 */
void conf_site(const struct conf *c, const char *site, const char *const *mx, size_t nmx,
    const char *domain, struct conf_site *out);

/* What a site block was found by. */
enum conf_site_by { CONF_SITE_BY_NAME, CONF_SITE_BY_HOST, CONF_SITE_BY_DOMAIN, CONF_SITE_BY_ANY };

/*
 * The block that comes first of those that conf_site() puts together, as it was written; NULL where
 * all is built in. For who has to say why a limit is what it is.
 */
const struct conf_site *conf_site_entry(const struct conf *c, const char *site,
    const char *const *mx, size_t nmx, const char *domain, enum conf_site_by *by);

/*
 * The site's name that the blocks give to a destination whose best MX host is `mx`: the title of
 * the block whose `domain` is the longest suffix of it, or NULL: then the site is called by that
 * host.
 */
const char *conf_site_name(const struct conf *c, const char *mx);

/* Is it one of local_domains (".domain" there means all below it), or a hosted one? */
bool conf_is_local_domain(const struct conf *c, const char *domain);

/* The block of a hosted domain, which is a local one too; NULL for any other. */
const struct conf_virtual *conf_virtual(const struct conf *c, const char *domain);

/* May anyone send to it (relay_to)? */
bool conf_may_relay_to(const struct conf *c, const char *domain);

/* Is the client in relay_from? AF_UNIX is; IPv4 mapped into IPv6 counts as IPv4. */
bool conf_may_relay(const struct conf *c, const struct sockaddr *addr);

/* Is the address in one of the networks? IPv4 mapped into IPv6 counts as IPv4. */
bool conf_in_nets(const struct conf_nets *nets, const struct sockaddr *addr);

/* The source with that title, or NULL ("" has none). */
const struct conf_source *conf_source(const struct conf *c, const char *title);

/*
 * The title of the source whose `sender` has the most specific pattern for a reverse-path: the
 * address, then the longest domain, then "*"; of equals the first in the file. "" where none has.
 */
const char *conf_source_of(const struct conf *c, const char *sender);

/* Does an address ("" is the null sender) match one pattern of a `sender` list? */
bool conf_sender_matches(const char *pattern, const char *sender);

/* Does a recipient match one pattern of a `recipient` or `domain` list? */
bool conf_rcpt_matches(const char *pattern, const char *local, const char *domain);

/* For bind() and connect(); returns the length. */
socklen_t conf_addr_sockaddr(const struct conf_addr *a, struct sockaddr_storage *out);

/* "192.0.2.1:25", "[::1]:25", without port "192.0.2.1", "::1"; buf of CONF_ADDR_TEXT. */
#define CONF_ADDR_TEXT 64
const char *conf_addr_format(const struct conf_addr *a, char *buf);

/*
 * Can a running instance go from `was` to `now`? false, or true with the reason in words
 * (`reason`, cut at `size`) if a restart is needed: spool or runtime moved.
 */
bool conf_changes_need_restart(
    const struct conf *was, const struct conf *now, char *reason, size_t size);

/* "50M" to bytes, "15m" to milliseconds, as the file has them. 0, or -EINVAL for other text. */
int conf_size(const char *text, uint64_t *bytes);
int conf_duration(const char *text, uint64_t *ms);

/* What `baton -n` prints: which address is open to whom, and where mail goes. */
void conf_print_open(const struct conf *c, FILE *to);

/* Every option with its value, as it could stand in a file (`batonctl config`). */
void conf_print(const struct conf *c, FILE *to);

/* How conf_show() prints. */
struct conf_show {
	bool json;     /* one object an option and line */
	bool changed;  /* only what the files say and isn't the default */
	size_t nnames; /* 0: all; else only these: "option", "section", "section.option" */
	char *const *names;
};

/*
 * `batonctl config`: reads a configuration as conf_load() does and prints the value of every option
 * with the place it comes from, in a form that conf_load() takes. Returns as conf_load(); -ESRCH
 * with *unknown set: there is no option or section of that name.
 */
int conf_show(const char *path, const struct conf_show *how, FILE *to, const char **unknown,
    struct conf_messages *msgs);

/* The closest of all names that conf_show() knows to a word that is none; "": none is close. */
const char *conf_near_name(const char *word);
