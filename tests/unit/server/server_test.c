/* Tests of server.c: the order of start and end, signals, exit codes, what systemd is told. */
#include "server.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake_below.h"

static struct config config;
static struct repository *repository;
static struct server *server;
static char text[512];

static void read_models(void)
{
	cr_assert_eq(repository_read(&repository, &config.models, NULL, text, sizeof(text)), 0,
		"%s", text);
}

static void setup(void)
{
	log_init(NULL, LOG_LEVEL_ERROR);
	unsetenv("NOTIFY_SOCKET");
	memset(&below, 0, sizeof(below));
	below.n_versions = 1;
	below.versions[0].settings = (struct version_settings){.name = "identity", .version = "1"};
	cr_assert_eq(config_init(&config), 0);
	cr_assert_eq(config_set(&config, "models.repository=tests/models", text, sizeof(text)), 0);
	cr_assert_eq(config_finish(&config, text, sizeof(text)), 0, "%s", text);
	read_models();
}

static void teardown(void)
{
	repository_free(repository);
	config_release(&config);
}

TestSuite(server, .init = setup, .fini = teardown);

static int run(void)
{
	int r;

	if (!repository)
		read_models();
	r = server_new(&server, &config, steal_ptr(repository));

	if (r)
		return r;
	r = server_run(server);
	server_free(server);
	return r;
}

static void terminate(void)
{
	raise(SIGTERM);
}

static void interrupt(void)
{
	raise(SIGINT);
}

#define STARTED "dispatch_start listen model_changed serving "
#define FREED	" frontend_free dispatch_free"

Test(server, sigterm_drains_top_down_and_ends_well)
{
	below.on_serving = terminate;
	below.frontend_takes = 2;
	below.dispatch_takes = 2;
	cr_expect_eq(run(), SERVER_EXIT_OK);
	cr_expect_str_eq(below.trace,
		STARTED "frontend_drain frontend_drained dispatch_drain dispatch_drained" FREED);
}

Test(server, sigint_does_the_same)
{
	below.on_serving = interrupt;
	cr_expect_eq(run(), SERVER_EXIT_OK);
	cr_expect_str_eq(below.trace,
		STARTED "frontend_drain frontend_drained dispatch_drain dispatch_drained" FREED);
}

Test(server, a_second_signal_ends_at_once)
{
	below.on_serving = terminate;
	below.on_draining = terminate;
	below.frontend_takes = -1;
	below.dispatch_takes = 2;
	cr_expect_eq(run(), SERVER_EXIT_INTERNAL);
	cr_expect_str_eq(below.trace,
		STARTED "frontend_drain dispatch_kill frontend_kill frontend_drained "
			"dispatch_drained" FREED);
}

static void hang_up(void)
{
	raise(SIGHUP);
	raise(SIGTERM);
}

Test(server, sighup_ends_nothing)
{
	below.on_serving = hang_up;
	cr_expect_eq(run(), SERVER_EXIT_OK);
	cr_expect_str_eq(below.trace,
		STARTED "frontend_drain frontend_drained dispatch_drain dispatch_drained" FREED);
	cr_expect_gt(below.n_added, 0);
}

Test(server, both_are_awaited_whichever_ends_first)
{
	below.on_serving = terminate;
	below.on_draining = terminate;
	below.frontend_takes = 5;
	below.dispatch_takes = -1;
	cr_expect_eq(run(), SERVER_EXIT_INTERNAL);
	cr_expect_str_eq(below.trace,
		STARTED "frontend_drain dispatch_kill frontend_kill dispatch_drained "
			"frontend_drained" FREED);
}

Test(server, dispatch_waits_for_frontend_and_handoff)
{
	below.on_serving = terminate;
	below.handoff_takes = 1;
	below.frontend_takes = 9;
	cr_expect_eq(run(), SERVER_EXIT_OK);
	cr_expect_str_eq(below.trace,
		STARTED "frontend_drain handoff_drained frontend_drained dispatch_drain "
			"dispatch_drained" FREED);
}

Test(server, a_handoff_that_does_not_drain_is_killed)
{
	below.on_serving = terminate;
	below.on_draining = terminate;
	below.handoff_takes = -1;
	cr_expect_eq(run(), SERVER_EXIT_INTERNAL);
	cr_expect_not_null(strstr(below.trace, "handoff_drained"));
}

