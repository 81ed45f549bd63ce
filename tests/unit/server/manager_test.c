/* manager_test.c: against a socket of the test's own, on a loop of its own. */
#include "manager.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fd = -1;
static uv_loop_t loop;
static struct manager m;

static void setup(void)
{
	char name[64];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = snprintf(name, sizeof(name), "@manager-test-%d", getpid());

	memcpy(a.sun_path, name, (size_t)n);
	a.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert(fd >= 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&a,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
		0);
	setenv("NOTIFY_SOCKET", name, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	cr_assert_eq(uv_loop_init(&loop), 0);
}

static void teardown(void)
{
	manager_close(&m);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
	close(fd);
}

TestSuite(manager, .init = setup, .fini = teardown);

static bool came(const char *expected)
{
	char got[256] = "";

	return recv(fd, got, sizeof(got) - 1, 0) >= 0 && !strcmp(got, expected);
}

static bool nothing_came(void)
{
	char got[256];

	return recv(fd, got, sizeof(got), 0) < 0;
}

Test(manager, starting_takes_its_time_until_it_is_over)
{
	cr_assert_eq(manager_init(&m, &loop), 0);
	cr_expect(came("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting"));
	cr_expect(uv_is_active((uv_handle_t *)&m.timer));
	manager_tell(&m, "READY=1", false);
	cr_expect(came("READY=1"));
	cr_expect_not(uv_is_active((uv_handle_t *)&m.timer), "an idle daemon is not woken up");
	manager_tell(&m, "STOPPING=1", true);
	cr_expect(came("STOPPING=1"));
	cr_expect(uv_is_active((uv_handle_t *)&m.timer));
}

Test(manager, a_status_is_told_and_cut_where_it_is_too_long)
{
	char longer[2 * MANAGER_STATUS_MAX], expected[MANAGER_STATUS_MAX] = "STATUS=1 ";

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	cr_assert_eq(manager_init(&m, &loop), 0);
	manager_tell(&m, "READY=1", false);
	cr_expect(came("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting") && came("READY=1"));
	manager_tell_status(&m, "serving; takeover %d: process %d starts", 1, 4711);
	cr_expect(came("STATUS=serving; takeover 1: process 4711 starts"));
	memset(expected + strlen(expected), 'x', sizeof(expected) - 1 - strlen(expected));
	manager_tell_status(&m, "%d %s", 1, longer);
	cr_expect(came(expected));
	cr_expect_not(uv_is_active((uv_handle_t *)&m.timer), "what it waits for is as before");
}

Test(manager, the_watchdog_hears_from_the_loop)
{
	setenv("WATCHDOG_USEC", "3000", 1);
	cr_assert_eq(manager_init(&m, &loop), 0);
	manager_tell(&m, "READY=1", false);
	cr_expect(came("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting") && came("READY=1"));
	cr_expect(nothing_came(), "the loop has not turned");
	for (int i = 0; i < 3; i++) {
		uv_run(&loop, UV_RUN_ONCE);
		cr_expect(came("WATCHDOG=1"));
		/* One turn may do, where it is late, what is due twice. */
		while (came("WATCHDOG=1"))
			;
	}
}

Test(manager, a_watchdog_for_another_process_is_none)
{
	setenv("WATCHDOG_USEC", "3000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	cr_assert_eq(manager_init(&m, &loop), 0);
	manager_tell(&m, "READY=1", false);
	cr_expect_not(uv_is_active((uv_handle_t *)&m.timer));
}

Test(manager, what_makes_no_sense_is_no_watchdog)
{
	const char *values[] = {"", "0", "-1", "x", "99999999999999999999"};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		setenv("WATCHDOG_USEC", values[i], 1);
		cr_assert_eq(manager_init(&m, &loop), 0);
		cr_expect_eq(m.watchdog_ms, 0, "%s", values[i]);
		manager_close(&m);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
}

Test(manager, nothing_is_lost_when_nobody_reads)
{
	int n = 0;
	bool ready = false;
	char got[256];

	cr_assert_eq(manager_init(&m, &loop), 0);
	do
		manager_tell(&m, "STATUS=x", false);
	while (!m.message && ++n < 100000);
	cr_assert(m.message, "the socket is never full");
	manager_tell(&m, "READY=1", false);
	while (recv(fd, got, sizeof(got), 0) >= 0)
		;
	while (m.message)
		uv_run(&loop, UV_RUN_ONCE);
	while (recv(fd, got, sizeof(got) - 1, 0) >= 0)
		ready |= !strncmp(got, "READY=1", 7);
	cr_expect(ready);
}

/* The manager reads nothing; returns whether it has been told `expected` when it does again. */
static bool is_told_later(const char *expected)
{
	bool told = false;
	char got[256];

	while (recv(fd, got, sizeof(got), 0) >= 0)
		;
	while (m.message)
		uv_run(&loop, UV_RUN_ONCE);
	for (ssize_t n; (n = recv(fd, got, sizeof(got) - 1, 0)) >= 0;) {
		got[n] = 0;
		told |= !strcmp(got, expected);
	}
	return told;
}

static void fill_socket(void)
{
	cr_assert_eq(manager_init(&m, &loop), 0);
	for (int i = 0; i < 100000 && !m.message; i++)
		manager_tell(&m, "STATUS=x", false);
	cr_assert(m.message, "the socket is never full");
}

/* Else it would take our end for the end of the service. */
Test(manager, who_comes_after_us_is_told_when_it_reads_again)
{
	fill_socket();
	manager_hand_over(&m, 4711);
	manager_tell(&m, "STOPPING=1", true);
	manager_tell_status(&m, "serving");
	cr_expect(is_told_later("MAINPID=4711"));
	cr_expect_not(uv_is_active((uv_handle_t *)&m.timer), "nothing more is told");
}

Test(manager, a_status_takes_the_place_of_nothing_that_counts)
{
	fill_socket();
	manager_tell(&m, "READY=1", false);
	manager_tell_status(&m, "serving");
	cr_expect(is_told_later("READY=1"));
}

/* As many descriptors as are open now. Returns the limit before. */
static struct rlimit no_more_descriptors(void)
{
	struct rlimit old, low;
	int probe = dup(fd);

	close(probe);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)probe;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	return old;
}

Test(manager, is_told_where_descriptors_are_out)
{
	struct rlimit before;

	cr_assert_eq(manager_init(&m, &loop), 0);
	cr_expect(came("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting"));
	before = no_more_descriptors();
	manager_tell(&m, "READY=1", false);
	manager_tell(&m, "STATUS=serving", false);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_expect(came("READY=1") && came("STATUS=serving"));
}

Test(manager, is_told_when_there_are_some_again)
{
	struct rlimit before;

	cr_assert_eq(manager_init(&m, &loop), 0);
	close_fd(&m.spare_fd);
	before = no_more_descriptors();
	manager_tell(&m, "READY=1", false);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_expect(came("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting") && nothing_came());
	cr_expect(is_told_later("READY=1"));
}

Test(manager, without_one_nothing_happens)
{
	unsetenv("NOTIFY_SOCKET");
	cr_assert_eq(manager_init(&m, &loop), 0);
	manager_tell(&m, "READY=1", false);
	cr_expect_not(uv_is_active((uv_handle_t *)&m.timer));
	cr_expect(nothing_came());
}
