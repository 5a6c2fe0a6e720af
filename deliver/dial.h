/* SPDX-License-Identifier: ISC */
/*
 * dial_transport (hop.h): a hop to an SMTP or LMTP server. A host that begins with '/' is a Unix
 * socket, which master connects (deliver/unix_ask.h). Any other is resolved, by MX or as a host, or
 * taken as the address it is; its addresses are tried (deliver/race.h) until one lets us in, each
 * with OPEN's connect_ms. MX hosts that are ourselves are cut off with what is no better
 * (deliver/self.h). A refusal that is about IPv6 ends the hop with OPEN_NO_IPV6 where there is an
 * IPv4 address, unless OPEN says ipv4. An address with which a TLS handshake fails is tried once
 * more without where TLS is only an opportunity. What the most telling of them said is the verdict
 * when none does.
 */
#pragma once

#include "deliver/hop.h"

/* How telling a verdict is among those of several addresses: the higher one is reported. */
int dial_weight(enum open_verdict verdict);
