/* SPDX-License-Identifier: ISC */
/* lib/wire: every bound is met exactly, errors stick, nothing is read or written past an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/wire.h"

static const uint8_t sample[] = {
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x07,
    0x08,
    0x09,
    0x0a,
    0x0b,
    0x0c,
    0x0d,
    0x0e,
    0x0f,
    0x01,
    0x00,
    0x00,
    0x00,
    0x03,
    'a',
    'b',
    'c',
};

/* put_sample - write the message above */
static void put_sample(struct wire_out *w)
{
	wire_put_u8(w, 0x01);
	wire_put_u16(w, 0x0203);
	wire_put_u32(w, 0x04050607);
	wire_put_u64(w, 0x08090a0b0c0d0e0f);
	wire_put_bool(w, true);
	wire_put_str(w, "abc");
}

/* get_sample - read it back, true when every value is right */
static bool get_sample(struct wire_in *r)
{
	size_t n;
	bool ok = wire_get_u8(r) == 0x01;
	ok = (wire_get_u16(r) == 0x0203) && ok;
	ok = (wire_get_u32(r) == 0x04050607) && ok;
	ok = (wire_get_u64(r) == 0x08090a0b0c0d0e0f) && ok;
	ok = wire_get_bool(r) && ok;
	const char *s = wire_get_bytes(r, &n);
	return ok && n == 3 && !memcmp(s, "abc", 3);
}

static void test_bytes_on_the_wire(void **state)
{
	(void)state;
	uint8_t buf[sizeof(sample)];
	struct wire_out w;
	wire_out_fixed(&w, buf, sizeof(buf));
	put_sample(&w);
	assert_int_equal(wire_out_end(&w), 0);
	assert_int_equal(w.len, sizeof(sample));
	assert_memory_equal(buf, sample, sizeof(sample));

	struct wire_in r;
	wire_in_init(&r, buf, w.len);
	assert_true(get_sample(&r));
	assert_int_equal(wire_in_end(&r), 0);
}

/* Every shorter input fails, and never touches a byte past its end (the copy is exact: ASan). */
static void test_truncated(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(sample); n++) {
		uint8_t *copy = malloc(n ? n : 1);
		memcpy(copy, sample, n);
		struct wire_in r;
		wire_in_init(&r, copy, n);
		assert_false(get_sample(&r));
		assert_int_equal(wire_in_end(&r), -EBADMSG);
		assert_int_equal(wire_left(&r), 0);
		assert_int_equal(wire_get_u8(&r), 0);
		free(copy);
	}
}

static void test_leftover_and_bad_values(void **state)
{
	(void)state;
	struct wire_in r;
	size_t n;
	wire_in_init(&r, "\1\2", 2);
	assert_int_equal(wire_get_u8(&r), 1);
	assert_int_equal(wire_in_end(&r), -EBADMSG);
	wire_in_init(&r, "\2", 1);
	assert_false(wire_get_bool(&r));
	assert_int_equal(wire_in_end(&r), -EBADMSG);
	wire_in_init(&r, "\xff\xff\xff\xffxyz", 7);
	assert_string_equal(wire_get_bytes(&r, &n), "");
	assert_int_equal(n, 0);
	assert_int_equal(wire_in_end(&r), -EBADMSG);
	wire_in_init(&r, NULL, 0);
	assert_int_equal(wire_in_end(&r), 0);
	wire_in_init(&r, "\0\0\0\0", 4);
	assert_non_null(wire_get_bytes(&r, &n));
	assert_int_equal(n, 0);
	assert_int_equal(wire_in_end(&r), 0);
}

/* Into every shorter fixed buffer: error, len within it, and the byte behind untouched. */
static void test_fixed_too_small(void **state)
{
	(void)state;
	uint8_t buf[sizeof(sample) + 1];
	for (size_t size = 0; size < sizeof(sample); size++) {
		memset(buf, 0xee, sizeof(buf));
		struct wire_out w;
		wire_out_fixed(&w, buf, size);
		put_sample(&w);
		assert_int_equal(wire_out_end(&w), -EMSGSIZE);
		assert_true(w.len <= size);
		assert_int_equal(buf[size], 0xee);
		size_t len = w.len;
		wire_put_raw(&w, "", 0); /* the error sticks, also for what would fit */
		wire_put_u8(&w, 1);
		assert_int_equal(w.len, len);
		wire_out_free(&w);
	}
}

static void test_grow(void **state)
{
	(void)state;
	struct wire_out w;
	wire_out_grow(&w, 1000);
	for (int i = 0; i < 250; i++)
		wire_put_u32(&w, (uint32_t)i);
	assert_int_equal(wire_out_end(&w), 0);
	assert_int_equal(w.len, 1000);
	assert_int_equal(w.size, 1000);
	wire_patch_u32(&w, 996, 77);
	wire_patch_u32(&w, 997, 78);
	wire_put_u8(&w, 1);
	assert_int_equal(wire_out_end(&w), -EMSGSIZE);
	assert_int_equal(w.len, 1000);
	wire_out_reset(&w);
	wire_put_u32(&w, 5);
	size_t len;
	uint8_t *p = wire_out_take(&w, &len);
	assert_int_equal(len, 4);
	assert_int_equal(p[3], 5);
	free(p);
	assert_null(w.base);
	wire_out_free(&w);

	wire_out_grow(&w, 1000);
	wire_put_bytes(&w, NULL, (size_t)UINT32_MAX + 1);
	assert_int_equal(wire_out_end(&w), -EMSGSIZE);
	wire_out_free(&w);

	wire_out_grow(&w, 3);
	wire_put_u32(&w, 1);
	assert_int_equal(wire_out_end(&w), -EMSGSIZE);
	wire_out_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bytes_on_the_wire),
	    cmocka_unit_test(test_truncated),
	    cmocka_unit_test(test_leftover_and_bad_values),
	    cmocka_unit_test(test_fixed_too_small),
	    cmocka_unit_test(test_grow),
	};
	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
