/* SPDX-License-Identifier: ISC */
/* Two short conversations: master's is needed, qmgr's is wanted. */
#include "cli/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/tool.h"
#include "lib/clock.h"
#include "lib/counters.h"

#define QMGR_WAIT_MS 5000   /* a qmgr that is down leaves the connection in its socket's queue */
#define LATELY_MS    300000 /* trouble of a site that is up is shown for so long */

/* grow - room for one more; the program ends without memory */
static void *grow(void *list, size_t n, size_t size)
{
	if (n & (n - 1) && n)
		return list;
	list = realloc(list, (n ? 2 * n : 1) * size);
	if (!list) {
		fputs("out of memory\n", stderr);
		exit(TOOL_FAILED);
	}
	return list;
}

/* copy - text that outlives its packet */
static struct msg_bytes copy(struct msg_bytes text)
{
	char *data = malloc(text.len + 1);
	if (!data) {
		fputs("out of memory\n", stderr);
		exit(TOOL_FAILED);
	}
	if (text.len)
		memcpy(data, text.data, text.len);
	data[text.len] = '\0';
	return msg_bytes(data, text.len);
}

/* -- /proc ----------------------------------------------------------------------------------- */

/* read_proc - a small file of a process; false where it isn't to be had */
static bool read_proc(uint32_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(buf, 1, size - 1, f) : 0;
	if (f)
		fclose(f);
	buf[n] = '\0';
	return n > 0;
}

