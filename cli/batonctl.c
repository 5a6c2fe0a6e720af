/* SPDX-License-Identifier: ISC */
/* batonctl: a table of verbs, each in the file of its family. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/completion.h"
#include "cli/filter.h"
#include "cli/paths.h"
#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/near.h"

#define CHANGES "ID... | FILTER [--dry-run] [--json]"

static const struct verb {
	const char *name, *words, *help;
	int (*run)(const struct conf *conf, int argc, char **argv);
} verbs[] = {
    {"status", STATUS_USAGE, "what is wrong and what to do; processes, rates, queue, disk",
	verb_status},
    {"top", TOP_USAGE, "the same live: rates, connections, sites and their reasons; q quits",
	verb_top},
    {"metrics", "", "all figures as text for Prometheus", verb_metrics},
    {"queue", FILTER_USAGE "\n           [--by site|reason|sender|class] [--json]",
	"list or group what waits; without a filter everything", verb_queue},
    {"show", "ID... [--json]", "some messages with their recipients", verb_show},
    {"cat", CAT_USAGE, "what a message says, as it was taken", verb_cat},
    {"why", "ID... | FILTER [--json]", "what each recipient waits for, and what to do about it",
	verb_why},
    {"trace", TRACE_USAGE, "every event of a message, from the memory of the processes",
	verb_trace},
    {"flush", CHANGES, "make due now; without a filter everything", verb_flush},
    {"hold", CHANGES, "set aside until released", verb_hold},
    {"release", CHANGES, "undo a hold; one more try for what is damaged or poison", verb_release},
    {"delete", CHANGES " [--bounce]", "take out of the queue, without a bounce", verb_delete},
    {"bounce", CHANGES, "return to the sender", verb_bounce},
    {"pause", "[SITE | --domain D | in | out] [--for 2h] [--json]",
	"stop delivery there, or the intake; without words what is paused", verb_pause},
    {"resume", "SITE | --domain D | in | out | --all [--json]", "undo a pause", verb_resume},
    {"sites", "[--json]", "state, connections and trouble of each site", verb_sites},
    {"explain", EXPLAIN_USAGE, "what would happen now to mail for an address, and why",
	verb_explain},
    {"dns", DNS_USAGE, "what dnscache says about a name, its figures, or forget a name", verb_dns},
    {"test-relay", RELAY_USAGE, "whether a route's hosts would take mail, step by step; sends none",
	verb_test_relay},
    {"debug", DEBUG_USAGE, "log the SMTP dialogues of a site or a client for a while", verb_debug},
    {"user", USER_USAGE, "who may log in; a password comes from the terminal or stdin", verb_user},
    {"config", CONFIG_USAGE, "the options' values, and the file and line each comes from",
	verb_config},
    {"reload", "", "take the configuration file anew", verb_reload},
    {"check", "", "check the configuration file, change nothing", verb_check},
    {"doctor", DOCTOR_USAGE, "host, DNS, ports, files, certificates: what is wrong and its fix",
	verb_doctor},
    {"completion", "bash | zsh", "the shell's completion of these verbs, as a script", NULL},
};

/* usage - all verbs */
static int usage(FILE *to)
{
	fputs("usage: batonctl [-c FILE] VERB ...\n\n", to);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(
		    to, "  %s %s\n           %s\n", verbs[i].name, verbs[i].words, verbs[i].help);
	fputs("\nFILTER: all that is given must match; P is text in which * stands for any text\n",
	    to);
	return TOOL_USAGE;
}

/* find - the row of a verb */
static const struct verb *find(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* completion - of all rows of the table; it needs no configuration */
static int completion(int argc, char **argv)
{
	char names[2000] = "";
	if (argc != 1 || !completion_begin(argv[0])) {
		fputs("usage: batonctl completion bash | zsh\n", stderr);
		return TOOL_USAGE;
	}
	for (size_t i = 0, n = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		completion_verb(verbs[i].name, verbs[i].words);
		n += (size_t)snprintf(
		    names + n, sizeof(names) - n, "%s%s", n ? " " : "", verbs[i].name);
	}
	completion_end(names);
	return fflush(stdout) ? TOOL_FAILED : TOOL_OK;
}

/* no_verb - what there is instead */
static int no_verb(const char *word)
{
	const char *near = NULL;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		near_offer(word, verbs[i].name, &near);
	fprintf(stderr, "batonctl: no verb '%s'%s%s%s; `batonctl --help` lists them\n", word,
	    near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
	return TOOL_USAGE;
}

int main(int argc, char **argv)
{
	const char *file = NULL;
	const struct verb *verb;
	const struct conf *conf;
	int at = 1, code;

	if (argc > 2 && strcmp(argv[1], "-c") == 0) {
		file = argv[2];
		at = 3;
	}
	if (at >= argc || argv[at][0] == '-') {
		bool asked = at < argc && strcmp(argv[at], "--help") == 0;

		usage(asked ? stdout : stderr);
		return asked ? TOOL_OK : TOOL_USAGE;
	}
	verb = find(argv[at]);
	if (!verb)
		return no_verb(argv[at]);
	if (!verb->run)
		return completion(argc - at - 1, argv + at + 1);
	if (verb->run == verb_doctor) {
		if (file && setenv("BATON_CONF", file, 1))
			return TOOL_FAILED;
		return verb_doctor(NULL, argc - at - 1, argv + at + 1);
	}
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	conf = paths_load(file, "batonctl", false);
	if (!conf)
		return TOOL_FAILED;
	code = verb->run(conf, argc - at - 1, argv + at + 1);
	if (fflush(stdout) && code == TOOL_OK)
		code = TOOL_FAILED;
	return code;
}
