/* SPDX-License-Identifier: ISC */
/* A file is another one when its identity, size or time of change is: editors replace files. */
#include "master/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "master/config.h"

/* What is known of the hosts file that was sent; all zero: none was. */
struct identity {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed;
};

static struct identity sent;

/* identify - the file as it is now */
static struct identity identify(const char *path)
{
	struct stat st;
	if (!*path || stat(path, &st) != 0)
		return (struct identity){0};
	return (struct identity){st.st_dev, st.st_ino, st.st_size, st.st_ctim};
}

/* files_hosts_changed - since it was sent */
bool files_hosts_changed(void)
{
	struct identity now = identify(config_now()->resolver.hosts);
	return now.dev != sent.dev || now.ino != sent.ino || now.size != sent.size ||
	       now.changed.tv_sec != sent.changed.tv_sec ||
	       now.changed.tv_nsec != sent.changed.tv_nsec;
}

/* hand_over - one descriptor, which is closed here */
static void hand_over(struct place *place, enum file_kind kind, int fd)
{
	int e = CHAN_SEND(place->chan, file, .kind = (uint8_t)kind, .file = fd);
	if (e)
		log_warnc(e, "cannot hand a file to %s", place_name(place));
	close(fd);
}

/* send_hosts - the host's own names; without the file there are none */
static void send_hosts(struct place *place)
{
	const char *path = config_now()->resolver.hosts;
	sent = identify(path);
	int fd = open(*path ? path : "/dev/null", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		if (errno != ENOENT)
			log_warn("cannot open %s", path);
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	if (fd >= 0)
		hand_over(place, FILE_HOSTS, fd);
}

/* send_saved - where it saves what it knows */
static void send_saved(struct place *place)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", config_now()->spool, FILES_SAVED);
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0) {
		log_warn("cannot open %s", path);
		return;
	}
	/* the folder is qmgr's, who must not choose what dnscache writes into */
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid()) {
		log_warnx("%s is not a file of ours", path);
		close(fd);
		return;
	}
	hand_over(place, FILE_SAVED, fd);
}

/* files_send - both */
void files_send(struct place *place)
{
	if (place->service->role != ROLE_DNSCACHE)
		return;
	send_hosts(place);
	send_saved(place);
}
