/* SPDX-License-Identifier: ISC */
/*
 * doctor: what `batonctl doctor` runs. Checks the host, the configuration and the running instance,
 * and says of each in one line whether it is well and what to do if not. Exit code 0: all is well;
 * 1: there are warnings; 2: something doesn't work.
 *
 *     doctor -c FILE [--json] [--connect HOST[:PORT]]
 */
#include "cli/doctor.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/style.h"
#include "cli/tool.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/priv.h"
#include "lib/query.h"
#include "lib/status.h"

static void check_config(struct doctor *d);
static void check_running(struct doctor *d);

static const struct {
	const char *name;
	void (*run)(struct doctor *d);
	bool needs_conf;
} checks[] = {
    {"config", check_config, false},
    {"running", check_running, true},
    {"queue", check_queue, true},
    {"resolver", check_resolver, true},
    {"names", check_names, true},
    {"outgoing", check_outgoing, true},
    {"ports", check_ports, true},
    {"certificate", check_certificate, true},
    {"records", check_records, true},
    {"spool", check_spool, true},
    {"permissions", check_permissions, true},
    {"clock", check_clock, false},
    {"descriptors", check_descriptors, true},
    {"kernel", check_kernel, false},
    {"log", check_log, true},
    {"sendmail", check_sendmail, false},
};

/* -- what is said */

/* print_json - one object a finding */
static void print_json(const struct doctor *d, enum level level, const char *text, const char *fix)
{
	static const char *const names[] = {"ok", "warning", "fail"};
	printf("{\"check\":\"%s\",\"level\":\"%s\",\"text\":", d->check, names[level]);
	json_write(stdout, text, strlen(text));
	fputs(",\"fix\":", stdout);
	json_write(stdout, fix, strlen(fix));
	puts("}");
}

/* print_text - one line, and one for the fix */
static void print_text(const struct doctor *d, enum level level, const char *text, const char *fix)
{
	static const char *const names[] = {"ok", "warning", "FAIL"};
	static const enum style styles[] = {STYLE_GOOD, STYLE_WARN, STYLE_BAD};
	printf("%s%-8s%s %-12s ", style(styles[level]), names[level], style(STYLE_PLAIN), d->check);
	style_clean(stdout, msg_str(text), 0);
	if (fix[0]) {
		printf("\n%22s-> ", "");
		style_clean(stdout, msg_str(fix), 0);
	}
	putchar('\n');
}

/* finding - one line of the report */
void finding(struct doctor *d, enum level level, const char *fix, const char *fmt, ...)
{
	char text[1500];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(d->json ? print_json : print_text)(d, level, text, fix);
	fflush(stdout);
	d->said = true;
	if (level > d->worst)
		d->worst = level;
}

/* -- the instance */

/* connect_to - one of its sockets; -ENOTCONN where nobody listens */
static int connect_to(const struct doctor *d, const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", d->conf->runtime, name);
	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	int r = errno == ENOENT || errno == ECONNREFUSED ? -ENOTCONN : -errno;
	close(fd);
	return r;
}

/* doctor_ask - one request */
int doctor_ask(struct doctor *d, const char *name, enum role role, enum msg_type type,
    const void *msg, const struct chan_handlers *handlers, void *arg, const bool *done)
{
	static unsigned char packet[MSG_PACKET_MAX];
	int fds[MSG_FDS_MAX];
	unsigned nfds;
	int fd = connect_to(d, name);
	if (fd < 0)
		return fd;
	int n = msg_encode(type, msg, packet, sizeof(packet), fds, &nfds), r = n < 0 ? n : 0;
	if (!r && send(fd, packet, (size_t)n, MSG_NOSIGNAL) != n)
		r = -errno;
	int64_t end = clock_ms() + DOCTOR_ASK_MS;
	if (end > d->until)
		end = d->until;
	while (!r && !*done) {
		int64_t left = end - clock_ms();
		r = left > 0 ? chan_receive_once(fd, ROLE_TOOL, role, handlers, arg, (int)left)
			     : -ETIMEDOUT;
	}
	close(fd);
	return *done ? 0 : r;
}

/* on_controlled - master is there */
static void on_controlled(struct chan *chan, union msg_any *msg, void *arg)
{
	(void)chan, (void)msg;
	*(bool *)arg = true;
}

