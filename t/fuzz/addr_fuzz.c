/* SPDX-License-Identifier: ISC */
/*
 * A path and parameters: no read past the end, parts inside the text, the limits kept; the normal
 * form of what is taken is taken too, is its own normal form, and is the same address.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/addr_param.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - what has to hold */
static void must(bool ok)
{
	if (!ok)
		abort();
}

/* check_address - one that was taken */
static void check_address(const struct addr *a, const char *in, size_t n, unsigned flags)
{
	char text[2 * ADDR_SIZE], again[2 * ADDR_SIZE], plain[ADDR_SIZE];
	struct addr b;

	must(a->len <= ADDR_TEXT_MAX && a->domain_len <= ADDR_DOMAIN_MAX);
	if (a->len == 0)
		return;
	must(a->text >= in && a->text + a->len <= in + n);
	must(a->local_len + (a->domain_len ? a->domain_len + 1 : 0) == a->len);
	must(!memchr(a->text, '\r', a->len) && !memchr(a->text, '\n', a->len));
	must(!memchr(a->text, '\0', a->len));
	must(addr_local_plain(a, plain, sizeof(plain)) >= 0);
	int len = addr_normal(a, text, sizeof(text));
	must(len >= 0 && (size_t)len <= a->len);
	must(addr_mailbox(text, (size_t)len, flags | ADDR_LOCAL, &b) == 0 && addr_equal(a, &b));
	must(addr_normal(&b, again, sizeof(again)) == len && !strcmp(text, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct addr a;
	struct addr_param p;
	size_t used = 0;

	if (size < 1)
		return 0;
	unsigned flags = data[0] % 16;
	const char *in = (const char *)data + 1, *end = in + size - 1;
	if (addr_path(in, size - 1, flags, &a, &used) == 0)
		check_address(&a, in, size - 1, flags);
	must(used <= size - 1);
	if (addr_mailbox(in, size - 1, flags, &a) == 0)
		check_address(&a, in, size - 1, flags);
	const char *pos = in + used;
	while (addr_param_next(&pos, end, &p) == 1) {
		char out[64], back[256];
		must(pos <= end && p.key_len > 0 && (!p.value || p.value_len > 0));
		if (!p.value)
			continue;
		int n = addr_xtext_decode(p.value, p.value_len, out, sizeof(out));
		if (n < 0)
			continue;
		int m = addr_xtext_encode(out, (size_t)n, back, sizeof(back));
		must(m >= n && addr_xtext_decode(back, (size_t)m, out, sizeof(out)) == n);
	}
	return 0;
}
