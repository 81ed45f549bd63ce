/* sandbox_test.c: what the environment asks for, what is given up, and what is said of it. */
#include "workers/sandbox.c"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_inmate.h"

Test(sandbox, the_environment_says_what_is_wanted)
{
	struct sandbox_options o = {.gpu = true};

	unsetenv(SANDBOX_MODE);
	cr_assert_eq(sandbox_options_read(&o), 0);
	cr_assert_eq(o.mode, SANDBOX_OFF);
	cr_assert(o.gpu);
	for (size_t i = 0; i < 3; i++) {
		setenv(SANDBOX_MODE, mode_names[i], 1);
		cr_assert_eq(sandbox_options_read(&o), 0);
		cr_assert_eq(o.mode, (enum sandbox_mode)i);
	}
	setenv(SANDBOX_READ, "/a\n/b", 1);
	setenv(SANDBOX_WRITE, "/c", 1);
	cr_assert_eq(sandbox_options_read(&o), 0);
	cr_assert_str_eq(o.read, "/a\n/b");
	cr_assert_str_eq(o.write, "/c");
	cr_assert_null(o.user);
	setenv(SANDBOX_USER, "1:2", 1);
	cr_assert_eq(sandbox_options_read(&o), 0);
	cr_assert_str_eq(o.user, "1:2");
	setenv(SANDBOX_USER, "0:0", 1);
	cr_assert_eq(sandbox_options_read(&o), -EINVAL);
	unsetenv(SANDBOX_USER);
	setenv(SANDBOX_MODE, "open", 1);
	cr_assert_eq(sandbox_options_read(&o), -EINVAL);
}

Test(sandbox, lists_are_cut_off_where_they_are_too_long)
{
	char text[SANDBOX_TEXT_MAX] = "on: ";

	add(text, "%s", "one");
	add(text, "%d", 2);
	cr_assert_str_eq(text, "on: one, 2");
	for (int i = 0; i < 100; i++)
		add(text, "more");
	cr_assert_eq(strlen(text), sizeof(text) - 1);
}

static int enter(void *arg)
{
	struct sandbox_report report;

	return sandbox_apply(arg, &report);
}

/* A word of /proc/self/status. */
static int status_is(const char *line)
{
	char text[8192];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return strstr(text, line) != NULL;
}

static int try_privileges(void *arg)
{
	if (!status_is("NoNewPrivs:\t1"))
		return 1;
	if (!sandbox_calls_known() && !status_is("Seccomp:\t2"))
		return 2;
	return status_is("CapEff:\t0000000000000000") || status_is("CapEff:\t0000000000004006") ? 0
												: 3;
}

static int try_privileges_of_a_child(void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(try_privileges(arg));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}

static int try_nothing(void *arg)
{
	return 0;
}

static int try_what_is_left_open(void *arg)
{
	return status_is("NoNewPrivs:\t0") && status_is("Seccomp:\t0") ? 0 : 1;
}

Test(sandbox, privileges_are_given_up)
{
	struct sandbox_options o = {.mode = SANDBOX_ON};

	cr_assert_eq(fake_inmate(enter, try_privileges, &o), 0);
	cr_assert_eq(fake_inmate(enter, try_privileges_of_a_child, &o), 0);
	o.mode = SANDBOX_RELAXED;
	cr_assert_eq(fake_inmate(enter, try_privileges, &o), 0);
	o.mode = SANDBOX_OFF;
	cr_assert_eq(fake_inmate(try_nothing, try_what_is_left_open, &o),
		fake_inmate(enter, try_what_is_left_open, &o));
}

/* In the child: the report of what has been applied there. */
static int try_report(void *arg)
{
	struct sandbox_report report;
	struct sandbox_options *o = arg;
	int version = sandbox_files_version();

	if (sandbox_apply(o, &report))
		return 1;
	if (o->mode == SANDBOX_OFF)
		return strcmp(report.state, "off") || *report.lacks ? 2 : 0;
	if (strncmp(report.state, "relaxed: no new privileges", 26) != 0)
		return 3;
	if ((version >= 1) != (strstr(report.state, "files (Landlock ") != NULL))
		return 4;
	return (version >= 1 && !sandbox_calls_known()) == (*report.lacks == '\0') ? 0 : 5;
}

Test(sandbox, the_report_says_what_is_in_effect)
{
	struct sandbox_options o = {.mode = SANDBOX_OFF};

	cr_assert_eq(fake_inmate(try_nothing, try_report, &o), 0);
	o.mode = SANDBOX_RELAXED;
	cr_assert_eq(fake_inmate(try_nothing, try_report, &o), 0);
}

static int is_closed(void *arg)
{
	sandbox_close();
	return prctl(PR_GET_DUMPABLE) == 0;
}

static int set_core(void *arg)
{
	struct rlimit limit = {*(rlim_t *)arg, *(rlim_t *)arg};

	return setrlimit(RLIMIT_CORE, &limit);
}

Test(sandbox, closed_unless_it_is_off_or_a_core_is_wanted)
{
	rlim_t none = 1, some = 4096;
	struct rlimit limit;

	unsetenv(SANDBOX_MODE);
	cr_assert_eq(fake_inmate(set_core, is_closed, &none), 0);
	setenv(SANDBOX_MODE, "off", 1);
	cr_assert_eq(fake_inmate(set_core, is_closed, &none), 0);
	setenv(SANDBOX_MODE, "on", 1);
	cr_assert_eq(fake_inmate(set_core, is_closed, &none), 1);
	setenv(SANDBOX_MODE, "relaxed", 1);
	cr_assert_eq(fake_inmate(set_core, is_closed, &none), 1);
	if (!getrlimit(RLIMIT_CORE, &limit) && limit.rlim_max >= some)
		cr_assert_eq(fake_inmate(set_core, is_closed, &some), 0);
}
