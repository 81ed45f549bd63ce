/* conn_test.c: what is read in a turn, what a write leaves over, the end from either side. */
#include "http2/conn.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http2/rights.h"
#include "pipes.h"
#include "tests/support/failalloc.h"

#define READ_BUFFER 1000u
#define LENT	    ((size_t)4 << 20) /* more than a socket takes */

static struct bed {
	uv_loop_t loop;
	struct conn conn;
	struct conn_shared shared;
	struct rights_desk rights;
	struct blocks blocks;
	struct gather gather;
	uint8_t read_buffer[READ_BUFFER];
	int peer;
	size_t n_received;
	unsigned n_reads;
	unsigned written;
	unsigned ended;
	int end_error;
	unsigned closed;
	unsigned released;
} bed;

static void on_data(struct conn *c, const uint8_t *data, size_t n)
{
	cr_assert_eq(c, &bed.conn);
	bed.n_received += n;
	bed.n_reads++;
}

static void on_written(struct conn *c)
{
	cr_assert_eq(conn_pending(c), 0);
	bed.written++;
}

static void on_end(struct conn *c, int err)
{
	bed.ended++;
	bed.end_error = err;
}

static void on_closed(struct conn *c)
{
	bed.closed++;
}

static const struct conn_events events = {
	.on_data = on_data, .on_written = on_written, .on_end = on_end, .on_closed = on_closed};

static void open_conn(bool rights)
{
	int fds[2];
	bool opened;

	signal(SIGPIPE, SIG_IGN);
	memset(&bed, 0, sizeof(bed));
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
	blocks_init(&bed.blocks);
	conn_shared_init(&bed.shared, bed.read_buffer, sizeof(bed.read_buffer));
	rights_desk_init(&bed.rights);
	if (rights)
		bed.shared.rights = &bed.rights;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	bed.peer = fds[1];
	cr_assert_eq(conn_open(&bed.conn, &bed.loop, fds[0], ENDPOINT_UNIX, &events, &bed.shared,
			     &opened),
		0);
	cr_assert(opened);
}

static void teardown(void)
{
	conn_close(&bed.conn);
	conn_close(&bed.conn);
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_assert_eq(bed.closed, 1);
	cr_assert_eq(uv_loop_close(&bed.loop), 0);
	close_fd(&bed.peer);
	rights_desk_deinit(&bed.rights);
	blocks_deinit(&bed.blocks);
}

static void setup(void)
{
	open_conn(false);
}

static void setup_rights(void)
{
	open_conn(true);
}

/* libuv reads, or rights.h does: it makes no difference. */
TestSuite(conn, .init = setup, .fini = teardown);
TestSuite(conn_rights, .init = setup_rights, .fini = teardown);

#define BOTH(name)                                                                                 \
	static void name(void);                                                                    \
	Test(conn, name)                                                                           \
	{                                                                                          \
		name();                                                                            \
	}                                                                                          \
	Test(conn_rights, name)                                                                    \
	{                                                                                          \
		name();                                                                            \
	}                                                                                          \
	static void name(void)

static void on_release(void *owner)
{
	bed.released++;
}

/* `head` and LENT bytes of zeroes into the gather. */
static void fill_gather(void)
{
	static const uint8_t zeroes[LENT];
	struct piece *p = piece_lent(&bed.blocks, zeroes, LENT, on_release, NULL);

	cr_assert(p);
	gather_copy(&bed.gather, "head", 4);
	gather_piece(&bed.gather, p, 0, LENT);
	piece_unref(p);
}

/* Reads what is there. Returns how much. */
static size_t take(void)
{
	static uint8_t some[65536];
	size_t sum = 0;
	ssize_t n;

	while ((n = read(bed.peer, some, sizeof(some))) > 0)
		sum += (size_t)n;
	return sum;
}

BOTH(one_connection_reads_so_much_a_turn)
{
	static const uint8_t much[10 * READ_BUFFER];

	cr_assert_eq(write(bed.peer, much, sizeof(much)), sizeof(much));
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(bed.n_received, 4 * READ_BUFFER, "the others have their turn");
	cr_expect(conn_shared_turn(&bed.shared));
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(bed.n_received, 8 * READ_BUFFER);
	cr_expect(conn_shared_turn(&bed.shared));
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(bed.n_received, 10 * READ_BUFFER);
}

/* So many connections have ended in this turn that there is no time for more. */
static void end_late(void)
{
	bed.shared.ends_ns = NS_PER_S;
	close_fd(&bed.peer);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_assert_eq(bed.ended, 0);
}

BOTH(an_end_for_which_there_is_no_time_is_told_in_the_next_turn)
{
	end_late();
	cr_expect(conn_shared_turn(&bed.shared));
	cr_expect_eq(bed.ended, 1);
	cr_expect_eq(bed.end_error, 0);
	cr_expect(conn_shared_turn(&bed.shared));
	cr_expect_eq(bed.ended, 1);
}

BOTH(an_end_that_was_not_told_yet_is_not_when_it_is_closed)
{
	end_late();
	conn_close(&bed.conn);
	cr_expect(conn_shared_turn(&bed.shared));
	cr_expect_eq(bed.ended, 0);
}

BOTH(what_was_said_before_the_end_is_read)
{
	static const uint8_t much[10 * READ_BUFFER];

	gather_copy(&bed.gather, "head", 4);
	cr_assert_eq(conn_write(&bed.conn, &bed.gather), 0);
	cr_assert_eq(write(bed.peer, much, sizeof(much)), sizeof(much));
	close_fd(&bed.peer); /* with ours unread: the socket is broken */
	while (bed.ended == 0) {
		cr_expect(conn_shared_turn(&bed.shared));
		uv_run(&bed.loop, UV_RUN_ONCE);
	}
	cr_expect_eq(bed.n_received, 10 * READ_BUFFER);
}

