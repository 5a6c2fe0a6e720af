/* SPDX-License-Identifier: ISC */
/*
 * A table by kind and name, in lower case. One timer for the pause that ends first. A change is
 * carried out at once and written with the next transaction.
 */
#include "qmgr/pause.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "qmgr/batch.h"
#include "qmgr/dest.h"
#include "qmgr/dispatch.h"
#include "qmgr/index.h"
#include "qmgr/keys.h"
#include "qmgr/links.h"
#include "qmgr/now.h"
#include "qmgr/reclaim.h"
#include "qmgr/schedule.h"
#include "qmgr/site.h"

#define KEY_MAX (1 + QUERY_PAUSE_NAME_MAX) /* kind, name */
#define META    (sizeof(KEYS_META_PAUSE) - 1)

struct pause {
	uint64_t since, until; /* until 0: for good */
	UT_hash_handle hh;
	size_t len;
	char key[]; /* kind, name, NUL */
};

static struct pause *table;
static struct event *timer;

/* make_key - kind and name in lower case; its length, 0 when the name is too long */
static size_t make_key(char key[KEY_MAX + 1], unsigned kind, const char *name, size_t len)
{
	if (len > QUERY_PAUSE_NAME_MAX)
		return 0;
	key[0] = (char)kind;
	if (len)
		str_lower(key + 1, name, len);
	key[1 + len] = '\0';
	return 1 + len;
}

/* find - by kind and name */
static struct pause *find(unsigned kind, const char *name, size_t len)
{
	char key[KEY_MAX + 1];
	struct pause *pause = NULL;
	size_t key_len = table ? make_key(key, kind, name, len) : 0;
	if (key_len)
		HASH_FIND(hh, table, key, key_len, pause);
	return pause;
}

/* -- what holds */

/* pause_count - of all kinds */
unsigned pause_count(void)
{
	return HASH_COUNT(table);
}

/* pause_any - the short way for everybody */
bool pause_any(void)
{
	return table != NULL;
}

/* pause_covers_intake - smtpd is to refuse */
bool pause_covers_intake(void)
{
	return find(QUERY_PAUSE_IN, "", 0) != NULL;
}

/* pause_covers_domain - of a recipient */
bool pause_covers_domain(const char *domain, size_t len)
{
	return find(QUERY_PAUSE_DOMAIN, domain, len) != NULL;
}

/* pause_covers_site - by its name, or all */
bool pause_covers_site(const struct site *site)
{
	if (!table || !strcmp(site->name, SITE_NOTICE))
		return false;
	return find(QUERY_PAUSE_OUT, "", 0) ||
	       find(QUERY_PAUSE_SITE, site->name, strlen(site->name));
}

/* pause_covers_dest - by its domain, or all */
bool pause_covers_dest(const struct dest *dest)
{
	const size_t prefix = sizeof(PAUSE_DEST) - 1;
	if (!table || !strcmp(dest->name, DEST_NOTICE))
		return false;
	if (find(QUERY_PAUSE_OUT, "", 0))
		return true;
	if (dest->domain_len)
		return pause_covers_domain(dest->name, dest->domain_len);
	return !strncmp(dest->name, PAUSE_DEST, prefix) &&
	       pause_covers_domain(dest->name + prefix, dest->name_len - prefix);
}

/* pause_of - the one in a recipient's way */
const struct pause *pause_of(const struct site *site, const char *domain, size_t len)
{
	const struct pause *pause = find(QUERY_PAUSE_OUT, "", 0);
	if (!pause)
		pause = find(QUERY_PAUSE_DOMAIN, domain, len);
	if (!pause && site)
		pause = find(QUERY_PAUSE_SITE, site->name, strlen(site->name));
	return pause;
}

/* pause_until - its end */
uint64_t pause_until(const struct pause *pause)
{
	return pause->until;
}

