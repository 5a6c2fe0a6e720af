/* SPDX-License-Identifier: ISC */
/*
 * What dnscache said lately of sites, where those who ask can read it: most questions for a known
 * domain cost neither a message nor a wake-up of another process (two of them, on a machine with
 * nothing else to do, take longer than all the rest of an answer).
 *
 * One memfd that master makes for the life of the tree: dnscache has it open for writing, qmgr and
 * deliver only for reading, each as CHILD_SHARED (lib/child.h). It has ANSWERS_SLOTS places; a
 * question has one place, and the question that was answered last in it stays. A place holds the
 * whole of a dns_site_is, encoded; a reader copies it out, sees by its number whether it was
 * written meanwhile (then there is nothing), and decodes it as if it had come by a channel: a
 * reader believes dnscache no more than before.
 *
 * A place is good for ANSWERS_MS at most, so that dnscache still learns which names are popular
 * and a changed answer reaches everybody within that time. Only DNS_OK is put there. When dnscache
 * dies what it said stays good; the next one begins with nothing.
 */
#pragma once

#include <stdbool.h>

#include "lib/dns.h"
#include "lib/msg.h"

#define ANSWERS_SLOTS 4096
#define ANSWERS_BYTES 968 /* of a place, for name and answer; larger ones aren't put there */
#define ANSWERS_MS    5000

/* -- master ------------------------------------------------------------------------------- */

/*
 * Makes the file and opens it a second time for reading only (through /proc). Both descriptors are
 * close-on-exec and the caller's. Returns 0 or -E....
 */
int answers_create(int *writer, int *reader);

/* -- dnscache ------------------------------------------------------------------------------ */

/*
 * Tells through the file behind fd from now on, beginning with nothing. Before the sandbox.
 * Returns 0, -EBADMSG or another -E...; then nothing is told and all is asked by messages.
 */
int answers_serve(int fd);

/* What m says of a domain (a clean name, lib/dns.h, or an address) is told; m's number isn't. */
void answers_tell(enum dns_site_kind kind, const char *domain, const struct msg_dns_site_is *m);

/* Nothing that was told is good any more. */
void answers_drop(void);

/* -- those who ask ------------------------------------------------------------------------- */

/* Reads the file behind fd from now on. Before the sandbox. Returns as answers_serve(). */
int answers_attach(int fd);

/*
 * What was told of a domain, if it is still good: true, and m as dnscache would say it now, with
 * number 0; what it points at is good until the next call. Takes about a microsecond and no system
 * call. False: ask.
 */
bool answers_find(enum dns_site_kind kind, struct msg_bytes domain, struct msg_dns_site_is *m);
