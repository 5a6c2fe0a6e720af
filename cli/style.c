/* SPDX-License-Identifier: ISC */
#include "cli/style.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool coloured;

/* style_choose - https://no-color.org: set and not empty */
void style_choose(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	coloured =
	    isatty(STDOUT_FILENO) && !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
}

/* style - ECMA-48, SGR */
const char *style(enum style style)
{
	static const char *const codes[] = {
	    [STYLE_PLAIN] = "\033[0m",
	    [STYLE_BOLD] = "\033[1m",
	    [STYLE_GOOD] = "\033[32m",
	    [STYLE_WARN] = "\033[33m",
	    [STYLE_BAD] = "\033[1;31m",
	    [STYLE_DIM] = "\033[2m",
	};
	return coloured ? codes[style] : "";
}

/* style_span - two units at most */
const char *style_span(char buf[STYLE_TEXT], uint64_t ms)
{
	uint64_t s = ms / 1000;
	if (s < 60)
		snprintf(buf, STYLE_TEXT, "%" PRIu64 "s", s);
	else if (s < 3600)
		snprintf(buf, STYLE_TEXT, "%" PRIu64 "m%02us", s / 60, (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(buf, STYLE_TEXT, "%" PRIu64 "h%02um", s / 3600, (unsigned)(s / 60 % 60));
	else
		snprintf(buf, STYLE_TEXT, "%" PRIu64 "d%uh", s / 86400, (unsigned)(s / 3600 % 24));
	return buf;
}

/* style_bytes - powers of 1024, as the configuration has them */
const char *style_bytes(char buf[STYLE_TEXT], uint64_t bytes)
{
	static const char units[] = "KMGT";
	double n = (double)bytes;
	int unit = -1;
	while (n >= 1024 && unit < 3) {
		n /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(buf, STYLE_TEXT, "%" PRIu64, bytes);
	else
		snprintf(buf, STYLE_TEXT, "%.1f%c", n, units[unit]);
	return buf;
}

/* style_when - day and time */
const char *style_when(char buf[STYLE_TEXT], uint64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;
	strftime(buf, STYLE_TEXT, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
	return buf;
}

/* style_clean - C0, DEL and what isn't ASCII */
void style_clean(FILE *to, struct msg_bytes text, size_t max)
{
	for (uint32_t i = 0; i < text.len && (!max || i < max); i++) {
		unsigned char c = (unsigned char)text.data[i];
		fputc(c < 0x20 || c > 0x7e ? '?' : c, to);
	}
}
