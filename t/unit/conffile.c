/* SPDX-License-Identifier: ISC */
#include "conffile.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/baton-conf-XXXXXX";

int conffile_setup(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

int conffile_teardown(void **state)
{
	(void)state;
	DIR *d = opendir(folder);
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	return rmdir(folder);
}

const char *conffile_write(const char *name, const char *text)
{
	static char path[256];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	return path;
}

struct conf *conffile_load(const char *text, char **out)
{
	struct conf *c = NULL;
	struct conf_messages msgs = {0};
	size_t size, n = strlen(folder) + 1;
	int r = conf_load(conffile_write("main.conf", text), &c, &msgs);
	assert_int_equal(r == 0, c != NULL);
	assert_int_equal(r == 0, msgs.errors == 0);
	FILE *f = open_memstream(out, &size);
	assert_non_null(f);
	conf_messages_print(&msgs, f);
	fclose(f);
	conf_messages_free(&msgs);
	for (char *p; (p = strstr(*out, folder));)
		memmove(p, p + n, strlen(p + n) + 1);
	return c;
}

struct conf *conffile_good(const char *text)
{
	char *out;
	struct conf *c = conffile_load(text, &out);
	if (!c)
		fail_msg("%s", out);
	free(out);
	return c;
}
