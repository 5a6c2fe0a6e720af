/* SPDX-License-Identifier: ISC */
/* The checks are made on what was opened, never on a name. */
#include "deliver/forward.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/alias_file.h"

/* because - words for what is wrong; the error */
static int because(char *why, size_t size, int error, const char *words)
{
	snprintf(why, size, "%s%s%s", LOCAL_FORWARD_FILE, words[0] == ':' ? "" : " ", words);
	return error;
}

/* check_home - who may make a .forward there */
static int check_home(int dir, char *why, size_t size)
{
	struct stat st;
	if (fstat(dir, &st) != 0)
		return because(why, size, -errno, ": the home can't be looked at");
	if ((st.st_uid != geteuid() && st.st_uid != 0) ||
	    (st.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH)
		return because(why, size, -EPERM, "ignored: others may write to the home");
	return 0;
}

/* check_file - who may have written it */
static int check_file(int fd, char *why, size_t size)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return because(why, size, -errno, ": can't be looked at");
	if (!S_ISREG(st.st_mode))
		return because(why, size, -EPERM, "ignored: it is no plain file");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return because(why, size, -EPERM, "ignored: it is another user's");
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return because(why, size, -EPERM, "ignored: others may write to it");
	return 0;
}

/* is_fit - no included lists */
static bool is_fit(const struct address_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (address_list_included(list->v[i]))
			return false;
	return true;
}

/* read_file - the open file as a list */
static int read_file(int fd, struct address_list *list, char *why, size_t size)
{
	size_t len;
	int rc = check_file(fd, why, size);
	if (rc)
		return rc;
	char *text = alias_file_read(fd, FORWARD_MAX, &len);
	if (!text)
		return because(why, size, -errno, ": can't be read, or is too large");
	rc = address_list_add_lines(list, text, len);
	free(text);
	if (!rc && !is_fit(list))
		rc = -EINVAL;
	return rc ? because(why, size, rc, "has something that is no address") : 0;
}

/* open_home - the descriptor, or because */
static int open_home(const char *home, char *why, size_t size)
{
	int dir = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		return dir;
	/* a home that may be passed, not listed */
	return errno == EACCES ? because(why, size, -EPERM, "ignored: no way to it")
			       : because(why, size, -errno, ": no way to the home");
}

/* read_named - one file of the home; -ENOENT without words where there is none */
static int read_named(int dir, const char *name, struct address_list *list, char *why, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : because(why, size, -errno, ": can't be opened");
	int rc = check_home(dir, why, size);
	if (!rc)
		rc = read_file(fd, list, why, size);
	close(fd);
	return rc;
}

/* forward_read - from the home on */
int forward_read(
    const char *home, const char *recipient, struct address_list *list, char *why, size_t size)
{
	char tagged[LOCAL_FORWARD_NAME];
	int dir = open_home(home, why, size);
	if (dir < 0)
		return dir;
	int rc = -ENOENT;
	if (local_forward_name(recipient, tagged))
		rc = read_named(dir, tagged, list, why, size);
	if (rc == -ENOENT)
		rc = read_named(dir, LOCAL_FORWARD_FILE, list, why, size);
	close(dir);
	if (rc)
		address_list_free(list);
	return rc == -ENOENT ? 0 : rc;
}

/* forward_read_all - one after the other; a trouble with one is told if nothing else was found */
int forward_read_all(const char *home, struct address_list *list, char *why, size_t size)
{
	const size_t mark = sizeof(LOCAL_FORWARD_FILE) - 1;
	int dir = open_home(home, why, size), rc = 0;
	if (dir < 0)
		return dir;
	DIR *names = fdopendir(dir);
	const struct dirent *e;
	while (names && (e = readdir(names))) {
		if (strncmp(e->d_name, LOCAL_FORWARD_FILE, mark) != 0 ||
		    (e->d_name[mark] && e->d_name[mark] != '+'))
			continue;
		int one = read_named(dir, e->d_name, list, why, size);
		rc = one && one != -ENOENT ? one : rc;
	}
	if (names)
		closedir(names);
	else
		close(dir);
	return list->n ? 0 : rc;
}

/* An answer under construction. */
struct answer {
	char *out;
	size_t len, size;
};

/* put - one line; what doesn't fit makes len the size */
static void put(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct answer *a, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(a->out + a->len, a->size - a->len, fmt, args);
	va_end(args);
	a->len = n < 0 || (size_t)n >= a->size - a->len ? a->size : a->len + (size_t)n;
}

/* put_list - members as qmgr takes them */
static void put_list(struct answer *a, const struct address_list *list, const char *user)
{
	char digest[LOCAL_DIGEST_LEN + 1];
	for (size_t i = 0; i < list->n && a->len < a->size; i++) {
		if (address_list_is_address(list->v[i])) {
			put(a, "%s\n", list->v[i]);
			continue;
		}
		address_list_digest(list->v[i], digest);
		put(a, "|%s\n", digest);
	}
	if (!list->n && a->len < a->size)
		put(a, "\\%s\n", user);
	if (a->len < a->size)
		put(a, ".\n");
}

/* forward_answer - the list, the mailbox, or later */
size_t forward_answer(
    const struct mailbox_request *req, char *out, size_t size, struct mailbox_result *res)
{
	struct address_list list = {0};
	struct answer a = {.out = out, .size = size};
	char why[200] = "";
	int rc = forward_read(req->home, req->recipient, &list, why, sizeof(why));
	if (rc == -EINVAL)
		mailbox_say(res, 451, "4.3.5", EX_TEMPFAIL, "%s", why);
	else if (rc && rc != -EPERM)
		mailbox_say_errno(res, rc, why);
	if (rc && rc != -EPERM)
		return 0;
	put(&a, LOCAL_EXPANDED_LINE "%s\n", why);
	if (a.len < a.size)
		put_list(&a, &list, req->user);
	address_list_free(&list);
	if (a.len < a.size)
		return a.len;
	mailbox_say(res, 451, "4.3.5", EX_TEMPFAIL, LOCAL_FORWARD_FILE " has too many addresses");
	return 0;
}
