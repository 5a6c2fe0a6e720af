/* SPDX-License-Identifier: ISC */
/*
 * Classes: what kind of mail a recipient's copy is, and which share it has where kinds compete. A
 * class is found when a message is read from its record, by the `class` blocks of the configuration
 * (etc/baton.conf.5); its name goes into the recipient's row. Three are always there: urgent,
 * normal, bulk. A class whose block has gone from the configuration is treated as normal.
 *
 * A lane is a class and a sender, hashed: the unit of fairness, in the index's schedule as in
 * memory. Classes are made once and never freed, so recipients just point to theirs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/classes.h"
#include "lib/conf.h"
#include "lib/hash.h"
#include "lib/msg.h"
#include "qmgr/keys.h"

struct class
{
	uint8_t rank;       /* first byte of its lanes: urgent comes first, bulk last */
	bool configured;    /* a block of the configuration puts mail into it */
	uint32_t weight;    /* its share where classes compete */
	uint64_t lifetime;  /* ms until its mail expires */
	const char *source; /* that it leaves from; "": as its route or sender says */
	UT_hash_handle hh;
	char name[KEYS_CLASS_MAX + 1];
};

/* The one of that name, made if needed; never NULL. */
const struct class *class_named(struct msg_bytes name);
const struct class *class_normal(void);
const struct class *class_urgent(void);

/* The rank in a lane. */
static inline uint8_t class_rank(uint32_t lane)
{
	return (uint8_t)(lane >> 24);
}

/* What the configuration in force says; of a class that isn't in it what holds for normal. */
void class_configure(const struct conf *conf);
uint32_t class_weight(const struct class *class);
uint64_t class_lifetime(const struct class *class);
bool class_configured(const struct class *class);
/* The shortest lifetime of any class with that rank, and of all. */
uint64_t class_rank_lifetime(uint8_t rank);
uint64_t class_shortest_lifetime(void);

/*
 * The lane of a class's mail from that sender. It depends on nothing but the two names, so a
 * restart finds the same one.
 */
uint32_t class_lane(const struct class *class, const char *sender);
