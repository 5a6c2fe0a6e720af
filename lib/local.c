/* SPDX-License-Identifier: ISC */
#include "lib/local.h"

#include <stdio.h>
#include <string.h>

/* local_forward_name - of what follows the first + of the local part */
bool local_forward_name(const char *recipient, char out[LOCAL_FORWARD_NAME])
{
	const char *at = strrchr(recipient, '@');
	const char *end = at ? at : recipient + strlen(recipient);
	const char *plus = memchr(recipient, '+', (size_t)(end - recipient));
	if (!plus || plus == recipient)
		return false;
	size_t len = (size_t)(end - plus);
	if (len < 2)
		return false;
	for (const char *p = plus; p < end; p++)
		if ((unsigned char)*p <= ' ' || *p == 127 || strchr("/\"\\", *p))
			return false;
	int n = snprintf(out, LOCAL_FORWARD_NAME, LOCAL_FORWARD_FILE "%.*s", (int)len, plus);
	return n > 0 && n < LOCAL_FORWARD_NAME;
}
