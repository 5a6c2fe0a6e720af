/* SPDX-License-Identifier: ISC */
/* lib/json: every byte sequence becomes a valid JSON string, cut only between characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"

static const struct {
	const char *in;
	const char *out;
} table[] = {
    {"", ""},
    {"plain text.", "plain text."},
    {"a\"b\\c/d", "a\\\"b\\\\c/d"},
    {"\r\n\t\x01\x1f\x7f", "\\r\\n\\t\\u0001\\u001f\\u007f"},
    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
    {"\xe2\x82\xac \xf0\x9f\x93\xa7", "\xe2\x82\xac \xf0\x9f\x93\xa7"},
    {"\xc2\x85\xc2\xa0", "\\u0085\xc2\xa0"},
    {"\xff\xfe", "\\u00ff\\u00fe"},
    {"\x80", "\\u0080"},
    {"\xc3", "\\u00c3"},
    {"\xc3(", "\\u00c3("},
    {"\xc0\xaf", "\\u00c0\\u00af"},                       /* overlong / */
    {"\xe0\x80\xaf", "\\u00e0\\u0080\\u00af"},            /* overlong again */
    {"\xed\xa0\x80", "\\u00ed\\u00a0\\u0080"},            /* surrogate */
    {"\xf4\x90\x80\x80", "\\u00f4\\u0090\\u0080\\u0080"}, /* behind U+10FFFF */
    {"\xf0\x8f\xbf\xbf", "\\u00f0\\u008f\\u00bf\\u00bf"}, /* overlong */
    {"\xf5\x80\x80\x80", "\\u00f5\\u0080\\u0080\\u0080"},
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char out[100];
		size_t done, n = strlen(table[i].in);
		size_t len = json_escape(out, sizeof(out), table[i].in, n, &done);
		assert_int_equal(done, n);
		assert_int_equal(len, strlen(table[i].out));
		assert_memory_equal(out, table[i].out, len);
	}
	char out[8];
	assert_int_equal(json_escape(out, sizeof(out), "\0", 1, NULL), 6);
	assert_memory_equal(out, "\\u0000", 6);
}

/* In pieces of every size the result is the same; never half an escape. */
static void test_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		for (size_t size = JSON_ESCAPE_MAX; size < 12; size++) {
			char all[200];
			const char *in = table[i].in;
			size_t left = strlen(in), n = 0, done;
			for (; left > 0; in += done, left -= done) {
				char *piece = malloc(size);
				size_t len = json_escape(piece, size, in, left, &done);
				assert_true(done > 0 && len <= size);
				memcpy(all + n, piece, len);
				n += len;
				free(piece);
			}
			assert_int_equal(n, strlen(table[i].out));
			assert_memory_equal(all, table[i].out, n);
		}
	}
}

static void test_stream(void **state)
{
	(void)state;
	char *text = NULL, in[3000];
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	memset(in, '\x01', sizeof(in));
	json_write(f, in, sizeof(in));
	json_write(f, "", 0);
	fclose(f);
	assert_int_equal(len, sizeof(in) * 6 + 4);
	assert_memory_equal(text + len - 4, "1\"\"\"", 4);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_pieces),
	    cmocka_unit_test(test_stream),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
