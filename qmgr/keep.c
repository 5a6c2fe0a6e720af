/* SPDX-License-Identifier: ISC */
/* A table of encoded rows by name, and a list of live sites whose row is to be written. */
#include "qmgr/keep.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/loop.h"
#include "qmgr/batch.h"
#include "qmgr/index.h"
#include "qmgr/keys.h"
#include "qmgr/message.h"
#include "qmgr/now.h"
#include "qmgr/site.h"

#define DAY_MS UINT64_C(86400000)

struct kept {
	uint64_t used_ms;
	UT_hash_handle hh;
	uint16_t len;
	unsigned char row[]; /* len bytes, then the name */
};

static struct {
	struct kept *table;
	struct site *dirty;
	struct event *timer;
} keep;

/* find - by name */
static struct kept *find(const char *name, size_t len)
{
	struct kept *k;
	HASH_FIND(hh, keep.table, name, len, k);
	return k;
}

/* drop - out of memory */
static void drop(struct kept *k)
{
	HASH_DELETE(hh, keep.table, k);
	free(k);
}

/* add - a row under a name; replaces another one */
static void add(const char *name, size_t name_len, const void *row, size_t len, uint64_t used_ms)
{
	struct kept *k = find(name, name_len);
	if (k)
		drop(k);
	k = calloc(1, sizeof(*k) + len + name_len + 1);
	if (!k)
		log_fatal("out of memory for what is known of sites");
	k->used_ms = used_ms;
	k->len = (uint16_t)len;
	memcpy(k->row, row, len);
	char *copy = (char *)k->row + len;
	memcpy(copy, name, name_len);
	HASH_ADD_KEYPTR(hh, keep.table, copy, name_len, k);
	if (!hash_added(k))
		log_fatal("out of memory for what is known of sites");
}

/* load_row - one entry of the table; what can't be read isn't needed */
static int load_row(struct msg_bytes key, struct msg_bytes value, struct msg_bytes *seek, void *arg)
{
	struct row_site row;
	(void)seek, (void)arg;
	if (value.len <= KEYS_ROW_MAX && !keys_get_site_row(value.data, value.len, &row))
		add(key.data, key.len, value.data, value.len, row.used_ms);
	return 0;
}

/* keep_load - all of it: one row for each site that ever made trouble */
int keep_load(void)
{
	int err = index_read_begin();
	if (!err)
		err = index_walk(TABLE_SITE, "", 0, load_row, NULL);
	index_read_end();
	return err;
}

/* -- from a site and back */

/* keep_worth - whether anything differs from a site that was never seen */
bool keep_worth(const struct site *site)
{
	const struct throttle *t = &site->throttle;
	if (site->ours || strchr(site->name, ' '))
		return false; /* our own, and names that DNS had no answer for */
	return site->state != SITE_UP || site->probe_interval || site->fewer || site->one_domain ||
	       site->steps_ms || t->ceiling || t->limit != THROTTLE_START ||
	       site->ipv4_until > now_ms();
}

/* to_row - as it is now; the text is the site's */
static void to_row(const struct site *site, struct row_site *row)
{
	const struct throttle *t = &site->throttle;
	bool down = site->state != SITE_UP;
	*row = (struct row_site){.used_ms = now_ms(),
	    .limit = t->limit,
	    .ceiling = t->ceiling,
	    .hold_ms = t->hold_ms,
	    .try_ms = t->ceiling ? t->try_ms : 0,
	    .recipients = site->fewer,
	    .one_domain = site->one_domain,
	    .ipv4_ms = site->ipv4_until,
	    .steps_ms = site->steps_ms,
	    .down_ms = down ? site->down_since : 0,
	    .interval_ms = site->probe_interval,
	    /* while a probe is on its way another one isn't due before the next interval */
	    .probe_ms = down && !site->probe_at ? now_ms() + site->probe_interval : site->probe_at,
	    .trouble_ms = site->trouble ? site->trouble->at_ms : 0,
	    .trouble = msg_str(site->trouble ? site->trouble->text : "")};
}

/* soon - a time no later than `ms` from now, whatever another clock wrote */
static uint64_t soon(uint64_t when, uint64_t ms)
{
	uint64_t latest = now_ms() + ms;
	return when < latest ? when : latest;
}

