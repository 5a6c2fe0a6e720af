/* SPDX-License-Identifier: ISC */
/*
 * A certificate as those who connect to it will judge it: for `batonctl doctor`. A pure function of
 * the bytes; whether the key fits is lib/tls_check.h's business.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_look {
	bool named;       /* it is for that host name */
	bool self_signed; /* nobody vouches for it */
	bool trusted;     /* a chain to one of the CA certificates, complete as it is served */
	int64_t days;     /* until it expires; negative: since */
	char why[160];    /* not trusted: the reason */
	char names[256];  /* first names it is for, a space between */
};

/*
 * The first certificate of a PEM chain, by the host's name and a bundle of CA certificates (PEM;
 * len 0: none). now: seconds since 1970. 0, or -EINVAL for what is no certificate.
 */
int tls_look_at(const unsigned char *chain, size_t chain_len, const unsigned char *ca,
    size_t ca_len, const char *host, int64_t now, struct tls_look *out);
