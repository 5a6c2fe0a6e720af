/* SPDX-License-Identifier: ISC */
/*
 * lib/dot against slow and obvious code: every string of the bytes that matter, cut at every place,
 * in one buffer and in evbuffer chains; the smuggling variants by name; long bodies for the vector
 * code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "lib/dot.h"

enum { SHORT = 7 };

/* expected - the verdict on a whole input, byte by byte; *body is where the body ends */
static enum dot_verdict expected(const char *in, size_t n, size_t *body, struct dot *d)
{
	bool start = true;
	size_t at = 0, line = 0;
	memset(d, 0, sizeof(*d));
	for (; at < n; at++) {
		if (start && n - at >= 3 && !memcmp(in + at, ".\r\n", 3)) {
			*body = d->stored = at;
			return DOT_END;
		}
		if (start &&
		    ((n - at == 1 && in[at] == '.') || (n - at == 2 && !memcmp(in + at, ".\r", 2))))
			break;
		bool cr_before = at > 0 && in[at - 1] == '\r';
		d->plain += !(start && in[at] == '.');
		line += !(start && in[at] == '.');
		d->crs += in[at] == '\r';
		d->nul |= in[at] == '\0';
		d->eightbit |= (unsigned char)in[at] > 127;
		start = in[at] == '\n' && cr_before;
		d->bare_lf |= in[at] == '\n' && !cr_before;
		if (start) {
			d->lines++;
			d->longest = line - 2 > d->longest ? line - 2 : d->longest;
			line = 0;
		}
	}
	d->last_cr = at > 0 && in[at - 1] == '\r';
	*body = d->stored = at;
	return DOT_MORE;
}

/* same - do two bodies have the same properties? */
static bool same(const struct dot *a, const struct dot *b)
{
	return a->stored == b->stored && a->plain == b->plain && a->lines == b->lines &&
	       a->longest == b->longest && a->bare_lf == b->bare_lf && a->nul == b->nul &&
	       a->eightbit == b->eightbit && dot_bare_cr(a) == dot_bare_cr(b);
}

/* feed_pieces - dot_feed() in pieces that end at each 1 bit of `cuts`; what isn't used comes again
 */
static enum dot_verdict feed_pieces(
    const char *in, size_t n, unsigned cuts, size_t *body, struct dot *d)
{
	enum dot_verdict v = DOT_MORE;
	size_t from = 0, used;
	dot_init(d);
	for (size_t upto = 1; upto <= n && v == DOT_MORE; upto++) {
		if (upto < n && !(cuts >> (upto - 1) & 1))
			continue;
		char *copy = malloc(upto - from); /* exact, for ASan */
		memcpy(copy, in + from, upto - from);
		v = dot_feed(d, copy, upto - from, &used);
		free(copy);
		from += used;
		assert_true(v == DOT_END ? from + DOT_MARK <= upto : upto - from <= 2);
	}
	*body = from;
	return v;
}

/* feed_chains - the same with each piece a chain of an evbuffer, half of them there at first */
static enum dot_verdict feed_chains(
    const char *in, size_t n, unsigned cuts, size_t *body, struct dot *d)
{
	struct evbuffer *b = evbuffer_new();
	enum dot_verdict v = DOT_MORE;
	size_t from = 0, used, total = 0;
	dot_init(d);
	for (size_t upto = 1; upto <= n && v == DOT_MORE; upto++) {
		if (upto < n && !(cuts >> (upto - 1) & 1))
			continue;
		evbuffer_add_reference(b, in + from, upto - from, NULL, NULL);
		from = upto;
		if (upto < n && upto != n / 2)
			continue;
		v = dot_feed_evbuffer(d, b, &used);
		total += used;
		evbuffer_drain(b, used);
	}
	evbuffer_free(b);
	*body = total;
	return v;
}

