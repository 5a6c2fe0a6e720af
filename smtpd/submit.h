/* SPDX-License-Identifier: ISC */
/*
 * Asking keeper what a user who has logged in may do: send as that address (at MAIL), to one more
 * recipient (at RCPT, where limits.per_user_hour bounds them). Of a user of this host, whom the
 * kernel vouches for, keeper also knows the name, which is the session's user from then on.
 */
#pragma once

#include "smtpd/session.h"

/*
 * Asks, where there is something to ask: recipients 0 whether the user may send as s->cmd.address,
 * else whether to so many more. Returns what then() says once keeper agrees, or an objection;
 * ACT_WAIT: session_resume() will bring the same.
 */
struct verdict submit_ask(struct session *s, unsigned recipients, session_then *then);
