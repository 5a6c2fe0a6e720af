/* SPDX-License-Identifier: ISC */
/*
 * The structs of a configuration; lib/conf.h says who makes and frees them, and is what to include.
 *
 * Units: durations are milliseconds, sizes are bytes, factors are thousandths. Strings and the
 * entries of lists are never NULL: "" stands for "not set".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An option written "not set" leaves the choice to another one: route.tls to site.tls. */
enum conf_tls {
	CONF_TLS_UNSET,
	CONF_TLS_NONE,
	CONF_TLS_OPPORTUNISTIC, /* use it if the next hop offers it; any certificate will do */
	CONF_TLS_REQUIRED,      /* no delivery without; any certificate will do */
	CONF_TLS_VERIFY         /* no delivery without a certificate that is valid for the name */
};

enum conf_listen_tls {
	CONF_LISTEN_TLS_UNSET, /* never seen outside of lib/conf*: resolved to NONE or OFFERED */
	CONF_LISTEN_TLS_NONE,
	CONF_LISTEN_TLS_OFFERED,
	CONF_LISTEN_TLS_REQUIRED, /* 530 to MAIL before STARTTLS */
	CONF_LISTEN_TLS_IMPLICIT  /* the TLS handshake comes first (RFC 8314) */
};

/* Which of several hosts of a route comes first: the first one, or each domain's own. */
enum conf_balance { CONF_BALANCE_NONE, CONF_BALANCE_DOMAIN };

enum conf_auth { CONF_AUTH_NONE, CONF_AUTH_OFFERED, CONF_AUTH_REQUIRED };
enum conf_line_endings { CONF_LINES_REFUSE, CONF_LINES_NORMALISE };
/* full: also the next transaction behind the final dot (RFC 2920 3.1); envelope: MAIL/RCPT/DATA */
enum conf_pipelining { CONF_PIPELINING_FULL, CONF_PIPELINING_RFC2920, CONF_PIPELINING_OFF };
enum conf_log_to { CONF_LOG_SYSLOG, CONF_LOG_STDERR };
enum conf_log_format { CONF_LOG_TEXT, CONF_LOG_JSON };
enum conf_log_level { CONF_LOG_ERROR, CONF_LOG_WARN, CONF_LOG_INFO, CONF_LOG_DEBUG };
enum conf_mailbox_kind { CONF_MAILBOX_MBOX, CONF_MAILBOX_MAILDIR, CONF_MAILBOX_LMTP };

/* Strings in the order given. */
struct conf_list {
	size_t n;
	char **v;
};

/* An address with a port, as one listens on or asks; port 0 where none belongs (source.address). */
struct conf_addr {
	uint8_t family;    /* AF_INET or AF_INET6 */
	uint8_t bytes[16]; /* network order; the first 4 for AF_INET, the rest 0 */
	uint16_t port;     /* host order */
};

/* Users or groups, by number. */
struct conf_ids {
	size_t n;
	uint32_t *v;
};

struct conf_addrs {
	size_t n;
	struct conf_addr *v;
};

/*
 * A file that an option names and a role could not open: it has no rights and no root any more, and
 * what it holds must be of one piece with the rest. Its content travels with the configuration.
 */
struct conf_file {
	unsigned roles; /* ROLE_BIT() of who gets it; not set in what conf_decode() makes */
	char *path;
	unsigned char *data; /* a NUL behind it that len doesn't count */
	size_t len;
};

struct conf_files {
	size_t n;
	struct conf_file *v;
};

#define CONF_SECRET 32 /* bytes */

#define CONF_DOVECOT "dovecot:" /* before the path of Dovecot's socket in `users` */

/* A network; no bit behind the prefix is set. */
struct conf_net {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t bytes[16];
	uint8_t prefix; /* bits, 0 to 32 or 128 */
};

struct conf_nets {
	size_t n;
	struct conf_net *v;
};

/* `count` events in `period` ms; count 0: no limit. */
struct conf_rate {
	uint32_t count;
	uint32_t period;
};

enum conf_target_kind {
	CONF_TARGET_MX,        /* the MX hosts of the recipient's domain */
	CONF_TARGET_RELAY,     /* SMTP to host:port; no MX look-up */
	CONF_TARGET_LMTP,      /* LMTP to host:port */
	CONF_TARGET_LMTP_UNIX, /* LMTP to the Unix socket `path` (master connects it) */
	CONF_TARGET_LOCAL,     /* the mailbox of a user of this host */
	CONF_TARGET_DISCARD,   /* taken and forgotten */
	CONF_TARGET_ERROR      /* bounced with `text` */
};

