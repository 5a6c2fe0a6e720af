/* SPDX-License-Identifier: ISC */
/*
 * batonctl doctor: a table of checks (doctor.c), each a function in the file of its family. A check
 * says what it found by finding(), at least once; each finding is a line with its fix. What needs a
 * running instance asks it by doctor_ask(), which waits for seconds only: after the time for all
 * checks is used up what is left says so.
 *
 * Nothing is contacted but the instance itself, its resolver, the fixed hosts of routes and what
 * --connect names.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/chan.h"
#include "lib/conf.h"
#include "lib/dns.h"

#define DOCTOR_MS        15000 /* for all checks */
#define DOCTOR_GIVE_UP_S 30    /* then it ends, wherever it stands */
#define DOCTOR_ASK_MS    4000  /* for one answer of the instance */
#define DOCTOR_HOP_MS    2500  /* for the connection to a next hop and its greeting */

enum level { LEVEL_OK, LEVEL_WARNING, LEVEL_FAIL };

struct doctor {
	const char *file;    /* of the configuration */
	struct conf *conf;   /* NULL: it can't be used */
	bool complete;       /* conf has the content of certificates and keys */
	bool running;        /* the instance answers */
	bool dns_dead;       /* no resolver answers: nobody else is asked for */
	const char *connect; /* --connect, or NULL */
	/* of the check that runs */
	const char *check;
	bool json, said;
	enum level worst;
	int64_t until; /* clock_ms() */
};

/* One line of the report. fix: what to do, "" for nothing. */
void finding(struct doctor *d, enum level level, const char *fix, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * One request to a socket of the instance; handlers get `arg` and end it by setting *done. 0;
 * -ENOTCONN: it isn't running; -ETIMEDOUT; another -E....
 */
int doctor_ask(struct doctor *d, const char *name, enum role role, enum msg_type type,
    const void *msg, const struct chan_handlers *handlers, void *arg, const bool *done);

/* What dnscache says. */
struct doctor_answer {
	uint16_t type;
	bool done;
	uint8_t verdict, source; /* enum dns_verdict, dns_source */
	uint32_t took_us;
	char server[DNS_SERVER_SIZE], text[200];
	unsigned n;
	struct dns_addr addr; /* A, AAAA: the first */
	char record[4][1024]; /* PTR, TXT: the first four */
};

/* Asks dnscache; false: nobody answered, which *out says as DNS_TEMPFAIL (and dns_dead is set). */
bool doctor_dns(struct doctor *d, const char *name, uint16_t type, struct doctor_answer *out);

/* doctor_host.c */
void check_clock(struct doctor *d);
void check_descriptors(struct doctor *d);
void check_kernel(struct doctor *d);
/* doctor_files.c */
void check_spool(struct doctor *d);
void check_permissions(struct doctor *d);
void check_log(struct doctor *d);
void check_sendmail(struct doctor *d);
/* doctor_net.c */
void check_ports(struct doctor *d);
void check_outgoing(struct doctor *d);
/* doctor_dns.c */
void check_resolver(struct doctor *d);
void check_names(struct doctor *d);
void check_records(struct doctor *d);
/* doctor_tls.c */
void check_certificate(struct doctor *d);
/* doctor_queue.c */
void check_queue(struct doctor *d);
