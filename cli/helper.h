/* SPDX-License-Identifier: ISC */
/* Verbs that are programs of their own, since they need libraries that no other verb wants. */
#pragma once

/*
 * Execs libexec/baton/NAME beside ourselves with `verb` as its name and the words; file, if not
 * NULL, goes before them as -c FILE. Returns an exit code (cli/tool.h) only when that fails, after
 * saying why.
 */
int helper_exec(const char *name, const char *verb, const char *file, int argc, char **argv);
