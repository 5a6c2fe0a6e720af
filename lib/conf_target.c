/* SPDX-License-Identifier: ISC */
/*
 * Next hops as routes and `mailbox` name them. A relay is always a fixed host: brackets say so (as
 * they do elsewhere), a port says so too; a bare name is refused, since it might be meant as a
 * domain with MX records.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf_parse.h"

#define PORT_SUBMISSIONS 465 /* implicit TLS, RFC 8314 3.3 */
#define PORT_LMTP        24
#define UNIX_PATH_MAX_   107 /* sun_path with its 0 */
#define HOST_MAX         253
#define ERROR_MAX        400 /* fits a reply line */

/* host_copy - len bytes that are a host name or a numeric address */
static int host_copy(const char *s, size_t len, char *host)
{
	unsigned char bytes[16];
	if (len > 5 && strncasecmp(s, "IPv6:", 5) == 0) {
		s += 5;
		len -= 5;
	}
	if (len == 0 || len > HOST_MAX)
		return -EINVAL;
	memcpy(host, s, len);
	host[len] = '\0';
	bool good = conf_domain_valid(host, len) || inet_pton(AF_INET, host, bytes) == 1 ||
		    inet_pton(AF_INET6, host, bytes) == 1;
	return good ? 0 : -EINVAL;
}

/* conf_hostport_parse - a fixed host with or without a port */
int conf_hostport_parse(const char *text, char *host, uint16_t *port, char why[CONF_REASON_MAX])
{
	const char *end = text + strcspn(text, ":"), *start = text;
	if (*text == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return conf_why(why, "must be [host] or [host]:port");
		start++;
	} else if (!*end) {
		return conf_why(
		    why, "needs a port, or brackets to say that it is a host: [%s]", text);
	}
	if (host_copy(start, (size_t)(end - start), host))
		return conf_why(why, "has no valid host name or address");
	*port = 0;
	const char *p = end + (*end == ']');
	if (*p == ':') {
		size_t n = strspn(p + 1, "0123456789");
		unsigned long v = n && n < 6 && !p[1 + n] ? strtoul(p + 1, NULL, 10) : 0;
		if (v < 1 || v > 65535)
			return conf_why(why, "has no valid port (1 to 65535)");
		*port = (uint16_t)v;
	}
	return 0;
}

/* conf_target_clear - frees what a target owns */
void conf_target_clear(struct conf_target *t)
{
	free(t->host);
	free(t->path);
	free(t->text);
	free(t->name);
	*t = (struct conf_target){0};
}

/* conf_target_rename - renews the name */
int conf_target_rename(struct conf_target *t)
{
	char name[CONF_TARGET_TEXT];
	switch (t->kind) {
	case CONF_TARGET_MX:
		snprintf(name, sizeof(name), "mx");
		break;
	case CONF_TARGET_RELAY:
	case CONF_TARGET_LMTP:
		snprintf(name, sizeof(name), "%s[%s]:%u",
		    t->kind == CONF_TARGET_LMTP ? "lmtp:" : "", t->host, (unsigned)t->port);
		break;
	case CONF_TARGET_LMTP_UNIX:
		snprintf(name, sizeof(name), "lmtp:unix:%s", t->path);
		break;
	case CONF_TARGET_LOCAL:
		snprintf(name, sizeof(name), "local");
		break;
	case CONF_TARGET_DISCARD:
		snprintf(name, sizeof(name), "discard");
		break;
	case CONF_TARGET_ERROR:
		snprintf(name, sizeof(name), "error:%s", t->text);
		break;
	}
	char *copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	free(t->name);
	t->name = copy;
	return 0;
}

/* parse_text - error:text, with text that can stand in a reply */
static int parse_text(const char *text, struct conf_target *t, char *why)
{
	size_t n = strlen(text);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] > '~')
			return conf_why(why, "has other than ASCII characters in its text");
	if (n == 0 || n > ERROR_MAX)
		return conf_why(why, "needs a text of 1 to %d bytes behind error:", ERROR_MAX);
	t->kind = CONF_TARGET_ERROR;
	return conf_keep(text, &t->text);
}

