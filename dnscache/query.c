/* SPDX-License-Identifier: ISC */
/*
 * Only the records that bear on the question are given to ldns, one by one, after packet.c has
 * walked over them. Whatever has another form than promised makes the whole packet broken: a
 * half-read answer must not become a fact.
 */
#include "dnscache/query.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "dnscache/packet.h"
#include "dnscache/query_records.h"

#define RCODE_BADVERS 16 /* RFC 6891 §9; its upper bits stand in the OPT record */

/* What the walk found out. */
struct found {
	ldns_rr_list *answers; /* CNAMEs and records of the type asked for */
	bool able;             /* the server is authoritative or resolves for its clients */
	bool soa, ns;          /* in the authority section */
	uint32_t negative_s;   /* RFC 2308 §5: the lesser of the SOA's TTL and its minimum */
};

/* query_build - the packet for a question */
int query_build(
    const struct query_question *q, uint16_t id, unsigned form, uint8_t out[QUERY_PACKET_MAX])
{
	ldns_rdf *name = ldns_dname_new_frm_str(q->name);
	ldns_pkt *pkt = NULL;
	uint8_t *wire = NULL;
	size_t size = 0;
	int ret = -EINVAL;

	if (name == NULL || ldns_rdf_size(name) <= 1)
		goto out;
	ret = -ENOMEM;
	pkt = ldns_pkt_query_new(name, (ldns_rr_type)q->type, LDNS_RR_CLASS_IN, LDNS_RD);
	if (pkt == NULL)
		goto out;
	name = NULL; /* the packet's now */
	ldns_pkt_set_id(pkt, id);
	ldns_pkt_set_ad(pkt, true); /* RFC 6840 §5.7: we understand AD in the answer */
	ldns_pkt_set_cd(pkt, (form & QUERY_CD) != 0);
	if (form & QUERY_EDNS)
		ldns_pkt_set_edns_udp_size(pkt, QUERY_UDP_MAX);
	if (ldns_pkt2wire(&wire, pkt, &size) != LDNS_STATUS_OK)
		goto out;
	ret = -EINVAL;
	if (size > QUERY_PACKET_MAX)
		goto out;
	memcpy(out, wire, size);
	ret = (int)size;
out:
	free(wire);
	ldns_pkt_free(pkt);
	ldns_rdf_deep_free(name);
	return ret;
}

/* rr_fields - the fields that a type's RDATA has at least: ldns passes RDATA that is empty */
static size_t rr_fields(uint16_t type)
{
	switch (type) {
	case DNS_MX:
		return 2;
	case DNS_TLSA:
		return 4;
	case DNS_SOA:
		return 7;
	default:
		return 1;
	}
}

/* rr_parse - let ldns read a record whose names were checked; NULL when it is malformed */
static ldns_rr *rr_parse(
    const struct packet_walk *w, const struct packet_rr *h, ldns_pkt_section section)
{
	ldns_rr *rr = NULL;
	size_t pos = h->start;

	if (packet_rdata(w, h) != 0)
		return NULL;
	/* Nothing behind the record's end is offered: its RDATA can't reach into the next one. */
	if (ldns_wire2rr(&rr, w->data, h->end, &pos, section) != LDNS_STATUS_OK)
		return NULL;
	if (pos != h->end || ldns_rr_rd_count(rr) < rr_fields(h->type)) {
		ldns_rr_free(rr);
		return NULL;
	}
	return rr;
}

/* rr_ttl - a record's TTL; one with the top bit set means zero (RFC 2181 §8) */
static uint32_t rr_ttl(const ldns_rr *rr)
{
	uint32_t ttl = ldns_rr_ttl(rr);

	return ttl > INT32_MAX ? 0 : ttl;
}

