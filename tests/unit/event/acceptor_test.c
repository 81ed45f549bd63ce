/* acceptor_test.c: connections are taken, refused, and never left waiting. */
#include "event/acceptor.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/closing.h"
#include "base/log.h"
#include "base/seqpacket.h"

struct bed {
	uv_loop_t loop;
	struct acceptor acceptor;
	char name[32]; /* of an abstract socket */
	unsigned room;
	int taken[64];
	unsigned n_taken;
	unsigned n_refused;
	bool close_inside;
	bool closed;
};

static struct bed bed;

static bool on_accept(struct acceptor *a, int fd)
{
	cr_assert_eq(a, &bed.acceptor);
	if (bed.close_inside)
		acceptor_close(a);
	if (bed.n_taken >= bed.room) {
		close(fd);
		bed.n_refused++;
		return false;
	}
	bed.taken[bed.n_taken++] = fd;
	return true;
}

static void on_closed(struct acceptor *a)
{
	cr_assert_not(bed.closed);
	bed.closed = true;
}

static const struct acceptor_events events = {
	.on_accept = on_accept, .on_closed = on_closed, .limit = "max_things"};

static struct sockaddr_un address(socklen_t *ret_n)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	memcpy(un.sun_path + 1, bed.name, strlen(bed.name));
	*ret_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(bed.name));
	return un;
}

static int listen_here(void)
{
	socklen_t n;
	struct sockaddr_un un = address(&n);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&un, n), 0);
	cr_assert_eq(listen(fd, 100), 0);
	return fd;
}

static void set_up(void)
{
	memset(&bed, 0, sizeof(bed));
	bed.room = 64;
	snprintf(bed.name, sizeof(bed.name), "modeld-acceptor-%d", getpid());
	log_init(NULL, LOG_LEVEL_ERROR);
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
	cr_assert_eq(acceptor_open(&bed.acceptor, &bed.loop, listen_here(), bed.name, &events), 0);
}

static void tear_down(void)
{
	if (bed.acceptor.fd >= 0)
		acceptor_close(&bed.acceptor);
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_expect(bed.closed);
	cr_expect_eq(uv_loop_close(&bed.loop), 0);
	for (unsigned i = 0; i < bed.n_taken; i++)
		close(bed.taken[i]);
}

TestSuite(acceptor, .init = set_up, .fini = tear_down);

static int connect_here(void)
{
	socklen_t n;
	struct sockaddr_un un = address(&n);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&un, n), 0);
	return fd;
}

/* The other side has closed. */
static bool is_eof(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 0;
}

