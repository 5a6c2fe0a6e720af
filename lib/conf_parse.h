/* SPDX-License-Identifier: ISC */
/*
 * What the parsers of option values share; for lib/conf_*.c only. A conf_parser takes one item of
 * text, free of control characters, to `to`: a C field as conf_table.h's store says, all zeroes if
 * it owns memory. It returns 0, -ENOMEM, or -EINVAL with nothing left behind; `why`
 * (CONF_REASON_MAX,
 * "" before) may be set then, else the type's description is the reason.
 */
#pragma once

#include "lib/conf_value.h"

typedef int conf_parser(const struct conf_opt *o, const char *text, void *to, char *why);

conf_parser conf_parse_bool, conf_parse_number, conf_parse_factor, conf_parse_word, conf_parse_size,
    conf_parse_time, conf_parse_rate, conf_parse_path, conf_parse_users; /* conf_scalar.c */
conf_parser conf_parse_domain, conf_parse_domains, conf_parse_user, conf_parse_rcpt,
    conf_parse_sender, conf_parse_site, conf_parse_header, conf_parse_name, conf_parse_admin,
    conf_parse_masq, conf_parse_address, conf_parse_print, conf_parse_dnslist; /* conf_pattern.c */
conf_parser conf_parse_addr, conf_parse_net;               /* conf_addr.c */
conf_parser conf_parse_target, conf_parse_mailbox;         /* conf_target.c */

/* Writes a reason; returns -EINVAL for the caller to return. */
int conf_why(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Keeps a copy of a good text in a char * that was NULL; 0 or -ENOMEM. */
int conf_keep(const char *text, void *to);

/* The Nth of words separated by "|" and its length; NULL after the last. */
const char *conf_word_at(const char *words, size_t n, size_t *len);

/* Every list is a count and a pointer to its items; seen through memcpy, whatever the items are. */
struct conf_any_list {
	size_t n;
	char *v;
};
_Static_assert(sizeof(struct conf_any_list) == sizeof(struct conf_list), "a list");
_Static_assert(sizeof(struct conf_any_list) == sizeof(struct conf_addrs), "a list");
_Static_assert(sizeof(struct conf_any_list) == sizeof(struct conf_nets), "a list");
_Static_assert(sizeof(struct conf_any_list) == sizeof(struct conf_targets), "a list");

/* Bytes of one item of a list. */
size_t conf_item_size(enum conf_store store);

/* A text in quotes, as the file has it. */
void conf_quote(const char *text, FILE *to);

/* "192.0.2.0/24"; buf of CONF_ADDR_TEXT. */
const char *conf_net_format(const struct conf_net *net, char *buf);

/* A target in quotes, so that parsing it gives the same. */
void conf_target_print(const struct conf_target *t, FILE *to);

/* The text of it; buf of CONF_TARGET_TEXT. */
#define CONF_TARGET_TEXT (CONF_TEXT_MAX + 32)
const char *conf_target_format(const struct conf_target *t, char *buf);
