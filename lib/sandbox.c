/* SPDX-License-Identifier: ISC */
/*
 * Profiles are tables: what every loop needs, and what a role needs besides. A refused call traps
 * (SIGSYS); the handler makes it return -EPERM, counts it and notes its number, and the loop logs
 * each number once. That is what "EPERM with a count" costs: one signal, only where something
 * unforeseen happens. The hazard: a thread that blocks SIGSYS dies of a refused call instead.
 *
 * clone3() can't be looked into by a filter and is answered with ENOSYS, whereupon glibc uses
 * clone(), of which only the form that makes a thread is allowed.
 */
#include "lib/sandbox.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/counters.h"
#include "lib/log.h"
#include "lib/loop.h"

/* A rule: the call, and what one or two of its arguments must be. */
struct rule {
	int call;
	unsigned nargs;
	struct scmp_arg_cmp arg[2];
};

#define CALL(name)                                   \
	{                                            \
		SCMP_SYS(name), 0,                   \
		{                                    \
			{                            \
				0, SCMP_CMP_EQ, 0, 0 \
			}                            \
		}                                    \
	}
#define CALL_IF(name, ...)          \
	{                           \
		SCMP_SYS(name), 1,  \
		{                   \
			__VA_ARGS__ \
		}                   \
	}
#define CALL_IF2(name, a, ...)         \
	{                              \
		SCMP_SYS(name), 2,     \
		{                      \
			a, __VA_ARGS__ \
		}                      \
	}
#define IS(n, value)                                     \
	{                                                \
		n, SCMP_CMP_EQ, (scmp_datum_t)(value), 0 \
	}
#define MASKED(n, mask, value)                                                     \
	{                                                                          \
		n, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(value) \
	}
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* what an event loop with threads, timers, sockets and memory asks for */
static const struct rule common[] = {
    CALL(read),
    CALL(write),
    CALL(readv),
    CALL(writev),
    CALL(pread64),
    CALL(close),
    CALL(lseek),
    CALL(fstat),
    CALL_IF(newfstatat, MASKED(3, AT_EMPTY_PATH, AT_EMPTY_PATH)),
    CALL(epoll_wait),
    CALL(epoll_pwait),
    CALL(epoll_ctl),
    CALL(epoll_create1),
    CALL(poll),
    CALL(ppoll),
    CALL(eventfd2),
    CALL(sendmsg),
    CALL(recvmsg),
    CALL(sendto),
    CALL(recvfrom),
    CALL(shutdown),
    CALL(getsockopt),
    CALL(setsockopt),
    CALL(getsockname),
    CALL(getpeername),
    CALL_IF(fcntl, IS(1, F_GETFL)),
    CALL_IF(fcntl, IS(1, F_SETFL)),
    CALL_IF(fcntl, IS(1, F_GETFD)),
    CALL_IF(fcntl, IS(1, F_SETFD)),
    CALL_IF(fcntl, IS(1, F_DUPFD_CLOEXEC)),
    CALL_IF(fcntl, IS(1, F_GET_SEALS)),
    CALL_IF(ioctl, IS(1, FIONREAD)),
    CALL_IF(ioctl, IS(1, FIONBIO)),
    CALL_IF(ioctl, IS(1, SIOCOUTQ)),
    CALL(futex),
    CALL(nanosleep),
    CALL(clock_nanosleep),
    CALL(clock_gettime),
    CALL(clock_getres),
    CALL(gettimeofday),
    CALL(time),
    CALL(sched_yield),
    CALL(getrandom),
    CALL(sysinfo),
    CALL(getrusage),
    CALL(getpid),
    CALL(gettid),
    CALL(getppid),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(sched_getaffinity),
    CALL(uname),
    CALL_IF(prlimit64, IS(2, 0)),
    CALL(brk),
    CALL(munmap),
    CALL(mremap),
    CALL(madvise),
    CALL(membarrier),
    CALL_IF(mprotect, MASKED(2, PROT_EXEC, 0)),
    CALL_IF2(mmap, MASKED(2, PROT_EXEC, 0), MASKED(3, MAP_ANONYMOUS, MAP_ANONYMOUS)),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sigaltstack),
    CALL(restart_syscall),
    CALL(set_robust_list),
    CALL(rseq),
    CALL(exit),
    CALL(exit_group),
    CALL_IF(clone, MASKED(0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)),
    CALL_IF(prctl, IS(0, PR_SET_NAME)),
    CALL_IF(prctl, IS(0, PR_GET_NAME)),
    CALL_IF(prctl, IS(0, PR_GET_DUMPABLE)),
};

