/* SPDX-License-Identifier: ISC */
/*
 * Who has had a message already, of those messages that may yet get more recipients: a finished
 * address isn't added again (DESIGN §3), and an alias that leads back to what it came from is
 * noticed. Kept in memory from the first question to keeper to the message's end; what an earlier
 * run finished is in the done lists (qmgr/donelist.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From now on; once more is harmless. */
void ended_watch(uint64_t id);

/* Whether it is one of these. */
bool ended_watches(uint64_t id);

/* A recipient has ended that has this key (member_key()); of no watched message: nothing. */
void ended_note(uint64_t id, uint64_t key, uint32_t number, uint32_t parent);

bool ended_has(uint64_t id, uint64_t key);

/* The one of that number: its key and parent; false when it isn't known. */
bool ended_find(uint64_t id, uint32_t number, uint64_t *key, uint32_t *parent);

/* The message has ended. */
void ended_forget(uint64_t id);