struct conf_target {
	enum conf_target_kind kind;
	bool implicit_tls; /* relay: TLS from the first byte (tls:// or port 465) */
	uint16_t port;     /* relay, lmtp; never 0 there */
	char *host;        /* relay, lmtp: a name or a numeric address, without brackets */
	char *path;        /* lmtp unix */
	char *text;        /* error: what the bounce says */
	char *name; /* as logs, `explain` and sites call it: "mx", "[host]:port", "lmtp:unix:/p" */
};

/* An ordered list: several entries are always relays or always lmtp, the first one preferred. */
struct conf_targets {
	size_t n;
	struct conf_target *v;
};

/*
 * The sections. `title` is the name given in quotes (plain sections have none), `file` and `line`
 * are where it stands ("" and 0 for what is built in), bit N of `given` is
 * set if the section's Nth option (in the order of conf.def) was written in the file.
 */
#define CONF_SECTION_HEAD                                                       \
	char *title;                                                            \
	char *file;                                                             \
	uint32_t line;                                                          \
	bool shipped; /* from the `sites` file: under the user's own entries */ \
	uint64_t given

/* Any of them, seen by its head. */
struct conf_section {
	CONF_SECTION_HEAD;
} __attribute__((may_alias));

struct conf_listen {
	CONF_SECTION_HEAD;
	struct conf_addrs address;
	enum conf_listen_tls tls;
	enum conf_auth auth; /* required: relay_from doesn't count here */
	enum conf_line_endings line_endings;
	bool privacy;        /* no client address and name in Received, no user agents */
	bool auth_plaintext; /* AUTH without TLS */
};

struct conf_tls_files {
	CONF_SECTION_HEAD;
	struct conf_list certificate; /* pairs, for SNI; the first is the default */
	struct conf_list key;         /* as many as certificate */
};

struct conf_limits {
	CONF_SECTION_HEAD;
	uint32_t clients;       /* sessions in all; 0: what descriptors allow */
	uint32_t reserved;      /* percent of them that strangers never get */
	uint64_t unread;        /* bytes from clients that wait, in one process */
	uint32_t per_client;    /* sessions of one address not in relay_from; 0: no limit */
	uint32_t recipients;    /* of one message */
	uint32_t errors;        /* of one session, then 421 */
	uint32_t hops;          /* Received lines, then 554 5.4.6 */
	uint32_t per_user_hour; /* recipients of one submitting user; 0: no limit */
};

enum conf_name_check { CONF_NAME_ANY, CONF_NAME_FQDN, CONF_NAME_KNOWN };

/* Binds clients of the network that are neither in relay_from nor logged in. */
struct conf_policy {
	CONF_SECTION_HEAD;
	struct conf_list dnsbl; /* lib/dnslist.h */
	struct conf_list dnswl;
	uint32_t dnsbl_threshold;
	bool rdns;
	bool fcrdns;
	enum conf_name_check helo;
	enum conf_name_check sender_domain;
	uint64_t greet_delay;
	uint64_t lookup_timeout;
	struct conf_rate connection_rate;
	struct conf_rate message_rate;
	struct conf_rate recipient_rate;
	struct conf_rate error_rate;
	uint32_t soft_errors;
	uint64_t error_delay;
};

struct conf_route {
	CONF_SECTION_HEAD;
	struct conf_list domain; /* "user@domain", "domain", ".domain", "*"; the title by default */
	struct conf_list sender; /* "user@domain", "*@domain", "*@.domain", "<>"; empty: any */
	struct conf_targets to;
	char *auth;        /* name in the credentials file, or "" */
	enum conf_tls tls; /* UNSET: the site's */
	char *source;      /* title of a source, or "" */
	enum conf_balance balance;
};

struct conf_site {
	CONF_SECTION_HEAD;
	struct conf_list domain; /* domains, site names, MX host suffixes; the title by default */
	uint32_t connections;
	uint32_t messages_per_connection;
	uint32_t recipients_per_message;
	struct conf_rate rate;    /* messages */
	uint64_t idle;            /* how long a connection waits for its next message */
	uint64_t probe_max;       /* between two tries of a site that is down */
	uint64_t connect_timeout; /* of one address */
	uint64_t reply_timeout;
	enum conf_pipelining pipelining;
	enum conf_tls tls; /* never UNSET in what conf_site() returns */
};

struct conf_source {
	CONF_SECTION_HEAD;
	struct conf_addrs address; /* port 0 */
	char *hello;               /* what EHLO says; "": hostname */
	struct conf_list sender;   /* patterns as in route */
};

#define CONF_CLASS_NAME_MAX 32 /* bytes of a title */

