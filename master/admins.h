/* SPDX-License-Identifier: ISC */
/*
 * The numbers behind the names of `admins` (lib/rights.h is who uses them). A child of the fork
 * asks the name service, since that may be slow or dead, and loads code that has no place in
 * master; it gets ADMINS_WAIT_MS. A name that isn't known, or not in time, counts for nobody until
 * the next reload; the log says so.
 */
#pragma once

#include "lib/conf.h"

#define ADMINS_WAIT_MS 2000

/*
 * Fills conf->admin_uids and admin_gids: the user who runs this process first, then what the names
 * stand for. Waits ADMINS_WAIT_MS at most. At start and at each reload, before roles get their
 * CONFIG.
 */
void admins_find(struct conf *conf);
