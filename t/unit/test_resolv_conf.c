/* SPDX-License-Identifier: ISC */
/* master/config: the resolvers of resolv.conf, where the configuration names none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/conf.h"
#include "master/config.h"

static char path[] = "/tmp/baton-resolv-XXXXXX";

/* write_file - resolv.conf as it is from now on */
static void write_file(const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* assert_servers - the list as text */
static void assert_servers(const struct conf *c, const char *want)
{
	char text[600] = "", one[CONF_ADDR_TEXT];
	size_t len = 0;

	for (size_t i = 0; i < c->resolver.servers.n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i > 0 ? " " : "",
		    conf_addr_format(&c->resolver.servers.v[i], one));
	assert_string_equal(text, want);
}

static void test_read(void **state)
{
	static const struct {
		const char *text, *servers;
	} rows[] = {
	    {"nameserver 192.0.2.1\n", "192.0.2.1:53"},
	    {"# x\nsearch a.test\nnameserver\t192.0.2.1 # ours\nnameserver 2001:db8::1\r\noptions "
	     "ndots:1\n",
		"192.0.2.1:53 [2001:db8::1]:53"},
	    {"nameserver fe80::1%eth0\nnameserver 192.0.2.2\n", "192.0.2.2:53"},
	    {"nameserverx 192.0.2.1\nnameserver x\n", "127.0.0.1:53"},
	    {"", "127.0.0.1:53"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conf *c = conf_default();

		write_file(rows[i].text);
		config_add_resolvers(c, path);
		assert_servers(c, rows[i].servers);
		conf_free(c);
	}
}

/* A change is one of the servers, whatever else was written there. */
static void test_changes(void **state)
{
	struct conf *c = conf_default();
	uint32_t generation;

	(void)state;
	write_file("nameserver 192.0.2.1\n");
	config_add_resolvers(c, path);
	config_use(c);
	generation = config_generation();
	write_file("# by somebody\nnameserver 192.0.2.1\nsearch b.test\n");
	assert_false(config_refresh_resolvers(path));
	assert_int_equal(config_generation(), generation);
	write_file("nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
	assert_true(config_refresh_resolvers(path));
	assert_servers(config_now(), "192.0.2.1:53 192.0.2.2:53");
	assert_int_equal(config_generation(), generation + 1);
	c->resolver.given |= 1; /* `servers` stands in the configuration */
	write_file("nameserver 192.0.2.9\n");
	assert_false(config_refresh_resolvers(path));
	assert_servers(config_now(), "192.0.2.1:53 192.0.2.2:53");
	config_use(conf_default()); /* frees the other */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read),
	    cmocka_unit_test(test_changes),
	};
	int fd = mkstemp(path), failed;

	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
