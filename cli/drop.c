/* SPDX-License-Identifier: ISC */
/*
 * An ordinary user may not read the folder and so can't open it to sync it. The file is synced once
 * more behind its renaming instead: a rename changes the inode too, and the journals of Linux' file
 * systems commit both or neither.
 */
#include "cli/drop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/drop.h"
#include "lib/str.h"

#define NAME_TRIES 100 /* of a name that another process has taken in the same nanosecond */

static const char letters[] = {
    [RCPT_OPEN] = 'R', [RCPT_GIVEN] = 'R', [RCPT_DONE] = 'D', [RCPT_REFUSED] = 'X'};

/* put_size - the first line */
static int put_size(FILE *out, uint64_t size)
{
	return fprintf(out, DROP_MAGIC "%0*llu\n", DROP_SIZE_DIGITS, (unsigned long long)size);
}

/* envelope - the lines before the message, as one text; NULL: no memory */
static char *envelope(struct letter *l, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	struct rcpt *r;
	bool bad;

	if (!out)
		return NULL;
	put_size(out, 0);
	fprintf(out, "S %s\nM %s\nP %s\n", l->sender, l->mail_params, l->rcpt_params);
	DL_FOREACH (l->rcpts, r) {
		r->at = ftell(out);
		fprintf(out, "%c %s\n", letters[r->state], r->address);
	}
	fputc('\n', out);
	bad = ferror(out);
	if (fclose(out) || bad) {
		free(text);
		return NULL;
	}
	return text;
}

/* open_hidden - a file that nobody else has */
static int open_hidden(struct drop *d)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		snprintf(d->name, sizeof(d->name), ".%llx.%lx.%lx", (long long)now.tv_sec,
		    now.tv_nsec, (long)getpid());
		d->fd = openat(
		    d->folder, d->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (d->fd >= 0 || errno != EEXIST)
			break;
	}
	if (d->fd < 0)
		return -errno;
	return fchmod(d->fd, 0600) == 0 ? 0 : -errno; /* whatever the umask is */
}

/* drop_create - hidden, with its envelope */
int drop_create(struct drop *d, const char *spool, struct letter *l)
{
	char path[4096], *text = NULL;
	size_t len;
	int n = snprintf(path, sizeof(path), "%s/%s", spool, DROP_FOLDER), r;

	*d = (struct drop){.folder = -1, .fd = -1};
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	d->folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->folder < 0)
		return -errno;
	r = open_hidden(d);
	if (r == 0) {
		text = envelope(l, &len);
		r = text ? drop_write(d, text, len) : -ENOMEM;
		free(text);
	}
	if (r)
		drop_abandon(d);
	return r;
}

/* drop_write - all or an error */
int drop_write(struct drop *d, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = write(d->fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		len -= (size_t)n;
		d->size += (uint64_t)n;
	}
	return 0;
}

/* put_letters - each recipient's state, where it has changed from open */
static int put_letters(int fd, const struct letter *l)
{
	const struct rcpt *r;

	DL_FOREACH (l->rcpts, r)
		if (letters[r->state] != 'R' && pwrite(fd, &letters[r->state], 1, r->at) != 1)
			return -EIO;
	return 0;
}

/* drop_mark - states, safe on the disk */
int drop_mark(int fd, const struct letter *l)
{
	int r = put_letters(fd, l);

	return r ? r : fsync(fd) == 0 ? 0 : -errno;
}

