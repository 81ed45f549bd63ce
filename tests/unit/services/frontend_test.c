/* frontend_test.c: the door: addresses, Unix socket files, refusals, the end. */
#include "services/frontend.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "dispatch/dispatch_private.h"
#include "services/frontend_private.h"

#define WATCHDOG_MS 10000

/* A frontend without services on a loop of its own. */
static struct bed {
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_timer_t watchdog; /* a test that waits for what never comes fails */
	struct frontend_settings settings;
	struct dispatch dispatch;
	struct frontend *frontend;
	bool (*done)(void *arg); /* what bed_run() waits for */
	void *arg;
	bool drained;
	bool late;
} bed;

static const struct service *const no_services[] = {NULL};

static char directory[64];
static char path[128];
static char listen_unix[160];
static char text[512];

static void bed_defaults(void)
{
	bed = (struct bed){
		.settings = {.unix_mode = 0600,
			.grpc = {.compression = "none"},
			.http2 = {.max_connections = 100,
				.max_concurrent_streams = 256,
				.stream_window_bytes = 4 << 20,
				.connection_window_bytes = 64 << 20,
				.max_held_bytes = 64 << 20,
				.max_frame_bytes = 64 << 10,
				.max_header_bytes = 16 << 10,
				.receive_timeout_ms = 60000,
				.send_timeout_ms = 60000,
				.handshake_timeout_ms = 60000,
				.keepalive_interval_ms = 7200000,
				.keepalive_timeout_ms = 20000,
				.reset_burst = 10000,
				.reset_rate = 1000}},
	};
	log_init(NULL, LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
}

static void on_drained(void *data)
{
	cr_assert_not(bed.drained);
	bed.drained = true;
}

static void on_prepare(uv_prepare_t *h)
{
	if (bed.frontend)
		frontend_flush(bed.frontend);
	/* What timers have done must be seen before the loop sleeps. */
	if (bed.done && bed.done(bed.arg))
		uv_stop(&bed.loop);
}

static void on_watchdog(uv_timer_t *h)
{
	bed.late = true;
}

static int bed_open(void)
{
	static const struct frontend_events events = {.on_drained = on_drained};

	cr_assert_eq(uv_loop_init(&bed.loop), 0);
	uv_prepare_init(&bed.loop, &bed.prepare);
	uv_timer_init(&bed.loop, &bed.watchdog);
	uv_prepare_start(&bed.prepare, on_prepare);
	return frontend_new_with(
		&bed.frontend, &bed.loop, &bed.settings, &bed.dispatch, &events, NULL, no_services);
}

static void bed_run(bool (*done)(void *arg), void *arg)
{
	bed.late = false;
	bed.done = done;
	bed.arg = arg;
	uv_timer_start(&bed.watchdog, on_watchdog, WATCHDOG_MS, 0);
	while (!done(arg) && !bed.late)
		uv_run(&bed.loop, UV_RUN_ONCE);
	uv_timer_stop(&bed.watchdog);
	bed.done = NULL;
	cr_assert(!bed.late);
}

static bool is_drained(void *arg)
{
	return bed.drained;
}

static void bed_close(void)
{
	if (bed.frontend) {
		frontend_kill(bed.frontend);
		bed_run(is_drained, NULL);
		bed.frontend = frontend_free(bed.frontend);
	}
	uv_close((uv_handle_t *)&bed.prepare, NULL);
	uv_close((uv_handle_t *)&bed.watchdog, NULL);
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&bed.loop), 0);
}

static void set_up(void)
{
	bed_defaults();
	snprintf(directory, sizeof(directory), "/tmp/modeld-frontend-XXXXXX");
	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/s", directory);
	snprintf(listen_unix, sizeof(listen_unix), "unix:%s", path);
}

static void tear_down(void)
{
	unlink(path);
	rmdir(directory);
}

TestSuite(frontend, .init = set_up, .fini = tear_down);

static int start(const char *const *addresses)
{
	bed.settings.listen = addresses;
	cr_assert_eq(bed_open(), 0);
	return frontend_listen(bed.frontend, text, sizeof(text));
}

