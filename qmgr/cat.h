/* SPDX-License-Identifier: ISC */
/*
 * `batonctl cat`: what a queued message says. qmgr finds its record and asks a deliver worker to
 * write it, unstuffed, into a pipe whose other end the tool gets; it reads no content itself. The
 * segment is held until the worker is done with it, for a segment without mail is written over.
 */
#pragma once

#include <stdint.h>

#include "lib/chan.h"
#include "qmgr/owner.h"

#define CATS_MAX 16 /* under way, of all tools */

struct cat;
struct segment;
struct worker;

/*
 * Answers the tool on chan with tool_cat_is, or tool_changed and why not, then calls ended(arg).
 * Mail of others than the owner's isn't there. Returns what cat_forget() takes until then; NULL
 * when it was refused at once (ended() isn't called).
 */
struct cat *cat_start(
    struct chan *chan, uint64_t id, const struct owner *owner, void (*ended)(void *arg), void *arg);

/* The tool is gone before its answer. */
void cat_forget(struct cat *cat);

/* The segment's file is open, or lost. */
void cat_segment_opened(struct segment *seg);

/* What a worker says of a copy, and that it will say nothing more. */
void cat_copying(struct worker *worker, const struct msg_deliver_copying *m);
void cat_copied(struct worker *worker, uint32_t copy);
void cat_worker_gone(struct worker *worker);
