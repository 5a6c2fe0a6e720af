/* SPDX-License-Identifier: ISC */
/*
 * The page is sealed against resizing, so that a child can't make its readers fault by cutting the
 * file under their mapping; a child that writes nonsense spoils its own numbers only.
 */
#include "lib/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct counters_page unshared = {.magic = COUNTERS_MAGIC, .n = COUNTERS};
struct counters_page *counters_mine = &unshared;

static const struct {
	const char *name;
	const char *help;
	enum counter_kind kind;
} rows[COUNTERS] = {
#define COUNTER(name, kind, help) [C_##name] = {#name, help, kind},
#include "lib/counters.def"
#undef COUNTER
};

/* counter_name - the name in code and metrics */
const char *counter_name(enum counter c)
{
	return (unsigned)c < COUNTERS ? rows[c].name : "";
}

/* counter_help - what is counted, in a sentence */
const char *counter_help(enum counter c)
{
	return (unsigned)c < COUNTERS ? rows[c].help : "";
}

/* counter_is_gauge - whether the value may fall */
bool counter_is_gauge(enum counter c)
{
	return (unsigned)c < COUNTERS && rows[c].kind == GAUGE;
}

/* map - the page behind fd, shared */
static struct counters_page *map(int fd)
{
	void *p =
	    mmap(NULL, sizeof(struct counters_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* counters_create - a new page and its descriptor */
struct counters_page *counters_create(int *fd)
{
	struct counters_page *page = NULL;
	int f = memfd_create("baton-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (f < 0)
		return NULL;
	if (ftruncate(f, sizeof(*page)) == 0 &&
	    fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		page = map(f);
	if (!page) {
		int e = errno;
		close(f);
		errno = e;
		return NULL;
	}
	page->magic = COUNTERS_MAGIC;
	page->n = COUNTERS;
	*fd = f;
	return page;
}

/* counters_free - unmap a page */
void counters_free(struct counters_page *page)
{
	if (page && page != &unshared)
		munmap(page, sizeof(*page));
}

/* counters_attach - count in the page behind fd from now on */
int counters_attach(int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (st.st_size != (off_t)sizeof(struct counters_page))
		return -EBADMSG;
	struct counters_page *page = map(fd);
	if (!page)
		return -errno;
	if (page->magic != COUNTERS_MAGIC || page->n != COUNTERS) {
		counters_free(page);
		return -EBADMSG;
	}
	for (unsigned c = 0; c < COUNTERS; c++)
		if (rows[c].kind == GAUGE)
			page->v[c] = 0;
	counters_mine = page;
	return 0;
}
