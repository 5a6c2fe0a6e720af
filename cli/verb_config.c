/* SPDX-License-Identifier: ISC */
/* config: every option with its value and where that comes from. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/paths.h"
#include "cli/tool.h"
#include "cli/verbs.h"

/* verb_config - the file is read once more, for the places that a conf doesn't keep */
int verb_config(const struct conf *conf, int argc, char **argv)
{
	struct conf_show how = {.names = argv};
	struct conf_messages msgs = {0};
	const char *unknown;
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			how.json = true;
		} else if (strcmp(argv[i], "--changed") == 0) {
			how.changed = true;
		} else if (argv[i][0] == '-') {
			fputs("usage: batonctl config " CONFIG_USAGE "\n", stderr);
			return TOOL_USAGE;
		} else {
			argv[how.nnames++] = argv[i];
		}
	}
	int r = conf_show(conf->file, &how, stdout, &unknown, &msgs);
	if (r == -ESRCH) {
		const char *near = conf_near_name(unknown);
		fprintf(stderr, "there is no option or section %s%s%s%s; baton.conf(5) has all\n",
		    unknown, near[0] ? "; did you mean " : "", near, near[0] ? "?" : "");
	} else if (r) {
		conf_messages_print(&msgs, stderr);
	}
	conf_messages_free(&msgs);
	return r == -ESRCH ? TOOL_USAGE : r ? TOOL_FAILED : TOOL_OK;
}
