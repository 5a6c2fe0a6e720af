/* SPDX-License-Identifier: ISC */
/*
 * What dnscache and those who ask it (qmgr, deliver, smtpd, the tools) have in common: verdicts,
 * names, addresses, and the two lists that travel in its answers: the hosts of a site
 * (dns_site_is.hosts) and the records of one question (dns_lookup_is.records).
 *
 * Nothing here asks anything: the questions are rows of lib/msg.def. All functions are pure; the
 * lists are decoded from what another process sent, so each step checks bounds and a list that
 * breaks a rule of its form is refused as a whole (-EBADMSG).
 *
 * A name, wherever this header says so, is lower case text without a final dot, 1 to
 * DNS_NAME_MAX octets, labels of 1 to 63 octets of letters, digits, '-' and '_' (dns_name_clean).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/wire.h"

#define DNS_NAME_MAX    253 /* octets of a name as text (RFC 1035 §2.3.4 as text) */
#define DNS_NAME_SIZE   (DNS_NAME_MAX + 1)
#define DNS_HOSTS_MAX   20 /* hosts of a site that are kept, the best ones */
#define DNS_ADDRS_MAX   8  /* addresses kept of one host and family together */
#define DNS_HOSTS_BYTES (DNS_HOSTS_MAX * (2 + 1 + DNS_NAME_MAX + 1 + 1 + DNS_ADDRS_MAX * 17))
#define DNS_RECORDS_BYTES                                                                     \
	8192                /* of one question's encoded records; what doesn't fit is cut off \
			     */
#define DNS_LITERAL_SIZE 48 /* an address as text, without brackets */
#define DNS_SERVER_SIZE  64 /* "[2001:db8::1]:53" */
#define DNS_SOCKET       "dns" /* name of the tools' socket in `runtime` */

/* RR types that may be asked for (RFC 1035 §3.2.2, 3596, 6698). */
enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TLSA = 52,
};

/*
 * What came of a question. Only the first four are facts about the name; DNS_TEMPFAIL says that
 * nobody could be asked (time-out, SERVFAIL, malformed answer, too many questions at once), never
 * that something doesn't exist. Numbers travel in messages: append only.
 */
enum dns_verdict {
	DNS_OK = 0,
	DNS_NODOMAIN = 1, /* NXDOMAIN, or a name that can't exist in the DNS */
	DNS_NODATA =
	    2, /* the name exists; no such records, or for a site: no host takes its mail */
	DNS_NULLMX = 3, /* the domain says it takes no mail (RFC 7505) */
	DNS_TEMPFAIL = 4,
	DNS_VERDICTS
};

/*
 * What is known of an answer's signatures (RFC 4035 §4.3). The resolver checks them, not we: secure
 * is what one says (AD) that the configuration trusts. Bogus comes with DNS_TEMPFAIL only: forged
 * or broken, it is never a reason to bounce. Numbers travel in messages.
 */
enum dns_security { DNS_INSECURE = 0, DNS_SECURE = 1, DNS_BOGUS = 2 };

/* How an answer was come by; numbers travel in messages. */
enum dns_source {
	DNS_FROM_SERVER = 0,  /* a resolver was asked */
	DNS_FROM_CACHE = 1,   /* it was known */
	DNS_FROM_STALE = 2,   /* it ran out, and no resolver answers (RFC 8767) */
	DNS_FROM_HOSTS = 3,   /* the hosts file says so */
	DNS_FROM_BUILTIN = 4, /* localhost, invalid, onion, an address */
	DNS_SOURCES
};

/* How the hosts of a site are found. */
enum dns_site_kind {
	DNS_SITE_MX = 0,   /* by MX, without any by the domain's own addresses (RFC 5321 §5.1) */
	DNS_SITE_HOST = 1, /* by addresses only: a fixed next hop; brackets around it are allowed */
};

/* One address. IPv4 uses the first four bytes; the others are zero. */
struct dns_addr {
	uint8_t family; /* 4 or 6 */
	uint8_t bytes[16];
};

