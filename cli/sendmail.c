/* SPDX-License-Identifier: ISC */
/*
 * sendmail: a message on standard input becomes one SMTP transaction on smtpd's socket, or a file
 * in the drop folder where smtpd can't take it now. Success is said only when the message is safe
 * on the disk. No set-user-ID bit: the socket's peer credentials say who asks. The other modes are
 * what users of sendmail expect to find under this name.
 */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/handover.h"
#include "cli/listing.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/smtp_pipe.h"
#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/mailbox_list.h"
#include "lib/str.h"

#define FLUSH_TEXT_MAX 400

static const struct conf *conf;

/* What a walk over addresses fills. */
struct gathering {
	struct letter *letter;
	int error; /* sticky: a code of sysexits.h */
};

/* on_rcpt - an address among the arguments or in a header field */
static void on_rcpt(const struct mailbox *mailbox, void *arg)
{
	struct gathering *g = arg;
	int r = letter_add(g->letter, mailbox->address, mailbox->len, conf->origin);

	if (r && !g->error)
		g->error = r == -ENOMEM ? EX_OSERR : EX_DATAERR;
}

/* add_field - the recipients of a To, Cc or Bcc */
static void add_field(const char *body, size_t len, void *arg)
{
	struct gathering *g = arg;

	if (mailbox_list_walk(body, len, on_rcpt, g) && !g->error)
		g->error = EX_DATAERR;
}

/* gather - recipients among the arguments, and with -t those of the header; Bcc is taken out */
static int gather(struct letter *l, const struct options *o, char **rcpts, struct header *h)
{
	static const char *const sent[] = {"To", "Cc", "Bcc"};
	static const char *const resent[] = {"Resent-To", "Resent-Cc", "Resent-Bcc"};
	struct gathering g = {.letter = l};

	for (; *rcpts; rcpts++)
		add_field(*rcpts, strlen(*rcpts), &g);
	if (o->from_headers) {
		size_t before = l->nrcpts;
		const char *const *fields = resent;

		/* RFC 5322 3.6.6: a message that was sent anew is for those it was sent to */
		for (size_t i = 0; i < 3; i++)
			header_each(h, fields[i], add_field, &g);
		fields = l->nrcpts > before ? NULL : sent;
		for (size_t i = 0; fields && i < 3; i++)
			header_each(h, fields[i], add_field, &g);
		header_remove(h, "Bcc");
		header_remove(h, "Resent-Bcc");
	}
	if (g.error)
		return handover_fail(g.error, "the recipients cannot be read", "");
	if (l->nrcpts == 0)
		return handover_fail(
		    EX_USAGE, "no recipient given", o->from_headers ? "in the header" : "");
	return EX_OK;
}

/* on_sender - the first address of -f's value */
static void on_sender(const struct mailbox *mailbox, void *arg)
{
	struct letter *l = arg;

	if (!l->sender)
		letter_from(l, mailbox->address, mailbox->len, conf->origin);
}

/* find_sender - as asked for, "Name <address>" too, or the user who calls */
static int find_sender(struct letter *l, const struct options *o)
{
	const struct passwd *pw = o->sender ? NULL : getpwuid(getuid());
	char number[32];
	const char *text = o->sender ? o->sender : pw ? pw->pw_name : number;

	snprintf(number, sizeof(number), "uid%u", getuid());
	if (*text && strcmp(text, "<>") != 0)
		mailbox_list_walk(text, strlen(text), on_sender, l);
	if (!l->sender && letter_from(l, text, strlen(text), conf->origin))
		return handover_fail(EX_DATAERR, "the sender cannot be read", "");
	return EX_OK;
}

/* name_of_user - from the user database, up to its first comma; "&" stands for the login name */
static const char *name_of_user(void)
{
	static char name[256];
	const struct passwd *pw = getpwuid(getuid());
	size_t n = pw && pw->pw_gecos ? strcspn(pw->pw_gecos, ",&") : 0;

	if (n == 0 || str_copy_n(name, sizeof(name), pw->pw_gecos, n))
		return "";
	return name;
}

/* full_name - -F, the environment's, or that of the user who sends as himself */
static const char *full_name(const struct options *o)
{
	const char *env = getenv("NAME");

	if (o->full_name)
		return o->full_name;
	if (env && *env)
		return env;
	return o->sender ? "" : name_of_user();
}

