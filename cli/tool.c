/* SPDX-License-Identifier: ISC */
#include "cli/tool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* say_not_running - and how to change that; another configuration may be another instance */
static void say_not_running(const struct conf *conf)
{
	fprintf(stderr,
	    "baton is not running with %s: start it with `systemctl start baton` or `baton -c %s`; "
	    "`batonctl doctor` says what may be in its way\n",
	    conf->file[0] ? conf->file : "an empty configuration",
	    conf->file[0] ? conf->file : CONF_PATH_DEFAULT);
}

/* tool_open - connect, or say why not */
int tool_open(struct tool *tool, const struct conf *conf, const char *name, enum role role)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", conf->runtime, name);

	*tool = (struct tool){.fd = -1, .role = role, .result = TOOL_OK, .wait_ms = TOOL_WAIT_MS};
	if (n < 0 || (size_t)n >= sizeof(addr.sun_path)) {
		fprintf(stderr, "%s/%s: the path is too long for a socket\n", conf->runtime, name);
		return TOOL_UNREACHABLE;
	}
	tool->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (tool->fd < 0 || connect(tool->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		const char *hint =
		    errno == EACCES ? " (you may not enter the folder of the sockets)" : "";
		bool down = errno == ENOENT || errno == ECONNREFUSED;

		fprintf(stderr, "%s: %s%s\n", addr.sun_path, strerror(errno), hint);
		if (down)
			say_not_running(conf);
		tool_close(tool);
		return TOOL_UNREACHABLE;
	}
	return TOOL_OK;
}

/* send_request - one message, one packet */
static int send_request(const struct tool *tool, enum msg_type type, const void *msg)
{
	static unsigned char packet[MSG_PACKET_MAX];
	int fds[MSG_FDS_MAX];
	unsigned nfds;
	int n = msg_encode(type, msg, packet, sizeof(packet), fds, &nfds);

	if (n < 0)
		return n;
	return send(tool->fd, packet, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -errno;
}

/* tool_change_failed - done, and perhaps with a word of why not */
bool tool_change_failed(struct tool *tool, const struct msg_tool_changed *m)
{
	tool->done = true;
	if (m->error.len == 0)
		return false;
	fprintf(stderr, "%.*s\n", (int)m->error.len, m->error.data);
	tool->result = TOOL_FAILED;
	return true;
}

/* on_refused - there will be no other answer */
static void on_refused(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;

	(void)chan;
	if (!tool_change_failed(tool, &msg->tool_changed))
		tool->result = TOOL_FAILED;
}

/* on_not_allowed - who may, by the role's word */
static void on_not_allowed(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_bytes text = msg->tool_refused.text;
	struct tool *tool = arg;

	(void)chan;
	fprintf(stderr, "%.*s\n", (int)text.len, text.data);
	tool->result = TOOL_NOT_ALLOWED;
	tool->done = true;
}

/* tool_ask - one request, its answers */
int tool_ask(
    struct tool *tool, enum msg_type type, const void *msg, const struct chan_handlers *handlers)
{
	struct chan_handlers all = *handlers;
	int r = send_request(tool, type, msg);

	if (!all.on[MSG_tool_changed])
		all.on[MSG_tool_changed] = on_refused;
	all.on[MSG_tool_refused] = on_not_allowed;
	if (r == -EPIPE || r == -ECONNRESET)
		r = 0; /* why may wait to be read */
	tool->done = false;
	while (r == 0 && !tool->done)
		r = chan_receive_once(tool->fd, ROLE_TOOL, tool->role, &all, tool, tool->wait_ms);
	if (tool->done)
		return tool->result;
	if (r == -EPIPE || r == -ECONNRESET)
		fprintf(
		    stderr, "%s closed the connection without an answer\n", role_name(tool->role));
	else
		fprintf(stderr, "%s: %s\n", role_name(tool->role), strerror(-r));
	return TOOL_FAILED;
}

/* tool_close - a second time does no harm */
void tool_close(struct tool *tool)
{
	if (tool->fd >= 0)
		close(tool->fd);
	tool->fd = -1;
}

/* tool_say_own - or an empty list would mean more than it does */
void tool_say_own(const struct tool *tool)
{
	if (tool->own)
		fputs("only your own mail was looked at\n", stderr);
}

/* tool_request - from the connection to its end */
int tool_request(const struct conf *conf, const char *name, enum role role, enum msg_type type,
    const void *msg, const struct chan_handlers *handlers, void *arg)
{
	struct tool tool;
	int r = tool_open(&tool, conf, name, role);

	if (r)
		return r;
	tool.arg = arg;
	r = tool_ask(&tool, type, msg, handlers);
	tool_close(&tool);
	return r;
}
