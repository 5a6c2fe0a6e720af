/* SPDX-License-Identifier: ISC */
/*
 * A configuration in words, for the one who has to answer for it: what is open to whom. And the few
 * changes that a running instance can't take.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

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
		fprintf(to, "listen %-12s %s: %s; %s%s%s\n", l->title,
		    conf_addr_format(&l->address.v[i], buf), auth[l->auth], tls[l->tls],
		    l->auth != CONF_AUTH_NONE && l->auth_plaintext ? "; logins without TLS too"
								   : "",
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

/* print_relay - who may send to anyone: by address, by certificate, by login, on the host itself */
static void print_relay(const struct conf *c, FILE *to)
{
	char buf[CONF_ADDR_TEXT];
	bool logins = false;

	fputs("relay_from          ", to);
	for (size_t i = 0; i < c->relay_from.n; i++)
		fprintf(to, "%s%s", i ? ", " : "", conf_net_format(&c->relay_from.v[i], buf));
	fputs(c->relay_from.n ? "\n" : "nobody\n", to);
	if (c->relay_certificates.n)
		fprintf(to, "certificates        %zu of relay_certificates, for all mail\n",
		    c->relay_certificates.n);
	for (size_t i = 0; i < c->nlisten; i++)
		logins = logins || c->listen[i].auth != CONF_AUTH_NONE;
	if (logins) {
		fprintf(to, "logins              users of %s, by ", c->users);
		print_list(&c->auth_mechanisms, "nothing", to);
		fputc('\n', to);
	}
	fprintf(to, "sendmail            every user of this host, for all mail%s%s\n",
	    c->sender_owners[0] ? ", as the senders of " : ", as any sender", c->sender_owners);
}

/* print_ours - what anyone may send to */
static void print_ours(const struct conf *c, FILE *to)
{
	fputs("our domains         ", to);
	print_list(&c->local_domains, "none", to);
	fputs(" (local)", to);
	for (size_t i = 0; i < c->nvirtual; i++) {
		fputs("; ", to);
		print_list(&c->virtual[i].domain, c->virtual[i].title, to);
		fprintf(to, " (virtual, users of %s)", c->virtual[i].users);
	}
	if (c->relay_to.n) {
		fputs("; ", to);
		print_list(&c->relay_to, "", to);
		fputs(" (relay_to)", to);
	}
	fputc('\n', to);
	if (c->catch_all[0])
		fprintf(to, "unknown users       their mail goes to %s\n", c->catch_all);
}

/* print_strangers - what clients that may not relay are held to, or that they aren't */
static void print_strangers(const struct conf *c, FILE *to)
{
	const struct conf_policy *p = &c->policy;
	const struct {
		bool on;
		const char *name;
	} checks[] = {
	    {p->dnsbl.n, "dnsbl"},
	    {p->rdns, "rdns"},
	    {p->fcrdns, "fcrdns"},
	    {p->helo != CONF_NAME_ANY, "helo"},
	    {p->sender_domain != CONF_NAME_ANY, "sender_domain"},
	    {p->greet_delay, "greet_delay"},
	};
	const char *between = "";
	fputs("checks on strangers ", to);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		if (checks[i].on) {
			fprintf(to, "%s%s", between, checks[i].name);
			between = ", ";
		}
	fputs(*between ? "\n" : "none\n", to);
}

/* print_warnings - what is open wider than anyone can mean */
static void print_warnings(const struct conf *c, FILE *to)
{
	char buf[CONF_ADDR_TEXT];
	for (size_t i = 0; i < c->relay_from.n; i++) {
		const struct conf_net *net = &c->relay_from.v[i];
		if (net->prefix == 0)
			fputs("warning: relay_from lets the whole Internet send to anyone\n", to);
		else if (net->prefix < (net->family == AF_INET ? 8 : 7)) /* wider than fc00::/7 */
			fprintf(to,
			    "warning: relay_from lets much of the Internet send to anyone: %s\n",
			    conf_net_format(net, buf));
	}
	for (size_t i = 0; i < c->nlisten; i++)
		if (c->listen[i].auth != CONF_AUTH_NONE && c->listen[i].auth_plaintext)
			fprintf(to,
			    "warning: listen %s takes passwords that anyone on the way can read\n",
			    c->listen[i].title);
}

/* conf_print_open - what is open to whom */
void conf_print_open(const struct conf *c, FILE *to)
{
	char buf[CONF_ADDR_TEXT];
	fprintf(to, "hostname %s, origin %s\n", c->hostname, c->origin);
	for (size_t i = 0; i < c->nlisten; i++)
		print_listen(&c->listen[i], to);
	print_relay(c, to);
	print_ours(c, to);
	print_strangers(c, to);
	print_routes(c, to);
	for (size_t i = 0; i < c->metrics.address.n; i++)
		fprintf(to, "metrics             %s: whoever reaches it\n",
		    conf_addr_format(&c->metrics.address.v[i], buf));
	fputs("every command       ", to);
	print_list(&c->admins, "nobody", to);
	fputs("; others: their own mail\n", to);
	print_warnings(c, to);
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
