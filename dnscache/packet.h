/* SPDX-License-Identifier: ISC */
/*
 * Walking over a DNS packet from the network, record by record, without reading what they say:
 * bounds, and names that end. query.c gives ldns nothing that hasn't been walked over, because
 * ldns takes a packet's records all or none and follows up to 65,535 pointers in each name.
 *
 * A walk points into the caller's packet; nothing is allocated. Every function returns 0 or
 * -EBADMSG, after which the walk must not be used further.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PACKET_HEADER   12  /* octets (RFC 1035 §4.1.1) */
#define PACKET_HOPS_MAX 127 /* compression pointers followed in a name: it has no more labels */
#define PACKET_NAME_MAX 255 /* octets of a name on the wire (RFC 1035 §2.3.4) */

struct packet_walk {
	const uint8_t *data;
	size_t len;
	size_t pos;
};

/* The head of a record and where its parts lie in the packet. */
struct packet_rr {
	size_t start;
	size_t rdata;
	size_t end;
	uint16_t type;
	uint16_t rclass;
};

/*
 * Walks over the name at *pos, whose octets in place must lie before `end`. Pointers must go
 * backwards, each before everything read so far, so that none can loop.
 */
int packet_name(const struct packet_walk *w, size_t *pos, size_t end);

/* Walks over the question at w->pos and says its type and class. */
int packet_question(struct packet_walk *w, uint16_t *type, uint16_t *qclass);

/* Walks over the record at w->pos; its RDATA is checked by packet_rdata() only. */
int packet_next(struct packet_walk *w, struct packet_rr *rr);

/* Checks names and lengths in the RDATA of MX, CNAME, PTR and SOA; other types have no names. */
int packet_rdata(const struct packet_walk *w, const struct packet_rr *rr);
