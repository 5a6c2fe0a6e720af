/* SPDX-License-Identifier: ISC */
/*
 * What to change when a next hop doesn't let us in, for trial.c: by the step it came to, why it
 * ended, and what was said. Plain words in one or two sentences; "" where nothing helps but asking
 * whoever runs the host. Pure.
 */
#pragma once

#include "deliver/client.h"

struct advice {
	bool any;              /* `last` is set: at least the connection stood */
	enum client_step last; /* that went well */
	bool secured, implicit_tls, verify;
	bool by_mx; /* it isn't our relay but the recipient's own host */
	bool login; /* the route names one */
	const char *credential, *credentials, *host;
	uint16_t port;
};

/* Returns out. */
const char *advice_give(const struct advice *a, enum open_verdict why, const struct words *words,
    char *out, size_t size);
