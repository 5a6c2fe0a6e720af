/* SPDX-License-Identifier: ISC */
/* One message of four bytes and at most one descriptor. */
#include "lib/unix_hop.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int))];
};

int unix_hop_answer(int answer, int error, int fd)
{
	uint32_t raw = htobe32((uint32_t)error);
	struct iovec iov = {.iov_base = &raw, .iov_len = sizeof(raw)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	memset(&control, 0, sizeof(control));
	if (!error) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	ssize_t n = sendmsg(answer, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n < 0 ? -errno : n == sizeof(raw) ? 0 : -EIO;
}

/* descriptor - what came along, -1: none */
static int descriptor(struct msghdr *msg)
{
	int fd = -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int unix_hop_take(int answer, int *fd)
{
	uint32_t raw = 0;
	union control control;
	struct iovec iov = {.iov_base = &raw, .iov_len = sizeof(raw)};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof(control.room)};
	ssize_t n = recvmsg(answer, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	int got = descriptor(&msg), error = (int)be32toh(raw);
	if (n == sizeof(raw) && !error && got >= 0) {
		*fd = got;
		return 0;
	}
	if (got >= 0)
		close(got);
	return n == sizeof(raw) && error > 0 ? -error : -EBADMSG;
}
