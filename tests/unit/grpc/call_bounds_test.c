/*
 * call_bounds_test.c: what one client can make us hold or do at once: bytes that no service takes,
 * bytes behind an answer, answers that nobody reads, kilobytes that inflate to megabytes.
 */
#include "http2_peer.h"
#include "peer_services.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/clock.h"
#include "grpc/call_private.h"
#include "http2/session_private.h"

static struct bed bed;
static struct http2_peer *peer;

static void set_up(void)
{
	memset(&fake_log, 0, sizeof(fake_log));
	bed_defaults(&bed);
}

static void open_all(const struct peer_options *options)
{
	cr_assert_eq(bed_open(&bed, fake_services), 0);
	peer = peer_new(&bed, options);
	cr_assert(peer);
}

static void tear_down(void)
{
	peer = peer_free(peer);
	bed_close(&bed);
	cr_assert_eq(fake_log.opened, fake_log.closed);
	cr_assert_eq(fake_log.lent, fake_log.released);
}

TestSuite(call_bounds, .init = set_up, .fini = tear_down);

static int32_t start(const char *path)
{
	return peer_call(peer, &(struct peer_request){.path = path}, false);
}

static struct session *only_session(void)
{
	return session_of(list_first(&calls_transport(bed.calls)->sessions));
}

static struct stream *only_stream(void)
{
	return list_entry(list_first(&only_session()->streams), struct stream, node);
}

static bool all_ended(void *arg)
{
	return fake_log.closed == fake_log.opened;
}

static bool answer_ended(void *answer)
{
	return ((struct answer *)answer)->ended;
}

/* --- input that nobody takes ------------------------------------------------------------------ */

#define N_HOLDING    16u
#define HOLD_WINDOW  65536u
#define CONN_WINDOW  131072u
#define MESSAGE_SIZE 60000u

static bool nothing_comes(void *arg)
{
	size_t *seen = arg;
	size_t now = only_session()->held_bytes;
	bool same = *seen == now && now > 0;

	*seen = now;
	return same;
}

static bool all_taken(void *arg)
{
	return fake_log.taken == N_HOLDING * MESSAGE_SIZE;
}

/* Stream by stream each may send a window full. Together they are bounded by the connection's: half
 * of it is free, and what is held beyond is not given back to it. */
Test(call_bounds, what_calls_hold_together)
{
	static uint8_t data[MESSAGE_SIZE];
	struct call *calls[N_HOLDING];
	size_t seen = 0;
	uint32_t n = 0;

	bed.http2.stream_window_bytes = HOLD_WINDOW;
	bed.http2.connection_window_bytes = CONN_WINDOW;
	open_all(NULL);
	for (unsigned i = 0; i < N_HOLDING; i++) {
		peer_message(peer, start("/t.T/Hold"), data, sizeof(data), true);
		while (fake_log.opened == i)
			uv_run(&bed.loop, UV_RUN_ONCE);
		calls[i] = fake_log.call;
	}
	/* Until a whole turn brings nothing more. */
	do {
		uv_run(&bed.loop, UV_RUN_NOWAIT);
		n = nothing_comes(&seen) ? n + 1 : 0;
	} while (n < 20);
	cr_assert_leq(seen, CONN_WINDOW + CONN_WINDOW / 2);
	cr_assert_geq(seen, CONN_WINDOW / 2, "half of it is free");
	/* And nothing is lost: as soon as they are taken, the rest comes. */
	fake_log.budget = SIZE_MAX;
	for (unsigned i = 0; i < N_HOLDING; i++)
		call_resume(calls[i]);
	cr_assert(bed_run(&bed, all_taken, NULL));
}

/* Of all connections together: then their windows are given back for nothing that waits, and who would add too
 * much is refused. */