/* parse_unix - lmtp:unix:/path */
static int parse_unix(const char *path, struct conf_target *t, char *why)
{
	if (*path != '/' || strlen(path) > UNIX_PATH_MAX_)
		return conf_why(
		    why, "needs an absolute path of at most %d bytes behind unix:", UNIX_PATH_MAX_);
	t->kind = CONF_TARGET_LMTP_UNIX;
	return conf_keep(path, &t->path);
}

/* parse_hop - a relay or an LMTP server over TCP */
static int parse_hop(const char *text, struct conf_target *t, char *why)
{
	char host[HOST_MAX + 1];
	int r = conf_hostport_parse(text, host, &t->port, why);
	if (r)
		return r;
	if (t->kind == CONF_TARGET_LMTP && !t->port)
		t->port = PORT_LMTP;
	if (t->implicit_tls && !t->port)
		t->port = PORT_SUBMISSIONS;
	if (t->kind == CONF_TARGET_RELAY && t->port == PORT_SUBMISSIONS)
		t->implicit_tls = true;
	return conf_keep(host, &t->host);
}

/* conf_target_parse - one next hop; a relay's port stays 0 where none is given */
int conf_target_parse(const char *text, struct conf_target *out, char why[CONF_REASON_MAX])
{
	struct conf_target t = {.kind = CONF_TARGET_RELAY};
	int r = 0;
	if (strcmp(text, "mx") == 0) {
		t.kind = CONF_TARGET_MX;
	} else if (strcmp(text, "local") == 0) {
		t.kind = CONF_TARGET_LOCAL;
	} else if (strcmp(text, "discard") == 0) {
		t.kind = CONF_TARGET_DISCARD;
	} else if (strncmp(text, "error:", 6) == 0) {
		r = parse_text(text + 6, &t, why);
	} else if (strncmp(text, "lmtp:unix:", 10) == 0) {
		r = parse_unix(text + 10, &t, why);
	} else if (strncmp(text, "lmtp:", 5) == 0) {
		t.kind = CONF_TARGET_LMTP;
		r = parse_hop(text + 5, &t, why);
	} else if (strncmp(text, "tls://", 6) == 0) {
		t.implicit_tls = true;
		r = parse_hop(text + 6, &t, why);
	} else {
		r = *text ? parse_hop(text, &t, why) : -EINVAL;
	}
	if (!r)
		r = conf_target_rename(&t);
	if (r)
		conf_target_clear(&t);
	else
		*out = t;
	return r;
}

/* conf_parse_target - an entry of route.to */
int conf_parse_target(const struct conf_opt *o, const char *text, void *to, char *why)
{
	(void)o;
	return conf_target_parse(text, to, why);
}

/* conf_parse_mailbox - checked here, taken apart when the whole file is known */
int conf_parse_mailbox(const struct conf_opt *o, const char *text, void *to, char *why)
{
	if (!*text && !*o->def)
		return conf_keep(text, to);
	if (strncmp(text, "mbox:/", 6) == 0 || strncmp(text, "maildir:/", 9) == 0 ||
	    strncmp(text, "maildir:~/", 10) == 0 || strncmp(text, "mbox:~/", 7) == 0)
		return conf_keep(text, to);
	if (strncmp(text, "lmtp:", 5) != 0)
		return -EINVAL;
	struct conf_target t;
	int r = conf_target_parse(text, &t, why);
	if (r)
		return r;
	conf_target_clear(&t);
	return conf_keep(text, to);
}

/* conf_target_format - so that parsing it gives the same */
const char *conf_target_format(const struct conf_target *t, char *buf)
{
	bool tls = t->kind == CONF_TARGET_RELAY && t->implicit_tls;
	snprintf(buf, CONF_TARGET_TEXT, "%s%s", tls ? "tls://" : "", t->name);
	return buf;
}

/* conf_target_print - the same in quotes */
void conf_target_print(const struct conf_target *t, FILE *to)
{
	char buf[CONF_TARGET_TEXT];
	conf_quote(conf_target_format(t, buf), to);
}
