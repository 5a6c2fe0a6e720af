/* SPDX-License-Identifier: ISC */
/*
 * |command of an alias or a .forward, run by /bin/sh as whoever the process `local` is already
 * (lib/local.h). The command gets the message whole or isn't run: it is put into a file without a
 * name first, which is its standard input. Lines end in LF; a From_ line, Return-Path and
 * Delivered-To stand in front.
 *
 *   directory    HOME, / where that can't be entered
 *   environment  HOME, USER, LOGNAME, SHELL, PATH, TZ of the process, and
 *                SENDER             envelope sender, "" for the null sender
 *                RECIPIENT          the recipient's address
 *                ORIGINAL_RECIPIENT the one the sender gave
 *                LOCAL, DOMAIN      the two sides of RECIPIENT's @
 *                EXTENSION          of LOCAL, what follows the first +; not set without
 *                What isn't a letter, a digit or one of !@%-_=+:,./ is replaced by _
 *   output       both standard output and error: the last COMMAND_SAID_MAX bytes are kept
 *
 * Exit codes are those of sysexits.h: 0 delivered, 75 try again, 126 and 127 (no such command) too,
 * for a slip of the administrator mustn't bounce mail; all others fail, with the status that fits.
 * A command that is killed by a signal, or runs longer than its time, is tried again.
 */
#pragma once

#include "deliver/mailbox.h"

#define COMMAND_SAID_MAX 300 /* bytes of output in the result */

/* Runs it. The result is filled in whatever happens. */
void command_run(
    const struct mailbox_request *req, const char *command, struct mailbox_result *res);