Test(call_bounds, what_all_hold_is_bounded)
{
	static uint8_t data[MESSAGE_SIZE];
	struct answer *answers[N_HOLDING];
	unsigned refused = 0;

	bed.http2.stream_window_bytes = HOLD_WINDOW;
	bed.http2.connection_window_bytes = 64 << 20;
	bed.http2.max_held_bytes = 100000;
	open_all(NULL);
	for (unsigned i = 0; i < N_HOLDING; i++) {
		answers[i] = peer_answer(peer, start("/t.T/Hold"));
		peer_message(peer, answers[i]->id, data, sizeof(data), true);
	}
	while (fake_log.opened < N_HOLDING)
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_assert(
		bed_run(&bed, answer_ended, answers[N_HOLDING - 1]), "the last of them, at least");
	cr_assert_leq(calls_transport(bed.calls)->held_bytes, 200001);
	cr_assert_gt(only_session()->uncredited_bytes, 100000);
	for (unsigned i = 0; i < N_HOLDING; i++) {
		if (!answers[i]->ended)
			continue;
		refused++;
		cr_assert_eq(answers[i]->grpc_status, GRPC_RESOURCE_EXHAUSTED);
		cr_assert(strstr(answers[i]->message, "[limits] max_held_bytes (100000)"));
	}
	cr_assert_lt(refused, N_HOLDING, "some wait");
	for (unsigned i = 0; i < N_HOLDING; i++) {
		if (!answers[i]->ended)
			peer_reset(peer, answers[i]->id, NGHTTP2_CANCEL);
	}
	cr_assert(bed_run(&bed, all_ended, NULL));
	cr_assert_eq(calls_transport(bed.calls)->held_bytes, 0);
}

static unsigned end_all(struct answer **answers, size_t n)
{
	unsigned refused = 0;

	for (size_t i = 0; i < n; i++) {
		if (!answers[i]->ended) {
			peer_reset(peer, answers[i]->id, NGHTTP2_CANCEL);
			continue;
		}
		refused++;
		cr_expect_eq(answers[i]->grpc_status, GRPC_RESOURCE_EXHAUSTED);
		cr_expect(strstr(answers[i]->message, "[limits] max_held_bytes"), "%s",
			answers[i]->message);
	}
	cr_assert(bed_run(&bed, all_ended, NULL));
	return refused;
}

/* What came of messages that are not complete counts with what waits. */
Test(call_bounds, what_incomplete_messages_take_is_bounded)
{
	static const char data[900];
	struct answer *answers[N_HOLDING];
	size_t kept;

	bed.http2.max_held_bytes = 3000;
	open_all(NULL);
	for (unsigned i = 0; i < N_HOLDING; i++) {
		answers[i] = peer_answer(peer, start("/t.T/Collect"));
		peer_send(peer, answers[i]->id, "\0\0\0\3\xe8", 5, false);
		peer_send(peer, answers[i]->id, data, sizeof(data), false);
	}
	cr_assert(
		bed_run(&bed, answer_ended, answers[N_HOLDING - 1]), "the last of them, at least");
	kept = transport_held_bytes(calls_transport(bed.calls));
	cr_assert_gt(kept, 3000);
	cr_assert_leq(kept, 6001);
	cr_assert_gt(end_all(answers, N_HOLDING), N_HOLDING / 2);
	cr_assert_eq(transport_held_bytes(calls_transport(bed.calls)), 0);
}

static bool is_held(void *n)
{
	return calls_transport(bed.calls)->held_bytes >= *(size_t *)n;
}

/* Where there is no room the connection with most gives way, not who comes. */
Test(call_bounds, who_holds_most_gives_way)
{
	static const uint8_t data[MESSAGE_SIZE];
	struct answer *answers[3];
	size_t wanted = 3 * MESSAGE_SIZE;
	struct http2_peer *other;
	int32_t id;

	bed.http2.stream_window_bytes = HOLD_WINDOW;
	bed.http2.connection_window_bytes = 64 << 20;
	bed.http2.max_held_bytes = 100000;
	open_all(NULL);
	for (unsigned i = 0; i < 3; i++) {
		answers[i] = peer_answer(peer, start("/t.T/Hold"));
		peer_message(peer, answers[i]->id, data, sizeof(data), false);
	}
	cr_assert(bed_run(&bed, is_held, &wanted));
	other = peer_new(&bed, NULL);
	cr_assert(other);
	id = peer_call(other, &(struct peer_request){.path = "/t.T/Hold"}, false);
	peer_message(other, id, data, sizeof(data), true);
	while (fake_log.closed == 0)
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_assert(bed_run(&bed, is_held, &wanted), "it has its room");
	cr_expect_not(peer_answer(other, id)->ended);
	fake_log.budget = SIZE_MAX;
	call_resume(fake_log.call);
	cr_expect_eq(peer_wait(other, id)->grpc_status, GRPC_OK);
	cr_expect_eq(end_all(answers, 3), 1);
	other = peer_free(other);
}

