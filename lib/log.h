/* SPDX-License-Identifier: ISC */
/*
 * The log of a process: one event is one line, with the queue ID first.
 *
 *   2026-03-01T10:00:00.123+01:00 smtpd/1 1J4B50P4G00 accept client=192.0.2.1 size=4096 ...
 *   2026-03-01T10:00:00.124+01:00 qmgr/1 - warning: index: No space left on device
 *   {"time":"...","role":"smtpd/1","level":"info","id":"1J4B50P4G00","event":"accept",...}
 *
 * "-" stands where no message is concerned. A value is quoted when it holds a space or quote or is
 * empty; in it \ and " get a backslash, control and 8-bit bytes are \xNN: what a peer sent never
 * makes a second line, a second key or a terminal sequence. JSON escapes as lib/json.h says.
 *
 * Lines are gathered in a buffer of LOG_BUFFER bytes without allocating, and the loop writes them
 * at the end of its turn with log_flush(). The log never waits: when the descriptor is full the
 * lines stay in the buffer, and when that is full too, further lines are counted and "N lines lost"
 * is logged once there is room. The file status flags of the descriptor are never changed, for it
 * is shared with other processes (see log.c for how it is written to without waiting nevertheless).
 *
 * Any thread may log; log_flush() is for the loop's. Flush before fork(). SIGPIPE must be ignored.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <syslog.h>

/* Levels are syslog's severities: LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG. Higher says less. */
#define LOG_ERROR LOG_ERR
#define LOG_WARN  LOG_WARNING

enum {
	LOG_BUFFER = 64 * 1024,  /* bytes of lines that may wait to be written */
	LOG_LINE_MAX = 8 * 1024, /* bytes of one line; keys that don't fit are left out: "cut=1" */
	LOG_VALUE_MAX = 1024,    /* bytes of one value before escaping; more is cut: "..." */
	LOG_PACKET_MAX = 32768,  /* bytes of one packet to a SOCK_SEQPACKET or SOCK_DGRAM socket */
	LOG_FATAL_WAIT_MS = 200, /* how long last words may wait for the descriptor */
};

enum log_target {
	LOG_TO_STDERR, /* each line begins with the time */
	LOG_TO_SYSLOG, /* to a socket that master feeds to syslog: each begins with <priority> */
	/*
	 * To the stream of a systemd journal (log_journal()): each begins with <severity>, as
	 * sd-daemon(3) says; the journal knows the time itself.
	 */
	LOG_TO_JOURNAL,
};

/* "stderr", "syslog" or "journal", as master tells children; and back, stderr for others. */
const char *log_target_name(enum log_target target);
enum log_target log_target_named(const char *name);

/* Whether descriptor fd is the journal's, by JOURNAL_STREAM of systemd (systemd.exec(5)). */
bool log_journal(int fd);

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/*
 * Log to descriptor fd from now on as `who`/instance ("smtpd/1"; instance 0: just "smtpd"). To be
 * called before the chroot and the change of user, since a pipe or terminal is opened anew through
 * /proc. Lines that wait from before are kept. Until it is called lines go to descriptor 2 as text,
 * as "baton".
 */
void log_open(int fd, enum log_target target, const char *who, unsigned instance);

/* Set the form and the level of what is logged from now on; also at a reload. */
void log_set(enum log_format format, int level);

/* The level of "error", "warn", "info" or "debug"; -EINVAL for another word. */
int log_level_parse(const char *word);

/* --- events --- */

enum log_kv_type { LOG_KV_END, LOG_KV_NONE, LOG_KV_BYTES, LOG_KV_U64, LOG_KV_I64, LOG_KV_ID };

struct log_kv {
	const char *key; /* a literal: lower-case letters, digits and _ */
	uint16_t key_len;
	uint16_t type; /* enum log_kv_type */
	uint32_t len;
	union {
		const char *bytes;
		uint64_t u64;
		int64_t i64;
	};
};

#define LOG_KV(k, t, ...) \
	((struct log_kv){.key = "" k, .key_len = sizeof(k) - 1, .type = (t), __VA_ARGS__})

