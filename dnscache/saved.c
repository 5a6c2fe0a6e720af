/* SPDX-License-Identifier: ISC */
/*
 * One thread for each save, which owns the encoded octets and ends with it. A save that takes
 * longer than until the next one lets that one out.
 */
#include "dnscache/saved.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"

enum { HEAD = 8 + 4 + 4 + 8 };

static const char magic[8] = "BatonDNS";

static int file = -1;
static struct cache *saved_cache;
static struct event *timer;
static uint64_t puts_saved;     /* the cache's count at the last save */
static atomic_bool saving;      /* a thread is at it */
static atomic_int saving_error; /* of the last one */

/* What a thread writes. */
struct job {
	uint8_t *data;
	size_t len;
};

/* What the walk over the cache needs. */
struct walk {
	struct wire_out out;
	int64_t to_wall_ms; /* from the monotonic to the wall clock */
};

/* put_entry - one entry; false when the file is full */
static bool put_entry(uint16_t type, const char *name, const struct cache_entry *e, void *arg)
{
	struct walk *walk = arg;
	struct wire_out *w = &walk->out;
	size_t at = w->len, len = strlen(name);

	if (e->fact.verdict == DNS_TEMPFAIL)
		return true;
	wire_put_u16(w, type);
	wire_put_u8(w, (uint8_t)len);
	wire_put_raw(w, name, len);
	wire_put_u8(w, (uint8_t)e->fact.verdict);
	wire_put_u8(w, (uint8_t)e->fact.security);
	wire_put_u32(w, e->fact.ttl_s);
	wire_put_u64(w, (uint64_t)(e->good_ms + walk->to_wall_ms));
	wire_put_bytes(w, (const char *)e->fact.records, e->fact.len);
	if (w->err == 0)
		return true;
	w->len = at;
	return false;
}

/* saved_encode - the file's content */
long saved_encode(const struct cache *cache, int64_t now_ms, int64_t wall_ms, uint8_t **out)
{
	struct walk walk = {.to_wall_ms = wall_ms - now_ms};
	uint8_t *data = malloc(HEAD + SAVED_BYTES_MAX);
	struct wire_out head;

	if (data == NULL)
		return -ENOMEM;
	wire_out_fixed(&walk.out, data + HEAD, SAVED_BYTES_MAX);
	cache_walk(cache, put_entry, &walk);
	wire_out_fixed(&head, data, HEAD);
	wire_put_raw(&head, magic, sizeof(magic));
	wire_put_u32(&head, SAVED_VERSION);
	wire_put_u32(&head, (uint32_t)walk.out.len);
	wire_put_u64(&head, XXH3_64bits(data + HEAD, walk.out.len));
	*out = data;
	return (long)(HEAD + walk.out.len);
}

/* One entry as it stands in the file. */
struct entry {
	uint16_t type;
	char name[DNS_NAME_SIZE];
	struct cache_fact fact;
	int64_t good_wall_ms;
};

/* get_entry - the next entry; false at the end and for what can't be read */
static bool get_entry(struct wire_in *w, struct entry *e)
{
	const char *name;
	size_t len;

	if (wire_left(w) == 0)
		return false;
	memset(e, 0, sizeof(*e));
	e->type = wire_get_u16(w);
	len = wire_get_u8(w);
	name = (const char *)wire_get_raw(w, len);
	e->fact.verdict = (enum dns_verdict)wire_get_u8(w);
	e->fact.security = (enum dns_security)wire_get_u8(w);
	e->fact.ttl_s = wire_get_u32(w);
	e->good_wall_ms = (int64_t)wire_get_u64(w);
	e->fact.records = (const uint8_t *)wire_get_bytes(w, &e->fact.len);
	e->fact.why = "";
	if (w->err != 0 || dns_name_clean(name, len, e->name) != 0)
		return false;
	return true;
}

/* good_records - whether the records are what query.c would have made of an answer */
static bool good_records(const struct entry *e)
{
	char name[DNS_NAME_SIZE];
	struct dns_record rec;
	struct wire_in w;

	wire_in_init(&w, e->fact.records, e->fact.len);
	while (dns_record_next(&w, e->type, &rec))
		if ((e->type == DNS_MX || e->type == DNS_PTR || e->type == DNS_CNAME) &&
		    dns_name_clean(rec.data, rec.len, name) != 0)
			return false;
	return wire_in_end(&w) == 0;
}

/* good_entry - whether it could have come from the network */
static bool good_entry(const struct entry *e)
{
	if (dns_type_name(e->type) == NULL || e->fact.verdict >= DNS_TEMPFAIL ||
	    e->fact.security > DNS_SECURE || e->fact.len > DNS_RECORDS_BYTES)
		return false;
	if (e->fact.verdict == DNS_NULLMX && e->type != DNS_MX)
		return false;
	return e->fact.verdict == DNS_OK ? good_records(e) : e->fact.len == 0;
}

/* take_entry - into the cache, for as long as it is good by our clock; false: it isn't any more */
static bool take_entry(struct cache *cache, const struct entry *e, int64_t now_ms, int64_t wall_ms)
{
	int64_t ttl_ms = (int64_t)cache_ttl(&e->fact) * 1000, left_ms;

	if (e->good_wall_ms < 0 || e->good_wall_ms > wall_ms + ttl_ms)
		left_ms = 0; /* a clock was wrong: it may serve when nobody answers */
	else
		left_ms = e->good_wall_ms - wall_ms;
	if (left_ms <= 0 &&
	    (e->fact.verdict != DNS_OK || left_ms < -(int64_t)CACHE_STALE_MAX_S * 1000))
		return false;
	return cache_put(cache, e->type, e->name, &e->fact, now_ms + left_ms - ttl_ms) == 0;
}

