/* SPDX-License-Identifier: ISC */
/* cli/drop, cli/keep, cli/letter: a dropped file comes back as it was written, and nothing else
 * does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/drop.h"
#include "cli/keep.h"

static char spool[] = "/tmp/baton-drop.XXXXXX";
static char path[400];

static int make_spool(void **state)
{
	char folder[64];

	(void)state;
	if (!mkdtemp(spool))
		return -1;
	snprintf(folder, sizeof(folder), "%s/drop", spool);
	return mkdir(folder, 0700);
}

/* only_file - the name of the one file in the folder into `path`; how many there are */
static int only_file(bool hidden)
{
	char folder[64];
	const struct dirent *e;
	int n = 0;

	snprintf(folder, sizeof(folder), "%s/drop", spool);
	DIR *dir = opendir(folder);
	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    (e->d_name[0] == '.') != hidden)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		n++;
	}
	closedir(dir);
	return n;
}

static int remove_spool(void **state)
{
	char folder[64];

	(void)state;
	while (only_file(false) || only_file(true))
		unlink(path);
	snprintf(folder, sizeof(folder), "%s/drop", spool);
	return rmdir(folder) || rmdir(spool);
}

static void write_letter(struct letter *l)
{
	assert_int_equal(letter_from(l, "a", 1, "host.test"), 0);
	assert_int_equal(letter_add(l, "b@other.test", 12, "host.test"), 0);
	assert_int_equal(letter_add(l, "c", 1, "host.test"), 0);
	assert_int_equal(letter_add(l, "c@host.test", 11, "host.test"), 0); /* the same */
	assert_int_equal(letter_add(l, "d e@other.test", 14, ""), 0);
	snprintf(l->mail_params, sizeof(l->mail_params), " BODY=8BITMIME");
	assert_int_equal(l->nrcpts, 3);
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = {0, 10, KEEP_MEMORY, KEEP_MEMORY + 1, 3 * KEEP_MEMORY};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct letter l = {0}, got = {0};
		struct keep k;
		struct stat st;
		off_t body;
		char *text = malloc(sizes[i] + 1);

		write_letter(&l);
		memset(text, 'x', sizes[i]);
		keep_start(&k, &l, spool);
		keep_add(&k, text, sizes[i] / 2);
		l.rcpts->state = RCPT_GIVEN;
		keep_add(&k, text, sizes[i] - sizes[i] / 2);
		l.rcpts->state = RCPT_DONE;
		letter_refuse(l.rcpts->next, "550 no");
		assert_int_equal(keep_commit(&k), 0);
		keep_end(&k);
		assert_int_equal(only_file(true), 0);
		assert_int_equal(only_file(false), 1);
		FILE *file = fopen(path, "r+");
		assert_non_null(file);
		assert_int_equal(drop_read(file, &got, &body), 0);
		assert_string_equal(got.sender, "a@host.test");
		assert_string_equal(got.mail_params, " BODY=8BITMIME");
		assert_string_equal(got.rcpts->address, "b@other.test");
		assert_int_equal(got.rcpts->state, RCPT_DONE);
		assert_int_equal(got.rcpts->next->state, RCPT_REFUSED);
		assert_int_equal(letter_count(&got, RCPT_OPEN), 1);
		assert_int_equal(fstat(fileno(file), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(st.st_size - body, sizes[i]);
		/* what became of the last one is written down too */
		letter_move(&got, RCPT_OPEN, RCPT_DONE);
		assert_int_equal(drop_mark(fileno(file), &got), 0);
		letter_free(&got);
		rewind(file);
		assert_int_equal(drop_read(file, &got, &body), 0);
		assert_int_equal(letter_count(&got, RCPT_DONE), 2);
		fclose(file);
		unlink(path);
		letter_free(&got);
		letter_free(&l);
		free(text);
	}
}

static void test_no_trace(void **state)
{
	struct letter l = {0};
	struct keep k;
	char block[4096] = {0};

	(void)state;
	write_letter(&l);
	keep_start(&k, &l, spool);
	for (size_t n = 0; n <= KEEP_MEMORY; n += sizeof(block))
		keep_add(&k, block, sizeof(block));
	assert_int_equal(only_file(true), 1);
	keep_end(&k);
	assert_int_equal(only_file(true) + only_file(false), 0);
	keep_start(&k, &l, "/nowhere");
	keep_add(&k, "x", 1);
	assert_int_equal(keep_commit(&k), -ENOENT);
	keep_end(&k);
	letter_free(&l);
}

/* read_text - what drop_read says of a file's text; the size in it is made right */
static int read_text(const char *rest, bool right)
{
	struct letter l = {0};
	off_t body;
	int fd = memfd_create("drop", 0);
	FILE *file = fdopen(fd, "w+");

	assert_non_null(file);
	fprintf(file, "baton-drop 1 %020zu\n%s", strlen(rest) + (right ? 34 : 35), rest);
	rewind(file);
	int r = drop_read(file, &l, &body);
	letter_free(&l);
	fclose(file);
	return r;
}

static void test_other_files(void **state)
{
	static const char *const bad[] = {"", "\n", "S a@b.test", "S a@b.test\nR b@c.test\n",
	    "R b@c.test\n\nx\r\n", "S a@b.test\nQ x\n\n", "S a@b.test\nR\n\n", "S a@b.test\nR \n\n",
	    "S a@b.test\nM x\n\n", "S a@b.test\nR b@c.test\r\n\n", "S a\tb\nR b@c.test\n\n",
	    "S a@b.test\nR b@c.test\nR d@c.test\nR b@c.test\n\n", "S a@b.test\nR b\x7f@c.test\n\n"};

	(void)state;
	assert_int_equal(read_text("S a@b.test\nR b@c.test\n\nx\r\n", true), 0);
	assert_int_equal(read_text("S \nM \nP \nR b@c.test\n\n", true), 0);
	assert_int_equal(read_text("S a@b.test\nR b@c.test\n\nx\r\n", false), -EBADMSG);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_text(bad[i], true), -EBADMSG);
}

static void test_addresses(void **state)
{
	struct letter l = {0};
	char huge[LETTER_ADDRESS_MAX + 2];

	(void)state;
	memset(huge, 'x', sizeof(huge));
	assert_int_equal(letter_add(&l, "", 0, "x.test"), -EINVAL);
	assert_int_equal(letter_add(&l, "a\r\nb", 4, "x.test"), -EINVAL);
	assert_int_equal(letter_add(&l, huge, sizeof(huge), "x.test"), -EINVAL);
	assert_int_equal(letter_from(&l, "<>", 2, "x.test"), 0);
	assert_string_equal(l.sender, "");
	assert_int_equal(letter_from(&l, "<a>", 3, "x.test"), 0);
	assert_string_equal(l.sender, "a@x.test");
	for (unsigned i = 0; i < LETTER_RCPTS_MAX; i++) {
		int n = snprintf(huge, sizeof(huge), "r%u", i);

		assert_int_equal(letter_add(&l, huge, (size_t)n, "x.test"), 0);
	}
	assert_int_equal(letter_add(&l, "more", 4, "x.test"), -E2BIG);
	letter_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_round_trip, make_spool, NULL),
	    cmocka_unit_test_setup_teardown(test_no_trace, NULL, remove_spool),
	    cmocka_unit_test(test_other_files), cmocka_unit_test(test_addresses)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
