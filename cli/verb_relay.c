/* SPDX-License-Identifier: ISC */
/*
 * test-relay [ROUTE]: whether its hosts would take mail. The trial is a program of its own, made of
 * the delivery agent's parts (deliver/trial.c); here it is only run.
 */
#include <stdio.h>

#include "cli/helper.h"
#include "cli/tool.h"
#include "cli/verbs.h"

#define ARGS_MAX 8

/* verb_test_relay - it takes our place */
int verb_test_relay(const struct conf *conf, int argc, char **argv)
{
	if (argc > ARGS_MAX) {
		fputs("usage: batonctl test-relay " RELAY_USAGE "\n", stderr);
		return TOOL_USAGE;
	}
	return helper_exec("trial", "test-relay", conf->file, argc, argv);
}
