/* SPDX-License-Identifier: ISC */
/*
 * fill - makes a spool with many queued messages, by the record and envelope writers that smtpd
 * uses: shared segments with a nonce, rising queue IDs, checksums. A qmgr that starts on it finds
 * segments that no index knows, scans them and builds the index, as after a crash of the machine;
 * when that one was stopped in order, the next start finds the index too.
 *
 * Message i has the id "<prefix>i" in its X-Id header (what t/bench/sink books), is from sender
 * i mod senders, and its recipients are at the domains behind the one where the last message's
 * ended, so all domains get the same. Several runs add up, as long as there is no
 * index; files belong to the folder's owner.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/envelope.h"
#include "lib/qid.h"
#include "lib/record.h"

enum { BUFFER = 1 << 20, HEADERS = 2048 };

static struct {
	const char *spool, *domain, *sender, *prefix, *class_name;
	uint64_t messages, domains, senders, recipients, size, first;
} opt = {.domain = "many.test",
    .sender = "client.example.test",
    .prefix = "f",
    .class_name = "",
    .messages = 1000,
    .domains = 1,
    .senders = 1,
    .recipients = 1,
    .size = 512};

static const char help[] =
    "usage: fill [options] SPOOL\n"
    "Fills a spool without index with queued messages; the next start of qmgr builds the index.\n\n"
    "  -n, --messages N     messages (1000)\n"
    "  -r, --recipients N   recipients of each (1), at domains that follow each other\n"
    "  -d, --domains N      d0.DOMAIN to dN-1.DOMAIN in turn; 0: DOMAIN itself (1)\n"
    "  -D, --domain NAME    the DOMAIN (many.test)\n"
    "  -s, --senders N      s0@SENDER to sN-1@SENDER in turn (1)\n"
    "  -S, --sender NAME    the senders' domain (client.example.test)\n"
    "  -l, --size BYTES     of a message, header section included (512)\n"
    "  -c, --class NAME     a class noted in the envelope\n"
    "  -i, --prefix TEXT    of the X-Id header, a number behind it (f)\n"
    "  -f, --first N        the first number there (0)\n\n"
    "Prints messages, recipients, segments, bytes and seconds.\n";

/* The segment being written. */
static struct {
	int folder, fd;
	uint64_t name, nonce, at, next_id;
	unsigned char *buf;
	size_t used;
	unsigned count;
	uint64_t bytes;
} seg = {.fd = -1};

