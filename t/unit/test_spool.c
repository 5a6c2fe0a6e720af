/* SPDX-License-Identifier: ISC */
/* master/spool and config: folders, the lock that a tree holds together, the host's resolvers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/config.h"
#include "master/services.h"
#include "master/spool.h"

static char dir[] = "/tmp/baton-spool-XXXXXX";
static struct conf *conf;

/* mode_of - permission bits of spool/name */
static int mode_of(const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	snprintf(path, sizeof(path), "%s/%s", conf->spool, name);
	return stat(path, &st) == 0 ? (int)(st.st_mode & 07777) : -1;
}

static void test_folders(void **state)
{
	(void)state;
	char path[PATH_MAX];
	for (int i = 0; i < 2; i++) { /* again, on what is there */
		assert_int_equal(spool_prepare(conf, path), 0);
		assert_int_equal(mode_of(""), 0711);
		assert_int_equal(mode_of("segments"), 0700);
		assert_int_equal(mode_of("index"), 0700);
		assert_int_equal(mode_of("drop"), 01733);
		assert_int_equal(mode_of("../run/empty"), 0555);
		snprintf(path, sizeof(path), "%s/drop", conf->spool);
		chmod(path, 0777);
	}
	/* a link where a folder should be isn't followed */
	snprintf(path, sizeof(path), "%s/drop", conf->spool);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/tmp", path), 0);
	int e = spool_prepare(conf, path);
	assert_true(e == -ELOOP || e == -ENOTDIR);
	snprintf(path, sizeof(path), "%s/drop", conf->spool);
	unlink(path);
	assert_int_equal(spool_prepare(conf, path), 0);
}

/* hold - in a child: take the lock, fork one that inherits it, say so, sleep */
static pid_t hold(int ready, pid_t *grandchild)
{
	int back[2];
	assert_int_equal(pipe(back), 0);
	pid_t pid = fork();
	if (pid == 0) {
		pid_t holder;
		if (spool_lock(conf, 0, &holder) < 0)
			_exit(1);
		pid_t inner = fork();
		if (inner == 0) {
			pause();
			_exit(0);
		}
		if (write(back[1], &inner, sizeof(inner)) < 0 || write(ready, "x", 1) < 0)
			_exit(2);
		pause();
		_exit(0);
	}
	assert_int_equal(read(back[0], grandchild, sizeof(*grandchild)), sizeof(*grandchild));
	close(back[0]);
	close(back[1]);
	return pid;
}

static void test_lock(void **state)
{
	(void)state;
	int ready[2], status;
	char c;
	pid_t inner, holder = 0;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = hold(ready[1], &inner);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(spool_lock(conf, 3000, &holder), -EBUSY);
	assert_int_equal(holder, pid);
	assert_int_equal(spool_lock_holder(conf), pid);
	/* the master is dead, its child is not: waited for, then still refused with the pid */
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(spool_lock(conf, 100, &holder), -EBUSY);
	assert_int_equal(holder, pid);
	kill(inner, SIGKILL);
	int fd = spool_lock(conf, 3000, &holder);
	assert_true(fd >= 0);
	assert_int_equal(spool_lock_holder(conf), getpid());
	close(fd);
	close(ready[0]);
	close(ready[1]);
}

/* resolvers - what conf has after reading that file, "a b c" */
static const char *resolvers(struct conf *c, const char *text)
{
	static char out[512];
	char path[PATH_MAX], one[INET6_ADDRSTRLEN];
	snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	FILE *f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
	config_add_resolvers(c, path);
	unlink(path);
	out[0] = '\0';
	for (size_t i = 0; i < c->resolver.servers.n; i++) {
		const struct conf_addr *a = &c->resolver.servers.v[i];
		inet_ntop(a->family, a->bytes, one, sizeof(one));
		size_t n = strlen(out);
		snprintf(out + n, sizeof(out) - n, "%s%s", i ? " " : "", one);
		assert_int_equal(a->port, 53);
	}
	return out;
}

static void test_resolvers(void **state)
{
	(void)state;
	struct conf *c = conf_default();
	assert_string_equal(resolvers(c, ""), "127.0.0.1");
	assert_string_equal(resolvers(c, "search x\nnameserver 192.0.2.1\n#nameserver 192.0.2.9\n"
					 "nameserver\t2001:db8::1 \nnameservers 192.0.2.8\n"),
	    "192.0.2.1 2001:db8::1");
	assert_string_equal(
	    resolvers(c, "nameserver fe80::1%eth0\nnameserver bogus\n"), "127.0.0.1");
	assert_true(config_add_resolvers(c, "/nonexistent") == false); /* the same again */
	c->resolver.given = 1;                                         /* the file names its own */
	assert_string_equal(resolvers(c, "nameserver 192.0.2.7\n"), "127.0.0.1");
	conf_free(c);
}

static int make(void **state)
{
	(void)state;
	const char *missing;
	if (!mkdtemp(dir))
		return -1;
	conf = conf_default();
	free(conf->spool);
	free(conf->runtime);
	conf->spool = malloc(PATH_MAX);
	conf->runtime = malloc(PATH_MAX);
	snprintf(conf->spool, PATH_MAX, "%s/spool", dir);
	snprintf(conf->runtime, PATH_MAX, "%s/run", dir);
	services_find_users(&missing); /* as root without the users: all folders are root's */
	return 0;
}

static int clean(void **state)
{
	(void)state;
	static const char *const names[] = {
	    "spool/segments", "spool/index", "spool/drop", "run/empty"};
	char path[PATH_MAX];
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		rmdir(path);
	}
	snprintf(path, sizeof(path), "%s/spool/lock", dir);
	unlink(path);
	rmdir(conf->spool);
	rmdir(conf->runtime);
	conf_free(conf);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_folders),
	    cmocka_unit_test(test_lock),
	    cmocka_unit_test(test_resolvers),
	};
	return cmocka_run_group_tests_name("spool", tests, make, clean);
}
