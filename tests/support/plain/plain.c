/*
 * plain.c: runs what criterion/criterion.h beside it has collected, and prints what scripts/run-unit reads.
 */
#include <criterion/criterion.h>

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED	  77 /* exit statuses of a test's child */
#define FAILED	  1
#define TIMEOUT_S 120

static struct plain_suite *suites;
static struct plain_test *tests;
static bool failed; /* in a test's child: some expectation did */

void plain_add_suite(struct plain_suite *s)
{
	s->next = suites;
	suites = s;
}

void plain_add_test(struct plain_test *t)
{
	t->next = tests;
	tests = t;
}

static void tell(const char *file, int line, const char *what, const char *message, va_list ap)
{
	fprintf(stderr, "%s:%d: Assertion Failed: %s;", file, line, what);
	vfprintf(stderr, message, ap);
	fputc('\n', stderr);
	failed = true;
}

void plain_expect_failed(const char *file, int line, const char *what, const char *message, ...)
{
	va_list ap;

	va_start(ap, message);
	tell(file, line, what, message, ap);
	va_end(ap);
}

void plain_assert_failed(const char *file, int line, const char *what, const char *message, ...)
{
	va_list ap;

	va_start(ap, message);
	tell(file, line, what, message, ap);
	va_end(ap);
	_exit(FAILED);
}

void plain_skip(void)
{
	_exit(SKIPPED);
}

static const struct plain_options *suite_options(const char *name)
{
	static const struct plain_options none;

	for (const struct plain_suite *s = suites; s; s = s->next)
		if (strcmp(s->name, name) == 0)
			return &s->options;
	return &none;
}

static unsigned timeout_of(const struct plain_test *t, const struct plain_options *suite)
{
	double s = t->options.timeout > 0 ? t->options.timeout : suite->timeout;

	return s > 0 ? (unsigned)s + 1 : TIMEOUT_S;
}

static void call(void (*fn)(void))
{
	if (fn)
		fn();
}

static void child(const struct plain_test *t, const struct plain_options *suite)
{
	alarm(timeout_of(t, suite));
	call(suite->init);
	call(t->options.init);
	t->fn();
	call(t->options.fini);
	call(suite->fini);
	exit(failed ? FAILED : 0); /* not _exit(): the sanitizer speaks at exit */
}

enum outcome { GOOD, BAD, SKIP };

/* Whether the child's end is the one that the test asks for. */
static enum outcome run(const struct plain_test *t)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		child(t, suite_options(t->suite));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return BAD;
	if (t->options.signal)
		return WIFSIGNALED(status) && WTERMSIG(status) == t->options.signal ? GOOD : BAD;
	if (!WIFEXITED(status))
		return BAD;
	if (WEXITSTATUS(status) == SKIPPED)
		return SKIP;
	return WEXITSTATUS(status) == t->options.exit_code ? GOOD : BAD;
}

/* As criterion's --filter=SUITE/TEST, a pattern. */
static bool is_wanted(const struct plain_test *t, int argc, char **argv)
{
	char name[256];

	if (t->options.disabled || suite_options(t->suite)->disabled)
		return false;
	snprintf(name, sizeof(name), "%s/%s", t->suite, t->name);
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--filter=", 9) == 0 && fnmatch(argv[i] + 9, name, 0) != 0)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	unsigned n[3] = {0};

	for (const struct plain_test *t = tests; t; t = t->next) {
		enum outcome o;

		if (!is_wanted(t, argc, argv))
			continue;
		o = run(t);
		n[o]++;
		if (o == BAD)
			printf("%s::%s failed\n", t->suite, t->name);
		fflush(stdout);
	}
	printf("[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: 0\n",
		n[GOOD] + n[BAD], n[GOOD], n[BAD]);
	return n[BAD] > 0;
}
