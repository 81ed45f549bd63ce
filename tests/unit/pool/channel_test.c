/* channel_test.c: messages over a socket pair whose other end the test holds. */
#include "pool/channel.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/seqpacket.h"
#include "fake_crowd.h"
#include "tests/support/failalloc.h"

struct end {
	uv_loop_t loop;
	int peer;
	struct channel *channel;
	struct wire_scratch *scratch; /* of the peer */
	uint8_t buffer[WIRE_MESSAGE_MAX];
	uint64_t nonces[256];
	size_t n;
	uint64_t first_ns,
		last_ns; /* when the first one and the last one came, as the channel says */
	uint32_t n_pauses;
	uint32_t n_ends;
	int err;
	int fd; /* taken over with a message */
	bool take_fd;
	bool close_in_message;
	int refused; /* what became of that, last */
	bool goes_on; /* for each message that is heard the peer says another one, as long as it can */
};

static int peer_tries_to_say(struct end *e, uint64_t nonce, int fd)
{
	const struct wire_message m = {.type = WIRE_PONG, .ping = {nonce}};
	const uint8_t *data;
	size_t n;

	cr_assert_eq(wire_pack(e->scratch, &m, &data, &n), 0);
	return seqpacket_send(e->peer, data, n, &fd, fd >= 0, 0);
}

static void on_message(void *data, const struct wire_message *m, int *fd)
{
	struct end *e = data;

	e->last_ns = channel_received_ns(e->channel);
	if (e->n == 0)
		e->first_ns = e->last_ns;
	e->nonces[e->n++] = m->ping.nonce;
	if (e->take_fd)
		e->fd = steal_fd(fd);
	if (e->close_in_message)
		e->channel = channel_close(e->channel);
	if (e->goes_on && e->n < sizeof(e->nonces) / sizeof(e->nonces[0]))
		e->refused = peer_tries_to_say(e, m->ping.nonce, -1);
}

static void on_pause(void *data)
{
	((struct end *)data)->n_pauses++;
}

static void on_end(void *data, int err)
{
	struct end *e = data;

	e->n_ends++;
	e->err = err;
}

static const struct channel_events events = {
	.on_message = on_message, .on_pause = on_pause, .on_end = on_end};

static int end_init(struct end *e, size_t queue_max)
{
	int pair[2];
	int r;

	memset(e, 0, sizeof(*e));
	e->fd = -1;
	cr_assert_eq(uv_loop_init(&e->loop), 0);
	cr_assert_eq(seqpacket_pair(pair), 0);
	cr_assert_eq(wire_scratch_new(&e->scratch), 0);
	e->peer = pair[1];
	r = channel_new(&e->channel, &e->loop, pair[0], queue_max, &events, e);
	if (r)
		close(pair[0]);
	return r;
}

static void end_deinit(struct end *e)
{
	e->channel = channel_close(e->channel);
	uv_run(&e->loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&e->loop), 0);
	wire_scratch_free(e->scratch);
	close_fd(&e->peer);
	close_fd(&e->fd);
}

static int put(struct end *e, uint64_t nonce)
{
	return channel_send(
		e->channel, &(struct wire_message){.type = WIRE_PING, .ping = {nonce}}, -1);
}

static int ping(struct end *e, uint64_t nonce)
{
	int r = put(e, nonce);

	return r ? r : channel_flush(e->channel);
}

static void peer_says(struct end *e, uint64_t nonce, int fd)
{
	cr_assert_eq(peer_tries_to_say(e, nonce, fd), 0);
}

static uint64_t peer_hears(struct end *e)
{
	const struct wire_message *m;
	size_t n, used;
	int r = seqpacket_recv(e->peer, e->buffer, sizeof(e->buffer), &n, NULL, 0, NULL, 1);

	if (r == -EAGAIN)
		return 0;
	cr_assert_eq(r, 0);
	cr_assert_eq(wire_unpack(e->scratch, e->buffer, n, &used, &m), 0);
	cr_assert_eq(used, n);
	return m->ping.nonce;
}

