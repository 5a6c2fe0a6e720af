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

#include <stdint.h>

#include "lib/hash.h"
#include "lib/msg.h"
#include "qmgr/keys.h"

#define CLASS_URGENT "urgent"
#define CLASS_NORMAL "normal"
#define CLASS_BULK   "bulk"

#define CLASSES_MAX 250 /* known at a time; a further one is taken for normal */

struct class {
	uint8_t rank; /* first byte of its lanes: urgent comes first, bulk last */
	UT_hash_handle hh;
	char name[KEYS_CLASS_MAX + 1];
};

/* The one of that name, made if needed; never NULL. */
const struct class *class_named(struct msg_bytes name);
const struct class *class_normal(void);

/*
 * The lane of a class's mail from that sender. It depends on nothing but the two names, so a
 * restart finds the same one.
 */
uint32_t class_lane(const struct class *class, const char *sender);
