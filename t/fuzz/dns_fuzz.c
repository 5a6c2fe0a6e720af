/* SPDX-License-Identifier: ISC */
/*
 * The lists in dnscache's answers and names as peers send them: each is refused or walked to its
 * end, and a clean name stays as it is when cleaned again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = {DNS_A, DNS_MX, DNS_TXT, DNS_PTR, DNS_AAAA, DNS_TLSA};
	struct dns_host host;
	struct dns_record rec;
	struct dns_addr addr;
	char name[DNS_NAME_SIZE], again[DNS_NAME_SIZE];
	struct wire_in w;

	wire_in_init(&w, data, size);
	while (dns_host_next(&w, &host))
		if (strlen(host.name) > DNS_NAME_MAX)
			abort();
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		wire_in_init(&w, data, size);
		while (dns_record_next(&w, types[i], &rec))
			if (rec.len > size)
				abort();
	}
	if (dns_name_clean((const char *)data, size, name) == 0 &&
	    (dns_name_clean(name, strlen(name), again) || strcmp(name, again)))
		abort();
	(void)dns_addr_parse((const char *)data, size, &addr);
	return 0;
}