/* A record of the messages `from` to `to`. */
static void peer_says_many(struct end *e, uint64_t from, uint64_t to)
{
	size_t n_record = 0;

	for (uint64_t i = from; i <= to; i++) {
		const struct wire_message m = {.type = WIRE_PONG, .ping = {i}};
		const uint8_t *data;
		size_t n;

		cr_assert_eq(wire_pack(e->scratch, &m, &data, &n), 0);
		memcpy(e->buffer + n_record, data, n);
		n_record += n;
	}
	cr_assert_eq(seqpacket_send(e->peer, e->buffer, n_record, NULL, 0, 0), 0);
}

Test(channel, sends_at_once)
{
	static struct end e;

	cr_assert_eq(end_init(&e, 1000), 0);
	cr_assert_eq(ping(&e, 17), 0);
	cr_assert_eq(peer_hears(&e), 17);
	end_deinit(&e);
}

Test(channel, gathers_messages_into_a_record)
{
	static struct end e;
	const struct wire_message *m;
	size_t n, used, heard = 0;

	cr_assert_eq(end_init(&e, 1000), 0);
	for (uint64_t i = 1; i <= 10; i++)
		cr_assert_eq(put(&e, i), 0);
	cr_assert_eq(peer_hears(&e), 0, "nothing goes before the flush");
	cr_assert_eq(channel_flush(e.channel), 0);
	cr_assert_eq(seqpacket_recv(e.peer, e.buffer, sizeof(e.buffer), &n, NULL, 0, NULL, 1), 0);
	for (size_t at = 0; at < n; at += used) {
		cr_assert_eq(wire_unpack(e.scratch, e.buffer + at, n - at, &used, &m), 0);
		cr_assert_eq(m->ping.nonce, ++heard);
	}
	cr_assert_eq(heard, 10);
	cr_assert_eq(channel_flush(e.channel), 0);
	cr_assert_eq(peer_hears(&e), 0, "there was nothing left");
	end_deinit(&e);
}

Test(channel, a_full_record_goes_by_itself)
{
	static struct end e;
	char reason[WIRE_TEXT_MAX + 1];
	const struct wire_message bye = {.type = WIRE_BYE, .bye = {.reason = reason}};
	uint32_t n_records = 0;
	size_t n;

	memset(reason, 'r', WIRE_TEXT_MAX);
	reason[WIRE_TEXT_MAX] = 0;
	cr_assert_eq(end_init(&e, 1000000), 0);
	for (uint32_t i = 0; i < WIRE_MESSAGE_MAX / WIRE_TEXT_MAX; i++)
		cr_assert_eq(channel_send(e.channel, &bye, -1), 0);
	while (!seqpacket_recv(e.peer, e.buffer, sizeof(e.buffer), &n, NULL, 0, NULL, 1)) {
		n_records++;
		cr_assert_gt(n, WIRE_MESSAGE_MAX - WIRE_TEXT_MAX - 16);
	}
	cr_assert_eq(n_records, 1, "and one is pending");
	end_deinit(&e);
}

Test(channel, a_descriptor_goes_at_once_and_in_order)
{
	static struct end e;
	const struct wire_message map = {
		.type = WIRE_MAP, .map = {.id = WIRE_REGION_BIT, .size = 1}};
	size_t n, n_fds;
	int fd;

	cr_assert_eq(end_init(&e, 1000), 0);
	cr_assert_eq(put(&e, 5), 0);
	cr_assert_eq(channel_send(e.channel, &map, 0), 0);
	cr_assert_eq(peer_hears(&e), 5);
	cr_assert_eq(seqpacket_recv(e.peer, e.buffer, sizeof(e.buffer), &n, &fd, 1, &n_fds, 1), 0);
	cr_assert_eq(n_fds, 1);
	close(fd);
	end_deinit(&e);
}

Test(channel, receives_a_record_a_turn)
{
	static struct end e;

	cr_assert_eq(end_init(&e, 1000), 0);
	peer_says_many(&e, 1, 64);
	peer_says_many(&e, 65, 100);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_assert_eq(e.n, 64);
	cr_assert_eq(e.n_pauses, 1);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_assert_eq(e.n, 100);
	for (uint64_t i = 0; i < 100; i++)
		cr_assert_eq(e.nonces[i], i + 1);
	end_deinit(&e);
}

