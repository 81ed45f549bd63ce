/*
 * call_compress_test.c: replies that take long to compress: how much of them in one turn of the loop, in which
 * order they leave, and what becomes of those that nobody waits for any more.
 */
#include "http2_peer.h"
#include "peer_services.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "grpc/call_private.h"
#include "tests/support/failalloc.h"

#define MIB ((size_t)1 << 20)

static struct bed bed;
static struct http2_peer *peer;
static size_t most_in_a_turn;
static unsigned n_turns;

static void set_up(void)
{
	memset(&fake_log, 0, sizeof(fake_log));
	bed_defaults(&bed);
	bed.grpc.compression = "gzip";
	bed.grpc.compression_max_bytes = 16 * MIB;
	cr_assert_eq(bed_open(&bed, fake_services), 0);
	peer = peer_new(&bed, NULL);
	cr_assert(peer);
}

static void tear_down(void)
{
	cr_expect(list_empty(&bed.calls->compressing));
	cr_expect_eq(bed.calls->compressing_bytes, 0);
	peer = peer_free(peer);
	bed_close(&bed);
	cr_assert_eq(fake_log.opened, fake_log.closed);
	cr_assert_eq(fake_log.lent, fake_log.released);
}

TestSuite(call_compress, .init = set_up, .fini = tear_down);

static int32_t ask_for(size_t n)
{
	int32_t id = peer_call(
		peer, &(struct peer_request){.path = "/t.T/Big", .accept = "gzip"}, false);
	char digits[24];

	peer_message(peer, id, digits, (size_t)snprintf(digits, sizeof(digits), "%zu", n), true);
	return id;
}

static bool message_is_compressed(const struct answer *a, unsigned i)
{
	const uint8_t *data;
	size_t n;
	bool compressed;

	cr_assert(answer_message(a, i, &data, &n, &compressed));
	return compressed;
}

static bool is_compressed(int32_t id)
{
	const struct answer *a = peer_wait(peer, id);

	cr_assert_eq(a->grpc_status, GRPC_OK);
	return message_is_compressed(a, 0);
}

static bool answer_ended(void *answer)
{
	size_t n = bed.calls->compressed_turn;

	n_turns += n > 0;
	most_in_a_turn = n > most_in_a_turn ? n : most_in_a_turn;
	return ((struct answer *)answer)->ended;
}

static bool compressing(void *arg)
{
	return !list_empty(&bed.calls->compressing);
}

/* Time stands still: no other turn of the loop begins. */
static void hold_turn(void)
{
	deadline_clear(&calls_transport(bed.calls)->deadlines, &bed.calls->next_turn);
	cr_assert_eq(deadline_set(&calls_transport(bed.calls)->deadlines, &bed.calls->next_turn,
			     clock_ns() + 3600 * NS_PER_S),
		0);
}

static void let_turn(void)
{
	deadline_clear(&calls_transport(bed.calls)->deadlines, &bed.calls->next_turn);
	bed.calls->next_turn.on_due(&bed.calls->next_turn);
}

/* --- how much in a turn ----------------------------------------------------------------------- */

Test(call_compress, small_ones_as_far_as_the_turn_has_time)
{
	int32_t first, second;

	bed.calls->compressed_turn = COMPRESS_A_TURN - 10000;
	hold_turn();
	first = ask_for(9000);
	cr_expect(is_compressed(first));
	second = ask_for(9000);
	cr_expect_not(is_compressed(second), "enough for this turn");
	let_turn();
	cr_expect(is_compressed(ask_for(99000)));
}

Test(call_compress, large_ones_take_several_turns)
{
	int32_t ids[3];

	for (unsigned i = 0; i < 3; i++)
		ids[i] = ask_for(2 * MIB);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert(bed_run(&bed, answer_ended, peer_answer(peer, ids[i])));
		cr_expect(is_compressed(ids[i]));
	}
	cr_expect_leq(most_in_a_turn, COMPRESS_A_TURN);
	cr_expect_geq(n_turns, 6 * MIB / COMPRESS_A_TURN);
}

/* Another call is answered while most of a large one is still to be done. */
Test(call_compress, others_are_answered_meanwhile)
{
	int32_t large = ask_for(8 * MIB), small;

	cr_assert(bed_run(&bed, compressing, NULL));
	small = ask_for(100);
	cr_assert_eq(peer_wait(peer, small)->grpc_status, GRPC_OK);
	cr_expect_not(peer_answer(peer, large)->ended);
	cr_expect(is_compressed(large));
}

Test(call_compress, too_much_goes_as_it_is)
{
	int32_t first, second;

	cr_expect_not(is_compressed(ask_for(16 * MIB)), "with its head it is longer");
	first = ask_for(9 * MIB);
	second = ask_for(9 * MIB);
	cr_expect_not(is_compressed(second), "together they are");
	cr_expect(is_compressed(first));
}

/* --- order ------------------------------------------------------------------------------------ */

