/* SPDX-License-Identifier: ISC */
/* What somebody meant who mistyped a name: the closest of those that there are. */
#pragma once

#include <stddef.h>

#define NEAR_WORD_MAX 64 /* bytes of a word; longer ones are close to nothing */

/*
 * Letters that have to be put in, taken out, changed or swapped with their neighbour to make one
 * word of the other, without regard to case; NEAR_WORD_MAX for words too long.
 */
unsigned near_distance(const char *a, const char *b);

/*
 * Keeps the closer of two candidates: call it for each, with *best NULL at first. Afterwards *best
 * is the closest that is close enough to be meant, a third of its letters at most, or NULL.
 */
void near_offer(const char *word, const char *candidate, const char **best);
