/* SPDX-License-Identifier: ISC */
/* doctor: a program of its own (cli/doctor.c), for it reads certificates. */
#include "cli/helper.h"
#include "cli/paths.h"
#include "cli/verbs.h"

/* verb_doctor - conf is NULL: a file that is wrong is something to tell, not a reason to end */
int verb_doctor(const struct conf *conf, int argc, char **argv)
{
	(void)conf;
	return helper_exec("doctor", "doctor", paths_file(NULL), argc, argv);
}
