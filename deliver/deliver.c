/* SPDX-License-Identifier: ISC */
/*
 * deliver: carries mail to where qmgr says, over connections that qmgr asked for (DESIGN §2, §4).
 * Everything begins with a message: links.c.
 */
#include "deliver/links.h"
#include "lib/child.h"
#include "lib/loop.h"

int main(int argc, char **argv)
{
	static const struct child child = {.role = ROLE_DELIVER,
	    .sandbox = SANDBOX_DELIVER,
	    .chroots = true,
	    .master = &links_master};
	child_start(&child, argc, argv);
	return loop_run();
}
