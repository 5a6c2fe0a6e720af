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
	return (uint32_t)class->rank << LANE_SENDER_BITS |
	       (uint32_t)(hash_stable(text, n + rest) >> (64 - LANE_SENDER_BITS));
}
