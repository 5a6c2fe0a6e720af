/* SPDX-License-Identifier: ISC */
/* A client and messages that the peer can't take as they are: 8 bits, too large, SMTPUTF8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "deliver/downgrade.h"
#include "lib/envelope.h"
#include "t/unit/owner.h"

/* talk - say something, return what the client says to it */
static const char *talk(int fd, const char *text)
{
	static char buf[8192];
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn();
	turn();
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

/* open_session - to a peer of seven bits */
static int open_session(const char *more)
{
	int fd = begin_with(CONF_PIPELINING_FULL, 0);
	talk(fd, "220 there\r\n");
	talk(fd, "250-there\r\n");
	talk(fd, more);
	talk(fd, "250 PIPELINING\r\n");
	assert_int_equal(seen.ready, 1);
	return fd;
}

#define TEXT   "Content-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n..\r\n"
#define SIGNED "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xe4\r\n--b--\r\n"
#define ENVELOPE(n) "MAIL FROM:<s@example.org>\r\nRCPT TO:<r" n ".0@example.net>\r\nDATA\r\n"

static void test_converted(void **state)
{
	(void)state;
	int fd = open_session("");
	add_job(0, 1, "L: ate\r\n", TEXT, ENVF_8BIT | ENVF_BODY_8BIT);
	add_job(1, 1, "", SIGNED, ENVF_8BIT);
	add_job(2, 1, "", "A: b\r\n\r\nc\r\n", ENVF_BODY_8BIT);
	assert_string_equal(talk(fd, ""), ENVELOPE("0"));
	assert_string_equal(talk(fd, "250 ok\r\n250 ok\r\n354 go\r\n"),
	    "L: ate\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n=2E\r\n.\r\n");
	/* the second one was refused before a word of it was said */
	assert_string_equal(talk(fd, "250 ok\r\n"), ENVELOPE("2"));
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	assert_int_equal(seen.outcome[1][0], OUT_FAILED);
	assert_non_null(strstr(seen.text[1][0], "8BITMIME"));
	assert_string_equal(talk(fd, "250 ok\r\n250 ok\r\n354 go\r\n"), "A: b\r\n\r\nc\r\n.\r\n");
	talk(fd, "250 ok\r\n");
	assert_int_equal(seen.outcome[2][0], OUT_SENT);
	over(fd);
}

static void test_untouched_where_it_is_offered(void **state)
{
	(void)state;
	int fd = open_session("250-8BITMIME\r\n");
	add_job(0, 1, "", SIGNED, ENVF_8BIT);
	talk(fd, "");
	assert_string_equal(talk(fd, "250 ok\r\n250 ok\r\n354 go\r\n"), SIGNED ".\r\n");
	talk(fd, "250 ok\r\n");
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	over(fd);
}

/* A peer of chunks and seven bits: what is changed on its way goes by DATA. */
static void test_beside_chunks(void **state)
{
	(void)state;
	int fd = open_session("250-CHUNKING\r\n");
	add_job(0, 1, "", TEXT, ENVF_8BIT);
	assert_string_equal(talk(fd, ""), ENVELOPE("0"));
	assert_non_null(strstr(talk(fd, "250 ok\r\n250 ok\r\n354 go\r\n"), "=E4\r\n=2E\r\n.\r\n"));
	add_job(1, 1, "", "A: b\r\n\r\nc\r\n", 0);
	assert_null(strstr(talk(fd, "250 ok\r\n"), "DATA"));
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	over(fd);
}

/* big - a message of so many bytes with something over 127 at its end */
static char *big(size_t size)
{
	char *text = malloc(size + 8);
	assert_non_null(text);
	for (size_t i = 0; i < size; i++)
		text[i] = i % 64 < 62 ? 'x' : i % 64 == 62 ? '\r' : '\n';
	memcpy(text, "A: b\r\n\r\n", 8);
	memcpy(text + size, "\xe4\r\n", 4);
	return text;
}

/* What takes several turns to look at, and a client that ends meanwhile. */
static void test_big_ones(void **state)
{
	(void)state;
	char *text = big(40 * DOWNGRADE_TURN);
	int fd = open_session("");
	add_job(0, 1, "", text, ENVF_8BIT);
	turn();
	client_free(client);
	client = NULL;
	assert_int_equal(seen.done, 1);
	assert_int_equal(seen.outcome[0][0], OUT_NOT_TRIED);
	over(fd);
	fd = open_session("");
	add_job(0, 1, "", text, ENVF_8BIT);
	size_t got = 0;
	for (unsigned i = 0; i < 100 && !got; i++)
		got = strlen(talk(fd, ""));
	assert_int_equal(got, strlen(ENVELOPE("0")));
	talk(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	static char sink[1 << 20];
	ssize_t n = 0;
	for (unsigned i = 0; i < 1000 && (n < 8 || memcmp(sink + n - 8, "=E4\r\n.\r\n", 8)); i++) {
		turn();
		ssize_t more = recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
		n = more > 0 ? more : n;
	}
	assert_memory_equal(sink + n - 8, "=E4\r\n.\r\n", 8);
	talk(fd, "250 ok\r\n");
	assert_int_equal(seen.outcome[0][0], OUT_SENT);
	over(fd);
	free(text);
}

static void test_too_large(void **state)
{
	(void)state;
	int fd = open_session("250-SIZE 20\r\n");
	add_job(0, 1, "", TEXT, ENVF_8BIT);
	assert_string_equal(talk(fd, ""), "");
	assert_int_equal(seen.outcome[0][0], OUT_FAILED);
	assert_int_equal(seen.code[0][0], 552);
	add_job(1, 1, "", "c\r\n", ENVF_SMTPUTF8);
	assert_string_equal(talk(fd, ""), "");
	assert_int_equal(seen.code[1][0], 553);
	over(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_converted),
	    cmocka_unit_test(test_untouched_where_it_is_offered),
	    cmocka_unit_test(test_beside_chunks),
	    cmocka_unit_test(test_big_ones),
	    cmocka_unit_test(test_too_large),
	};
	return cmocka_run_group_tests(tests, make_loop, free_loop);
}
