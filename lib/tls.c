/* SPDX-License-Identifier: ISC */
/*
 * OpenSSL reads and writes through a BIO of ours: it takes from the bytes at hand until there are
 * none and appends to an evbuffer. So one recv() of 64 KiB feeds several records, and many records
 * leave with one sendmsg(). What it holds of an unfinished record is its own; its buffers are given
 * back between records (SSL_MODE_RELEASE_BUFFERS), so an idle connection costs little.
 */
#include "lib/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tls_pem.h"
#include "lib/tls_state.h"

static BIO_METHOD *method;

/* on_bio_read - OpenSSL wants bytes of the peer's */
static int on_bio_read(BIO *bio, char *to, size_t size, size_t *n)
{
	struct tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	*n = size < tls->len ? size : tls->len;
	if (!*n) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(to, tls->data, *n);
	tls->data += *n;
	tls->len -= *n;
	return 1;
}

/* on_bio_write - OpenSSL has bytes for the peer */
static int on_bio_write(BIO *bio, const char *data, size_t len, size_t *n)
{
	struct tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	*n = len;
	return tls->wire && evbuffer_add(tls->wire, data, len) == 0;
}

/* on_bio_ctrl - nothing to flush, nothing to know */
static long on_bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return what == BIO_CTRL_FLUSH;
}

/* make_method - once a process */
static bool make_method(void)
{
	if (method)
		return true;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "baton");
	return method && BIO_meth_set_read_ex(method, on_bio_read) &&
	       BIO_meth_set_write_ex(method, on_bio_write) &&
	       BIO_meth_set_ctrl(method, on_bio_ctrl);
}

/* tls_init - openssl.cnf, while there is one to be seen */
void tls_init(void)
{
	OPENSSL_init_ssl(
	    OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_NO_ATEXIT,
	    NULL);
}

/* tls_common - what both kinds of context have in common */
bool tls_common(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
				     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_timeout(ctx, TLS_TICKET_HOURS * 3600L);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1;
}

/* tls_of - the struct of an SSL */
struct tls *tls_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* tls_new - with its BIO */
struct tls *tls_new(SSL_CTX *ctx, bool server)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	BIO *bio = NULL;
	if (!tls || !make_method())
		goto fail;
	tls->server = server;
	tls->ssl = SSL_new(ctx);
	bio = tls->ssl ? BIO_new(method) : NULL;
	if (!bio)
		goto fail;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	if (server)
		SSL_set_accept_state(tls->ssl);
	else
		SSL_set_connect_state(tls->ssl);
	return tls;
fail:
	ERR_clear_error();
	tls_free(tls);
	return NULL;
}

/* tls_free - without last words, and without the session becoming worthless for that */
void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	if (tls->ssl)
		SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(tls->ssl);
	tls_client_free(tls->client);
	free(tls);
}

/* broken - keep the reason in words */
static unsigned broken(struct tls *tls)
{
	long verify = SSL_get_verify_result(tls->ssl);
	bool certificate = !tls->server && !tls->done && tls->verified && verify != X509_V_OK;
	if (certificate)
		snprintf(tls->error, sizeof(tls->error), "certificate: %s",
		    X509_verify_cert_error_string(verify));
	else
		tls_reason(tls->error, sizeof(tls->error), "the TLS connection broke");
	ERR_clear_error();
	if (!tls->server && !tls->done)
		tls_client_failed(tls);
	return TLS_BROKEN;
}

/* shake - one step of the handshake */
static unsigned shake(struct tls *tls)
{
	int n = SSL_do_handshake(tls->ssl);
	if (n == 1) {
		tls->done = true;
		return TLS_SECURED;
	}
	return SSL_get_error(tls->ssl, n) == SSL_ERROR_WANT_READ ? 0 : broken(tls);
}