static int connect_unix(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int connect_port(unsigned port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static bool has_connections(void *n)
{
	return frontend_n_connections(bed.frontend) == *(uint32_t *)n;
}

static void wait_connections(uint32_t n)
{
	bed_run(has_connections, &n);
}

Test(frontend, several_addresses)
{
	static const char *addresses[] = {"127.0.0.1:0", "127.0.0.1:0", NULL, NULL};
	unsigned port[2];
	int fds[3];

	addresses[2] = listen_unix;
	cr_assert_eq(start(addresses), 0, "%s", text);
	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(
			sscanf(frontend_address(bed.frontend, i), "127.0.0.1:%u", &port[i]), 1);
	cr_assert_neq(port[0], port[1]);
	cr_assert_str_eq(frontend_address(bed.frontend, 2), listen_unix);
	cr_assert_null(frontend_address(bed.frontend, 3));
	fds[0] = connect_port(port[0]);
	fds[1] = connect_port(port[1]);
	fds[2] = connect_unix();
	wait_connections(3);
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
	wait_connections(0);
	bed_close();
	/* The file goes with the listener. */
	cr_assert_neq(access(path, F_OK), 0);
}

Test(frontend, mode_of_a_unix_socket)
{
	static const char *addresses[] = {NULL, NULL};
	struct stat st;

	addresses[0] = listen_unix;
	bed.settings.unix_mode = 0640;
	cr_assert_eq(start(addresses), 0, "%s", text);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0640);
	bed_close();
}

Test(frontend, unknown_group)
{
	static const char *addresses[] = {NULL, NULL};

	addresses[0] = listen_unix;
	bed.settings.unix_group = "no-such-group-here";
	cr_assert_eq(start(addresses), -ENOENT);
	cr_assert(strstr(text, "unix_group"));
	cr_assert_neq(access(path, F_OK), 0);
	bed_close();
}

static int bind_path(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, path, strlen(path) + 1);
	cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

Test(frontend, stale_socket_is_replaced)
{
	static const char *addresses[] = {NULL, NULL};

	close(bind_path());
	addresses[0] = listen_unix;
	cr_assert_eq(start(addresses), 0, "%s", text);
	close(connect_unix());
	bed_close();
}

Test(frontend, live_socket_is_not)
{
	static const char *addresses[] = {NULL, NULL};
	int fd = bind_path();

	cr_assert_eq(listen(fd, 5), 0);
	addresses[0] = listen_unix;
	cr_assert_eq(start(addresses), -EADDRINUSE);
	cr_assert(strstr(text, path));
	cr_assert_eq(access(path, F_OK), 0);
	bed_close();
	close(fd);
}

Test(frontend, other_files_are_never_removed)
{
	static const char *addresses[] = {NULL, NULL};

	close(open(path, O_CREAT | O_WRONLY, 0600));
	addresses[0] = listen_unix;
	cr_assert_eq(start(addresses), -EADDRINUSE);
	cr_assert_eq(access(path, F_OK), 0);
	bed_close();
}

Test(frontend, a_successors_file_is_left)
{
	static const char *addresses[] = {NULL, NULL};
	int fd;

	addresses[0] = listen_unix;
	cr_assert_eq(start(addresses), 0, "%s", text);
	cr_assert_eq(unlink(path), 0);
	fd = bind_path();
	bed_close();
	cr_assert_eq(access(path, F_OK), 0);
	close(fd);
}

Test(frontend, all_or_nothing)
{
	static const char *addresses[] = {"127.0.0.1:0", "nonsense", NULL};

	cr_assert_eq(start(addresses), -EINVAL);
	cr_assert(strstr(text, "nonsense"));
	cr_assert_null(frontend_address(bed.frontend, 0));
	bed_close();
}

Test(frontend, both_families_on_one_port)
{
	static const char *const addresses[] = {"*:0", NULL};
	unsigned port;
	char six[32];

	cr_assert_eq(start(addresses), 0, "%s", text);
	cr_assert_eq(sscanf(frontend_address(bed.frontend, 0), "0.0.0.0:%u", &port), 1);
	snprintf(six, sizeof(six), "[::]:%u", port);
	if (frontend_address(bed.frontend, 1))
		cr_assert_str_eq(frontend_address(bed.frontend, 1), six);
	bed_close();
}

/* Everybody above the cap is closed, and those below are served on. */
Test(frontend, connection_cap)
{
	static const char *addresses[] = {NULL, NULL};
	int fds[6];
	char byte;

	addresses[0] = listen_unix;
	bed.settings.http2.max_connections = 4;
	cr_assert_eq(start(addresses), 0, "%s", text);
	for (size_t i = 0; i < 6; i++)
		fds[i] = connect_unix();
	wait_connections(4);
	cr_assert_eq(read(fds[4], &byte, 1), 0);
	cr_assert_eq(read(fds[5], &byte, 1), 0);
	for (size_t i = 0; i < 6; i++)
		close(fds[i]);
	wait_connections(0);
	bed_close();
}

/* Out of descriptors: the connection is taken and closed, and serving goes on afterwards. */
Test(frontend, out_of_descriptors)
{
	static const char *addresses[] = {NULL, NULL};
	struct rlimit old;
	struct rlimit low;
	char byte;
	int fds[2];
	int probe;

	addresses[0] = listen_unix;
	cr_assert_eq(start(addresses), 0, "%s", text);
	/* libuv opens what it needs at its first turn. */
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	fds[0] = connect_unix();
	probe = dup(0);
	close(probe);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)probe;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (unsigned i = 0; i < 10; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_assert_eq(frontend_n_connections(bed.frontend), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	cr_assert_eq(read(fds[0], &byte, 1), 0);
	fds[1] = connect_unix();
	wait_connections(1);
	close(fds[0]);
	close(fds[1]);
	wait_connections(0);
	bed_close();
}
