/* SPDX-License-Identifier: ISC */
/*
 * The verbs of batonctl, one row of its table each; a file holds a family of them. A verb gets the
 * configuration and its own words, and returns an exit code (cli/tool.h).
 */
#pragma once

#include "lib/conf.h"

/* verb_queue.c */
int verb_queue(const struct conf *conf, int argc, char **argv);
int verb_show(const struct conf *conf, int argc, char **argv);
int verb_sites(const struct conf *conf, int argc, char **argv);

/* verb_change.c */
int verb_flush(const struct conf *conf, int argc, char **argv);
int verb_hold(const struct conf *conf, int argc, char **argv);
int verb_release(const struct conf *conf, int argc, char **argv);
int verb_delete(const struct conf *conf, int argc, char **argv);
int verb_bounce(const struct conf *conf, int argc, char **argv);

/* verb_pause.c */
int verb_pause(const struct conf *conf, int argc, char **argv);
int verb_resume(const struct conf *conf, int argc, char **argv);

/* verb_why.c */
int verb_why(const struct conf *conf, int argc, char **argv);
/* verb_cat.c */
#define CAT_USAGE "ID... [--raw]"
int verb_cat(const struct conf *conf, int argc, char **argv);

/* verb_explain.c */
#define EXPLAIN_USAGE "ADDRESS [--sender ADDRESS] [--client IP] [--json]"
int verb_explain(const struct conf *conf, int argc, char **argv);

/* verb_config.c */
#define CONFIG_USAGE "[OPTION | SECTION | SECTION.OPTION ...] [--changed] [--json]"
int verb_config(const struct conf *conf, int argc, char **argv);

/* verb_doctor.c */
#define DOCTOR_USAGE "[--connect HOST[:PORT]] [--json]"
int verb_doctor(const struct conf *conf, int argc, char **argv);

/* verb_trace.c */
#define TRACE_USAGE "ID [--json]"
int verb_trace(const struct conf *conf, int argc, char **argv);

/* verb_debug.c */
#define DEBUG_USAGE \
	"--site S | --client A [--for 10m] | --off [--site S | --client A] | --list [--json]"
int verb_debug(const struct conf *conf, int argc, char **argv);

/* verb_dns.c */
#define DNS_USAGE "NAME TYPE [--json] | --stats [--json] | --flush NAME"
int verb_dns(const struct conf *conf, int argc, char **argv);

/* verb_relay.c */
#define RELAY_USAGE "[ROUTE] [--from ADDRESS] [--to ADDRESS]"
int verb_test_relay(const struct conf *conf, int argc, char **argv);

/* verb_user.c */
#define USER_USAGE "add NAME | passwd NAME | remove NAME | list [--json]"
int verb_user(const struct conf *conf, int argc, char **argv);

/* verb_status.c */
#define STATUS_USAGE "[--json | --counters]"
int verb_status(const struct conf *conf, int argc, char **argv);

/* verb_top.c */
#define TOP_USAGE "[-n COUNT | --once] [-d TIME]"
int verb_top(const struct conf *conf, int argc, char **argv);

/* verb_metrics.c */
int verb_metrics(const struct conf *conf, int argc, char **argv);

/* verb_control.c */
int verb_reload(const struct conf *conf, int argc, char **argv);
int verb_check(const struct conf *conf, int argc, char **argv);
