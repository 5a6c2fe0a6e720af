/* SPDX-License-Identifier: ISC */
/*
 * The drop folder, `spool`/drop (mode 1733): where sendmail(1) leaves mail that nobody can take
 * now. What sendmail, which writes the files, pickup, which submits them, and master, which starts
 * pickup and reads nothing of them, agree on.
 *
 *   name    hidden (a dot before it) until the file is whole and synced; then seconds since 1970,
 *           nanoseconds and process id, hexadecimal, with dots between
 *   mode    0600, its sender's; regular, one link
 *   form    "baton-drop 1 " SIZE LF         of the whole file, DROP_SIZE_DIGITS decimal digits;
 *                                           all 0 until it is whole
 *           "S " sender LF                  without <>; empty: the null sender
 *           "M " parameters of MAIL LF      each with a space before it
 *           "P " parameters of RCPT LF      likewise
 *           "R " recipient LF               each; "D " for one that is done, "X " for a refused one
 *           LF
 *           the message, dot-stuffed, CRLF, without the end mark
 *
 * The owner may forge all of it: what he gains is what he could have told sendmail.
 *
 * master opens a file, forks, becomes its owner and execs libexec/baton/pickup:
 *   argv         pickup RUNTIME HOSTNAME
 *   descriptors  0 the file (read and write), 1 /dev/null, 2 a pipe for one line of reason; no more
 *   exit code    EX_OK: safe in the queue, or returned to its sender: master removes the file;
 *                EX_TEMPFAIL: again later; any other: never, master moves it to `spool`/refused
 */
#pragma once

#define DROP_FOLDER  "drop"
#define DROP_REFUSED "refused" /* 0700: what can't be taken, for the administrator */
#define DROP_PROGRAM "pickup"

#define DROP_MAGIC       "baton-drop 1 "
#define DROP_SIZE_DIGITS 20
#define DROP_NAME_MAX    64
#define DROP_REASON_MAX  1000 /* bytes of the reason that master logs */

enum { DROP_FILE_FD = 0, DROP_REASON_FD = 2 };
enum drop_arg { DROP_ARG_NAME, DROP_ARG_RUNTIME, DROP_ARG_HOSTNAME, DROP_ARGS };
