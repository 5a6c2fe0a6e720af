/* SPDX-License-Identifier: ISC */
/*
 * The socket `dns` in the runtime folder: a command line tool asks like any other asker. For root
 * and the instance's own user; others find the connection closed. At most TOOLS_MAX at once.
 */
#pragma once

#define TOOLS_MAX 16

/* Takes over the listening socket that master sent, in place of an earlier one. */
void tools_listen(int fd);
