/* SPDX-License-Identifier: ISC */
/*
 * The roles of Baton's processes (DESIGN: one program each) and the bit masks built of them.
 * A role is who a process is towards the others: the permission table of lib/msg.def, the
 * sections of the configuration and the sandbox profiles are all written in terms of it.
 */
#pragma once

enum role {
	ROLE_NONE = 0,
	ROLE_MASTER = 1,
	ROLE_SMTPD = 2,
	ROLE_KEEPER = 3,
	ROLE_QMGR = 4,
	ROLE_DELIVER = 5,
	ROLE_DNSCACHE = 6,
	ROLE_LOCAL = 7, /* one local delivery, as the recipient's user */
	ROLE_TOOL = 8,  /* a command line tool on a role's socket in `runtime` */
	ROLE_COUNT
};

#define ROLE_BIT(role) (1u << (role))
#define ROLE_ALL (ROLE_BIT(ROLE_COUNT) - 1u)

/* The role's name as it stands in logs and process titles ("smtpd"); "none" outside the range. */
const char *role_name(enum role role);
