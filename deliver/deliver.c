/* SPDX-License-Identifier: ISC */
/*
 * deliver: carries mail to where qmgr says, over connections that qmgr asked for (DESIGN §2, §4).
 * Everything begins with a message: links.c.
 */
#include <malloc.h>

#include "deliver/links.h"
#include "deliver/sasl.h"
#include "deliver/secure.h"
#include "lib/answers.h"
#include "lib/child.h"
#include "lib/log.h"
#include "lib/loop.h"

/*
 * Blocks of a body come and go with every message: memory given back to the kernel in between
 * would be zeroed and mapped anew for each.
 */
enum { KEEP_BYTES = 2 << 20, BLOCKS_MAX = 1 << 20 };

/* prepare - what libraries read of the system, while it can be seen */
static int prepare(const struct conf *conf)
{
	int r = answers_attach(CHILD_SHARED);
	if (r)
		log_warnc(r, "dnscache's answers can't be read");
	r = secure_prepare(conf);
	return r ? r : sasl_prepare();
}

int main(int argc, char **argv)
{
	static const struct child child = {.role = ROLE_DELIVER,
	    .sandbox = SANDBOX_DELIVER,
	    .chroots = true,
	    .master = &links_master,
	    .prepare = prepare,
	    .reconfigured = secure_reconfigured};
	mallopt(M_MMAP_THRESHOLD, BLOCKS_MAX);
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	child_start(&child, argc, argv);
	return loop_run();
}