/* writes into descriptors it was given: neither their length nor the map of a file is its own */
static const struct rule smtpd[] = {
    CALL(pwrite64),
    CALL(pwritev),
    CALL(accept4),
    CALL(fdatasync),
    CALL(fsync),
    CALL(sync_file_range),
    CALL(fadvise64),
    CALL(pwritev2),
};

/*
 * reads what the host says of its users: files, and services on Unix sockets; writes its maps, and
 * where the kernel has Landlock nothing else
 */
static const struct rule keeper[] = {
    CALL(openat),
    CALL(open),
    CALL_IF(socket, IS(0, AF_UNIX)),
    CALL(connect),
    CALL(sendmmsg),
    CALL(newfstatat),
    CALL(stat),
    CALL(lstat),
    CALL(statx),
    CALL(access),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(readlink),
    CALL(readlinkat),
    CALL(getdents64),
    CALL(getcwd),
    CALL(fstatfs),
    CALL(statfs),
    CALL(getgroups),
    CALL(pwrite64),
    CALL(pwritev),
    CALL(ftruncate),
    CALL(fsync),
    CALL(fdatasync),
    CALL(msync),
    CALL(unlink),
    CALL(rename),
    CALL_IF(mmap, MASKED(2, PROT_EXEC | PROT_WRITE, 0)),
    CALL_IF(fcntl, IS(1, F_SETLKW)),
    CALL_IF(fcntl, IS(1, F_SETLK)),
    CALL(flock),
};

/* owns the spool; no network besides its tools' socket */
static const struct rule qmgr[] = {
    CALL(alarm),
    CALL(pwrite64),
    CALL(pwritev),
    CALL(preadv),
    CALL(accept4),
    CALL(openat),
    CALL(open),
    CALL(unlink),
    CALL(unlinkat),
    CALL(rename),
    CALL(renameat),
    CALL(renameat2),
    CALL(mkdir),
    CALL(mkdirat),
    CALL(newfstatat),
    CALL(stat),
    CALL(lstat),
    CALL(statx),
    CALL(access),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(getdents64),
    CALL(statfs),
    CALL(fstatfs),
    CALL(ftruncate),
    CALL(fallocate),
    CALL(fsync),
    CALL(fdatasync),
    CALL(msync),
    CALL(sync_file_range),
    CALL(fadvise64),
    CALL(flock),
    CALL(pwritev2),
    CALL(copy_file_range),
    CALL_IF(mmap, MASKED(2, PROT_EXEC, 0)),
    CALL_IF(fcntl, IS(1, F_SETLK)),
    CALL_IF(fcntl, IS(1, F_SETLKW)),
    CALL_IF(fcntl, IS(1, F_GETLK)),
    CALL_IF(fcntl, IS(1, F_OFD_SETLK)),
    CALL_IF(fcntl, IS(1, F_SETPIPE_SZ)),
};

/* the network, in the role of a client */
static const struct rule deliver[] = {
    CALL(pipe2),
    CALL_IF(socketpair, IS(0, AF_UNIX)),
    CALL_IF(socket, IS(0, AF_INET)),
    CALL_IF(socket, IS(0, AF_INET6)),
    CALL(connect),
    CALL(bind),
    CALL(fadvise64),
    CALL(readahead),
    CALL(sendfile),
    CALL(splice),
    CALL_IF(fcntl, IS(1, F_SETPIPE_SZ)),
    CALL_IF(fcntl, IS(1, F_GETPIPE_SZ)),
};

/* resolvers, over UDP and TCP; tools on its Unix socket; what it saves, into a given descriptor */
static const struct rule dnscache[] = {
    CALL(pwrite64),
    CALL(accept4),
    CALL_IF(socket, IS(0, AF_INET)),
    CALL_IF(socket, IS(0, AF_INET6)),
    CALL(connect),
    CALL(bind),
    CALL(sendmmsg),
    CALL(recvmmsg),
};

