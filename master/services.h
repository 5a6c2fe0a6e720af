/* SPDX-License-Identifier: ISC */
/*
 * The roles that master runs, one row each: which program, as whom, how many, how it is reloaded
 * and in which order it is stopped. Everything else in master/ is written in terms of this table.
 */
#pragma once

#include <sys/types.h>

#include "lib/conf.h"
#include "lib/role.h"

#define WORKERS_MAX 256 /* smtpd and deliver processes each, one generation */

/* what a new configuration means to the role */
enum service_reload {
	RELOAD_IN_PLACE, /* it takes CONFIG and goes on */
	RELOAD_REPLACE   /* a new generation is started, the old one finishes its sessions */
};

struct service {
	enum role role;
	const char *program; /* in libexec/baton */
	const char *user;    /* to become when started by root */
	bool chroots;
	unsigned places; /* processes that may exist at once; 1: there is one */
	enum service_reload reload;
	unsigned drain_stage; /* stages are drained one after the other, 0 first */
};

enum { SERVICES = 5, DRAIN_STAGES = 3 };
extern const struct service services[SERVICES];

/* The row of a role; NULL for one that master doesn't run. */
const struct service *service_of(enum role role);

/* How many processes of it the configuration wants. */
unsigned service_count(const struct service *service, const struct conf *conf);

struct service_user {
	uid_t uid;
	gid_t gid;
};

/*
 * Looks up the users of all roles. The only question that master itself ever asks the name service
 * (children of the fork ask others): once, as root, before a socket is bound or a child started. As
 * an ordinary user all roles are that user and nothing is asked. Returns 0, or -ENOENT and the name
 * that is missing.
 */
int services_find_users(const char **missing);

/* Who the role becomes. */
struct service_user service_user(const struct service *service);