/* pause_words - for people */
void pause_words(const struct pause *pause, char *out, size_t size)
{
	char what[KEY_MAX + 20], when[64] = "until it is resumed";
	unsigned kind = (unsigned char)pause->key[0];
	if (kind == QUERY_PAUSE_OUT)
		snprintf(what, sizeof(what), "all delivery");
	else
		snprintf(what, sizeof(what), "%s %s", query_pause_name(kind), pause->key + 1);
	if (pause->until) {
		time_t until = (time_t)(pause->until / 1000);
		struct tm tm;
		strftime(when, sizeof(when), "until %Y-%m-%d %H:%M:%S", localtime_r(&until, &tm));
	}
	snprintf(out, size, "%s is paused %s", what, when);
}

/* -- carrying a change out */

/* rest_dest - a destination begins or ends its rest */
static void rest_dest(struct dest *dest)
{
	bool was = dest->paused;
	dest->paused = pause_covers_dest(dest);
	if (dest->paused && !was)
		schedule_park(dest);
	else if (!dest->paused && was)
		schedule_refill(dest);
}

/* rest_site - a site begins or ends its rest */
static void rest_site(struct site *site)
{
	bool was = site->paused;
	site->paused = pause_covers_site(site);
	if (site->paused == was)
		return;
	for (struct pool *pool = site->pools; pool; pool = pool->next) {
		struct dest *dest, *tmp;
		while (site->paused && dispatch_close(pool))
			;
		DL_FOREACH_SAFE2(pool->dests, dest, tmp, pool_next)
		{
			if (site->paused)
				schedule_park(dest);
			else
				schedule_refill(dest);
		}
	}
	if (!site->paused)
		site_flush(site); /* it wasn't probed meanwhile */
}

/* changed - everything follows what holds now */
static void changed(unsigned kind)
{
	struct smtpd_link *link;
	struct site *site;
	struct dest *dest, *tmp;
	if (kind == QUERY_PAUSE_IN) {
		DL_FOREACH (links_smtpds(), link)
			space_tell(link);
		return;
	}
	/* Destinations first: a site that rests no more must find those that still do. */
	HASH_ITER (hh, dest_first(), dest, tmp) {
		rest_dest(dest);
		if (kind == QUERY_PAUSE_DOMAIN && dest->nready && !dest->domain_len)
			dest_reroute(dest);
	}
	for (site = site_first(); site; site = site->hh.next)
		rest_site(site);
}

/* write - its row, or the end of it */
static void write(const struct pause *pause, bool gone)
{
	char key[META + KEY_MAX];
	uint64_t value[2] = {htobe64(pause->since), htobe64(pause->until)};
	memcpy(key, KEYS_META_PAUSE, META);
	memcpy(key + META, pause->key, pause->len);
	batch_meta(key, META + pause->len, gone ? NULL : value, sizeof(value));
}

/* tell - the log's line */
static void tell(const struct pause *pause, const char *what)
{
	uint64_t now = now_ms();
	log_event(LOG_INFO, 0, what, LOG_STR("what", query_pause_name((uint8_t)pause->key[0])),
	    LOG_IF(pause->len > 1, LOG_STR("name", pause->key + 1)),
	    LOG_IF(pause->until > now, LOG_U64("for_s", (pause->until - now) / 1000)));
}

/* arm - the timer, for the first that ends */
static void arm(void)
{
	uint64_t now = now_ms(), first = UINT64_MAX;
	for (const struct pause *pause = table; pause; pause = pause->hh.next)
		if (pause->until && pause->until < first)
			first = pause->until;
	if (first == UINT64_MAX) {
		event_del(timer);
		return;
	}
	uint64_t ms = first > now ? first - now : 0;
	event_add(timer, &(struct timeval){.tv_sec = (time_t)(ms / 1000),
			     .tv_usec = (suseconds_t)(ms % 1000 * 1000)});
}

/* end_one - it is over */
static void end_one(struct pause *pause)
{
	unsigned kind = (unsigned char)pause->key[0];
	HASH_DELETE(hh, table, pause);
	write(pause, true);
	tell(pause, "resume");
	changed(kind);
	free(pause);
}

/* on_timer - the time of some is over */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct pause *pause, *tmp;
	(void)fd, (void)what, (void)arg;
	HASH_ITER (hh, table, pause, tmp) {
		if (pause->until && pause->until <= now_ms())
			end_one(pause);
	}
	arm();
}

