/* SPDX-License-Identifier: ISC */
/*
 * sendmail's command line, as the programs of forty years pass it. What means something here is in
 * struct options; what other versions of sendmail know is taken and ignored.
 */
#pragma once

#include <stdbool.h>

#include "cli/letter.h"

enum mode {
	MODE_MESSAGE, /* -bm: a message on standard input */
	MODE_SMTP,    /* -bs: SMTP on standard input and output */
	MODE_QUEUE,   /* -bp, mailq: list the queue */
	MODE_ALIASES, /* -bi, -I */
	MODE_DAEMON,  /* -bd, -bD, -bl: there is another program for that */
	MODE_VERIFY,  /* -bv: are these recipients taken? */
	MODE_FLUSH    /* -q...: try what waits now */
};

struct options {
	enum mode mode;
	const char *config;    /* -C */
	const char *sender;    /* -f, -r; NULL: the user who calls */
	const char *full_name; /* -F */
	bool from_headers;     /* -t */
	bool dot_is_text;      /* -i, -oi */
	bool verbose;          /* -v */
	char flush_by;         /* of MODE_FLUSH: 'I', 'R', 'S'; 0: all */
	const char *flush_text;
	char mail_params[LETTER_PARAMS_MAX], rcpt_params[LETTER_PARAMS_MAX];
	int first; /* argv[first] is the first recipient */
};

/* Takes the command line. EX_OK, or EX_USAGE after saying why on stderr. */
int options_parse(struct options *o, int argc, char **argv);