/* walk_question - whether the packet repeats our question */
static bool walk_question(struct packet_walk *w, const struct query_question *q)
{
	ldns_rdf *asked = NULL, *name = NULL;
	uint16_t type, qclass;
	size_t pos = w->pos;
	bool same = false;

	if (packet_question(w, &type, &qclass) != 0 || type != q->type ||
	    qclass != LDNS_RR_CLASS_IN)
		return false;
	if (ldns_wire2dname(&name, w->data, w->len, &pos) == LDNS_STATUS_OK) {
		asked = ldns_dname_new_frm_str(q->name);
		same = asked != NULL && ldns_dname_compare(asked, name) == 0;
	}
	ldns_rdf_deep_free(asked);
	ldns_rdf_deep_free(name);
	return same;
}

/* walk_answers - keep the aliases and the records of our type */
static int walk_answers(struct packet_walk *w, unsigned count, uint16_t type, struct found *f)
{
	struct packet_rr h;

	if (count > QUERY_RRS_MAX)
		return -EBADMSG;
	for (unsigned i = 0; i < count; i++) {
		if (packet_next(w, &h) != 0)
			return -EBADMSG;
		if (h.rclass != LDNS_RR_CLASS_IN || (h.type != type && h.type != DNS_CNAME))
			continue;
		ldns_rr *rr = rr_parse(w, &h, LDNS_SECTION_ANSWER);

		if (rr == NULL)
			return -EBADMSG;
		if (!ldns_rr_list_push_rr(f->answers, rr)) {
			ldns_rr_free(rr);
			return -EBADMSG;
		}
	}
	return 0;
}

/* walk_authority - the SOA, which says how long "no" holds, and whether this is a referral */
static int walk_authority(struct packet_walk *w, unsigned count, struct found *f)
{
	struct packet_rr h;

	for (unsigned i = 0; i < count; i++) {
		if (packet_next(w, &h) != 0)
			return -EBADMSG;
		if (h.rclass != LDNS_RR_CLASS_IN)
			continue;
		f->ns |= h.type == LDNS_RR_TYPE_NS;
		if (h.type != DNS_SOA || f->soa)
			continue;
		ldns_rr *rr = rr_parse(w, &h, LDNS_SECTION_AUTHORITY);

		if (rr == NULL)
			return -EBADMSG;
		uint32_t minimum = ldns_rdf2native_int32(ldns_rr_rdf(rr, 6));

		f->soa = true;
		f->negative_s = rr_ttl(rr) < minimum ? rr_ttl(rr) : minimum;
		ldns_rr_free(rr);
	}
	return 0;
}

/* opt_bogus - whether an OPT record says that validation failed (RFC 8914 §4.7 to §4.13) */
static bool opt_bogus(const struct packet_walk *w, const struct packet_rr *h)
{
	enum { OPTION_EDE = 15, EDE_BOGUS = 6, EDE_NSEC_MISSING = 12 };
	const uint8_t *p = w->data + h->rdata;
	size_t left = h->end - h->rdata;

	while (left >= 4) {
		unsigned code = ldns_read_uint16(p), len = ldns_read_uint16(p + 2);

		if (len > left - 4)
			return false;
		if (code == OPTION_EDE && len >= 2) {
			unsigned info = ldns_read_uint16(p + 4);

			if (info >= EDE_BOGUS && info <= EDE_NSEC_MISSING)
				return true;
		}
		p += 4 + len;
		left -= 4 + len;
	}
	return false;
}

/* walk_additional - EDNS puts the upper bits of the response code there (RFC 6891 §6.1.3) */
static int walk_additional(struct packet_walk *w, unsigned count, struct query_answer *out)
{
	struct packet_rr h;

	for (unsigned i = 0; i < count; i++) {
		if (packet_next(w, &h) != 0)
			return -EBADMSG;
		if (h.type != LDNS_RR_TYPE_OPT)
			continue;
		out->rcode |= (unsigned)w->data[h.rdata - 6] << 4;
		out->bogus |= opt_bogus(w, &h);
	}
	return 0;
}

/* walk_refusal - what the OPT record of a packet says that has no answer; it may be cut short */
static void walk_refusal(struct packet_walk *w, struct query_answer *out)
{
	unsigned before = LDNS_ANCOUNT(w->data) + LDNS_NSCOUNT(w->data);
	struct packet_rr h;

	while (before-- > 0)
		if (packet_next(w, &h) != 0)
			return;
	(void)walk_additional(w, LDNS_ARCOUNT(w->data), out);
}