Test(server, metrics_that_cannot_be_served)
{
	below.metrics_new_error = -ENOMEM;
	cr_expect_eq(run(), SERVER_EXIT_OS);
	below.metrics_new_error = 0;
	below.metrics_listen_error = -EINVAL;
	memset(below.trace, 0, sizeof(below.trace));
	cr_expect_eq(run(), SERVER_EXIT_CONFIG);
	cr_expect_str_eq(below.trace, "dispatch_start dispatch_kill dispatch_drained" FREED);
}

Test(server, a_handoff_socket_in_use)
{
	below.handoff_listen_error = -EADDRINUSE;
	cr_expect_eq(run(), SERVER_EXIT_OS);
	cr_expect_str_eq(below.trace, "dispatch_start dispatch_kill dispatch_drained" FREED);
}

Test(server, a_drain_takes_no_longer_than_it_may)
{
	config.drain_timeout_ms = 1;
	below.on_serving = terminate;
	below.frontend_takes = -1;
	cr_expect_eq(run(), SERVER_EXIT_INTERNAL);
	cr_expect_not_null(strstr(below.trace, "frontend_drain dispatch_kill frontend_kill"));
}

Test(server, what_a_model_holds_is_ended_before_the_time_is_up)
{
	config.drain_timeout_ms = 500;
	below.on_serving = terminate;
	below.frontend_takes = -1;
	below.frontend_waits_for_dispatch = true;
	below.dispatch_takes = 2;
	cr_expect_eq(run(), SERVER_EXIT_OK);
	cr_expect_str_eq(below.trace,
		STARTED "frontend_drain dispatch_kill frontend_drained dispatch_drained" FREED);
}

Test(server, a_signal_before_all_is_ready)
{
	below.frontend_takes = 1;
	cr_assert_eq(server_new(&server, &config, steal_ptr(repository)), 0);
	terminate();
	cr_expect_eq(server_run(server), SERVER_EXIT_OK);
	server_free(server);
	cr_expect_not_null(strstr(below.trace, "frontend_drain"));
	cr_expect_null(strstr(below.trace, "serving"), "%s", below.trace);
}

Test(server, workers_that_cannot_be_started)
{
	below.dispatch_start_error = -ENOENT;
	cr_expect_eq(run(), SERVER_EXIT_OS);
	cr_expect_str_eq(below.trace, "dispatch_start dispatch_kill dispatch_drained" FREED);
}

Test(server, an_address_in_use)
{
	below.listen_error = -EADDRINUSE;
	cr_expect_eq(run(), SERVER_EXIT_OS);
	cr_expect_str_eq(below.trace, "dispatch_start listen dispatch_kill dispatch_drained" FREED);
}

Test(server, a_malformed_address)
{
	below.listen_error = -EINVAL;
	cr_expect_eq(run(), SERVER_EXIT_CONFIG);
}

Test(server, nothing_is_left_of_a_half_built_one)
{
	below.dispatch_new_error = -ENOMEM;
	cr_expect_eq(run(), SERVER_EXIT_OS);
	cr_expect_str_eq(below.trace, "");
	below.dispatch_new_error = 0;
	below.frontend_new_error = -ENOMEM;
	cr_expect_eq(run(), SERVER_EXIT_OS);
	cr_expect_str_eq(below.trace, "dispatch_free");
	cr_expect_null(server_free(NULL));
}

Test(server, two_live_one_after_another_in_one_process)
{
	below.on_serving = terminate;
	cr_expect_eq(run(), SERVER_EXIT_OK);
	cr_expect_eq(run(), SERVER_EXIT_OK);
}

Test(server, the_service_manager_is_told)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char got[128] = "";
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "/tmp/modeld-server-test-%d", getpid());
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
	below.on_serving = terminate;
	cr_expect_eq(run(), SERVER_EXIT_OK);
	cr_assert(recv(fd, got, sizeof(got) - 1, 0) > 0);
	cr_expect_str_eq(got, "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting");
	memset(got, 0, sizeof(got));
	cr_assert(recv(fd, got, sizeof(got) - 1, 0) > 0);
	cr_expect_str_eq(got, "READY=1\nSTATUS=serving");
	memset(got, 0, sizeof(got));
	cr_assert(recv(fd, got, sizeof(got) - 1, 0) > 0);
	cr_expect_str_eq(got, "STOPPING=1\nSTATUS=draining");
	close(fd);
	unlink(a.sun_path);
}
