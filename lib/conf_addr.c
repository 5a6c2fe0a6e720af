/* SPDX-License-Identifier: ISC */
/*
 * Numeric addresses, with and without a port, and networks. No name is looked up here: what a
 * configuration opens to whom must not depend on the DNS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf_parse.h"

/* number - all of a text of at most `digits` digits, up to max; -1 otherwise */
static long number(const char *s, size_t digits, long max)
{
	size_t n = strlen(s);
	if (n == 0 || n > digits || strspn(s, "0123456789") != n)
		return -1;
	long v = strtol(s, NULL, 10);
	return v > max ? -1 : v;
}

/* numeric - an address of either family from len bytes of text */
static int numeric(const char *s, size_t len, uint8_t *family, uint8_t bytes[16])
{
	char text[INET6_ADDRSTRLEN];
	if (len == 0 || len >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, len);
	text[len] = '\0';
	memset(bytes, 0, 16);
	*family = strchr(text, ':') ? AF_INET6 : AF_INET;
	return inet_pton(*family, text, bytes) == 1 ? 0 : -EINVAL;
}

/* conf_parse_addr - an address; o->low is the port if none is given, 0: a port is a mistake */
int conf_parse_addr(const struct conf_opt *o, const char *text, void *to, char *why)
{
	struct conf_addr *a = to;
	const char *host = text, *port = NULL;
	size_t len = strlen(text);
	if (*text == '[') {
		const char *end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		host = text + 1;
		len = (size_t)(end - host);
		port = end[1] ? end + 2 : NULL;
		if (!memchr(host, ':', len))
			return -EINVAL;
	} else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
		port = strchr(text, ':') + 1;
		len = (size_t)(port - 1 - text);
	} else if (strchr(text, ':') && o->low) {
		return conf_why(why, "needs brackets around an IPv6 address: [%s]", text);
	}
	if (port && !o->low)
		return -EINVAL;
	long p = port ? number(port, 5, 65535) : (long)o->low;
	if (port && p < 1)
		return conf_why(why, "has no valid port (1 to 65535)");
	if (numeric(host, len, &a->family, a->bytes))
		return -EINVAL;
	a->port = (uint16_t)p;
	return 0;
}

/* has_host_bits - is there a bit behind the prefix */
static bool has_host_bits(const struct conf_net *net)
{
	for (unsigned bit = net->prefix; bit < (net->family == AF_INET ? 32u : 128u); bit++)
		if (net->bytes[bit / 8] & (0x80 >> (bit % 8)))
			return true;
	return false;
}

/* conf_parse_net - address/prefix, or one address */
int conf_parse_net(const struct conf_opt *o, const char *text, void *to, char *why)
{
	struct conf_net *net = to;
	size_t len = strcspn(text, "/");
	(void)o;
	if (numeric(text, len, &net->family, net->bytes))
		return -EINVAL;
	long max = net->family == AF_INET ? 32 : 128;
	long prefix = text[len] ? number(text + len + 1, 3, max) : max;
	if (prefix < 0)
		return conf_why(why, "has no valid prefix length (0 to %ld)", max);
	net->prefix = (uint8_t)prefix;
	if (!has_host_bits(net))
		return 0;
	struct conf_net fixed = *net;
	for (long bit = prefix; bit < max; bit++)
		fixed.bytes[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
	char buf[CONF_ADDR_TEXT];
	return conf_why(why, "has bits set behind its prefix; that network is %s",
	    conf_net_format(&fixed, buf));
}

/* conf_addr_sockaddr - for bind() and connect() */
socklen_t conf_addr_sockaddr(const struct conf_addr *a, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (a->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;
		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->bytes, sizeof(in->sin_addr));
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(a->port);
	memcpy(&in6->sin6_addr, a->bytes, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

/* conf_addr_format - address and port as text */
const char *conf_addr_format(const struct conf_addr *a, char *buf)
{
	char host[INET6_ADDRSTRLEN] = "?";
	inet_ntop(a->family, a->bytes, host, sizeof(host));
	if (a->port == 0)
		snprintf(buf, CONF_ADDR_TEXT, "%s", host);
	else
		snprintf(buf, CONF_ADDR_TEXT, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
		    (unsigned)a->port);
	return buf;
}

/* conf_net_format - a network as text */
const char *conf_net_format(const struct conf_net *net, char *buf)
{
	char host[INET6_ADDRSTRLEN] = "?";
	inet_ntop(net->family, net->bytes, host, sizeof(host));
	snprintf(buf, CONF_ADDR_TEXT, "%s/%u", host, (unsigned)net->prefix);
	return buf;
}
