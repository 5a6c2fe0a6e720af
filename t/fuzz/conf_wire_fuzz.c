/* SPDX-License-Identifier: ISC */
/* conf_decode() on any bytes; what it takes must be encodable again and answer the look-ups. */
#include <stdlib.h>

#include "lib/conf.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct conf *c, *again;
	struct conf_site site;
	const char *mx = "mx.example.org";
	unsigned char *buf;
	size_t len;
	if (conf_decode(data, size, &c))
		return 0;
	conf_route(c, "a@b.example", "x", "example.org");
	conf_site(c, "[x]:25", &mx, 1, "example.org", &site);
	conf_is_local_domain(c, "example.org");
	for (int role = ROLE_MASTER; role < ROLE_TOOL; role++) {
		if (conf_encode(c, (enum role)role, &buf, &len) || conf_decode(buf, len, &again))
			abort();
		free(buf);
		conf_free(again);
	}
	conf_free(c);
	return 0;
}
