/* SPDX-License-Identifier: ISC */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/addr_param.h"

#define ENVID_MAX 100 /* characters of an ENVID, RFC 3461 4.4 */

/* What has a value takes it from the same word or the next; -q and -d only from the same. */
#define LETTERS "+A:B:C:D:F:GIL:M:N:O:QR:UV:X:b:d::e:f:h:imno:p:q::r:stv"

/* What is gathered before it becomes parameters. */
struct wanted {
	const char *body, *ret, *envid, *notify;
};

/* wrong - why the command line isn't taken */
static int wrong(const char *what, const char *value)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, value);
	return EX_USAGE;
}

/* usage - for who called it wrongly */
static int usage(void)
{
	fprintf(stderr,
	    "usage: %s [-C FILE] [-tiv] [-f SENDER] [-F NAME] [-B 7BIT|8BITMIME]\n"
	    "    [-N never|success,failure,delay] [-R full|hdrs] [-V ENVID] [RECIPIENT...]\n"
	    "    %s -bs | -bp | -bi | -bv RECIPIENT... | -q[IID|RTEXT|STEXT]\n",
	    program_invocation_short_name, program_invocation_short_name);
	return EX_USAGE;
}

/* take_mode - -b */
static int take_mode(struct options *o, const char *value)
{
	static const struct {
		char letter;
		enum mode mode;
	} modes[] = {{'m', MODE_MESSAGE}, {'a', MODE_MESSAGE}, {'s', MODE_SMTP}, {'p', MODE_QUEUE},
	    {'i', MODE_ALIASES}, {'d', MODE_DAEMON}, {'D', MODE_DAEMON}, {'l', MODE_DAEMON},
	    {'v', MODE_VERIFY}};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (value[0] == modes[i].letter && !value[1]) {
			o->mode = modes[i].mode;
			return EX_OK;
		}
	return wrong("no such mode: -b", value);
}

/* take_flush - -q, -qITEXT, -qRTEXT, -qSTEXT; a time is the interval of a daemon, which isn't us */
static int take_flush(struct options *o, const char *value)
{
	o->flush_by = 0;
	o->flush_text = NULL;
	if (value && *value && strchr("IRS", *value)) {
		if (!value[1])
			return wrong("a text lacks behind -q", value);
		o->flush_by = *value;
		o->flush_text = value + 1;
	} else if (value && *value && !isdigit((unsigned char)*value)) {
		return wrong("-q wants I, R or S and a text", value);
	}
	if (o->mode != MODE_DAEMON)
		o->mode = MODE_FLUSH;
	return EX_OK;
}

/* is_notify - -N: never, or a list (RFC 3461 4.1) */
static bool is_notify(const char *value)
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
	return good;
}

/* put_params - as parameters of MAIL and RCPT; what the body is isn't known: 8BITMIME allows both
 */
static int put_params(struct options *o, const struct wanted *w)
{
	char xtext[ENVID_MAX + 1] = "";

	if (w->body && strcasecmp(w->body, "7bit") != 0 && strcasecmp(w->body, "8bitmime") != 0)
		return wrong("-B wants 7BIT or 8BITMIME", w->body);
	if (w->ret && strcasecmp(w->ret, "full") != 0 && strcasecmp(w->ret, "hdrs") != 0)
		return wrong("-R wants full or hdrs", w->ret);
	if (w->notify && (!is_notify(w->notify) || strlen(w->notify) > ENVID_MAX))
		return wrong("-N wants never, or a list of success, failure and delay", w->notify);
	if (w->envid &&
	    (!*w->envid || addr_xtext_encode(w->envid, strlen(w->envid), xtext, sizeof(xtext)) < 0))
		return wrong("-V wants an envelope ID of at most 100 characters", w->envid);
	snprintf(o->mail_params, sizeof(o->mail_params), " BODY=%s%s%s%s%s",
	    w->body ? w->body : "8BITMIME", w->ret ? " RET=" : "", w->ret ? w->ret : "",
	    w->envid ? " ENVID=" : "", xtext);
	if (w->notify)
		snprintf(o->rcpt_params, sizeof(o->rcpt_params), " NOTIFY=%s", w->notify);
	return EX_OK;
}

/* take - one option */
static int take(struct options *o, struct wanted *w, int opt)
{
	switch (opt) {
	case 'B':
		w->body = optarg;
		break;
	case 'C':
		o->config = optarg;
		break;
	case 'F':
		o->full_name = optarg;
		break;
	case 'I':
		o->mode = MODE_ALIASES;
		break;
	case 'N':
		w->notify = optarg;
		break;
	case 'R':
		w->ret = optarg;
		break;
	case 'V':
		w->envid = optarg;
		break;
	case 'b':
		return take_mode(o, optarg);
	case 'f':
	case 'r':
		o->sender = optarg;
		break;
	case 'i':
		o->dot_is_text = true;
		break;
	case 'o':
		o->dot_is_text |= optarg[0] == 'i'; /* the others mean nothing here */
		break;
	case 'q':
		return take_flush(o, optarg);
	case 't':
		o->from_headers = true;
		break;
	case 'v':
		o->verbose = true;
		break;
	case '?':
		return usage();
	default:
		break; /* historic options that change nothing */
	}
	return EX_OK;
}

/* by_name - mailq is often a link */
static enum mode by_name(void)
{
	bool mailq = strcmp(program_invocation_short_name, "mailq") == 0;

	return mailq ? MODE_QUEUE : MODE_MESSAGE;
}

/* options_parse - to the first recipient */
int options_parse(struct options *o, int argc, char **argv)
{
	struct wanted w = {0};
	int opt, code = EX_OK;

	*o = (struct options){.mode = by_name()};
	opterr = 0;
	while (!code && (opt = getopt(argc, argv, LETTERS)) != -1)
		code = take(o, &w, opt);
	o->first = optind;
	return code ? code : put_params(o, &w);
}
