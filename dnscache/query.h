/* SPDX-License-Identifier: ISC */
/*
 * DNS packets: one question out, one answer in. The only file of Baton that includes ldns; pure,
 * without sockets or clock, so that tests and the fuzzer drive it with bytes.
 *
 * An answer comes from the network. query_parse() is bounded in time and memory whatever it says
 * (compression can't loop, at most QUERY_RRS_MAX records are read), and it tells three things
 * apart that must never be mixed: a fact about the name, a server that couldn't say (which is never
 * "no such domain"), and a packet that isn't an answer to this question at all.
 */
#pragma once

#include "lib/dns.h"

#define QUERY_PACKET_MAX 512   /* octets of a question we send */
#define QUERY_UDP_MAX    1232  /* octets of an answer over UDP that we offer to take (EDNS) */
#define QUERY_TCP_MAX    16384 /* octets of an answer over TCP; a longer one is broken */
#define QUERY_RRS_MAX    512   /* records of an answer section; more make it broken */
#define QUERY_CHAIN_MAX  10    /* CNAMEs followed, in a packet and over all packets */

/* The form of a question: bits. */
enum query_form {
	QUERY_EDNS = 1, /* with an OPT record (RFC 6891) */
	QUERY_CD = 2,   /* checking disabled: the answer is wanted although it may be forged */
};

enum query_status {
	QUERY_ANSWER, /* verdict, ttl_s and records say what is so */
	QUERY_ALIAS,  /* the name is another's alias and the packet says no more: ask for `alias` */
	QUERY_TRUNCATED, /* ask again over TCP */
	QUERY_NO_EDNS,   /* the server chokes on EDNS: ask it again without */
	QUERY_FAILED,    /* SERVFAIL, REFUSED, a referral, ...: this server couldn't say */
	QUERY_BROKEN,    /* malformed or contradicting itself: as if it had failed */
	QUERY_NOT_MINE,  /* no answer to this question: ignore it and wait on */
};

/* What is asked: the name as DNS_NAME_MAX demands (lib/dns.h). */
struct query_question {
	uint16_t type;
	char name[DNS_NAME_SIZE];
};

struct query_answer {
	enum query_status status;
	enum dns_verdict verdict;  /* of QUERY_ANSWER: OK, NODOMAIN, NODATA or NULLMX */
	unsigned rcode;            /* as received */
	bool authentic;            /* AD flag, as received */
	bool bogus;                /* of QUERY_FAILED: validation failed (RFC 8914) */
	unsigned chain;            /* CNAMEs followed in this packet */
	uint32_t ttl_s;            /* the least of all records used, not clamped */
	char alias[DNS_NAME_SIZE]; /* of QUERY_ALIAS */
	size_t len;
	uint8_t records[DNS_RECORDS_BYTES]; /* the list of lib/dns.h; MX sorted, best first */
};

/*
 * Writes the packet that asks q, recursion desired; form is made of enum query_form.
 * Returns its length, -EINVAL for a name that is none, -ENOMEM.
 */
int query_build(
    const struct query_question *q, uint16_t id, unsigned form, uint8_t out[QUERY_PACKET_MAX]);

/*
 * Reads a packet that came in answer to q with that id. edns says whether the question had it;
 * tcp that a truncated packet is broken rather than a reason to ask again. Always fills in out;
 * records of MX have had null and malformed exchanges taken out, so that an MX set without any
 * usable host is DNS_OK with len 0.
 */
void query_parse(const struct query_question *q, uint16_t id, bool edns, bool tcp,
    const uint8_t *packet, size_t len, struct query_answer *out);

/* What a response code means, for people: "the resolver says SERVFAIL". Static text. */
const char *query_rcode_text(unsigned rcode);
