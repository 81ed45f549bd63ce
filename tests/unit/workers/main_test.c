/* main_test.c: the worker as a process: its descriptors, signals, name and exit status. */
#define main worker_main
int worker_main(int argc, char **argv);
#include "workers/main.c"
#undef main

#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fake_daemon.h"

/* In a child: run the program with a channel (-1: none) where it expects it. */
static void become(int channel, const char *argument)
{
	static char program[] = "/usr/local/libexec/modeld/modeld-worker";
	char *argv[] = {program, (char *)argument, NULL};
	int spare = -1;

	if (channel >= 0)
		spare = fcntl(channel, F_DUPFD, 100);
	close_range(CHANNEL_FD, 99, 0);
	if (spare >= 0)
		dup2(spare, CHANNEL_FD);
	close_range(100, ~0u, 0);
	_exit(worker_main(argument ? 2 : 1, argv));
}

static int wait_status(pid_t pid)
{
	int status;

	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static int exit_status(int channel, const char *argument)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		become(channel, argument);
	status = wait_status(pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* A worker that said hello and is ready. */
static pid_t start(struct fake_daemon *d)
{
	struct wire_setup setup = fake_daemon_setup();
	pid_t pid;

	fake_daemon_open(d);
	pid = fork();
	if (pid == 0)
		become(d->worker_fd, NULL);
	close_fd(&d->worker_fd);
	fake_daemon_greet(d, &setup);
	return pid;
}

static void drain(struct fake_daemon *d)
{
	const struct wire_message m = {.type = WIRE_DRAIN};

	fake_daemon_send(d, &m);
	fake_daemon_receive(d, WIRE_BYE);
}

Test(program, refuses_to_run_by_hand)
{
	struct fake_daemon d;
	int pipes[2];

	fake_daemon_open(&d);
	cr_assert_eq(pipe(pipes), 0);
	cr_assert_eq(exit_status(-1, NULL), WORKER_EXIT_CONFIG);
	cr_assert_eq(exit_status(pipes[0], NULL), WORKER_EXIT_CONFIG);
	close_fd(&pipes[0]);
	close_fd(&pipes[1]);
	close_fd(&d.worker_fd);
	fake_daemon_close(&d);
}

Test(program, arguments)
{
	cr_assert_eq(exit_status(-1, "--version"), 0);
	cr_assert_eq(exit_status(-1, "-V"), 0);
	cr_assert_eq(exit_status(-1, "--help"), 0);
	cr_assert_eq(exit_status(-1, "-h"), 0);
	cr_assert_eq(exit_status(-1, "--other"), WORKER_EXIT_CONFIG);
	cr_assert_eq(exit_status(-1, "--run"), WORKER_EXIT_CONFIG, "what?");
}

/* In a child: what its environment asks for, and become another program. */
static int run_shell(const char *mode, const char *script)
{
	char *argv[] = {(char *)"modeld-worker", (char *)"--run", (char *)"/bin/sh", (char *)"-c",
		(char *)script, NULL};
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		setenv(SANDBOX_MODE, mode, 1);
		_exit(worker_main(5, argv));
	}
	status = wait_status(pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

Test(program, becomes_another_in_the_sandbox)
{
	const char *state = "case $MODELD_SANDBOX_STATE in on:*) exit 5; esac";

	cr_assert_eq(run_shell("on", state), 5);
	cr_assert_eq(run_shell("off", "test \"$MODELD_SANDBOX_STATE\" = off && exit 6"), 6);
	cr_assert_eq(run_shell("sideways", "exit 7"), WORKER_EXIT_CONFIG);
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 1)
		cr_assert_eq(run_shell("on", "true >build/main_test_file || exit 8"), 8);
}

Test(program, ends_well_after_bye_and_after_end_of_file)
{
	struct fake_daemon d;
	pid_t pid = start(&d);

	drain(&d);
	cr_assert_eq(wait_status(pid), 0);
	fake_daemon_close(&d);
	pid = start(&d);
	close_fd(&d.fd);
	cr_assert_eq(wait_status(pid), 0);
	fake_daemon_close(&d);
}

Test(program, exit_status_says_that_the_device_is_not_there)
{
	struct wire_setup setup = fake_daemon_setup();
	struct wire_message m = {.type = WIRE_SETUP};
	struct fake_daemon d;
	pid_t pid;
	int status;

	setup.device = "tpu:0";
	m.setup = setup;
	fake_daemon_open(&d);
	fake_daemon_send(&d, &m);
	pid = fork();
	if (pid == 0)
		become(d.worker_fd, NULL);
	status = wait_status(pid);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), WORKER_EXIT_CONFIG);
	cr_expect(strstr(fake_daemon_receive(&d, WIRE_BYE)->bye.reason, "tpu:0"));
	close_fd(&d.worker_fd);
	fake_daemon_close(&d);
}

