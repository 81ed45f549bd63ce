/* listener_test.c: listening, through the frontend's door: addresses, Unix socket files, refusals. */
#include "http2_peer.h"
#include "peer_services.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct bed bed;
static char directory[64];
static char path[128];
static char listen_unix[160];
static char text[512];

static void set_up(void)
{
	bed_defaults(&bed);
	snprintf(directory, sizeof(directory), "/tmp/modeld-listener-XXXXXX");
	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/s", directory);
	snprintf(listen_unix, sizeof(listen_unix), "unix:%s", path);
}

static void tear_down(void)
{
	unlink(path);
	rmdir(directory);
}

TestSuite(listener, .init = set_up, .fini = tear_down);

static int start(const char *const *addresses)
{
	bed.settings.listen = addresses;
	cr_assert_eq(bed_open(&bed, fake_tables), 0);
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
	return frontend_counters(bed.frontend).connections == *(uint32_t *)n;
}

static void wait_connections(uint32_t n)
{
	cr_assert(bed_run(&bed, has_connections, &n));
}

Test(listener, several_addresses)
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
	bed_close(&bed);
	/* The file goes with the listener. */
	cr_assert_neq(access(path, F_OK), 0);
}

Test(listener, mode_of_a_unix_socket)
{
	static const char *addresses[] = {NULL, NULL};
	struct stat st;

	addresses[0] = listen_unix;
	bed.settings.unix_mode = 0640;
	cr_assert_eq(start(addresses), 0, "%s", text);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0640);
	bed_close(&bed);
}

Test(listener, unknown_group)
{
	static const char *addresses[] = {NULL, NULL};

	addresses[0] = listen_unix;
	bed.settings.unix_group = "no-such-group-here";
	cr_assert_eq(start(addresses), -ENOENT);
	cr_assert(strstr(text, "unix_group"));
	cr_assert_neq(access(path, F_OK), 0);
	bed_close(&bed);
}

static int bind_path(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, path, strlen(path) + 1);
	cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

Test(listener, stale_socket_is_replaced)
{
	static const char *addresses[] = {NULL, NULL};

	close(bind_path());
	addresses[0] = listen_unix;
	cr_assert_eq(start(addresses), 0, "%s", text);
	close(connect_unix());
	bed_close(&bed);
}

Test(listener, live_socket_is_not)
{
	static const char *addresses[] = {NULL, NULL};
	int fd = bind_path();

	cr_assert_eq(listen(fd, 5), 0);
	addresses[0] = listen_unix;
	cr_assert_eq(start(addresses), -EADDRINUSE);
	cr_assert(strstr(text, path));
	cr_assert_eq(access(path, F_OK), 0);
	bed_close(&bed);
	close(fd);
}

Test(listener, other_files_are_never_removed)
{
	static const char *addresses[] = {NULL, NULL};

	close(open(path, O_CREAT | O_WRONLY, 0600));
	addresses[0] = listen_unix;
	cr_assert_eq(start(addresses), -EADDRINUSE);
	cr_assert_eq(access(path, F_OK), 0);
	bed_close(&bed);
}

Test(listener, a_successors_file_is_left)
{
	static const char *addresses[] = {NULL, NULL};
	int fd;

	addresses[0] = listen_unix;
	cr_assert_eq(start(addresses), 0, "%s", text);
	cr_assert_eq(unlink(path), 0);
	fd = bind_path();
	bed_close(&bed);
	cr_assert_eq(access(path, F_OK), 0);
	close(fd);
}

Test(listener, all_or_nothing)
{
	static const char *addresses[] = {"127.0.0.1:0", "nonsense", NULL};

	cr_assert_eq(start(addresses), -EINVAL);
	cr_assert(strstr(text, "nonsense"));
	cr_assert_null(frontend_address(bed.frontend, 0));
	bed_close(&bed);
}

Test(listener, both_families_on_one_port)
{
	static const char *const addresses[] = {"*:0", NULL};
	unsigned port;
	char six[32];

	cr_assert_eq(start(addresses), 0, "%s", text);
	cr_assert_eq(sscanf(frontend_address(bed.frontend, 0), "0.0.0.0:%u", &port), 1);
	snprintf(six, sizeof(six), "[::]:%u", port);
	if (frontend_address(bed.frontend, 1))
		cr_assert_str_eq(frontend_address(bed.frontend, 1), six);
	bed_close(&bed);
}

/* Everybody above the cap is closed, and those below are served on. */
Test(listener, connection_cap)
{
	static const char *addresses[] = {NULL, NULL};
	int fds[6];
	char byte;

	addresses[0] = listen_unix;
	bed.settings.max_connections = 4;
	cr_assert_eq(start(addresses), 0, "%s", text);
	for (size_t i = 0; i < 6; i++)
		fds[i] = connect_unix();
	wait_connections(4);
	cr_assert_eq(read(fds[4], &byte, 1), 0);
	cr_assert_eq(read(fds[5], &byte, 1), 0);
	for (size_t i = 0; i < 6; i++)
		close(fds[i]);
	wait_connections(0);
	bed_close(&bed);
}

/* Out of descriptors: the connection is taken and closed, and serving goes on afterwards. */
Test(listener, out_of_descriptors)
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
	cr_assert_eq(frontend_counters(bed.frontend).connections, 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	cr_assert_eq(read(fds[0], &byte, 1), 0);
	fds[1] = connect_unix();
	wait_connections(1);
	close(fds[0]);
	close(fds[1]);
	wait_connections(0);
	bed_close(&bed);
}
