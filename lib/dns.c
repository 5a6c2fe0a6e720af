/* SPDX-License-Identifier: ISC */
/*
 * Names are checked here once for everybody: what passes dns_name_clean() is safe in a log line,
 * a certificate check and a look-up, so neither dnscache nor its askers quote or escape names.
 * The lists are walked in place: a queue manager with 50,000 sites keeps the encoded octets and
 * decodes one host at a time.
 */
#include "lib/dns.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const verdicts[DNS_VERDICTS] = {
    [DNS_OK] = "ok",
    [DNS_NODOMAIN] = "nodomain",
    [DNS_NODATA] = "nodata",
    [DNS_NULLMX] = "nullmx",
    [DNS_TEMPFAIL] = "tempfail",
};

static const char *const securities[] = {"insecure", "secure", "bogus"};
static const char *const sources[DNS_SOURCES] = {"server", "cache", "stale", "hosts", "built in"};

static const struct {
	const char *name;
	uint16_t type;
} types[] = {
    {"A", DNS_A},
    {"AAAA", DNS_AAAA},
    {"MX", DNS_MX},
    {"CNAME", DNS_CNAME},
    {"PTR", DNS_PTR},
    {"TXT", DNS_TXT},
    {"TLSA", DNS_TLSA},
};

#define TYPES (sizeof(types) / sizeof(types[0]))

/* dns_verdict_name - a verdict for people */
const char *dns_verdict_name(unsigned verdict)
{
	return verdict < DNS_VERDICTS ? verdicts[verdict] : "unknown";
}

/* dns_security_name - for people */
const char *dns_security_name(unsigned security)
{
	return security <= DNS_BOGUS ? securities[security] : "unknown";
}

/* dns_source_name - for people */
const char *dns_source_name(unsigned source)
{
	return source < DNS_SOURCES ? sources[source] : "unknown";
}

/* dns_type_parse - type number of a type's name */
uint16_t dns_type_parse(const char *name)
{
	for (size_t i = 0; i < TYPES; i++)
		if (strcasecmp(name, types[i].name) == 0)
			return types[i].type;
	return 0;
}

/* dns_type_name - name of a type's number */
const char *dns_type_name(uint16_t type)
{
	for (size_t i = 0; i < TYPES; i++)
		if (types[i].type == type)
			return types[i].name;
	return NULL;
}

/* name_octet - whether an octet may stand in a label */
static bool name_octet(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* dns_name_clean - check a name and bring it into its one form */
int dns_name_clean(const char *name, size_t len, char out[DNS_NAME_SIZE])
{
	size_t label = 0;

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len == 0 || len > DNS_NAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c - 'A' + 'a');
		if (c == '.') {
			if (label == 0)
				return -EINVAL;
			label = 0;
		} else if (!name_octet(c) || ++label > 63) {
			return -EINVAL;
		}
		out[i] = (char)c;
	}
	out[len] = '\0';
	return label == 0 ? -EINVAL : 0;
}

/* dns_addr_parse - read an address literal */
int dns_addr_parse(const char *text, size_t len, struct dns_addr *out)
{
	char buf[DNS_LITERAL_SIZE];

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len > 5 && strncasecmp(text, "IPv6:", 5) == 0) {
		text += 5;
		len -= 5;
	}
	if (len == 0 || len >= sizeof(buf) || memchr(text, '\0', len) != NULL)
		return -EINVAL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, buf, out->bytes) == 1)
		out->family = 4;
	else if (inet_pton(AF_INET6, buf, out->bytes) == 1)
		out->family = 6;
	else
		return -EINVAL;
	return 0;
}

/* dns_addr_text - write an address */
const char *dns_addr_text(const struct dns_addr *addr, char *out)
{
	if (inet_ntop(addr->family == 6 ? AF_INET6 : AF_INET, addr->bytes, out, DNS_LITERAL_SIZE) ==
	    NULL)
		out[0] = '\0';
	return out;
}

/* dns_addr_sockaddr - an address and a port as the socket calls want them */
socklen_t dns_addr_sockaddr(
    const struct dns_addr *addr, uint16_t port, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (addr->family == 6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, addr->bytes, 16);
		return sizeof(*in6);
	}
	struct sockaddr_in *in = (struct sockaddr_in *)out;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	memcpy(&in->sin_addr, addr->bytes, 4);
	return sizeof(*in);
}

