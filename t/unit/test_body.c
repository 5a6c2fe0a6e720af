/* SPDX-License-Identifier: ISC */
/*
 * deliver/body: what is read of a record, byte for byte, wherever it begins in its file and however
 * long it is; large ones past the page cache and through it. Damage is found in every way.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "deliver/body.h"

#define LINE 64 /* bytes of each line of the body */

/* stored - the byte of the body at a place: lines, some of which begin with a stuffed dot */
static char stored(size_t at, size_t len)
{
	size_t col = at % LINE;
	if (at + 2 >= len)
		return at + 1 == len ? '\n' : '\r';
	if (col >= LINE - 2)
		return col == LINE - 2 ? '\r' : '\n';
	if (at / LINE % 5 == 0 && col < 2)
		return '.';
	return (char)('a' + (at / LINE + col) % 26);
}

/* write_body - a file with a body of len bytes at a place; late headers of `late` bytes behind it
 */
static int write_body(size_t at, size_t len, size_t late)
{
	char path[] = "/tmp/baton-body-XXXXXX";
	int fd = mkstemp(path);
	char *text = malloc(len + late);
	assert_true(fd >= 0 && text);
	for (size_t i = 0; i < len; i++)
		text[i] = stored(i, len);
	for (size_t i = 0; i < late; i++)
		text[len + i] = i + 2 < late ? 'L' : i + 1 < late ? '\r' : '\n';
	assert_int_equal(pwrite(fd, text, len + late, (off_t)at), len + late);
	assert_int_equal(fsync(fd), 0);
	free(text);
	int reader = open(path, O_RDONLY);
	assert_true(reader >= 0);
	close(fd);
	unlink(path);
	return reader;
}

/* a_job - that reads there */
static struct job a_job(size_t at, size_t len, size_t late)
{
	return (struct job){
	    .body_at = at, .body_len = len, .late_len = (uint32_t)late, .segment = segment_hold(1)};
}

/* check_all - late headers and body come out whole, at most `max` bytes at a time */
static void check_all(const struct job *job, size_t max)
{
	struct evbuffer *out = evbuffer_new();
	struct body body;
	size_t at = 0, late = job->late_len, len = job->body_len;
	int rc;
	body_init(&body, job);
	do {
		rc = body_fill(&body, out, max);
		assert_true(rc >= 0);
		size_t n = evbuffer_get_length(out);
		assert_true(n > 0 && n <= max);
		const unsigned char *p = evbuffer_pullup(out, -1);
		for (size_t i = 0; i < n; i++, at++) {
			char want = at >= late      ? stored(at - late, len)
				    : at + 2 < late ? 'L'
				    : at + 1 < late ? '\r'
						    : '\n';
			if ((char)p[i] != want)
				fail_msg("byte %zu of %zu is %02x", at, late + len, p[i]);
		}
		evbuffer_drain(out, n);
	} while (rc);
	assert_true(at == late + len);
	evbuffer_free(out);
}

/* check_plain - without the stuffed dots */
static void check_plain(const struct job *job)
{
	struct evbuffer *out = evbuffer_new();
	struct body body;
	size_t at = 0, len = job->body_len;
	body_init(&body, job);
	while (body_fill_plain(&body, out, BODY_BLOCK) > 0)
		;
	size_t n = evbuffer_get_length(out);
	const unsigned char *p = evbuffer_pullup(out, -1);
	for (size_t i = 0; i < n; i++, at++) {
		if (at % LINE == 0 && stored(at, len) == '.')
			at++;
		if ((char)p[i] != stored(at, len))
			fail_msg("byte %zu is %02x", at, p[i]);
	}
	assert_true(at == len);
	evbuffer_free(out);
}

/* Three times each: the first large one is read past the page cache, where that is possible. */
static void whole(void **state)
{
	static const size_t places[] = {112, 400, 4096, 5000, 8191};
	static const size_t lens[] = {64, 4096, 262143, 262144, 262145, 266240, 1000000, 1048576};
	(void)state;
	for (size_t p = 0; p < sizeof(places) / sizeof(*places); p++) {
		for (size_t l = 0; l < sizeof(lens) / sizeof(*lens); l++) {
			size_t late = l % 2 ? 0 : 300;
			segments_add(1, write_body(places[p], lens[l], late));
			struct job job = a_job(places[p], lens[l], late);
			check_all(&job, BODY_BLOCK);
			check_all(&job, 70001);
			check_all(&job, BODY_BLOCK);
			job.late_len = 0;
			check_plain(&job);
			segment_drop(job.segment);
			segments_release_all();
		}
	}
}

/* a file that ends before its record, and a mark inside, wherever the blocks' seams are */
static void damaged(void **state)
{
	static const char mark[] = "\r\n.\r\n";
	size_t len = 600000;
	(void)state;
	for (size_t at = BODY_BLOCK - 500; at < BODY_BLOCK - 380; at++) {
		struct evbuffer *out = evbuffer_new();
		char path[] = "/tmp/baton-body-XXXXXX";
		int fd = mkstemp(path), rc;
		char *text = malloc(len);
		assert_true(fd >= 0 && text);
		for (size_t i = 0; i < len; i++)
			text[i] = stored(i, len);
		memcpy(text + at, mark, 5);
		assert_int_equal(pwrite(fd, text, len, 400), len);
		unlink(path);
		free(text);
		segments_add(1, fd);
		struct job job = a_job(400, len, 0);
		struct body body;
		body_init(&body, &job);
		while ((rc = body_fill(&body, out, BODY_BLOCK)) > 0)
			;
		assert_int_equal(rc, -EBADMSG);
		assert_true(evbuffer_get_length(out) < at + 5);
		evbuffer_drain(out, evbuffer_get_length(out));
		assert_int_equal(ftruncate(fd, 5000), 0);
		body_init(&body, &job);
		assert_int_equal(body_fill(&body, out, BODY_BLOCK), -EBADMSG);
		assert_int_equal(evbuffer_get_length(out), 0);
		evbuffer_free(out);
		segment_drop(job.segment);
		segments_release_all();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whole),
	    cmocka_unit_test(damaged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