/* One host of a site. */
struct dns_host {
	uint16_t preference; /* MX preference, lower is better; 0 where there was no MX */
	uint8_t naddrs;      /* at least 1 in a list from dnscache */
	bool secure;         /* all its addresses are DNS_SECURE */
	char name[DNS_NAME_SIZE];
	struct dns_addr addrs[DNS_ADDRS_MAX];
};

/* A record of an answer; data points into what dns_record_next() reads. */
struct dns_record {
	uint16_t preference;  /* MX */
	struct dns_addr addr; /* A, AAAA */
	const char *data; /* MX, PTR, CNAME: the name; TXT: its strings joined; else the RDATA */
	size_t len;
};

/* The verdict's name for logs and tools: "ok", "nodomain", "nodata", "nullmx", "tempfail". */
const char *dns_verdict_name(unsigned verdict);

/* "insecure", "secure", "bogus"; "server", "cache", "stale", "hosts", "built in". */
const char *dns_security_name(unsigned security);
const char *dns_source_name(unsigned source);

/* "MX" to DNS_MX in any case; 0 for a type that can't be asked for. And back; NULL if unknown. */
uint16_t dns_type_parse(const char *name);
const char *dns_type_name(uint16_t type);

/*
 * Brings a host or domain name into the form above: lower case, one final dot taken off.
 * Returns 0, or -EINVAL for what is no name (empty, too long, other octets, an empty label).
 * out is written in full only on success.
 */
int dns_name_clean(const char *name, size_t len, char out[DNS_NAME_SIZE]);

/*
 * Reads an address: "192.0.2.1", "2001:db8::1", or in brackets with or without "IPv6:"
 * (RFC 5321 §4.1.3). Returns 0 or -EINVAL.
 */
int dns_addr_parse(const char *text, size_t len, struct dns_addr *out);

/* Writes the address without brackets or "IPv6:"; out is DNS_LITERAL_SIZE long. Returns out. */
const char *dns_addr_text(const struct dns_addr *addr, char *out);

/* Fills in a socket address. Returns its length. */
socklen_t dns_addr_sockaddr(
    const struct dns_addr *addr, uint16_t port, struct sockaddr_storage *out);

/* The name whose PTR record names the address: "1.2.0.192.in-addr.arpa" (RFC 1035 §3.5, 3596). */
void dns_addr_reverse(const struct dns_addr *addr, char out[DNS_NAME_SIZE]);

/*
 * The lists are read and written through the cursors of lib/wire.h, whose sticky errors say in the
 * end whether all was well: wire_in_end() after the last xxx_next(), wire_out_end() after the last
 * put. Each xxx_next() takes one element; false at the end of the list and after an error.
 *
 * The list of hosts: for each, preference (2 octets), name (counted by 1 octet), secure (1 octet),
 * number of addresses (1 octet), each family (1 octet) and 16 octets.
 */
void dns_host_put(struct wire_out *w, const struct dns_host *host);
bool dns_host_next(struct wire_in *w, struct dns_host *host);

/*
 * The list of records: each counted by 2 octets; A and AAAA as 4 and 16 octets, MX as preference
 * (2 octets) and name, PTR and CNAME as a name, TXT as its strings joined, TLSA as RDATA. A reader
 * says what type it asked for.
 */
void dns_record_put(struct wire_out *w, const void *data, size_t len);
bool dns_record_next(struct wire_in *w, uint16_t type, struct dns_record *rec);

/*
 * A list of names (dns_soon.domains): each counted by 1 octet. A name is read as it stands and
 * still has to pass dns_name_clean().
 */
void dns_soon_put(struct wire_out *w, const char *name, size_t len);
bool dns_soon_next(struct wire_in *w, const char **name, size_t *len);

/* A resolver as dnscache sees it, for `batonctl dns --stats`. */
struct dns_server {
	char name[DNS_SERVER_SIZE];
	bool down, trusted;
	uint32_t latency_us; /* smoothed; 0: none seen yet */
	uint64_t sent, answered, silent, refused;
};

/* The list of resolvers (dns_stats_is.servers): as the members stand, the name counted by 1 octet.
 */
void dns_server_put(struct wire_out *w, const struct dns_server *server);
bool dns_server_next(struct wire_in *w, struct dns_server *server);