/* --- input that comes too slowly --------------------------------------------------------------- */

static bool message_began(void *arg)
{
	return fake_log.length == 65536;
}

/* As if the message had begun so long ago, and so much of it had come. */
static void look_at_slow(uint64_t elapsed_ms, uint64_t bytes)
{
	struct stream *s = only_stream();

	s->measured_ns = clock_ns() - elapsed_ms * NS_PER_MS;
	s->measured_bytes = bytes;
	s->session->scanned_ns = 0;
	session_on_due(&s->session->timer);
}

Test(call_bounds, a_message_that_comes_too_slowly)
{
	int32_t id;

	bed.http2.min_receive_rate = 1000;
	open_all(NULL);
	id = start("/t.T/Echo");
	peer_send(peer, id, "\0\0\1\0\0abc", 8, false);
	cr_assert(bed_run(&bed, message_began, NULL));
	look_at_slow(bed.http2.receive_timeout_ms - 1000, 0);
	look_at_slow(bed.http2.receive_timeout_ms + 600000, 601000);
	cr_assert_eq(fake_log.closed, 0, "in time, or fast enough");
	look_at_slow(bed.http2.receive_timeout_ms + 600000, 500000);
	cr_assert_eq(fake_log.closed, 1);
	peer_wait(peer, id);
	cr_assert_eq(peer_answer(peer, id)->grpc_status, GRPC_DEADLINE_EXCEEDED);
	cr_assert(strstr(peer_answer(peer, id)->message, "min_receive_rate (1000 bytes a second)"));
}

/* What we did not take is not the client's delay. */
Test(call_bounds, what_is_held_makes_nobody_slow)
{
	int32_t id;

	bed.http2.min_receive_rate = 1000;
	open_all(NULL);
	id = start("/t.T/Hold");
	peer_send(peer, id, "\0\0\1\0\0abc", 8, false);
	cr_assert(bed_run(&bed, message_began, NULL));
	look_at_slow(bed.http2.receive_timeout_ms + 600000, 0);
	cr_assert_eq(fake_log.closed, 0);
	fake_log.budget = SIZE_MAX;
	call_resume(fake_log.call);
	cr_assert_gt(only_stream()->measured_ns, clock_ns() - 60 * NS_PER_S, "it begins anew");
	peer_reset(peer, id, NGHTTP2_CANCEL);
}

/* --- input behind an answer ------------------------------------------------------------------- */

/* Who goes on sending after the status is listened to for a while; so much is enough before that. */
Test(call_bounds, bytes_behind_an_answer)
{
	static uint8_t data[3 << 20];
	int32_t id;
	struct answer *a;
	struct stream *s;

	open_all(NULL);
	id = start("/t.T/Early");
	a = peer_answer(peer, id);
	cr_assert(bed_run(&bed, answer_ended, a));
	s = only_stream();
	cr_assert(s->draining);
	/* Time alone would never end it. */
	cr_assert_eq(deadline_set(&calls_transport(bed.calls)->deadlines, &s->timer,
			     clock_ns() + 3600 * NS_PER_S),
		0);
	peer_send(peer, id, data, 1 << 20, false);
	while (s->drained_bytes < 1 << 20)
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_assert_not(a->closed, "so much is thrown away");
	peer_send(peer, id, data, sizeof(data), false);
	peer_wait(peer, id);
	cr_assert_eq(a->error, NGHTTP2_NO_ERROR);
	cr_assert_eq(fake_log.taken, 0);
}

/* --- output that nobody reads ----------------------------------------------------------------- */

static bool all_closed(void *arg)
{
	return fake_log.closed == fake_log.opened && fake_log.opened > 0;
}

/* The deadline passes with a reply queued that could not leave: it is worth nothing any more. It is
 * dropped and the stream reset; a status behind it would wait as long as the reply. */
