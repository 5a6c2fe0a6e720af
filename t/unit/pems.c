/* SPDX-License-Identifier: ISC */
/* As `openssl req -x509` would make them. */
#include "pems.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* keep - what a BIO has gathered, with a NUL behind */
static unsigned char *keep(BIO *bio, size_t *len)
{
	char *data;
	*len = (size_t)BIO_get_mem_data(bio, &data);
	unsigned char *copy = malloc(*len + 1);
	assert_non_null(copy);
	memcpy(copy, data, *len);
	copy[*len] = '\0';
	BIO_free(bio);
	return copy;
}

/* extend - one extension */
static void extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

void pem_make(struct pem *pem, const char *name, int days)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	char san[300];
	assert_true(key && x);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), days < 0 ? -86400L * 30 : -86400L);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400L * days);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(
	    X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	bool address = strspn(name, "0123456789.") == strlen(name);
	snprintf(san, sizeof(san), "%s:%s", address ? "IP" : "DNS", name);
	extend(x, NID_subject_alt_name, san);
	extend(x, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	BIO *chain = BIO_new(BIO_s_mem()), *private = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_X509(chain, x), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(private, key, NULL, NULL, 0, NULL, NULL), 1);
	pem->chain = keep(chain, &pem->chain_len);
	pem->key = keep(private, &pem->key_len);
	X509_free(x);
	EVP_PKEY_free(key);
}

void pem_free(struct pem *pem)
{
	free(pem->chain);
	free(pem->key);
}

struct tls_pem_pair pem_pair(const struct pem *pem)
{
	return (struct tls_pem_pair){pem->chain, pem->key, pem->chain_len, pem->key_len};
}

struct tls_server *pem_server(const struct pem *pems, size_t n, const unsigned char *secret)
{
	struct tls_pem_pair pairs[8];
	char why[256];
	for (size_t i = 0; i < n; i++)
		pairs[i] = pem_pair(&pems[i]);
	struct tls_server_setup setup = {
	    .pairs = pairs, .npairs = n, .secret = secret, .ask_certificate = true};
	struct tls_server *server = tls_server_new(&setup, why, sizeof(why));
	if (!server)
		fail_msg("%s", why);
	return server;
}

struct tls_client *pem_client(const struct pem *ca, const struct pem *own)
{
	struct tls_pem_pair pair = {0};
	char why[256];
	if (own)
		pair = pem_pair(own);
	struct tls_client_setup setup = {.ca = ca ? ca->chain : NULL,
	    .ca_len = ca ? ca->chain_len : 0,
	    .pair = own ? &pair : NULL};
	struct tls_client *client = tls_client_new(&setup, why, sizeof(why));
	if (!client)
		fail_msg("%s", why);
	return client;
}