/* Messages of one call, and its end, leave in the order in which they were given. */
Test(call_compress, what_comes_later_stays_behind)
{
	int32_t id = peer_call(
		peer, &(struct peer_request){.path = "/t.T/Chat", .accept = "gzip"}, false);
	uint8_t *large = calloc(1, MIB);
	const struct answer *a;
	const uint8_t *data;
	size_t n;
	bool is_packed;

	peer_message(peer, id, "before", 6, false);
	peer_message(peer, id, large, MIB, false);
	peer_message(peer, id, "between", 7, false);
	peer_message(peer, id, large, MIB / 2, false);
	peer_message(peer, id, "behind", 6, true);
	a = peer_wait(peer, id);
	cr_expect_eq(a->grpc_status, GRPC_OK);
	for (unsigned i = 0; i < 5; i++) {
		cr_assert(answer_message(a, i, &data, &n, &is_packed), "%u", i);
		cr_expect_eq(is_packed, i % 2 == 1);
		if (i % 2 == 0)
			cr_expect_arr_eq(data, &"before\0between\0behind"[i / 2 * 7 + i / 4], n);
	}
	free(large);
}

static bool is_full(void *arg)
{
	return fake_log.call && call_blocked(fake_log.call);
}

/* Whoever produces more of them waits until the stream has room. */
Test(call_compress, a_reply_that_is_made_fills_its_stream)
{
	int32_t id = peer_call(
		peer, &(struct peer_request){.path = "/t.T/Chat", .accept = "gzip"}, false);
	uint8_t *large = calloc(1, 2 * MIB);

	peer_message(peer, id, large, 2 * MIB, false);
	cr_assert(bed_run(&bed, is_full, NULL));
	peer_message(peer, id, "", 0, true);
	cr_expect_eq(peer_wait(peer, id)->grpc_status, GRPC_OK);
	free(large);
}

/* --- ends ------------------------------------------------------------------------------------- */

static bool none_compressing(void *arg)
{
	return list_empty(&bed.calls->compressing);
}

Test(call_compress, who_cancels_is_forgotten)
{
	int32_t id = ask_for(16 * MIB - 100);

	cr_assert(bed_run(&bed, compressing, NULL));
	peer_reset(peer, id, NGHTTP2_CANCEL);
	cr_assert(bed_run(&bed, none_compressing, NULL));
	cr_expect_lt(n_turns, 128);
	cr_expect_eq(bed.calls->compressing_bytes, 0);
}

Test(call_compress, who_goes_is_forgotten)
{
	ask_for(8 * MIB);
	cr_assert(bed_run(&bed, compressing, NULL));
	peer = peer_free(peer);
	cr_assert(bed_run(&bed, none_compressing, NULL));
	cr_expect_eq(fake_log.lent, fake_log.released);
}

/* Nobody would let go of it: the end is given, and only waits for its turn. */
Test(call_compress, what_comes_after_the_end_was_given_is_not_kept)
{
	int32_t id = peer_call(
		peer, &(struct peer_request){.path = "/t.T/Chat", .accept = "gzip"}, false);
	uint8_t *large = calloc(1, MIB);
	struct call *c;

	peer_message(peer, id, large, MIB, false);
	cr_assert(bed_run(&bed, compressing, NULL));
	hold_turn();
	c = fake_log.call;
	call_finish(c, GRPC_UNAVAILABLE, "enough");
	cr_assert(c->end_waits);
	peer_message(peer, id, large, MIB / 2, false);
	/* What comes behind it on the same connection is answered. */
	cr_expect_eq(
		peer_wait(peer, peer_call(peer, &(struct peer_request){.path = "/t.T/Late"}, true))
			->grpc_status,
		GRPC_INTERNAL);
	cr_expect_eq(c->stream.held_bytes, 0);
	cr_expect_eq(c->held.len, 0);
	let_turn();
	cr_expect_eq(peer_wait(peer, id)->grpc_status, GRPC_UNAVAILABLE);
	free(large);
}

/* A call that ends with a reset, its reply being sent in part, drops what waits. */
Test(call_compress, a_call_whose_time_is_over_drops_what_waits)
{
	int32_t id = peer_call(peer,
		&(struct peer_request){.path = "/t.T/Chat", .accept = "gzip", .timeout = "3600S"},
		false);
	uint8_t *large = calloc(1, 2 * MIB);

	peer_message(peer, id, large, 2 * MIB, false);
	cr_assert(bed_run(&bed, compressing, NULL));
	fake_log.call->stream.timer.on_due(&fake_log.call->stream.timer);
	cr_expect(list_empty(&bed.calls->compressing));
	free(large);
}

Test(call_compress, without_memory_they_go_as_they_are)
{
	int32_t id;

	hold_turn();
	id = ask_for(2 * MIB);
	cr_assert(bed_run(&bed, compressing, NULL));
	list_for_each (&bed.calls->compressing, node) {
		struct call *c = list_entry(node, struct call, compress_node);

		cr_expect_gt(c->stream.owed_bytes, 2 * MIB);
	}
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_TRANSIENT, 1);
	let_turn();
	failalloc_disarm();
	cr_expect_not(is_compressed(id));
}

static bool closed_or_gone(void *answer)
{
	return is_closed(answer) || peer_is_eof(peer);
}

/* Nothing can be queued, and maybe no reset: then the connection ends. Nothing is left. */
Test(call_compress, with_no_memory_at_all_it_ends)
{
	int32_t id = ask_for(2 * MIB);

	cr_assert(bed_run(&bed, compressing, NULL));
	while (compressing(NULL)) {
		failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
		let_turn();
		failalloc_disarm();
	}
	cr_expect(bed_run(&bed, closed_or_gone, peer_answer(peer, id)));
}