/* dns_addr_reverse - the name under which an address' PTR stands */
void dns_addr_reverse(const struct dns_addr *addr, char out[DNS_NAME_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *b = addr->bytes;
	size_t at = 0;

	if (addr->family == 4) {
		snprintf(out, DNS_NAME_SIZE, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
		return;
	}
	for (int i = 15; i >= 0; i--) {
		out[at++] = hex[b[i] & 15];
		out[at++] = '.';
		out[at++] = hex[b[i] >> 4];
		out[at++] = '.';
	}
	memcpy(out + at, "ip6.arpa", sizeof("ip6.arpa"));
}

/* dns_host_put - append a host to a list */
void dns_host_put(struct wire_out *w, const struct dns_host *host)
{
	size_t len = strnlen(host->name, DNS_NAME_MAX);

	wire_put_u16(w, host->preference);
	wire_put_u8(w, (uint8_t)len);
	wire_put_raw(w, host->name, len);
	wire_put_bool(w, host->secure);
	wire_put_u8(w, host->naddrs);
	for (size_t i = 0; i < host->naddrs; i++) {
		wire_put_u8(w, host->addrs[i].family);
		wire_put_raw(w, host->addrs[i].bytes, 16);
	}
}

/* host_name - a host's name; one that is given as an IPv6 address is called by it */
static int host_name(struct wire_in *w, struct dns_host *host)
{
	size_t len = wire_get_u8(w);
	const char *name = (const char *)wire_get_raw(w, len);
	struct dns_addr literal;

	if (name == NULL || len > DNS_NAME_MAX)
		return -EBADMSG;
	if (dns_name_clean(name, len, host->name) == 0)
		return 0;
	if (dns_addr_parse(name, len, &literal) != 0)
		return -EBADMSG;
	memcpy(host->name, name, len);
	host->name[len] = '\0';
	return 0;
}

/* dns_host_next - take the next host of a list */
bool dns_host_next(struct wire_in *w, struct dns_host *host)
{
	if (wire_left(w) == 0)
		return false;
	memset(host, 0, sizeof(*host));
	host->preference = wire_get_u16(w);
	if (host_name(w, host) != 0)
		goto bad;
	host->secure = wire_get_bool(w);
	host->naddrs = wire_get_u8(w);
	if (host->naddrs > DNS_ADDRS_MAX)
		goto bad;
	for (size_t i = 0; i < host->naddrs; i++) {
		const uint8_t *p;

		host->addrs[i].family = wire_get_u8(w);
		p = wire_get_raw(w, 16);
		if (p == NULL || (host->addrs[i].family != 4 && host->addrs[i].family != 6))
			goto bad;
		memcpy(host->addrs[i].bytes, p, 16);
	}
	if (w->err == 0)
		return true;
bad:
	wire_in_fail(w);
	return false;
}

/* dns_record_put - append a record to a list */
void dns_record_put(struct wire_out *w, const void *data, size_t len)
{
	wire_put_u16(w, (uint16_t)len);
	wire_put_raw(w, data, len);
}

/* dns_record_next - take the next record of a list */
bool dns_record_next(struct wire_in *w, uint16_t type, struct dns_record *rec)
{
	size_t len;

	memset(rec, 0, sizeof(*rec));
	if (wire_left(w) == 0)
		return false;
	len = wire_get_u16(w);
	const uint8_t *p = wire_get_raw(w, len);

	if (p == NULL)
		return false;
	if (type == DNS_A || type == DNS_AAAA) {
		if (len != (type == DNS_A ? 4u : 16u))
			goto bad;
		rec->addr.family = type == DNS_A ? 4 : 6;
		memcpy(rec->addr.bytes, p, len);
	} else if (type == DNS_MX) {
		if (len < 3)
			goto bad;
		rec->preference = (uint16_t)(p[0] << 8 | p[1]);
		p += 2;
		len -= 2;
	}
	rec->data = (const char *)p;
	rec->len = len;
	return true;
bad:
	wire_in_fail(w);
	return false;
}

/* dns_soon_put - append a name to a list of names */
void dns_soon_put(struct wire_out *w, const char *name, size_t len)
{
	if (len == 0 || len > DNS_NAME_MAX)
		return;
	wire_put_u8(w, (uint8_t)len);
	wire_put_raw(w, name, len);
}

/* dns_soon_next - take the next name of a list of names */
bool dns_soon_next(struct wire_in *w, const char **name, size_t *len)
{
	if (wire_left(w) == 0)
		return false;
	*len = wire_get_u8(w);
	*name = (const char *)wire_get_raw(w, *len);
	return *name != NULL;
}

/* dns_server_put - append a resolver to a list */
void dns_server_put(struct wire_out *w, const struct dns_server *server)
{
	size_t len = strnlen(server->name, DNS_SERVER_SIZE - 1);

	wire_put_u8(w, (uint8_t)len);
	wire_put_raw(w, server->name, len);
	wire_put_bool(w, server->down);
	wire_put_bool(w, server->trusted);
	wire_put_u32(w, server->latency_us);
	wire_put_u64(w, server->sent);
	wire_put_u64(w, server->answered);
	wire_put_u64(w, server->silent);
	wire_put_u64(w, server->refused);
}

/* dns_server_next - take the next resolver of a list */
bool dns_server_next(struct wire_in *w, struct dns_server *server)
{
	size_t len;
	const uint8_t *name;

	memset(server, 0, sizeof(*server));
	if (wire_left(w) == 0)
		return false;
	len = wire_get_u8(w);
	name = wire_get_raw(w, len);
	if (name == NULL || len >= DNS_SERVER_SIZE || memchr(name, '\0', len) != NULL) {
		wire_in_fail(w);
		return false;
	}
	memcpy(server->name, name, len);
	server->down = wire_get_bool(w);
	server->trusted = wire_get_bool(w);
	server->latency_us = wire_get_u32(w);
	server->sent = wire_get_u64(w);
	server->answered = wire_get_u64(w);
	server->silent = wire_get_u64(w);
	server->refused = wire_get_u64(w);
	return w->err == 0;
}
