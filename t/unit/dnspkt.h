/* SPDX-License-Identifier: ISC */
/*
 * DNS packets put together by hand, without ldns and without mercy, and a server on the loop that
 * answers with them: for the tests of dnscache. A server listens on a port of its own of 127.0.0.1,
 * UDP and TCP, and asks its handler what to say.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { PKT_AN = 6, PKT_NS = 8, PKT_AR = 10 }; /* where a section's count stands */
enum { PKT_AA = 0x0400, PKT_TC = 0x0200, PKT_RA = 0x0080, PKT_AD = 0x0020 };

struct pkt {
	size_t len;
	uint8_t data[20000];
};

/* Starts an answer: flags as above plus a response code; name may be NULL for no question. */
void pkt_start(struct pkt *p, uint16_t id, unsigned flags, const char *name, uint16_t type);

/* Appends octets, a number of two octets, a name without compression ("" is the root). */
void pkt_raw(struct pkt *p, const void *data, size_t len);
void pkt_u16(struct pkt *p, unsigned v);
void pkt_name(struct pkt *p, const char *name);

/* Appends a record to a section. */
void pkt_rr(struct pkt *p, int section, const char *owner, unsigned type, uint32_t ttl,
    const void *rdata, size_t len);
void pkt_a(struct pkt *p, const char *owner, uint32_t ttl, const char *addr); /* A or AAAA */
void pkt_mx(struct pkt *p, const char *owner, uint32_t ttl, unsigned pref, const char *host);
void pkt_cname(struct pkt *p, const char *owner, uint32_t ttl, const char *target);
void pkt_soa(struct pkt *p, const char *owner, uint32_t ttl, uint32_t minimum);

/* What a server was asked. */
struct dnsask {
	uint16_t id;
	char name[256];
	uint16_t type;
	bool edns;
	bool tcp;
	bool cd; /* checking disabled */
	struct sockaddr_storage from;
};

/* Fills in reply and returns true, or false to be silent; over TCP that hangs up. */
typedef bool dnsserver_say(const struct dnsask *ask, struct pkt *reply, void *arg);

#define DNSSERVER_CONNS 16

struct dnsserver {
	int udp, tcp;
	struct sockaddr_storage addr;
	dnsserver_say *say;
	void *arg;
	unsigned asked;
	struct event *udp_event, *tcp_event;
	struct tcpconn *conns[DNSSERVER_CONNS];
};

void dnsserver_start(struct dnsserver *s, dnsserver_say *say, void *arg);
void dnsserver_stop(struct dnsserver *s);
