/* SPDX-License-Identifier: ISC */
/*
 * A record that doesn't fit or has no possible name is left out; whether what is left is enough is
 * for the asker to say.
 */
#include "dnscache/query_records.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <string.h>

#include "dnscache/packet.h"

/*
 * query_name_text - a name of a record as our text
 *
 * A slash, which aliases in reverse zones have (RFC 2317 §4), passes unless `strict`: no host may
 * be called so. Anything else odd is refused, a dot inside of a label above all, as it would turn
 * one label into two.
 */
int query_name_text(const ldns_rdf *name, bool strict, char out[DNS_NAME_SIZE])
{
	const uint8_t *p = ldns_rdf_data(name);
	size_t size = ldns_rdf_size(name), len = 0;
	char text[PACKET_NAME_MAX + 1];
	uint8_t slash[PACKET_NAME_MAX + 1] = {0};

	for (size_t at = 0; at < size && p[at] != 0;) {
		for (size_t label = p[at++]; label > 0; label--, at++) {
			slash[len] = p[at] == '/' && !strict;
			text[len] = slash[len] ? '-' : (char)p[at];
			if (text[len++] == '.')
				return -EINVAL;
		}
		text[len++] = '.';
	}
	if (dns_name_clean(text, len, out) != 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (slash[i])
			out[i] = '/';
	return 0;
}

/* record_add - append a record to the answer; one that doesn't fit is left out */
static void record_add(struct query_answer *out, const void *data, size_t len)
{
	struct wire_out w;

	wire_out_fixed(&w, out->records + out->len, sizeof(out->records) - out->len);
	dns_record_put(&w, data, len);
	if (wire_out_end(&w) == 0)
		out->len += w.len;
}

/* mx_put - an MX record, unless its host has no possible name; notes a null MX */
static void mx_put(const ldns_rr *rr, struct query_answer *out, bool *null)
{
	uint8_t data[2 + DNS_NAME_MAX];
	char name[DNS_NAME_SIZE];
	uint16_t preference = ldns_rdf2native_int16(ldns_rr_rdf(rr, 0));
	size_t len;

	if (ldns_rdf_size(ldns_rr_rdf(rr, 1)) == 1) {
		*null = true;
		return;
	}
	if (query_name_text(ldns_rr_rdf(rr, 1), true, name) != 0)
		return;
	len = strlen(name);
	ldns_write_uint16(data, preference);
	memcpy(data + 2, name, len);
	record_add(out, data, 2 + len);
}

/* txt_put - a TXT record, its strings joined (RFC 7208 §3.3 and others read it so) */
static void txt_put(const ldns_rr *rr, struct query_answer *out)
{
	uint8_t data[DNS_RECORDS_BYTES];
	size_t len = 0;

	for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
		size_t n = ldns_rdf_size(rdf);

		if (n < 1 || sizeof(data) - len < n - 1)
			return;
		memcpy(data + len, ldns_rdf_data(rdf) + 1, n - 1);
		len += n - 1;
	}
	record_add(out, data, len);
}

/* tlsa_put - a TLSA record as it stood on the wire */
static void tlsa_put(const ldns_rr *rr, struct query_answer *out)
{
	uint8_t data[1024];
	size_t len = 0;

	for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *rdf = ldns_rr_rdf(rr, i);

		if (sizeof(data) - len < ldns_rdf_size(rdf))
			return;
		memcpy(data + len, ldns_rdf_data(rdf), ldns_rdf_size(rdf));
		len += ldns_rdf_size(rdf);
	}
	record_add(out, data, len);
}

/* query_record_put - one record in the form of lib/dns.h; what doesn't fit or has no name is left
 * out */
void query_record_put(const ldns_rr *rr, struct query_answer *out, bool *null)
{
	char name[DNS_NAME_SIZE];
	const ldns_rdf *first = ldns_rr_rdf(rr, 0);

	switch ((int)ldns_rr_get_type(rr)) {
	case DNS_MX:
		mx_put(rr, out, null);
		break;
	case DNS_TXT:
		txt_put(rr, out);
		break;
	case DNS_TLSA:
		tlsa_put(rr, out);
		break;
	case DNS_PTR:
	case DNS_CNAME:
		if (query_name_text(first, true, name) == 0)
			record_add(out, name, strlen(name));
		break;
	default:
		record_add(out, ldns_rdf_data(first), ldns_rdf_size(first));
	}
}

/* query_mx_compare - order of two MX records: preference, then name, so that the set has one order
 */
int query_mx_compare(const void *a, const void *b)
{
	const ldns_rr *x = *(ldns_rr *const *)a, *y = *(ldns_rr *const *)b;
	int px = ldns_rdf2native_int16(ldns_rr_rdf(x, 0));
	int py = ldns_rdf2native_int16(ldns_rr_rdf(y, 0));

	return px != py ? px - py : ldns_dname_compare(ldns_rr_rdf(x, 1), ldns_rr_rdf(y, 1));
}
