/* SPDX-License-Identifier: ISC */
/*
 * top: a frame every two seconds, on a terminal's other screen. Signals are taken only while it
 * waits, so whatever ends it, the terminal is as it was.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/tool.h"
#include "cli/top_screen.h"
#include "cli/verbs.h"
#include "lib/clock.h"
#include "lib/conf.h"

#define EVERY_MS    2000
#define COUNT_SHARE 20 /* what waits for each site is counted in a twentieth of the time */
#define FRAME_SHARE 10 /* and a frame takes a tenth of it: else they come more seldom */

enum { ROWS_DEFAULT = 24, COLUMNS_DEFAULT = 80 };

struct top {
	uint64_t every_ms;
	unsigned long frames; /* 0: until it is ended */
	bool screen;          /* stdout is a terminal */
	int errors;           /* stderr, while the screen is ours */
	struct termios was;
	bool keys; /* stdin is a terminal, was set */
	int64_t counted_ms, count_took_ms, took_ms;
	const struct board *board;
};

static volatile sig_atomic_t ended;

/* on_signal - it wakes the wait; which it was is told by whether it has to end */
static void on_signal(int number)
{
	if (number != SIGWINCH)
		ended = 1;
}

/* watch - SIGINT and its like end it, SIGWINCH draws anew; a stopped one would keep the screen */
static void watch(sigset_t *waiting)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;
	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sigaction(numbers[i], &action, NULL);
		sigaddset(&blocked, numbers[i]);
	}
	signal(SIGTSTP, SIG_IGN);
	sigprocmask(SIG_BLOCK, &blocked, waiting);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigdelset(waiting, numbers[i]);
}

/* take_screen - the other screen, no cursor, keys as they are typed */
static void take_screen(struct top *t)
{
	if (!t->screen)
		return;
	if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->was) == 0) {
		struct termios raw = t->was;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VMIN] = 0;
		raw.c_cc[VTIME] = 0;
		t->keys = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	/* what the conversations say on stderr would lie across the screen */
	t->errors = dup(STDERR_FILENO);
	if (t->errors >= 0 && !freopen("/dev/null", "w", stderr))
		t->errors = -1;
	fputs("\033[?1049h\033[?25l", stdout);
}

/* give_screen - as it was */
static void give_screen(struct top *t)
{
	if (!t->screen)
		return;
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (t->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->was);
	if (t->errors >= 0) {
		fflush(stderr);
		dup2(t->errors, STDERR_FILENO);
		close(t->errors);
	}
}

/* draw - one frame; a TOOL_ code */
static int draw(struct top *t, const struct conf *conf)
{
	static struct frame frame;
	static struct frame_past past;
	struct winsize size = {.ws_row = ROWS_DEFAULT, .ws_col = COLUMNS_DEFAULT};
	int64_t began = clock_ms();
	bool count = began - t->counted_ms >= COUNT_SHARE * t->count_took_ms;
	struct snapshot s;
	int code = snapshot_take(&s, conf, t->board, count);
	if (code)
		return code;
	t->board = s.board;
	t->took_ms = clock_ms() - began;
	if (count) {
		t->counted_ms = clock_ms();
		t->count_took_ms = t->took_ms;
	}
	if (t->screen && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
		size = (struct winsize){.ws_row = ROWS_DEFAULT, .ws_col = COLUMNS_DEFAULT};
	top_frame(&frame, &s, conf, t->screen ? size.ws_row : 0, &past);
	top_write(&frame, t->screen ? size.ws_col : 0, stdout);
	snapshot_free(&s);
	return fflush(stdout) ? TOOL_FAILED : TOOL_OK;
}

/* quits - whether a key says so; the others draw anew */
static bool quits(const struct top *t)
{
	char keys[64];
	ssize_t n = t->keys ? read(STDIN_FILENO, keys, sizeof(keys)) : 0;
	return n > 0 && (memchr(keys, 'q', (size_t)n) || memchr(keys, 'Q', (size_t)n));
}

/* rest - until the next frame, a key, a signal; false: it is over */
static bool rest(const struct top *t, const sigset_t *waiting)
{
	struct pollfd in = {.fd = t->keys ? STDIN_FILENO : -1, .events = POLLIN};
	int64_t ms = (int64_t)t->every_ms;
	if (ms < FRAME_SHARE * t->took_ms)
		ms = FRAME_SHARE * t->took_ms;
	struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	int n = ppoll(&in, 1, &wait, waiting);
	if (ended || (n < 0 && errno != EINTR))
		return false;
	if (n > 0 && (in.revents & (POLLHUP | POLLERR)))
		return false;
	return !quits(t);
}

/* run - frame by frame */
static int run(struct top *t, const struct conf *conf)
{
	sigset_t waiting;
	int code;
	watch(&waiting);
	take_screen(t);
	for (unsigned long n = 1; (code = draw(t, conf)) == TOOL_OK; n++)
		if (n == t->frames || !rest(t, &waiting))
			break;
	give_screen(t);
	return code;
}

/* parse - the words; -1 for wrong ones */
static int parse(struct top *t, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		char *end = NULL;
		if (strcmp(argv[i], "--once") == 0) {
			t->frames = 1;
		} else if (strcmp(argv[i], "-n") == 0) {
			t->frames = strtoul(value, &end, 10);
			if (!*value || *end || *value == '-' || !t->frames)
				return -1;
			i++;
		} else if (strcmp(argv[i], "-d") == 0) {
			if (conf_duration(value, &t->every_ms) || t->every_ms < 1000)
				return -1;
			i++;
		} else {
			return -1;
		}
	}
	return 0;
}

/* verb_top - live */
int verb_top(const struct conf *conf, int argc, char **argv)
{
	struct top t = {.every_ms = EVERY_MS, .errors = -1};
	if (parse(&t, argc, argv)) {
		fputs("usage: batonctl top " TOP_USAGE "\n", stderr);
		return TOOL_USAGE;
	}
	style_choose();
	/* before the screen is taken: whoever may not is told so where he sees it */
	int code;
	t.board = snapshot_board(conf, &code);
	if (!t.board)
		return code ? code : TOOL_FAILED;
	t.screen = isatty(STDOUT_FILENO) && t.frames != 1;
	code = run(&t, conf);
	if (code && t.screen) { /* why, where it can be read */
		struct snapshot s;
		code = snapshot_take(&s, conf, t.board, false);
		if (code == TOOL_OK)
			snapshot_free(&s);
	}
	board_unview(t.board);
	return code;
}