/* from_row - a new site knows it again */
static void from_row(struct site *site, const struct row_site *row)
{
	struct throttle *t = &site->throttle;
	if (row->limit)
		t->limit = row->limit < UINT32_MAX ? (uint32_t)row->limit : UINT32_MAX;
	t->ceiling = row->ceiling < UINT32_MAX ? (uint32_t)row->ceiling : 0;
	t->hold_ms = row->hold_ms;
	t->try_ms = soon(row->try_ms, row->hold_ms);
	t->slow = !row->ceiling && row->limit >= THROTTLE_START;
	site->fewer = row->recipients < UINT32_MAX ? (uint32_t)row->recipients : 0;
	site->one_domain = row->one_domain;
	site->ipv4_until = row->ipv4_ms ? soon(row->ipv4_ms, SITE_IPV4_MS) : 0;
	site->steps_ms = soon(row->steps_ms, 0);
	site->probe_interval = row->interval_ms;
	if (row->trouble.len)
		site_restore_trouble(site, row->trouble, row->trouble_ms);
	if (row->down_ms)
		site_restore_down(site, row->down_ms, soon(row->probe_ms, 2 * row->interval_ms));
}

/* keep_restore - what is kept under that name */
bool keep_restore(struct site *site, const char *name)
{
	struct row_site row;
	struct kept *k = find(name, strlen(name));
	if (!k || keys_get_site_row(k->row, k->len, &row))
		return false;
	from_row(site, &row);
	site->kept_ms = k->used_ms;
	if (!strcmp(name, site->name))
		drop(k);
	return true;
}

/* keep_copy - what another site knows */
void keep_copy(struct site *site, const struct site *from)
{
	struct row_site row;
	to_row(from, &row);
	from_row(site, &row);
}

/* -- writing */

/* encode - its row; 0: nothing was learned */
static size_t encode(const struct site *site, unsigned char buf[KEYS_ROW_MAX])
{
	struct row_site row;
	if (!keep_worth(site))
		return 0;
	to_row(site, &row);
	int len = keys_put_site_row(&row, buf);
	if (len < 0)
		log_bug("row of a site: %d", len);
	return (size_t)len;
}

/* clean - not in the list any more */
static void clean(struct site *site)
{
	if (site->dirty)
		DL_DELETE2(keep.dirty, site, dirty_prev, dirty_next);
	site->dirty = false;
}

/* keep_now - into the next transaction */
void keep_now(struct site *site)
{
	unsigned char buf[KEYS_ROW_MAX];
	size_t len = encode(site, buf);
	clean(site);
	if (len || site->kept_ms)
		batch_site(site->name, buf, len);
	site->kept_ms = len ? now_ms() : 0;
}

/* keep_flush - what has changed lately */
void keep_flush(void)
{
	while (keep.dirty)
		keep_now(keep.dirty);
}

/* on_timer - the changes have gathered long enough */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	keep_flush();
}

/* keep_changed - into the list */
void keep_changed(struct site *site)
{
	if (site->dirty || site->ours)
		return;
	site->dirty = true;
	DL_APPEND2(keep.dirty, site, dirty_prev, dirty_next);
	if (!keep.timer && !(keep.timer = evtimer_new(loop_base(), on_timer, NULL)))
		log_fatal("out of memory for a timer");
	if (!evtimer_pending(keep.timer, NULL))
		event_add(keep.timer, &(struct timeval){.tv_sec = KEEP_MS / 1000});
}

/* keep_leave - the site goes, what it knew stays */
void keep_leave(struct site *site)
{
	unsigned char buf[KEYS_ROW_MAX];
	size_t len = encode(site, buf);
	if (site->dirty)
		keep_now(site);
	if (len)
		add(site->name, strlen(site->name), buf, len, now_ms());
}

/* keep_sweep - old rows go; those of sites in use are written anew once a day */
void keep_sweep(void)
{
	struct kept *k, *tmp;
	uint64_t now = now_ms();
	for (struct site *site = site_first(); site; site = site->hh.next)
		if (site->kept_ms && site->kept_ms + DAY_MS < now)
			keep_changed(site);
	HASH_ITER (hh, keep.table, k, tmp) {
		if (k->used_ms + KEEP_DAYS * DAY_MS > now)
			continue;
		batch_site((const char *)k->row + k->len, NULL, 0);
		drop(k);
	}
}