/* die - with errno's text */
static void die(const char *what)
{
	fprintf(stderr, "fill: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* flush - what is gathered goes to the file */
static void flush(void)
{
	for (size_t done = 0; done < seg.used;) {
		ssize_t n = write(seg.fd, seg.buf + done, seg.used - done);
		if (n < 0)
			die("a segment");
		done += (size_t)n;
	}
	seg.used = 0;
}

/* end_segment - safe, and closed */
static void end_segment(void)
{
	if (seg.fd < 0)
		return;
	flush();
	if (fdatasync(seg.fd) || close(seg.fd))
		die("a segment");
	seg.bytes += seg.at;
	seg.fd = -1;
}

/* begin_segment - the next name; IDs come with it */
static void begin_segment(void)
{
	char file[24];
	struct stat st;
	end_segment();
	seg.name += SEGMENT_IDS;
	seg.next_id = seg.name;
	seg.at = 0;
	seg.count++;
	if (getrandom(&seg.nonce, sizeof(seg.nonce), 0) != sizeof(seg.nonce))
		die("random numbers");
	seg.nonce |= 1;
	snprintf(file, sizeof(file), "%016llx", (unsigned long long)seg.name);
	seg.fd = openat(seg.folder, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (seg.fd < 0 || fstat(seg.folder, &st))
		die(file);
	if (st.st_uid != geteuid() && fchown(seg.fd, st.st_uid, st.st_gid))
		die(file);
}

/* put_envelope - as smtpd/cmd_data.c notes it */
static void put_envelope(struct envelope_writer *w, uint64_t i, const char *message_id)
{
	static uint64_t domain;
	char text[300];
	envelope_writer_reset(w);
	envelope_put_u32(w, ENV_FLAGS, 0);
	snprintf(text, sizeof(text), "s%llu@%s", (unsigned long long)(i % opt.senders), opt.sender);
	envelope_put_bytes(w, ENV_SENDER, text, strlen(text));
	envelope_put_u64(w, ENV_ARRIVAL, (uint64_t)clock_wall_ms());
	envelope_put_bytes(w, ENV_CLIENT, "127.0.0.1", 9);
	envelope_put_bytes(w, ENV_HELO, opt.sender, strlen(opt.sender));
	envelope_put_bytes(w, ENV_LISTENER, "test", 4);
	envelope_put_bytes(w, ENV_MESSAGE_ID, message_id, strlen(message_id));
	if (*opt.class_name)
		envelope_put_bytes(w, ENV_CLASS, opt.class_name, strlen(opt.class_name));
	for (uint64_t r = 0; r < opt.recipients; r++) {
		unsigned long long number = i * opt.recipients + r;
		int n = opt.domains ? snprintf(text, sizeof(text), "u%llu@d%llu.%s", number,
					  (unsigned long long)domain, opt.domain)
				    : snprintf(text, sizeof(text), "u%llu@%s", number, opt.domain);
		domain = opt.domains ? (domain + 1) % opt.domains : 0;
		const struct msg_bytes address = {.data = text, .len = (uint32_t)n};
		envelope_put_rcpt(
		    w, &(struct envelope_rcpt){.address = address, .parent = UINT32_MAX});
	}
	if (w->error) {
		errno = -w->error;
		die("an envelope");
	}
}

/* put_body - our Received line first, as it would leave; its length */
static size_t put_body(char *out, uint64_t i, uint64_t id, const char *message_id)
{
	static const char line[] =
	    "0123456789 abcdefghijklmnopqrstuvwxyz 0123456789 abcdefghij\r\n";
	char qid[QID_TEXT_MAX];
	qid_format(qid, id);
	int n = snprintf(out, HEADERS,
	    "Received: from %s ([127.0.0.1])\r\n\tby relay.example.test with ESMTP id %s;\r\n"
	    "\tFri, 21 Nov 2025 10:00:00 +0000\r\nX-Id: %s%llu\r\nFrom: s%llu@%s\r\n"
	    "Message-ID: %s\r\nDate: Fri, 21 Nov 2025 10:00:00 +0000\r\nSubject: filled\r\n\r\n",
	    opt.sender, qid, opt.prefix, (unsigned long long)(opt.first + i),
	    (unsigned long long)(i % opt.senders), opt.sender, message_id);
	size_t len = n < HEADERS ? (size_t)n : HEADERS - 1;
	while (len < opt.size) {
		memcpy(out + len, line, sizeof(line) - 1);
		len += sizeof(line) - 1;
	}
	return len;
}

/* put_message - a whole record behind the last one */
static void put_message(uint64_t i, struct envelope_writer *w, char *body, struct record_sum *sum)
{
	char message_id[300];
	unsigned char header[RECORD_HEADER], trailer[RECORD_TRAILER];
	snprintf(message_id, sizeof(message_id), "<%s%llu@%s>", opt.prefix,
	    (unsigned long long)(opt.first + i), opt.sender);
	put_envelope(w, i, message_id);
	if (seg.fd < 0 || seg.next_id == seg.name + SEGMENT_IDS ||
	    seg.at + w->len + opt.size + 2 * HEADERS > SEGMENT_SIZE)
		begin_segment();
	struct record rec = {
	    .place = {.segment = seg.name, .nonce = seg.nonce, .offset = seg.at},
	    .id = seg.next_id++,
	    .envelope_len = (uint32_t)w->len,
	};
	rec.body_len = rec.plain_len = put_body(body, i, rec.id, message_id);
	record_put_header(&rec, w->data, header);
	record_sum_reset(sum, seg.nonce);
	record_sum_add(sum, body, (size_t)rec.body_len);
	record_put_trailer(&rec, header, sum, trailer);
	const struct msg_bytes parts[] = {{(const char *)header, RECORD_HEADER},
	    {(const char *)w->data, (uint32_t)w->len}, {body, (uint32_t)rec.body_len},
	    {(const char *)trailer, RECORD_TRAILER}};
	if (seg.used + record_len(&rec) > BUFFER)
		flush();
	for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++) {
		memcpy(seg.buf + seg.used, parts[p].data, parts[p].len);
		seg.used += parts[p].len;
	}
	seg.at += record_len(&rec);
}

/* last_name - of the segments that are there, 0: none */
static uint64_t last_name(void)
{
	uint64_t last = 0;
	int fd = openat(seg.folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		die("the folder");
	for (struct dirent *e; (e = readdir(dir));) {
		uint64_t name = strtoull(e->d_name, NULL, 16);
		if (strspn(e->d_name, "0123456789abcdef") == 16 && name > last)
			last = name;
	}
	closedir(dir);
	return last;
}

/* open_folder - SPOOL/segments; there must be no index yet, which knows what names were used */
static void open_folder(void)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/index/data.mdb", opt.spool);
	if (access(path, F_OK) == 0) {
		errno = EEXIST;
		die(path);
	}
	snprintf(path, sizeof(path), "%s/segments", opt.spool);
	if (mkdir(path, 0700) && errno != EEXIST)
		die(path);
	seg.folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (seg.folder < 0)
		die(path);
	/* Names are times, and IDs the microseconds behind them: those of the last minutes are
	 * free. */
	uint64_t most = opt.messages / 1000 + 2;
	seg.name = (uint64_t)clock_wall_us() - most * SEGMENT_IDS;
	if (last_name() > seg.name)
		seg.name = last_name();
}

/* number - of an option, or the usage */
static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);
	if (!*text || *end) {
		fputs(help, stderr);
		exit(2);
	}
	return n;
}

