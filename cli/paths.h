/* SPDX-License-Identifier: ISC */
/*
 * Where a tool finds its instance: the configuration file by -C or -c, else BATON_CONF, else the
 * built-in path. sendmail, mailq and newaliases need little of it, so that a broken file stops
 * nobody's mail: what can't be read is said once on stderr and the built-in values serve.
 */
#pragma once

#include "lib/conf.h"

#include <stdbool.h>

/* The file's name by the rule above; file may be NULL. */
const char *paths_file(const char *file);

/*
 * Loads the configuration. With `lenient` a file that is wrong or can't be read is reported in one
 * line and the built-in values returned; otherwise everything wrong is printed and NULL returned.
 * who is the tool's name for messages. The result is never freed: a tool ends soon.
 */
const struct conf *paths_load(const char *file, const char *who, bool lenient);