/* take_entries - those that were used last are put last */
static long take_entries(
    struct cache *cache, const uint8_t *data, size_t len, int64_t now_ms, int64_t wall_ms)
{
	uint32_t *at = calloc(len / 21 + 1, sizeof(*at)); /* no entry is shorter */
	struct entry e;
	struct wire_in w;
	size_t n = 0;
	long taken = 0;

	if (at == NULL)
		return -ENOMEM;
	wire_in_init(&w, data, len);
	do
		at[n++] = (uint32_t)(len - wire_left(&w));
	while (n <= len / 21 && get_entry(&w, &e));
	while (n-- > 0) {
		wire_in_init(&w, data + at[n], len - at[n]);
		if (get_entry(&w, &e) && good_entry(&e))
			taken += take_entry(cache, &e, now_ms, wall_ms);
	}
	free(at);
	return taken;
}

/* saved_decode - the content into a cache */
long saved_decode(
    struct cache *cache, const uint8_t *data, size_t len, int64_t now_ms, int64_t wall_ms)
{
	struct wire_in w;
	const uint8_t *word;
	uint32_t version, octets;
	uint64_t sum;

	wire_in_init(&w, data, len);
	word = wire_get_raw(&w, sizeof(magic));
	version = wire_get_u32(&w);
	octets = wire_get_u32(&w);
	sum = wire_get_u64(&w);
	if (w.err != 0 || memcmp(word, magic, sizeof(magic)) != 0 || version != SAVED_VERSION ||
	    octets > wire_left(&w) || octets > SAVED_BYTES_MAX ||
	    sum != XXH3_64bits(data + HEAD, octets))
		return -EBADMSG;
	return take_entries(cache, data + HEAD, octets, now_ms, wall_ms);
}

/* write_all - to the file's beginning; 0 or an errno */
static int write_all(const uint8_t *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(file, data + done, len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : ENOSPC;
		done += (size_t)n;
	}
	return 0;
}

/* save_thread - write, and end */
static void *save_thread(void *arg)
{
	struct job *job = arg;

	atomic_store(&saving_error, write_all(job->data, job->len));
	free(job->data);
	free(job);
	atomic_store(&saving, false);
	return NULL;
}

/* job_new - what there is to be saved; NULL when there is no memory */
static struct job *job_new(void)
{
	struct job *job = calloc(1, sizeof(*job));
	long len = job != NULL ? saved_encode(saved_cache, clock_ms(), clock_wall_ms(), &job->data)
			       : -ENOMEM;

	if (len < 0) {
		free(job);
		return NULL;
	}
	job->len = (size_t)len;
	return job;
}

/* changed - whether anything came since the last save; notes that it is saved now */
static bool changed(void)
{
	struct cache_stats stats;

	cache_stats(saved_cache, &stats);
	if (stats.puts == puts_saved)
		return false;
	puts_saved = stats.puts;
	return true;
}

/* on_timer - save, unless nothing has changed or the last one is still under way */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	int err = atomic_exchange(&saving_error, 0);
	struct job *job;
	pthread_t thread;

	(void)fd;
	(void)what;
	(void)arg;
	if (err != 0)
		log_warnc(err, "the cache can't be saved");
	if (atomic_load(&saving) || !changed() || (job = job_new()) == NULL)
		return;
	atomic_store(&saving, true);
	if (pthread_create(&thread, NULL, save_thread, job) == 0) {
		pthread_detach(thread);
		return;
	}
	atomic_store(&saving, false);
	free(job->data);
	free(job);
}

/* load - what the last process left */
static void load(void)
{
	uint8_t *data = malloc(HEAD + SAVED_BYTES_MAX);
	size_t len = 0;
	ssize_t n = 1;
	long taken;

	while (data != NULL && n > 0 && len < HEAD + SAVED_BYTES_MAX) {
		n = pread(file, data + len, HEAD + SAVED_BYTES_MAX - len, (off_t)len);
		len += n > 0 ? (size_t)n : 0;
	}
	taken = len > 0 ? saved_decode(saved_cache, data, len, clock_ms(), clock_wall_ms()) : 0;
	free(data);
	if (taken > 0)
		log_info("%ld answers of the last run are known", taken);
	else if (taken < 0)
		log_warnx("the saved cache can't be read, and isn't needed");
}

/* saved_start - load, and save from now on */
void saved_start(int fd, struct cache *cache, unsigned every_ms)
{
	const struct timeval tv = {every_ms / 1000, (suseconds_t)(every_ms % 1000) * 1000};

	if (file >= 0) {
		close(fd);
		return;
	}
	file = fd;
	saved_cache = cache;
	load();
	(void)changed();
	timer = event_new(loop_base(), -1, EV_PERSIST, on_timer, NULL);
	if (timer == NULL || event_add(timer, &tv) != 0)
		log_fatal("out of memory");
}

/* saved_finish - the last time */
void saved_finish(void)
{
	struct job *job;
	int err = 0;

	if (file < 0)
		return;
	for (int i = 0; atomic_load(&saving) && i < 1000; i++)
		usleep(1000);
	if (!atomic_load(&saving) && changed() && (job = job_new()) != NULL) {
		err = write_all(job->data, job->len);
		free(job->data);
		free(job);
	}
	if (err != 0)
		log_warnc(err, "the cache can't be saved");
	event_free(timer);
	close(file);
	file = -1;
}
