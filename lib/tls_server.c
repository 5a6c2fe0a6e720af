/* SPDX-License-Identifier: ISC */
/*
 * A server is one context for each certificate; a handshake begins in the first and moves to the
 * one that has the name the client asks for. There is no cache of sessions: all of a session is in
 * its ticket, so workers need not know of each other.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tls_pem.h"
#include "lib/tls_state.h"

#define SUITES_12                                                    \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CLIENT_CHAIN_MAX 32768 /* bytes of the certificates that a client may send */

static const char suites_13[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
				"TLS_CHACHA20_POLY1305_SHA256";
static const unsigned char context_id[] = "baton";

struct tls_server {
	struct tickets *tickets;
	size_t n;
	SSL_CTX **ctx;
};

/* on_name - the client asks for a name (RFC 6066 §3); one we don't have gets the first certificate
 */
static int on_name(SSL *ssl, int *alert, void *arg)
{
	struct tls_server *server = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	(void)alert;
	for (size_t i = 0; name && i < server->n; i++) {
		X509 *x = SSL_CTX_get0_certificate(server->ctx[i]);
		if (X509_check_host(x, name, 0, 0, NULL) != 1)
			continue;
		if (i > 0)
			SSL_set_SSL_CTX(ssl, server->ctx[i]);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

/* has_protocol - is it in the list of a ClientHello */
static bool has_protocol(const unsigned char *list, unsigned len, const char *name)
{
	size_t n = strlen(name);
	for (unsigned at = 0; at < len; at += 1u + list[at])
		if (list[at] == n && at + 1 + n <= len && memcmp(list + at + 1, name, n) == 0)
			return true;
	return false;
}

/*
 * on_protocols - ALPN (RFC 7301). No name is registered for SMTP, so what is unknown is ignored; a
 * web client is told that this is no web server, so that nobody talks it into sending us its lines.
 */
static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *list, unsigned len, void *arg)
{
	static const unsigned char smtp[] = "smtp";
	(void)ssl, (void)arg;
	if (has_protocol(list, len, "smtp")) {
		*out = smtp;
		*out_len = sizeof(smtp) - 1;
		return SSL_TLSEXT_ERR_OK;
	}
	if (has_protocol(list, len, "h2") || has_protocol(list, len, "http/1.1"))
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_NOACK;
}

/* any_certificate - what it is worth is decided by its fingerprint, not by who signed it */
static int any_certificate(int ok, X509_STORE_CTX *store)
{
	(void)ok, (void)store;
	return 1;
}

/* make_context - for one certificate */
static SSL_CTX *make_context(struct tls_server *server, const struct tls_server_setup *setup,
    const struct tls_pem_pair *pair, char *why, size_t size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char reason[TLS_ERROR_SIZE];
	if (!ctx || !tls_common(ctx) || SSL_CTX_set_cipher_list(ctx, SUITES_12) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, suites_13) != 1 ||
	    SSL_CTX_set_session_id_context(ctx, context_id, sizeof(context_id) - 1) != 1) {
		snprintf(why, size, "%s", tls_reason(reason, sizeof(reason), "out of memory"));
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_security_level(ctx, TLS_SECURITY_LEVEL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_MAX);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, server);
	SSL_CTX_set_alpn_select_cb(ctx, on_protocols, NULL);
	if (setup->ask_certificate)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, any_certificate);
	tls_tickets_use(ctx, server->tickets);
	if (tls_pem_use(ctx, pair->chain, pair->chain_len, pair->key, pair->key_len, why, size) ==
	    TLS_PEM_GOOD)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* tls_server_new - all its contexts */
struct tls_server *tls_server_new(const struct tls_server_setup *setup, char *why, size_t size)
{
	struct tls_server *server = calloc(1, sizeof(*server));
	snprintf(why, size, "out of memory");
	tls_init();
	if (!server)
		return NULL;
	server->tickets = tls_tickets_new(setup->secret);
	server->ctx = calloc(setup->npairs, sizeof(*server->ctx));
	if (!server->tickets || !server->ctx || !setup->npairs)
		goto fail;
	for (; server->n < setup->npairs; server->n++) {
		server->ctx[server->n] =
		    make_context(server, setup, &setup->pairs[server->n], why, size);
		if (!server->ctx[server->n])
			goto fail;
	}
	return server;
fail:
	tls_server_free(server);
	return NULL;
}

/* tls_server_free - connections keep what they need of it but the tickets' keys */
void tls_server_free(struct tls_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < server->n; i++)
		SSL_CTX_free(server->ctx[i]);
	free(server->ctx);
	if (server->tickets)
		tls_tickets_free(server->tickets);
	free(server);
}

/* tls_accept - one connection */
struct tls *tls_accept(struct tls_server *server)
{
	return tls_new(server->ctx[0], true);
}
