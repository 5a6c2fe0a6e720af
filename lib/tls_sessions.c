/* SPDX-License-Identifier: ISC */
/* A hash by key, and a list in the order of use. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/hash.h"
#include "lib/tls_state.h"

struct entry {
	UT_hash_handle hh;
	struct entry *prev, *next;
	SSL_SESSION *session;
	char key[sizeof(((struct tls *)0)->key)];
};

struct sessions {
	struct entry *table, *list; /* the list: used last at its end */
	unsigned n;
};

/* tls_sessions_new - none yet */
struct sessions *tls_sessions_new(void)
{
	return calloc(1, sizeof(struct sessions));
}

/* drop - one of them */
static void drop(struct sessions *s, struct entry *e)
{
	HASH_DEL(s->table, e);
	DL_DELETE(s->list, e);
	s->n--;
	SSL_SESSION_free(e->session);
	free(e);
}

/* tls_sessions_free - all */
void tls_sessions_free(struct sessions *s)
{
	if (!s)
		return;
	while (s->list)
		drop(s, s->list);
	free(s);
}

/* find - by key */
static struct entry *find(struct sessions *s, const char *key)
{
	struct entry *e;
	HASH_FIND_STR(s->table, key, e);
	return e;
}

/* add - a new entry for a key, without a session; NULL when out of memory */
static struct entry *add(struct sessions *s, const char *key)
{
	struct entry *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	memcpy(e->key, key, strlen(key) + 1);
	HASH_ADD_STR(s->table, key, e);
	if (!hash_added(e)) {
		free(e);
		return NULL;
	}
	DL_APPEND(s->list, e);
	if (++s->n > TLS_SESSIONS_MAX)
		drop(s, s->list);
	return e;
}

/* tls_sessions_put - the last one with a server is the one to go on with */
void tls_sessions_put(struct sessions *s, const char *key, SSL_SESSION *session)
{
	struct entry *e = find(s, key);
	if (!e)
		e = add(s, key);
	if (!e) {
		SSL_SESSION_free(session);
		return;
	}
	SSL_SESSION_free(e->session);
	e->session = session;
	DL_DELETE(s->list, e);
	DL_APPEND(s->list, e);
}

/* tls_sessions_get - one that is still good */
SSL_SESSION *tls_sessions_get(struct sessions *s, const char *key)
{
	struct entry *e = find(s, key);
	if (!e)
		return NULL;
	long age = (long)time(NULL) - SSL_SESSION_get_time(e->session);
	if (!SSL_SESSION_is_resumable(e->session) || age < 0 ||
	    age >= SSL_SESSION_get_timeout(e->session)) {
		drop(s, e);
		return NULL;
	}
	return e->session;
}

/* tls_sessions_drop - it was of no use */
void tls_sessions_drop(struct sessions *s, const char *key)
{
	struct entry *e = find(s, key);
	if (e)
		drop(s, e);
}
