/*
 * criterion.h: the part of criterion that our unit tests use, for builds in which criterion itself
 * cannot run: ThreadSanitizer reserves the addresses at which criterion wants its arena.
 *
 *   CPPFLAGS=-Itests/support/plain make unit SANITIZE=thread DEVELOPER=0 BUILD=build/tsan
 *
 * Each test runs in a child of its own, one after the other; messages of assertions are left out.
 * Prints what scripts/run-unit reads.
 */
#ifndef TESTS_SUPPORT_PLAIN_CRITERION_H
#define TESTS_SUPPORT_PLAIN_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct criterion_test_extra_data {
	int signal;    /* the test has to end by it; 0: by returning */
	int exit_code; /* or with it */
	bool disabled;
	const char *description;
	double timeout; /* seconds */
	void (*init)(void);
	void (*fini)(void);
};

struct plain_test {
	const char *name;
	void (*fn)(void);
	struct criterion_test_extra_data options;
	struct plain_test *next;
};

/* One list and one main() in a program, whichever of its files include this. */
__attribute__((weak)) struct plain_test *plain_tests;

#define Test(suite, test, ...)                                                                     \
	static void suite##_##test##_impl(void);                                                   \
	__attribute__((constructor)) static void suite##_##test##_register(void)                   \
	{                                                                                          \
		static struct plain_test t = {                                                     \
			.name = #suite "::" #test,                                                 \
			.fn = suite##_##test##_impl,                                               \
			.options = {__VA_ARGS__},                                                  \
		};                                                                                 \
		t.next = plain_tests;                                                              \
		plain_tests = &t;                                                                  \
	}                                                                                          \
	static void suite##_##test##_impl(void)

#define PLAIN_SKIPPED 77

static inline void plain_assert(bool ok, const char *what, const char *file, int line)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	_exit(1);
}

#define PLAIN_ASSERT(ok)		plain_assert(ok, #ok, __FILE__, __LINE__)
#define cr_assert(c, ...)		PLAIN_ASSERT(!!(c))
#define cr_assert_not(c, ...)		PLAIN_ASSERT(!(c))
#define cr_assert_eq(a, b, ...)		PLAIN_ASSERT((a) == (b))
#define cr_assert_neq(a, b, ...)	PLAIN_ASSERT((a) != (b))
#define cr_assert_lt(a, b, ...)		PLAIN_ASSERT((a) < (b))
#define cr_assert_leq(a, b, ...)	PLAIN_ASSERT((a) <= (b))
#define cr_assert_gt(a, b, ...)		PLAIN_ASSERT((a) > (b))
#define cr_assert_geq(a, b, ...)	PLAIN_ASSERT((a) >= (b))
#define cr_assert_null(p, ...)		PLAIN_ASSERT((p) == NULL)
#define cr_assert_not_null(p, ...)	PLAIN_ASSERT((p) != NULL)
#define cr_assert_str_eq(a, b, ...)	PLAIN_ASSERT(strcmp(a, b) == 0)
#define cr_assert_str_neq(a, b, ...)	PLAIN_ASSERT(strcmp(a, b) != 0)
#define cr_assert_arr_eq(a, b, n, ...)	PLAIN_ASSERT(memcmp(a, b, n) == 0)
#define cr_assert_arr_neq(a, b, n, ...) PLAIN_ASSERT(memcmp(a, b, n) != 0)
/* The first one that fails ends the test, whichever it is. */
#define cr_expect	    cr_assert
#define cr_expect_not	    cr_assert_not
#define cr_expect_eq	    cr_assert_eq
#define cr_expect_neq	    cr_assert_neq
#define cr_expect_lt	    cr_assert_lt
#define cr_expect_leq	    cr_assert_leq
#define cr_expect_gt	    cr_assert_gt
#define cr_expect_geq	    cr_assert_geq
#define cr_expect_null	    cr_assert_null
#define cr_expect_not_null  cr_assert_not_null
#define cr_expect_str_eq    cr_assert_str_eq
#define cr_expect_str_neq   cr_assert_str_neq
#define cr_expect_arr_eq    cr_assert_arr_eq
#define cr_expect_arr_neq   cr_assert_arr_neq
#define cr_assert_fail(...) plain_assert(false, "failed", __FILE__, __LINE__)
#define cr_fatal(...)	    cr_assert_fail()
#define cr_skip_test(...)   _exit(PLAIN_SKIPPED)

static void plain_child(const struct plain_test *t)
{
	alarm(t->options.timeout > 0 ? (unsigned)t->options.timeout + 1 : 120);
	if (t->options.init)
		t->options.init();
	t->fn();
	if (t->options.fini)
		t->options.fini();
	exit(0); /* not _exit(): the sanitizer speaks at exit */
}

/* Whether the child's end is the one that the test asks for. */
static bool plain_run(const struct plain_test *t)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		plain_child(t);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (t->options.signal)
		return WIFSIGNALED(status) && WTERMSIG(status) == t->options.signal;
	if (!WIFEXITED(status))
		return false;
	return WEXITSTATUS(status) == t->options.exit_code || WEXITSTATUS(status) == PLAIN_SKIPPED;
}

__attribute__((weak)) int main(void)
{
	unsigned passed = 0, failed = 0;

	for (const struct plain_test *t = plain_tests; t; t = t->next) {
		if (t->options.disabled)
			continue;
		if (plain_run(t)) {
			passed++;
			continue;
		}
		failed++;
		printf("%s failed\n", t->name);
		fflush(stdout);
	}
	printf("[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: 0\n",
		passed + failed, passed, failed);
	return failed > 0;
}

#endif
