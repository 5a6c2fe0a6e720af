/* SPDX-License-Identifier: ISC */
/*
 * The files whose content goes along with a configuration. They are read once, by the process that
 * has the rights, and judged there: what master sends to its children is known to be of use, and a
 * file that is spoiled later does no harm before the next reload, which then refuses it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/conf_raw.h"
#include "lib/credentials.h"
#include "lib/tls_check.h"

#define FILE_BYTES_MAX (8 << 20) /* bytes of one file */

/* slurp - a whole regular file with a NUL behind it; 0 or -E... */
static int slurp(const char *path, struct conf_file *f)
{
	struct stat st;
	int r = -EINVAL, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		goto out;
	r = -EFBIG;
	if (st.st_size > FILE_BYTES_MAX)
		goto out;
	r = -ENOMEM;
	f->data = malloc((size_t)st.st_size + 1);
	if (!f->data)
		goto out;
	r = 0;
	while (!r && f->len < (size_t)st.st_size) {
		ssize_t n = read(fd, f->data + f->len, (size_t)st.st_size - f->len);
		f->len += n > 0 ? (size_t)n : 0;
		r = n < 0 ? -errno : n == 0 ? -EIO : 0;
	}
	f->data[f->len] = '\0';
out:
	close(fd);
	return r;
}

