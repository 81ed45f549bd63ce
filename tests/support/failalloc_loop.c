/*
 * failalloc_loop.c: fails each call once, and looks after each turn for what was not given back.
 */
#include "tests/support/failalloc.h"

#include "tests/support/failalloc_live.h"

#include <dirent.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* More runs than any test needs: a loop that does not converge is a bug of the test. */
#define RUNS_MAX 100000ul

/* Threads that were started in a run have ended by then. */
unsigned failalloc_settle_ms = 10000;

/* Defined where a leak checker is linked in; and where the program lies in memory. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);
extern const char __executable_start[];

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

/* clock_ns() may be a double here. */
static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Whether there is time left of what began then; waits for a moment where there is. */
static bool settling(uint64_t began_ms)
{
	return now_ms() - began_ms < failalloc_settle_ms && poll(NULL, 0, 1) == 0;
}

unsigned failalloc_settled_fds(unsigned expected)
{
	uint64_t began_ms = now_ms();
	unsigned n;

	while ((n = failalloc_open_fds()) != expected && settling(began_ms))
		;
	return n;
}

struct loop {
	int (*fn)(void *arg);
	void *arg;
	enum fail_kind kinds;
	unsigned fds; /* open before a run */
};

static const char *describe(const char *what, enum fail_mode mode, unsigned long i)
{
	static char text[300];

	snprintf(text, sizeof(text), "%s when call %lu fails (%s)", what, i,
		mode == FAIL_TRANSIENT ? "transient" : "persistent");
	return text;
}

/* What this turn allocated and did not free. */
static const char *leaked(enum fail_mode mode, unsigned long i)
{
	struct live_block first;
	size_t n = live_count(&first);
	char what[200];

	snprintf(what, sizeof(what),
		"memory leaks (%zu blocks, the first by call %lu, addr2line %#tx)", n,
		first.ordinal, (const char *)first.caller - __executable_start);
	return describe(what, mode, i);
}

static int run(const struct loop *l, enum fail_mode mode, unsigned long i)
{
	int r;

	failalloc_arm(l->kinds, mode, i);
	r = l->fn(l->arg);
	failalloc_disarm();
	live_end();
	return r;
}

/* More memory than before, also after such threads have had time to end. */
static bool grows(size_t n)
{
	uint64_t began_ms = now_ms();
	struct live_block first;

	while (live_count(&first) > n)
		if (!settling(began_ms))
			return true;
	return false;
}

/* One run with the i-th call failing (0: none). */
static const char *turn(const struct loop *l, enum fail_mode mode, unsigned long i)
{
	struct live_block first;
	size_t n;
	int r;

	live_begin();
	r = run(l, mode, i);
	if (r != 0 && failalloc_failed() == 0)
		return describe("the function fails though no call does", mode, i);
	if (failalloc_settled_fds(l->fds) != l->fds)
		return describe("a descriptor is left open, or one too many closed,", mode, i);
	n = live_count(&first);
	if (n == 0)
		return NULL;
	/* What lives longer than a run (`arg`, a table in it) keeps its memory: no more in the next. */
	live_resume();
	r = run(l, mode, i);
	return grows(n) ? leaked(mode, i) : NULL;
}

static const char *turns(const struct loop *l, enum fail_mode mode)
{
	for (unsigned long i = 1; i < RUNS_MAX; i++) {
		const char *wrong = turn(l, mode, i);

		if (wrong || failalloc_failed() == 0)
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
	/* Once for all: what libraries allocated for us is not in the count, and this takes its time. */
	if (!wrong && __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
		wrong = "memory that a library allocated leaks in some turn";
	return wrong;
}
