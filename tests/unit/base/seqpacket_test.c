/* seqpacket_test.c: records and descriptors, both ways, and every way to go wrong. */
#include "base/seqpacket.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/support/failalloc.h"

#define UNTOUCHED 77

struct pair {
	int fds[2]; /* own */
	char data[64];
	size_t n;
	int got[SEQPACKET_FDS_MAX]; /* own: n_got */
	size_t n_got;
};

static void pair_open(struct pair *p)
{
	*p = (struct pair){.n = UNTOUCHED, .n_got = UNTOUCHED};
	cr_assert_eq(seqpacket_pair(p->fds), 0);
}

static void pair_close(struct pair *p)
{
	close_fd(&p->fds[0]);
	close_fd(&p->fds[1]);
}

static int take(struct pair *p, size_t fds_max)
{
	return seqpacket_recv(
		p->fds[1], p->data, sizeof(p->data), &p->n, p->got, fds_max, &p->n_got, 1);
}

static int take_plain(struct pair *p)
{
	return seqpacket_recv(p->fds[1], p->data, sizeof(p->data), &p->n, NULL, 0, NULL, 1);
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

Test(seqpacket, pair_is_cloexec)
{
	struct pair p;

	pair_open(&p);
	for (int i = 0; i < 2; i++)
		cr_assert(fcntl(p.fds[i], F_GETFD) & FD_CLOEXEC);
	pair_close(&p);
}

Test(seqpacket, records_keep_their_bounds)
{
	struct pair p;

	pair_open(&p);
	cr_assert_eq(seqpacket_send(p.fds[0], "abc", 3, NULL, 0, 1), 0);
	cr_assert_eq(seqpacket_send(p.fds[0], "de", 2, NULL, 0, 0), 0);
	cr_assert_eq(take(&p, SEQPACKET_FDS_MAX), 0);
	cr_assert(p.n == 3 && memcmp(p.data, "abc", 3) == 0 && p.n_got == 0);
	cr_assert_eq(take_plain(&p), 0);
	cr_assert(p.n == 2 && memcmp(p.data, "de", 2) == 0);
	cr_assert_eq(take(&p, 0), -EAGAIN);
	pair_close(&p);
}

Test(seqpacket, descriptors_arrive)
{
	int sent[SEQPACKET_FDS_MAX];
	struct pair p;
	unsigned before;

	pair_open(&p);
	for (size_t i = 0; i < SEQPACKET_FDS_MAX; i++)
		sent[i] = memfd_create("sent", MFD_CLOEXEC);
	before = failalloc_open_fds();
	cr_assert_eq(seqpacket_send(p.fds[0], "x", 1, sent, SEQPACKET_FDS_MAX, 1), 0);
	cr_assert_eq(take(&p, SEQPACKET_FDS_MAX), 0);
	cr_assert_eq(p.n_got, SEQPACKET_FDS_MAX);
	cr_assert_eq(failalloc_open_fds(), before + SEQPACKET_FDS_MAX);
	for (size_t i = 0; i < SEQPACKET_FDS_MAX; i++) {
		cr_assert(same_file(p.got[i], sent[i]));
		cr_assert_neq(p.got[i], sent[i]);
		cr_assert(fcntl(p.got[i], F_GETFD) & FD_CLOEXEC);
		close(p.got[i]);
		close(sent[i]);
	}
	pair_close(&p);
}

/* A record with n descriptors, past our own limit on what is sent. */
static void send_raw(int fd, const char *data, size_t n_data, size_t n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(32 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = n_data};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	cr_assert_eq(sendmsg(fd, &m, 0), (ssize_t)n_data);
}

/* Each case: EPROTO, nothing kept open, outputs untouched, and the next record comes. */
static void refused(struct pair *p, size_t n_sent, int r, unsigned fds_before)
{
	cr_assert_eq(r, -EPROTO, "%zu sent: %d", n_sent, r);
	cr_assert(p->n == UNTOUCHED && p->n_got == UNTOUCHED && p->got[0] == 0);
	cr_assert_eq(failalloc_open_fds(), fds_before, "%zu sent", n_sent);
	cr_assert_eq(seqpacket_send(p->fds[0], "next", 4, NULL, 0, 1), 0);
	cr_assert_eq(take_plain(p), 0);
	cr_assert_eq(p->n, 4);
	p->n = UNTOUCHED;
}

Test(seqpacket, unwanted_descriptors_are_closed)
{
	struct pair p;
	unsigned before;

	pair_open(&p);
	before = failalloc_open_fds();
	for (size_t n = 9; n <= 32; n++) {
		send_raw(p.fds[0], "x", 1, n);
		refused(&p, n, take(&p, 8), before);
	}
	send_raw(p.fds[0], "x", 1, 2);
	refused(&p, 2, take(&p, 1), before);
	send_raw(p.fds[0], "x", 1, 1);
	refused(&p, 1, take(&p, 0), before);
	send_raw(p.fds[0], "x", 1, 3);
	refused(&p, 3, take_plain(&p), before);
	pair_close(&p);
}

Test(seqpacket, too_long_for_the_receiver)
{
	struct pair p;
	unsigned before;

	pair_open(&p);
	before = failalloc_open_fds();
	send_raw(p.fds[0], (const char[65]){0}, 65, 2);
	cr_assert_eq(take(&p, SEQPACKET_FDS_MAX), -EMSGSIZE);
	cr_assert(p.n == UNTOUCHED);
	cr_assert_eq(p.n_got, 2);
	close(p.got[0]);
	close(p.got[1]);
	cr_assert_eq(failalloc_open_fds(), before);
	cr_assert_eq(seqpacket_send(p.fds[0], (const char[64]){0}, 64, NULL, 0, 1), 0);
	cr_assert_eq(take(&p, 0), 0);
	cr_assert_eq(p.n, 64);
	pair_close(&p);
}

Test(seqpacket, too_long_for_the_sender)
{
	static const char data[16 << 20];
	struct pair p;

	pair_open(&p);
	cr_assert_eq(seqpacket_send(p.fds[0], data, sizeof(data), NULL, 0, 1), -EMSGSIZE);
	cr_assert_eq(take(&p, 0), -EAGAIN);
	pair_close(&p);
}

Test(seqpacket, full_queue)
{
	struct pair p;
	int r;

	pair_open(&p);
	do
		r = seqpacket_send(p.fds[0], "x", 1, NULL, 0, 1);
	while (r == 0);
	cr_assert_eq(r, -EAGAIN);
	cr_assert_eq(take(&p, 0), 0);
	cr_assert_eq(seqpacket_send(p.fds[0], "x", 1, NULL, 0, 1), 0);
	pair_close(&p);
}

Test(seqpacket, end_of_file)
{
	struct pair p;

	pair_open(&p);
	cr_assert_eq(seqpacket_send(p.fds[0], "bye", 3, NULL, 0, 1), 0);
	close_fd(&p.fds[0]);
	cr_assert_eq(take(&p, 0), 0);
	cr_assert_eq(p.n, 3);
	p.n = UNTOUCHED;
	cr_assert_eq(take(&p, 0), -EPIPE);
	cr_assert_eq(take(&p, 0), -EPIPE);
	cr_assert_eq(p.n, UNTOUCHED);
	cr_assert_eq(seqpacket_send(p.fds[1], "x", 1, NULL, 0, 1), -EPIPE);
	pair_close(&p);
}

Test(seqpacket, what_was_sent_before_the_end_of_the_input_is_there)
{
	char data[8];
	size_t n, n_fds;
	int pair[2];

	cr_assert_eq(seqpacket_pair(pair), 0);
	cr_assert_eq(seqpacket_send(pair[0], "ab", 2, NULL, 0, 1), 0);
	cr_assert_eq(seqpacket_end_input(pair[1]), 0);
	cr_expect_eq(seqpacket_send(pair[0], "c", 1, NULL, 0, 1), -EPIPE);
	cr_expect_eq(seqpacket_recv(pair[1], data, sizeof(data), &n, NULL, 0, &n_fds, 1), 0);
	cr_expect_eq(n, 2);
	cr_expect_eq(seqpacket_recv(pair[1], data, sizeof(data), &n, NULL, 0, &n_fds, 1), -EPIPE);
	cr_expect_eq(seqpacket_send(pair[1], "d", 1, NULL, 0, 1), 0, "the other way is open");
	cr_expect_eq(seqpacket_recv(pair[0], data, sizeof(data), &n, NULL, 0, &n_fds, 1), 0);
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	cr_expect_eq(seqpacket_end_input(-1), -EBADF);
}

Test(seqpacket, empty_record_counts_as_the_end)
{
	struct pair p;
	unsigned before;

	pair_open(&p);
	before = failalloc_open_fds();
	send_raw(p.fds[0], "", 0, 2);
	cr_assert_eq(take(&p, 8), -EPIPE);
	cr_assert_eq(failalloc_open_fds(), before);
	pair_close(&p);
}

/* A peer that dies with our record unread: what it had sent before is not lost. */
Test(seqpacket, last_words_survive_a_reset)
{
	struct pair p;

	pair_open(&p);
	cr_assert_eq(seqpacket_send(p.fds[1], "unread", 6, NULL, 0, 1), 0);
	cr_assert_eq(seqpacket_send(p.fds[0], "bye", 3, NULL, 0, 1), 0);
	close_fd(&p.fds[0]);
	cr_assert_eq(take(&p, 0), 0);
	cr_assert_eq(p.n, 3);
	cr_assert_eq(take(&p, 0), -EPIPE);
	pair_close(&p);
}

Test(seqpacket, interrupted_calls_go_on)
{
	struct pair p;

	pair_open(&p);
	failalloc_arm_error(FAIL_SYSCALLS, FAIL_TRANSIENT, 1, EINTR);
	cr_assert_eq(seqpacket_send(p.fds[0], "x", 1, NULL, 0, 1), 0);
	failalloc_arm_error(FAIL_SYSCALLS, FAIL_TRANSIENT, 1, EINTR);
	cr_assert_eq(take(&p, 0), 0);
	failalloc_disarm();
	cr_assert_eq(p.n, 1);
	pair_close(&p);
}

Test(seqpacket, a_signal_may_end_the_wait)
{
	struct pair p;

	pair_open(&p);
	failalloc_arm_error(FAIL_SYSCALLS, FAIL_TRANSIENT, 1, EINTR);
	cr_expect_eq(seqpacket_recv_until_signal(p.fds[1], p.data, sizeof(p.data), &p.n, p.got,
			     SEQPACKET_FDS_MAX, &p.n_got),
		-EINTR);
	failalloc_disarm();
	cr_assert_eq(seqpacket_send(p.fds[0], "abc", 3, NULL, 0, 1), 0);
	cr_expect_eq(seqpacket_recv_until_signal(p.fds[1], p.data, sizeof(p.data), &p.n, p.got,
			     SEQPACKET_FDS_MAX, &p.n_got),
		0);
	cr_expect_eq(p.n, 3);
	pair_close(&p);
}

Test(seqpacket, not_a_socket)
{
	struct pair p;

	pair_open(&p);
	close_fd(&p.fds[1]);
	p.fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
	cr_assert_eq(take(&p, 0), -ENOTSOCK);
	cr_assert_eq(seqpacket_send(p.fds[1], "x", 1, NULL, 0, 1), -ENOTSOCK);
	cr_assert_eq(seqpacket_set_send_buffer(p.fds[1], 1), -ENOTSOCK);
	pair_close(&p);
}

static int buffer_of(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &len), 0);
	return value;
}

