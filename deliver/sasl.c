/* SPDX-License-Identifier: ISC */
/*
 * The order of mechanisms: those first that don't give the secret away. A host decides how many
 * rounds SCRAM takes; what one asks for that would stop the loop is looked at before libgsasl
 * begins to count.
 */
#include "deliver/sasl.h"

#include <errno.h>
#include <gsasl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/str.h"

#define CHALLENGE_MAX 4096
#define ERROR_SIZE    160

struct sasl {
	Gsasl_session *session;
	const char *mechanism;
	bool complete;
	char *said; /* the last words, to be recognised in the host's */
	size_t secret_len;
	char secret[CREDENTIAL_MAX + 1];
	char error[ERROR_SIZE];
};

static const struct mechanism {
	const char *name;
	bool begins;
} mechanisms[] = {{"SCRAM-SHA-256", true}, {"CRAM-MD5", false}, {"PLAIN", true}, {"LOGIN", false}};

#define NMECHANISMS (sizeof(mechanisms) / sizeof(mechanisms[0]))

static Gsasl *context;

int sasl_prepare(void)
{
	return context || gsasl_init(&context) == GSASL_OK ? 0 : -ENOMEM;
}

/* lists - whether the word stands in a list with spaces between */
static bool lists(const char *list, const char *name)
{
	for (const char *p = list + strspn(list, " "); *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");
		if (str_is_ci(p, n, name))
			return true;
		p += n;
	}
	return false;
}

const char *sasl_choose(const char *offered, const char *after)
{
	bool may = !after;
	for (size_t i = 0; i < NMECHANISMS; i++) {
		if (may && lists(offered, mechanisms[i].name))
			return mechanisms[i].name;
		may |= after && strcmp(after, mechanisms[i].name) == 0;
	}
	return NULL;
}

/* give - one property, of text that doesn't end in a NUL */
static bool give(struct sasl *s, Gsasl_property prop, const char *text, size_t len)
{
	return gsasl_property_set_raw(s->session, prop, text, len) == GSASL_OK;
}

struct sasl *sasl_new(const char *mechanism, const struct credential *login)
{
	struct sasl *s = calloc(1, sizeof(*s));
	if (!s || sasl_prepare() != 0 ||
	    gsasl_client_start(context, mechanism, &s->session) != GSASL_OK) {
		free(s);
		return NULL;
	}
	s->mechanism = mechanism;
	s->secret_len = login->secret_len < CREDENTIAL_MAX ? login->secret_len : CREDENTIAL_MAX;
	memcpy(s->secret, login->secret, s->secret_len);
	if (give(s, GSASL_AUTHID, login->user, login->user_len) &&
	    give(s, GSASL_PASSWORD, s->secret, s->secret_len))
		return s;
	sasl_free(s);
	return NULL;
}

void sasl_wipe(char *said)
{
	if (said)
		explicit_bzero(said, strlen(said));
	gsasl_free(said);
}

void sasl_free(struct sasl *s)
{
	if (!s)
		return;
	/* libgsasl frees its copy and doesn't wipe it. */
	char *copy = (char *)(uintptr_t)gsasl_property_fast(s->session, GSASL_PASSWORD);
	if (copy)
		explicit_bzero(copy, strlen(copy));
	gsasl_finish(s->session);
	sasl_wipe(s->said);
	explicit_bzero(s, sizeof(*s));
	free(s);
}

bool sasl_begins(const struct sasl *s)
{
	for (size_t i = 0; i < NMECHANISMS; i++)
		if (strcmp(mechanisms[i].name, s->mechanism) == 0)
			return mechanisms[i].begins;
	return false;
}

/* too_many_rounds - of what SCRAM's first challenge says, "r=...,s=...,i=4096" (RFC 5802 §5.1) */
static bool too_many_rounds(struct sasl *s, const char *challenge)
{
	char text[CHALLENGE_MAX];
	int n = base64_decode(text, sizeof(text) - 1, challenge, strlen(challenge));
	text[n > 0 ? n : 0] = '\0';
	const char *i = strncmp(text, "r=", 2) == 0 ? strstr(text, ",i=") : NULL;
	unsigned long rounds = i ? strtoul(i + 3, NULL, 10) : 0;
	if (rounds <= SASL_ITERATIONS_MAX)
		return false;
	snprintf(s->error, sizeof(s->error), "it asks for %lu rounds of SCRAM, at most %d are made",
	    rounds, SASL_ITERATIONS_MAX);
	return true;
}

enum sasl_verdict sasl_step(struct sasl *s, const char *challenge, char **say)
{
	char *copy = NULL;
	*say = NULL;
	if (s->complete) {
		str_copy(s->error, sizeof(s->error), "it asks for more than there is to say");
		return SASL_BROKEN;
	}
	if (strcmp(s->mechanism, "SCRAM-SHA-256") == 0 && too_many_rounds(s, challenge))
		return SASL_BROKEN;
	int r = gsasl_step64(s->session, challenge, say);
	if (r == GSASL_MALLOC_ERROR)
		return SASL_NOMEM;
	if (r != GSASL_OK && r != GSASL_NEEDS_MORE) {
		snprintf(s->error, sizeof(s->error), "%s", gsasl_strerror(r));
		return SASL_BROKEN;
	}
	if (asprintf(&copy, "%s", *say) < 0) {
		sasl_wipe(*say);
		*say = NULL;
		return SASL_NOMEM;
	}
	sasl_wipe(s->said);
	s->said = copy;
	s->complete = r == GSASL_OK;
	return r == GSASL_OK ? SASL_DONE : SASL_MORE;
}

const char *sasl_error(const struct sasl *s)
{
	return s->error;
}

bool sasl_complete(const struct sasl *s)
{
	return s->complete || strcmp(s->mechanism, "SCRAM-SHA-256") != 0;
}

bool sasl_shows(const struct sasl *s, const char *text, size_t len)
{
	/* Short ones would be found in any text; they are no secrets. */
	if (s->secret_len > 3 && memmem(text, len, s->secret, s->secret_len))
		return true;
	return s->said && strlen(s->said) > 3 && memmem(text, len, s->said, strlen(s->said));
}
