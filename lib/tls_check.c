/* SPDX-License-Identifier: ISC */
/*
 * The pair is tried where it will be used, in a context with the security level of ours.
 */
#include "lib/tls_check.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/tls.h"
#include "lib/tls_pem.h"

/* day - a certificate's time as a day */
static void day(const ASN1_TIME *at, char out[32])
{
	struct tm tm = {0};
	if (!ASN1_TIME_to_tm(at, &tm) || !strftime(out, 32, "%Y-%m-%d", &tm))
		memcpy(out, "an unknown day", 15);
}

/* judge_time - is it valid now */
static enum tls_pair judge_time(const X509 *x, int64_t now, char *why, size_t size)
{
	const ASN1_TIME *from = X509_get0_notBefore(x), *to = X509_get0_notAfter(x);
	time_t t = (time_t)now;
	char text[32];
	if (X509_cmp_time(to, &t) < 0) {
		day(to, text);
		snprintf(why, size, "the certificate expired on %s", text);
		return TLS_PAIR_STALE;
	}
	if (X509_cmp_time(from, &t) > 0) {
		day(from, text);
		snprintf(why, size, "the certificate is not valid before %s", text);
		return TLS_PAIR_STALE;
	}
	return TLS_PAIR_GOOD;
}

/* tls_check_pair - try it */
enum tls_pair tls_check_pair(const unsigned char *chain, size_t chain_len, const unsigned char *key,
    size_t key_len, int64_t now, char *why, size_t size)
{
	enum tls_pair verdict = TLS_PAIR_BAD_CERTIFICATE;
	tls_init();
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	snprintf(why, size, "out of memory");
	if (!ctx)
		return verdict;
	SSL_CTX_set_security_level(ctx, TLS_SECURITY_LEVEL);
	switch (tls_pem_use(ctx, chain, chain_len, key, key_len, why, size)) {
	case TLS_PEM_GOOD:
		verdict = judge_time(SSL_CTX_get0_certificate(ctx), now, why, size);
		break;
	case TLS_PEM_CERTIFICATE:
		break;
	case TLS_PEM_KEY:
		verdict = TLS_PAIR_BAD_KEY;
		break;
	}
	SSL_CTX_free(ctx);
	return verdict;
}

/* tls_check_ca - count them */
size_t tls_check_ca(const unsigned char *pem, size_t len)
{
	return tls_pem_bundle(pem, len, NULL);
}