/* sync_folder - see above; 0 or -E... */
static int sync_folder(const struct drop *d)
{
	int folder = openat(d->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (folder < 0)
		return fsync(d->fd) == 0 ? 0 : -errno;
	r = fsync(folder) == 0 ? 0 : -errno;
	close(folder);
	return r;
}

/* finish - the size, the states, on the disk */
static int finish(struct drop *d, const struct letter *l)
{
	char size[DROP_SIZE_DIGITS + 1];

	snprintf(size, sizeof(size), "%0*llu", DROP_SIZE_DIGITS, (unsigned long long)d->size);
	if (pwrite(d->fd, size, DROP_SIZE_DIGITS, sizeof(DROP_MAGIC) - 1) != DROP_SIZE_DIGITS)
		return -EIO;
	return drop_mark(d->fd, l);
}

/* drop_commit - whole, safe, then visible */
int drop_commit(struct drop *d, const struct letter *l)
{
	int r = finish(d, l);

	if (r == 0 && renameat2(d->folder, d->name, d->folder, d->name + 1, RENAME_NOREPLACE) != 0)
		r = -errno;
	if (r == 0) {
		memmove(d->name, d->name + 1, strlen(d->name));
		r = sync_folder(d);
	}
	if (r) {
		drop_abandon(d);
		return r;
	}
	close(d->fd);
	close(d->folder);
	return 0;
}

/* drop_abandon - no trace */
void drop_abandon(struct drop *d)
{
	if (d->fd >= 0) {
		unlinkat(d->folder, d->name, 0);
		close(d->fd);
	}
	if (d->folder >= 0)
		close(d->folder);
	*d = (struct drop){.folder = -1, .fd = -1};
}

/* -- reading ----------------------------------------------------------------------------------- */

/* read_line - one line of the envelope without its end; its length, or -EBADMSG */
static int read_line(FILE *file, char *line, size_t size)
{
	size_t len;

	if (!fgets(line, (int)size, file))
		return -EBADMSG;
	len = strlen(line);
	if (len == 0 || line[len - 1] != '\n')
		return -EBADMSG;
	line[len - 1] = '\0';
	for (size_t i = 0; i + 1 < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			return -EBADMSG;
	return (int)len - 1;
}

/* read_size - the first line says how large the file is, and it is */
static int read_size(FILE *file)
{
	char line[128];
	unsigned long long size;
	struct stat st;
	int n = read_line(file, line, sizeof(line));

	if (n != (int)sizeof(DROP_MAGIC) - 1 + DROP_SIZE_DIGITS ||
	    strncmp(line, DROP_MAGIC, sizeof(DROP_MAGIC) - 1) != 0 ||
	    str_to_u64(line + sizeof(DROP_MAGIC) - 1, DROP_SIZE_DIGITS, INT64_MAX, &size) != 0)
		return -EBADMSG;
	if (fstat(fileno(file), &st) != 0)
		return -errno;
	return (unsigned long long)st.st_size == size ? 0 : -EBADMSG;
}

/* take_params - parameters of a command */
static int take_params(char *to, const char *text)
{
	if (*text && *text != ' ')
		return -EBADMSG;
	return str_copy(to, LETTER_PARAMS_MAX, text) == 0 ? 0 : -EBADMSG;
}

/* take_rcpt - one recipient, still open or not */
static int take_rcpt(struct letter *l, char letter, const char *address, off_t at)
{
	int r = letter_add(l, address, strlen(address), "");

	if (r)
		return r == -ENOMEM ? r : -EBADMSG;
	struct rcpt *rcpt = l->rcpts->prev; /* the last one, unless it came twice */
	if (strcmp(rcpt->address, address) != 0)
		return -EBADMSG;
	rcpt->at = at;
	rcpt->state = letter == 'D' ? RCPT_DONE : letter == 'X' ? RCPT_REFUSED : RCPT_OPEN;
	return 0;
}

/* take_line - one line behind the first */
static int take_line(struct letter *l, const char *line, off_t at)
{
	const char *text = line + 2;

	if (line[0] == '\0' || line[1] != ' ')
		return -EBADMSG;
	switch (line[0]) {
	case 'S':
		return letter_from(l, text, strlen(text), "") == 0 ? 0 : -EBADMSG;
	case 'M':
		return take_params(l->mail_params, text);
	case 'P':
		return take_params(l->rcpt_params, text);
	case 'R':
	case 'D':
	case 'X':
		return take_rcpt(l, line[0], text, at);
	default:
		return -EBADMSG;
	}
}

/* drop_read - the envelope */
int drop_read(FILE *file, struct letter *l, off_t *body)
{
	char line[LETTER_ADDRESS_MAX + 16];
	int n, r = read_size(file);

	while (r == 0) {
		off_t at = ftello(file);

		n = read_line(file, line, sizeof(line));
		if (n <= 0) {
			r = n;
			break;
		}
		r = take_line(l, line, at);
	}
	*body = ftello(file);
	return r ? r : l->sender ? 0 : -EBADMSG;
}
