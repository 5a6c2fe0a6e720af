/* SPDX-License-Identifier: ISC */
/*
 * What a role may ask of the kernel once it runs (DESIGN §1). One profile per role, each a list
 * of system calls with conditions on arguments. What isn't listed fails with EPERM, so that an
 * unforeseen call of a library is survivable and visible in the role's log; execve, ptrace,
 * process_vm_*, mount, bpf and their like kill the process. Profiles are closed once, never opened
 * again.
 *
 * A refused call is counted (C_sandbox_refused) and logged once per number, through SIGSYS: a
 * thread that blocks signals must leave SIGSYS unblocked, or a refused call ends the process.
 * Enter it after loop_init(), or refusals are counted but not logged.
 *
 * Built with a sanitizer (BATON_SANITIZE) a profile also allows what the sanitizer's own runtime
 * needs; such a build is for tests only.
 */
#pragma once

enum sandbox_profile {
	SANDBOX_SMTPD,
	SANDBOX_KEEPER,
	SANDBOX_QMGR,
	SANDBOX_DELIVER,
	SANDBOX_DNSCACHE,
	SANDBOX_PROFILES
};

/*
 * Closes the sandbox around this process and all its threads (the filter is synchronised to
 * threads that exist). Sets no_new_privs and makes the process undumpable. Returns 0 or -E...;
 * a role that can't close its sandbox must not serve.
 */
int sandbox_enter(enum sandbox_profile profile);

/*
 * From now on this process (its one thread; threads made later inherit it) reaches no file but
 * those in and below the folder: neither reading nor writing. What is open stays open. To be called
 * from the role's `prepare`, while there is one thread. Returns 0; -EOPNOTSUPP where the kernel has
 * no Landlock or has it switched off, and in sanitizer builds: the caller goes on without; or
 * another -E....
 */
int sandbox_only_below(const char *folder);

/* The same of writing alone: it may read what its user may. */
int sandbox_write_only_below(const char *folder);