Test(call_bounds, a_deadline_with_output_queued)
{
	struct answer *a;
	int32_t id;

	open_all(&(struct peer_options){.no_window_update = true});
	id = peer_call(peer, &(struct peer_request){.path = "/t.T/Flood", .timeout = "50m"}, false);
	a = peer_answer(peer, id);
	peer_message(peer, id, "", 0, true);
	cr_assert(bed_run(&bed, all_closed, NULL));
	cr_assert_eq(calls_counters(bed.calls).open, 0);
	cr_assert_eq(only_session()->queued_bytes, 0, "nothing waits any more");
	peer_wait(peer, id);
	cr_assert_eq(a->error, NGHTTP2_CANCEL);
	cr_assert_eq(a->grpc_status, -1);
	cr_assert_eq(fake_log.closed, 1);
	cr_assert_eq(fake_log.lent, fake_log.released);
}

/* Streams that their client does not read, on a connection that others use: no window of a stream is ever
 * opened, the connection's is wide. */
#define UNREAD_WINDOW 1000u
#define OUTPUT_MAX    ((uint64_t)256 << 10)

static void open_unread(void)
{
	bed.http2.max_output_bytes = OUTPUT_MAX;
	open_all(&(struct peer_options){.window = UNREAD_WINDOW, .no_window_update = true});
	cr_assert_eq(
		nghttp2_session_set_local_window_size(peer->ng, NGHTTP2_FLAG_NONE, 0, 64 << 20), 0);
}

static bool first_window_is_full(void *answer)
{
	return ((struct answer *)answer)->body.len == UNREAD_WINDOW;
}

static struct answer *leave_unread(const char *path, const char *message, size_t n)
{
	int32_t id = start(path);
	struct answer *a = peer_answer(peer, id);

	peer_message(peer, id, message, n, true);
	cr_assert(bed_run(&bed, first_window_is_full, a));
	return a;
}

static void expect_echo(void)
{
	int32_t id = start("/t.T/Echo");

	peer_message(peer, id, "x", 1, true);
	cr_assert_eq(peer_wait(peer, id)->grpc_status, GRPC_OK);
}

Test(call_bounds, streams_that_are_not_read_stop_no_other)
{
	struct answer *unread[8];

	open_unread();
	for (unsigned i = 0; i < 8; i++)
		unread[i] = leave_unread("/t.T/Big", "1000000", 7);
	expect_echo();
	cr_assert_gt(only_session()->queued_bytes, 8 * 900000);
	for (unsigned i = 0; i < 8; i++) {
		int32_t id = unread[i]->id;

		cr_assert_eq(nghttp2_submit_window_update(peer->ng, 0, id, 1 << 20), 0);
		peer_flush(peer);
		cr_assert_eq(peer_wait(peer, id)->grpc_status, GRPC_OK, "nothing is lost");
	}
	cr_assert_eq(only_session()->queued_bytes, 0);
	cr_assert_eq(only_session()->shut_bytes, 0);
}