Test(seqpacket, send_buffer_grows)
{
	static const char data[100000];
	struct pair p;
	int before;

	pair_open(&p);
	before = buffer_of(p.fds[0]);
	cr_assert_eq(seqpacket_set_send_buffer(p.fds[0], 1), 0);
	cr_assert_eq(buffer_of(p.fds[0]), before);
	cr_assert_eq(setsockopt(p.fds[0], SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int)), 0);
	cr_assert_eq(seqpacket_send(p.fds[0], data, sizeof(data), NULL, 0, 1), -EMSGSIZE);
	cr_assert_eq(seqpacket_set_send_buffer(p.fds[0], sizeof(data)), 0);
	cr_assert_eq(seqpacket_send(p.fds[0], data, sizeof(data), NULL, 0, 1), 0);
	cr_assert_eq(seqpacket_set_send_buffer(p.fds[0], SIZE_MAX), -EINVAL);
	pair_close(&p);
}

static int exchange(void *arg)
{
	struct pair p;
	unsigned before;
	int r;

	pair_open(&p);
	before = failalloc_open_fds();
	r = seqpacket_send(p.fds[0], "x", 1, p.fds, 2, 1);
	if (!r)
		r = take(&p, 2);
	cr_assert_eq(r != 0, failalloc_failed() != 0);
	cr_assert_eq(failalloc_open_fds(), before + (r ? 0 : 2));
	for (size_t i = 0; !r && i < p.n_got; i++)
		close_fd(&p.got[i]);
	pair_close(&p);
	return r;
}

