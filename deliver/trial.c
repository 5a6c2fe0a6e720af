/* SPDX-License-Identifier: ISC */
/*
 * trial: what `batonctl test-relay` runs. It connects to the hosts of a route as deliver does, by
 * deliver's own client, logs in, tries MAIL and RCPT, sends nothing, and says each step in plain
 * words. Started by root it reads the files that are root's, gives root up and closes the sandbox
 * before it connects.
 *
 *     trial -c FILE [ROUTE] [--from ADDRESS] [--to ADDRESS]
 *
 * Ends with 0 when every host of the route would take mail.
 */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/advice.h"
#include "deliver/client.h"
#include "deliver/sasl.h"
#include "deliver/secure.h"
#include "deliver/trial_hosts.h"
#include "lib/addr.h"
#include "lib/child.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/priv.h"
#include "lib/sandbox.h"
#include "lib/str.h"

#define USER         "baton-deliver" /* who we are after root */
#define USAGE        64
#define CONNECT_MS   30000 /* nobody waits five minutes at a terminal */
#define REPLY_MS     60000
#define HELLO_SIZE   256
#define ADDRESS_SIZE 512

/* One host of the route being tried. */
struct trial {
	const struct conf *conf;
	const struct conf_route *route;
	struct trial_hosts hosts;
	struct trial_host *hop; /* of them */
	const char *from, *to;
	struct client *client;
	struct client_setup setup;
	char hello[HELLO_SIZE];
	int64_t begun;
	struct advice seen;
	bool over, good;
	enum open_verdict why;
	struct words words;
};

/* say - one step; what: "" for a line that goes on from the one before */
__attribute__((format(printf, 2, 3))) static void say(const char *what, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++) /* a terminal doesn't obey hosts */
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
	printf("  %-10s %s\n", what, text);
	fflush(stdout);
}

/* -- what the client tells */

/* on_step - one more that went well */
static void on_step(void *arg, enum client_step step, const struct words *words)
{
	struct trial *t = arg;
	char tls[TLS_TEXT_SIZE];
	t->seen.any = true;
	t->seen.last = step;
	switch (step) {
	case STEP_CONNECTED:
		say("TCP", "connected in %lld ms", (long long)(clock_ms() - t->begun));
		break;
	case STEP_GREETED:
		say("greeting", "%u %.*s", words->code, (int)words->len, words->text);
		break;
	case STEP_EHLO:
		say("EHLO", "%.*s", (int)words->len, words->text);
		break;
	case STEP_STARTTLS:
		break;
	case STEP_SECURED:
		t->seen.secured = true;
		client_tls(t->client, tls);
		say("TLS", "%s", tls);
		break;
	case STEP_AUTH:
		say("AUTH", "logged in with the line \"%s\" of %s", t->route->auth,
		    t->conf->credentials);
		break;
	case STEP_MAIL:
		say("MAIL", "<%s> may send", t->from);
		break;
	case STEP_RCPT:
		say("RCPT", "<%s> would get mail; nothing was sent", t->to);
		break;
	}
}

/* on_ready - it would take a message */
static void on_ready(void *arg)
{
	struct trial *t = arg;
	t->good = true;
	client_close(t->client);
}

/* on_next - there is none */
static struct job *on_next(void *arg)
{
	(void)arg;
	return NULL;
}

/* on_done - never */
static void on_done(void *arg, struct job *job)
{
	(void)arg, (void)job;
}

/* on_ended - the end of this try */
static void on_ended(void *arg, enum open_verdict why, const struct words *words)
{
	struct trial *t = arg;
	t->over = true;
	t->why = why;
	t->words = *words;
	client_free(t->client);
	t->client = NULL;
}

/* -- one host */

/* what_failed - the name of the step that came to nothing */
static const char *what_failed(const struct trial *t)
{
	if (!t->seen.any)
		return "TCP";
	if (t->why == OPEN_TLS)
		return "TLS";
	switch (t->seen.last) {
	case STEP_CONNECTED:
	case STEP_SECURED:
		return t->seen.implicit_tls && !t->seen.secured ? "TLS" : "greeting";
	case STEP_GREETED:
		return "EHLO";
	case STEP_EHLO:
		return t->seen.login ? "AUTH" : "MAIL";
	case STEP_AUTH:
		return "MAIL";
	case STEP_MAIL:
		return "RCPT";
	default:
		return "TLS";
	}
}

/* explain - what went wrong and what to do */
static void explain(const struct trial *t)
{
	char room[400], code[8] = "";
	const struct words *w = &t->words;
	if (w->code)
		snprintf(code, sizeof(code), "%u ", w->code);
	say(what_failed(t), "FAILED: %s%.*s", code, (int)w->len, w->text);
	const char *advice = advice_give(&t->seen, t->why, w, room, sizeof(room));
	if (*advice)
		say("", "%s", advice);
}