/* Each may have its mark full; where they are many, the mark is low. */
Test(call_bounds, streams_that_are_not_read_are_bounded_together)
{
	int32_t ids[40];
	uint64_t bound = 2 * (4 * OUTPUT_MAX) + (1 << 20) + 40 * (64 << 10) + 40 * FLOOD_BIT;

	open_unread();
	for (unsigned i = 0; i < 40; i++)
		ids[i] = leave_unread("/t.T/Flood", "", 0)->id;
	for (unsigned i = 0; i < 50; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	expect_echo();
	cr_assert_leq(only_session()->queued_bytes, bound);
	for (unsigned i = 0; i < 40; i++)
		peer_reset(peer, ids[i], NGHTTP2_CANCEL);
	cr_assert(bed_run(&bed, all_closed, NULL));
	cr_assert_eq(only_session()->shut_bytes, 0);
}

static void look_at_stuck(struct stream *s)
{
	s->progress_ns = 0;
	s->session->scanned_ns = 0;
	session_on_due(&s->session->timer);
}

/* What was queued is dropped; a status needs no window. */
Test(call_bounds, reader_that_pauses_too_long_is_told_why)
{
	struct answer *a;

	open_unread();
	a = leave_unread("/t.T/Big", "1000000", 7);
	look_at_stuck(only_stream());
	peer_wait(peer, a->id);
	cr_assert_eq(a->grpc_status, GRPC_DEADLINE_EXCEEDED);
	cr_assert(strstr(a->message, "send_timeout_ms"), "%s", a->message);
	cr_assert_eq(a->body.len, UNREAD_WINDOW);
	cr_assert_eq(fake_log.released, 1);
	expect_echo();
}

/* The window opens when the status is on its way. */
Test(call_bounds, window_that_opens_too_late)
{
	struct answer *a;

	open_unread();
	a = leave_unread("/t.T/Flood", "", 0);
	look_at_stuck(only_stream());
	cr_assert_eq(nghttp2_submit_window_update(peer->ng, 0, a->id, 1 << 20), 0);
	peer_flush(peer);
	peer_wait(peer, a->id);
	cr_assert_eq(a->grpc_status, GRPC_DEADLINE_EXCEEDED);
	expect_echo();
}

/* --- kilobytes that inflate to megabytes ------------------------------------------------------ */

#define INFLATED ((size_t)14 << 20)

static size_t most_in_one_go;

static void watch(struct call *c)
{
	size_t n = call_calls(c)->inflated_turn;

	if (n > most_in_one_go)
		most_in_one_go = n;
}

/* A DATA frame by hand, with a message's prefix: nghttp2's client would make several of it. */
static void data_frame(int32_t id, const uint8_t *message, size_t n_message)
{
	size_t n = GRPC_PREFIX_SIZE + n_message;
	const uint8_t header[] = {0, (uint8_t)(n >> 8), (uint8_t)n, NGHTTP2_DATA,
		NGHTTP2_FLAG_END_STREAM, 0, 0, 0, (uint8_t)id};
	uint8_t prefix[GRPC_PREFIX_SIZE];

	cr_assert_leq(n, 16384);
	grpc_frame_prefix(prefix, true, (uint32_t)n_message);
	peer_bytes(peer, header, sizeof(header));
	peer_bytes(peer, prefix, sizeof(prefix));
	peer_bytes(peer, message, n_message);
}

static size_t pack_zeros(uint8_t packed[16384 - GRPC_PREFIX_SIZE])
{
	uint8_t *plain = calloc(1, INFLATED);
	uLongf n = 16384 - GRPC_PREFIX_SIZE;

	cr_assert_eq(compress2(packed, &n, plain, INFLATED, Z_BEST_COMPRESSION), Z_OK);
	free(plain);
	return n;
}

/* One frame of 14 KiB stands for 14 MiB here. In one turn no more than a few are inflated, of all calls
 * together, then others have their turn, and it goes on by itself, call by call. */
Test(call_bounds, inflating_yields)
{
	struct peer_request q = {.path = "/t.T/Hold", .encoding = "deflate"};
	uint8_t packed[16384 - GRPC_PREFIX_SIZE];
	size_t n = pack_zeros(packed);
	int32_t ids[3];

	bed.grpc.max_receive_message_bytes = INFLATED;
	open_all(NULL);
	fake_log.budget = SIZE_MAX;
	fake_log.on_take = watch;
	for (unsigned i = 0; i < 3; i++)
		ids[i] = peer_call(peer, &q, false);
	for (unsigned i = 0; i < 3; i++)
		data_frame(ids[i], packed, n);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert(bed_run(&bed, answer_ended, peer_answer(peer, ids[i])));
		cr_assert_eq(peer_answer(peer, ids[i])->grpc_status, GRPC_OK);
	}
	cr_assert_eq(fake_log.taken, 3 * INFLATED);
	cr_assert_leq(most_in_one_go, INFLATE_A_TURN);
	cr_assert_gt(most_in_one_go, 0);
}

static bool inflating_waits(void *arg)
{
	return !list_empty(&bed.calls->inflating);
}

Test(call_bounds, calls_that_end_while_they_wait_for_their_turn)
{
	struct peer_request q = {.path = "/t.T/Hold", .encoding = "deflate"};
	uint8_t packed[16384 - GRPC_PREFIX_SIZE];
	size_t n = pack_zeros(packed);
	int32_t id;

	bed.grpc.max_receive_message_bytes = INFLATED;
	open_all(NULL);
	fake_log.budget = SIZE_MAX;
	id = peer_call(peer, &q, false);
	data_frame(id, packed, n);
	cr_assert(bed_run(&bed, inflating_waits, NULL));
	call_finish(fake_log.call, GRPC_ABORTED, "enough");
	cr_assert(list_empty(&bed.calls->inflating));
	cr_assert(bed_run(&bed, answer_ended, peer_answer(peer, id)));
	cr_assert_eq(peer_answer(peer, id)->grpc_status, GRPC_ABORTED);
}