/* options - into opt; false: the usage is wanted */
static bool options(int argc, char **argv)
{
	static const struct option known[] = {
	    {"messages", required_argument, NULL, 'n'},
	    {"recipients", required_argument, NULL, 'r'},
	    {"domains", required_argument, NULL, 'd'},
	    {"domain", required_argument, NULL, 'D'},
	    {"senders", required_argument, NULL, 's'},
	    {"sender", required_argument, NULL, 'S'},
	    {"size", required_argument, NULL, 'l'},
	    {"class", required_argument, NULL, 'c'},
	    {"prefix", required_argument, NULL, 'i'},
	    {"first", required_argument, NULL, 'f'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	for (int c; (c = getopt_long(argc, argv, "n:r:d:D:s:S:l:c:i:f:h", known, NULL)) != -1;) {
		switch (c) {
		case 'n':
			opt.messages = number(optarg);
			break;
		case 'r':
			opt.recipients = number(optarg);
			break;
		case 'd':
			opt.domains = number(optarg);
			break;
		case 'D':
			opt.domain = optarg;
			break;
		case 's':
			opt.senders = number(optarg);
			break;
		case 'S':
			opt.sender = optarg;
			break;
		case 'l':
			opt.size = number(optarg);
			break;
		case 'c':
			opt.class_name = optarg;
			break;
		case 'i':
			opt.prefix = optarg;
			break;
		case 'f':
			opt.first = number(optarg);
			break;
		default:
			return false;
		}
	}
	opt.spool = argv[optind];
	return opt.spool && argc == optind + 1 && opt.senders && opt.recipients &&
	       opt.size <= BUFFER / 2 && opt.recipients <= 1000 && strlen(opt.domain) < 200 &&
	       strlen(opt.sender) < 200 && strlen(opt.prefix) < 50;
}

int main(int argc, char **argv)
{
	if (!options(argc, argv)) {
		fputs(help, stdout);
		return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 2;
	}
	int64_t started = clock_ms();
	struct envelope_writer w;
	struct record_sum *sum = record_sum_new(0);
	char *body = malloc(opt.size + 2 * HEADERS);
	envelope_writer_init(&w, BUFFER / 4);
	seg.buf = malloc(BUFFER);
	if (!sum || !body || !seg.buf)
		die("memory");
	open_folder();
	for (uint64_t i = 0; i < opt.messages; i++)
		put_message(i, &w, body, sum);
	end_segment();
	if (fsync(seg.folder))
		die("the folder");
	printf("messages=%llu recipients=%llu segments=%u bytes=%llu seconds=%.3f\n",
	    (unsigned long long)opt.messages, (unsigned long long)(opt.messages * opt.recipients),
	    seg.count, (unsigned long long)seg.bytes, (double)(clock_ms() - started) / 1000);
	envelope_writer_free(&w);
	record_sum_free(sum);
	free(seg.buf);
	free(body);
	return 0;
}
