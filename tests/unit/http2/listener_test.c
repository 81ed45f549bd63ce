/* listener_test.c: bound where it says, the reason when it is not, the file of a Unix socket. */
#include "http2/listener.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/support/failalloc.h"

static struct bed {
	uv_loop_t loop;
	struct listener listener;
	struct endpoint endpoint;
	char path[64];
	char text[256];
	unsigned accepted;
	unsigned closed;
} bed;

static bool on_accept(void *data, int fd, const struct endpoint *endpoint)
{
	cr_assert_eq(data, &bed);
	cr_assert_eq(endpoint, &bed.endpoint);
	bed.accepted++;
	close(fd);
	return true;
}

static bool has_room(void *data, const struct endpoint *endpoint)
{
	return true;
}

static void on_closed(struct listener *l)
{
	cr_assert_eq(l, &bed.listener);
	bed.closed++;
}

static void setup(void)
{
	log_init(NULL, LOG_LEVEL_ERROR);
	memset(&bed, 0, sizeof(bed));
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
	snprintf(bed.path, sizeof(bed.path), "/tmp/listener_test.%d", (int)getpid());
	bed.endpoint.unix_mode = 0600;
}

static void teardown(void)
{
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&bed.loop), 0);
	unlink(bed.path);
}

TestSuite(listener, .init = setup, .fini = teardown);

static int open_on(struct listener *l, const char *listen)
{
	struct address all[ADDRESSES_MAX];
	size_t n;

	cr_assert_eq(address_parse(listen, all, &n, bed.text, sizeof(bed.text)), 0);
	bed.endpoint.kind = address_is_unix(&all[0]) ? ENDPOINT_UNIX : ENDPOINT_TCP;
	*l = (struct listener){.on_accept = on_accept, .has_room = has_room, .data = &bed};
	return listener_open(l, &bed.loop, &bed.endpoint, &all[0], bed.text, sizeof(bed.text));
}

static void expect_connection(const struct address *to)
{
	int fd = socket(to->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (const struct sockaddr *)&to->socket, to->n_socket), 0);
	while (bed.accepted == 0)
		uv_run(&bed.loop, UV_RUN_ONCE);
	close(fd);
}

Test(listener, the_port_that_it_got)
{
	cr_assert_eq(open_on(&bed.listener, "127.0.0.1:0"), 0);
	cr_expect_gt(address_port(&bed.listener.address), 0);
	cr_expect(!strstr(bed.listener.text, ":0"), "%s", bed.listener.text);
	expect_connection(&bed.listener.address);
	listener_close(&bed.listener, on_closed);
	cr_expect_eq(bed.closed, 0, "later, from the loop");
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_expect_eq(bed.closed, 1);
}

Test(listener, a_port_in_use_is_named)
{
	struct listener second;
	char listen[ADDRESS_TEXT_MAX];

	cr_assert_eq(open_on(&bed.listener, "127.0.0.1:0"), 0);
	memcpy(listen, bed.listener.text, sizeof(listen));
	cr_expect_eq(open_on(&second, listen), -EADDRINUSE);
	cr_expect(strstr(bed.text, listen), "%s", bed.text);
	cr_expect(strstr(bed.text, "listen") || strstr(bed.text, "bind"), "%s", bed.text);
	listener_close(&bed.listener, on_closed);
}

Test(listener, the_file_of_a_unix_socket)
{
	char listen[96];
	struct stat st;

	snprintf(listen, sizeof(listen), "unix:%s", bed.path);
	cr_assert_eq(open_on(&bed.listener, listen), 0, "%s", bed.text);
	cr_assert_eq(stat(bed.path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_expect_str_eq(bed.listener.text, listen);
	expect_connection(&bed.listener.address);
	listener_close(&bed.listener, on_closed);
	cr_expect_neq(stat(bed.path, &st), 0, "it goes at once");
}

Test(listener, an_unknown_group_leaves_no_file)
{
	char listen[96];
	struct stat st;

	snprintf(listen, sizeof(listen), "unix:%s", bed.path);
	bed.endpoint.unix_group = "no such group";
	cr_expect_eq(open_on(&bed.listener, listen), -ENOENT);
	cr_expect(strstr(bed.text, "unix_group"), "%s", bed.text);
	cr_expect_neq(stat(bed.path, &st), 0);
}

static int open_and_close(void *arg)
{
	char listen[96];
	int r;

	snprintf(listen, sizeof(listen), "unix:%s", bed.path);
	r = open_on(&bed.listener, listen);
	if (!r)
		listener_close(&bed.listener, on_closed);
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_assert_neq(access(bed.path, F_OK), 0);
	return r;
}

Test(listener, faults)
{
	FAULT_LOOP(open_and_close, NULL);
}
