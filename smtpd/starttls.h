/* SPDX-License-Identifier: ISC */
/*
 * The worker's side of TLS as a server: one server context for all listeners, made before the
 * chroot of the certificates that came with the configuration; who offers TLS to whom; what a
 * handshake says of the peer. A worker is replaced at a reload, so its context never changes.
 */
#pragma once

#include "lib/conn.h"
#include "lib/tls.h"
#include "smtpd/policy.h"

/* To be called from `prepare`. 0 (also where there is no certificate), or -EINVAL, logged. */
int starttls_init(const struct conf *conf);

/* Whether that client may say STARTTLS now. */
bool starttls_offered(const struct peer *peer);

/* Whether that client's first bytes are its handshake (RFC 8314 §3). */
bool starttls_implicit(const struct peer *peer);

/* Begins: conn_start_tls(). 0 or -ENOMEM. */
int starttls_begin(struct conn *conn);

/* CONN_SECURED: counts, and notes in peer what is known of it now. */
void starttls_done(const struct conf *conf, const struct conn *conn, struct peer *peer);

/* It didn't come to that: counts, and one line in the log. */
void starttls_failed(const struct peer *peer, const char *reason);