Test(seqpacket, fault_loop)
{
	FAULT_LOOP(exchange, NULL);
}

Test(seqpacket, no_descriptor_is_closed_inside_of_recvmsg)
{
	struct pair p;
	int fd = 1;

	pair_open(&p);
	cr_assert_eq(seqpacket_send(p.fds[0], "", 0, &fd, 1, 1), 0);
	cr_expect_eq(take(&p, SEQPACKET_FDS_MAX), -EPIPE, "an empty record");
	cr_assert_eq(p.n_got, 1);
	cr_expect(same_file(p.got[0], 1));
	close_fd(&p.got[0]);
	pair_close(&p);
}

static bool ends(const void *data, size_t n, int fd)
{
	struct pair p;
	bool drained;

	pair_open(&p);
	if (data)
		cr_assert_eq(seqpacket_send(p.fds[0], data, n, &fd, fd >= 0, 1), 0);
	drained = seqpacket_end(p.fds[1]);
	cr_expect_eq(seqpacket_send(p.fds[0], "x", 1, NULL, 0, 1), -EPIPE);
	pair_close(&p);
	return drained;
}

Test(seqpacket, at_the_end_one_knows_whether_a_record_is_left)
{
	cr_expect(ends(NULL, 0, -1));
	cr_expect_not(ends("x", 1, -1));
	cr_expect_not(ends("x", 1, 1));
	cr_expect_not(ends("", 0, -1), "an empty one");
	cr_expect_not(ends("", 0, 1));
}

Test(seqpacket, the_end_of_a_socket_whose_peer_is_gone)
{
	struct pair p;

	pair_open(&p);
	close_fd(&p.fds[0]);
	cr_expect(seqpacket_end(p.fds[1]));
	pair_close(&p);
}
