/* SPDX-License-Identifier: ISC */
/* For the tests of lib/conf*: configurations as text, in a folder of their own. */
#pragma once

#include "lib/conf.h"

/* cmocka group set-up and teardown: a fresh folder, and its removal with all in it. */
int conffile_setup(void **state);
int conffile_teardown(void **state);

/* Writes a file into the folder; returns its path (static, valid until the next call). */
const char *conffile_write(const char *name, const char *text);

/* Loads text as main.conf; *out is all messages, malloc'ed, with the folder's name cut off. */
struct conf *conffile_load(const char *text, char **out);

/* The same for text that has to be right; fails the test with the messages otherwise. */
struct conf *conffile_good(const char *text);
