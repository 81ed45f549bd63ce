/* rights_test.c: data comes through, descriptors do not; who closes them is not the loop. */
#include "http2/rights.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/seqpacket.h"
#include "pipes.h"
#include "tests/support/failalloc.h"

static struct bed {
	struct rights_desk desk;
	int fd, peer;
	char buffer[64];
} bed;

static void setup(void)
{
	int fds[2];

	memset(&bed, 0, sizeof(bed));
	rights_desk_init(&bed.desk);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	bed.fd = fds[0];
	bed.peer = fds[1];
	rights_expect(bed.fd);
}

static void teardown(void)
{
	rights_desk_deinit(&bed.desk);
	close_fd(&bed.fd);
	close_fd(&bed.peer);
}

TestSuite(rights, .init = setup, .fini = teardown);

static int read_some(size_t *ret_n)
{
	return rights_read(&bed.desk, bed.fd, bed.buffer, sizeof(bed.buffer), ret_n);
}

static void wait_done(void)
{
	while (rights_desk_running(&bed.desk) > 0)
		sched_yield();
	cr_expect(list_empty(&bed.desk.running));
}

Test(rights, data_comes_and_the_end)
{
	size_t n = 1;

	cr_expect_eq(read_some(&n), -EAGAIN);
	cr_assert_eq(write(bed.peer, "hello", 5), 5);
	cr_assert_eq(read_some(&n), 0);
	cr_expect_eq(n, 5);
	cr_expect_eq(memcmp(bed.buffer, "hello", 5), 0);
	close_fd(&bed.peer);
	cr_expect_eq(read_some(&n), 0);
	cr_expect_eq(n, 0);
	cr_expect(list_empty(&bed.desk.running));
}

Test(rights, descriptors_are_closed_by_others)
{
	int pipe_fd = pipe_send(bed.peer, "hello");
	size_t n;

	cr_expect_eq(read_some(&n), -EPROTO);
	pipe_expect_closed(pipe_fd);
	wait_done();
}

Test(rights, a_byte_out_of_band_brings_none_past_us)
{
	int pipe_fds[2];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.align = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	size_t n;

	cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	memcpy(CMSG_DATA(&control.align), &pipe_fds[1], sizeof(int));
	if (sendmsg(bed.peer, &m, MSG_OOB) < 0) /* Linux 5.15 */
		cr_skip_test("no data out of band");
	close(pipe_fds[1]);
	cr_expect_eq(read_some(&n), -EPROTO);
	pipe_expect_closed(pipe_fds[0]);
	wait_done();
}

Test(rights, what_was_not_read_is_closed_by_others)
{
	int pipe_fd = pipe_send(bed.peer, "unread");

	rights_close(&bed.desk, steal_fd(&bed.fd));
	cr_expect_not(list_empty(&bed.desk.running));
	pipe_expect_closed(pipe_fd);
	wait_done();
}

Test(rights, where_all_was_read_it_is_closed_here)
{
	int fd = bed.fd;

	rights_close(&bed.desk, steal_fd(&bed.fd));
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
	cr_expect(list_empty(&bed.desk.running));
	cr_expect_eq(read(bed.peer, bed.buffer, 1), 0);
}

Test(rights, nothing_more_comes_after_the_end)
{
	cr_expect(rights_end(bed.fd));
	cr_expect_eq(send(bed.peer, "x", 1, MSG_NOSIGNAL), -1);
	cr_expect_eq(errno, EPIPE);
}

Test(rights, where_the_kernel_refuses_none_can_be_sent)
{
	int fd;

	if (!rights_refuse(bed.fd))
		cr_skip_test("Linux before 6.16");
	fd = dup(0);
	cr_expect_lt(seqpacket_send(bed.peer, "x", 1, &fd, 1, 0), 0);
	close(fd);
}

Test(rights, without_memory_it_is_done_all_the_same)
{
	for (size_t i = 1; i <= 2; i++) {
		int pipe_fd = pipe_send(bed.peer, "hello");
		size_t n;

		failalloc_arm(FAIL_ALLOCATIONS, FAIL_TRANSIENT, i);
		cr_expect_eq(read_some(&n), -EPROTO);
		failalloc_disarm();
		pipe_expect_closed(pipe_fd);
		cr_expect(list_empty(&bed.desk.running));
	}
}
