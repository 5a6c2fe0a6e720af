/* SPDX-License-Identifier: ISC */
/*
 * Runs the SMTP dialogues of t/dialogue/, one file one test. A line of a script is
 *
 *   # text            a comment; "# client 192.0.2.1" says where the client is and "# auth offered"
 *                     what the listener wants (required; tls: offered under TLS only), both before
 *                     the first line
 *   C: text           the client sends text and CRLF; \n \r \t \0 \\ \xNN are bytes
 *   c: text           the same without CRLF
 *   S: text           the server's next line begins so
 *   closed            the server has ended the session
 *
 * Whatever the server says must be expected. The world of the dialogue: t/unit/smtpd_world.h.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/session.h"
#include "smtpd_world.h"

#define FOLDER      "t/dialogue"
#define SCRIPTS_MAX 200

struct script {
	const char *name;
	unsigned line;
	struct talk talk;
	bool talking;
	char heard[65536]; /* said by the server and not expected yet */
};

/* unescape - in place; returns the length */
static size_t unescape(char *text)
{
	static const char from[] = "nrt0\\", to[] = "\n\r\t\0\\";
	char *out = text;
	for (const char *in = text; *in; in++) {
		const char *c = *in == '\\' && in[1] ? strchr(from, in[1]) : NULL;
		unsigned byte;
		if (c) {
			*out++ = to[c - from];
			in++;
		} else if (*in == '\\' && sscanf(in, "\\x%2x", &byte) == 1) {
			*out++ = (char)byte;
			in += 3;
		} else {
			*out++ = *in;
		}
	}
	return (size_t)(out - text);
}

/* hear - take over what the server has said */
static void hear(struct script *s)
{
	size_t n = strlen(s->heard);
	snprintf(s->heard + n, sizeof(s->heard) - n, "%s", talk_said(&s->talk));
}

/* expect - the next line begins so */
static void expect(struct script *s, const char *want)
{
	char *end = strstr(s->heard, "\r\n");
	if (strncmp(s->heard, want, strlen(want)) != 0 || !end)
		fail_msg("%s:%u: the server says \"%.100s\"", s->name, s->line, s->heard);
	memmove(s->heard, end + 2, strlen(end + 2) + 1);
}

/* begin - with the first line that isn't a comment */
static void begin(struct script *s, const char *client)
{
	struct peer peer = peer_of(client);
	talk_begin(&s->talk, &peer);
	session_greet(s->talk.s);
	hear(s);
	s->talking = true;
}

/* step - one line of the script */
static void step(struct script *s, char *line, char *client)
{
	line[strcspn(line, "\n")] = '\0';
	char auth[16];
	if (sscanf(line, "# auth %15s", auth) == 1) {
		world.listener.auth =
		    strcmp(auth, "required") ? CONF_AUTH_OFFERED : CONF_AUTH_REQUIRED;
		world.listener.auth_plaintext = strcmp(auth, "tls") != 0;
		world.conf->limits.per_user_hour = 2;
		world.conf->limits.errors = 100;
	}
	if (sscanf(line, "# client %63s", client) == 1 || line[0] == '#' || line[0] == '\0')
		return;
	if (!s->talking)
		begin(s, client);
	if (strncmp(line, "S: ", 3) == 0) {
		expect(s, line + 3);
		return;
	}
	if (strcmp(line, "closed") == 0) {
		if (s->talk.s->state != SMTP_CLOSING)
			fail_msg("%s:%u: the session goes on", s->name, s->line);
		return;
	}
	bool whole = strncmp(line, "C: ", 3) == 0 || strcmp(line, "C:") == 0;
	if (!whole && strncmp(line, "c: ", 3) != 0)
		fail_msg("%s:%u: not a line of a dialogue", s->name, s->line);
	size_t n = line[2] ? unescape(line + 3) : 0;
	talk_feed(&s->talk, line + 3, n);
	if (whole)
		talk_feed(&s->talk, "\r\n", 2);
	hear(s);
}

/* run - one script */
static void run(void **state)
{
	static struct script s;
	char path[512], line[4096], client[64] = "127.0.0.1";

	s = (struct script){.name = *state};
	snprintf(path, sizeof(path), "%s/%s", FOLDER, s.name);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	world_setup(NULL);
	while (fgets(line, sizeof(line), f)) {
		s.line++;
		step(&s, line, client);
	}
	fclose(f);
	if (s.heard[0])
		fail_msg("%s: at its end the server says \"%.100s\"", s.name, s.heard);
	if (s.talking)
		talk_end(&s.talk);
	world_teardown(NULL);
}

/* is_script - NAME.dlg */
static int is_script(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');
	return dot && strcmp(dot, ".dlg") == 0;
}

int main(void)
{
	static struct CMUnitTest tests[SCRIPTS_MAX];
	struct dirent **entries;
	int n = scandir(FOLDER, &entries, is_script, alphasort);

	if (n <= 0 || n > SCRIPTS_MAX) {
		fprintf(stderr, "no dialogues in %s\n", FOLDER);
		return 1;
	}
	for (int i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){.name = entries[i]->d_name,
		    .test_func = run,
		    .initial_state = entries[i]->d_name};
	world_begin();
	int failed = _cmocka_run_group_tests("dialogues", tests, (size_t)n, NULL, NULL);
	world_end();
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	return failed;
}
