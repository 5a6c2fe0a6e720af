/* SPDX-License-Identifier: ISC */
/*
 * test-relay [ROUTE]: whether its hosts would take mail. The trial is a program of its own, made of
 * the delivery agent's parts (deliver/trial.c); here it is only found and run.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tool.h"
#include "cli/verbs.h"

#define ARGS_MAX 8

/* trial_path - relative to ourselves: bin/batonctl, libexec/baton/trial */
static int trial_path(char *out, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	for (int i = 0; n > 0 && i < 2; i++) {
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		n = slash ? slash - self : 0;
	}
	if (n <= 0)
		return -ENOENT;
	self[n] = '\0';
	int len = snprintf(out, size, "%s/libexec/baton/trial", self);
	return len > 0 && (size_t)len < size ? 0 : -ENAMETOOLONG;
}

/* verb_test_relay - it takes our place */
int verb_test_relay(const struct conf *conf, int argc, char **argv)
{
	char path[PATH_MAX];
	char *args[ARGS_MAX + 4] = {"test-relay", "-c", conf->file};
	if (argc > ARGS_MAX) {
		fputs("usage: batonctl test-relay " RELAY_USAGE "\n", stderr);
		return TOOL_USAGE;
	}
	for (int i = 0; i < argc; i++)
		args[3 + i] = argv[i];
	int r = trial_path(path, sizeof(path));
	if (!r) {
		execv(path, args);
		r = -errno;
	}
	fprintf(stderr, "%s: %s\n", path, strerror(-r));
	return TOOL_FAILED;
}
