/* SPDX-License-Identifier: ISC */
/*
 * sendmail as an SMTP client of smtpd's socket in `runtime` (DESIGN §2): blocking, one transaction.
 * The kernel tells smtpd who we are; there is nothing to authenticate.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define SUBMIT_SOCKET "submit" /* name of the socket in `runtime` */
#define SUBMIT_WAIT_S 330      /* longer than smtpd ever takes to answer */

enum smtp_verdict {
	SMTP_OK,
	SMTP_TEMPORARY, /* nobody there, or 4xx */
	SMTP_NO_USER,   /* 5xx with 5.1.x for a recipient */
	SMTP_REFUSED    /* any other 5xx */
};

struct submit {
	FILE *in, *out;
	char reply[1024]; /* the last reply's last line, for people */
	int code;         /* its code; 0: the connection broke */
};

/* The connected socket alone, with SUBMIT_WAIT_S as its timeout; -E.... */
int submit_dial(const char *runtime);

/* Connects and greets. SMTP_OK, or SMTP_TEMPORARY with the reason in s->reply. */
enum smtp_verdict submit_open(struct submit *s, const char *runtime, const char *helo);

/*
 * MAIL, then RCPT one by one; sender without <>. params: more of the command's parameters, each
 * with a space before it; "" for none.
 */
enum smtp_verdict submit_mail(struct submit *s, const char *sender, const char *params);
enum smtp_verdict submit_rcpt(struct submit *s, const char *recipient, const char *params);

/* DATA; then the stored form is written to s->out; then the end and its answer. */
enum smtp_verdict submit_data(struct submit *s);
enum smtp_verdict submit_end(struct submit *s);

void submit_close(struct submit *s);
