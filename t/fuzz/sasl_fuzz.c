/* SPDX-License-Identifier: ISC */
/*
 * Logins, by the first byte: a line as smtpd decodes it and PLAIN in it; a session with AUTH, fed
 * whole and cut, must say the same; an exchange of SCRAM with keeper's side of it, where nobody can
 * come to be right; a line of Dovecot's. In SCRAM's messages, which are separated by line feeds, an
 * asterisk stands for the nonce of the exchange, or no input would get behind that.
 */
#include <stdio.h>
#include <unistd.h>

#include "lib/base64.h"
#include "master/dovecot_line.h"
#include "master/sasl.h"
#include "master/users.h"
#include "smtpd.h"
#include "smtpd/auth.h"
#include "smtpd/question.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must - what has to hold */
static void must(bool ok)
{
	if (!ok)
		abort();
}

/* decode - what is read is written the same; PLAIN's parts lie in it */
static void decode(const char *line, size_t n)
{
	static char bytes[AUTH_MESSAGE_MAX], again[BASE64_LEN(AUTH_MESSAGE_MAX) + 1];
	struct auth_plain p;
	int len = auth_read_line(line, n, false, bytes);
	must(auth_read_line(line, n, true, again) == (n == 1 && *line == '=' ? 0 : len));
	if (len < 0)
		return;
	must(base64_encode(again, sizeof(again), bytes, (size_t)len) == (int)n);
	must(memcmp(again, line, n) == 0);
	if (auth_read_plain(bytes, (size_t)len, &p) != 0)
		return;
	must(p.user > bytes && p.user_len && p.password_len);
	must(p.password == p.user + p.user_len + 1 && p.password + p.password_len == bytes + len);
	must(!memchr(p.user, '\0', p.user_len) && !memchr(p.password, '\0', p.password_len));
}

/* answer - keeper's: a challenge first, later one of its verdicts after the other */
static void answer(struct session *s, unsigned turn)
{
	union msg_any msg = {.keeper_login_is = {.request = s->question.id,
				 .verdict = turn % 3 ? (uint8_t)(turn % 5) : LOGIN_MORE,
				 .user = msg_str("ann"),
				 .challenge = msg_str("r=x")}};
	question_login_is(NULL, &msg, NULL);
}

/* hear - what a session with AUTH says to the input, cut into pieces of `step` bytes */
static void hear(const uint8_t *data, size_t size, size_t step, char *heard)
{
	static const char hello[] = "EHLO x\r\n";
	unsigned turn = 0;
	listener.auth = CONF_AUTH_OFFERED;
	listener.auth_plaintext = true;
	struct session *s = meet(false);
	feed(s, (const uint8_t *)hello, sizeof(hello) - 1);
	for (size_t at = 0; at < size; at += step) {
		feed(s, data + at, size - at < step ? size - at : step);
		while (s->wait == WAIT_KEEPER && s->question.open) {
			answer(s, turn++);
			feed(s, data, 0);
		}
	}
	part(s);
	heard_now(heard);
}

/* session - the same words, however it is cut; lib/line.h has the one exception */
static void session(const uint8_t *data, size_t size)
{
	static char whole[HEARD], cut[HEARD];
	if (!conf)
		begin();
	hear(data, size, size ? size : 1, whole);
	hear(data, size, 1 + (size ? data[0] % 7 : 0), cut);
	must(strcmp(whole, cut) == 0 || strstr(whole, "500 5.5."));
}

/* know_ann - a users file with her in it; once */
static void know_ann(void)
{
	char path[] = "/tmp/sasl_fuzz.XXXXXX", secret[SECRET_TEXT_SIZE];
	int fd = mkstemp(path);
	must(fd >= 0 && secret_make("pencil", secret, sizeof(secret)) == 0);
	must(dprintf(fd, "ann:%s\n", secret) > 0 && close(fd) == 0);
	must(sasl_prepare() == 0);
	users_use(path);
	unlink(path);
}

/* with_nonce - the client's message, its asterisks replaced */
static size_t with_nonce(char *to, size_t size, const char *message, size_t n, const char *nonce)
{
	size_t len = 0, more = strlen(nonce);
	for (size_t i = 0; i < n && len + more + 1 < size; i++) {
		if (message[i] != '*') {
			to[len++] = message[i];
			continue;
		}
		memcpy(to + len, nonce, more);
		len += more;
	}
	return len;
}

/* scram - an exchange; who gets anywhere is who he claimed to be, and nobody gets to the end */
static void scram(const char *text, size_t n)
{
	static bool known;
	char said[SASL_CHALLENGE_MAX], message[8192], nonce[1024] = "", user[USERS_NAME_MAX + 1];
	size_t len = 0;
	if (!known)
		know_ann();
	known = true;
	struct sasl *sasl = sasl_new();
	must(sasl != NULL);
	for (bool first = true; n > 0; first = false) {
		const char *lf = memchr(text, '\n', n);
		size_t part_len = lf ? (size_t)(lf - text) : n;
		size_t m = with_nonce(message, sizeof(message), text, part_len, nonce);
		enum sasl_verdict v = sasl_step(sasl, message, m, said, &len);
		must(v != SASL_DONE && v != SASL_FAILURE);
		if (v != SASL_MORE)
			break;
		if (first) {
			sasl_claim(message, m, user, sizeof(user));
			must(strcmp(user, sasl_user(sasl)) == 0);
		}
		const char *comma = memchr(said, ',', len);
		if (comma && len > 2 && comma - said < (long)sizeof(nonce))
			snprintf(nonce, sizeof(nonce), "%.*s", (int)(comma - said - 2), said + 2);
		text += part_len + (lf ? 1 : 0);
		n -= part_len + (lf ? 1 : 0);
	}
	sasl_free(sasl);
}

/* dovecot - a line of its protocol: what is taken from it lies in it */
static void dovecot(const char *line, size_t n)
{
	struct dovecot_line l;
	if (dovecot_line_read(line, n, &l) != 0)
		return;
	must(!l.text || (l.text >= line && l.text + l.len <= line + n));
	for (const char *p = l.user; *p; p++)
		must((unsigned char)*p >= ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	char *copy = malloc(size - 1 ? size - 1 : 1); /* of exactly that size, for the sanitizer */
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] % 4 == 0)
		decode(copy, size - 1);
	else if (data[0] % 4 == 1)
		session(data + 1, size - 1);
	else if (data[0] % 4 == 2)
		scram(copy, size - 1);
	else
		dovecot(copy, size - 1);
	free(copy);
	return 0;
}
