/* SPDX-License-Identifier: ISC */
/* batonctl user: who may log in. It works on the file itself; keeper sees that it changed. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/tool.h"
#include "cli/userfile.h"
#include "cli/verbs.h"
#include "lib/json.h"
#include "lib/secret.h"

#define PASSWORD_SIZE (SECRET_PASSWORD_MAX + 3) /* line end and NUL, and one more to see it */

/* read_line - one line of stdin without its end; false: none, or too long */
static bool read_line(char *out)
{
	if (!fgets(out, PASSWORD_SIZE, stdin))
		return false;
	size_t n = strcspn(out, "\r\n");
	out[n] = '\0';
	return n <= SECRET_PASSWORD_MAX;
}

/* ask - at the terminal, without showing it */
static bool ask(const char *prompt, char *out)
{
	struct termios shown, hidden;
	fputs(prompt, stderr);
	if (tcgetattr(STDIN_FILENO, &shown) != 0)
		return false;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) != 0)
		return false;
	bool ok = read_line(out);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	fputc('\n', stderr);
	return ok;
}

/* get_password - twice from a terminal, once from anything else; 0 or an exit code */
static int get_password(char *out)
{
	char again[PASSWORD_SIZE];
	bool ok;
	if (!isatty(STDIN_FILENO)) {
		ok = read_line(out);
	} else {
		ok = ask("Password: ", out) && ask("Again: ", again);
		if (ok && strcmp(out, again) != 0) {
			fputs("batonctl: the two are not the same\n", stderr);
			return TOOL_FAILED;
		}
		explicit_bzero(again, sizeof(again));
	}
	if (ok && *out)
		return TOOL_OK;
	fprintf(stderr, "batonctl: a password has 1 to %d bytes\n", SECRET_PASSWORD_MAX);
	return TOOL_FAILED;
}

/* report - what became of it */
static int report(const struct conf *conf, const char *name, int e)
{
	if (e == 0)
		return TOOL_OK;
	if (e == -EEXIST)
		fprintf(stderr, "batonctl: there is a user %s already\n", name);
	else if (e == -ENOENT)
		fprintf(stderr, "batonctl: there is no user %s\n", name);
	else if (e == -EINVAL)
		fputs("batonctl: a user's name has 1 to 255 bytes, without spaces and colons\n",
		    stderr);
	else
		fprintf(stderr, "batonctl: %s: %s\n", conf->users, strerror(-e));
	return TOOL_FAILED;
}

/* set - a user's password */
static int set(const struct conf *conf, const char *name, int must_exist)
{
	char password[PASSWORD_SIZE], secret[SECRET_TEXT_SIZE];
	int code = get_password(password);
	if (code)
		return code;
	int e = secret_make(password, secret, sizeof(secret));
	explicit_bzero(password, sizeof(password));
	if (e) {
		fprintf(stderr, "batonctl: cannot make a hash: %s\n", strerror(-e));
		return TOOL_FAILED;
	}
	return report(conf, name, userfile_change(conf->users, name, secret, must_exist));
}

/* print_user - one row: the name, and what he can log in with */
static void print_user(
    const char *name, size_t len, const char *secret, size_t secret_len, void *arg)
{
	struct secret s;
	bool json = *(bool *)arg;
	int e = secret_parse(secret, secret_len, &s);
	const char *kind = e              ? "broken"
			   : !s.hash[0]   ? "scram"
			   : s.iterations ? "hash+scram"
					  : "hash";
	explicit_bzero(&s, sizeof(s));
	if (json) {
		fputs("{\"user\":", stdout);
		json_write(stdout, name, len);
		printf(",\"secret\":\"%s\"}\n", kind);
	} else {
		printf("%-40.*s %s\n", (int)len, name, kind);
	}
}

/* list - all of them */
static int list(const struct conf *conf, bool json)
{
	int e = userfile_walk(conf->users, print_user, &json);
	if (e)
		fprintf(stderr, "batonctl: %s: %s\n", conf->users, strerror(-e));
	return e ? TOOL_FAILED : TOOL_OK;
}

/* usage - of this verb */
static int usage(void)
{
	fputs("usage: batonctl user " USER_USAGE "\n", stderr);
	return TOOL_USAGE;
}

/* verb_user - add, passwd, remove, list */
int verb_user(const struct conf *conf, int argc, char **argv)
{
	if (strncmp(conf->users, CONF_DOVECOT, strlen(CONF_DOVECOT)) == 0) {
		fputs("batonctl: the users are Dovecot's (users = \"dovecot:...\")\n", stderr);
		return TOOL_FAILED;
	}
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
	if (argc >= 1 && strcmp(argv[0], "list") == 0 && (argc == 1 || json))
		return list(conf, json);
	if (argc != 2)
		return usage();
	if (strcmp(argv[0], "add") == 0)
		return set(conf, argv[1], 0);
	if (strcmp(argv[0], "passwd") == 0)
		return set(conf, argv[1], 1);
	if (strcmp(argv[0], "remove") == 0)
		return report(conf, argv[1], userfile_change(conf->users, argv[1], NULL, 1));
	return usage();
}
