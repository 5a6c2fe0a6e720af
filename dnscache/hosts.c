/* SPDX-License-Identifier: ISC */
/* A table by type and name, whose entries hold their answer in the form of lib/dns.h. */
#include "dnscache/hosts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/hash.h"

#define RECORDS_MAX (DNS_ADDRS_MAX * (2 + DNS_NAME_SIZE)) /* octets of a name's answer */

struct entry {
	UT_hash_handle hh;
	size_t len;
	uint8_t *records;
	uint8_t key_len;
	char key[2 + DNS_NAME_SIZE]; /* family or 'P', then the name */
};

struct hosts {
	struct entry *table;
	size_t names;
};

/* key_make - what a question is found under; the length */
static uint8_t key_make(char kind, const char *name, char key[2 + DNS_NAME_SIZE])
{
	size_t len = strnlen(name, DNS_NAME_MAX);

	key[0] = kind;
	memcpy(key + 1, name, len);
	return (uint8_t)(1 + len);
}

/* entry_find - the entry of a name */
static struct entry *entry_find(const struct hosts *hosts, char kind, const char *name)
{
	char key[2 + DNS_NAME_SIZE];
	uint8_t len = key_make(kind, name, key);
	struct entry *e;

	HASH_FIND(hh, hosts->table, key, len, e);
	return e;
}

/* entry_get - the same, made if needed; NULL when there are too many, or no memory */
static struct entry *entry_get(struct hosts *hosts, char kind, const char *name)
{
	struct entry *e = entry_find(hosts, kind, name);

	if (e != NULL || HASH_COUNT(hosts->table) >= 3 * HOSTS_NAMES_MAX ||
	    (e = calloc(1, sizeof(*e))) == NULL)
		return e;
	e->key_len = key_make(kind, name, e->key);
	HASH_ADD_KEYPTR(hh, hosts->table, e->key, e->key_len, e);
	if (!hash_added(e)) {
		free(e);
		return NULL;
	}
	return e;
}

/* record_add - append a record, unless there is no room or it stands there already */
static void record_add(struct entry *e, const void *data, size_t len)
{
	uint8_t record[2 + DNS_NAME_SIZE], *grown;
	struct wire_out w;

	wire_out_fixed(&w, record, sizeof(record));
	dns_record_put(&w, data, len);
	if (wire_out_end(&w) != 0 || e->len + w.len > RECORDS_MAX ||
	    (e->len > 0 && memmem(e->records, e->len, record, w.len) != NULL))
		return;
	grown = realloc(e->records, e->len + w.len);
	if (grown == NULL)
		return;
	memcpy(grown + e->len, record, w.len);
	e->records = grown;
	e->len += w.len;
}

/* name_add - one name of an address; the first one of a line is what the address is called */
static void name_add(
    struct hosts *hosts, const struct dns_addr *addr, const char *text, size_t len, bool first)
{
	bool six = addr->family == 6;
	char name[DNS_NAME_SIZE], reverse[DNS_NAME_SIZE];
	struct entry *e;

	if (hosts->names >= HOSTS_NAMES_MAX || dns_name_clean(text, len, name) != 0)
		return;
	e = entry_get(hosts, six ? '6' : '4', name);
	if (e == NULL)
		return;
	hosts->names++;
	record_add(e, addr->bytes, six ? 16 : 4);
	if (!first)
		return;
	dns_addr_reverse(addr, reverse);
	e = entry_get(hosts, 'P', reverse);
	if (e != NULL)
		record_add(e, name, strlen(name));
}

/* line_read - an address and its names */
static void line_read(struct hosts *hosts, const char *p, const char *end)
{
	static const struct dns_addr any4 = {.family = 4}, any6 = {.family = 6};
	const char *comment = memchr(p, '#', (size_t)(end - p));
	struct dns_addr addr;
	unsigned words = 0;

	for (end = comment != NULL ? comment : end; p < end;) {
		const char *word;

		while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
			p++;
		word = p;
		while (p < end && *p != ' ' && *p != '\t' && *p != '\r')
			p++;
		if (p == word)
			return;
		if (words++ > 0)
			name_add(hosts, &addr, word, (size_t)(p - word), words == 2);
		else if (dns_addr_parse(word, (size_t)(p - word), &addr) != 0 ||
			 memcmp(&addr, &any4, sizeof(addr)) == 0 ||
			 memcmp(&addr, &any6, sizeof(addr)) == 0)
			return;
	}
}

/* hosts_parse - read a text */
struct hosts *hosts_parse(const char *text, size_t len)
{
	struct hosts *hosts = calloc(1, sizeof(*hosts));
	const char *end = text + len;

	if (hosts == NULL)
		return NULL;
	while (text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));

		eol = eol != NULL ? eol : end;
		line_read(hosts, text, eol);
		text = eol + 1;
	}
	return hosts;
}

/* hosts_read - read a file */
struct hosts *hosts_read(int fd)
{
	char *text = malloc(HOSTS_BYTES_MAX);
	struct hosts *hosts = NULL;
	size_t len = 0;
	ssize_t n;

	if (text == NULL)
		return NULL;
	do {
		n = pread(fd, text + len, HOSTS_BYTES_MAX - len, (off_t)len);
		if (n < 0)
			goto out;
		len += (size_t)n;
	} while (n > 0 && len < HOSTS_BYTES_MAX);
	hosts = hosts_parse(text, len);
out:
	free(text);
	return hosts;
}

/* hosts_free - all of it */
void hosts_free(struct hosts *hosts)
{
	struct entry *e, *next;

	if (hosts == NULL)
		return;
	HASH_ITER (hh, hosts->table, e, next) {
		HASH_DEL(hosts->table, e);
		free(e->records);
		free(e);
	}
	free(hosts);
}

/* hosts_names - how many were read */
size_t hosts_names(const struct hosts *hosts)
{
	return hosts->names;
}

/* hosts_answer - what the file says */
bool hosts_answer(
    const struct hosts *hosts, uint16_t type, const char *name, struct resolver_answer *out)
{
	const struct entry *e;
	bool known;

	if (hosts == NULL || (type != DNS_A && type != DNS_AAAA && type != DNS_PTR))
		return false;
	e = entry_find(hosts, type == DNS_PTR ? 'P' : type == DNS_A ? '4' : '6', name);
	known = e != NULL ||
		(type != DNS_PTR && entry_find(hosts, type == DNS_A ? '6' : '4', name) != NULL);
	if (!known)
		return false;
	*out = (struct resolver_answer){
	    .verdict = e != NULL ? DNS_OK : DNS_NODATA,
	    .source = DNS_FROM_HOSTS,
	    .ttl_s = HOSTS_TTL_S,
	    .len = e != NULL ? e->len : 0,
	    .records = e != NULL ? e->records : NULL,
	    .server = "",
	    .why = "",
	};
	return true;
}
