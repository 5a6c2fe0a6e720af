/* SPDX-License-Identifier: ISC */
/* A table by name. */
#include "qmgr/class.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/str.h"

#define LANE_SENDER_BITS 24
#define LANE_TEXT_MAX    320 /* a path has at most 256 octets */
#define RANK_NORMAL      128
#define RANK_BULK        255

static struct class *table;
static const struct conf *conf; /* in force; NULL: none yet */

/* rank_of - where its lanes come; others than the built-in ones lie around normal */
static uint8_t rank_of(const char *name)
{
	if (!strcmp(name, CLASS_URGENT))
		return 0;
	if (!strcmp(name, CLASS_NORMAL))
		return RANK_NORMAL;
	if (!strcmp(name, CLASS_BULK))
		return RANK_BULK;
	return (uint8_t)(1 + hash_stable(name, strlen(name)) % (RANK_BULK - 1));
}

/* block_of - the class's block, or NULL */
static const struct conf_class *block_of(const char *name)
{
	for (size_t i = 0; conf && i < conf->nclass; i++) {
		if (strcmp(conf->class[i].title, name) == 0)
			return &conf->class[i];
	}
	return NULL;
}

/* has_matcher - whether a block says which mail it is for */
static bool has_matcher(const struct conf_class *block)
{
	return block->sender.n || block->header.n || block->recipient.n || block->client.n ||
	       block->listener.n || block->user.n;
}

/* apply - the configuration to a class; what it doesn't know is treated as normal */
static void apply(struct class *class)
{
	const struct conf_class *block = block_of(class->name);
	const char *name =
	    block || classes_built_in_weight(class->name) ? class->name : CLASS_NORMAL;
	if (!block && name != class->name)
		block = block_of(CLASS_NORMAL);
	class->configured = name == class->name && block && has_matcher(block);
	class->weight = block && block->weight ? block->weight : classes_built_in_weight(name);
	if (!class->weight)
		class->weight = CLASS_WEIGHT;
	class->lifetime = block ? block->lifetime : 0;
	class->source = block ? block->source : "";
	if (!class->lifetime)
		class->lifetime = conf ? conf->retry.lifetime : UINT64_MAX / 2;
}

/* class_configure - every class that was met */
void class_configure(const struct conf *now)
{
	struct class *class;
	conf = now;
	for (class = table; class; class = class->hh.next)
		apply(class);
}

/* class_weight - its share */
uint32_t class_weight(const struct class *class)
{
	return class->weight;
}

/* class_lifetime - ms */
uint64_t class_lifetime(const struct class *class)
{
	return class->lifetime;
}

/* class_configured - by a block */
bool class_configured(const struct class *class)
{
	return class->configured;
}

/* class_rank_lifetime - of those that share a rank; a row's class may not have been met yet */
uint64_t class_rank_lifetime(uint8_t rank)
{
	uint64_t shortest = conf->retry.lifetime;
	for (size_t i = 0; i < conf->nclass; i++) {
		const struct conf_class *block = &conf->class[i];
		bool may_be = rank_of(block->title) == rank || !strcmp(block->title, CLASS_NORMAL);
		if (may_be && block->lifetime && block->lifetime < shortest)
			shortest = block->lifetime;
	}
	return shortest;
}

/* class_shortest_lifetime - of all */
uint64_t class_shortest_lifetime(void)
{
	uint64_t shortest = conf->retry.lifetime;
	for (size_t i = 0; i < conf->nclass; i++) {
		if (conf->class[i].lifetime && conf->class[i].lifetime < shortest)
			shortest = conf->class[i].lifetime;
	}
	return shortest;
}

/* class_named - found or made */
const struct class *class_named(struct msg_bytes name)
{
	struct class *class;
	if (!name.len || name.len > KEYS_CLASS_MAX)
		name = msg_str(CLASS_NORMAL);
	HASH_FIND(hh, table, name.data, name.len, class);
	if (class)
		return class;
	if (HASH_COUNT(table) >= CLASSES_MAX)
		return class_normal();
	class = calloc(1, sizeof(*class));
	if (!class)
		log_fatal("out of memory for a class");
	memcpy(class->name, name.data, name.len);
	class->rank = rank_of(class->name);
	apply(class);
	HASH_ADD(hh, table, name, name.len, class);
	if (!hash_added(class))
		log_fatal("out of memory for a class");
	return class;
}

/* class_normal - of whatever belongs to no other */
const struct class *class_normal(void)
{
	static const struct class *normal;
	if (!normal)
		normal = class_named(msg_str(CLASS_NORMAL));
	return normal;
}

/* class_urgent - what has connections of its own */
const struct class *class_urgent(void)
{
	static const struct class *urgent;
	if (!urgent)
		urgent = class_named(msg_str(CLASS_URGENT));
	return urgent;
}

/*
 * named_part - what a sender's many addresses have in common: mailing lists make one for each
 * recipient (news-return-7-user=example.org@lists), which are one sender all the same
 */
static size_t named_part(const char *sender, size_t local_len)
{
	if (!memchr(sender, '=', local_len))
		return local_len;
	size_t n = strcspn(sender, "+-=0123456789");
	return n < local_len ? n : local_len;
}

/* class_lane - rank, then hash */
uint32_t class_lane(const struct class *class, const char *sender)
{
	char text[LANE_TEXT_MAX];
	const char *at = strrchr(sender, '@');
	size_t local = at ? (size_t)(at - sender) : strlen(sender);
	size_t n = named_part(sender, local), rest = at ? strlen(at) : 0;
	if (n > LANE_TEXT_MAX)
		n = LANE_TEXT_MAX;
	if (rest > LANE_TEXT_MAX - n)
		rest = LANE_TEXT_MAX - n;
	str_lower(text, sender, n);
	if (rest)
		str_lower(text + n, at, rest);
	return (uint32_t) class->rank << LANE_SENDER_BITS |
	       (uint32_t)(hash_stable(text, n + rest) >> (64 - LANE_SENDER_BITS));
}
