/* SPDX-License-Identifier: ISC */
/* Eight bits into seven: what is changed, what stays octet for octet, what can't be changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/mime_walk.h"

/* walk - both walks with blocks of `step`; the result (static), NULL when it can't be done */
static const char *walk(const char *in, size_t len, size_t step)
{
	static struct mime_walk w;
	static char result[1 << 18];
	struct evbuffer *out = evbuffer_new();
	int rc = 0;
	mime_walk_begin(&w);
	for (size_t i = 0; i < len && !rc; i += step)
		rc = mime_walk_feed(&w, in + i, len - i < step ? len - i : step, NULL);
	rc = rc ? rc : mime_walk_end(&w, NULL);
	if (!rc)
		mime_walk_again(&w);
	for (size_t i = 0; i < len && !rc; i += step)
		rc = mime_walk_feed(&w, in + i, len - i < step ? len - i : step, out);
	rc = rc ? rc : mime_walk_end(&w, out);
	assert_true(rc == 0 || (rc == -EILSEQ && w.why));
	size_t n = evbuffer_get_length(out);
	assert_true(n < sizeof(result));
	evbuffer_remove(out, result, n);
	result[n] = '\0';
	evbuffer_free(out);
	return rc ? NULL : result;
}

/* becomes - the same whatever the blocks; want NULL: it can't be done */
static void becomes(const char *in, const char *want)
{
	static const size_t steps[] = {1, 2, 3, 7, 64, 1 << 20};
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const char *got = walk(in, strlen(in), steps[i]);
		if (!want) {
			assert_null(got);
			continue;
		}
		assert_non_null(got);
		assert_string_equal(got, want);
	}
}

static void test_text(void **state)
{
	(void)state;
	becomes("Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"content-transfer-ENCODING: 8bit\r\nX: y\r\n\r\n"
		"Gr\xc3\xbc\xc3\x9f" "e = \r\n.dot\r\n"
		"--\r\n",
	    "Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\nX: y\r\n\r\nGr=C3=BC=C3=9Fe =3D=20\r\n"
	    "=2Edot\r\n--\r\n");
	/* a folded field, with a comment; the label alone is wrong; stuffing is done again */
	becomes("Content-Transfer-Encoding: (as it is)\r\n\tBINARY\r\nA: b\r\n\r\n.ascii\r\n",
	    "Content-Transfer-Encoding: 7bit\r\nA: b\r\n\r\n..ascii\r\n");
	/* nothing of MIME */
	becomes("A: b\r\n\r\n\xe4\r\n",
	    "A: b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n");
	/* nothing to do: octet for octet, the header's too */
	becomes("Subject: \xe4\r\nContent-Transfer-Encoding: 7bit\r\n\r\nx\ty  \r\n.\r\n",
	    "Subject: \xe4\r\nContent-Transfer-Encoding: 7bit\r\n\r\nx\ty  \r\n..\r\n");
	/* it says that it is encoded, and isn't */
	becomes("Content-Transfer-Encoding: base64\r\n\r\n\xe4\r\n", NULL);
}

#define MULTI(type, inner)                                                              \
	"Content-Type: multipart/" type ";\r\n boundary=\"b (1)\"\r\nMIME-Version: 1.0\r\n" \
	"Content-Transfer-Encoding: 8bit\r\n\r\nfor nobody\r\n--b (1)\r\n" inner              \
	"\r\n--b (1)--\r\nepilogue\r\n"
#define MULTI_7(type, inner)                                                            \
	"Content-Type: multipart/" type ";\r\n boundary=\"b (1)\"\r\nMIME-Version: 1.0\r\n" \
	"Content-Transfer-Encoding: 7bit\r\n\r\nfor nobody\r\n--b (1)\r\n" inner              \
	"\r\n--b (1)--\r\nepilogue\r\n"

