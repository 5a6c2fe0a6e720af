/* SPDX-License-Identifier: ISC */
/* The machine-readable part of a notice: message/delivery-status (RFC 3464 §2). */
#include <stdio.h>
#include <string.h>

#include "deliver/dsn_parts.h"
#include "lib/addr_param.h"
#include "lib/qid.h"
#include "lib/str.h"

#define ADDRESS_ROOM 1300 /* of 256 octets, each as \x{10FFFF} at worst */

static const char *const actions[ACTIONS] = {
    [ACTION_FAILED] = "failed",
    [ACTION_DELAYED] = "delayed",
    [ACTION_DELIVERED] = "delivered",
    [ACTION_RELAYED] = "relayed",
    [ACTION_EXPANDED] = "expanded",
};

/* code_point - of one character of UTF-8 of n bytes */
static unsigned code_point(const char *at, size_t n)
{
	unsigned point = (unsigned char)at[0];
	if (n > 1)
		point &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++)
		point = point << 6 | ((unsigned char)at[i] & 0x3f);
	return point;
}

/*
 * address - with its type: rfc822, or where it isn't ASCII utf-8 in the form that ASCII can carry
 * (RFC 6533 §3)
 */
static const char *address(struct msg_bytes text, char out[ADDRESS_ROOM])
{
	bool ascii = true;
	for (uint32_t i = 0; i < text.len; i++)
		ascii = ascii && (unsigned char)text.data[i] < 127;
	size_t n = (size_t)snprintf(out, ADDRESS_ROOM, ascii ? "rfc822; " : "utf-8; ");
	for (size_t i = 0; i < text.len && n + 12 < ADDRESS_ROOM;) {
		size_t len = str_utf8(text.data + i, text.len - i);
		unsigned char c = (unsigned char)text.data[i];
		if (ascii || (c > ' ' && c < 127 && !strchr("\\+=", c)))
			out[n++] = c >= ' ' ? (char)c : '?';
		else
			n += (size_t)snprintf(out + n, ADDRESS_ROOM - n, "\\x{%X}",
			    len ? code_point(text.data + i, len) : 0xfffdu);
		i += len ? len : 1;
	}
	out[n] = '\0';
	return out;
}

/* original_recipient - type;xtext as the sender gave it, decoded (RFC 3464 §2.3.1) */
static void original_recipient(struct evbuffer *out, struct msg_bytes orcpt)
{
	char plain[600], clean[600];
	const char *semicolon = orcpt.len ? memchr(orcpt.data, ';', orcpt.len) : NULL;
	if (!semicolon)
		return;
	size_t type = (size_t)(semicolon - orcpt.data);
	int n = addr_xtext_decode(semicolon + 1, orcpt.len - type - 1, plain, sizeof(plain));
	if (n > 0)
		dsn_field(out, "Original-Recipient", "%.*s; %s", (int)type, orcpt.data,
		    dsn_clean(msg_bytes(plain, (size_t)n), clean, sizeof(clean)));
}

/* diagnostic - what was said; by no SMTP peer, no SMTP reply (RFC 3464 §2.3.6) */
static void diagnostic(struct evbuffer *out, const struct job_rcpt *rcpt)
{
	char words[DSN_TEXT_ROOM];
	dsn_words(rcpt, words);
	if (words[0])
		dsn_field(out, "Diagnostic-Code", "%s; %s",
		    rcpt->code && rcpt->host.len ? "smtp" : "x-baton", words);
}

/* recipient - one group of the report (RFC 3464 §2.3) */
static void recipient(struct evbuffer *out, const struct job_rcpt *rcpt)
{
	char text[ADDRESS_ROOM], status[DSN_STATUS], when[DSN_DATE], host[300];
	dsn_say(out, "\r\n");
	original_recipient(out, rcpt->orcpt);
	dsn_field(out, "Final-Recipient", "%s", address(rcpt->address, text));
	dsn_field(out, "Action", "%s", actions[rcpt->action]);
	dsn_field(out, "Status", "%s", dsn_status(rcpt, status));
	if (rcpt->host.len)
		dsn_field(out, "Remote-MTA", "dns; %s", dsn_clean(rcpt->host, host, sizeof(host)));
	diagnostic(out, rcpt);
	if (rcpt->tried_ms)
		dsn_field(out, "Last-Attempt-Date", "%s", dsn_date(rcpt->tried_ms, when));
	if (rcpt->until_ms && rcpt->action == ACTION_DELAYED)
		dsn_field(out, "Will-Retry-Until", "%s", dsn_date(rcpt->until_ms, when));
}

void dsn_report(struct evbuffer *out, const struct job *job, const char *host)
{
	char when[DSN_DATE], id[QID_TEXT_MAX], envid[300];
	qid_format(id, job->id);
	dsn_say(out, "Content-Type: message/delivery-status\r\n\r\n");
	if (job->envid.len)
		dsn_field(
		    out, "Original-Envelope-Id", "%s", dsn_clean(job->envid, envid, sizeof(envid)));
	dsn_field(out, "Reporting-MTA", "dns; %s", host);
	dsn_field(out, "X-Baton-Queue-ID", "%s", id);
	dsn_field(out, "Arrival-Date", "%s", dsn_date(job->arrival_ms, when));
	for (uint32_t i = 0; i < job->nends; i++)
		recipient(out, &job->ends[i].rcpt);
}
