/* SPDX-License-Identifier: ISC */
/*
 * The socket `control` in the runtime folder: batonctl asks master for its status (lib/status.h) or
 * a reload. For admins (lib/rights.h); anyone else is told so.
 */
#pragma once

/* Begins to take tools on master's socket (listen_control_fd()). */
void control_start(void);

/* Takes no more. */
void control_stop(void);
