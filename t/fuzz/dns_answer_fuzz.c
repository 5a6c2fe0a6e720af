/* SPDX-License-Identifier: ISC */
/*
 * What comes from a resolver: any bytes as the answer to a question of each type. Whatever they
 * say, the result is one of the known states, its records are a well-formed list of clean names,
 * and no "no" comes out of a packet that doesn't say so. The packet gets the question's header, so
 * that the fuzzer need not guess it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dnscache/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct query_answer answer;

/* check - that the records are what lib/dns.h promises */
static void check(const struct query_question *q)
{
	char name[DNS_NAME_SIZE];
	struct dns_record rec;
	struct wire_in w;

	if (answer.status > QUERY_NOT_MINE || answer.len > sizeof(answer.records))
		abort();
	if (answer.status == QUERY_ALIAS && answer.alias[0] == '\0')
		abort();
	if (answer.status != QUERY_ANSWER)
		return;
	if (answer.verdict >= DNS_TEMPFAIL || (answer.verdict != DNS_OK && answer.len > 0))
		abort();
	if (answer.verdict == DNS_NODOMAIN && answer.rcode != 3)
		abort();
	wire_in_init(&w, answer.records, answer.len);
	while (dns_record_next(&w, q->type, &rec))
		if ((q->type == DNS_MX || q->type == DNS_PTR) &&
		    dns_name_clean(rec.data, rec.len, name) != 0)
			abort();
	if (wire_in_end(&w) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = {
	    DNS_A, DNS_MX, DNS_TXT, DNS_PTR, DNS_AAAA, DNS_TLSA, DNS_CNAME};
	struct query_question q = {.name = "example.org"};
	uint8_t head[QUERY_PACKET_MAX], *packet;

	if (size < 11 || size > QUERY_TCP_MAX)
		return 0;
	q.type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
	query_parse(&q, 0, data[0] & 0x80, data[0] & 0x40, data + 1, size - 1, &answer);
	check(&q);
	/* the same behind a question that matches: data[1..10] are flags and counts */
	int len = query_build(&q, 0, false, head);

	if (len < 0)
		abort();
	packet = malloc((size_t)len + size - 11);
	if (packet == NULL)
		return 0;
	memcpy(packet, head, (size_t)len);
	memcpy(packet + 2, data + 1, 2);
	packet[2] = (uint8_t)((packet[2] & 0x07) | 0x80);
	memcpy(packet + 6, data + 5, 6);
	memcpy(packet + len, data + 11, size - 11);
	query_parse(
	    &q, 0, data[0] & 0x80, data[0] & 0x40, packet, (size_t)len + size - 11, &answer);
	check(&q);
	free(packet);
	return 0;
}
