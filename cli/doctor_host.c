/* SPDX-License-Identifier: ISC */
/* The host itself: clock, descriptors, the kernel's settings. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>

#include "cli/doctor.h"

#define AHEAD_S    300        /* a spool file this far in the future: the clock was set back */
#define SANE_S     1700000000 /* a clock before 2023 was never set */
#define FILES_GOOD 4096       /* descriptors of a process */
#define BACKLOG    1024       /* connections that wait to be accepted */
#define PORTS_GOOD 10000      /* local ports to connect from */

/* newest - modification time of the newest file in a folder; 0: none */
static time_t newest(const char *spool, const char *folder)
{
	char path[4200];
	struct dirent *entry;
	struct stat st;
	time_t at = 0;
	snprintf(path, sizeof(path), "%s/%s", spool, folder);
	DIR *dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s/%.255s", spool, folder, entry->d_name);
		if (entry->d_name[0] != '.' && stat(path, &st) == 0 && st.st_mtime > at)
			at = st.st_mtime;
	}
	if (dir)
		closedir(dir);
	return at;
}

/* check_clock - sane, in step with the spool, and kept right by somebody */
void check_clock(struct doctor *d)
{
	struct timex t = {0};
	time_t now = time(NULL), last = d->conf ? newest(d->conf->spool, "segments") : 0;
	const char *fix = "let chrony or systemd-timesyncd keep it: `timedatectl set-ntp true`";
	if (now < SANE_S)
		finding(
		    d, LEVEL_FAIL, fix, "the clock was never set: it says %" PRId64, (int64_t)now);
	else if (last > now + AHEAD_S)
		finding(d, LEVEL_FAIL, fix,
		    "the clock is %" PRId64 " s behind the newest mail of the spool",
		    (int64_t)(last - now));
	else if (adjtimex(&t) < 0)
		finding(
		    d, LEVEL_OK, "", "the clock is sane; whether it is kept can't be seen here");
	else if (t.status & STA_UNSYNC)
		finding(d, LEVEL_WARNING, fix, "nobody keeps the clock right (no NTP)");
	else
		finding(d, LEVEL_OK, "", "the clock is kept by NTP");
}

/* check_descriptors - what the instance may open, as its unit or shell would be given */
void check_descriptors(struct doctor *d)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	uint64_t need = d->conf->limits.clients ? d->conf->limits.clients + 100u : FILES_GOOD;
	if (limit.rlim_max < need)
		finding(d, LEVEL_WARNING, "LimitNOFILE=65536 in the unit, or `ulimit -Hn 65536`",
		    "at most %" PRIu64 " descriptors a process here, %" PRIu64 " are wanted",
		    (uint64_t)limit.rlim_max, need);
	else
		finding(d, LEVEL_OK, "", "up to %" PRIu64 " descriptors a process",
		    (uint64_t)limit.rlim_max);
}

/* read_numbers - one or two of a file under /proc/sys; how many */
static int read_numbers(const char *path, long *a, long *b)
{
	FILE *f = fopen(path, "re");
	int n = f ? fscanf(f, "%ld %ld", a, b) : 0;
	if (f)
		fclose(f);
	return n;
}

/* check_kernel - the settings that a busy relay runs into */
void check_kernel(struct doctor *d)
{
	long a = 0, b = 0;
	if (read_numbers("/proc/sys/net/core/somaxconn", &a, &b) >= 1) {
		if (a < BACKLOG)
			finding(d, LEVEL_WARNING, "`sysctl -w net.core.somaxconn=4096`",
			    "somaxconn is %ld: bursts of clients are turned away", a);
		else
			finding(d, LEVEL_OK, "", "somaxconn is %ld", a);
	}
	if (read_numbers("/proc/sys/net/ipv4/ip_local_port_range", &a, &b) == 2) {
		if (b - a < PORTS_GOOD)
			finding(d, LEVEL_WARNING,
			    "`sysctl -w net.ipv4.ip_local_port_range='32768 60999'`",
			    "only %ld local ports to connect from", b - a + 1);
		else
			finding(d, LEVEL_OK, "", "%ld local ports to connect from", b - a + 1);
	}
}
