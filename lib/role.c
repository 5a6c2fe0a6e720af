/* SPDX-License-Identifier: ISC */
#include "lib/role.h"

#include <stddef.h>

static const char *const names[ROLE_COUNT] = {
    [ROLE_NONE] = "none",
    [ROLE_MASTER] = "master",
    [ROLE_SMTPD] = "smtpd",
    [ROLE_KEEPER] = "keeper",
    [ROLE_QMGR] = "qmgr",
    [ROLE_DELIVER] = "deliver",
    [ROLE_DNSCACHE] = "dnscache",
    [ROLE_LOCAL] = "local",
    [ROLE_TOOL] = "tool",
};

/* role_name - the name of a role for people */
const char *role_name(enum role role)
{
	return (size_t)role < ROLE_COUNT ? names[role] : names[ROLE_NONE];
}