struct conf_class {
	CONF_SECTION_HEAD;
	struct conf_list sender;    /* patterns as in route */
	struct conf_list header;    /* "Name" or "Name: value"; the message has one of them */
	uint32_t weight;            /* 0: built in */
	uint64_t lifetime;          /* 0: retry.lifetime */
	struct conf_list recipient; /* patterns as in route */
	struct conf_nets client;
	struct conf_list listener; /* titles */
	struct conf_list user;
	char *source; /* "": as its route or sender says */
};

/* One or more hosted domains; mailbox, user and users are all set or all "". */
struct conf_virtual {
	CONF_SECTION_HEAD;
	struct conf_list domain; /* the title by default */
	char *mailbox;           /* "maildir:/path" or "mbox:/path" with %n, %d, %u unexpanded */
	char *user;
	char *users; /* path */
};

struct conf_retry {
	CONF_SECTION_HEAD;
	uint64_t first;
	uint32_t factor; /* thousandths: 2.0 is 2000 */
	uint64_t max;
	uint64_t lifetime;
	uint64_t warn; /* age at which the sender is told of the delay; 0: never */
};

struct conf_resolver {
	CONF_SECTION_HEAD;
	struct conf_addrs servers; /* none: those of /etc/resolv.conf */
	uint64_t cache;            /* bytes */
	uint64_t lookup_cache;     /* bytes */
	struct conf_nets trusted;
	char *hosts; /* path; "": none */
};

struct conf_deliver {
	CONF_SECTION_HEAD;
	uint32_t port; /* of MX hosts, and of "[host]" without one */
	bool ipv6;
	uint32_t connections; /* all sites together */
	char *ca; /* CA certificates; its content is in files where something is verified */
	char *certificate; /* shown to fixed next hops that ask; "": none */
	char *key;
};

struct conf_metrics {
	CONF_SECTION_HEAD;
	struct conf_addrs address; /* none: no metrics listener */
};

struct conf_index; /* the look-ups' sorted patterns, private to lib/conf_lookup.c */

struct conf {
	CONF_SECTION_HEAD; /* file: the path given to conf_load() */

	char *hostname; /* never "" */
	char *origin;   /* never "" */
	char *spool;
	char *runtime;
	enum conf_log_to log;
	enum conf_log_format log_format;
	enum conf_log_level log_level;
	uint32_t workers; /* 0: one a CPU, at least two */
	uint64_t message_size;
	uint64_t spool_min_free;
	bool soft_bounce;
	char *double_bounce; /* an address; "": nobody */
	struct conf_rate notice_rate;
	uint32_t notice_burst;
	uint64_t notice_size; /* bytes */
	struct conf_nets relay_from;
	struct conf_list relay_certificates; /* SHA-256 of the certificate, 64 small hex digits */
	struct conf_list relay_to;           /* "domain" or ".domain" */
	struct conf_list local_domains;
	char *aliases; /* "": none */
	char *alias_user;
	char *mailbox; /* as written; mailbox_kind and mailbox_target are read from it */
	char *catch_all;
	struct conf_list masquerade; /* "pattern=address" each, checked */
	char *credentials;
	char *users; /* a path, or CONF_DOVECOT and one */
	struct conf_list auth_mechanisms;
	char *sender_owners;
	struct conf_list admins; /* "user" or "%group" */
	char *sites;

	struct conf_listen *listen; /* never none in master and smtpd */
	size_t nlisten;
	struct conf_tls_files tls;
	struct conf_limits limits;
	struct conf_policy policy;
	struct conf_route
	    *route; /* sorted as in the file, the built-in "*" last where none is given */
	size_t nroute;
	struct conf_site *site; /* the user's and the shipped ones, as written: use conf_site() */
	size_t nsite;
	struct conf_source *source;
	size_t nsource;
	struct conf_class *class;
	size_t nclass;
	struct conf_virtual *virtual;
	size_t nvirtual;
	struct conf_retry retry;
	struct conf_resolver resolver;
	struct conf_deliver deliver;
	struct conf_metrics metrics;

	struct conf_files files; /* only conf_load_all() reads them */
	/*
	 * Random, made by the process that loads; master gives every conf of its life the same one.
	 * smtpd's workers derive the keys of TLS tickets from it.
	 */
	unsigned char secret[CONF_SECRET];
	/* Who `admins` are, by master (master/admins.h), for qmgr and dnscache; its own user first.
	 */
	struct conf_ids admin_uids, admin_gids;

	enum conf_mailbox_kind mailbox_kind;
	char *mailbox_path;                /* mbox, maildir: with %u and ~ unexpanded; else "" */
	struct conf_target mailbox_target; /* lmtp: kind LMTP or LMTP_UNIX */
	struct conf_route route_local; /* "local", of local_domains without a route of their own */
	struct conf_index *index;
};
