/* SPDX-License-Identifier: ISC */
/*
 * RFC 1035 §4.1.4 lets a name end in a pointer to a *prior* occurrence. Taking that word at its
 * value makes loops impossible; the count of hops bounds what a long ladder of pointers costs.
 */
#include "dnscache/packet.h"

#include <errno.h>

#include "lib/dns.h"

/* get16 - an integer of two octets */
static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* packet_name - walk over a name */
int packet_name(const struct packet_walk *w, size_t *pos, size_t end)
{
	size_t at = *pos, limit = end, bound = *pos, octets = 0;
	unsigned hops = 0;

	for (;;) {
		if (at >= limit)
			return -EBADMSG;
		uint8_t c = w->data[at];

		if ((c & 0xc0) == 0xc0) {
			if (at + 2 > limit || ++hops > PACKET_HOPS_MAX)
				return -EBADMSG;
			if (hops == 1)
				*pos = at + 2;
			at = get16(w->data + at) & 0x3fff;
			if (at >= bound || at < PACKET_HEADER)
				return -EBADMSG;
			limit = bound;
			bound = at;
			continue;
		}
		if ((c & 0xc0) != 0)
			return -EBADMSG;
		at += 1 + (size_t)c;
		octets += 1 + (size_t)c;
		if (octets > PACKET_NAME_MAX || at > limit)
			return -EBADMSG;
		if (c == 0)
			break;
	}
	if (hops == 0)
		*pos = at;
	return 0;
}

/* packet_question - walk over the question */
int packet_question(struct packet_walk *w, uint16_t *type, uint16_t *qclass)
{
	size_t pos = w->pos;

	if (packet_name(w, &pos, w->len) != 0 || w->len - pos < 4)
		return -EBADMSG;
	*type = get16(w->data + pos);
	*qclass = get16(w->data + pos + 2);
	w->pos = pos + 4;
	return 0;
}

/* packet_next - walk over a record */
int packet_next(struct packet_walk *w, struct packet_rr *rr)
{
	size_t pos = w->pos, rdlen;

	rr->start = pos;
	if (packet_name(w, &pos, w->len) != 0 || w->len - pos < 10)
		return -EBADMSG;
	rr->type = get16(w->data + pos);
	rr->rclass = get16(w->data + pos + 2);
	rdlen = get16(w->data + pos + 8);
	rr->rdata = pos + 10;
	if (w->len - rr->rdata < rdlen)
		return -EBADMSG;
	rr->end = rr->rdata + rdlen;
	w->pos = rr->end;
	return 0;
}

/* packet_rdata - check the names in a record's RDATA */
int packet_rdata(const struct packet_walk *w, const struct packet_rr *rr)
{
	size_t pos = rr->rdata, tail = 0;
	unsigned names = 1;

	switch (rr->type) {
	case DNS_MX:
		pos += 2;
		break;
	case DNS_CNAME:
	case DNS_PTR:
		break;
	case DNS_SOA:
		names = 2;
		tail = 20;
		break;
	default:
		return 0;
	}
	while (names-- > 0)
		if (packet_name(w, &pos, rr->end) != 0)
			return -EBADMSG;
	return rr->end - pos == tail ? 0 : -EBADMSG;
}