Test(acceptor, takes_what_comes)
{
	int fds[3];

	for (unsigned i = 0; i < 3; i++)
		fds[i] = connect_here();
	while (bed.n_taken < 3)
		uv_run(&bed.loop, UV_RUN_ONCE);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(fcntl(bed.taken[i], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
		cr_assert_eq(fcntl(bed.taken[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		close(fds[i]);
	}
}

Test(acceptor, who_has_no_room_is_closed)
{
	int fds[4];

	bed.room = 2;
	for (unsigned i = 0; i < 4; i++)
		fds[i] = connect_here();
	while (bed.n_refused < 2)
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_assert_eq(bed.n_taken, 2);
	cr_assert(is_eof(fds[2]) && is_eof(fds[3]));
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
}

Test(acceptor, takes_those_who_wait_and_nobody_else)
{
	socklen_t n;
	struct sockaddr_un un = address(&n);
	int fds[3], late = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	bed.room = 2;
	for (unsigned i = 0; i < 3; i++)
		fds[i] = connect_here();
	bed.acceptor.shared = true;
	acceptor_take_waiting(&bed.acceptor);
	cr_assert_eq(bed.n_taken, 0, "they are another process's");
	bed.acceptor.shared = false;
	acceptor_take_waiting(&bed.acceptor);
	cr_assert_eq(bed.n_taken, 2);
	cr_assert_eq(bed.n_refused, 1);
	cr_assert_eq(fcntl(bed.taken[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	cr_expect_eq(connect(late, (struct sockaddr *)&un, n), -1);
	cr_expect_eq(errno, ECONNREFUSED);
	close(late);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

Test(acceptor, may_be_closed_from_inside)
{
	int fds[2];

	bed.close_inside = true;
	fds[0] = connect_here();
	fds[1] = connect_here();
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_assert_eq(bed.n_taken, 1);
	cr_assert(bed.closed);
	close(fds[0]);
	close(fds[1]);
}

/* Descriptors: as many as are open now. */
static struct rlimit no_more_descriptors(void)
{
	struct rlimit old;
	struct rlimit low;
	int probe = dup(0);

	close(probe);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)probe;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	return old;
}

Test(acceptor, out_of_descriptors_clients_see_an_end)
{
	struct rlimit old;
	int fd;

	/* libuv opens what it needs at its first turn. */
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	fd = connect_here();
	old = no_more_descriptors();
	for (unsigned i = 0; i < 10; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	cr_assert_eq(bed.n_taken, 0);
	cr_assert(is_eof(fd));
	close(fd);
	fd = connect_here();
	while (bed.n_taken < 1)
		uv_run(&bed.loop, UV_RUN_ONCE);
	close(fd);
}

/* Without a spare one it waits for better times, and goes on by itself. */
Test(acceptor, pauses_and_goes_on)
{
	struct rlimit old;
	int fd;

	uv_run(&bed.loop, UV_RUN_NOWAIT);
	close_fd(&bed.acceptor.spare_fd);
	fd = connect_here();
	old = no_more_descriptors();
	while (!uv_is_active((uv_handle_t *)&bed.acceptor.pause))
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_assert_not(uv_is_active((uv_handle_t *)&bed.acceptor.poll));
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	while (bed.n_taken < 1)
		uv_run(&bed.loop, UV_RUN_ONCE);
	close(fd);
}

static bool has_ended(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* One that is lost for good would leave clients waiting the next time. */
Test(acceptor, gets_a_spare_one_again)
{
	struct rlimit old;
	int fd, hole;

	uv_run(&bed.loop, UV_RUN_NOWAIT);
	close_fd(&bed.acceptor.spare_fd);
	fd = connect_here();
	hole = dup(fd);
	old = no_more_descriptors();
	while (!uv_is_active((uv_handle_t *)&bed.acceptor.pause))
		uv_run(&bed.loop, UV_RUN_ONCE);
	close(hole);
	while (bed.n_taken == 0 && !has_ended(fd))
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	cr_expect_eq(bed.n_taken, 0);
	cr_expect_geq(bed.acceptor.spare_fd, 0);
	close(fd);
}

static bool is_open_here(int fd)
{
	char byte = 0;

	return send(fd, &byte, 1, MSG_NOSIGNAL) == 1;
}

/* Records that lie in a connection may have descriptors: it is closed elsewhere, so not at once. */
Test(acceptor, what_has_records_is_closed_elsewhere, .init = NULL, .fini = NULL)
{
	static const struct acceptor_events records = {
		.on_accept = on_accept, .on_closed = on_closed, .end = seqpacket_end};
	struct acceptor a = {.events = &records, .fd = -1, .spare_fd = -1};
	int fds[2];

	cr_assert_eq(seqpacket_pair(fds), 0);
	acceptor_discard(&a, fds[1]);
	cr_expect_eq(a.n_closings, 0);
	cr_expect_not(is_open_here(fds[0]));
	close(fds[0]);
	cr_assert_eq(seqpacket_pair(fds), 0);
	cr_assert(is_open_here(fds[0]));
	acceptor_discard(&a, fds[1]);
	cr_assert_eq(a.n_closings, 1);
	cr_expect_not(is_open_here(fds[0]));
	while (!closing_done(a.closings[0]))
		sched_yield();
	closing_release(a.closings[0]);
	close(fds[0]);
}

/* Who waits on a socket that another process has, too, is that one's. */
Test(acceptor, a_shared_socket_goes_on)
{
	static const struct acceptor_events records = {
		.on_accept = on_accept, .on_closed = on_closed, .end = seqpacket_end};
	int other = dup(bed.acceptor.fd), waiting = connect_here(), fd;

	bed.acceptor.events = &records;
	bed.acceptor.shared = true;
	acceptor_close(&bed.acceptor);
	fd = accept(other, NULL, NULL);
	cr_expect_geq(fd, 0, "%d", errno);
	close(fd);
	close(waiting);
	close(other);
}