/* check - one string in every way it can be cut */
static void check(const char *in, size_t n)
{
	struct dot want, got;
	size_t want_body, body;
	enum dot_verdict v = expected(in, n, &want_body, &want);
	for (unsigned cuts = 0; cuts < 1u << (n - 1); cuts++) {
		for (int way = 0; way < 2; way++) {
			enum dot_verdict g =
			    (way ? feed_chains : feed_pieces)(in, n, cuts, &body, &got);
			if (g == v && body == want_body && same(&got, &want))
				continue;
			fprintf(stderr, "way %d cuts %x:", way, cuts);
			for (size_t i = 0; i < n; i++)
				fprintf(stderr, " %02x", (unsigned char)in[i]);
			fprintf(stderr, "\nverdict %d/%d body %zu/%zu\n", g, v, body, want_body);
			fail();
		}
	}
}

static void test_all_short_strings(void **state)
{
	(void)state;
	static const char bytes[] = {'\r', '\n', '.', 'a', '\0', '\xff'};
	for (size_t n = 1; n <= SHORT; n++) {
		size_t kinds = n <= 4 ? 6 : n <= 6 ? 4 : 3, count = 1;
		for (size_t i = 0; i < n; i++)
			count *= kinds;
		for (size_t code = 0; code < count; code++) {
			char in[SHORT];
			for (size_t i = 0, c = code; i < n; i++, c /= kinds)
				in[i] = bytes[c % kinds];
			check(in, n);
		}
	}
}

/* Nothing but CRLF.CRLF ends a message, whatever other servers take for an end. */
static void test_smuggling(void **state)
{
	(void)state;
	static const char *const never[] = {
	    "\n.\n",
	    "\n.\r\n",
	    "\r\n.\n",
	    "\r.\r",
	    "\r\n.\r",
	    "\r.\r\n",
	    "\n.\r",
	    "\r.\n",
	    "\r\n\n.\r\n",
	    "\r\r\n.\n",
	    "\n\r.\r\n",
	    "\r\n.\r\r\n",
	    "\r\n\r.\r\n",
	    "\r\n..\r\n",
	    "\r\n. \r\n",
	    "\r\n \r.\r",
	    "\r\n.\n\r\n",
	};
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		char in[64];
		struct dot d;
		struct dot_scan s;
		size_t used;
		int n = snprintf(in, sizeof(in), "a%sMAIL FROM:<x>\r\n", never[i]);
		dot_init(&d);
		assert_int_equal(dot_feed(&d, in, (size_t)n, &used), DOT_MORE);
		assert_int_equal(used, n);
		dot_scan_init(&s);
		assert_false(dot_scan(&s, in, (size_t)n));
		/* The real end behind it is found all the same. */
		memcpy(in + n, ".\r\n", 4);
		dot_init(&d);
		assert_int_equal(dot_feed(&d, in, (size_t)n + 3, &used), DOT_END);
		assert_int_equal(used, n);
	}
}

/* random_body - n bytes with CRs, LFs, dots and others in a mix that makes all cases likely */
static void random_body(char *b, size_t n, unsigned seed)
{
	static const char *const parts[] = {
	    "\r\n",
	    "\n",
	    "\r",
	    ".",
	    "\r\n.",
	    "\r\n..x",
	    "some words of text ",
	    "\xc3\xbc",
	};
	srand(seed);
	for (size_t at = 0; at < n;) {
		int r = rand() % (seed % 2 ? 40 : 12);
		const char *p = parts[r < 6 ? r : 6 + r % 2];
		size_t len = strlen(p) < n - at ? strlen(p) : n - at;
		memcpy(b + at, p, len);
		at += len;
	}
}

