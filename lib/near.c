/* SPDX-License-Identifier: ISC */
/* Optimal string alignment distance, three rows of the table at a time. */
#include "lib/near.h"

#include <string.h>

#include "lib/str.h"

/* least - of three */
static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned d = a < b ? a : b;
	return d < c ? d : c;
}

/* near_distance - how many slips */
unsigned near_distance(const char *a, const char *b)
{
	unsigned rows[3][NEAR_WORD_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];
	size_t n = strlen(a), m = strlen(b);
	if (n > NEAR_WORD_MAX || m > NEAR_WORD_MAX)
		return NEAR_WORD_MAX;
	for (size_t j = 0; j <= m; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			char x = str_lower_c(a[i - 1]), y = str_lower_c(b[j - 1]);
			row[j] = least(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == str_lower_c(b[j - 2]) &&
			    y == str_lower_c(a[i - 2]) && before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		unsigned *free_row = before;
		before = last;
		last = row;
		row = free_row;
	}
	return last[m];
}

/* near_offer - the closer one */
void near_offer(const char *word, const char *candidate, const char **best)
{
	unsigned d = near_distance(word, candidate);
	size_t len = strlen(candidate);
	if (d * 3 > len + 2 || d >= len)
		return;
	if (!*best || d < near_distance(word, *best))
		*best = candidate;
}
