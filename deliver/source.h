/* SPDX-License-Identifier: ISC */
/*
 * `source` blocks, for dial.c: the addresses of ours that a connection leaves from, and the name it
 * says in EHLO.
 */
#pragma once

#include "deliver/race.h"

/*
 * Reads the source of that title ("": none) into out and hello. Of several addresses of a family
 * one is drawn by lot, so that connections spread over them; a family without any isn't used.
 * Returns 0; -ENOENT: there is none of that title, -ENAMETOOLONG.
 */
int source_take(const struct conf *conf, struct msg_bytes title,
    unsigned (*random)(unsigned below), struct race_source *out, char hello[256]);