static void test_long_random(void **state)
{
	(void)state;
	static char in[20000];
	for (unsigned seed = 0; seed < 60; seed++) {
		size_t n = seed < 50 ? seed * 7 + 3 : sizeof(in), body = 0, want_body;
		struct dot want, got;
		random_body(in, n, seed);
		enum dot_verdict v = expected(in, n, &want_body, &want);
		for (size_t cut = 0; cut <= n; cut += n < 400 ? 1 : 977) {
			size_t used = 0;
			dot_init(&got);
			enum dot_verdict g = dot_feed(&got, in, cut, &used);
			body = used;
			if (g == DOT_MORE) {
				g = dot_feed(&got, in + used, n - used, &used);
				body += used;
			}
			assert_int_equal(g, v);
			assert_int_equal(body, want_body);
			assert_true(same(&got, &want));
		}
	}
}

/* Counters pass 255 rounds of 16 bytes without overflow. */
static void test_many_crs(void **state)
{
	(void)state;
	static char in[1 << 16];
	struct dot d;
	size_t used;
	memset(in, '\r', sizeof(in));
	dot_init(&d);
	dot_feed(&d, in, sizeof(in), &used);
	assert_int_equal(d.crs, sizeof(in));
	assert_true(dot_bare_cr(&d));
}

/* dot_scan() finds a mark wherever it lies, however it is cut, and nothing else. */
static void test_scan(void **state)
{
	(void)state;
	char in[80];
	for (size_t at = 0; at + 5 <= sizeof(in); at++) {
		memset(in, 'x', sizeof(in));
		memcpy(in + at, "\r\n.\r\n", 5);
		for (size_t n = at; n <= sizeof(in); n++) {
			for (size_t cut = 0; cut <= n; cut++) {
				struct dot_scan s;
				dot_scan_init(&s);
				bool hit = dot_scan(&s, in, cut);
				hit = hit || dot_scan(&s, in + cut, n - cut);
				assert_int_equal(hit, n >= at + 5);
			}
		}
	}
}

/* reference_scan - the obvious way */
static bool reference_scan(const char *in, size_t n)
{
	return (n >= 3 && !memcmp(in, ".\r\n", 3)) || memmem(in, n, "\r\n.\r\n", 5);
}

static void test_scan_short_strings(void **state)
{
	(void)state;
	static const char bytes[] = {'\r', '\n', '.'};
	for (size_t n = 1; n <= 8; n++) {
		size_t count = 1;
		for (size_t i = 0; i < n; i++)
			count *= 3;
		for (size_t code = 0; code < count; code++) {
			char in[8];
			for (size_t i = 0, c = code; i < n; i++, c /= 3)
				in[i] = bytes[c % 3];
			for (size_t cut = 0; cut <= n; cut++) {
				struct dot_scan s;
				dot_scan_init(&s);
				bool hit = dot_scan(&s, in, cut);
				hit = hit || dot_scan(&s, in + cut, n - cut);
				assert_int_equal(hit, reference_scan(in, n));
				if (!hit)
					assert_int_equal(dot_scan_whole(&s),
					    n >= 2 && !memcmp(in + n - 2, "\r\n", 2));
			}
		}
	}
}

static void test_scan_random(void **state)
{
	(void)state;
	static char in[3000];
	for (unsigned seed = 0; seed < 200; seed++) {
		size_t n = 1 + seed * 15;
		struct dot_scan s;
		random_body(in, n, seed);
		dot_scan_init(&s);
		bool hit = false;
		for (size_t at = 0, len = 1; at < n && !hit;
		     at += len, len = 1 + (size_t)rand() % 90)
			hit = dot_scan(&s, in + at, len < n - at ? len : n - at);
		assert_int_equal(hit, reference_scan(in, n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_short_strings),
	    cmocka_unit_test(test_smuggling),
	    cmocka_unit_test(test_long_random),
	    cmocka_unit_test(test_many_crs),
	    cmocka_unit_test(test_scan),
	    cmocka_unit_test(test_scan_short_strings),
	    cmocka_unit_test(test_scan_random),
	};
	return cmocka_run_group_tests_name("dot", tests, NULL, NULL);
}
