/*
 * failalloc.h: makes the i-th allocation or system call of our code fail.
 *
 * Unit tests are linked with --wrap for malloc, calloc, realloc, aligned_alloc, strdup, strndup,
 * asprintf, vasprintf, realpath (allocations) and mmap, ftruncate, fcntl, sendmsg, recvmsg,
 * memfd_create, madvise, socket, bind, connect, accept4, send, write (system calls): each call from our
 * objects, the test's own included, passes through here; those inside of libc and other shared
 * libraries do not. A library with an allocator hook is reached by giving it ours, as in
 * uv_replace_allocator(malloc, realloc, calloc, free): the names mean the wrapped functions there.
 *
 * Disarmed (the initial state) every call goes through untouched. Counters are atomic: with threads
 * the i-th call is the i-th of all threads.
 */
#ifndef TESTS_SUPPORT_FAILALLOC_H
#define TESTS_SUPPORT_FAILALLOC_H

#include <stdbool.h>

/* What is counted and fails. */
enum fail_kind {
	FAIL_ALLOCATIONS = 1,
	FAIL_SYSCALLS = 2,
	FAIL_ALL = FAIL_ALLOCATIONS | FAIL_SYSCALLS,
};

enum fail_mode {
	FAIL_TRANSIENT,	 /* the i-th once, later ones succeed */
	FAIL_PERSISTENT, /* from the i-th on */
};

/*
 * From now on count calls of `kinds` and fail the i-th (from 1; 0: only count) as `mode` says. A
 * failed call does nothing and sets errno to ENOMEM (allocations, mmap, madvise), ENOSPC (ftruncate, write),
 * EMFILE (memfd_create, socket, accept4), EIO (fcntl), ENOBUFS (sendmsg, recvmsg, send), EACCES
 * (bind), ECONNREFUSED (connect).
 */
void failalloc_arm(enum fail_kind kinds, enum fail_mode mode, unsigned long i);
/* The same, and each failing system call sets errno to `error` (positive). */
void failalloc_arm_error(enum fail_kind kinds, enum fail_mode mode, unsigned long i, int error);
/* Stop counting and failing; the two counters below keep their values. */
void failalloc_disarm(void);
/* Calls counted, calls failed since the last arm. */
unsigned long failalloc_count(void);
unsigned long failalloc_failed(void);

/* Open descriptors of this process. */
unsigned failalloc_open_fds(void);
/*
 * The same, when they are `expected`, or after failalloc_settle_ms: threads may close some
 * (base/closing.h). So long the fault loop waits, too, before it says that something is left.
 */
unsigned failalloc_settled_fds(unsigned expected);
extern unsigned failalloc_settle_ms; /* 10 s, unless a test knows that no thread is there */

/*
 * The fault loop: run fn(arg) unharmed, then once for each i and both modes with the i-th call
 * failing, until a run makes fewer than i calls. fn sets up, works and tears down; it copes with
 * every failure and returns 0 when it did what it should (the unharmed runs have to); a harmed run
 * may return anything, and fn itself asserts what holds in spite of the failure (while it does,
 * failalloc_failed() says whether one happened). After each run as many descriptors are open as
 * before it, and what our objects allocated in it they freed. What libraries allocated for us is
 * looked at once, after the last run, by the leak checker of AddressSanitizer.
 *
 * Returns NULL or what went wrong (static storage). Disarmed on return.
 */
const char *failalloc_loop(int (*fn)(void *arg), void *arg, enum fail_kind kinds);

/* Inside of a criterion test: the fault loop over everything, or over `kinds`. */
#define FAULT_LOOP_KINDS(fn, arg, kinds)                                                           \
	do {                                                                                       \
		const char *_wrong = failalloc_loop(fn, arg, kinds);                               \
		cr_assert(!_wrong, "%s", _wrong);                                                  \
	} while (0)
#define FAULT_LOOP(fn, arg) FAULT_LOOP_KINDS(fn, arg, FAIL_ALL)

#endif