/* no innocent program asks for these: the process is no longer ours */
static const int killing[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(open_tree),
    SCMP_SYS(bpf),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(process_madvise),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(chroot),
    SCMP_SYS(setuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(personality),
};

#ifdef BATON_SANITIZE
/* ASan maps its shadow, reads /proc/self/maps and looks for symbols before it reports */
static const struct rule sanitizer[] = {
    CALL(mmap),
    CALL(mprotect),
    CALL_IF(openat, MASKED(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)),
    CALL(readlink),
    CALL(newfstatat),
    CALL(stat),
    CALL(access),
    CALL(prctl),
    CALL(getcwd),
    CALL(kill),
};
#endif

static const struct {
	const struct rule *rules;
	size_t n;
} profiles[SANDBOX_PROFILES] = {
    [SANDBOX_SMTPD] = {smtpd, ARRAY_SIZE(smtpd)},
    [SANDBOX_KEEPER] = {keeper, ARRAY_SIZE(keeper)},
    [SANDBOX_QMGR] = {qmgr, ARRAY_SIZE(qmgr)},
    [SANDBOX_DELIVER] = {deliver, ARRAY_SIZE(deliver)},
    [SANDBOX_DNSCACHE] = {dnscache, ARRAY_SIZE(dnscache)},
};

enum { CALLS_NOTED = 1024 };
static unsigned char noted[CALLS_NOTED]; /* 1: refused, not logged yet; 2: logged */
static int noted_fd = -1;
static struct event *noted_event;

/* refuse - SIGSYS: make the call return -EPERM, count it, wake the loop for a new number */
static void refuse(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	(void)sig;
#if defined(__x86_64__)
	uc->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
	uc->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#else
#error "no way known to return a value from a refused system call on this machine"
#endif
	counter_add(C_sandbox_refused, 1);
	unsigned call = (unsigned)info->si_syscall;
	if (call >= CALLS_NOTED || noted[call])
		return;
	noted[call] = 1;
	int e = errno;
	if (noted_fd >= 0 && write(noted_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0) {
		/* it is full: the loop has been woken already */
	}
	errno = e;
}

/* log_refused - each refused call once, by name */
static void log_refused(int fd, short what, void *arg)
{
	uint64_t n;
	(void)what;
	(void)arg;
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	for (unsigned call = 0; call < CALLS_NOTED; call++) {
		if (noted[call] != 1)
			continue;
		noted[call] = 2;
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)call);
		log_warnx("sandbox: system call %s (%u) refused", name ? name : "unknown", call);
		free(name);
	}
}

/* watch_refusals - the handler, and the loop that logs for it */
static int watch_refusals(void)
{
	struct sigaction sa = {.sa_sigaction = refuse, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGSYS, &sa, NULL) != 0)
		return -errno;
	sigset_t unblock;
	sigemptyset(&unblock);
	sigaddset(&unblock, SIGSYS);
	if (sigprocmask(SIG_UNBLOCK, &unblock, NULL) != 0)
		return -errno;
	if (!loop_base() || noted_event)
		return 0;
	noted_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (noted_fd < 0)
		return -errno;
	noted_event = event_new(loop_base(), noted_fd, EV_READ | EV_PERSIST, log_refused, NULL);
	return noted_event && event_add(noted_event, NULL) == 0 ? 0 : -ENOMEM;
}

/* allow - add the rules of a table */
static int allow(scmp_filter_ctx ctx, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct rule *r = &rules[i];
		int e = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, r->call, r->nargs, r->arg);
		/* a call that this machine's table lacks can't be made either */
		if (e != 0 && e != -EDOM && e != -EEXIST)
			return e;
	}
	return 0;
}

/* build - the whole filter of a profile */
static int build(scmp_filter_ctx ctx, enum sandbox_profile profile)
{
	int e = allow(ctx, common, ARRAY_SIZE(common));
	if (e == 0)
		e = allow(ctx, profiles[profile].rules, profiles[profile].n);
#ifdef BATON_SANITIZE
	if (e == 0)
		e = allow(ctx, sanitizer, ARRAY_SIZE(sanitizer));
#endif
	/* abort() of this process, no signal to another one */
	if (e == 0)
		e = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	if (e == 0)
		e = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	for (size_t i = 0; i < ARRAY_SIZE(killing) && e == 0; i++) {
		e = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, killing[i], 0);
		if (e == -EDOM)
			e = 0;
	}
	return e;
}

/* sandbox_enter - close the profile around this process */
int sandbox_enter(enum sandbox_profile profile)
{
	if ((unsigned)profile >= SANDBOX_PROFILES)
		return -EINVAL;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return -errno;
	int e = watch_refusals();
	if (e != 0)
		return e;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
	if (!ctx)
		return -ENOMEM;
	e = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* a binary tree instead of a list: a few comparisons a call instead of a hundred */
	if (e == 0)
		e = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (e == 0)
		e = build(ctx, profile);
	if (e == 0)
		e = seccomp_load(ctx);
	seccomp_release(ctx);
	return e;
}
