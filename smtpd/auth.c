/* SPDX-License-Identifier: ISC */
#include "smtpd/auth.h"

#include <errno.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/str.h"

static const char *const names[AUTH_MECHANISMS] = {
    [AUTH_PLAIN] = "PLAIN",
    [AUTH_LOGIN] = "LOGIN",
    [AUTH_SCRAM_SHA_256] = "SCRAM-SHA-256",
};

/* auth_listens - by the listener */
bool auth_listens(const struct peer *peer)
{
	return peer->listen && peer->listen->auth != CONF_AUTH_NONE;
}

/* auth_offered - not to be overheard, unless told otherwise */
bool auth_offered(const struct peer *peer)
{
	return auth_listens(peer) && (peer->tls || peer->listen->auth_plaintext);
}

/* auth_find - in the configuration's list, and in ours */
enum auth_mechanism auth_find(const struct conf *conf, const char *name, size_t len)
{
	bool listed = false;
	for (size_t i = 0; i < conf->auth_mechanisms.n && !listed; i++)
		listed = str_is_ci(name, len, conf->auth_mechanisms.v[i]);
	for (unsigned m = 0; listed && m < AUTH_MECHANISMS; m++)
		if (str_is_ci(name, len, names[m]))
			return (enum auth_mechanism)m;
	return AUTH_MECHANISMS;
}

/* auth_name - as it is written */
const char *auth_name(enum auth_mechanism mechanism)
{
	return names[mechanism];
}

/* auth_offer - in the configuration's order */
bool auth_offer(const struct conf *conf, char *out, size_t size)
{
	static const char keyword[] = "AUTH";
	size_t n = sizeof(keyword) - 1;
	memcpy(out, keyword, sizeof(keyword));
	for (size_t i = 0; i < conf->auth_mechanisms.n; i++) {
		const char *v = conf->auth_mechanisms.v[i];
		enum auth_mechanism m = auth_find(conf, v, strlen(v));
		if (m == AUTH_MECHANISMS || n + strlen(names[m]) + 2 > size)
			continue;
		out[n++] = ' ';
		memcpy(out + n, names[m], strlen(names[m]) + 1);
		n += strlen(names[m]);
	}
	return n >= sizeof(keyword);
}

/* auth_read_plain - [authzid] NUL authcid NUL password */
int auth_read_plain(const char *message, size_t n, struct auth_plain *p)
{
	const char *end = message + n, *as = message, *nul = memchr(message, '\0', n);
	if (!nul)
		return -EINVAL;
	size_t as_len = (size_t)(nul - as);
	p->user = nul + 1;
	nul = memchr(p->user, '\0', (size_t)(end - p->user));
	if (!nul)
		return -EINVAL;
	p->user_len = (size_t)(nul - p->user);
	p->password = nul + 1;
	p->password_len = (size_t)(end - p->password);
	if (!p->user_len || !p->password_len || memchr(p->password, '\0', p->password_len))
		return -EINVAL;
	bool same = as_len == p->user_len && memcmp(as, p->user, as_len) == 0;
	return as_len == 0 || same ? 0 : -EINVAL;
}

/* auth_read_line - what it stands for */
int auth_read_line(const char *line, size_t len, bool initial, char *out)
{
	if (initial && len == 1 && *line == '=')
		return 0;
	return base64_decode(out, AUTH_MESSAGE_MAX, line, len);
}
