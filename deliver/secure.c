/* SPDX-License-Identifier: ISC */
/* A table by "name port" for the broken ones, with a list in the order of their noting. */
#include "deliver/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/child.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/log.h"

#define KEY_SIZE (TLS_NAME_SIZE + 16)

struct broken {
	UT_hash_handle hh;
	struct broken *prev, *next;
	int64_t until;
	char key[KEY_SIZE];
};

static struct tls_client *context;
static struct broken *table, *list;
static unsigned nbroken;
static secure_tell *tell_others;

/* secure_prepare - OpenSSL's own configuration, while it can be seen */
int secure_prepare(const struct conf *conf)
{
	(void)conf;
	tls_init();
	return 0;
}

/* secure_reconfigured - the next connection makes a context of what holds then */
void secure_reconfigured(const struct conf *conf, const struct conf *old)
{
	(void)conf, (void)old;
	tls_client_free(context);
	context = NULL;
	secure_forget();
}

/* make_context - of the configuration in force */
static struct tls_client *make_context(const struct conf *conf)
{
	const struct conf_file *ca = conf_file(conf, conf->deliver.ca);
	const struct conf_file *chain = conf_file(conf, conf->deliver.certificate);
	const struct conf_file *key = conf_file(conf, conf->deliver.key);
	struct tls_pem_pair pair = {0};
	char why[TLS_ERROR_SIZE];
	if (chain && key)
		pair = (struct tls_pem_pair){chain->data, key->data, chain->len, key->len};
	struct tls_client_setup setup = {.ca = ca ? ca->data : NULL,
	    .ca_len = ca ? ca->len : 0,
	    .pair = pair.chain ? &pair : NULL};
	struct tls_client *made = tls_client_new(&setup, why, sizeof(why));
	if (!made)
		log_error("TLS to next hops: %s", why);
	return made;
}

/* is_loopback - this host itself */
static bool is_loopback(const struct dns_addr *addr)
{
	static const uint8_t one[16] = {[15] = 1};
	return addr->family == 6 ? memcmp(addr->bytes, one, 16) == 0 : addr->bytes[0] == 127;
}

/* secure_wanted - more than an opportunity where there is a secret */
enum conf_tls secure_wanted(enum conf_tls tls, bool login, const struct dns_addr *addr)
{
	return login && tls == CONF_TLS_OPPORTUNISTIC && !is_loopback(addr) ? CONF_TLS_REQUIRED
									    : tls;
}

/* secure_connect - with the context of all */
struct tls *secure_connect(const struct tls_connect *to)
{
	if (!context)
		context = make_context(child_self()->conf);
	return context ? tls_connect(context, to) : NULL;
}

/* find - what is remembered of a host, and the key */
static struct broken *find(const char *name, uint16_t port, char key[KEY_SIZE])
{
	struct broken *b;
	snprintf(key, KEY_SIZE, "%s %u", name, port);
	HASH_FIND_STR(table, key, b);
	return b;
}

/* drop - forget one */
static void drop(struct broken *b)
{
	HASH_DEL(table, b);
	DL_DELETE(list, b);
	nbroken--;
	free(b);
}

/* secure_learn_broken - without memory it is tried again, that is all */
void secure_learn_broken(const char *name, uint16_t port)
{
	char key[KEY_SIZE];
	struct broken *b = find(name, port, key);
	if (b)
		drop(b);
	b = calloc(1, sizeof(*b));
	if (!b)
		return;
	memcpy(b->key, key, sizeof(key));
	b->until = clock_ms() + SECURE_BROKEN_MS;
	HASH_ADD_STR(table, key, b);
	if (!hash_added(b)) {
		free(b);
		return;
	}
	DL_APPEND(list, b);
	if (++nbroken > SECURE_BROKEN_MAX)
		drop(list);
}

/* secure_note_broken - found by this worker */
void secure_note_broken(
    const struct tls_connect *to, const char *site, const char *reason, size_t len)
{
	log_event(LOG_INFO, 0, "tls_failed", LOG_STR("host", to->name), LOG_U64("port", to->port),
	    LOG_BYTES("reason", reason, len));
	secure_learn_broken(to->name, to->port);
	if (tell_others && site)
		tell_others(site, to->name, to->port);
}

/* secure_tell_broken - whoever can */
void secure_tell_broken(secure_tell *tell)
{
	tell_others = tell;
}

/* secure_is_broken - for a while */
bool secure_is_broken(const struct tls_connect *to)
{
	char key[KEY_SIZE];
	struct broken *b = find(to->name, to->port, key);
	if (b && b->until <= clock_ms()) {
		drop(b);
		b = NULL;
	}
	return b;
}

/* secure_forget - all of them */
void secure_forget(void)
{
	while (list)
		drop(list);
}
