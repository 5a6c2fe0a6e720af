/* SPDX-License-Identifier: ISC */
/*
 * crypt(3) does the hashes, OpenSSL the verifiers. A user with both is checked against the hash.
 * Comparisons take the same time wherever the difference is.
 */
#include "lib/secret.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/str.h"

#define SCRAM     "{SCRAM-SHA-256}"
#define SALT_MADE 16 /* bytes */

/* take_key - 32 bytes of base64 */
static int take_key(const char *text, size_t len, unsigned char *key)
{
	return base64_decode(key, SECRET_KEY, text, len) == SECRET_KEY ? 0 : -EINVAL;
}

/* parse_scram - what stands behind SCRAM: four values */
static int parse_scram(const char *text, size_t len, struct secret *s)
{
	const char *at[4], *end = text + len;
	size_t n[4];
	unsigned long long iterations;
	for (int i = 0; i < 4; i++) {
		const char *comma = i < 3 ? memchr(text, ',', (size_t)(end - text)) : end;
		if (!comma)
			return -EINVAL;
		at[i] = text;
		n[i] = (size_t)(comma - text);
		text = comma + 1;
	}
	if (str_to_u64(at[0], n[0], SECRET_ITERATIONS_MAX, &iterations) != 0 || iterations == 0)
		return -EINVAL;
	int salt = base64_decode(s->salt, sizeof(s->salt), at[1], n[1]);
	if (salt <= 0 || take_key(at[2], n[2], s->stored) || take_key(at[3], n[3], s->server))
		return -EINVAL;
	s->salt_len = (size_t)salt;
	s->iterations = (unsigned)iterations;
	return 0;
}

/* parse_hash - any of crypt's; one that begins so that it can never match is a locked user's */
static int parse_hash(const char *text, size_t len, struct secret *s)
{
	if (len < 3 || text[0] != '$' || str_copy_n(s->hash, sizeof(s->hash), text, len) != 0)
		return -EINVAL;
	for (const char *p = s->hash; *p; p++)
		if (*p <= ' ' || *p > '~')
			return -EINVAL;
	return 0;
}

/* secret_parse - one or both */
int secret_parse(const char *text, size_t len, struct secret *s)
{
	const size_t mark = strlen(SCRAM);
	memset(s, 0, sizeof(*s));
	while (len) {
		const char *colon = memchr(text, ':', len);
		size_t n = colon ? (size_t)(colon - text) : len;
		bool scram = n > mark && memcmp(text, SCRAM, mark) == 0;
		if ((scram && s->iterations) || (!scram && s->hash[0]))
			return -EINVAL;
		int e = scram ? parse_scram(text + mark, n - mark, s) : parse_hash(text, n, s);
		if (e)
			return e;
		n += colon != NULL;
		text += n;
		len -= n;
	}
	return s->hash[0] || s->iterations ? 0 : -EINVAL;
}

/* check_hash - crypt(3) again, with the same salt and cost */
static int check_hash(const char *hash, const char *password)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	if (!data)
		return -ENOMEM;
	const char *made = crypt_r(password, hash, data);
	size_t n = strlen(hash);
	int r = -EINVAL;
	if (made && *made != '*')
		r = strlen(made) == n && CRYPTO_memcmp(made, hash, n) == 0;
	explicit_bzero(data, sizeof(*data));
	free(data);
	return r;
}

/* scram_keys - RFC 5802 §3: salted password, then stored key and server key */
static int scram_keys(const char *password, const unsigned char *salt, size_t salt_len,
    unsigned iterations, unsigned char *stored, unsigned char *server)
{
	unsigned char salted[SECRET_KEY], client[SECRET_KEY];
	unsigned n = SECRET_KEY;
	int ok = PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)salt_len,
	    (int)iterations, EVP_sha256(), sizeof(salted), salted);
	ok = ok == 1 &&
	     HMAC(EVP_sha256(), salted, sizeof(salted), (const unsigned char *)"Client Key", 10,
		 client, &n) &&
	     HMAC(EVP_sha256(), salted, sizeof(salted), (const unsigned char *)"Server Key", 10,
		 server, &n) &&
	     SHA256(client, sizeof(client), stored);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
	return ok ? 0 : -EIO;
}

/* secret_check - against the hash if there is one */
int secret_check(const struct secret *s, const char *password)
{
	unsigned char stored[SECRET_KEY], server[SECRET_KEY];
	if (s->hash[0])
		return check_hash(s->hash, password);
	int e = scram_keys(password, s->salt, s->salt_len, s->iterations, stored, server);
	if (!e)
		e = CRYPTO_memcmp(stored, s->stored, sizeof(stored)) == 0;
	explicit_bzero(stored, sizeof(stored));
	explicit_bzero(server, sizeof(server));
	return e;
}

/* make_hash - yescrypt at this host's usual cost */
static int make_hash(const char *password, char *text, size_t size)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data = calloc(1, sizeof(*data));
	int r = -EIO;
	if (!data)
		return -ENOMEM;
	if (crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting))) {
		const char *made = crypt_r(password, setting, data);
		if (made && *made != '*')
			r = str_copy(text, size, made);
	}
	explicit_bzero(data, sizeof(*data));
	free(data);
	return r;
}

/* make_scram - with a salt of its own */
static int make_scram(const char *password, char *text, size_t size)
{
	unsigned char salt[SALT_MADE], stored[SECRET_KEY], server[SECRET_KEY];
	char b64[3][BASE64_LEN(SECRET_KEY) + 1];
	if (RAND_bytes(salt, sizeof(salt)) != 1)
		return -EIO;
	int e = scram_keys(password, salt, sizeof(salt), SECRET_ITERATIONS, stored, server);
	if (e)
		return e;
	base64_encode(b64[0], sizeof(b64[0]), salt, sizeof(salt));
	base64_encode(b64[1], sizeof(b64[1]), stored, sizeof(stored));
	base64_encode(b64[2], sizeof(b64[2]), server, sizeof(server));
	int n = snprintf(
	    text, size, ":" SCRAM "%u,%s,%s,%s", SECRET_ITERATIONS, b64[0], b64[1], b64[2]);
	return n > 0 && (size_t)n < size ? 0 : -EIO;
}

/* secret_make - hash and verifier */
int secret_make(const char *password, char *text, size_t size)
{
	bool plain = true;
	size_t len = strlen(password);
	if (len == 0 || len > SECRET_PASSWORD_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		plain &= password[i] >= ' ' && password[i] <= '~';
	int e = make_hash(password, text, size);
	len = e ? 0 : strlen(text);
	return e || !plain ? e : make_scram(password, text + len, size - len);
}
