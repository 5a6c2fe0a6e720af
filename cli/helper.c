/* SPDX-License-Identifier: ISC */
#include "cli/helper.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tool.h"

/* path_of - relative to ourselves: bin/batonctl, libexec/baton/NAME */
static int path_of(const char *name, char *out, size_t size)
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
	int len = snprintf(out, size, "%s/libexec/baton/%s", self, name);
	return len > 0 && (size_t)len < size ? 0 : -ENAMETOOLONG;
}

/* helper_exec - it takes our place */
int helper_exec(const char *name, const char *verb, const char *file, int argc, char **argv)
{
	char path[PATH_MAX] = "";
	char **args = calloc((size_t)argc + 4, sizeof(char *));
	size_t n = 0;
	int r = args ? path_of(name, path, sizeof(path)) : -ENOMEM;
	if (!r) {
		args[n++] = (char *)verb;
		if (file) {
			args[n++] = "-c";
			args[n++] = (char *)file;
		}
		memcpy(args + n, argv, (size_t)argc * sizeof(char *));
		execv(path, args);
		r = -errno;
	}
	fprintf(stderr, "%s: %s\n", path[0] ? path : name, strerror(-r));
	free(args);
	return TOOL_FAILED;
}