/* read_all - the content of all whole records at hand */
static unsigned read_all(struct tls *tls, struct evbuffer *in)
{
	static unsigned char buf[TLS_RECORD];
	size_t n;
	for (;;) {
		if (SSL_read_ex(tls->ssl, buf, sizeof(buf), &n) == 1) {
			if (in && evbuffer_add(in, buf, n) < 0)
				return broken(tls);
			continue;
		}
		switch (SSL_get_error(tls->ssl, 0)) {
		case SSL_ERROR_WANT_READ:
			return 0;
		case SSL_ERROR_ZERO_RETURN:
			return TLS_ENDED;
		default:
			return broken(tls);
		}
	}
}

/* tls_take - handshake, then content */
unsigned tls_take(
    struct tls *tls, const void *data, size_t len, struct evbuffer *in, struct evbuffer *wire)
{
	unsigned steps = 0;
	ERR_clear_error();
	tls->data = data;
	tls->len = len;
	tls->wire = wire;
	if (!tls->done)
		steps = shake(tls);
	if (tls->done)
		steps |= read_all(tls, in);
	tls->data = NULL;
	tls->len = 0;
	tls->wire = NULL;
	return steps;
}

/* seal_one - one record of at most n bytes from the front of out; 0 or -E... */
static int seal_one(struct tls *tls, struct evbuffer *out, size_t n)
{
	size_t sealed;
	const unsigned char *at = evbuffer_pullup(out, (ev_ssize_t)n);
	if (!at)
		return -ENOMEM;
	ERR_clear_error();
	if (SSL_write_ex(tls->ssl, at, n, &sealed) != 1) {
		broken(tls);
		return -EPROTO;
	}
	return evbuffer_drain(out, sealed) < 0 ? -ENOMEM : 0;
}

/* tls_seal - records of 16 KiB as long as there is that much */
int tls_seal(struct tls *tls, struct evbuffer *out, struct evbuffer *wire, size_t room)
{
	size_t left;
	int r = 0;
	if (!tls->done || tls->closed)
		return 0;
	tls->wire = wire;
	while (!r && (left = evbuffer_get_length(out)) && evbuffer_get_length(wire) < room)
		r = seal_one(tls, out, left < TLS_RECORD ? left : TLS_RECORD);
	tls->wire = NULL;
	return r;
}

/* tls_close - close_notify */
void tls_close(struct tls *tls, struct evbuffer *wire)
{
	if (!tls->done || tls->closed)
		return;
	tls->closed = true;
	tls->wire = wire;
	SSL_shutdown(tls->ssl);
	tls->wire = NULL;
	ERR_clear_error();
}

/* tls_protocol - "TLSv1.3" */
const char *tls_protocol(const struct tls *tls)
{
	return SSL_get_version(tls->ssl);
}

/* tls_cipher - as IANA calls it */
const char *tls_cipher(const struct tls *tls)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
	const char *name = cipher ? SSL_CIPHER_standard_name(cipher) : NULL;
	return name ? name : "unknown";
}

/* tls_resumed - was there an earlier session to go on with */
bool tls_resumed(const struct tls *tls)
{
	return SSL_session_reused(tls->ssl);
}

/* tls_text - for logs */
void tls_text(const struct tls *tls, char out[TLS_TEXT_SIZE])
{
	snprintf(out, TLS_TEXT_SIZE, "%s/%s%s%s", tls_protocol(tls), tls_cipher(tls),
	    tls->server     ? ""
	    : tls->verified ? "/verified"
			    : "/unverified",
	    tls_resumed(tls) ? "/resumed" : "");
}

/* tls_fingerprint - of the peer's certificate */
bool tls_fingerprint(const struct tls *tls, char out[TLS_PRINT_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	X509 *x = SSL_get0_peer_certificate(tls->ssl);
	if (!x || X509_digest(x, EVP_sha256(), digest, &n) != 1 || n * 2 + 1 != TLS_PRINT_SIZE)
		return false;
	for (unsigned i = 0; i < n; i++)
		snprintf(out + (size_t)2 * i, 3, "%02x", digest[i]);
	return true;
}

/* tls_error - the reason kept */
const char *tls_error(const struct tls *tls)
{
	return tls->error;
}
