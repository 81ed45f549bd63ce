/*
 * failalloc.c: wrapped allocations and system calls.
 *
 * The state is file-scope because the wrapped functions have no argument for it. Any thread; arm
 * and disarm only while no other thread is inside of a wrapped function that matters.
 */
#include "tests/support/failalloc.h"

#include "tests/support/failalloc_live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

static struct {
	_Atomic int kinds; /* 0: disarmed */
	_Atomic int mode;
	_Atomic unsigned long target;
	_Atomic int error;
	_Atomic unsigned long n_calls;
	_Atomic unsigned long n_failed;
} state;

void failalloc_arm_error(enum fail_kind kinds, enum fail_mode mode, unsigned long i, int error)
{
	failalloc_disarm();
	state.mode = mode;
	state.target = i;
	state.error = error;
	state.n_calls = 0;
	state.n_failed = 0;
	state.kinds = kinds;
}

void failalloc_arm(enum fail_kind kinds, enum fail_mode mode, unsigned long i)
{
	failalloc_arm_error(kinds, mode, i, 0);
}

void failalloc_disarm(void)
{
	state.kinds = 0;
}

unsigned long failalloc_count(void)
{
	return state.n_calls;
}

unsigned long failalloc_failed(void)
{
	return state.n_failed;
}

/* Count this call; true: it fails, errno is set. */
static bool fails(enum fail_kind kind, int error)
{
	unsigned long i, target;

	if (!(state.kinds & (int)kind))
		return false;
	target = state.target;
	i = ++state.n_calls;
	if (target == 0 || i < target || (i > target && state.mode == FAIL_TRANSIENT))
		return false;
	state.n_failed++;
	errno = kind == FAIL_SYSCALLS && state.error ? state.error : error;
	return true;
}

/* WRAPPED(type, name, (parameters)): libc's, and ours that stands in for it. */
#define WRAPPED(type, name, parameters)                                                            \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters

/* The block came from here, in the caller of the wrapped function. */
#define CAME(p) live_add(p, state.n_calls, __builtin_return_address(0))

WRAPPED(void *, malloc, (size_t size))
{
	void *p = fails(FAIL_ALLOCATIONS, ENOMEM) ? NULL : __real_malloc(size);

	CAME(p);
	return p;
}

WRAPPED(void *, calloc, (size_t n, size_t size))
{
	void *p = fails(FAIL_ALLOCATIONS, ENOMEM) ? NULL : __real_calloc(n, size);

	CAME(p);
	return p;
}

WRAPPED(void *, aligned_alloc, (size_t align, size_t size))
{
	void *p = fails(FAIL_ALLOCATIONS, ENOMEM) ? NULL : __real_aligned_alloc(align, size);

	CAME(p);
	return p;
}

/* The old block leaves the count before it is gone, when another thread may be given its address. */
WRAPPED(void *, realloc, (void *p, size_t size))
{
	void *moved;

	if (fails(FAIL_ALLOCATIONS, ENOMEM))
		return NULL;
	live_remove(p);
	moved = __real_realloc(p, size);
	CAME(moved);
	return moved;
}

WRAPPED(void, free, (void *p))
{
	live_remove(p);
	__real_free(p);
}

WRAPPED(char *, strdup, (const char *text))
{
	char *p = fails(FAIL_ALLOCATIONS, ENOMEM) ? NULL : __real_strdup(text);

	CAME(p);
	return p;
}

WRAPPED(char *, strndup, (const char *text, size_t n))
{
	char *p = fails(FAIL_ALLOCATIONS, ENOMEM) ? NULL : __real_strndup(text, n);

	CAME(p);
	return p;
}

WRAPPED(int, vasprintf, (char **ret, const char *format, va_list args))
{
	int n = fails(FAIL_ALLOCATIONS, ENOMEM) ? -1 : __real_vasprintf(ret, format, args);

	if (n >= 0)
		CAME(*ret);
	return n;
}

WRAPPED(int, asprintf, (char **ret, const char *format, ...))
{
	va_list args;
	int n;

	va_start(args, format);
	n = fails(FAIL_ALLOCATIONS, ENOMEM) ? -1 : __real_vasprintf(ret, format, args);
	va_end(args);
	if (n >= 0)
		CAME(*ret);
	return n;
}

WRAPPED(char *, realpath, (const char *path, char *resolved))
{
	char *p = fails(FAIL_ALLOCATIONS, ENOMEM) ? NULL : __real_realpath(path, resolved);

	if (!resolved)
		CAME(p);
	return p;
}

WRAPPED(void *, mmap, (void *at, size_t length, int prot, int flags, int fd, off_t offset))
{
	if (fails(FAIL_SYSCALLS, ENOMEM))
		return MAP_FAILED;
	return __real_mmap(at, length, prot, flags, fd, offset);
}

WRAPPED(int, ftruncate, (int fd, off_t length))
{
	return fails(FAIL_SYSCALLS, ENOSPC) ? -1 : __real_ftruncate(fd, length);
}

WRAPPED(int, fcntl, (int fd, int command, ...))
{
	va_list args;
	void *argument;

	/* Whether there is a third argument depends on the command; as libc does, one is read and
	 * passed on in any case: a pointer is as wide as the widest. */
	va_start(args, command);
	argument = va_arg(args, void *);
	va_end(args);
	return fails(FAIL_SYSCALLS, EIO) ? -1 : __real_fcntl(fd, command, argument);
}

WRAPPED(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags))
{
	return fails(FAIL_SYSCALLS, ENOBUFS) ? -1 : __real_sendmsg(fd, m, flags);
}

WRAPPED(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags))
{
	return fails(FAIL_SYSCALLS, ENOBUFS) ? -1 : __real_recvmsg(fd, m, flags);
}

WRAPPED(int, memfd_create, (const char *name, unsigned flags))
{
	return fails(FAIL_SYSCALLS, EMFILE) ? -1 : __real_memfd_create(name, flags);
}

WRAPPED(int, socket, (int domain, int type, int protocol))
{
	return fails(FAIL_SYSCALLS, EMFILE) ? -1 : __real_socket(domain, type, protocol);
}

WRAPPED(int, bind, (int fd, const struct sockaddr *to, socklen_t n))
{
	return fails(FAIL_SYSCALLS, EACCES) ? -1 : __real_bind(fd, to, n);
}

WRAPPED(int, connect, (int fd, const struct sockaddr *to, socklen_t n))
{
	return fails(FAIL_SYSCALLS, ECONNREFUSED) ? -1 : __real_connect(fd, to, n);
}

WRAPPED(int, accept4, (int fd, struct sockaddr *peer, socklen_t *n, int flags))
{
	return fails(FAIL_SYSCALLS, EMFILE) ? -1 : __real_accept4(fd, peer, n, flags);
}

WRAPPED(ssize_t, send, (int fd, const void *data, size_t n, int flags))
{
	return fails(FAIL_SYSCALLS, ENOBUFS) ? -1 : __real_send(fd, data, n, flags);
}

WRAPPED(ssize_t, write, (int fd, const void *data, size_t n))
{
	return fails(FAIL_SYSCALLS, ENOSPC) ? -1 : __real_write(fd, data, n);
}

WRAPPED(int, madvise, (void *at, size_t length, int advice))
{
	return fails(FAIL_SYSCALLS, ENOMEM) ? -1 : __real_madvise(at, length, advice);
}
