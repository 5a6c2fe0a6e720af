/* SPDX-License-Identifier: ISC */
/*
 * The file of logins for next hops (`credentials`): "name user secret" a line, the secret is the
 * rest of it. Lines without content and such that begin with # are skipped. Pure: master reads the
 * file (lib/conf_files.c) and passes it on with the configuration, deliver looks a login up when a
 * host asks for it; nothing is copied.
 */
#pragma once

#include <stddef.h>

#define CREDENTIAL_MAX 255 /* bytes of name, user and secret each */

/* Points into the text of the file; nothing ends in a NUL. */
struct credential {
	const char *name, *user, *secret;
	size_t name_len, user_len, secret_len;
};

/*
 * Takes one line off the front; *line counts them from 1, 0 to begin with. 1: *out is a login;
 * 0: the end; -EINVAL: that line makes no sense (without user or secret, or too long).
 */
int credentials_next(const char **text, size_t *len, unsigned *line, struct credential *out);

/* The first login of that name. 0, or -ENOENT. */
int credentials_find(const char *text, size_t len, const char *name, struct credential *out);
