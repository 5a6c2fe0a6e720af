/* SPDX-License-Identifier: ISC */
/* Certificates for unit tests, made in memory: self-signed, P-256, valid from yesterday on. */
#pragma once

#include "lib/tls.h"

struct pem {
	unsigned char *chain, *key;
	size_t chain_len, key_len;
};

/* name: its DNS name, or an IPv4 address. days: until it expires; negative: it did. */
void pem_make(struct pem *pem, const char *name, int days);
void pem_free(struct pem *pem);
/* As lib/tls.h takes it. */
struct tls_pem_pair pem_pair(const struct pem *pem);
/* A server of these; asks for a certificate. */
struct tls_server *pem_server(const struct pem *pems, size_t n, const unsigned char *secret);
/* A client that trusts ca (NULL: nobody) and shows `own` (NULL: nothing). */
struct tls_client *pem_client(const struct pem *ca, const struct pem *own);