Test(channel, messages_of_one_record_came_at_one_time)
{
	static struct end e;
	uint64_t before_ns = clock_ns();

	cr_assert_eq(end_init(&e, 1000), 0);
	peer_says_many(&e, 1, 64);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_assert_eq(e.n, 64);
	cr_expect_geq(e.first_ns, before_ns);
	cr_expect_leq(e.first_ns, clock_ns());
	cr_expect_eq(e.last_ns, e.first_ns);
	peer_says(&e, 65, -1);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_expect_gt(e.last_ns, e.first_ns, "another record");
	end_deinit(&e);
}

Test(channel, a_descriptor_with_several_messages_ends_it)
{
	static struct end e;
	const struct wire_message m = {.type = WIRE_PONG};
	const uint8_t *data;
	size_t n;
	int fd = 0;

	cr_assert_eq(end_init(&e, 1000), 0);
	cr_assert_eq(wire_pack(e.scratch, &m, &data, &n), 0);
	memcpy(e.buffer, data, n);
	memcpy(e.buffer + n, data, n);
	cr_assert_eq(seqpacket_send(e.peer, e.buffer, 2 * n, &fd, 1, 0), 0);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_assert_eq(e.n, 0);
	cr_assert_eq(e.err, -EPROTO);
	end_deinit(&e);
}

Test(channel, queues_within_its_bound_and_in_order)
{
	static struct end e;
	uint64_t sent = 0;
	uint64_t heard = 0;
	int r;

	cr_assert_eq(end_init(&e, 5000), 0);
	while (!(r = ping(&e, sent + 1)))
		sent++;
	cr_assert_eq(r, CHANNEL_E_FULL);
	while (heard < sent) {
		uint64_t nonce = peer_hears(&e);

		if (nonce)
			cr_assert_eq(nonce, ++heard);
		else
			uv_run(&e.loop, UV_RUN_ONCE);
	}
	/* With the queue empty it is no longer watched for writing. */
	cr_assert_eq(uv_run(&e.loop, UV_RUN_NOWAIT), 1);
	cr_assert_eq(ping(&e, 4711), 0);
	cr_assert_eq(peer_hears(&e), 4711);
	end_deinit(&e);
}

/* More records than any socket takes. */
#define MANY 1000

/* Whoever says that he has unmapped what he has not read yet is sent that, and nothing that has its number by then. */
Test(channel, a_descriptor_that_waits_is_a_copy)
{
	static struct end e;
	const struct wire_message map = {
		.type = WIRE_MAP, .map = {.id = WIRE_REGION_BIT, .size = 1}};
	int fd = memfd_create("sent", MFD_CLOEXEC), came = -1;
	struct stat sent, got;
	size_t n, n_fds = 0;

	cr_assert_eq(end_init(&e, 100 * MANY), 0);
	for (uint32_t i = 0; i < MANY; i++)
		cr_assert_eq(ping(&e, 1), 0);
	cr_assert_eq(channel_send(e.channel, &map, fd), 0);
	cr_assert_eq(fstat(fd, &sent), 0);
	cr_assert_eq(dup3(0, fd, O_CLOEXEC), fd);
	while (n_fds == 0) {
		if (seqpacket_recv(e.peer, e.buffer, sizeof(e.buffer), &n, &came, 1, &n_fds, 1))
			uv_run(&e.loop, UV_RUN_ONCE);
	}
	cr_assert_eq(fstat(came, &got), 0);
	cr_expect_eq(got.st_ino, sent.st_ino);
	cr_expect_eq(got.st_dev, sent.st_dev);
	close(came);
	close(fd);
	end_deinit(&e);
}

Test(channel, descriptors_that_are_not_sent_are_closed)
{
	static struct end e;
	const struct wire_message map = {
		.type = WIRE_MAP, .map = {.id = WIRE_REGION_BIT, .size = 1}};
	unsigned fds;

	cr_assert_eq(end_init(&e, 100 * MANY), 0);
	for (uint32_t i = 0; i < MANY; i++)
		cr_assert_eq(ping(&e, 1), 0);
	fds = failalloc_open_fds();
	for (uint32_t i = 0; i < 10; i++)
		cr_assert_eq(channel_send(e.channel, &map, 0), 0);
	cr_expect_eq(failalloc_open_fds(), fds + 10);
	e.channel = channel_close(e.channel);
	cr_expect_eq(failalloc_settled_fds(fds - 1), fds - 1, "nor is its own left");
	end_deinit(&e);
}

