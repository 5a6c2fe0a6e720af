/* SPDX-License-Identifier: ISC */
/*
 * sendmail: a message on standard input becomes one SMTP transaction on smtpd's socket. Success is
 * said only after smtpd's 250, that is, when the message is safe on disk. No set-user-ID bit: the
 * socket's peer credentials say who asks.
 */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/header.h"
#include "cli/paths.h"
#include "cli/submit.h"
#include "lib/addr_param.h"
#include "lib/dot_form.h"
#include "lib/mailbox_list.h"

#define RCPTS_MAX 100000
#define CHUNK     65536
#define ENVID_MAX 100 /* characters of an ENVID, RFC 3461 4.4 */

struct request {
	const char *config, *sender, *full_name;
	bool from_headers, dot_is_text, has_sender;
	char mail_params[400], rcpt_params[64]; /* DSN options, as smtpd wants them */
	char **rcpts;
	size_t nrcpts;
	int error; /* sticky, from adding recipients */
};

static const struct conf *conf;

/* fail - say why, with the code that tells a program what to do */
static int fail(int code, const char *what, const char *why)
{
	fprintf(stderr, "sendmail: %s%s%s\n", what, *why ? ": " : "", why);
	return code;
}

/* exit_code - sysexits for smtpd's verdicts */
static int exit_code(enum submit_verdict v)
{
	static const int codes[] = {[SUBMIT_OK] = EX_OK,
	    [SUBMIT_TEMPORARY] = EX_TEMPFAIL,
	    [SUBMIT_NO_USER] = EX_NOUSER,
	    [SUBMIT_REFUSED] = EX_UNAVAILABLE};

	return codes[v];
}

/* complete - an address with a domain: ours, where it has none */
static char *complete(const char *address, size_t len)
{
	char *out = NULL;
	bool bare = memchr(address, '@', len) == NULL;

	if (asprintf(
		&out, "%.*s%s%s", (int)len, address, bare ? "@" : "", bare ? conf->origin : "") < 0)
		return NULL;
	return out;
}

/* add_rcpt - one more; the same address twice is one recipient */
static void add_rcpt(struct request *req, const char *address, size_t len)
{
	char **grown, *text;

	if (len == 0 || req->error)
		return;
	text = complete(address, len);
	for (size_t i = 0; text && i < req->nrcpts; i++)
		if (strcmp(req->rcpts[i], text) == 0) {
			free(text);
			return;
		}
	grown = req->nrcpts < RCPTS_MAX ? realloc(req->rcpts, (req->nrcpts + 1) * sizeof(*grown))
					: NULL;
	if (!text || !grown) {
		free(text);
		req->error = EX_OSERR;
		return;
	}
	req->rcpts = grown;
	req->rcpts[req->nrcpts++] = text;
}

/* on_mailbox - an address in a header field */
static void on_mailbox(const struct mailbox *mailbox, void *arg)
{
	add_rcpt(arg, mailbox->address, mailbox->len);
}

/* add_field - the recipients of a To, Cc or Bcc */
static void add_field(const char *body, size_t len, void *arg)
{
	struct request *req = arg;

	if (mailbox_list_walk(body, len, on_mailbox, req))
		req->error = EX_DATAERR;
}

/* login_name - who calls us */
static const char *login_name(void)
{
	const struct passwd *pw = getpwuid(getuid());
	static char number[32];

	if (pw)
		return pw->pw_name;
	snprintf(number, sizeof(number), "uid%u", getuid());
	return number;
}

/* usage - for who called it wrongly */
static int usage(void)
{
	return fail(EX_USAGE,
	    "usage: sendmail [-C FILE] [-t] [-i] [-f SENDER] [-F NAME]\n"
	    "    [-N never|success,failure,delay] [-R full|hdrs] [-V ENVID] [RECIPIENT...]",
	    "");
}

/* take_o - historic -oX options: only -oi means something here */
static void take_o(struct request *req, const char *value)
{
	if (value[0] == 'i')
		req->dot_is_text = true;
}

