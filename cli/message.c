/* SPDX-License-Identifier: ISC */
#include "cli/message.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define CHUNK        65536
#define NAME_MAX_LEN 400 /* bytes of a full name in a From line */

/* put - stored bytes, to both */
static void put(struct outlet *to, const char *bytes, size_t len)
{
	if (to->submit && !ferror(to->submit->out))
		fwrite(bytes, 1, len, to->submit->out);
	keep_add(to->keep, bytes, len);
}

/* put_plain - plain text in its stored form */
static void put_plain(struct outlet *to, const char *text, size_t len)
{
	static char out[DOT_FORM_ROOM(CHUNK)];

	while (len > 0) {
		size_t n = len < CHUNK ? len : CHUNK;

		put(to, out, dot_form(&to->form, text, n, out));
		text += n;
		len -= n;
	}
}

/* put_from - the From line, its name quoted as RFC 5322 3.2.4 wants it */
static void put_from(struct outlet *to, const char *name, const char *sender)
{
	char line[2 * NAME_MAX_LEN + LETTER_ADDRESS_MAX + 300];
	int n = snprintf(line, sizeof(line), "From: \"");

	for (size_t i = 0; name[i] && i < NAME_MAX_LEN; i++) {
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			continue;
		if (name[i] == '"' || name[i] == '\\')
			line[n++] = '\\';
		line[n++] = name[i];
	}
	n += snprintf(line + n, sizeof(line) - (size_t)n, "\" <%s>\n", sender);
	if ((size_t)n < sizeof(line))
		put_plain(to, line, (size_t)n);
}

/* put_date - when it was written, not when it is taken out of the drop folder */
static void put_date(struct outlet *to)
{
	char line[64];
	time_t now = time(NULL);
	struct tm tm;
	size_t n = localtime_r(&now, &tm)
		       ? strftime(line, sizeof(line), "Date: %a, %d %b %Y %H:%M:%S %z\n", &tm)
		       : 0;

	put_plain(to, line, n);
}

/* put_header - the section and the empty line behind it */
static void put_header(struct outlet *to, const struct message *m)
{
	const struct header *h = &m->header;

	if (*m->full_name && *m->sender && !h->has_from)
		put_from(to, m->full_name, m->sender);
	if (!h->has_date)
		put_date(to);
	put_plain(to, h->text, h->len);
	put_plain(to, "\n", 1);
	put_plain(to, h->first, h->first_len);
}

/* message_write - header and body */
int message_write(struct message *m, struct outlet *to)
{
	static char in[CHUNK];
	char end[DOT_END_ROOM];
	size_t n;

	dot_form_init(&to->form, m->dot_is_text ? DOT_STUFF : DOT_STUFF_STOP);
	put_header(to, m);
	while (!m->ended && !to->form.stopped && (n = fread(in, 1, sizeof(in), stdin)) > 0)
		put_plain(to, in, n);
	if (ferror(stdin))
		return -EIO;
	put(to, end, dot_form_end(&to->form, end));
	return 0;
}

/* message_drain - to the end */
void message_drain(void)
{
	static char in[CHUNK];

	while (fread(in, 1, sizeof(in), stdin) > 0)
		;
}
