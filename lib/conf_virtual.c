/* SPDX-License-Identifier: ISC */
/* What a `virtual` block has to be: its mailboxes are made under one user, by names from a file. */
#include <string.h>

#include "lib/conf_index.h"
#include "lib/conf_table.h"

/* complain - at an option of the block, or at the block */
static void complain(
    struct conf_raw *raw, const struct conf_virtual *v, const char *name, const char *text)
{
	conf_complain(raw, false, CONF_KIND_VIRTUAL, (const struct conf_section *)v, name, SIZE_MAX,
	    "%s", text);
}

/* names_one - whether every name gets a path of its own, by %n or %u, and no other % is in it */
static bool names_one(const char *path)
{
	bool named = false;
	for (const char *p = path; *p; p++) {
		if (*p != '%')
			continue;
		p++;
		if (!*p || !strchr("und%", *p))
			return false;
		named |= *p == 'u' || *p == 'n';
	}
	return named;
}

/* check_mailbox - it, its user and who has one */
static void check_mailbox(const struct conf_virtual *v, struct conf_raw *raw)
{
	const char *path = strchr(v->mailbox, ':');
	if (!*v->mailbox) {
		if (*v->user || *v->users)
			complain(raw, v, "mailbox", "needs a mailbox for its user and users");
		return;
	}
	if (strncmp(v->mailbox, "lmtp:", 5) == 0)
		complain(
		    raw, v, "mailbox", "is a file or a folder; LMTP is for a route to the domain");
	else if (path[1] != '/')
		complain(raw, v, "mailbox", "needs an absolute path: its names have no home");
	else if (!names_one(path))
		complain(
		    raw, v, "mailbox", "needs %n or %u, and knows only %n, %d, %u and %% besides");
	if (!*v->users)
		complain(raw, v, "users", "needs users: a file of the names that have a mailbox");
	if (!*v->user)
		complain(raw, v, "user", "needs a user, whose the mailboxes are");
	else if (strcmp(v->user, "root") == 0)
		complain(raw, v, "user", "root has no mailboxes of others");
}

/* check_domains - plain ones, which are no users' of this host */
static void check_domains(const struct conf *c, const struct conf_virtual *v, struct conf_raw *raw)
{
	for (size_t i = 0; i < v->domain.n; i++) {
		const char *domain = v->domain.v[i];
		const struct conf_virtual *other = conf_virtual(c, domain);
		if (domain[0] == '.')
			complain(raw, v, "domain", "each domain has to be named");
		else if (other != v)
			conf_complain(raw, false, CONF_KIND_VIRTUAL, (const struct conf_section *)v,
			    "domain", i, "%s is in virtual \"%s\" too (%s:%u)", domain,
			    other->title, other->file, other->line);
		for (size_t k = 0; k < c->local_domains.n; k++)
			if (strcasecmp(c->local_domains.v[k], domain) == 0)
				conf_complain(raw, false, CONF_KIND_VIRTUAL,
				    (const struct conf_section *)v, "domain", i,
				    "%s is in local_domains too", domain);
	}
}

/* conf_check_virtual - all blocks, once the domains are sorted */
void conf_check_virtual(const struct conf *c, struct conf_raw *raw)
{
	bool mailboxes = false;
	for (size_t i = 0; i < c->nvirtual; i++) {
		check_domains(c, &c->virtual[i], raw);
		check_mailbox(&c->virtual[i], raw);
		mailboxes |= *c->virtual[i].mailbox != '\0';
	}
	if (mailboxes && c->mailbox_kind == CONF_MAILBOX_LMTP)
		complain(raw, &c->virtual[0], "mailbox",
		    "doesn't go with mailbox = \"lmtp:...\", which takes all local mail");
}
