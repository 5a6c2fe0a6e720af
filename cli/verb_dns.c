/* SPDX-License-Identifier: ISC */
/*
 * dns NAME TYPE      what dnscache says, and where it has it from
 * dns --stats        its counters and the resolvers
 * dns --flush NAME   it forgets all about a name
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tool.h"
#include "cli/verbs.h"
#include "lib/dns.h"
#include "lib/json.h"
#include "lib/status.h"

/* What was asked, for the printing of its answer. */
struct question {
	uint16_t type;
	const char *name;
	bool json;
};

/* print_text - as zone files escape it: TXT may hold anything, and a terminal must not obey it */
static void print_text(FILE *to, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];
		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			fprintf(to, "\\%03u", c);
		else
			putc(c, to);
	}
}

/* print_record - as a zone file has it, without owner and type; TLSA in hexadecimal */
static void print_record(FILE *to, uint16_t type, const struct dns_record *rec)
{
	char text[DNS_LITERAL_SIZE];
	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		fputs(dns_addr_text(&rec->addr, text), to);
		break;
	case DNS_MX:
		fprintf(to, "%u %.*s", rec->preference, (int)rec->len, rec->data);
		break;
	case DNS_TLSA:
		for (size_t i = 0; i < rec->len; i++)
			fprintf(to, "%02x", (unsigned char)rec->data[i]);
		break;
	default:
		print_text(to, rec->data, rec->len);
	}
}

/* print_json_record - the same as a string */
static void print_json_record(uint16_t type, const struct dns_record *rec)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	if (!f)
		return;
	print_record(f, type, rec);
	fclose(f);
	json_write(stdout, text, len);
	free(text);
}

/* print_records - all of an answer; false when it can't be read */
static bool print_records(const struct question *q, struct msg_bytes records, uint32_t ttl_s)
{
	struct dns_record rec;
	struct wire_in in;
	bool first = true;
	wire_in_init(&in, records.data, records.len);
	while (dns_record_next(&in, q->type, &rec)) {
		if (q->json) {
			fputs(first ? "" : ",", stdout);
			print_json_record(q->type, &rec);
		} else {
			printf("%s. %" PRIu32 " IN %s ", q->name, ttl_s, dns_type_name(q->type));
			print_record(stdout, q->type, &rec);
			putchar('\n');
		}
		first = false;
	}
	return wire_in_end(&in) == 0;
}

/* print_answer_json - one object */
static bool print_answer_json(const struct question *q, const struct msg_dns_explain_is *m)
{
	bool good;
	fputs("{\"name\":", stdout);
	json_write(stdout, q->name, strlen(q->name));
	printf(",\"type\":\"%s\",\"verdict\":\"%s\",\"security\":\"%s\",\"source\":\"%s\","
	       "\"ttl\":%" PRIu32 ",\"us\":%" PRIu32 ",\"server\":",
	    dns_type_name(q->type), dns_verdict_name(m->verdict), dns_security_name(m->security),
	    dns_source_name(m->source), m->ttl_s, m->took_us);
	json_write(stdout, m->server.data, m->server.len);
	fputs(",\"text\":", stdout);
	json_write(stdout, m->text.data, m->text.len);
	fputs(",\"records\":[", stdout);
	good = print_records(q, m->records, m->ttl_s);
	puts("]}");
	return good;
}

/* on_answer - the answer to a question */
static void on_answer(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_dns_explain_is *m = &msg->dns_explain_is;
	struct tool *tool = arg;
	const struct question *q = tool->arg;
	bool good;
	(void)chan;
	tool->done = true;
	if (q->json) {
		good = print_answer_json(q, m);
	} else {
		good = print_records(q, m->records, m->ttl_s);
		printf("; %s, %s, from %s", dns_verdict_name(m->verdict),
		    dns_security_name(m->security), dns_source_name(m->source));
		if (m->server.len > 0)
			printf(" %.*s", (int)m->server.len, m->server.data);
		printf(", good for %" PRIu32 " s, took %" PRIu32 ".%03" PRIu32 " ms%s%.*s\n",
		    m->ttl_s, m->took_us / 1000, m->took_us % 1000, m->text.len > 0 ? ": " : "",
		    (int)m->text.len, m->text.data);
	}
	tool->result = good && m->verdict == DNS_OK ? TOOL_OK : TOOL_FAILED;
}

/* print_counters - a line or an object each */
static void print_counters(struct msg_bytes rows, bool json)
{
	struct status_process process;
	struct status_counter counter;
	size_t pos = 0;
	while (status_next(rows, &pos, &process, &counter) == STATUS_COUNTER)
		printf(json ? "{\"counter\":\"%.*s\",\"value\":%" PRIu64 "}\n"
			    : "%-32.*s %12" PRIu64 "\n",
		    (int)counter.name.len, counter.name.data, counter.value);
}