/* Text; the key is left out where s is NULL. */
#define LOG_STR(k, s) log_kv_str("" k, sizeof(k) - 1, s)
/* len bytes, at most 4 GiB. */
#define LOG_BYTES(k, p, n) LOG_KV(k, LOG_KV_BYTES, .len = (uint32_t)(n), .bytes = (p))
#define LOG_U64(k, v)      LOG_KV(k, LOG_KV_U64, .u64 = (v))
#define LOG_I64(k, v)      LOG_KV(k, LOG_KV_I64, .i64 = (v))
/* A second queue ID, as text. */
#define LOG_ID(k, v) LOG_KV(k, LOG_KV_ID, .u64 = (v))
/* A key that is there only sometimes: LOG_IF(tls, LOG_STR("tls", cipher)). */
#define LOG_IF(cond, kv) ((cond) ? (kv) : (struct log_kv){.type = LOG_KV_NONE})

static inline struct log_kv log_kv_str(const char *key, uint16_t key_len, const char *s)
{
	return (struct log_kv){.key = key,
	    .key_len = key_len,
	    .type = s ? LOG_KV_BYTES : LOG_KV_NONE,
	    .len = s ? (uint32_t)strlen(s) : 0,
	    .bytes = s};
}

extern int log_level_now; /* for log_event() only */

/* True when events of this level are logged: to spare work that only a line would need. */
static inline bool log_wants(int level)
{
	return level <= log_level_now;
}

/*
 * log_event(LOG_INFO, id, "accept", LOG_STR("client", ip), LOG_U64("size", n), ...): one line. id
 * is a queue ID or 0; event is one lower-case word. The arguments aren't evaluated when the level
 * is not logged.
 */
#ifndef BATON_CPPCHECK /* which knows no __VA_OPT__ */
#define log_event(level, id, event, ...)                                          \
	do {                                                                      \
		if (log_wants(level))                                             \
			log_event_kv(level, id, event,                            \
			    (const struct log_kv[]){                              \
				__VA_ARGS__ __VA_OPT__(, ){.type = LOG_KV_END}}); \
	} while (0)
#else
#define log_event(level, ...) ((void)(level))
#endif

/* The same with an array that ends with type LOG_KV_END, for lines put together at run time. */
void log_event_kv(int level, uint64_t id, const char *event, const struct log_kv *kv);

/* --- words for people; errno is preserved --- */

#define LOG_PRINTF(a, b) __attribute__((format(printf, a, b)))

/* A sentence about a message (or 0) at a level. */
void log_text(int level, uint64_t id, const char *fmt, ...) LOG_PRINTF(3, 4);

void log_warn(const char *fmt, ...) LOG_PRINTF(1, 2);           /* ": <text of errno>" behind it */
void log_warnc(int err, const char *fmt, ...) LOG_PRINTF(2, 3); /* of err, which may be negative */
void log_warnx(const char *fmt, ...) LOG_PRINTF(1, 2);          /* without */
void log_error(const char *fmt, ...) LOG_PRINTF(1, 2);          /* something needs a person */
void log_info(const char *fmt, ...) LOG_PRINTF(1, 2);
void log_debugf(const char *fmt, ...) LOG_PRINTF(1, 2);
#define log_debug(...)                           \
	do {                                     \
		if (log_wants(LOG_DEBUG))        \
			log_debugf(__VA_ARGS__); \
	} while (0)

/* The environment makes going on impossible: log, flush (at most LOG_FATAL_WAIT_MS), _exit(111). */
void log_fatal(const char *fmt, ...) LOG_PRINTF(1, 2) __attribute__((noreturn));

/* Our own data contradict themselves: log, flush (as long), abort(). */
void log_bug(const char *fmt, ...) LOG_PRINTF(1, 2) __attribute__((noreturn));

/* --- writing --- */

/*
 * Write what was gathered; nearly always one write. Returns true when nothing is left. On false the
 * descriptor is full: try again at the end of the next turn, or by a timer where none may come.
 */
bool log_flush(void);
