/* SPDX-License-Identifier: ISC */
/*
 * A configuration in words, for the one who has to answer for it: what is open to whom. And the few
 * changes that a running instance can't take.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/conf_raw.h"
#include "lib/conf_value.h"

#include "lib/conf_parse.h"

/* print_list - texts with commas, or what stands for none */
static void print_list(const struct conf_list *l, const char *none, FILE *to)
{
	if (!l->n)
		fputs(none, to);
	for (size_t i = 0; i < l->n; i++)
		fprintf(to, "%s%s", i ? ", " : "", l->v[i]);
}

/* print_listen - one listener */
static void print_listen(const struct conf_listen *l, FILE *to)
{
	static const char *const tls[] = {
	    [CONF_LISTEN_TLS_UNSET] = "no TLS",
	    [CONF_LISTEN_TLS_NONE] = "no TLS",
	    [CONF_LISTEN_TLS_OFFERED] = "TLS offered",
	    [CONF_LISTEN_TLS_REQUIRED] = "TLS required",
	    [CONF_LISTEN_TLS_IMPLICIT] = "TLS from the start",
	};
	static const char *const auth[] = {
	    [CONF_AUTH_NONE] = "open to relay_from for all mail, to others for our domains",
	    [CONF_AUTH_OFFERED] =
		"open to relay_from and after a login for all mail, to others for our domains",
	    [CONF_AUTH_REQUIRED] = "open after a login only",
	};
	char buf[CONF_ADDR_TEXT];
	for (size_t i = 0; i < l->address.n; i++)
		fprintf(to, "listen %-12s %s: %s; %s%s\n", l->title,
		    conf_addr_format(&l->address.v[i], buf), auth[l->auth], tls[l->tls],
		    l->line_endings == CONF_LINES_NORMALISE ? "; bare line endings mended" : "");
}

/* print_routes - who goes where */
static void print_routes(const struct conf *c, FILE *to)
{
	for (size_t i = 0; i < c->nroute; i++) {
		const struct conf_route *t = &c->route[i];
		fprintf(to, "route %-13s ", t->title);
		print_list(&t->domain, "-", to);
		if (t->sender.n) {
			fputs(" from ", to);
			print_list(&t->sender, "", to);
		}
		fputs(" to ", to);
		for (size_t j = 0; j < t->to.n; j++)
			fprintf(to, "%s%s%s", j ? ", else " : "", t->to.v[j].name,
			    t->to.v[j].implicit_tls ? " (TLS from the start)" : "");
		if (t->auth[0])
			fprintf(to, ", logged in as \"%s\"", t->auth);
		fputc('\n', to);
	}
}

/* conf_print_open - what is open to whom */
void conf_print_open(const struct conf *c, FILE *to)
{
	char buf[CONF_ADDR_TEXT];
	fprintf(to, "hostname %s, origin %s\n", c->hostname, c->origin);
	for (size_t i = 0; i < c->nlisten; i++)
		print_listen(&c->listen[i], to);
	fputs("relay_from          ", to);
	for (size_t i = 0; i < c->relay_from.n; i++)
		fprintf(to, "%s%s", i ? ", " : "", conf_net_format(&c->relay_from.v[i], buf));
	fputs(c->relay_from.n ? "\n" : "nobody\n", to);
	fputs("our domains         ", to);
	print_list(&c->local_domains, "none", to);
	fputs(" (local)", to);
	if (c->relay_to.n) {
		fputs("; ", to);
		print_list(&c->relay_to, "", to);
		fputs(" (relay_to)", to);
	}
	fputc('\n', to);
	for (size_t i = 0; i < c->relay_from.n; i++)
		if (c->relay_from.v[i].prefix == 0)
			fputs("warning: relay_from lets the whole Internet send to anyone\n", to);
	print_routes(c, to);
	for (size_t i = 0; i < c->metrics.address.n; i++)
		fprintf(to, "metrics             %s\n",
		    conf_addr_format(&c->metrics.address.v[i], buf));
	fputs("every command       ", to);
	print_list(&c->admins, "nobody", to);
	fputc('\n', to);
}

/* conf_changes_need_restart - can a running instance go from one to the other */
bool conf_changes_need_restart(
    const struct conf *was, const struct conf *now, char *reason, size_t size)
{
	const char *name = NULL, *from = NULL, *dest = NULL;
	if (strcmp(was->spool, now->spool) != 0) {
		name = "spool";
		from = was->spool;
		dest = now->spool;
	} else if (strcmp(was->runtime, now->runtime) != 0) {
		name = "runtime";
		from = was->runtime;
		dest = now->runtime;
	}
	if (name)
		snprintf(reason, size, "%s changed from %s to %s: that needs a restart", name, from,
		    dest);
	else if (size)
		reason[0] = '\0';
	return name;
}