/* take_notify - -N: when the sender is to be told (RFC 3461 4.1) */
static int take_notify(struct request *req, const char *value)
{
	static const char *const words[] = {"success", "failure", "delay"};
	const char *at = value;
	bool good = strcasecmp(value, "never") == 0, more = !good;

	while (more) {
		size_t n = strcspn(at, ","), i = 0;

		while (i < 3 && (strlen(words[i]) != n || strncasecmp(at, words[i], n) != 0))
			i++;
		good = i < 3;
		more = good && at[n] == ',';
		at += n + 1;
	}
	if (!good || snprintf(req->rcpt_params, sizeof(req->rcpt_params), " NOTIFY=%s", value) >=
			 (int)sizeof(req->rcpt_params))
		return fail(
		    EX_USAGE, "-N wants never, or a list of success, failure and delay", value);
	return EX_OK;
}

/* take_ret - -R: what a bounce returns (RFC 3461 4.3) */
static int take_ret(const char **ret, const char *value)
{
	if (strcasecmp(value, "full") != 0 && strcasecmp(value, "hdrs") != 0)
		return fail(EX_USAGE, "-R wants full or hdrs", value);
	*ret = value;
	return EX_OK;
}

/* put_mail_params - -R and -V as parameters of MAIL */
static int put_mail_params(struct request *req, const char *ret, const char *envid)
{
	char xtext[ENVID_MAX + 1] = "";
	size_t size = sizeof(req->mail_params);

	if (envid && addr_xtext_encode(envid, strlen(envid), xtext, sizeof(xtext)) < 0)
		return fail(EX_USAGE, "-V wants an envelope ID of at most 100 characters", envid);
	snprintf(req->mail_params, size, "%s%s%s%s", ret ? " RET=" : "", ret ? ret : "",
	    xtext[0] ? " ENVID=" : "", xtext);
	return EX_OK;
}

/* parse - the command line; EX_OK or a code */
static int parse(struct request *req, int argc, char **argv)
{
	const char *ret = NULL, *envid = NULL;
	int opt, code = EX_OK;

	opterr = 0;
	while (!code && (opt = getopt(argc, argv, "+B:C:F:N:R:V:b:e:f:h:io:mnr:tvGU")) != -1)
		switch (opt) {
		case 'N':
			code = take_notify(req, optarg);
			break;
		case 'R':
			code = take_ret(&ret, optarg);
			break;
		case 'V':
			envid = optarg;
			break;
		case 'C':
			req->config = optarg;
			break;
		case 'F':
			req->full_name = optarg;
			break;
		case 'f':
		case 'r':
			req->sender = optarg;
			req->has_sender = true;
			break;
		case 'i':
			req->dot_is_text = true;
			break;
		case 'o':
			take_o(req, optarg);
			break;
		case 't':
			req->from_headers = true;
			break;
		case 'b':
			if (*optarg != 'm')
				return fail(EX_USAGE, "no such mode: -b", optarg);
			break;
		case '?':
			return usage();
		default:
			break; /* historic options that change nothing */
		}
	return code ? code : put_mail_params(req, ret, envid);
}

/* sender_of - the envelope's sender: as asked for, or the user who calls */
static char *sender_of(const struct request *req)
{
	const char *text = req->has_sender ? req->sender : login_name();
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '<' && text[len - 1] == '>') {
		text++;
		len -= 2;
	}
	return len == 0 ? strdup("") : complete(text, len);
}

/* write_plain - plain text in its stored form */
static void write_plain(struct submit *s, struct dot_form *form, const char *text, size_t len)
{
	static char out[DOT_FORM_ROOM(CHUNK)];

	while (len > 0) {
		size_t n = len < CHUNK ? len : CHUNK;

		fwrite(out, 1, dot_form(form, text, n, out), s->out);
		text += n;
		len -= n;
	}
}

/* write_from - the From line that -F asks for, quoted as RFC 5322 §3.2.4 wants it */
static void write_from(
    struct submit *s, struct dot_form *form, const char *name, const char *sender)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "From: \"");

	for (; *name && n < 400; name++) {
		if ((unsigned char)*name < 0x20 || *name == 0x7f)
			continue;
		if (*name == '"' || *name == '\\')
			line[n++] = '\\';
		line[n++] = *name;
	}
	n += snprintf(line + n, sizeof(line) - (size_t)n, "\" <%.400s>\n", sender);
	write_plain(s, form, line, (size_t)n);
}

/* write_body - what is left on standard input */
static int write_body(struct submit *s, struct dot_form *form)
{
	static char in[CHUNK];
	size_t n;

	while (!form->stopped && !ferror(s->out) && (n = fread(in, 1, sizeof(in), stdin)) > 0)
		write_plain(s, form, in, n);
	return ferror(stdin) ? -EIO : 0;
}

