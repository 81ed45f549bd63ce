/*
 * example_test.c: the library as its users get it: the example of clients/c/examples, compiled by
 * nothing but the public header, linked with either library, runs; and nothing but modeld_* is seen.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_handoff.h"

static char build[256];

/* The build's folder, from where this test lies: BUILD/unit/client/example_test. */
static void find_build(void)
{
	ssize_t n = readlink("/proc/self/exe", build, sizeof(build) - 1);

	cr_assert_gt(n, 0);
	build[n] = 0;
	for (int i = 0; i < 3; i++)
		*strrchr(build, '/') = 0;
}

/* Run it; its standard output, in static storage. */
static const char *output_of(const char *program)
{
	static char out[4096];
	int fds[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(fds[1], STDOUT_FILENO);
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while ((got = read(fds[0], out + n, sizeof(out) - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = 0;
	close(fds[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %d", program, status);
	return out;
}

static void run_example(const char *name)
{
	struct fake_handoff daemon;
	char program[300];

	find_build();
	(void)snprintf(program, sizeof(program), "%s/%s", build, name);
	fake_handoff_start(&daemon, FAKE_GOOD);
	cr_assert_eq(setenv("MODELD_HANDOFF", daemon.path, 1), 0);
	cr_assert_eq(setenv("LD_LIBRARY_PATH", build, 1), 0);
	cr_assert_str_eq(output_of(program), "out: 256 bytes, the first is 0\n");
	fake_handoff_stop(&daemon);
}

Test(example, with_the_shared_library)
{
	run_example("examples/infer");
}

Test(example, with_the_static_library)
{
	run_example("examples/infer-static");
}
