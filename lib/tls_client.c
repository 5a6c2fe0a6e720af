/* SPDX-License-Identifier: ISC */
/*
 * One context for all servers. What a session was verified against is part of the key that it is
 * remembered by: resuming checks no certificate again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tls_pem.h"
#include "lib/tls_state.h"

#define SERVER_CHAIN_MAX 65536 /* bytes of the certificates that a server may send */
#define OPEN_LEVEL       1     /* of a server that isn't verified: better weak than plaintext */

struct tls_client {
	SSL_CTX *ctx;
	struct sessions *sessions;
	unsigned char *ca; /* PEM, until the first connection that verifies */
	size_t ca_len;
	unsigned refs; /* its owner, and each connection */
};

/* on_session - a ticket came: remembered for the next connection */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *tls = tls_of(ssl);
	if (!tls || !tls->client || !SSL_SESSION_is_resumable(session))
		return 0;
	tls_sessions_put(tls->client->sessions, tls->key, session);
	return 1;
}

/* tls_client_failed - the next try begins from nothing */
void tls_client_failed(struct tls *tls)
{
	if (tls->client)
		tls_sessions_drop(tls->client->sessions, tls->key);
}

/* use_pair - our own certificate, for those connections that show it */
static bool use_pair(SSL_CTX *ctx, const struct tls_pem_pair *pair, char *why, size_t size)
{
	return tls_pem_use(ctx, pair->chain, pair->chain_len, pair->key, pair->key_len, why,
		   size) == TLS_PEM_GOOD;
}

/* tls_client_new - the context */
struct tls_client *tls_client_new(const struct tls_client_setup *setup, char *why, size_t size)
{
	struct tls_client *client = calloc(1, sizeof(*client));
	char reason[TLS_ERROR_SIZE];
	tls_init();
	snprintf(why, size, "out of memory");
	if (!client)
		return NULL;
	client->refs = 1;
	client->ca_len = setup->ca ? setup->ca_len : 0;
	client->ca = malloc(client->ca_len + 1);
	client->sessions = tls_sessions_new();
	client->ctx = SSL_CTX_new(TLS_client_method());
	if (!client->ca || !client->sessions || !client->ctx || !tls_common(client->ctx)) {
		snprintf(why, size, "%s", tls_reason(reason, sizeof(reason), "out of memory"));
		goto fail;
	}
	memcpy(client->ca, setup->ca ? setup->ca : (const unsigned char *)"", client->ca_len);
	SSL_CTX_set_security_level(client->ctx, OPEN_LEVEL);
	SSL_CTX_set_max_cert_list(client->ctx, SERVER_CHAIN_MAX);
	SSL_CTX_set_session_cache_mode(
	    client->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(client->ctx, on_session);
	if (setup->pair && !use_pair(client->ctx, setup->pair, why, size))
		goto fail;
	return client;
fail:
	tls_client_free(client);
	return NULL;
}

/* tls_client_free - the last one frees it */
void tls_client_free(struct tls_client *client)
{
	if (!client || --client->refs)
		return;
	SSL_CTX_free(client->ctx);
	tls_sessions_free(client->sessions);
	free(client->ca);
	free(client);
}

/* is_address - a numeric address has no name to ask for */
static bool is_address(const char *name)
{
	unsigned char bytes[16];
	return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* want_verified - chain and name, with the strength that a verified connection is worth */
static bool want_verified(struct tls_client *client, struct tls *tls, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
	if (client->ca)
		tls_pem_bundle(client->ca, client->ca_len, SSL_CTX_get_cert_store(client->ctx));
	free(client->ca);
	client->ca = NULL;
	tls->verified = true;
	SSL_set_security_level(tls->ssl, TLS_SECURITY_LEVEL);
	SSL_set_verify(tls->ssl, SSL_VERIFY_PEER, NULL);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1
				: X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

/* prepare - all that may fail */
static bool prepare(
    struct tls_client *client, struct tls *tls, const struct tls_connect *to, const char *name)
{
	if (!is_address(name) && SSL_set_tlsext_host_name(tls->ssl, name) != 1)
		return false;
	if (to->verify && !want_verified(client, tls, name))
		return false;
	if (!to->show)
		SSL_certs_clear(tls->ssl);
	SSL_SESSION *session = tls_sessions_get(client->sessions, tls->key);
	return !session || SSL_set_session(tls->ssl, session) == 1;
}

/* tls_connect - one connection */
struct tls *tls_connect(struct tls_client *client, const struct tls_connect *to)
{
	char name[TLS_NAME_SIZE];
	struct tls *tls = tls_new(client->ctx, false);
	if (!tls)
		return NULL;
	snprintf(name, sizeof(name), "%s", to->name);
	size_t n = strlen(name);
	if (n && name[n - 1] == '.')
		name[n - 1] = '\0';
	snprintf(tls->key, sizeof(tls->key), "%s %u%s%s", name, to->port, to->verify ? " v" : "",
	    to->show ? " s" : "");
	tls->client = client;
	client->refs++;
	if (prepare(client, tls, to, name))
		return tls;
	ERR_clear_error();
	tls_free(tls);
	return NULL;
}
