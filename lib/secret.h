/* SPDX-License-Identifier: ISC */
/*
 * What the users file holds of a user's password: a hash of crypt(5), a SCRAM verifier (RFC 5803 in
 * the form of gsasl and Dovecot), or both. keeper checks against it, `batonctl user` makes it.
 *
 *     $y$j9T$...
 *     {SCRAM-SHA-256}iterations,salt,stored key,server key        in base64
 *     $y$j9T$...:{SCRAM-SHA-256}...
 *
 * Checking takes its time by design: up to seconds, as the hash says. Not for a loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SECRET_HASH_MAX       383     /* characters of a hash */
#define SECRET_SALT_MAX       64      /* bytes of a SCRAM salt */
#define SECRET_ITERATIONS     10000   /* of the verifiers that we make */
#define SECRET_ITERATIONS_MAX 5000000 /* more is a mistake */
#define SECRET_KEY            32      /* bytes of SHA-256 */
#define SECRET_PASSWORD_MAX   511     /* bytes; crypt(3)'s own limit */
#define SECRET_TEXT_SIZE      1024    /* room for what secret_make() writes */

struct secret {
	char hash[SECRET_HASH_MAX + 1]; /* "": none */
	unsigned iterations;            /* of the verifier; 0: there is none */
	size_t salt_len;
	unsigned char salt[SECRET_SALT_MAX];
	unsigned char stored[SECRET_KEY], server[SECRET_KEY];
};

/* Reads the text behind "user:". 0, or -EINVAL for what is neither hash nor verifier. */
int secret_parse(const char *text, size_t len, struct secret *secret);

/* 1: that is the password; 0: it isn't; -ENOMEM, -EINVAL: a hash that this host's crypt lacks. */
int secret_check(const struct secret *secret, const char *password);

/*
 * A yescrypt hash and, unless the password has characters that SASLprep (RFC 4013) would change, a
 * SCRAM verifier. 0; -EINVAL for an empty password or one over SECRET_PASSWORD_MAX; -EIO.
 */
int secret_make(const char *password, char *text, size_t size);
