/* SPDX-License-Identifier: ISC */
/*
 * Tells the service manager how far master is: sd_notify(3)'s protocol, one datagram to the socket
 * that NOTIFY_SOCKET names. For master's main thread only; nothing is remembered.
 */
#pragma once

/*
 * Sends a state such as "READY=1" or "RELOADING=1\nMONOTONIC_USEC=...". Returns 1 when sent, 0 when
 * nobody asked (no NOTIFY_SOCKET), -E... when it couldn't be sent; never blocks.
 */
int notify_send(const char *state);
