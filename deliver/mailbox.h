/* SPDX-License-Identifier: ISC */
/*
 * One local delivery inside the program `local` (lib/local.h): reads the message from the content
 * descriptor, stores it in a mailbox as the user that the process already is, says how it ended.
 * Everything runs once, blocking, in a process that holds nothing else; what it leaves behind on a
 * failure is an unchanged mailbox.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "deliver/content.h"
#include "lib/local.h"

#define MAILBOX_LOCK_WAIT_S 60 /* for the locks of an mbox, then 4.2.0 */
#define MAILBOX_LOCK_STALE_S                                                \
	300 /* age of a dot-lock that nobody holds any more (liblockfile's) \
	     */

struct mailbox_request {
	enum local_kind kind;
	const char *mailbox; /* as in the configuration, unexpanded */
	const char *user, *home, *sender, *recipient;
	const char *original; /* type;xtext, "" or NULL: the recipient */
	int content;          /* descriptor */
	struct content *in;   /* what mailbox_begin() made of it */
	unsigned lock_wait_s; /* MAILBOX_LOCK_WAIT_S; shorter in tests */
	unsigned command_s;   /* LOCAL_COMMAND_MAX_S; shorter in tests */
};

struct mailbox_result {
	unsigned code;   /* of the result line: 250, 4xx, 5xx */
	char status[12]; /* enhanced status */
	char text[512];
	int exit_code; /* sysexits.h */
};

/*
 * Reads the header into `content`, which stays with the request. False when nothing is to be
 * delivered: the message didn't come, or has been at the recipient before (Delivered-To, 5.4.6).
 */
bool mailbox_begin(
    struct mailbox_request *req, struct content *content, struct mailbox_result *res);

/* Delivers what mailbox_begin() began. The result is filled in whatever happens. */
void mailbox_deliver(const struct mailbox_request *req, struct mailbox_result *res);

/* Sets the result; fmt as printf(). */
void mailbox_say(struct mailbox_result *res, unsigned code, const char *status, int exit_code,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Sets the result for a failed system call on `what`: full disks and quotas have their own codes.
 */
void mailbox_say_errno(struct mailbox_result *res, int error, const char *what);

/*
 * Expands %u (the user), %% and a leading ~/ (the home) into out. Returns 0; -EINVAL for another
 * %, a result that isn't an absolute path, a user with '/' or a leading dot; -ENAMETOOLONG.
 */
int mailbox_expand(const char *mailbox, const char *user, const char *home, char out[PATH_MAX]);

/*
 * Expands the path of a hosted domain's mailbox: %n and %d (the two sides of the user's last @), %u
 * (both) and %%. Returns 0; -EINVAL for another %, or a side that is empty, begins with a dot or
 * has a slash; -ENAMETOOLONG.
 */
int mailbox_hosted(const char *path, const char *user, char out[PATH_MAX]);

/* LOCAL_VIRTUAL, as mailbox_deliver(); makes the folders above the mailbox where they lack. */
void mailbox_virtual(const struct mailbox_request *req, struct mailbox_result *res);

/* The same into that path, whatever the configuration says. */
void mailbox_into(const struct mailbox_request *req, const char *path, struct mailbox_result *res);

/* The two kinds. path is absolute and expanded; they read the content and set the result. */
void mailbox_maildir(
    const struct mailbox_request *req, const char *path, struct mailbox_result *res);
void mailbox_mbox(const struct mailbox_request *req, const char *path, struct mailbox_result *res);

/*
 * Copies the content to fd: Return-Path and Delivered-To first, then the message with LF line
 * ends, and with `quote` a '>' before lines that begin with "From ". Returns 0; -EBADMSG when not
 * exactly the promised number of bytes came; else the error of read or write.
 */
int mailbox_copy(const struct mailbox_request *req, int fd, bool quote);

/* The From_ line: its length or -E... */
#define MAILBOX_FROM_MAX 512
int mailbox_from(const struct mailbox_request *req, char out[MAILBOX_FROM_MAX]);

/* Writes all of it or fails: 0 or -E... */
int mailbox_write(int fd, const void *data, size_t len);

/* Syncs the folder that holds path: 0 or -E... */
int mailbox_sync_folder(const char *path);