/* owner_is - whether a record belongs to a name */
static bool owner_is(const ldns_rr *rr, const ldns_rdf *name)
{
	return ldns_dname_compare(ldns_rr_owner(rr), name) == 0;
}

/* chain_follow - from the name asked for along the aliases in the packet; NULL for a loop */
static const ldns_rdf *chain_follow(
    const struct found *f, const ldns_rdf *name, struct query_answer *out)
{
	size_t count = ldns_rr_list_rr_count(f->answers);

	for (;;) {
		const ldns_rr *alias = NULL;

		for (size_t i = 0; i < count && alias == NULL; i++) {
			const ldns_rr *rr = ldns_rr_list_rr(f->answers, i);

			if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_CNAME && owner_is(rr, name))
				alias = rr;
		}
		if (alias == NULL)
			return name;
		if (++out->chain > QUERY_CHAIN_MAX)
			return NULL;
		if (rr_ttl(alias) < out->ttl_s)
			out->ttl_s = rr_ttl(alias);
		name = ldns_rr_rdf(alias, 0);
	}
}

/* answers_take - the records of `name` into out; returns how many there were */
static size_t answers_take(const struct query_question *q, const struct found *f,
    const ldns_rdf *name, struct query_answer *out)
{
	ldns_rr *set[QUERY_RRS_MAX];
	size_t n = 0, count = ldns_rr_list_rr_count(f->answers);
	bool null = false;

	for (size_t i = 0; i < count; i++) {
		ldns_rr *rr = ldns_rr_list_rr(f->answers, i);

		if (ldns_rr_get_type(rr) == (ldns_rr_type)q->type && owner_is(rr, name))
			set[n++] = rr;
	}
	if (q->type == DNS_MX)
		qsort(set, n, sizeof(set[0]), query_mx_compare);
	for (size_t i = 0; i < n; i++) {
		if (rr_ttl(set[i]) < out->ttl_s)
			out->ttl_s = rr_ttl(set[i]);
		/* Some servers say a host twice. */
		if (q->type == DNS_MX && i > 0 && query_mx_compare(&set[i - 1], &set[i]) == 0)
			continue;
		query_record_put(set[i], out, &null);
	}
	/* RFC 7505 §3: a null MX stands alone; beside real hosts it means nothing. */
	out->verdict = null && n == 1 ? DNS_NULLMX : DNS_OK;
	return n;
}

/* verdict - what the records found mean for the question */
static enum query_status verdict(
    const struct query_question *q, const struct found *f, struct query_answer *out)
{
	ldns_rdf *asked = ldns_dname_new_frm_str(q->name);
	enum query_status status = QUERY_ANSWER;
	const ldns_rdf *name;

	out->ttl_s = INT32_MAX;
	if (asked == NULL)
		return QUERY_BROKEN;
	name = q->type == DNS_CNAME ? asked : chain_follow(f, asked, out);
	if (name == NULL) {
		status = QUERY_BROKEN;
	} else if (answers_take(q, f, name, out) > 0) {
		/* "No such name, and here it is": believe neither. */
		if (out->rcode != LDNS_RCODE_NOERROR)
			status = QUERY_BROKEN;
	} else if (!f->able) {
		status = QUERY_FAILED; /* lame: it neither knows nor asks others */
	} else if (out->rcode == LDNS_RCODE_NXDOMAIN) {
		out->verdict = DNS_NODOMAIN;
	} else if (out->chain > 0 && !f->soa) {
		status = query_name_text(name, false, out->alias) == 0 ? QUERY_ALIAS : QUERY_BROKEN;
	} else if (f->ns && !f->soa) {
		status = QUERY_FAILED; /* a referral: it doesn't resolve for us */
	} else {
		out->verdict = DNS_NODATA;
	}
	if (status == QUERY_ANSWER &&
	    (out->verdict == DNS_NODOMAIN || out->verdict == DNS_NODATA)) {
		/* RFC 2308 §5: without an SOA there is nothing that allows keeping it. */
		uint32_t negative = f->soa ? f->negative_s : 0;

		out->ttl_s = negative < out->ttl_s ? negative : out->ttl_s;
	}
	ldns_rdf_deep_free(asked);
	return status;
}