/* add - one more, into the table only */
static struct pause *add(const char *key, size_t len)
{
	struct pause *pause = calloc(1, sizeof(*pause) + len + 1);
	if (!pause)
		log_fatal("out of memory for a pause");
	pause->len = len;
	memcpy(pause->key, key, len);
	HASH_ADD(hh, table, key, pause->len, pause);
	if (!hash_added(pause))
		log_fatal("out of memory for a pause");
	return pause;
}

/* is_known - whether it names something that is in use now */
static bool is_known(enum query_pause kind, const char *name)
{
	if (kind != QUERY_PAUSE_SITE)
		return true;
	for (const struct site *site = site_first(); site; site = site->hh.next)
		if (str_is_ci(site->name, strlen(site->name), name))
			return true;
	return false;
}

/* pause_begin - one, or another end for it */
int pause_begin(enum query_pause kind, struct msg_bytes name, uint64_t for_ms, bool *known)
{
	char key[KEY_MAX + 1];
	size_t len = make_key(key, kind, name.data, name.len);
	bool named = kind == QUERY_PAUSE_SITE || kind == QUERY_PAUSE_DOMAIN;
	if (kind < QUERY_PAUSE_SITE || kind >= QUERY_PAUSES || !len || named != (len > 1))
		return -EINVAL;
	struct pause *pause = find(kind, name.data, name.len);
	if (!pause && HASH_COUNT(table) >= PAUSES_MAX)
		return -EMFILE;
	bool is_new = !pause;
	if (is_new) {
		pause = add(key, len);
		pause->since = now_ms();
	}
	pause->until = for_ms ? now_ms() + for_ms : 0;
	write(pause, false);
	tell(pause, "pause");
	arm();
	if (is_new)
		changed(kind);
	*known = is_known(kind, pause->key + 1);
	return 0;
}

/* pause_end - one, or all */
unsigned pause_end(unsigned kind, struct msg_bytes name)
{
	struct pause *pause, *tmp;
	unsigned n = 0;
	if (kind) {
		pause = find(kind, name.data, name.len);
		if (pause)
			end_one(pause);
		n = pause != NULL;
	} else {
		HASH_ITER (hh, table, pause, tmp) {
			end_one(pause);
			n++;
		}
	}
	arm();
	return n;
}

/* pause_list - to a tool */
void pause_list(struct chan *chan)
{
	static unsigned char buf[QUERY_ROWS_MAX];
	struct wire_out out;
	wire_out_fixed(&out, buf, sizeof(buf));
	for (const struct pause *pause = table; pause;) {
		const struct query_pause_row row = {.kind = (uint8_t)pause->key[0],
		    .name = msg_str(pause->key + 1),
		    .since_ms = pause->since,
		    .until_ms = pause->until};
		if (query_pause_put(&out, &row) == 0) {
			pause = pause->hh.next;
			continue;
		}
		CHAN_SEND(chan, tool_pause_rows, .rows = msg_bytes(buf, out.len), .last = false);
		wire_out_reset(&out);
	}
	CHAN_SEND(chan, tool_pause_rows, .rows = msg_bytes(buf, out.len), .last = true);
}

/* -- start */

/* load_one - a row of the index; the walk ends behind those that are pauses */
static int load_one(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct wire_in in;
	(void)seek, (void)arg;
	if (key.len < META || memcmp(key.data, KEYS_META_PAUSE, META))
		return 1;
	size_t len = key.len - META;
	if (!len || len > KEY_MAX)
		return -EBADMSG;
	wire_in_init(&in, value.data, value.len);
	struct pause *pause = add(key.data + META, len);
	pause->since = wire_get_u64(&in);
	pause->until = wire_get_u64(&in);
	tell(pause, "paused");
	return wire_in_end(&in);
}

/* pause_load - what an earlier run was told */
int pause_load(void)
{
	timer = evtimer_new(loop_base(), on_timer, NULL);
	if (!timer)
		return -ENOMEM;
	int err = index_read_begin();
	if (err)
		return err;
	err = index_walk(TABLE_META, KEYS_META_PAUSE, META, load_one, NULL);
	index_read_end();
	arm();
	return err > 0 ? 0 : err;
}
