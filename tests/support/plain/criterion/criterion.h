/*
 * criterion.h: the part of criterion that our unit tests use, for instrumented builds (and any with
 * `CRITERION=`). Criterion cannot start under ThreadSanitizer, which reserves the addresses at which it
 * wants its arena; and under AddressSanitizer its macros take longer to compile than what is tested, and
 * executing the program anew for each test takes longer than the test.
 *
 * Each test runs in a child of its own, forked, one after the other (plain.c). As with criterion an
 * expectation that fails fails the test when it has ended, an assertion ends it.
 */
#ifndef TESTS_SUPPORT_PLAIN_CRITERION_H
#define TESTS_SUPPORT_PLAIN_CRITERION_H

/* As criterion's, comparisons in these macros are not warned of. */
#pragma GCC system_header

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct plain_options {
	int signal;    /* the test has to end by it; 0: by returning */
	int exit_code; /* or with it */
	bool disabled;
	const char *description;
	double timeout; /* seconds */
	void (*init)(void);
	void (*fini)(void);
};

struct plain_suite {
	const char *name;
	struct plain_options options;
	struct plain_suite *next;
};

struct plain_test {
	const char *suite, *name;
	void (*fn)(void);
	struct plain_options options;
	struct plain_test *next;
};

void plain_add_suite(struct plain_suite *s);
void plain_add_test(struct plain_test *t);
/* Prints where and what, and the message, where one is given, behind the space that it begins with. */
__attribute__((format(printf, 4, 5))) void plain_expect_failed(
	const char *file, int line, const char *what, const char *message, ...);
/* The same, and ends the test. */
__attribute__((format(printf, 4, 5), noreturn)) void plain_assert_failed(
	const char *file, int line, const char *what, const char *message, ...);
__attribute__((noreturn)) void plain_skip(void);

#define TestSuite(SUITE, ...)                                                                      \
	__attribute__((constructor)) static void SUITE##_suite_register(void)                      \
	{                                                                                          \
		static struct plain_suite s = {.name = #SUITE, .options = {__VA_ARGS__}};          \
		plain_add_suite(&s);                                                               \
	}                                                                                          \
	struct plain_suite

#define Test(SUITE, TEST, ...)                                                                     \
	static void SUITE##_##TEST##_impl(void);                                                   \
	__attribute__((constructor)) static void SUITE##_##TEST##_register(void)                   \
	{                                                                                          \
		static struct plain_test t = {                                                     \
			.suite = #SUITE,                                                           \
			.name = #TEST,                                                             \
			.fn = SUITE##_##TEST##_impl,                                               \
			.options = {__VA_ARGS__},                                                  \
		};                                                                                 \
		plain_add_test(&t);                                                                \
	}                                                                                          \
	static void SUITE##_##TEST##_impl(void)

static inline bool plain_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static inline bool plain_near(double a, double b, double by)
{
	return a - b <= by && b - a <= by;
}

#define PLAIN(end, ok, ...)                                                                        \
	((ok) ? (void)0 : plain_##end##_failed(__FILE__, __LINE__, #ok, " " __VA_ARGS__))

#define cr_assert(c, ...)		  PLAIN(assert, (c), __VA_ARGS__)
#define cr_assert_not(c, ...)		  PLAIN(assert, !(c), __VA_ARGS__)
#define cr_assert_eq(a, b, ...)		  PLAIN(assert, (a) == (b), __VA_ARGS__)
#define cr_assert_neq(a, b, ...)	  PLAIN(assert, (a) != (b), __VA_ARGS__)
#define cr_assert_lt(a, b, ...)		  PLAIN(assert, (a) < (b), __VA_ARGS__)
#define cr_assert_leq(a, b, ...)	  PLAIN(assert, (a) <= (b), __VA_ARGS__)
#define cr_assert_gt(a, b, ...)		  PLAIN(assert, (a) > (b), __VA_ARGS__)
#define cr_assert_geq(a, b, ...)	  PLAIN(assert, (a) >= (b), __VA_ARGS__)
#define cr_assert_null(p, ...)		  PLAIN(assert, (p) == NULL, __VA_ARGS__)
#define cr_assert_not_null(p, ...)	  PLAIN(assert, (p) != NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)	  PLAIN(assert, plain_same_text(a, b), __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)	  PLAIN(assert, !plain_same_text(a, b), __VA_ARGS__)
#define cr_assert_str_empty(a, ...)	  PLAIN(assert, *(a) == '\0', __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...)	  PLAIN(assert, memcmp(a, b, n) == 0, __VA_ARGS__)
#define cr_assert_arr_neq(a, b, n, ...)	  PLAIN(assert, memcmp(a, b, n) != 0, __VA_ARGS__)
#define cr_assert_float_eq(a, b, by, ...) PLAIN(assert, plain_near(a, b, by), __VA_ARGS__)
#define cr_assert_fail(...)		  PLAIN(assert, false, __VA_ARGS__)
#define cr_expect(c, ...)		  PLAIN(expect, (c), __VA_ARGS__)
#define cr_expect_not(c, ...)		  PLAIN(expect, !(c), __VA_ARGS__)
#define cr_expect_eq(a, b, ...)		  PLAIN(expect, (a) == (b), __VA_ARGS__)
#define cr_expect_neq(a, b, ...)	  PLAIN(expect, (a) != (b), __VA_ARGS__)
#define cr_expect_lt(a, b, ...)		  PLAIN(expect, (a) < (b), __VA_ARGS__)
#define cr_expect_leq(a, b, ...)	  PLAIN(expect, (a) <= (b), __VA_ARGS__)
#define cr_expect_gt(a, b, ...)		  PLAIN(expect, (a) > (b), __VA_ARGS__)
#define cr_expect_geq(a, b, ...)	  PLAIN(expect, (a) >= (b), __VA_ARGS__)
#define cr_expect_null(p, ...)		  PLAIN(expect, (p) == NULL, __VA_ARGS__)
#define cr_expect_not_null(p, ...)	  PLAIN(expect, (p) != NULL, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)	  PLAIN(expect, plain_same_text(a, b), __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...)	  PLAIN(expect, !plain_same_text(a, b), __VA_ARGS__)
#define cr_expect_str_empty(a, ...)	  PLAIN(expect, *(a) == '\0', __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...)	  PLAIN(expect, memcmp(a, b, n) == 0, __VA_ARGS__)
#define cr_expect_arr_neq(a, b, n, ...)	  PLAIN(expect, memcmp(a, b, n) != 0, __VA_ARGS__)
#define cr_expect_float_eq(a, b, by, ...) PLAIN(expect, plain_near(a, b, by), __VA_ARGS__)
#define cr_skip_test(...)		  plain_skip()

#endif
