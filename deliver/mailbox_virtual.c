/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes of hosted domains (lib/local.h): the path is made of a name that keeper knows from a
 * file, never of what a sender wrote; that no part of it leads elsewhere is looked at again here.
 * Folders above the mailbox are made, for nobody else makes them when a name is added.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "deliver/mailbox.h"

/* is_part - what can be the name of a file and no way out of a folder */
static bool is_part(const char *text, size_t len)
{
	return len > 0 && text[0] != '.' && !memchr(text, '/', len);
}

/* put - one more piece of the path; false when it gets too long */
static bool put(char out[PATH_MAX], size_t *len, const char *text, size_t n)
{
	if (n >= PATH_MAX - *len)
		return false;
	memcpy(out + *len, text, n);
	*len += n;
	out[*len] = '\0';
	return true;
}

/* mailbox_hosted - %n, %d, %u and %% in their places */
int mailbox_hosted(const char *path, const char *user, char out[PATH_MAX])
{
	const char *at = strrchr(user, '@');
	size_t len = 0, name = at ? (size_t)(at - user) : 0;
	if (!at || !is_part(user, name) || !is_part(at + 1, strlen(at + 1)) || path[0] != '/')
		return -EINVAL;
	for (const char *p = path; *p; p++) {
		const char *text = p;
		size_t n = 1;
		if (*p == '%') {
			p++;
			text = *p == 'd' ? at + 1 : *p == '%' ? p : user;
			n = *p == 'd'   ? strlen(at + 1)
			    : *p == '%' ? 1
			    : *p == 'n' ? name
					: strlen(user);
			if (!*p || !strchr("dnu%", *p))
				return -EINVAL;
		}
		if (!put(out, &len, text, n))
			return -ENAMETOOLONG;
	}
	return 0;
}

/* make_above - the folders above a path, from the top */
static int make_above(const char *path)
{
	char folder[PATH_MAX];
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - path);
		if (!slash[1])
			break; /* a Maildir may be written with a slash at its end */
		memcpy(folder, path, len);
		folder[len] = '\0';
		if (mkdir(folder, 0700) == 0) {
			int rc = mailbox_sync_folder(folder);
			if (rc < 0)
				return rc;
		} else if (errno != EEXIST && access(folder, X_OK) != 0) {
			return -errno;
		}
	}
	return 0;
}

/* mailbox_virtual - as mailbox_deliver() */
void mailbox_virtual(const struct mailbox_request *req, struct mailbox_result *res)
{
	struct mailbox_request own = *req;
	char path[PATH_MAX];
	const char *colon = strchr(req->mailbox, ':');
	own.kind = strncmp(req->mailbox, "maildir:", 8) == 0 ? LOCAL_MAILDIR : LOCAL_MBOX;
	int rc = colon ? mailbox_hosted(colon + 1, req->user, path) : -EINVAL;
	if (rc < 0) {
		mailbox_say(res, 451, "4.3.5", EX_CANTCREAT, "no path for %s: %s", req->user,
		    strerror(-rc));
		return;
	}
	rc = make_above(path);
	if (rc < 0)
		mailbox_say_errno(res, rc, path);
	else
		mailbox_into(&own, path, res);
}
