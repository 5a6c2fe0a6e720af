/* SPDX-License-Identifier: ISC */
/*
 * rmail: mail that comes by UUCP. Its sender stands in lines before the header, one for each system
 * on the way,
 *
 *   From user date... remote from one
 *   >From user date... remote from two
 *
 * and is user at the last system that is named, the one next to him.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/handover.h"
#include "cli/paths.h"
#include "lib/mailbox_list.h"
#include "lib/str.h"

#define LINE_SIZE 2048

/* What the From_ lines said. */
struct origin {
	char user[LETTER_ADDRESS_MAX], system[256];
};

static const struct conf *conf;

/* take_user - "one!two!user": the last system and the user */
static void take_user(struct origin *from, const char *path, size_t len)
{
	const char *bang = memrchr(path, '!', len);
	const char *user = bang ? bang + 1 : path;
	const char *end = path + len;

	if (bang) {
		const char *before = memrchr(path, '!', (size_t)(bang - path));
		const char *system = before ? before + 1 : path;

		str_copy_n(from->system, sizeof(from->system), system, (size_t)(bang - system));
	}
	str_copy_n(from->user, sizeof(from->user), user, (size_t)(end - user));
}

/* take_from - one From_ line */
static void take_from(struct origin *from, const char *line)
{
	const char *user = line + strspn(line, ">") + 5, *remote = NULL, *at = line;

	while ((at = strstr(at, " remote from ")) != NULL)
		remote = at++;
	user += strspn(user, " ");
	if (remote) {
		const char *system = remote + sizeof(" remote from ") - 1;

		str_copy_n(from->system, sizeof(from->system), system, strcspn(system, " \t\r\n"));
	}
	take_user(from, user, strcspn(user, " \t\r\n"));
}

/* read_from - all of them; what comes next is left on standard input */
static int read_from(struct origin *from)
{
	static const char *const words[] = {"From ", ">From "};
	char line[LINE_SIZE];
	bool first = true;

	for (;;) {
		int c = getc(stdin);

		if (c != EOF)
			ungetc(c, stdin);
		if ((c != 'F' || !first) && c != '>')
			return first ? -EINVAL : 0;
		/* only the first line may be a field called From, and that one has a colon */
		if (!fgets(line, sizeof(line), stdin))
			return -EINVAL;
		if (strncmp(line, words[c == '>'], strlen(words[c == '>'])) != 0)
			return -EINVAL;
		take_from(from, line);
		first = false;
	}
}

/* on_rcpt - one of an argument */
static void on_rcpt(const struct mailbox *mailbox, void *arg)
{
	letter_add(arg, mailbox->address, mailbox->len, conf->origin);
}

/* take_rcpts - the arguments; uux puts some in parentheses */
static int take_rcpts(struct letter *l, char **argv)
{
	for (; *argv; argv++) {
		size_t len = strlen(*argv);
		bool wrapped = len > 2 && (*argv)[0] == '(' && (*argv)[len - 1] == ')';

		if (mailbox_list_walk(*argv + wrapped, len - 2 * (size_t)wrapped, on_rcpt, l))
			return handover_fail(EX_DATAERR, "no address", *argv);
	}
	return l->nrcpts ? EX_OK : handover_fail(EX_USAGE, "usage: rmail RECIPIENT...", "");
}

/* set_sender - user@system, where the user isn't an address yet */
static int set_sender(struct letter *l, const struct origin *from)
{
	const char *domain = *from->system ? from->system : conf->origin;

	if (*from->user && strcmp(from->user, "<>") != 0)
		return letter_from(l, from->user, strlen(from->user), domain);
	return letter_from(l, "", 0, "");
}

int main(int argc, char **argv)
{
	struct letter l = {0};
	struct message m = {.dot_is_text = true, .full_name = ""};
	struct origin from = {0};
	int opt, code, r;

	/* the options of others' rmail change nothing */
	while ((opt = getopt(argc, argv, "+D:T")) != -1)
		if (opt == '?')
			return handover_fail(EX_USAGE, "usage: rmail RECIPIENT...", "");
	signal(SIGPIPE, SIG_IGN);
	conf = paths_load(NULL, "rmail", true);
	code = take_rcpts(&l, argv + optind);
	if (code)
		return code;
	r = read_from(&from);
	if (r == 0)
		r = set_sender(&l, &from);
	if (r)
		return handover_fail(EX_DATAERR, "no line \"From SENDER ...\" at the top", "");
	if (header_read(&m.header, stdin, false, &m.ended))
		return handover_fail(EX_DATAERR, "the header cannot be read", "");
	m.sender = l.sender;
	str_copy(l.mail_params, sizeof(l.mail_params), " BODY=8BITMIME");
	return handover(conf, &l, &m, false);
}
