/* SPDX-License-Identifier: ISC */
/* lib/notify: path and abstract sockets, nobody listening, names that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/notify.h"

/* listen_on - a datagram socket of that name ('@': abstract) */
static int listen_on(const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	memcpy(at.sun_path, name, n);
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
	    0);
	return fd;
}

static void test_sent(void **state)
{
	(void)state;
	char dir[] = "/tmp/baton-notify-XXXXXX", path[64], abstract[64];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	snprintf(abstract, sizeof(abstract), "@baton-notify-%d", (int)getpid());
	const char *names[] = {path, abstract};
	for (int i = 0; i < 2; i++) {
		int fd = listen_on(names[i]);
		assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
		assert_int_equal(notify_send("READY=1"), 1);
		char buf[32];
		assert_int_equal(recv(fd, buf, sizeof(buf), 0), 7);
		assert_memory_equal(buf, "READY=1", 7);
		close(fd);
	}
	unlink(path);
	assert_int_equal(notify_send("x"), -ECONNREFUSED); /* the abstract one is gone */
	rmdir(dir);
}

static void test_nobody(void **state)
{
	(void)state;
	char longname[200];
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_send("READY=1"), -EINVAL);
	memset(longname, '/', sizeof(longname) - 1);
	longname[sizeof(longname) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longname, 1);
	assert_int_equal(notify_send("READY=1"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sent),
	    cmocka_unit_test(test_nobody),
	};
	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