BOTH(a_small_write_is_over_at_once)
{
	char got[8] = "";

	gather_copy(&bed.gather, "head", 4);
	cr_assert_eq(conn_write(&bed.conn, &bed.gather), 0);
	cr_expect_eq(conn_pending(&bed.conn), 0);
	cr_expect_eq(bed.gather.n_bytes, 0);
	cr_expect_eq(read(bed.peer, got, sizeof(got)), 4);
	cr_expect_str_eq(got, "head");
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(bed.written, 0, "on_written is for what had to wait");
}

BOTH(what_the_kernel_does_not_take_waits)
{
	size_t sum = 0;

	fill_gather();
	cr_assert_eq(conn_write(&bed.conn, &bed.gather), 0);
	cr_expect_gt(conn_pending(&bed.conn), 0);
	cr_expect_eq(bed.gather.n_bytes, 0, "the gather is free for others");
	cr_expect_eq(bed.released, 0, "the bytes are still needed");
	while (bed.written == 0) {
		sum += take();
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	}
	sum += take();
	cr_expect_eq(sum, 4 + LENT);
	cr_expect_eq(bed.released, 1);
	cr_expect_eq(conn_pending(&bed.conn), 0);
}

BOTH(closed_while_a_write_waits)
{
	fill_gather();
	cr_assert_eq(conn_write(&bed.conn, &bed.gather), 0);
	conn_close(&bed.conn);
	cr_expect_eq(bed.released, 0);
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_expect_eq(bed.released, 1);
	cr_expect_eq(bed.written, 0);
	cr_expect_eq(bed.ended, 0);
}

BOTH(no_memory_for_the_rest)
{
	fill_gather();
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_expect_eq(conn_write(&bed.conn, &bed.gather), -ENOMEM);
	failalloc_disarm();
	cr_expect_eq(bed.released, 1);
	cr_expect_eq(bed.gather.n_bytes, 0);
	cr_expect_eq(conn_pending(&bed.conn), 0);
}

BOTH(the_peer_closes)
{
	cr_assert_eq(write(bed.peer, "last", 4), 4);
	close_fd(&bed.peer);
	while (bed.ended == 0)
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_expect_eq(bed.n_received, 4, "what it said before is read");
	cr_expect_eq(bed.end_error, 0);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(bed.ended, 1);
	gather_copy(&bed.gather, "head", 4);
	cr_expect_eq(conn_write(&bed.conn, &bed.gather), -EPIPE);
	cr_expect_eq(bed.gather.n_bytes, 0);
}

BOTH(the_peer_is_gone_while_a_write_waits)
{
	fill_gather();
	cr_assert_eq(conn_write(&bed.conn, &bed.gather), 0);
	close_fd(&bed.peer);
	while (bed.released == 0)
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_expect_geq(bed.ended, 1);
	cr_expect_eq(bed.written, 0);
}

BOTH(fin_follows_what_was_written)
{
	char got[8] = "";

	gather_copy(&bed.gather, "head", 4);
	cr_assert_eq(conn_write(&bed.conn, &bed.gather), 0);
	conn_shut(&bed.conn);
	conn_shut(&bed.conn);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(read(bed.peer, got, sizeof(got)), 4);
	cr_expect_eq(read(bed.peer, got, sizeof(got)), 0);
	cr_assert_eq(write(bed.peer, "late", 4), 4);
	while (bed.n_received == 0)
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_expect_eq(bed.n_received, 4, "the other way is open");
}

BOTH(a_descriptor_that_nothing_can_be_read_from)
{
	struct conn c;
	bool opened;
	int fd = open("/", O_PATH | O_CLOEXEC);
	unsigned before = failalloc_open_fds();

	cr_assert_geq(fd, 0);
	cr_expect_lt(conn_open(&c, &bed.loop, fd, ENDPOINT_TCP, &events, &bed.shared, &opened), 0);
	cr_expect(opened);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(bed.closed, 1);
	bed.closed = 0;
	cr_expect_eq(failalloc_open_fds(), before - 1);
}

Test(conn_rights, who_sends_a_descriptor_is_ended)
{
	int pipe_fd;

	cr_assert_eq(write(bed.peer, "first", 5), 5);
	pipe_fd = pipe_send(bed.peer, "second");
	while (bed.ended == 0)
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_expect_eq(bed.end_error, -EPROTO);
	cr_expect_eq(bed.ended, 1);
	pipe_expect_closed(pipe_fd);
}

Test(conn_rights, a_descriptor_that_is_not_read_is_closed_by_others)
{
	int pipe_fd = pipe_send(bed.peer, "unread");

	conn_close(&bed.conn);
	cr_expect_not(list_empty(&bed.rights.running));
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	pipe_expect_closed(pipe_fd);
	cr_expect_eq(bed.n_received, 0);
}

Test(conn_rights, what_is_not_unix_is_read_by_libuv)
{
	struct conn c;
	bool opened;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	cr_assert_eq(
		conn_open(&c, &bed.loop, fds[0], ENDPOINT_TCP, &events, &bed.shared, &opened), 0);
	cr_expect_eq(c.fd, -1);
	cr_expect_geq(bed.conn.fd, 0);
	conn_close(&c);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(bed.closed, 1);
	bed.closed = 0;
	close(fds[1]);
}