/* look - memory and CPU of a process (proc(5)) */
static void look(struct snapshot_process *p)
{
	unsigned long pages = 0, user = 0, system = 0;
	char buf[1024];
	const char *at;
	if (!p->p.pid || !read_proc(p->p.pid, "statm", buf, sizeof(buf)) ||
	    sscanf(buf, "%*u %lu", &pages) != 1 || !read_proc(p->p.pid, "stat", buf, sizeof(buf)) ||
	    !(at = strrchr(buf, ')')) ||
	    sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		&system) != 2)
		return;
	p->seen = true;
	p->memory = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
	p->cpu_ms = (uint64_t)(user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* -- master ---------------------------------------------------------------------------------- */

/* on_controlled - the rows of processes; the counters are on the board */
static void on_controlled(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_tool_controlled *m = &msg->tool_controlled;
	struct tool *tool = arg;
	struct snapshot *s = tool->arg;
	struct status_process process;
	struct status_counter counter;
	size_t pos = 0;
	int row;
	(void)chan;
	tool->done = true;
	if (!m->ok) {
		fprintf(stderr, "%.*s\n", (int)m->text.len, m->text.data);
		tool->result = TOOL_FAILED;
		return;
	}
	while ((row = status_next(m->rows, &pos, &process, &counter)) > STATUS_END) {
		if (row != STATUS_PROCESS)
			continue;
		s->processes = grow(s->processes, s->nprocesses, sizeof(*s->processes));
		struct snapshot_process *p = &s->processes[s->nprocesses++];
		*p = (struct snapshot_process){.p = process};
		snprintf(
		    p->state, sizeof(p->state), "%.*s", (int)process.state.len, process.state.data);
		look(p);
	}
}

/* on_board - its descriptor */
static void on_board(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	const struct board **board = tool->arg;
	(void)chan;
	*board = board_view(msg->tool_board.board);
	if (!*board) {
		fprintf(stderr, "the instance's figures: %s%s\n", strerror(errno),
		    errno == EBADMSG ? " (it runs another build: restart it)" : "");
		tool->result = TOOL_FAILED;
	}
	tool->done = true;
}

/* on_refused - master says why not */
static void on_refused(struct chan *chan, union msg_any *msg, void *arg)
{
	const struct msg_tool_controlled *m = &msg->tool_controlled;
	struct tool *tool = arg;
	(void)chan;
	fprintf(stderr, "%.*s\n", (int)m->text.len, m->text.data);
	tool->result = TOOL_FAILED;
	tool->done = true;
}

/* ask_master - one verb */
static int ask_master(const struct conf *conf, enum control_verb verb,
    const struct chan_handlers *handlers, void *arg)
{
	const struct msg_tool_control ask = {.verb = (uint8_t)verb};
	return tool_request(
	    conf, CONTROL_SOCKET, ROLE_MASTER, MSG_tool_control, &ask, handlers, arg);
}

/* snapshot_board - once; it goes on being true */
const struct board *snapshot_board(const struct conf *conf, int *code)
{
	static const struct chan_handlers handlers = {
	    .on = {[MSG_tool_board] = on_board, [MSG_tool_controlled] = on_refused}};
	const struct board *board = NULL;
	*code = ask_master(conf, CONTROL_BOARD, &handlers, &board);
	return board;
}

/* -- qmgr ------------------------------------------------------------------------------------ */

/* on_sites - a packet of sites */
static void on_sites(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	struct snapshot *s = tool->arg;
	struct query_site site;
	size_t pos = 0;
	(void)chan;
	while (query_next_site(msg->tool_site_rows.rows, &pos, &site) == 1) {
		s->sites = grow(s->sites, s->nsites, sizeof(*s->sites));
		site.name = copy(site.name);
		site.trouble = copy(site.trouble);
		bool down = site.state == QUERY_SITE_DOWN || site.state == QUERY_SITE_PROBING;
		bool lately = site.trouble.len && site.trouble_ms + LATELY_MS > s->now_ms;
		s->sites[s->nsites++] =
		    (struct snapshot_site){.s = site, .trouble = down || lately};
	}
	tool->done = msg->tool_site_rows.last;
}

/* on_pauses - a packet of pauses */
static void on_pauses(struct chan *chan, union msg_any *msg, void *arg)
{
	struct tool *tool = arg;
	struct snapshot *s = tool->arg;
	struct query_pause_row row;
	size_t pos = 0;
	(void)chan;
	while (query_next_pause(msg->tool_pause_rows.rows, &pos, &row) == 1) {
		s->pauses = grow(s->pauses, s->npauses, sizeof(*s->pauses));
		row.name = copy(row.name);
		s->pauses[s->npauses++] = row;
	}
	tool->done = msg->tool_pause_rows.last;
}

/* ask_qmgr - pauses, whose answer comes at once or never, then sites */
static int ask_qmgr(struct snapshot *s, const struct conf *conf, bool count)
{
	static const struct chan_handlers handlers = {
	    .on = {[MSG_tool_site_rows] = on_sites, [MSG_tool_pause_rows] = on_pauses}};
	struct tool tool;
	int r = tool_open(&tool, conf, QUERY_SOCKET, ROLE_QMGR);
	if (r)
		return r;
	tool.arg = s;
	tool.wait_ms = QMGR_WAIT_MS;
	r = tool_ask(&tool, MSG_tool_pauses, &(struct msg_tool_pauses){0}, &handlers);
	tool.wait_ms = TOOL_WAIT_MS;
	if (r == TOOL_OK)
		r = tool_ask(
		    &tool, MSG_tool_sites, &(struct msg_tool_sites){.count = count}, &handlers);
	tool_close(&tool);
	return r;
}

/* -- all ------------------------------------------------------------------------------------- */

/* busier - the order of sites */
static int busier(const void *a, const void *b)
{
	const struct snapshot_site *x = a, *y = b;
	uint64_t xs = x->s.queued + x->s.active + x->s.ready,
		 ys = y->s.queued + y->s.active + y->s.ready;
	if (x->trouble != y->trouble)
		return x->trouble ? -1 : 1;
	if (xs != ys)
		return xs < ys ? 1 : -1;
	if (x->s.connections != y->s.connections)
		return x->s.connections < y->s.connections ? 1 : -1;
	return strcmp(x->s.name.data, y->s.name.data);
}

/* snapshot_take - one */
int snapshot_take(
    struct snapshot *s, const struct conf *conf, const struct board *board, bool count)
{
	static const struct chan_handlers handlers = {.on[MSG_tool_controlled] = on_controlled};
	int code = TOOL_OK;
	*s = (struct snapshot){.board = board, .now_ms = (uint64_t)clock_wall_ms()};
	if (!board)
		s->board = snapshot_board(conf, &code);
	if (!s->board)
		return code ? code : TOOL_FAILED;
	code = ask_master(conf, CONTROL_STATUS, &handlers, s);
	if (code)
		return code;
	s->qmgr = ask_qmgr(s, conf, count) == TOOL_OK;
	s->at_ms = clock_ms();
	for (unsigned c = 0; c < COUNTERS; c++)
		s->sum[c] = board_sum(s->board, (enum counter)c);
	if (s->nsites)
		qsort(s->sites, s->nsites, sizeof(*s->sites), busier);
	return TOOL_OK;
}

/* snapshot_free - what was copied */
void snapshot_free(struct snapshot *s)
{
	for (size_t i = 0; i < s->nsites; i++) {
		free((char *)s->sites[i].s.name.data);
		free((char *)s->sites[i].s.trouble.data);
	}
	for (size_t i = 0; i < s->npauses; i++)
		free((char *)s->pauses[i].name.data);
	free(s->sites);
	free(s->pauses);
	free(s->processes);
	*s = (struct snapshot){.board = s->board};
}
