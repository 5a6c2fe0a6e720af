/* SPDX-License-Identifier: ISC */
/*
 * Whether an MX host is this host itself (RFC 5321 §5.1): by its name, which is ours, or by an
 * address of ours on which a listener takes mail at the port that would be connected. A host of
 * another program on one of our addresses is none of us.
 */
#pragma once

#include "deliver/hosts.h"
#include "lib/conf.h"

/*
 * Takes our own hosts out of the list, with all that are no better: sending there would go round in
 * a circle. Returns how many addresses are left; less than there were: we are one of them.
 */
unsigned self_cut(struct hosts *hosts, const struct conf *conf, uint16_t port);
