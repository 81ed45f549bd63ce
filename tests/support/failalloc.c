/*
 * failalloc.c: wrapped allocations and system calls, and the loop that fails each of them once.
 *
 * The state is file-scope because the wrapped functions have no argument for it. Any thread; arm
 * and disarm only while no other thread is inside of a wrapped function that matters.
 */
#include "tests/support/failalloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* More runs than any test needs: a loop that does not converge is a bug of the test. */
#define RUNS_MAX 100000ul

static struct {
	_Atomic int kinds; /* 0: disarmed */
	_Atomic int mode;
	_Atomic unsigned long target;
	_Atomic int error;
	_Atomic unsigned long n_calls;
	_Atomic unsigned long n_failed;
} state;

/* Defined where a leak checker is linked in. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

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

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset);
int __real_ftruncate(int fd, off_t length);
int __real_fcntl(int fd, int command, ...);
ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *m, int flags);
int __real_memfd_create(const char *name, unsigned flags);
int __real_madvise(void *at, size_t length, int advice);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset);
int __wrap_ftruncate(int fd, off_t length);
int __wrap_fcntl(int fd, int command, ...);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_madvise(void *at, size_t length, int advice);

void *__wrap_malloc(size_t size)
{
	return fails(FAIL_ALLOCATIONS, ENOMEM) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails(FAIL_ALLOCATIONS, ENOMEM) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails(FAIL_ALLOCATIONS, ENOMEM) ? NULL : __real_realloc(p, size);
}

void *__wrap_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset)
{
	if (fails(FAIL_SYSCALLS, ENOMEM))
		return MAP_FAILED;
	return __real_mmap(at, length, prot, flags, fd, offset);
}

int __wrap_ftruncate(int fd, off_t length)
{
	return fails(FAIL_SYSCALLS, ENOSPC) ? -1 : __real_ftruncate(fd, length);
}

int __wrap_fcntl(int fd, int command, ...)
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

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return fails(FAIL_SYSCALLS, ENOBUFS) ? -1 : __real_sendmsg(fd, m, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags)
{
	return fails(FAIL_SYSCALLS, ENOBUFS) ? -1 : __real_recvmsg(fd, m, flags);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
	return fails(FAIL_SYSCALLS, EMFILE) ? -1 : __real_memfd_create(name, flags);
}

int __wrap_madvise(void *at, size_t length, int advice)
{
	return fails(FAIL_SYSCALLS, ENOMEM) ? -1 : __real_madvise(at, length, advice);
}

unsigned failalloc_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", "..", and dir's own */
}

struct loop {
	int (*fn)(void *arg);
	void *arg;
	enum fail_kind kinds;
	unsigned fds; /* open before a run */
};

static const char *describe(const char *what, enum fail_mode mode, unsigned long i)
{
	static char text[160];

	snprintf(text, sizeof(text), "%s when call %lu fails (%s)", what, i,
		mode == FAIL_TRANSIENT ? "transient" : "persistent");
	return text;
}

/* One run with the i-th call failing (0: none). */
static const char *turn(const struct loop *l, enum fail_mode mode, unsigned long i)
{
	int r;

	failalloc_arm(l->kinds, mode, i);
	r = l->fn(l->arg);
	failalloc_disarm();
	if (r != 0 && state.n_failed == 0)
		return describe("the function fails though no call does", mode, i);
	if (failalloc_open_fds() != l->fds)
		return describe("a descriptor is left open, or one too many closed,", mode, i);
	if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
		return describe("memory leaks", mode, i);
	return NULL;
}

static const char *turns(const struct loop *l, enum fail_mode mode)
{
	for (unsigned long i = 1; i < RUNS_MAX; i++) {
		const char *wrong = turn(l, mode, i);

		if (wrong || state.n_failed == 0)
			return wrong;
	}
	return "the loop does not end: each run makes more calls than the one before";
}

const char *failalloc_loop(int (*fn)(void *arg), void *arg, enum fail_kind kinds)
{
	struct loop l = {.fn = fn, .arg = arg, .kinds = kinds};
	const char *wrong;

	/* Once to warm up what is made once in a process, then once that counts. */
	failalloc_disarm();
	if (fn(arg) != 0)
		return "the function fails though no call does";
	l.fds = failalloc_open_fds();
	wrong = turn(&l, FAIL_TRANSIENT, 0);
	if (!wrong)
		wrong = turns(&l, FAIL_TRANSIENT);
	if (!wrong)
		wrong = turns(&l, FAIL_PERSISTENT);
	return wrong;
}