/* source_of - the address that the route leaves from, of that family; 0: none is bound */
static socklen_t source_of(const struct trial *t, uint8_t family, struct sockaddr_storage *out)
{
	const struct conf_source *s = conf_source(t->conf, t->route->source);
	for (size_t i = 0; s && i < s->address.n; i++)
		if (s->address.v[i].family == (family == 6 ? AF_INET6 : AF_INET))
			return conf_addr_sockaddr(&s->address.v[i], out);
	return 0;
}

/* run - the client to its end; true: it would take mail */
static bool run(struct trial *t)
{
	if (!t->client) {
		say("TCP", "FAILED: %s", strerror(errno));
		return false;
	}
	while (!t->over)
		loop_turn();
	if (!t->good)
		explain(t);
	return t->good;
}

/* begin - what is new with each address */
static void begin(struct trial *t)
{
	t->begun = clock_ms();
	t->over = t->good = false;
	t->seen = (struct advice){.implicit_tls = t->hop->target->implicit_tls,
	    .by_mx = t->hosts.by_mx,
	    .login = t->route->auth[0],
	    .credential = t->route->auth,
	    .credentials = t->conf->credentials,
	    .host = t->hop->host};
}

static const struct client_ops ops = {
    .step = on_step, .ready = on_ready, .next = on_next, .done = on_done, .ended = on_ended};

/* try_address - the whole way */
static bool try_address(struct trial *t, const struct dns_addr *addr, enum conf_tls tls)
{
	struct sockaddr_storage to, from;
	char text[DNS_LITERAL_SIZE];
	socklen_t to_len = dns_addr_sockaddr(addr, t->hop->port, &to);
	socklen_t from_len = source_of(t, addr->family, &from);
	say("address", "%s port %u", dns_addr_text(addr, text), t->hop->port);
	begin(t);
	t->setup.tls = secure_wanted(tls, t->route->auth[0], addr);
	t->client = client_connect(&t->setup, (struct sockaddr *)&to, to_len,
	    from_len ? (struct sockaddr *)&from : NULL, from_len, &ops, t);
	return run(t);
}

/* try_socket - the same on one that is connected */
static bool try_socket(struct trial *t)
{
	begin(t);
	t->client = client_adopt(&t->setup, t->hop->fd, &ops, t);
	return run(t);
}

/* prepare - what is the same for all addresses of the host; the TLS that is wanted */
static enum conf_tls prepare(struct trial *t)
{
	const struct conf_source *source = conf_source(t->conf, t->route->source);
	const char *mx[TRIAL_HOSTS], *name = t->hosts.by_mx ? t->hosts.v[0].host : t->hop->name;
	struct conf_site site;
	for (unsigned i = 0; i < t->hosts.n; i++)
		mx[i] = t->hosts.v[i].host;
	if (t->hosts.by_mx)
		conf_site(t->conf, name, mx, t->hosts.n, t->hosts.domain, &site);
	else
		conf_site(t->conf, name, &(const char *){t->hop->host}, 1, "", &site);
	enum conf_tls tls = t->route->tls ? t->route->tls : site.tls;
	if (t->route->auth[0] && !t->route->tls && tls == CONF_TLS_NONE)
		tls = CONF_TLS_OPPORTUNISTIC;
	str_copy(t->hello, sizeof(t->hello),
	    source && source->hello[0] ? source->hello : t->conf->hostname);
	t->setup = (struct client_setup){.hello = t->hello,
	    .connect_ms = CONNECT_MS,
	    .reply_ms = REPLY_MS,
	    .lmtp = t->hop->lmtp,
	    .implicit_tls = t->hop->target->implicit_tls,
	    .secure = {.name = t->hop->host,
		.port = t->hop->port,
		.verify = tls == CONF_TLS_VERIFY,
		.show = t->conf->deliver.certificate[0]},
	    .credential = t->route->auth,
	    .try_from = t->from,
	    .try_to = t->to};
	return tls;
}

/* try_addresses - until one would take mail */
static bool try_addresses(struct trial *t, enum conf_tls tls)
{
	const struct trial_addrs *addrs = &t->hop->addrs;
	char text[DNS_LITERAL_SIZE], all[TRIAL_ADDRS * (DNS_LITERAL_SIZE + 2)] = "";
	if (!addrs->n) {
		say("DNS", "FAILED: %s: %s (%s)", t->hop->host, addrs->why, addrs->from);
		if (!t->hosts.by_mx)
			say("", "Is the name in `to` right? `batonctl dns %s A` shows more.",
			    t->hop->host);
		return false;
	}
	for (unsigned i = 0; i < addrs->n; i++) {
		size_t n = strlen(all);
		snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "",
		    dns_addr_text(&addrs->v[i], text));
	}
	say("DNS", "%s (%s)", all, addrs->from);
	for (unsigned i = 0; i < addrs->n; i++)
		if (try_address(t, &addrs->v[i], tls))
			return true;
	return false;
}