/* A kernel that is short of memory will have some: until then it is as if the peer did not read. */
Test(channel, waits_for_the_kernel_to_have_memory)
{
	const int errors[] = {ENOBUFS, ENOMEM};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		static struct end e;

		cr_assert_eq(end_init(&e, 1000), 0);
		failalloc_arm_error(FAIL_SYSCALLS, FAIL_PERSISTENT, 1, errors[i]);
		cr_expect_eq(ping(&e, 1), 0);
		cr_expect_eq(ping(&e, 2), 0);
		failalloc_disarm();
		cr_expect_eq(failalloc_failed(), 1, "what waits is in nobody's way");
		failalloc_arm_error(FAIL_SYSCALLS, FAIL_PERSISTENT, 1, errors[i]);
		uv_run(&e.loop, UV_RUN_NOWAIT);
		failalloc_disarm();
		cr_expect_geq(failalloc_failed(), 1);
		cr_expect_eq(e.n_ends, 0);
		uv_run(&e.loop, UV_RUN_NOWAIT);
		cr_expect_eq(peer_hears(&e), 1);
		cr_expect_eq(peer_hears(&e), 2);
		end_deinit(&e);
	}
}

/* The batches behind it in the queue count on it. */
Test(channel, a_descriptor_that_waited_and_that_cannot_be_sent_then_ends_it)
{
	static struct end e;
	const struct wire_message map = {
		.type = WIRE_MAP, .map = {.id = WIRE_REGION_BIT, .size = 1}};
	int pair[2];

	cr_assert_eq(end_init(&e, 100 * MANY), 0);
	for (uint32_t i = 0; i < MANY; i++)
		cr_assert_eq(ping(&e, 1), 0);
	cr_assert_eq(channel_send(e.channel, &map, 0), 0);
	fake_crowd(pair);
	while (e.n_ends == 0) {
		if (peer_hears(&e) == 0)
			uv_run(&e.loop, UV_RUN_ONCE);
	}
	cr_assert_eq(e.n_ends, 1);
	cr_assert_eq(e.err, -ETOOMANYREFS);
	close(pair[0]);
	close(pair[1]);
	end_deinit(&e);
}

Test(channel, peer_ends_with_messages_queued)
{
	static struct end e;

	cr_assert_eq(end_init(&e, 5000), 0);
	peer_says(&e, 1, -1);
	while (!ping(&e, 1))
		;
	close_fd(&e.peer);
	while (e.n_ends == 0)
		uv_run(&e.loop, UV_RUN_ONCE);
	/* Its last word came through, in spite of what it left unread. */
	cr_assert_eq(e.n, 1);
	cr_assert_eq(e.err, -EPIPE);
	cr_assert_eq(ping(&e, 2), 0);
	end_deinit(&e);
	cr_assert_eq(e.n_ends, 1);
}

Test(channel, garbage_ends_it)
{
	static struct end e;

	cr_assert_eq(end_init(&e, 1000), 0);
	cr_assert_eq(seqpacket_send(e.peer, "\377\377", 2, NULL, 0, 0), 0);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_assert_eq(e.n_ends, 1);
	cr_assert_eq(e.err, -EPROTO);
	end_deinit(&e);
}

Test(channel, too_large_a_record_ends_it)
{
	static uint8_t large[WIRE_MESSAGE_MAX + 1];
	static struct end e;

	cr_assert_eq(end_init(&e, 1000), 0);
	cr_assert_eq(seqpacket_set_send_buffer(e.peer, sizeof(large)), 0);
	cr_assert_eq(seqpacket_send(e.peer, large, sizeof(large), NULL, 0, 0), 0);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_assert_eq(e.err, -EPROTO);
	end_deinit(&e);
}

