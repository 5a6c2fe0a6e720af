/* SPDX-License-Identifier: ISC */
/*
 * The parameters of the DSN extension (RFC 3461 §4): RET and ENVID of MAIL, NOTIFY and ORCPT of
 * RCPT. Each is read strictly into session.cmd, from where the command's run takes it; what breaks
 * the form is refused with 501 5.5.4 and the reason. A parameter that is given twice is refused.
 */
#pragma once

#include "lib/addr_param.h"
#include "smtpd/session.h"

/* Forgets what the last command said. */
void dsn_reset(struct session *s);

/*
 * Takes one parameter of MAIL or RCPT. Returns false when it isn't one of DSN's, and when the
 * client said HELO; else *v says whether it is good.
 */
bool dsn_mail_param(struct session *s, const struct addr_param *p, struct verdict *v);
bool dsn_rcpt_param(struct session *s, const struct addr_param *p, struct verdict *v);

/*
 * What two RCPTs of one address ask for together: it is delivered once, so whatever one of them
 * wants to hear of is reported. Values of RCPT_NOTIFY, 0: not said.
 */
uint8_t dsn_merge(uint8_t a, uint8_t b);
