/* SPDX-License-Identifier: ISC */
/*
 * What this host calls itself, from gethostname(), /etc/hosts and /etc/mailname. Read by hand: a
 * name service that hangs must not keep the mail from starting.
 */
#include <string.h>
#include <unistd.h>

#include "lib/conf_raw.h"
#include "lib/conf_value.h"

#define HOSTS_FILE    "/etc/hosts"
#define MAILNAME_FILE "/etc/mailname"
#define SPACE         " \t\r\n"

/* full_name - in a line of /etc/hosts, the first name that is `host` with a domain */
static bool full_name(const char *line, const char *host, char out[CONF_NAME_SIZE])
{
	size_t n = strlen(host), len;
	bool address = true;
	for (const char *p = line + strspn(line, SPACE); *p && *p != '#'; p += strspn(p, SPACE)) {
		len = strcspn(p, SPACE "#");
		if (!address && len > n && len < CONF_NAME_SIZE && p[n] == '.' &&
		    strncasecmp(p, host, n) == 0 && conf_domain_valid(p, len)) {
			memcpy(out, p, len);
			out[len] = '\0';
			return true;
		}
		address = false;
		p += len;
	}
	return false;
}

/* conf_host_name - the host's name, with its domain where the host knows it */
void conf_host_name(char out[CONF_NAME_SIZE])
{
	char host[CONF_NAME_SIZE], line[1024];
	bool found = false;
	if (gethostname(host, sizeof(host)) || !memchr(host, '\0', sizeof(host)) ||
	    !conf_domain_valid(host, strlen(host)))
		snprintf(host, sizeof(host), "localhost");
	memcpy(out, host, sizeof(host));
	FILE *f = strchr(host, '.') ? NULL : fopen(HOSTS_FILE, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = full_name(line, host, out);
	if (f)
		fclose(f);
}

/* conf_mail_name - the first line of /etc/mailname */
void conf_mail_name(char out[CONF_NAME_SIZE])
{
	FILE *f = fopen(MAILNAME_FILE, "re");
	out[0] = '\0';
	if (!f)
		return;
	if (fgets(out, CONF_NAME_SIZE, f))
		out[strcspn(out, SPACE)] = '\0';
	else
		out[0] = '\0';
	if (!conf_domain_valid(out, strlen(out)))
		out[0] = '\0';
	fclose(f);
}