/* add - one more file, for who sees the option; complains if it can't be read. 0 or -ENOMEM */
static int add(struct conf *c, struct conf_raw *raw, enum conf_kind_no kind,
    const struct conf_section *s, const char *name, size_t at, const char *path)
{
	unsigned roles = conf_opt_find(kind, name)->roles;
	struct conf_file *have = (struct conf_file *)conf_file(c, path);
	if (have) {
		have->roles |= roles;
		return 0;
	}
	struct conf_file *v = reallocarray(c->files.v, c->files.n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	c->files.v = v;
	v = &v[c->files.n++];
	*v = (struct conf_file){.roles = roles, .path = strdup(path)};
	if (!v->path) {
		c->files.n--;
		return -ENOMEM;
	}
	int r = slurp(path, v);
	if (r == -ENOMEM)
		return r;
	if (r)
		conf_complain(raw, false, kind, s, name, at, "can't read %s: %s", path,
		    r == -EINVAL ? "it is no regular file" : strerror(-r));
	return 0;
}

/* judge_pair - do certificate and key belong together, and is it time for them */
static void judge_pair(const struct conf *c, struct conf_raw *raw, enum conf_kind_no kind,
    const struct conf_section *s, size_t at, const char *certificate, const char *key)
{
	const struct conf_file *cert = conf_file(c, certificate), *k = conf_file(c, key);
	char why[256];
	if (!cert || !cert->data || !k || !k->data)
		return;
	switch (tls_check_pair(
	    cert->data, cert->len, k->data, k->len, clock_wall_ms() / 1000, why, sizeof(why))) {
	case TLS_PAIR_GOOD:
		break;
	case TLS_PAIR_STALE: /* no reason to take no mail */
		conf_complain(raw, true, kind, s, "certificate", at, "%s: %s", certificate, why);
		break;
	case TLS_PAIR_BAD_CERTIFICATE:
		conf_complain(raw, false, kind, s, "certificate", at, "%s: %s", certificate, why);
		break;
	case TLS_PAIR_BAD_KEY:
		conf_complain(raw, false, kind, s, "key", at, "%s: %s", key, why);
		break;
	}
}

/* read_pair - one certificate with its key */
static int read_pair(struct conf *c, struct conf_raw *raw, enum conf_kind_no kind,
    const struct conf_section *s, size_t at, const char *certificate, const char *key)
{
	int r = add(c, raw, kind, s, "certificate", at, certificate);
	if (!r)
		r = add(c, raw, kind, s, "key", at, key);
	if (!r)
		judge_pair(c, raw, kind, s, at, certificate, key);
	return r;
}

/* verifies - does any route or site want certificates verified */
static bool verifies(const struct conf *c)
{
	for (size_t i = 0; i < c->nroute; i++)
		if (c->route[i].tls == CONF_TLS_VERIFY)
			return true;
	for (size_t i = 0; i < c->nsite; i++)
		if (c->site[i].tls == CONF_TLS_VERIFY)
			return true;
	return false;
}

/* read_ca - only where it is needed: a bundle is large, and not everybody has it */
static int read_ca(struct conf *c, struct conf_raw *raw)
{
	const struct conf_section *s = (const struct conf_section *)&c->deliver;
	if (!verifies(c))
		return 0;
	int r = add(c, raw, CONF_KIND_DELIVER, s, "ca", 0, c->deliver.ca);
	const struct conf_file *f = conf_file(c, c->deliver.ca);
	if (!r && f && f->data && tls_check_ca(f->data, f->len) == 0)
		conf_complain(raw, false, CONF_KIND_DELIVER, s, "ca", 0,
		    "%s: there is no certificate in it", c->deliver.ca);
	return r;
}

/* logs_in - does any route want a login */
static bool logs_in(const struct conf *c)
{
	for (size_t i = 0; i < c->nroute; i++)
		if (c->route[i].auth[0])
			return true;
	return false;
}

/* open_to_others - whoever else may read it has the passwords; said in words */
static bool open_to_others(const struct stat *st, const char *path, char *why, size_t size)
{
	why[0] = '\0';
	if (st->st_mode & 077)
		snprintf(why, size, "%s is open to others (mode %04o): chmod 600 %s", path,
		    (unsigned)st->st_mode & 07777, path);
	else if (st->st_uid != 0 && st->st_uid != geteuid())
		snprintf(why, size, "%s belongs to user %u: it has to be root's", path,
		    (unsigned)st->st_uid);
	return why[0];
}

/* judge_credentials - lines that make no sense, and logins that routes name and nobody wrote down
 */
static void judge_credentials(const struct conf *c, struct conf_raw *raw)
{
	const struct conf_file *f = conf_file(c, c->credentials);
	const char *text = f && f->data ? (const char *)f->data : "";
	size_t len = f && f->data ? f->len : 0;
	struct credential login;
	unsigned line = 0;
	int r;
	while ((r = credentials_next(&text, &len, &line, &login)))
		if (r < 0)
			conf_error(raw->msgs, c->credentials, line,
			    "not \"name user secret\", %d bytes each at most", CREDENTIAL_MAX);
	for (size_t i = 0; i < c->nroute; i++) {
		const struct conf_route *t = &c->route[i];
		if (t->auth[0] && credentials_find(f && f->data ? (const char *)f->data : "",
				      f && f->data ? f->len : 0, t->auth, &login) != 0)
			conf_complain(raw, true, CONF_KIND_ROUTE, (const struct conf_section *)t,
			    "auth", 0, "there is no login \"%s\" in %s: its mail waits", t->auth,
			    c->credentials);
	}
}

/* read_credentials - only where a route logs in; one that isn't there only keeps its mail waiting
 */
static int read_credentials(struct conf *c, struct conf_raw *raw)
{
	const struct conf_section *s = (const struct conf_section *)c;
	struct stat st;
	char why[512];
	int r = 0;
	if (!logs_in(c))
		return 0;
	if (stat(c->credentials, &st) == 0) {
		if (open_to_others(&st, c->credentials, why, sizeof(why)))
			conf_complain(raw, false, CONF_KIND_ROOT, s, "credentials", 0, "%s", why);
		r = add(c, raw, CONF_KIND_ROOT, s, "credentials", 0, c->credentials);
	} else if (errno != ENOENT) {
		conf_complain(raw, false, CONF_KIND_ROOT, s, "credentials", 0, "can't read %s: %s",
		    c->credentials, strerror(errno));
	}
	if (!r)
		judge_credentials(c, raw);
	return r;
}

/* read_files - all of them */
static int read_files(struct conf *c, struct conf_raw *raw)
{
	const struct conf_tls_files *t = &c->tls;
	int r = 0;
	if (getrandom(c->secret, sizeof(c->secret), 0) != sizeof(c->secret))
		return -EIO;
	for (size_t i = 0; !r && t->certificate.n == t->key.n && i < t->key.n; i++)
		r = read_pair(c, raw, CONF_KIND_TLS, (const struct conf_section *)t, i,
		    t->certificate.v[i], t->key.v[i]);
	if (!r && c->deliver.certificate[0] && c->deliver.key[0])
		r = read_pair(c, raw, CONF_KIND_DELIVER, (const struct conf_section *)&c->deliver,
		    0, c->deliver.certificate, c->deliver.key);
	if (!r)
		r = read_credentials(c, raw);
	return r ? r : read_ca(c, raw);
}

/* conf_load_all - with the files */
int conf_load_all(const char *path, struct conf **out, struct conf_messages *msgs)
{
	return conf_load_with(path, out, msgs, read_files);
}