/* print_server - a line or an object */
static void print_server(const struct dns_server *s, bool json)
{
	const char *state = s->down ? "down" : "up";
	if (json)
		printf("{\"server\":\"%s\",\"state\":\"%s\",\"trusted\":%s,\"latency_us\":%" PRIu32
		       ",\"sent\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"silent\":%" PRIu64
		       ",\"refused\":%" PRIu64 "}\n",
		    s->name, state, s->trusted ? "true" : "false", s->latency_us, s->sent,
		    s->answered, s->silent, s->refused);
	else
		printf("%-24s %-5s %-7s %6" PRIu32 ".%03" PRIu32 " %10" PRIu64 " %10" PRIu64
		       " %8" PRIu64 " %8" PRIu64 "\n",
		    s->name, state, s->trusted ? "yes" : "no", s->latency_us / 1000,
		    s->latency_us % 1000, s->sent, s->answered, s->silent, s->refused);
}

/* on_stats - the figures */
static void on_stats(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_dns_stats_is *m = &msg->dns_stats_is;
	struct tool *tool = arg;
	const bool *json = tool->arg;
	struct dns_server server;
	struct wire_in in;
	(void)chan;
	tool->done = true;
	print_counters(m->counters, *json);
	if (!*json)
		puts("\nserver                   state trusted latency/ms      sent   answered   "
		     "silent  refused");
	wire_in_init(&in, m->servers.data, m->servers.len);
	while (dns_server_next(&in, &server))
		print_server(&server, *json);
	tool->result = wire_in_end(&in) == 0 ? TOOL_OK : TOOL_FAILED;
}

/* on_flushed - how much went */
static void on_flushed(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_dns_flush_is *m = &msg->dns_flush_is;
	struct tool *tool = arg;
	(void)chan;
	tool->done = true;
	tool->result = m->text.len > 0 ? TOOL_FAILED : TOOL_OK;
	if (m->text.len > 0)
		fprintf(stderr, "%.*s\n", (int)m->text.len, m->text.data);
	else
		printf("%" PRIu32 " answer%s forgotten\n", m->entries, m->entries == 1 ? "" : "s");
}

static const struct chan_handlers handlers = {
    .on[MSG_dns_explain_is] = on_answer,
    .on[MSG_dns_stats_is] = on_stats,
    .on[MSG_dns_flush_is] = on_flushed,
};

/* ask - one request to dnscache */
static int ask(const struct conf *conf, enum msg_type type, const void *msg, void *arg)
{
	return tool_request(conf, DNS_SOCKET, ROLE_DNSCACHE, type, msg, &handlers, arg);
}

/* question - NAME TYPE; the name of an address is asked for by the address */
static int question(const struct conf *conf, const char *name, const char *type, bool json)
{
	struct question q = {.type = dns_type_parse(type), .name = name, .json = json};
	char reverse[DNS_NAME_SIZE], clean[DNS_NAME_SIZE];
	struct dns_addr addr;
	if (!q.type) {
		fprintf(
		    stderr, "%s: A, AAAA, CNAME, MX, PTR, TLSA and TXT can be asked for\n", type);
		return TOOL_USAGE;
	}
	if (q.type == DNS_PTR && dns_addr_parse(name, strlen(name), &addr) == 0) {
		dns_addr_reverse(&addr, reverse);
		q.name = reverse;
	} else if (dns_name_clean(name, strlen(name), clean) == 0) {
		q.name = clean;
	}
	const struct msg_dns_explain msg = {.request = 1, .type = q.type, .name = msg_str(q.name)};
	return ask(conf, MSG_dns_explain, &msg, &q);
}

/* verb_dns - one of the three */
int verb_dns(const struct conf *conf, int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[argc - 1], "--json") == 0;
	int n = argc - json;
	const struct msg_dns_stats stats = {.request = 1};
	if (argc >= 1 && strcmp(argv[0], "--stats") == 0 && n == 1)
		return ask(conf, MSG_dns_stats, &stats, &json);
	if (n == 2 && !json && strcmp(argv[0], "--flush") == 0) {
		const struct msg_dns_flush flush = {.request = 1, .name = msg_str(argv[1])};
		return ask(conf, MSG_dns_flush, &flush, NULL);
	}
	if (n == 2 && argv[0][0] != '-')
		return question(conf, argv[0], argv[1], json);
	fputs("usage: batonctl dns " DNS_USAGE "\n", stderr);
	return TOOL_USAGE;
}