/* check_running - does master answer */
static void check_running(struct doctor *d)
{
	static const struct chan_handlers handlers = {
	    .on = {[MSG_tool_controlled] = on_controlled, [MSG_tool_refused] = on_controlled}};
	const struct msg_tool_control ask = {.verb = CONTROL_STATUS};
	bool done = false;
	int r = doctor_ask(
	    d, CONTROL_SOCKET, ROLE_MASTER, MSG_tool_control, &ask, &handlers, &done, &done);
	d->running = r == 0;
	char fix[700];
	snprintf(fix, sizeof(fix), "start it: `systemctl start baton`, or `baton -c %s`", d->file);
	if (!r)
		finding(
		    d, LEVEL_OK, "", "baton is running, its sockets are in %s", d->conf->runtime);
	else if (r == -ENOTCONN)
		finding(d, LEVEL_FAIL, fix, "baton is not running");
	else if (r == -EACCES)
		finding(d, LEVEL_WARNING, "run the doctor as root", "%s can't be entered by you",
		    d->conf->runtime);
	else
		finding(d, LEVEL_FAIL, "look at the log; `systemctl restart baton`",
		    "baton does not answer: %s", strerror(-r));
}

/* -- the configuration */

/* say_messages - each mistake and note */
static void say_messages(struct doctor *d, const struct conf_messages *msgs)
{
	for (size_t i = 0; i < msgs->n; i++) {
		const struct conf_message *m = &msgs->v[i];
		const char *fix = m->note ? "" : "mend that line; `baton -n -c FILE` checks it";
		if (m->line)
			finding(d, m->note ? LEVEL_WARNING : LEVEL_FAIL, fix, "%s:%u: %s", m->file,
			    m->line, m->text);
		else
			finding(d, m->note ? LEVEL_WARNING : LEVEL_FAIL, fix, "%s: %s", m->file,
			    m->text);
	}
}

/* check_config - with the files it names; who can't read those still gets the rest */
static void check_config(struct doctor *d)
{
	struct conf_messages msgs = {0};
	int r = conf_load_all(d->file, &d->conf, &msgs);
	d->complete = r == 0;
	say_messages(d, &msgs);
	conf_messages_free(&msgs);
	if (r)
		r = conf_load(d->file, &d->conf, &msgs);
	conf_messages_free(&msgs);
	if (!d->conf)
		finding(d, LEVEL_FAIL, "most checks need it", "%s can't be used", d->file);
	else if (!d->complete)
		finding(d, LEVEL_WARNING, priv_is_root() ? "" : "or run the doctor as root",
		    "files that the configuration names are not as they should be");
	else if (!d->said)
		finding(d, LEVEL_OK, "", "%s is good", d->file);
}

/* -- all of it */

/* run - every check of the table */
static void run(struct doctor *d)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (checks[i].needs_conf && !d->conf)
			continue;
		d->check = checks[i].name;
		d->said = false;
		checks[i].run(d);
		if (!d->said)
			finding(d, LEVEL_OK, "", "nothing to say");
	}
}

/* usage - how batonctl calls it */
static int usage(void)
{
	fputs("usage: batonctl doctor [--connect HOST[:PORT]] [--json]\n", stderr);
	return TOOL_USAGE;
}

/* on_alarm - an instance that takes a question and never answers */
static void on_alarm(int sig)
{
	static const char words[] =
	    "doctor: the instance does not answer; the rest is not checked\n";
	(void)sig;
	if (write(STDERR_FILENO, words, sizeof(words) - 1) < 0)
		_exit(LEVEL_FAIL); /* nobody reads it */
	_exit(LEVEL_FAIL);
}

int main(int argc, char **argv)
{
	struct doctor d = {.until = clock_ms() + DOCTOR_MS};
	for (int i = 1; i < argc; i++) {
		const char **to = strcmp(argv[i], "-c") == 0          ? &d.file
				  : strcmp(argv[i], "--connect") == 0 ? &d.connect
								      : NULL;
		if (to && i + 1 < argc)
			*to = argv[++i];
		else if (strcmp(argv[i], "--json") == 0)
			d.json = true;
		else
			return usage();
	}
	if (!d.file)
		return usage();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, on_alarm);
	alarm(DOCTOR_GIVE_UP_S);
	if (!d.json)
		style_choose();
	run(&d);
	conf_free(d.conf);
	return (int)d.worst;
}
