/* SPDX-License-Identifier: ISC */
/*
 * Session tickets (RFC 5077, RFC 8446 §4.6.1) that any worker can read: their keys are a function
 * of a common secret and of the time, so no key ever travels. A key makes tickets for
 * TLS_TICKET_HOURS and reads them for as long again, which is a ticket's whole life; what was
 * recorded before that can't be decrypted with anything that the processes still hold, but the
 * secret, which is a new one at each start of master.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/tls_state.h"

enum { SECRET = 32, NAME = 16, CIPHER_KEY = 32, MAC_KEY = 32 };

int64_t (*tls_tickets_clock)(void) = clock_wall_ms;

struct ticket_key {
	int64_t period; /* 0: none was derived yet */
	unsigned char name[NAME], cipher[CIPHER_KEY], mac[MAC_KEY];
};

struct tickets {
	unsigned char secret[SECRET];
	struct ticket_key now, before;
};

/* derive - one key of the secret: HMAC-SHA-256 of what it is for and when */
static bool derive(const struct tickets *t, const char *what, int64_t period, unsigned char *out)
{
	unsigned char text[32];
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t n = strlen(what);
	unsigned len = 0;
	memcpy(text, what, n);
	for (unsigned i = 0; i < 8; i++)
		text[n++] = (unsigned char)((uint64_t)period >> (56 - 8 * i));
	if (!HMAC(EVP_sha256(), t->secret, SECRET, text, n, digest, &len) || len != 32)
		return false;
	memcpy(out, digest, 32);
	OPENSSL_cleanse(digest, sizeof(digest));
	return true;
}

/* make_key - all parts of a period's key */
static bool make_key(const struct tickets *t, int64_t period, struct ticket_key *key)
{
	unsigned char name[32];
	if (key->period == period)
		return true;
	key->period = 0;
	if (!derive(t, "ticket name", period, name) ||
	    !derive(t, "ticket cipher", period, key->cipher) ||
	    !derive(t, "ticket mac", period, key->mac))
		return false;
	memcpy(key->name, name, NAME);
	key->period = period;
	return true;
}

/* rotate - the keys of now and of the period before */
static bool rotate(struct tickets *t)
{
	int64_t period = tls_tickets_clock() / (TLS_TICKET_HOURS * 3600 * INT64_C(1000));
	if (t->now.period == period)
		return true;
	return make_key(t, period, &t->now) && make_key(t, period - 1, &t->before);
}

/* use_mac - the key into OpenSSL's context */
static bool use_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, MAC_KEY),
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
	    OSSL_PARAM_construct_end(),
	};
	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* on_ticket - OpenSSL makes a ticket, or was given one. 0: make a new session, 2: and a new ticket
 */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int makes)
{
	struct tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const EVP_CIPHER *aes = EVP_aes_256_cbc();
	if (!t || !rotate(t))
		return makes ? -1 : 0;
	if (makes) {
		memcpy(name, t->now.name, NAME);
		return RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1 &&
			       EVP_EncryptInit_ex(cipher, aes, NULL, t->now.cipher, iv) == 1 &&
			       use_mac(mac, &t->now)
			   ? 1
			   : -1;
	}
	struct ticket_key *key = memcmp(name, t->now.name, NAME) == 0      ? &t->now
				 : memcmp(name, t->before.name, NAME) == 0 ? &t->before
									   : NULL;
	if (!key || EVP_DecryptInit_ex(cipher, aes, NULL, key->cipher, iv) != 1 ||
	    !use_mac(mac, key))
		return 0;
	/* Always renewed: in TLS 1.3 a client uses a ticket once (RFC 8446 §C.4). */
	return 2;
}

/* tls_tickets_new - keys are derived when they are needed */
struct tickets *tls_tickets_new(const unsigned char *secret)
{
	struct tickets *t = OPENSSL_zalloc(sizeof(*t));
	if (t)
		memcpy(t->secret, secret, SECRET);
	return t;
}

/* tls_tickets_free - no trace stays */
void tls_tickets_free(struct tickets *tickets)
{
	OPENSSL_clear_free(tickets, sizeof(*tickets));
}

/* tls_tickets_use - in that context */
void tls_tickets_use(SSL_CTX *ctx, struct tickets *tickets)
{
	SSL_CTX_set_app_data(ctx, tickets);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}
