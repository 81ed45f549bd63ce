/* sandbox_private.h: the parts of the sandbox: the user (sandbox_user.c), files (sandbox_files.c), system calls
 * (sandbox_calls.c). */
#ifndef WORKERS_SANDBOX_PRIVATE_H
#define WORKERS_SANDBOX_PRIVATE_H

#include <stdint.h>

#include "workers/sandbox.h"

/* Of "UID:GID"; neither may be root's. -EINVAL */
_must_use_ int sandbox_user_parse(const char *text, uint32_t *ret_uid, uint32_t *ret_gid);
/* Be that user from now on, in no other group, with no capability. -errno: -EPERM where this process may not */
_must_use_ int sandbox_user_become(uint32_t uid, uint32_t gid);

/* What the kernel can do about files: the version of its Landlock interface, from 1; else -errno. */
int sandbox_files_version(void);
/* Does that version keep signals within the sandbox? */
bool sandbox_files_keep_signals(int version);
/* Restrict files (and, as the version allows, sockets and signals). -ENOMEM, -errno */
_must_use_ int sandbox_files_restrict(const struct sandbox_options *o, int version);

/* 0: the kernel can filter system calls, on this kind of processor; else -errno. */
int sandbox_calls_known(void);
/* Refuse system calls. guard_signals: those that send signals to others, too. -errno */
_must_use_ int sandbox_calls_restrict(const struct sandbox_options *o, bool guard_signals);

#endif
