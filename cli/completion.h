/* SPDX-License-Identifier: ISC */
/*
 * The completion of shells, made of batonctl's own table of verbs and the words that its usage
 * says, so that the two can't differ. batonctl.c calls these in order; everything goes to stdout.
 */
#pragma once

#include <stdbool.h>

/* Whether there is one for that shell: bash, zsh. */
bool completion_begin(const char *shell);
/* What may follow a verb: the options and words in its usage; for SITE the names of sites. */
void completion_verb(const char *name, const char *words);
/* names: all verbs, a space between. */
void completion_end(const char *names);
