/* SPDX-License-Identifier: ISC */
#include "lib/idna.h"

#include <errno.h>
#include <idn2.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/str.h"

enum { DOMAIN_MAX = 255 }; /* bytes of what is given; A-labels are checked by the library */

/* idna_to_ascii - lookup form; UTF-8 is not taken from the locale */
int idna_to_ascii(const char *domain, size_t n, char *out, size_t size)
{
	char text[DOMAIN_MAX + 1], *ascii = NULL;

	if (str_copy_n(text, sizeof(text), domain, n))
		return -ENAMETOOLONG;
	int rc = idn2_to_ascii_8z(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (rc == IDN2_TOO_BIG_DOMAIN || rc == IDN2_TOO_BIG_LABEL)
		return -ENAMETOOLONG;
	if (rc != IDN2_OK)
		return rc == IDN2_MALLOC ? -ENOMEM : -EINVAL;
	size_t len = strlen(ascii);
	/* Mapping may leave an empty label, or none at all. */
	int result = addr_check_domain(ascii, len, false);
	if (result == 0)
		result = len < size ? (int)len : -ENAMETOOLONG;
	if (result >= 0)
		memcpy(out, ascii, len + 1);
	idn2_free(ascii);
	return result;
}