/* rcode_status - what a response code other than NOERROR and NXDOMAIN asks of us */
static enum query_status rcode_status(unsigned rcode, bool edns)
{
	/* RFC 6891 §7: servers without EDNS answer FORMERR, some NOTIMP; §6.1.3 BADVERS. */
	if (edns &&
	    (rcode == LDNS_RCODE_FORMERR || rcode == LDNS_RCODE_NOTIMPL || rcode == RCODE_BADVERS))
		return QUERY_NO_EDNS;
	return QUERY_FAILED;
}

/* sections - walk over all sections and judge */
static enum query_status sections(
    const struct query_question *q, struct packet_walk *w, bool edns, struct query_answer *out)
{
	struct found f = {
	    .answers = ldns_rr_list_new(),
	    .able = LDNS_AA_WIRE(w->data) || LDNS_RA_WIRE(w->data),
	};
	enum query_status status = QUERY_BROKEN;

	if (f.answers == NULL)
		return QUERY_FAILED;
	if (walk_answers(w, LDNS_ANCOUNT(w->data), q->type, &f) == 0 &&
	    walk_authority(w, LDNS_NSCOUNT(w->data), &f) == 0 &&
	    walk_additional(w, LDNS_ARCOUNT(w->data), out) == 0)
		status = out->rcode & ~0xfu ? rcode_status(out->rcode, edns) : verdict(q, &f, out);
	ldns_rr_list_deep_free(f.answers);
	return status;
}

/* query_parse - what a packet says about our question */
void query_parse(const struct query_question *q, uint16_t id, bool edns, bool tcp,
    const uint8_t *packet, size_t len, struct query_answer *out)
{
	struct packet_walk w = {packet, len, PACKET_HEADER};

	memset(out, 0, offsetof(struct query_answer, records));
	out->status = QUERY_NOT_MINE;
	if (len < PACKET_HEADER || LDNS_ID_WIRE(packet) != id || !LDNS_QR_WIRE(packet) ||
	    LDNS_OPCODE_WIRE(packet) != LDNS_PACKET_QUERY)
		return;
	out->rcode = LDNS_RCODE_WIRE(packet);
	out->authentic = LDNS_AD_WIRE(packet);
	/* A server that couldn't read the question need not repeat it. */
	if (LDNS_QDCOUNT(packet) == 0 && out->rcode != LDNS_RCODE_NOERROR &&
	    out->rcode != LDNS_RCODE_NXDOMAIN) {
		out->status = rcode_status(out->rcode, edns);
		return;
	}
	if (LDNS_QDCOUNT(packet) != 1 || !walk_question(&w, q))
		return;
	if (out->rcode != LDNS_RCODE_NOERROR && out->rcode != LDNS_RCODE_NXDOMAIN) {
		out->status = rcode_status(out->rcode, edns);
		walk_refusal(&w, out);
	} else if (LDNS_TC_WIRE(packet)) {
		out->status = tcp ? QUERY_BROKEN : QUERY_TRUNCATED;
	} else {
		out->status = sections(q, &w, edns, out);
	}
}

/* query_rcode_text - a response code for people */
const char *query_rcode_text(unsigned rcode)
{
	switch (rcode) {
	case LDNS_RCODE_NOERROR:
		return "the resolver doesn't resolve for us";
	case LDNS_RCODE_FORMERR:
		return "the resolver says FORMERR";
	case LDNS_RCODE_SERVFAIL:
		return "the resolver says SERVFAIL";
	case LDNS_RCODE_NOTIMPL:
		return "the resolver says NOTIMP";
	case LDNS_RCODE_REFUSED:
		return "the resolver says REFUSED";
	default:
		return "the resolver refuses with a code of its own";
	}
}
