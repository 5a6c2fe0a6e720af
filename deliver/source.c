/* SPDX-License-Identifier: ISC */
/* A lot for each family, in one walk: the i-th address takes its place with a chance of 1 in i. */
#include "deliver/source.h"

#include <errno.h>

#include "lib/str.h"

int source_take(const struct conf *conf, struct msg_bytes title,
    unsigned (*random)(unsigned below), struct race_source *out, char hello[256])
{
	const struct conf_source *source = NULL;
	unsigned seen4 = 0, seen6 = 0;
	char name[256];
	*out = (struct race_source){0};
	if (title.len) {
		if (str_copy_n(name, sizeof(name), title.data, title.len) < 0)
			return -ENAMETOOLONG;
		source = conf_source(conf, name);
		if (!source)
			return -ENOENT;
	}
	for (size_t i = 0; source && i < source->address.n; i++) {
		const struct conf_addr *addr = &source->address.v[i];
		bool six = addr->family == AF_INET6;
		out->bind = true;
		if (!random(six ? ++seen6 : ++seen4))
			*(six ? &out->v6 : &out->v4) = *addr;
	}
	return str_copy(hello, 256, source && source->hello[0] ? source->hello : conf->hostname);
}
