/* SPDX-License-Identifier: ISC */
/*
 * Which class of the configuration mail belongs to. Everything that a block names has to match (of
 * a list one entry); of several matching blocks the one that names more kinds of things counts,
 * then the larger weight, then the title. Mail that says Precedence: bulk, list or junk is bulk
 * where no block matches; List-Id alone says nothing, people write to each other through lists.
 *
 * qmgr acts on it (qmgr/classify.h), smtpd names it in the log.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/envelope.h"

#define CLASS_URGENT "urgent"
#define CLASS_NORMAL "normal"
#define CLASS_BULK   "bulk"

#define CLASS_WEIGHT 10
#define CLASSES_MAX  250 /* known at a time; a further one is taken for normal */

/* The weight of urgent, normal and bulk where their block, if there is one, says none; else 0. */
uint32_t classes_built_in_weight(const char *name);

/* What is known of a message; points into the configuration. */
struct classes {
	const struct conf_class *fits[CLASSES_MAX];
	size_t n;
	bool bulk; /* says so itself */
};

/* Looks at a message, whose encoded envelope is data: what doesn't depend on recipients. */
void classes_match(struct classes *now, const struct conf *conf, const struct envelope *env,
    const void *data, size_t len);

/* The class of one of its recipients, by name. */
const char *classes_pick(const struct classes *now, const char *address);
