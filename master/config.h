/* SPDX-License-Identifier: ISC */
/*
 * The configuration in force, and its way to the children: each role's part, encoded into a sealed
 * memfd. Only master reads the file. What a configuration leaves to the host, the resolvers above
 * all, is filled in here, so that a role finds everything in its CONFIG.
 */
#pragma once

#include "lib/conf.h"

struct place;

/* The one in force; NULL before config_use(). */
const struct conf *config_now(void);

/* Rises with each configuration that children are told. */
uint32_t config_generation(void);

/* Puts one in force (taken over; the former is freed) and raises the generation. */
void config_use(struct conf *conf);

/*
 * Reads the resolvers of /etc/resolv.conf (or the file `path`) into conf where it names none;
 * 127.0.0.1 where there are none either, as resolv.conf(5) says. Returns whether they changed.
 */
bool config_add_resolvers(struct conf *conf, const char *path);

/*
 * The same for the one in force; raises the generation when they changed, which the children that
 * care must be told.
 */
bool config_refresh_resolvers(const char *path);

/* Sends the place's process its part. Returns 0 or -E.... */
int config_send(struct place *place);
