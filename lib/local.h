/* SPDX-License-Identifier: ISC */
/*
 * The seam of one local delivery (DESIGN §3). deliver sends deliver_local, qmgr passes it on as
 * qmgr_local, master forks: the child becomes the recipient's user and execs libexec/baton/local.
 * This header is what master's child and the program agree on. Nobody else includes it but those
 * two, deliver, which reads the result, and keeper and qmgr, which name entries.
 *
 *   argv         local KIND MAILBOX USER SENDER RECIPIENT ORIGINAL    (enum local_arg)
 *     KIND       a name of enum local_kind
 *     MAILBOX    "mbox", "maildir": the path as in the configuration, %u and a leading ~/ not yet
 *                expanded; the program expands them, as the user, with USER and HOME.
 *                "virtual": "maildir:" or "mbox:" and the path of the block of the user's domain,
 *                with %n, %d and %u; the process is the block's user, whatever qmgr says
 *                "alias": NAME:DIGEST, "forward": DIGEST of the entry that is meant. "read": ""
 *     USER       login name, as the user database writes it; "virtual": name@domain
 *     SENDER     envelope sender without <>; empty: the null sender
 *     RECIPIENT  the recipient's address as it stood in the envelope, or the alias' member
 *     ORIGINAL   the address that the sender gave, where it is another one: type;xtext, else ""
 *   environment  HOME, USER, LOGNAME, SHELL, PATH and TZ, nothing else
 *   directory    "/"; umask 077
 *   descriptors  0 the content, 1 and 2 /dev/null, LOCAL_RESULT_FD the result socket, for "alias"
 *                LOCAL_ALIASES_FD the aliases file; no more
 *   content      LOCAL_LENGTH_BYTES of length (big-endian), then exactly that many bytes of the
 *                message: unstuffed, lines end in CRLF; then the end. If anything else comes,
 *                nothing is delivered: deliver died or saw a damaged record
 *
 * The text of a command or the name of a file never crosses a channel: an entry is named by the
 * digest of its text (lib/address_list.h), and the program that carries it out finds it in the
 * file, as alias_user or as the user who wrote it.
 *
 * Result: one line on LOCAL_RESULT_FD, written once, at most LOCAL_RESULT_MAX bytes,
 *
 *     code SP enhanced-status SP text LF          "250 2.0.0 delivered to mailbox"
 *
 * 2xx after mailbox and folder are synced; 4xx may be tried again; 5xx never. The exit code says
 * the same in the words of sysexits.h, for master's log: EX_OK for 2xx, EX_TEMPFAIL for 4xx, else
 * EX_NOUSER, EX_CANTCREAT, EX_NOPERM, EX_DATAERR (wrong length), EX_USAGE (wrong argv). Where
 * master can't start the program, its child writes the line itself. The socket's end without a line
 * counts as 4xx: it died or took longer than LOCAL_TIME_MAX_S, after which master kills it.
 *
 * LOCAL_EXPANDED_LINE is the answer of "read": the user's .forward names others. Members follow,
 * one a line (qmgr/member.h), at most LOCAL_MEMBERS_MAX bytes, and a line with a dot.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* U8(kind) of deliver_local and qmgr_local, but for LOCAL_READ, which is master's child's own */
enum local_kind {
	LOCAL_MBOX = 0,
	LOCAL_MAILDIR = 1,
	LOCAL_ALIAS = 2,   /* a command or file of the aliases file, as alias_user */
	LOCAL_FORWARD = 3, /* the same of the user's .forward */
	LOCAL_READ = 4,    /* look into the user's .forward */
	LOCAL_VIRTUAL = 5, /* a mailbox of a hosted domain */
	LOCAL_KINDS
};
#define LOCAL_KIND_NAMES                                                 \
	{                                                                \
		"mbox", "maildir", "alias", "forward", "read", "virtual" \
	}

/* argv of the program */
enum local_arg {
	LOCAL_ARG_NAME,
	LOCAL_ARG_KIND,
	LOCAL_ARG_MAILBOX,
	LOCAL_ARG_USER,
	LOCAL_ARG_SENDER,
	LOCAL_ARG_RECIPIENT,
	LOCAL_ARG_ORIGINAL,
	LOCAL_ARGS
};

enum { LOCAL_CONTENT_FD = 0, LOCAL_RESULT_FD = 3, LOCAL_ALIASES_FD = 4 };

#define LOCAL_LENGTH_BYTES  8
#define LOCAL_RESULT_MAX    1024
#define LOCAL_TIME_MAX_S    300
#define LOCAL_COMMAND_MAX_S 240 /* a command's own time; before master ends it all */
#define LOCAL_EXPANDED      251
#define LOCAL_EXPANDED_LINE "251 2.0.0 "
#define LOCAL_MEMBERS_MAX   (32u << 10)
#define LOCAL_DIGEST_LEN    16 /* hexadecimal digits */

/* Below the user's home: whom his mail goes to instead. */
#define LOCAL_FORWARD_FILE ".forward"

/*
 * The file that comes before it for mail to user+tag, .forward+tag; false for an address without a
 * tag, or with one that is no name of a file.
 */
#define LOCAL_FORWARD_NAME 200
bool local_forward_name(const char *recipient, char out[LOCAL_FORWARD_NAME]);

/* The one system folder whose mbox files are the group's (LOCAL_MAIL_GROUP), not the user's. */
#define LOCAL_MAIL_DIR   "/var/mail/"
#define LOCAL_MAIL_GROUP "mail"
/* Who gets root's mail where no alias says otherwise, and where: never a process of uid 0. */
#define LOCAL_ROOT_MAILBOX "/var/mail/root"
#define LOCAL_ROOT_AS      "mail"
