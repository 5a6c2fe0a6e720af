/* SPDX-License-Identifier: ISC */
/*
 * Nothing here asks a person: a key with a passphrase is an unreadable one.
 */
#include "lib/tls_pem.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* no_passphrase - nobody sits at a daemon */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1;
}

/* reader - a BIO over bytes */
static BIO *reader(const unsigned char *pem, size_t len)
{
	return len > INT_MAX ? NULL : BIO_new_mem_buf(pem, (int)len);
}

/* tls_reason - the last one is the one nearest to the cause that a person can mend */
const char *tls_reason(char *out, size_t size, const char *otherwise)
{
	const char *data = NULL;
	int flags = 0;
	unsigned long e = ERR_peek_last_error_data(&data, &flags);
	const char *words = e ? ERR_reason_error_string(e) : NULL;
	bool more = words && data && (flags & ERR_TXT_STRING) && *data;
	snprintf(
	    out, size, "%s%s%s", words ? words : otherwise, more ? ": " : "", more ? data : "");
	ERR_clear_error();
	return out;
}

/* read_key - a private key, or NULL */
static EVP_PKEY *read_key(const unsigned char *pem, size_t len)
{
	BIO *bio = reader(pem, len);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	BIO_free(bio);
	return key;
}

/* use_chain - the leaf and what stands behind it; false and an error in the queue */
static bool use_chain(SSL_CTX *ctx, const unsigned char *pem, size_t len)
{
	BIO *bio = reader(pem, len);
	X509 *x = bio ? PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL) : NULL;
	bool good = x && SSL_CTX_use_certificate(ctx, x) == 1;
	X509_free(x);
	while (good && (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
		good = SSL_CTX_add1_chain_cert(ctx, x) == 1;
		X509_free(x);
	}
	if (good)
		ERR_clear_error(); /* the end of the file is one to OpenSSL */
	BIO_free(bio);
	return good;
}

/* tls_pem_use - chain and key */
enum tls_pem tls_pem_use(SSL_CTX *ctx, const unsigned char *chain, size_t chain_len,
    const unsigned char *key, size_t key_len, char *why, size_t size)
{
	char reason[160];
	ERR_clear_error();
	if (!use_chain(ctx, chain, chain_len)) {
		snprintf(why, size, "no usable certificate (%s)",
		    tls_reason(reason, sizeof(reason), "not PEM"));
		return TLS_PEM_CERTIFICATE;
	}
	EVP_PKEY *pkey = read_key(key, key_len);
	if (!pkey) {
		snprintf(
		    why, size, "no usable key (%s)", tls_reason(reason, sizeof(reason), "not PEM"));
		return TLS_PEM_KEY;
	}
	bool fits = X509_check_private_key(SSL_CTX_get0_certificate(ctx), pkey) == 1;
	bool good = fits && SSL_CTX_use_PrivateKey(ctx, pkey) == 1;
	EVP_PKEY_free(pkey);
	if (good)
		return TLS_PEM_GOOD;
	tls_reason(reason, sizeof(reason), "not accepted");
	snprintf(why, size, "%s", fits ? reason : "this key is not the certificate's");
	return TLS_PEM_KEY;
}

/* tls_pem_bundle - all of them; one that OpenSSL can't read ends the list */
size_t tls_pem_bundle(const unsigned char *pem, size_t len, X509_STORE *store)
{
	BIO *bio = reader(pem, len);
	size_t n = 0;
	X509 *x;
	while (bio && (x = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL))) {
		if (store && X509_STORE_add_cert(store, x) != 1)
			n--;
		n++;
		X509_free(x);
	}
	BIO_free(bio);
	ERR_clear_error();
	return n;
}
