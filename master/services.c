/* SPDX-License-Identifier: ISC */
/*
 * smtpd and deliver are drained together: what deliver has on the wire doesn't depend on clients,
 * and one slow client must not hold up what may leave. smtpd is told first. qmgr outlives both, for
 * it takes their last SUBMITs and RESULTs; keeper and dnscache outlive all that ask them.
 */
#include "master/services.h"

#include <errno.h>
#include <pwd.h>
#include <stddef.h>
#include <unistd.h>

#include "lib/priv.h"

const struct service services[SERVICES] = {
    {ROLE_KEEPER, "keeper", "baton-keeper", false, 1, RELOAD_IN_PLACE, 2},
    {ROLE_DNSCACHE, "dnscache", "baton-dns", true, 1, RELOAD_IN_PLACE, 2},
    {ROLE_QMGR, "qmgr", "baton-queue", false, 1, RELOAD_IN_PLACE, 1},
    {ROLE_SMTPD, "smtpd", "baton-smtpd", true, 2 * WORKERS_MAX, RELOAD_REPLACE, 0},
    {ROLE_DELIVER, "deliver", "baton-deliver", true, WORKERS_MAX, RELOAD_IN_PLACE, 0},
};

static struct service_user users[SERVICES];

/* service_of - the row of a role */
const struct service *service_of(enum role role)
{
	for (unsigned i = 0; i < SERVICES; i++)
		if (services[i].role == role)
			return &services[i];
	return NULL;
}

/* service_count - processes wanted */
unsigned service_count(const struct service *service, const struct conf *conf)
{
	if (service->places == 1)
		return 1;
	if (conf->workers > 0)
		return conf->workers < WORKERS_MAX ? conf->workers : WORKERS_MAX;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus < 2)
		return 2;
	return cpus < WORKERS_MAX ? (unsigned)cpus : WORKERS_MAX;
}

/* services_find_users - names to numbers, once */
int services_find_users(const char **missing)
{
	if (!priv_is_root()) {
		for (unsigned i = 0; i < SERVICES; i++)
			users[i] = (struct service_user){geteuid(), getegid()};
		return 0;
	}
	for (unsigned i = 0; i < SERVICES; i++) {
		const struct passwd *pw = getpwnam(services[i].user);
		if (!pw || pw->pw_uid == 0) {
			*missing = services[i].user;
			return -ENOENT;
		}
		users[i] = (struct service_user){pw->pw_uid, pw->pw_gid};
	}
	endpwent();
	return 0;
}

/* service_user - who the role becomes */
struct service_user service_user(const struct service *service)
{
	return users[service - services];
}
