/* SPDX-License-Identifier: ISC */
/*
 * libgsasl asks back for what it needs of the user. Of one without a verifier it is told a salt
 * that is always the same for that name (RFC 5802 §5.1 would else tell who exists) and keys that
 * nothing fits.
 */
#include "master/sasl.h"

#include <errno.h>
#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/str.h"

#define DECOY_SALT 16 /* bytes, as secret_make() takes */

struct sasl {
	Gsasl_session *session;
	bool failed; /* the users file can't be read */
	char user[USERS_NAME_MAX + 1];
};

static Gsasl *context;
static unsigned char decoy_key[32];

/* give - one property of the verifier, as libgsasl wants them: text */
static int give(Gsasl_session *session, Gsasl_property prop, const struct secret *s)
{
	char text[128];
	switch (prop) {
	case GSASL_SCRAM_ITER:
		snprintf(text, sizeof(text), "%u", s->iterations);
		break;
	case GSASL_SCRAM_SALT:
		base64_encode(text, sizeof(text), s->salt, s->salt_len);
		break;
	case GSASL_SCRAM_STOREDKEY:
		base64_encode(text, sizeof(text), s->stored, sizeof(s->stored));
		break;
	case GSASL_SCRAM_SERVERKEY:
		base64_encode(text, sizeof(text), s->server, sizeof(s->server));
		break;
	default:
		return GSASL_NO_CALLBACK;
	}
	return gsasl_property_set(session, prop, text);
}

/* decoy - a verifier for a name that has none */
static int decoy(const char *name, struct secret *s)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (!HMAC(EVP_sha256(), decoy_key, sizeof(decoy_key), (const unsigned char *)name,
		strlen(name), digest, &n) ||
	    RAND_bytes(s->stored, sizeof(s->stored)) != 1 ||
	    RAND_bytes(s->server, sizeof(s->server)) != 1)
		return -EIO;
	s->iterations = SECRET_ITERATIONS;
	s->salt_len = DECOY_SALT;
	memcpy(s->salt, digest, DECOY_SALT);
	return 0;
}

/* on_question - libgsasl's */
static int on_question(Gsasl *ctx, Gsasl_session *session, Gsasl_property prop)
{
	struct sasl *sasl = gsasl_session_hook_get(session);
	const char *name = gsasl_property_fast(session, GSASL_AUTHID);
	const char *as = gsasl_property_fast(session, GSASL_AUTHZID);
	const struct user *user = NULL, *other;
	struct secret s = {0};
	(void)ctx;
	if (prop != GSASL_SCRAM_ITER && prop != GSASL_SCRAM_SALT && prop != GSASL_SCRAM_STOREDKEY &&
	    prop != GSASL_SCRAM_SERVERKEY)
		return GSASL_NO_CALLBACK;
	if (!name || str_copy(sasl->user, sizeof(sasl->user), name) != 0)
		return GSASL_AUTHENTICATION_ERROR;
	if (as && *as && strcmp(as, name) != 0) /* nobody is somebody else here */
		return GSASL_AUTHENTICATION_ERROR;
	if (users_find(name, &user, &other) != 0) {
		sasl->failed = true;
		return GSASL_AUTHENTICATION_ERROR;
	}
	if (user && user->secret.iterations)
		s = user->secret;
	else if (decoy(name, &s) != 0)
		return GSASL_CRYPTO_ERROR;
	int r = give(session, prop, &s);
	explicit_bzero(&s, sizeof(s));
	return r;
}

/* sasl_prepare - once */
int sasl_prepare(void)
{
	if (RAND_bytes(decoy_key, sizeof(decoy_key)) != 1 || gsasl_init(&context) != GSASL_OK)
		return -ENOMEM;
	gsasl_callback_set(context, on_question);
	return 0;
}

/* sasl_new - one exchange */
struct sasl *sasl_new(void)
{
	struct sasl *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	if (gsasl_server_start(context, "SCRAM-SHA-256", &s->session) != GSASL_OK) {
		free(s);
		return NULL;
	}
	gsasl_session_hook_set(s->session, s);
	return s;
}

/* sasl_free - NULL is allowed */
void sasl_free(struct sasl *s)
{
	if (!s)
		return;
	gsasl_finish(s->session);
	free(s);
}

/* sasl_step - one message, one challenge */
enum sasl_verdict sasl_step(
    struct sasl *s, const char *message, size_t n, char *challenge, size_t *len)
{
	char *out = NULL;
	size_t out_len = 0;
	int r = gsasl_step(s->session, message, n, &out, &out_len);
	bool good = r == GSASL_OK || r == GSASL_NEEDS_MORE;
	/* An exchange that got far enough to have a user at all has asked for his salt. */
	good = good && out_len <= SASL_CHALLENGE_MAX && s->user[0] && !s->failed;
	if (good) {
		memcpy(challenge, out, out_len);
		*len = out_len;
	}
	gsasl_free(out);
	if (good)
		return r == GSASL_OK ? SASL_DONE : SASL_MORE;
	return s->failed || r == GSASL_MALLOC_ERROR || r == GSASL_CRYPTO_ERROR ? SASL_FAILURE
									       : SASL_WRONG;
}

/* sasl_user - as it says */
const char *sasl_user(const struct sasl *s)
{
	return s->user;
}

/* sasl_claim - gs2-cbind-flag "," [authzid] "," "n=" saslname "," */
void sasl_claim(const char *message, size_t n, char *user, size_t size)
{
	const char *end = message + n, *at = memchr(message, ',', n);
	size_t len = 0;
	user[0] = '\0';
	at = at ? memchr(at + 1, ',', (size_t)(end - at - 1)) : NULL;
	if (!at || end - at < 3 || memcmp(at, ",n=", 3) != 0)
		return;
	for (at += 3; at < end && *at != ',' && *at; at++) {
		if (len + 1 >= size) {
			user[0] = '\0';
			return;
		}
		bool escaped = end - at >= 3 && (!memcmp(at, "=2C", 3) || !memcmp(at, "=3D", 3));
		user[len++] = !escaped ? *at : at[1] == '2' ? ',' : '=';
		at += escaped ? 2 : 0;
	}
	user[len] = '\0';
}
