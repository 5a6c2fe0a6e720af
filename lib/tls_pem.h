/* SPDX-License-Identifier: ISC */
/* PEM from memory into OpenSSL's objects; for lib/tls*.c only. Files in PEM have a NUL behind. */
#pragma once

#include <openssl/ssl.h>
#include <stddef.h>

/* What tls_pem_use() found wrong. */
enum tls_pem { TLS_PEM_GOOD, TLS_PEM_CERTIFICATE, TLS_PEM_KEY };

/*
 * Makes a chain (the leaf first) and its key a context's own. On failure why says the reason in
 * words. The leaf is the context's: SSL_CTX_get0_certificate().
 */
enum tls_pem tls_pem_use(SSL_CTX *ctx, const unsigned char *chain, size_t chain_len,
    const unsigned char *key, size_t key_len, char *why, size_t size);

/* Adds every certificate of a bundle (store NULL: only counts them); how many there are. */
size_t tls_pem_bundle(const unsigned char *pem, size_t len, X509_STORE *store);

/*
 * The last reason in OpenSSL's queue of errors, in words, `otherwise` where it has none; empties
 * the queue. Returns out.
 */
const char *tls_reason(char *out, size_t size, const char *otherwise);
