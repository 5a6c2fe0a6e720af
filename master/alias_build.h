/* SPDX-License-Identifier: ISC */
/*
 * Making the map of an aliases file (keeper), on a thread of its own: one at a time. For
 * master/aliases.c.
 */
#pragma once

#include <limits.h>

#include "master/maps.h"

/* Names in the folder: the map, and the one that is being made. */
#define ALIAS_BUILD_MAP "aliases.map"
#define ALIAS_BUILD_NEW "aliases.new"

/* Where it ended, for the words. */
enum alias_build_at {
	ALIAS_BUILD_DONE,
	ALIAS_BUILD_FILE, /* the file can't be opened or read */
	ALIAS_BUILD_TEXT, /* it is no text, or too large: not again before it changes */
	ALIAS_BUILD_STORE /* the map can't be written */
};

struct alias_build {
	char path[PATH_MAX], folder[PATH_MAX];
	/* filled in by the thread */
	enum alias_build_at at;
	int error; /* 0 or -E... */
	struct map_source source;
	uint64_t names, mistakes;
};

/* Called on the loop; ALIAS_BUILD_DONE: the new map has taken its place in the folder. */
typedef void alias_build_done(const struct alias_build *build);

/* Starts one; the struct is the caller's and stays until `done`. 0 or -E.... */
int alias_build_start(struct alias_build *build, alias_build_done *done);
