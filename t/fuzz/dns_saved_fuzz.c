/* SPDX-License-Identifier: ISC */
/*
 * What dnscache reads from files: its saved cache, with a sum that fits so that the entries are
 * looked at, and the hosts file. Whatever is taken can be saved and read again, all of it.
 */
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "dnscache/hosts.h"
#include "dnscache/saved.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* saved - entries behind a good head */
static void saved(const uint8_t *data, size_t size)
{
	struct cache *c = cache_new(1 << 20), *d = cache_new(1 << 20);
	uint8_t *file = malloc(24 + size), *again = NULL;
	uint64_t sum = htobe64(XXH3_64bits(data, size));
	struct cache_stats stats;
	long taken, len;

	memcpy(file, "BatonDNS\0\0\0\1", 12);
	memcpy(file + 12, &(uint32_t){htobe32((uint32_t)size)}, 4);
	memcpy(file + 16, &sum, 8);
	memcpy(file + 24, data, size);
	taken = saved_decode(c, file, 24 + size, 1000000000, 1700000000000);
	cache_stats(c, &stats);
	if (taken < 0 || stats.entries > (size_t)taken)
		abort();
	len = saved_encode(c, 1000000000, 1700000000000, &again);
	if (saved_decode(d, again, (size_t)len, 1000000000, 1700000000000) != (long)stats.entries)
		abort();
	free(file);
	free(again);
	cache_free(c);
	cache_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct resolver_answer answer;
	struct dns_record rec;
	struct hosts *hosts;
	struct wire_in w;

	if (size > 100000)
		return 0;
	saved(data, size);
	hosts = hosts_parse((const char *)data, size);
	if (hosts_answer(hosts, DNS_A, "a", &answer)) {
		wire_in_init(&w, answer.records, answer.len);
		while (dns_record_next(&w, DNS_A, &rec))
			;
		if (wire_in_end(&w) != 0)
			abort();
	}
	hosts_free(hosts);
	return 0;
}
