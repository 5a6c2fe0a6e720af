/* SPDX-License-Identifier: ISC */
/*
 * Our side of TLS as a client, for the worker as a whole: the context, made when it is first needed
 * of the configuration in force; and the hosts with which TLS doesn't work. These are remembered
 * for SECURE_BROKEN_MS, by name and port, so that where TLS is only an opportunity not every
 * connection begins with a failure; the other workers are told. Required TLS never asks.
 */
#pragma once

#include "lib/conf.h"
#include "lib/dns.h"
#include "lib/tls.h"

#define SECURE_BROKEN_MS  1800000
#define SECURE_BROKEN_MAX 1000 /* hosts remembered; the oldest is forgotten first */

/* For struct child: before the chroot, and at a reload (sessions are not resumed over that). */
int secure_prepare(const struct conf *conf);
void secure_reconfigured(const struct conf *conf, const struct conf *old);

/*
 * What TLS is wanted at an address, of what is wanted of the host: a secret goes to nobody in
 * plaintext but where that is what the route says (NONE), or to this host itself.
 */
enum conf_tls secure_wanted(enum conf_tls tls, bool login, const struct dns_addr *addr);

/* A connection that is to be secured; NULL when that can't be, which is logged. */
struct tls *secure_connect(const struct tls_connect *to);

/*
 * TLS with it failed: logged with the reason, remembered, and told to whoever asked for it. site:
 * whose host it is, NULL: nobody's.
 */
void secure_note_broken(
    const struct tls_connect *to, const char *site, const char *reason, size_t len);
/* Another worker has found that. */
void secure_learn_broken(const char *name, uint16_t port);
/* Who is told; NULL: nobody. */
typedef void secure_tell(const char *site, const char *name, uint16_t port);
void secure_tell_broken(secure_tell *tell);

bool secure_is_broken(const struct tls_connect *to);
/* Forgets them all; for tests. */
void secure_forget(void);