/* try_host - one of the route's */
static bool try_host(struct trial *t)
{
	static const char *const names[] = {"", "none", "opportunistic", "required", "verify"};
	enum conf_tls tls = prepare(t);
	bool good = false;
	if (t->hop->target->kind == CONF_TARGET_LMTP_UNIX)
		printf("%s\n", t->hop->name);
	else
		printf("%s%s: login %s, tls %s%s\n", t->hop->target->implicit_tls ? "tls://" : "",
		    t->hop->name, t->route->auth[0] ? t->route->auth : "none", names[tls],
		    t->hop->target->implicit_tls ? " (from the first byte)" : "");
	if (t->hop->target->kind != CONF_TARGET_LMTP_UNIX)
		good = try_addresses(t, tls);
	else if (t->hop->fd >= 0)
		good = try_socket(t);
	else
		say("socket", "FAILED: %s", t->hop->addrs.why);
	puts(good ? "  works\n" : "  doesn't work\n");
	return good;
}

/* -- the route */

/* titled - the route of that title */
static const struct conf_route *titled(const struct conf *conf, const char *title)
{
	for (size_t i = 0; i < conf->nroute; i++)
		if (strcmp(conf->route[i].title, title) == 0)
			return &conf->route[i];
	fprintf(stderr, "there is no route \"%s\"; routes:", title);
	for (size_t i = 0; i < conf->nroute; i++)
		fprintf(stderr, " \"%s\"", conf->route[i].title);
	fputc('\n', stderr);
	return NULL;
}

/* taken_by - the route that mail to this recipient takes */
static const struct conf_route *taken_by(const struct trial *t, const char *to)
{
	char local[ADDRESS_SIZE], domain[ADDRESS_SIZE];
	addr_split(to, local, domain, sizeof(local));
	if (!domain[0]) {
		fprintf(stderr, "%s is no address of a recipient\n", to);
		return NULL;
	}
	return conf_route(t->conf, t->from, local, domain);
}

/* leave_root - for good; what root's files held is in memory */
static int leave_root(void)
{
	if (!priv_is_root())
		return 0;
	const struct passwd *pw = getpwnam(USER);
	if (!pw)
		pw = getpwnam("nobody");
	return pw ? priv_drop(pw->pw_uid, pw->pw_gid, NULL, 0) : -ENOENT;
}

/* try_route - every host of it; by MX, until one works */
static int try_route(struct trial *t, const char *to)
{
	unsigned good = 0;
	trial_hosts_find(t->conf, t->route, to, &t->hosts);
	if (!t->hosts.n) {
		fprintf(stderr, "route \"%s\": %s\n", t->route->title, t->hosts.why);
		return EXIT_FAILURE;
	}
	int r = leave_root();
	if (!r)
		r = sandbox_enter(SANDBOX_DELIVER);
	if (r) {
		fprintf(stderr, "can't give up root or close the sandbox: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	for (unsigned i = 0; i < t->hosts.n && !(t->hosts.by_mx && good); i++) {
		t->hop = &t->hosts.v[i];
		good += try_host(t);
	}
	return good && (t->hosts.by_mx || good == t->hosts.n) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* usage - how it is called; cli/verb_relay.c does */
static int usage(void)
{
	fputs("usage: batonctl test-relay [ROUTE] [--from ADDRESS] [--to ADDRESS]\n", stderr);
	return USAGE;
}

/* address_good - something that can stand between < and > */
static bool address_good(const char *address)
{
	return !strpbrk(address, "<> \r\n\t") && strlen(address) < ADDRESS_SIZE;
}

int main(int argc, char **argv)
{
	static struct trial t;
	struct conf_messages msgs = {0};
	struct conf *conf = NULL;
	const char *file = NULL, *title = NULL;
	char sender[400];
	for (int i = 1; i < argc; i++) {
		const char **to = strcmp(argv[i], "-c") == 0       ? &file
				  : strcmp(argv[i], "--from") == 0 ? &t.from
				  : strcmp(argv[i], "--to") == 0   ? &t.to
								   : NULL;
		if (to && i + 1 < argc)
			*to = argv[++i];
		else if (!to && argv[i][0] != '-' && !title)
			title = argv[i];
		else
			return usage();
	}
	if (!file)
		return usage();
	signal(SIGPIPE, SIG_IGN);
	int r = conf_load_all(file, &conf, &msgs);
	if (r)
		conf_messages_print(&msgs, stderr);
	conf_messages_free(&msgs);
	if (r)
		return EXIT_FAILURE;
	log_set(LOG_FORMAT_TEXT, LOG_ERROR);
	child_play(conf);
	snprintf(sender, sizeof(sender), "postmaster@%s", conf->origin);
	t.conf = conf;
	t.from = t.from ? t.from : sender;
	const char *given = t.to;
	t.to = t.to ? t.to : t.from;
	if (!address_good(t.from) || !address_good(t.to))
		return usage();
	t.route = title ? titled(conf, title) : taken_by(&t, given ? given : "x@x.invalid");
	if (!t.route)
		return EXIT_FAILURE;
	loop_init();
	if (secure_prepare(conf) || sasl_prepare())
		return EXIT_FAILURE;
	r = try_route(&t, given);
	conf_free(conf);
	return r;
}
