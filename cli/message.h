/* SPDX-License-Identifier: ISC */
/*
 * A message from standard input on its way out: header with what lacks, body, in stored form
 * (lib/dot_form.h), to smtpd where it takes it, and to what keeps it for the case that smtpd
 * doesn't answer for it in the end. Streams: never more than a header section and a piece in
 * memory.
 */
#pragma once

#include "cli/header.h"
#include "cli/keep.h"
#include "cli/submit.h"
#include "lib/dot_form.h"

struct message {
	struct header header;
	bool dot_is_text; /* -i */
	bool ended;       /* nothing is left on standard input */
	const char
	    *full_name;     /* for a From line, where the message has none; "": leave it to smtpd */
	const char *sender; /* for the same */
};

/* Where it goes; submit may be NULL. */
struct outlet {
	struct submit *submit;
	struct keep *keep;
	struct dot_form form;
};

/*
 * Writes all of it. A connection that breaks on the way is no error: it is read on for the sake of
 * what is kept. 0, or -EIO when standard input can't be read: then nothing of it may be used.
 */
int message_write(struct message *m, struct outlet *to);

/* Reads what is left, for a caller who must not die of SIGPIPE. */
void message_drain(void);
