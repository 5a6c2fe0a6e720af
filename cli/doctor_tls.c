/* SPDX-License-Identifier: ISC */
/* Our certificates as those who connect see them. */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/doctor.h"
#include "lib/tls_look.h"

#define CA_MAX    (8 << 20)
#define DAYS_LEFT 14 /* from which on one warns: renewal should have come by then */

/* read_ca - the bundle of CA certificates; len 0: none */
static unsigned char *read_ca(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	unsigned char *data = f ? malloc(CA_MAX) : NULL;
	*len = data ? fread(data, 1, CA_MAX, f) : 0;
	if (f)
		fclose(f);
	return data;
}

/* say_time - expiry; false: it is over */
static bool say_time(struct doctor *d, const char *path, const struct tls_look *look)
{
	const char *fix = "renew it (certbot renew), then `batonctl reload`";
	if (look->days < 0)
		finding(
		    d, LEVEL_FAIL, fix, "%s has expired %" PRId64 " days ago", path, -look->days);
	else if (look->days < DAYS_LEFT)
		finding(d, LEVEL_WARNING, fix, "%s expires in %" PRId64 " days", path, look->days);
	return look->days >= 0;
}

/* judge - one certificate; the first is the one for our own name */
static void judge(struct doctor *d, const struct conf_file *file, bool first,
    const unsigned char *ca, size_t ca_len)
{
	const char *host = d->conf->hostname;
	struct tls_look look;
	char fix[400];
	if (tls_look_at(file->data, file->len, ca, ca_len, host, time(NULL), &look))
		return; /* said by the check of the configuration */
	if (!say_time(d, file->path, &look))
		return;
	snprintf(fix, sizeof(fix), "get one for %s, or set hostname to a name it is for", host);
	if (first && !look.named)
		finding(d, LEVEL_WARNING, fix, "%s is for %s, not for %s", file->path,
		    look.names[0] ? look.names : "another name", host);
	else if (look.self_signed)
		finding(d, LEVEL_WARNING, "get one from a CA (certbot) if people log in here",
		    "%s is self-signed: other hosts take it, mail programs complain", file->path);
	else if (!look.trusted)
		finding(d, LEVEL_WARNING,
		    "put the CA's intermediate certificates behind it in the same file "
		    "(fullchain.pem)",
		    "%s: its chain can't be verified: %s", file->path, look.why);
	else
		finding(d, LEVEL_OK, "", "%s is for %s, valid for %" PRId64 " days", file->path,
		    host, look.days);
}

/* faces_others - does any listener take mail from elsewhere */
static bool faces_others(const struct conf *conf)
{
	for (size_t i = 0; i < conf->nlisten; i++)
		for (size_t k = 0; k < conf->listen[i].address.n; k++) {
			const struct conf_addr *a = &conf->listen[i].address.v[k];
			if (a->family == AF_INET ? a->bytes[0] != 127
						 : memcmp(a->bytes, &in6addr_loopback, 16) != 0)
				return true;
		}
	return false;
}

/* check_certificate - all of tls.certificate */
void check_certificate(struct doctor *d)
{
	const struct conf *c = d->conf;
	size_t ca_len;
	if (!c->tls.certificate.n && faces_others(c))
		finding(d, LEVEL_WARNING, "tls { certificate = ... key = ... }; certbot gets one",
		    "there is no certificate: clients can't encrypt what they send");
	else if (!c->tls.certificate.n)
		finding(d, LEVEL_OK, "", "none is needed: only this host can connect");
	if (!c->tls.certificate.n)
		return;
	unsigned char *ca = read_ca(c->deliver.ca, &ca_len);
	for (size_t i = 0; i < c->tls.certificate.n; i++) {
		const struct conf_file *file = conf_file(c, c->tls.certificate.v[i]);
		if (file && file->data)
			judge(d, file, i == 0, ca, ca_len);
	}
	free(ca);
	if (!d->said)
		finding(d, LEVEL_WARNING, "run the doctor as root", "not checked: can't be read");
}
