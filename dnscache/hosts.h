/* SPDX-License-Identifier: ISC */
/*
 * The host's own list of names (/etc/hosts, hosts(5)), read from a descriptor that master opened.
 * For a name that stands there no server is asked for addresses, nor for the name of an address
 * that stands there; a family of addresses that the file doesn't have for a name, it doesn't have.
 *
 * Lines that make no sense and names that no host can have are skipped; so is 0.0.0.0, with which
 * lists of unwanted names are made: to us it would mean this host.
 */
#pragma once

#include "dnscache/resolve.h"

#define HOSTS_BYTES_MAX (4u << 20) /* of the file; the rest isn't read */
#define HOSTS_NAMES_MAX 100000
#define HOSTS_TTL_S     60

struct hosts;

/* Reads a text. NULL without memory. */
struct hosts *hosts_parse(const char *text, size_t len);

/* Reads a file as hosts_parse() does; NULL and errno. The descriptor stays the caller's. */
struct hosts *hosts_read(int fd);

void hosts_free(struct hosts *hosts);
size_t hosts_names(const struct hosts *hosts);

/* Answers a question about a name that stands there; false for all others, and when hosts is NULL.
 */
bool hosts_answer(
    const struct hosts *hosts, uint16_t type, const char *name, struct resolver_answer *out);
