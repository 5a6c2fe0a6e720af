/* SPDX-License-Identifier: ISC */
/*
 * How every role but master starts. master forks and execs the role's program with
 *
 *   argv: [name, instance]     e.g. { "smtpd", "1" }
 *   descriptors: 0 and 1 /dev/null, 2 the log, CHILD_MASTER the channel to master,
 *                CHILD_LOCK the spool lock (held open, never used), CHILD_COUNTERS the board
 *                (closed once its parts are mapped), CHILD_SHARED what is shared beyond that:
 *                smtpd lib/tally.h, dnscache, qmgr and deliver lib/answers.h, CHILD_BOARD the board
 *                for who only reads it, CHILD_EVENTS the place's ring of events (lib/events.h);
 *                or /dev/null
 *   environment: TZ; BATON_LOG what descriptor 2 is (log_target_name()); BATON_PAGE the number
 *                of its page on the board (lib/board.h); where master runs as
 *                root BATON_UID and BATON_GID (numbers: master looked the user up at its own
 *                start) and BATON_CHROOT (the empty folder to be locked into)
 *
 * and sends CONFIG as the first message, alone in its packet (chan_flush() after it); LISTEN and
 * LINK may follow at once, they wait in the socket until the role runs its loop. child_start()
 * does, in this order: check descriptors, open the log, take CONFIG, run `prepare` (what the role
 * must open before the chroot: DESIGN §1), chroot, drop root and verify that it is gone, close the
 * sandbox, say READY, return. The caller then runs the loop. Nothing else of a role runs as root.
 */
#pragma once

#include "lib/chan.h"
#include "lib/conf.h"
#include "lib/sandbox.h"

enum {
	CHILD_LOG = 2,
	CHILD_MASTER = 3,
	CHILD_LOCK = 4,
	CHILD_COUNTERS = 5,
	CHILD_SHARED = 6,
	CHILD_BOARD = 7,
	CHILD_EVENTS = 8,
	CHILD_FD_FIRST_FREE = 9
};

enum { CHILD_LAST_MS = 800 }; /* from master's death to the end of a role that has last words */

enum { EXIT_DONE = 0, EXIT_USAGE = 100, EXIT_TEMPORARY = 111 };

struct child {
	enum role role;
	enum sandbox_profile sandbox;
	bool chroots; /* locked into the empty folder when started by root */
	/* Messages from master beyond CONFIG, which child_start() handles itself. */
	const struct chan_handlers *master;
	/* `prepare` has made use of the keys in conf.files: they are forgotten afterwards. */
	bool forgets_files;
	/* Maps more of the board than the page that is ours, while its descriptor is there. */
	void (*board)(int fd);
	/* Before the chroot and as root: 0 or -E..., which ends the process (EXIT_TEMPORARY). */
	int (*prepare)(const struct conf *conf);
	/*
	 * Master is gone: a role whose neighbours' last words are worth something takes
	 * them in and then calls loop_stop(); after CHILD_LAST_MS it is ended. Without
	 * this function a role leaves at once.
	 */
	void (*orphaned)(void);
	/* A new configuration in a running process (SIGHUP); the old one is freed afterwards. */
	void (*reconfigured)(const struct conf *conf, const struct conf *old);
};

/* What a started role knows of itself. */
struct child_self {
	enum role role;
	unsigned instance;
	struct chan *master;
	const struct conf *conf; /* the one in force */
};

/*
 * Starts the role; on failure logs the reason and exits. The struct must be static. When master
 * goes away the process ends within a second (channel closed, and PR_SET_PDEATHSIG for one that
 * doesn't come to read it).
 */
const struct child_self *child_start(const struct child *child, int argc, char **argv);

/* What child_start() returned, for modules that need the configuration in force. */
const struct child_self *child_self(void);

/* For a program that is no role and uses modules of one: the configuration that they shall see. */
void child_play(const struct conf *conf);
