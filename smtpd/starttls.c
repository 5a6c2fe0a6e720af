/* SPDX-License-Identifier: ISC */
/* The files' contents are known to be good: master has tried them (lib/conf_files.c). */
#include "smtpd/starttls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/counters.h"
#include "lib/log.h"

static struct tls_server *server;

/* find_pairs - certificates and keys as they came; how many */
static size_t find_pairs(const struct conf *conf, struct tls_pem_pair *pairs)
{
	size_t n = 0;
	for (size_t i = 0; i < conf->tls.certificate.n && i < conf->tls.key.n; i++) {
		const struct conf_file *chain = conf_file(conf, conf->tls.certificate.v[i]);
		const struct conf_file *key = conf_file(conf, conf->tls.key.v[i]);
		if (chain && key)
			pairs[n++] =
			    (struct tls_pem_pair){chain->data, key->data, chain->len, key->len};
	}
	return n;
}

/* starttls_init - the context, where there is a certificate */
int starttls_init(const struct conf *conf)
{
	char why[TLS_ERROR_SIZE];
	struct tls_pem_pair *pairs = calloc(conf->tls.certificate.n + 1, sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	struct tls_server_setup setup = {.pairs = pairs,
	    .npairs = find_pairs(conf, pairs),
	    .secret = conf->secret,
	    .ask_certificate = conf->relay_certificates.n > 0};
	if (setup.npairs)
		server = tls_server_new(&setup, why, sizeof(why));
	if (setup.npairs && !server)
		log_error("TLS: %s", why);
	free(pairs);
	return setup.npairs && !server ? -EINVAL : 0;
}

/* starttls_offered - by the listener */
bool starttls_offered(const struct peer *peer)
{
	return server && !peer->tls && peer->listen &&
	       (peer->listen->tls == CONF_LISTEN_TLS_OFFERED ||
		   peer->listen->tls == CONF_LISTEN_TLS_REQUIRED);
}

/* starttls_implicit - by the listener too */
bool starttls_implicit(const struct peer *peer)
{
	return server && peer->listen && peer->listen->tls == CONF_LISTEN_TLS_IMPLICIT;
}

/* starttls_begin - on that connection */
int starttls_begin(struct conn *conn)
{
	return conn_start_tls(conn, tls_accept(server));
}

/* may_relay - is the certificate it shows one of those that give leave */
static bool may_relay(const struct conf *conf, const struct tls *tls)
{
	char print[TLS_PRINT_SIZE];
	if (!conf->relay_certificates.n || !tls_fingerprint(tls, print))
		return false;
	for (size_t i = 0; i < conf->relay_certificates.n; i++)
		if (strcmp(conf->relay_certificates.v[i], print) == 0)
			return true;
	return false;
}

/* starttls_done - what is known of the peer now */
void starttls_done(const struct conf *conf, const struct conn *conn, struct peer *peer)
{
	const struct tls *tls = conn_tls(conn);
	counter_add(C_smtp_tls_sessions, 1);
	counter_add(C_smtp_tls_resumed, tls_resumed(tls));
	peer->tls = tls_protocol(tls);
	peer->cipher = tls_cipher(tls);
	peer->resumed = tls_resumed(tls);
	peer->certified = may_relay(conf, tls);
	peer->relay |= peer->certified;
}

/* starttls_failed - one line */
void starttls_failed(const struct peer *peer, const char *reason)
{
	counter_add(C_smtp_tls_failed, 1);
	log_event(LOG_INFO, 0, "tls_failed", LOG_STR("client", peer->address),
	    LOG_IF(peer->listen, LOG_STR("listener", peer->listen ? peer->listen->title : "")),
	    LOG_STR("reason", reason));
}