/* write_message - header, empty line, body, all in stored form */
static int write_message(struct submit *s, const struct request *req, const struct header *h,
    const char *sender, bool message_ended)
{
	struct dot_form form;
	char end[DOT_END_ROOM];
	int r = 0;

	dot_form_init(&form, req->dot_is_text ? DOT_STUFF : DOT_STUFF_STOP);
	if (req->full_name && !h->has_from)
		write_from(s, &form, req->full_name, sender);
	write_plain(s, &form, h->text, h->len);
	if (h->ended || h->first_len > 0 || h->len > 0 || (req->full_name && !h->has_from))
		write_plain(s, &form, "\n", 1);
	write_plain(s, &form, h->first, h->first_len);
	if (!message_ended)
		r = write_body(s, &form);
	fwrite(end, 1, dot_form_end(&form, end), s->out);
	return r;
}

/* offer_rcpts - those smtpd takes; the worst verdict of the others, each said */
static enum submit_verdict offer_rcpts(struct submit *s, const struct request *req, size_t *taken)
{
	enum submit_verdict worst = SUBMIT_OK;

	for (size_t i = 0; i < req->nrcpts; i++) {
		enum submit_verdict v = submit_rcpt(s, req->rcpts[i], req->rcpt_params);

		if (v == SUBMIT_OK)
			(*taken)++;
		else
			fail(0, req->rcpts[i], s->reply);
		if (v > worst)
			worst = v;
	}
	return worst;
}

/* transaction - from MAIL to the 250 */
static int transaction(struct submit *s, const struct request *req, const struct header *h,
    const char *sender, bool message_ended)
{
	enum submit_verdict v = submit_mail(s, sender, req->mail_params), refused;
	size_t taken = 0;

	if (v != SUBMIT_OK)
		return fail(exit_code(v), sender, s->reply);
	refused = offer_rcpts(s, req, &taken);
	if (taken == 0)
		return exit_code(refused);
	v = submit_data(s);
	if (v == SUBMIT_OK) {
		if (write_message(s, req, h, sender, message_ended))
			/* Leaving without the final mark: smtpd drops what it has. */
			return fail(EX_IOERR, "standard input", strerror(errno));
		v = submit_end(s);
	}
	if (v != SUBMIT_OK)
		return fail(exit_code(v), "message refused", s->reply);
	return exit_code(refused);
}

/* read_header - the header section, and with -t its recipients */
static int read_header(struct request *req, struct header *h, bool *message_ended)
{
	int r = header_read(h, stdin, !req->dot_is_text, message_ended);

	if (r == -EMSGSIZE)
		return fail(EX_DATAERR, "the header is longer than 1 MiB", "");
	if (r)
		return fail(EX_IOERR, "standard input", strerror(-r));
	if (req->from_headers) {
		header_each(h, "To", add_field, req);
		header_each(h, "Cc", add_field, req);
		header_each(h, "Bcc", add_field, req);
		header_remove(h, "Bcc");
	}
	if (req->error)
		return fail(req->error, "the list of recipients cannot be read", "");
	if (req->nrcpts == 0)
		return fail(
		    EX_USAGE, "no recipient given", req->from_headers ? "in the header" : "");
	return EX_OK;
}

int main(int argc, char **argv)
{
	struct request req = {0};
	struct header header = {0};
	struct submit submit = {0};
	bool message_ended;
	int code = parse(&req, argc, argv);
	char *sender;

	if (code != EX_OK)
		return code;
	signal(SIGPIPE, SIG_IGN);
	conf = paths_load(req.config, "sendmail", true);
	for (int i = optind; i < argc; i++)
		add_field(argv[i], strlen(argv[i]), &req);
	code = read_header(&req, &header, &message_ended);
	sender = sender_of(&req);
	if (code == EX_OK && !sender)
		code = fail(EX_OSERR, "out of memory", "");
	if (code == EX_OK && submit_open(&submit, conf->runtime, conf->hostname) != SUBMIT_OK)
		code = fail(EX_TEMPFAIL, "mail cannot be taken now", submit.reply);
	else if (code == EX_OK)
		code = transaction(&submit, &req, &header, sender, message_ended);
	submit_close(&submit);
	header_free(&header);
	free(sender);
	return code;
}
