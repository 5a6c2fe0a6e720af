/* SPDX-License-Identifier: ISC */
/*
 * Files for dnscache, which is locked into an empty folder: the host's own names (`resolver.hosts`)
 * to read, and the file in the spool where it saves what it knows. master opens them and hands the
 * descriptors over; it reads neither.
 */
#pragma once

#include "master/place.h"

#define FILES_SAVED "dns.saved" /* in the spool */

/* Sends dnscache what it may have; a file that can't be opened is logged and left out. */
void files_send(struct place *place);

/* Whether the hosts file is another one than the one sent last. */
bool files_hosts_changed(void);
