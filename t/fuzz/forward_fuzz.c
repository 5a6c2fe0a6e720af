/* SPDX-License-Identifier: ISC */
/*
 * A user's .forward, from the file to the answer that his process gives: lines that qmgr takes
 * members from, ended by a dot, never longer than what is read of them; or a result that says
 * later. The same bytes as an answer: what a user's process may say instead.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver/forward.h"
#include "deliver/handover.h"
#include "deliver/words.h"
#include "lib/log.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char home[] = "/tmp/baton-forward-XXXXXX";

/* tidy - the folder goes with the process */
static void tidy(void)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/%s", home, LOCAL_FORWARD_FILE);
	unlink(path);
	rmdir(home);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	log_set(LOG_FORMAT_TEXT, -1);
	if (!mkdtemp(home))
		abort();
	atexit(tidy);
	return 0;
}

/* put - the file has that content */
static void put(const uint8_t *data, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/%s", home, LOCAL_FORWARD_FILE);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) != 0)
		abort();
}

/* check_answer - a first line, members, a dot, and nothing behind it */
static void check_answer(const char *out, size_t len)
{
	const char *p = memchr(out, '\n', len), *end = out + len;
	if (!p || strncmp(out, LOCAL_EXPANDED_LINE, sizeof(LOCAL_EXPANDED_LINE) - 1))
		abort();
	for (p++; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl || nl == p || nl - p > ADDRESS_LIST_ADDRESS_MAX + 1)
			abort();
		if (*p == '.' && nl == p + 1 && nl + 1 == end)
			return;
		if (*p == '|' && nl - p != 1 + LOCAL_DIGEST_LEN)
			abort();
		if (*p == '/' || *p == ':')
			abort();
		p = nl + 1;
	}
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char out[LOCAL_RESULT_MAX + LOCAL_MEMBERS_MAX];
	struct mailbox_request req = {
	    .user = "ann", .home = home, .recipient = "ann+x@example.org"};
	struct mailbox_result res = {0};
	struct words words;
	put(data, size);
	size_t len = forward_answer(&req, out, sizeof(out), &res);
	if (len)
		check_answer(out, len);
	else if (res.code < 400 || res.code > 499 || strpbrk(res.text, "\r\n"))
		abort();
	handover_read_result((const char *)data, size, &words);
	return 0;
}