static void test_parts(void **state)
{
	(void)state;
	becomes(MULTI("mixed",
		    "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n"
		    "--b (1)  \r\n\r\nplain\t\r\n"
		    "--b (1)\r\nContent-Type: image/png\r\n"
		    "Content-Transfer-Encoding: base64\r\n\r\n"
		    "AAAA\r\n--b (1)\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n"
		    "--in\r\n\r\n\xf6\r\n--in--\r\n"),
	    MULTI_7("mixed",
		"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4"
		"\r\n--b (1)  \r\n\r\nplain\t\r\n"
		"--b (1)\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
		"AAAA\r\n--b (1)\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n"
		"--in\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=F6\r\n--in--\r\n"));
	/* a message inside has no encoding, its text has */
	becomes(MULTI("digest",
		    "\r\nSubject: in\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xfc\r\n"
		    "--b (1)\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\nc"),
	    MULTI_7("digest",
		"\r\nSubject: in\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=FC\r\n"
		"--b (1)\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\nc"));
	/* an inner multipart that isn't closed ends with the outer one's boundary */
	becomes("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
		"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\n\xe4\r\n"
		"--o\r\n\r\nz\r\n"
		"--i\r\n--o--\r\n\xe4\r\n",
	    "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
	    "Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n--o\r\n\r\nz\r\n--i\r\n"
	    "--o--\r\n?\r\n");
}

static void test_signatures(void **state)
{
	(void)state;
	becomes(MULTI("signed", "Content-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n"), NULL);
	becomes(MULTI("signed", "Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\n\xe4"
			       "\r\n--i--"),
	    NULL);
	/* what is of seven bits already stays, whatever it says; what lies beside may be changed */
	becomes(MULTI("mixed", "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
			      "Content-Transfer-Encoding: 8bit\r\n\r\nascii\r\n--s--\r\n"
			      "--b (1)\r\n\r\n\xe4"),
	    MULTI_7("mixed", "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
			    "Content-Transfer-Encoding: 8bit\r\n\r\nascii\r\n--s--\r\n"
			    "--b (1)\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4"));
	becomes("Content-Type: message/partial; id=x\r\n\r\n\xe4\r\n", NULL);
	becomes("Content-Type: multipart/mixed\r\n\r\n\xe4\r\n", NULL);
}

/* append - text behind what is in a buffer */
static void append(char *buf, size_t size, const char *text)
{
	size_t len = strlen(buf);
	assert_true(snprintf(buf + len, size - len, "%s", text) < (int)(size - len));
}

/* decode - quoted-printable, as a reader does; in place */
static void decode(char *text)
{
	char *to = text, *end;
	for (; *text; text++) {
		if (text[0] != '=') {
			*to++ = *text;
		} else if (text[1] == '\r' && text[2] == '\n') {
			text += 2;
		} else {
			char hex[3] = {text[1], text[2], 0};
			*to++ = (char)strtoul(hex, &end, 16);
			assert_ptr_equal(end, hex + 2);
			text += 2;
		}
	}
	*to = '\0';
}

/* A line of 5,000 octets that looks like boundaries where it might be broken. */
static void test_long_lines(void **state)
{
	static const char head[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n";
	static char in[8000], out[1 << 18];
	(void)state;
	for (unsigned extra = 0; extra < 90; extra++) {
		in[0] = 0;
		append(in, sizeof(in), head);
		append(in, sizeof(in), &"xx"[extra % 3]);
		for (unsigned i = 0; i < 1260 + extra; i++)
			append(in, sizeof(in), i % 7 ? "--b" : " \xe4.");
		append(in, sizeof(in), " \t \r\nend\r\n--b--\r\n");
		const char *got = walk(in, strlen(in), 100);
		assert_non_null(got);
		snprintf(out, sizeof(out), "%s", got);
		char *body = strstr(out, "\r\n\r\n--b\r\n");
		assert_non_null(body);
		body = strstr(body + 9, "\r\n\r\n") + 4;
		size_t column = 0;
		for (const char *p = body; *p; p++) {
			assert_true((unsigned char)*p < 128);
			assert_false((*p == ' ' || *p == '\t') && p[1] == '\r');
			column = *p == '\n' ? 0 : column + 1;
			assert_true(column <= 77);
			/* but the last line */
			if (!column && p[1] == '-')
				assert_string_equal(p + 1, "--b--\r\n");
		}
		decode(body);
		assert_string_equal(body, in + sizeof(head) - 1);
	}
}

static void test_limits(void **state)
{
	static char in[1 << 17];
	(void)state;
	append(in, sizeof(in), "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (unsigned i = 0; i < MIME_PARTS - 1; i++)
		append(in, sizeof(in), "--b\r\n\r\nx\r\n");
	assert_non_null(walk(in, strlen(in), 4096));
	append(in, sizeof(in), "--b\r\n\r\nx\r\n");
	assert_null(walk(in, strlen(in), 4096));
	in[0] = 0;
	for (unsigned i = 0; i <= MIME_DEPTH; i++)
		append(in, sizeof(in), "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n");
	assert_null(walk(in, strlen(in), 4096));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_signatures),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
