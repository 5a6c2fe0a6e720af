/* SPDX-License-Identifier: ISC */
/*
 * The order of the checks is that of the answers' usefulness: what the client can't change first.
 * Notices pass everything but a full disk: they stand for mail that was already promised.
 */
#include "smtpd/policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/str.h"

static const struct verdict fine;

/* format_address - text of an address; IPv4 mapped into IPv6 as IPv4 */
static void format_address(const struct sockaddr *addr, char *out, size_t size)
{
	const void *bytes = &((const struct sockaddr_in *)addr)->sin_addr;
	int family = addr->sa_family;

	if (family == AF_INET6) {
		const struct in6_addr *in6 = &((const struct sockaddr_in6 *)addr)->sin6_addr;
		bytes = in6;
		if (IN6_IS_ADDR_V4MAPPED(in6)) {
			bytes = in6->s6_addr + 12;
			family = AF_INET;
		}
	}
	if (!inet_ntop(family, bytes, out, (socklen_t)size))
		str_copy(out, size, "unknown");
}

/* peer_is_stranger - by what it showed until now */
bool peer_is_stranger(const struct peer *peer)
{
	return peer->kind == PEER_NET && !peer->relay && !peer->certified && !peer->user[0];
}

/* policy_peer_net - on a listener that wants AUTH an address gives no right */
void policy_peer_net(const struct conf *conf, const struct conf_listen *listen,
    const struct sockaddr *addr, struct peer *peer)
{
	*peer = (struct peer){.kind = PEER_NET, .uid = UINT32_MAX, .listen = listen};
	peer->relay = conf_may_relay(conf, addr) && listen->auth != CONF_AUTH_REQUIRED;
	format_address(addr, peer->address, sizeof(peer->address));
}

/* policy_peer_local - whoever can open the submit socket may send */
void policy_peer_local(uint32_t uid, struct peer *peer)
{
	*peer = (struct peer){.kind = PEER_LOCAL, .relay = true, .uid = uid, .address = "local"};
}

/* policy_peer_notice - a link that master made */
void policy_peer_notice(struct peer *peer)
{
	*peer = (struct peer){
	    .kind = PEER_NOTICE, .relay = true, .uid = UINT32_MAX, .address = "local"};
}

/* policy_session - a listener that promises TLS first can't be served without it */
struct verdict policy_session(const struct peer *peer)
{
	if (peer->listen && peer->listen->tls == CONF_LISTEN_TLS_IMPLICIT && !peer->tls)
		return (struct verdict){ACT_CLOSE, 421, "4.7.0", "TLS is not available here"};
	return fine;
}

/* policy_mail - before the body: authorisation, space, size */
struct verdict policy_mail(const struct conf *conf, const struct peer *peer, uint64_t size,
    enum pressure pressure, uint64_t free_bytes)
{
	if (peer->listen && peer->listen->tls == CONF_LISTEN_TLS_REQUIRED && !peer->tls)
		return verdict_reply(530, "5.7.0", "Must issue a STARTTLS command first");
	if (peer->listen && peer->listen->auth == CONF_AUTH_REQUIRED && !peer->certified &&
	    !peer->user[0])
		return verdict_reply(530, "5.7.0", "Authentication required");
	if (size > conf->message_size && peer->kind != PEER_NOTICE)
		return verdict_reply(552, "5.3.4", "Message too big for this system");
	if (pressure == PRESSURE_PAUSED) {
		if (peer->kind == PEER_NOTICE)
			return fine;
		return verdict_reply(
		    452, "4.3.2", "This system takes no mail for now, try again later");
	}
	if (pressure == PRESSURE_FULL || (pressure == PRESSURE_LOW && peer->kind == PEER_NET))
		return verdict_reply(452, "4.3.1", "Insufficient system storage, try again later");
	if (pressure != PRESSURE_NONE && size > free_bytes)
		return verdict_reply(452, "4.3.1", "Insufficient system storage for that size");
	return fine;
}

/* policy_rcpt - local domains for anyone, others for friends and where we are the gateway */
enum rcpt_way policy_rcpt(const struct conf *conf, const struct peer *peer, const char *domain)
{
	if (!domain || conf_is_local_domain(conf, domain))
		return RCPT_WAY_LOCAL;
	if (peer->relay || peer->user[0] || conf_may_relay_to(conf, domain))
		return RCPT_WAY_RELAY;
	return RCPT_WAY_DENIED;
}

/* policy_submits - whoever may relay is one of ours */
bool policy_submits(const struct peer *peer)
{
	return (peer->relay || peer->user[0]) && peer->kind != PEER_NOTICE;
}

/* policy_hops - RFC 5321 §6.3 */
struct verdict policy_hops(const struct conf *conf, unsigned hops)
{
	if (hops > conf->limits.hops)
		return verdict_reply(554, "5.4.6", "Too many hops, this message is looping");
	return fine;
}
