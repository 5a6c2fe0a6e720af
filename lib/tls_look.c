/* SPDX-License-Identifier: ISC */
#include "lib/tls_look.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* read_all - every certificate of a PEM text; NULL without one */
static STACK_OF(X509) * read_all(const unsigned char *pem, size_t len)
{
	STACK_OF(X509) *list = sk_X509_new_null();
	BIO *bio = len && len < INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	X509 *x;
	while (list && bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (!sk_X509_push(list, x))
			X509_free(x);
	BIO_free(bio);
	ERR_clear_error(); /* the end of the file is one to OpenSSL */
	if (list && sk_X509_num(list) > 0)
		return list;
	sk_X509_free(list);
	return NULL;
}

/* put_names - the DNS names in it */
static void put_names(X509 *leaf, struct tls_look *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	size_t n = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS || n >= sizeof(out->names) - 1)
			continue;
		int w = snprintf(out->names + n, sizeof(out->names) - n, "%s%.*s", n ? " " : "",
		    ASN1_STRING_length(name->d.dNSName),
		    (const char *)ASN1_STRING_get0_data(name->d.dNSName));
		n += w > 0 ? (size_t)w : 0;
	}
	GENERAL_NAMES_free(names);
}

/* verify - up to one of the CA certificates, by what stands behind the leaf */
static void verify(X509 *leaf, STACK_OF(X509) * chain, STACK_OF(X509) * roots, struct tls_look *out)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	snprintf(out->why, sizeof(out->why), "out of memory");
	for (int i = 0; store && roots && i < sk_X509_num(roots); i++)
		X509_STORE_add_cert(store, sk_X509_value(roots, i));
	if (store && ctx && X509_STORE_CTX_init(ctx, store, leaf, chain)) {
		out->trusted = X509_verify_cert(ctx) == 1;
		snprintf(out->why, sizeof(out->why), "%s",
		    X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
}

/* days_left - until notAfter */
static int64_t days_left(const X509 *leaf, int64_t now)
{
	ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)now);
	int days = 0, seconds = 0;
	if (!from || !ASN1_TIME_diff(&days, &seconds, from, X509_get0_notAfter(leaf)))
		days = 0;
	ASN1_TIME_free(from);
	return seconds < 0 ? days - 1 : days;
}

/* tls_look_at - all of it */
int tls_look_at(const unsigned char *chain, size_t chain_len, const unsigned char *ca,
    size_t ca_len, const char *host, int64_t now, struct tls_look *out)
{
	STACK_OF(X509) *list = read_all(chain, chain_len), *roots;
	*out = (struct tls_look){0};
	if (!list)
		return -EINVAL;
	roots = read_all(ca, ca_len);
	X509 *leaf = sk_X509_value(list, 0);
	out->named = X509_check_host(leaf, host, strlen(host), 0, NULL) == 1;
	out->self_signed = X509_self_signed(leaf, 0) == 1;
	out->days = days_left(leaf, now);
	put_names(leaf, out);
	verify(leaf, list, roots, out);
	sk_X509_pop_free(list, X509_free);
	sk_X509_pop_free(roots, X509_free);
	return 0;
}
