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
int dns_host_put(uint8_t *buf, size_t size, size_t *pos, const struct dns_host *host)
{
	size_t len = strnlen(host->name, DNS_NAME_MAX);
	size_t need = 2 + 1 + len + 1 + (size_t)host->naddrs * 17;
	uint8_t *p = buf + *pos;

	if (*pos > size || size - *pos < need)
		return -EMSGSIZE;
	*p++ = (uint8_t)(host->preference >> 8);
	*p++ = (uint8_t)host->preference;
	*p++ = (uint8_t)len;
	memcpy(p, host->name, len);
	p += len;
	*p++ = host->naddrs;
	for (size_t i = 0; i < host->naddrs; i++) {
		*p++ = host->addrs[i].family;
		memcpy(p, host->addrs[i].bytes, 16);
		p += 16;
	}
	*pos += need;
	return 0;
}

/* addrs_take - the addresses behind a host's name */
static int addrs_take(const uint8_t *p, size_t left, struct dns_host *host)
{
	if (host->naddrs > DNS_ADDRS_MAX || left < (size_t)host->naddrs * 17)
		return -EBADMSG;
	for (size_t i = 0; i < host->naddrs; i++, p += 17) {
		if (p[0] != 4 && p[0] != 6)
			return -EBADMSG;
		host->addrs[i].family = p[0];
		memcpy(host->addrs[i].bytes, p + 1, 16);
	}
	return 0;
}

/* dns_host_next - take the next host of a list */
int dns_host_next(const void *buf, size_t len, size_t *pos, struct dns_host *host)
{
	const uint8_t *p = (const uint8_t *)buf + *pos;
	size_t left, name;

	if (*pos >= len)
		return *pos == len ? 0 : -EBADMSG;
	left = len - *pos;
	if (left < 4 || (name = p[2]) > DNS_NAME_MAX || left < 4 + name)
		return -EBADMSG;
	host->preference = (uint16_t)(p[0] << 8 | p[1]);
	if (dns_name_clean((const char *)p + 3, name, host->name) != 0) {
		/* A host given as an address is called by it, which is no name for IPv6. */
		struct dns_addr literal;

		if (dns_addr_parse((const char *)p + 3, name, &literal) != 0)
			return -EBADMSG;
		memcpy(host->name, p + 3, name);
		host->name[name] = '\0';
	}
	host->naddrs = p[3 + name];
	if (addrs_take(p + 4 + name, left - 4 - name, host) != 0)
		return -EBADMSG;
	*pos += 4 + name + (size_t)host->naddrs * 17;
	return 1;
}

/* dns_record_put - append a record to a list */
int dns_record_put(uint8_t *buf, size_t size, size_t *pos, const void *data, size_t len)
{
	if (*pos > size || len > UINT16_MAX || size - *pos < 2 + len)
		return -EMSGSIZE;
	buf[*pos] = (uint8_t)(len >> 8);
	buf[*pos + 1] = (uint8_t)len;
	memcpy(buf + *pos + 2, data, len);
	*pos += 2 + len;
	return 0;
}

/* record_read - what a record's octets mean by its type */
static int record_read(uint16_t type, const uint8_t *p, size_t len, struct dns_record *rec)
{
	memset(rec, 0, sizeof(*rec));
	if (type == DNS_A || type == DNS_AAAA) {
		if (len != (type == DNS_A ? 4u : 16u))
			return -EBADMSG;
		rec->addr.family = type == DNS_A ? 4 : 6;
		memcpy(rec->addr.bytes, p, len);
	} else if (type == DNS_MX) {
		if (len < 3)
			return -EBADMSG;
		rec->preference = (uint16_t)(p[0] << 8 | p[1]);
		p += 2;
		len -= 2;
	}
	rec->data = (const char *)p;
	rec->len = len;
	return 1;
}

/* dns_record_next - take the next record of a list */
int dns_record_next(uint16_t type, const void *buf, size_t len, size_t *pos, struct dns_record *rec)
{
	const uint8_t *p = (const uint8_t *)buf + *pos;
	size_t size;

	if (*pos >= len)
		return *pos == len ? 0 : -EBADMSG;
	if (len - *pos < 2)
		return -EBADMSG;
	size = (size_t)p[0] << 8 | p[1];
	if (len - *pos - 2 < size)
		return -EBADMSG;
	*pos += 2 + size;
	return record_read(type, p + 2, size, rec);
}

/* dns_soon_put - append a name to a list of names */
int dns_soon_put(uint8_t *buf, size_t size, size_t *pos, const char *name, size_t len)
{
	if (len > DNS_NAME_MAX || *pos > size || size - *pos < 1 + len)
		return -EMSGSIZE;
	buf[*pos] = (uint8_t)len;
	memcpy(buf + *pos + 1, name, len);
	*pos += 1 + len;
	return 0;
}

/* dns_soon_next - take the next name of a list of names */
int dns_soon_next(const void *buf, size_t len, size_t *pos, const char **name, size_t *namelen)
{
	const uint8_t *p = (const uint8_t *)buf + *pos;

	if (*pos >= len)
		return *pos == len ? 0 : -EBADMSG;
	if (len - *pos - 1 < p[0])
		return -EBADMSG;
	*name = (const char *)p + 1;
	*namelen = p[0];
	*pos += 1 + (size_t)p[0];
	return 1;
}
