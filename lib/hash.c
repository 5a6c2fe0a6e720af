/* SPDX-License-Identifier: ISC */
/*
 * The seed is taken before main() runs, so that the hot path has no test for it and no start-up
 * code can forget it. getrandom() needs no descriptor and no chroot.
 */
#include "lib/hash.h"

#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

static uint64_t seed;

/* take_seed - a random seed for this process */
__attribute__((constructor)) static void take_seed(void)
{
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		abort();
}

/* hash_bytes - the keyed hash of bytes */
uint64_t hash_bytes(const void *key, size_t n)
{
	return XXH3_64bits_withSeed(key, n, seed);
}

/* hash_seeded - by another seed */
uint64_t hash_seeded(const void *key, size_t n, uint64_t with)
{
	return XXH3_64bits_withSeed(key, n, with);
}

/* hash_stable - without a seed */
uint64_t hash_stable(const void *key, size_t n)
{
	return XXH3_64bits(key, n);
}