Test(program, signals_of_a_terminal_do_not_end_it)
{
	const struct wire_message ping = {.type = WIRE_PING, .ping = {5}};
	struct fake_daemon d;
	pid_t pid = start(&d);

	kill(pid, SIGINT);
	kill(pid, SIGHUP);
	kill(pid, SIGPIPE);
	fake_daemon_send(&d, &ping);
	cr_assert_eq(fake_daemon_receive(&d, WIRE_PONG)->ping.nonce, 5);
	drain(&d);
	cr_assert_eq(wait_status(pid), 0);
	fake_daemon_close(&d);
}

Test(program, sigterm_ends_it)
{
	struct fake_daemon d;
	pid_t pid = start(&d);
	int status;

	kill(pid, SIGTERM);
	status = wait_status(pid);
	cr_assert(WIFSIGNALED(status));
	cr_assert_eq(WTERMSIG(status), SIGTERM);
	fake_daemon_close(&d);
}

static void read_proc(pid_t pid, const char *file, char *out, size_t cap)
{
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "r");
	cr_assert(f);
	n = fread(out, 1, cap - 1, f);
	out[n] = 0;
	fclose(f);
}

Test(program, ps_shows_its_name)
{
	struct fake_daemon d;
	char text[64];
	pid_t pid = start(&d);

	read_proc(pid, "comm", text, sizeof(text));
	cr_assert_str_eq(text, "cpu:0/1\n");
	drain(&d);
	cr_assert_eq(wait_status(pid), 0);
	fake_daemon_close(&d);
}

Test(program, title_stays_where_the_path_was)
{
	char path[] = "/long/enough/for/any/name";
	char small[] = "./w\0next";
	volatile size_t room = 3;
	struct title t = {path, strlen(path), pthread_self()};

	show_name(&t, "cpu:0/1");
	cr_assert_str_eq(path, TITLE_PREFIX "cpu:0/1");
	t = (struct title){small, room, pthread_self()};
	show_name(&t, "cpu:0/1");
	cr_assert_eq(memcmp(small, "mod\0next", sizeof(small)), 0);
}

/* Its parent dies while the channel stays open elsewhere: here. */
Test(program, does_not_outlive_the_process_that_started_it)
{
	struct fake_daemon d;
	struct pollfd gone;
	int report[2];
	pid_t middle, worker;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	fake_daemon_open(&d);
	cr_assert_eq(pipe(report), 0);
	middle = fork();
	if (middle == 0) {
		worker = fork();
		if (worker == 0)
			become(d.worker_fd, NULL);
		if (write(report[1], &worker, sizeof(worker)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	cr_assert_eq(read(report[0], &worker, sizeof(worker)), sizeof(worker));
	close_fd(&d.worker_fd);
	{
		struct wire_setup setup = fake_daemon_setup();

		fake_daemon_greet(&d, &setup);
	}
	gone = (struct pollfd){(int)syscall(SYS_pidfd_open, worker, 0), POLLIN, 0};
	kill(middle, SIGKILL);
	cr_assert_eq(wait_status(middle), SIGKILL);
	cr_assert_eq(poll(&gone, 1, 60000), 1);
	cr_assert_eq(WTERMSIG(wait_status(worker)), SIGKILL);
	close(gone.fd);
	close_fd(&report[0]);
	close_fd(&report[1]);
	fake_daemon_close(&d);
}
