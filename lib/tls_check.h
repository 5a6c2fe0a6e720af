/* SPDX-License-Identifier: ISC */
/*
 * Certificates and keys as files, judged before anybody serves with them: for lib/conf_files.c
 * (`baton -n`, start and reload). Pure functions of the bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum tls_pair {
	TLS_PAIR_GOOD,
	TLS_PAIR_STALE,           /* expired, or not valid yet */
	TLS_PAIR_BAD_CERTIFICATE, /* unreadable, or too weak to be used */
	TLS_PAIR_BAD_KEY          /* unreadable, has a passphrase, or is another certificate's */
};

/*
 * A certificate chain and its key, both PEM with a NUL behind them. now: seconds since 1970. In all
 * cases but GOOD why says what is wrong.
 */
enum tls_pair tls_check_pair(const unsigned char *chain, size_t chain_len, const unsigned char *key,
    size_t key_len, int64_t now, char *why, size_t size);

/* How many certificates there are in a bundle of CAs. */
size_t tls_check_ca(const unsigned char *pem, size_t len);