/* run_message - -bm */
static int run_message(const struct options *o, char **rcpts)
{
	struct letter l = {0};
	struct message m = {.dot_is_text = o->dot_is_text};
	int code = EX_OK, r = header_read(&m.header, stdin, !o->dot_is_text, &m.ended);

	if (r == -EMSGSIZE)
		code = handover_fail(EX_DATAERR, "the header is longer than 1 MiB", "");
	else if (r)
		code = handover_fail(EX_IOERR, "standard input", strerror(-r));
	if (code == EX_OK)
		code = gather(&l, o, rcpts, &m.header);
	if (code == EX_OK)
		code = find_sender(&l, o);
	if (code == EX_OK) {
		m.sender = l.sender;
		m.full_name = full_name(o);
		str_copy(l.mail_params, sizeof(l.mail_params), o->mail_params);
		str_copy(l.rcpt_params, sizeof(l.rcpt_params), o->rcpt_params);
		code = handover(conf, &l, &m, o->verbose);
	} else {
		message_drain();
	}
	header_free(&m.header);
	letter_free(&l);
	return code;
}

/* run_verify - -bv */
static int run_verify(const struct options *o, char **rcpts)
{
	struct letter l = {0};
	struct header none = {0};
	int code = gather(&l, &(struct options){0}, rcpts, &none);

	if (code == EX_OK)
		code = find_sender(&l, o);
	if (code == EX_OK)
		code = smtp_verify(conf, &l);
	letter_free(&l);
	return code;
}

/* run_flush - -q; what isn't restricted is everything */
static int run_flush(const struct options *o)
{
	char text[FLUSH_TEXT_MAX], *argv[] = {NULL, text};

	if (!o->flush_by)
		return verb_flush(conf, 0, argv);
	if (o->flush_by == 'I')
		return verb_flush(conf, 1, (char *[]){(char *)o->flush_text, NULL});
	if ((size_t)snprintf(text, sizeof(text), "*%s*", o->flush_text) >= sizeof(text))
		return handover_fail(EX_USAGE, "too long", o->flush_text);
	argv[0] = o->flush_by == 'R' ? "--recipient" : "--sender";
	return verb_flush(conf, 2, argv);
}

/* run_queue - -bp */
static int run_queue(void)
{
	const struct query_filter all = {.all = true};
	uint64_t found;
	int r = listing_print(conf, &all, LISTING_MAILQ, &found);

	return fflush(stdout) && r == TOOL_OK ? TOOL_FAILED : r;
}

/* run_aliases - -bi: the program beside us, or where the shell would find it */
static int run_aliases(const struct options *o)
{
	char path[PATH_MAX + 16], *argv[] = {"newaliases", "-C", (char *)o->config, NULL};
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	if (!o->config)
		argv[1] = NULL;
	if (slash) {
		snprintf(slash + 1, 12, "newaliases");
		execv(path, argv);
	}
	execvp("newaliases", argv);
	return handover_fail(EX_UNAVAILABLE, "newaliases", strerror(errno));
}

/* run - the mode that was asked for */
static int run(const struct options *o, char **rcpts)
{
	switch (o->mode) {
	case MODE_MESSAGE:
		return run_message(o, rcpts);
	case MODE_SMTP:
		return smtp_pipe(conf);
	case MODE_VERIFY:
		return run_verify(o, rcpts);
	case MODE_FLUSH:
		return run_flush(o);
	case MODE_QUEUE:
		return run_queue();
	case MODE_ALIASES:
		return run_aliases(o);
	case MODE_DAEMON:
		break;
	}
	return handover_fail(EX_UNAVAILABLE,
	    "the daemon is baton(8): `systemctl start baton' starts it, `baton' runs it in the "
	    "foreground",
	    "");
}

int main(int argc, char **argv)
{
	struct options o;
	int code = options_parse(&o, argc, argv);

	if (code != EX_OK)
		return code;
	signal(SIGPIPE, SIG_IGN);
	conf = paths_load(o.config, program_invocation_short_name, true);
	code = run(&o, argv + o.first);
	return fflush(stdout) && code == EX_OK ? EX_IOERR : code;
}