Test(channel, descriptor_is_taken_or_closed)
{
	static struct end e;
	unsigned fds;

	cr_assert_eq(end_init(&e, 1000), 0);
	fds = failalloc_open_fds();
	peer_says(&e, 1, 0);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_assert_eq(failalloc_settled_fds(fds), fds);
	e.take_fd = true;
	peer_says(&e, 2, 0);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_assert_eq(e.n, 2);
	cr_assert_eq(failalloc_open_fds(), fds + 1);
	cr_assert_geq(fcntl(e.fd, F_GETFD), 0);
	end_deinit(&e);
}

Test(channel, may_be_closed_while_it_receives)
{
	static struct end e;

	cr_assert_eq(end_init(&e, 1000), 0);
	e.close_in_message = true;
	peer_says_many(&e, 1, 2);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_assert_eq(e.n, 1);
	cr_assert_eq(e.n_pauses, 0);
	cr_assert_eq(e.n_ends, 0);
	end_deinit(&e);
}

Test(channel, drain_reads_all_and_ends)
{
	static struct end e;

	cr_assert_eq(end_init(&e, 1000), 0);
	for (uint64_t i = 1; i <= 100; i++)
		peer_says(&e, i, -1);
	/* The other end is still open: somebody may have inherited it. */
	channel_drain(e.channel);
	cr_assert_eq(e.n, 100);
	cr_assert_eq(e.n_ends, 1);
	cr_assert_eq(e.err, -EPIPE);
	end_deinit(&e);
}

/* Whoever has inherited the other end cannot keep us listening. */
Test(channel, what_is_said_during_the_drain_is_not_heard)
{
	static struct end e;

	cr_assert_eq(end_init(&e, 1000), 0);
	for (uint64_t i = 1; i <= 10; i++)
		peer_says(&e, i, -1);
	e.goes_on = true;
	channel_drain(e.channel);
	cr_expect_eq(e.n, 10);
	cr_expect_eq(e.refused, -EPIPE);
	cr_expect_eq(e.n_ends, 1);
	cr_expect_eq(e.err, -EPIPE);
	end_deinit(&e);
}

Test(channel, catching_up_reads_what_is_there_and_goes_on)
{
	static struct end e;

	cr_assert_eq(end_init(&e, 1000), 0);
	channel_catch_up(e.channel);
	cr_expect_eq(e.n + e.n_ends, 0);
	for (uint64_t i = 1; i <= 100; i++)
		peer_says(&e, i, -1);
	e.n_pauses = 0;
	channel_catch_up(e.channel);
	cr_expect_eq(e.n, 100);
	cr_expect_eq(e.n_pauses, 1);
	cr_expect_eq(e.n_ends, 0);
	peer_says(&e, 101, -1);
	uv_run(&e.loop, UV_RUN_ONCE);
	cr_expect_eq(e.n, 101);
	close_fd(&e.peer);
	channel_catch_up(e.channel);
	cr_expect_eq(e.n_ends, 1);
	cr_expect_eq(e.err, -EPIPE);
	end_deinit(&e);
}

static int live_once(void *arg)
{
	struct end *e = arg;
	int pair[2];
	int r;

	e->n = e->n_ends = 0;
	if (seqpacket_pair(pair))
		return -1;
	e->peer = pair[1];
	r = channel_new(&e->channel, &e->loop, pair[0], 100000, &events, e);
	if (r) {
		close(pair[0]);
		close_fd(&e->peer);
		return r;
	}
	for (uint64_t i = 1; i <= 3 && !r; i++)
		r = ping(e, i);
	close_fd(&e->peer);
	while (e->n_ends == 0)
		uv_run(&e->loop, UV_RUN_ONCE);
	e->channel = channel_close(e->channel);
	uv_run(&e->loop, UV_RUN_DEFAULT);
	return r;
}

Test(channel, survives_faults)
{
	static struct end e;

	cr_assert_eq(end_init(&e, 1000), 0);
	e.channel = channel_close(e.channel);
	close_fd(&e.peer);
	uv_run(&e.loop, UV_RUN_DEFAULT);
	FAULT_LOOP(live_once, &e);
	end_deinit(&e);
}
