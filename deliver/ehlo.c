/* SPDX-License-Identifier: ISC */
#include "deliver/ehlo.h"

#include <string.h>

#include "lib/str.h"

/* read_size - SIZE and the most it takes, where that is said (RFC 1870 §4) */
static void read_size(struct ehlo *ehlo, const char *value, size_t len)
{
	unsigned long long max;
	ehlo->size = true;
	if (len && !str_to_u64(value, len, UINT64_MAX, &max))
		ehlo->size_max = max;
}

/* read_auth - mechanisms; a host may list them twice, as "AUTH" and in the old form "AUTH=" */
static void read_auth(struct ehlo *ehlo, const char *list, size_t len)
{
	size_t have = strlen(ehlo->auth);
	if (!len || len + 1 >= sizeof(ehlo->auth) - have)
		return;
	ehlo->auth[have] = ' ';
	memcpy(ehlo->auth + have + 1, list, len);
	ehlo->auth[have + 1 + len] = '\0';
}

/* read_line - one keyword with its parameters */
static void read_line(struct ehlo *ehlo, const char *text, size_t len)
{
	const char *space = memchr(text, ' ', len);
	size_t n = space ? (size_t)(space - text) : len;
	if (str_is_ci(text, n, "PIPELINING"))
		ehlo->pipelining = true;
	else if (str_is_ci(text, n, "CHUNKING"))
		ehlo->chunking = true;
	else if (str_is_ci(text, n, "8BITMIME"))
		ehlo->eightbit = true;
	else if (str_is_ci(text, n, "DSN"))
		ehlo->dsn = true;
	else if (str_is_ci(text, n, "SMTPUTF8"))
		ehlo->smtputf8 = true;
	else if (str_is_ci(text, n, "STARTTLS"))
		ehlo->starttls = true;
	else if (str_is_ci(text, n, "AUTH") || str_starts_ci(text, n, "AUTH="))
		read_auth(ehlo, len > 5 ? text + 5 : "", len > 5 ? len - 5 : 0);
	else if (str_is_ci(text, n, "SIZE"))
		read_size(ehlo, space ? space + 1 : "", space ? len - n - 1 : 0);
}

void ehlo_read(struct ehlo *ehlo, const struct reply *reply)
{
	const char *pos = NULL, *line;
	size_t len;
	*ehlo = (struct ehlo){0};
	while (reply_next_line(reply, &pos, &line, &len))
		read_line(ehlo, line, len);
}
