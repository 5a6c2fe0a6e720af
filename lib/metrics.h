/* SPDX-License-Identifier: ISC */
/*
 * What the board says, as text for Prometheus (its text format 0.0.4): smtpd serves it, `batonctl
 * metrics` prints it. Every counter of lib/counters.def is baton_<name>, with _total where it only
 * rises; times that are counted in microseconds are given in seconds. What has labels is made here:
 *
 *   baton_processes{role}, baton_process_restarts_total{role}
 *   baton_site_recipients_total{site,outcome}     the BOARD_SITES busiest by name, the rest "other"
 *   baton_class_recipients_total{class,outcome}   BOARD_CLASSES by name, the rest "other"
 *   baton_delivery_seconds{class}                 a histogram, from arrival to the next hop's 250
 *
 * So there is a bound to the number of lines, whatever mail comes.
 */
#pragma once

#include <stdio.h>

#include "lib/board.h"

#define METRICS_OTHER "other"
#define METRICS_TYPE  "text/plain; version=0.0.4; charset=utf-8"

/* Writes all of it; 0, or -ENOMEM. What `to` says of errors is the caller's to ask. */
int metrics_print(const struct board *board, FILE *to);

/* The name under which a counter is given, into buf; returns buf. */
const char *metrics_name(enum counter c, char *buf, size_t size);
