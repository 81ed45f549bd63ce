/*
 * call_turn_test.c: how many messages are handled in one turn of the loop, who goes on in the next one and in which order, and
 * what becomes of those that end meanwhile.
 */
#include "http2_peer.h"
#include "peer_services.h"

#include <criterion/criterion.h>
#include <string.h>

#include "grpc/call_private.h"
#include "http2/session_private.h"

/* More than a turn has room for. */
#define MUCH 10000u

static struct bed bed;
static struct http2_peer *peers[2];
static unsigned seen; /* messages, at the end of a turn */
static unsigned most; /* of one turn */

static void set_up(void)
{
	memset(&fake_log, 0, sizeof(fake_log));
	bed_defaults(&bed);
	cr_assert_eq(bed_open(&bed, fake_services), 0);
	for (unsigned i = 0; i < 2; i++) {
		peers[i] = peer_new(&bed, NULL);
		cr_assert(peers[i]);
	}
	seen = most = 0;
}

static void tear_down(void)
{
	for (unsigned i = 0; i < 2; i++)
		peers[i] = peer_free(peers[i]);
	bed_close(&bed);
	cr_assert_eq(fake_log.opened, fake_log.closed);
}

TestSuite(call_turn, .init = set_up, .fini = tear_down);

static int32_t chat(struct http2_peer *p, unsigned n)
{
	int32_t id = peer_call(p, &(struct peer_request){.path = "/t.T/Chat"}, false);

	for (unsigned i = 1; i <= n; i++)
		peer_message(p, id, "x", 1, i == n);
	return id;
}

static int32_t one(struct http2_peer *p, const char *path)
{
	int32_t id = peer_call(p, &(struct peer_request){.path = path}, false);

	peer_message(p, id, "x", 1, true);
	return id;
}

/* Asked once a turn. */
static bool answer_ended(void *answer)
{
	unsigned n = fake_log.messages - seen;

	most = n > most ? n : most;
	seen = fake_log.messages;
	return ((struct answer *)answer)->ended;
}

static void expect_answer(struct http2_peer *p, int32_t id)
{
	struct answer *a = peer_answer(p, id);

	cr_assert(bed_run(&bed, answer_ended, a));
	cr_expect_eq(a->grpc_status, GRPC_OK);
}

static bool some_are_late(void *arg)
{
	return !list_empty(&bed.calls->late);
}

/* --- how much --------------------------------------------------------------------------------- */

Test(call_turn, of_a_stream_of_many_as_many_as_there_is_room_for)
{
	int32_t id = chat(peers[0], 4 * WORK_A_TURN);

	expect_answer(peers[0], id);
	cr_expect_eq(fake_log.messages, 4 * WORK_A_TURN);
	cr_expect_leq(most, WORK_A_TURN);
	cr_expect_gt(most, 1);
}

/* What one has done in a turn counts, too: one is handled that waited, and one that is new. */
Test(call_turn, of_messages_that_take_long_one_or_two)
{
	int32_t id = 0;

	fake_log.work = MUCH;
	for (unsigned i = 0; i < 20; i++)
		id = i % 2 ? chat(peers[0], 1) : one(peers[0], "/t.T/Collect");
	expect_answer(peers[0], id);
	cr_expect_eq(fake_log.messages, 20);
	cr_expect_leq(most, 2);
}

Test(call_turn, work_without_an_end_is_no_less)
{
	int32_t ids[2];

	fake_log.work = SIZE_MAX;
	ids[0] = chat(peers[0], 2);
	ids[1] = chat(peers[0], 2);
	expect_answer(peers[0], ids[0]);
	expect_answer(peers[0], ids[1]);
	cr_expect_leq(most, 2);
}

Test(call_turn, of_those_that_ask_for_one_one_or_two)
{
	int32_t id = 0;

	fake_log.work = MUCH;
	for (unsigned i = 0; i < 20; i++)
		id = one(peers[0], "/t.T/Ask");
	expect_answer(peers[0], id);
	cr_expect_eq(fake_log.messages, 20);
	cr_expect_leq(most, 2);
}

/* --- in which order --------------------------------------------------------------------------- */

Test(call_turn, connections_take_turns)
{
	int32_t last = 0;
	int32_t id;

	fake_log.work = MUCH;
	for (unsigned i = 0; i < 50; i++)
		last = chat(peers[0], 1);
	peer_flush(peers[0]);
	cr_assert(bed_run(&bed, some_are_late, NULL));
	id = chat(peers[1], 1);
	expect_answer(peers[1], id);
	/* Behind what had begun, not behind all that waits. */
	cr_expect_lt(fake_log.messages, 25);
	expect_answer(peers[0], last);
}

Test(call_turn, a_stream_keeps_its_order)
{
	const struct answer *a;
	const uint8_t *data;
	size_t n;
	bool compressed;
	int32_t id = peer_call(peers[0], &(struct peer_request){.path = "/t.T/Chat"}, false);

	fake_log.work = MUCH;
	for (uint8_t i = 0; i < 10; i++)
		peer_message(peers[0], id, &i, 1, i == 9);
	expect_answer(peers[0], id);
	a = peer_answer(peers[0], id);
	for (uint8_t i = 0; i < 10; i++) {
		cr_assert(answer_message(a, i, &data, &n, &compressed));
		cr_assert(n == 1 && data[0] == i);
	}
}

/* --- clients that do not read ----------------------------------------------------------------- */

#define CALLS	 200u
#define MESSAGES 3000u
#define KILOBYTE 1000u

static const char message[KILOBYTE];

/* peers[0] opens no window by itself. 0: streams have the usual one */
static void open_unread(uint32_t window)
{
	peers[0] = peer_free(peers[0]);
	peers[0] =
		peer_new(&bed, &(struct peer_options){.window = window, .no_window_update = true});
	cr_assert(peers[0]);
}

/* 0: the connection's */
static void open_window(int32_t id)
{
	cr_assert_eq(nghttp2_submit_window_update(peers[0]->ng, 0, id, 1 << 24), 0);
	peer_flush(peers[0]);
}

static unsigned wait_for_room(void)
{
	unsigned n = 0;

	list_for_each (&calls_transport(bed.calls)->sessions, node) {
		list_for_each (&session_of(node)->streams, it) {
			const struct call *c = call_of(list_entry(it, struct stream, node));

			n += c->phase == CALL_OPEN && c->awaits_room;
		}
	}
	return n;
}

static bool all_are_answered_or_wait(void *arg)
{
	return fake_log.messages + wait_for_room() == CALLS;
}

static void ask_without_reading(const char *path, int32_t ids[CALLS])
{
	fake_log.work = WORK_A_TURN / 5;
	bed.http2.max_output_bytes = 16 * KILOBYTE;
	open_unread(0);
	for (unsigned i = 0; i < CALLS; i++) {
		ids[i] = peer_call(peers[0], &(struct peer_request){.path = path}, false);
		peer_message(peers[0], ids[i], message, KILOBYTE, true);
	}
	cr_assert(bed_run(&bed, all_are_answered_or_wait, NULL));
	/* As many as the client has a window for, and max_output_bytes. */
	cr_expect_leq(fake_log.messages, (NGHTTP2_INITIAL_WINDOW_SIZE >> 10) + 40);
}

static void expect_calls_wait(const char *path)
{
	int32_t ids[CALLS];

	ask_without_reading(path, ids);
	open_window(0);
	for (unsigned i = 0; i < CALLS; i++)
		expect_answer(peers[0], ids[i]);
	cr_expect_eq(fake_log.messages, CALLS);
}

Test(call_turn, calls_whose_turn_comes_wait_until_their_client_reads)
{
	expect_calls_wait("/t.T/Collect");
}

Test(call_turn, calls_that_asked_for_a_turn_wait_until_their_client_reads)
{
	expect_calls_wait("/t.T/Ask");
}

static bool all_are_closed(void *arg)
{
	return fake_log.closed == fake_log.opened;
}

Test(call_turn, calls_that_end_while_their_client_does_not_read)
{
	int32_t ids[CALLS];

	ask_without_reading("/t.T/Ask", ids);
	for (unsigned i = 0; i < CALLS; i++)
		peer_reset(peers[0], ids[i], NGHTTP2_CANCEL);
	cr_assert(bed_run(&bed, all_are_closed, NULL));
	expect_answer(peers[1], one(peers[1], "/t.T/Ask"));
}

static bool call_waits_or_is_done(void *arg)
{
	return fake_log.call && (fake_log.call->awaits_room || fake_log.messages == MESSAGES);
}

/* Its window alone is closed: what it is answered does not count against the connection. */
Test(call_turn, a_stream_that_is_not_read_is_handed_no_more)
{
	int32_t id;

	open_unread(KILOBYTE);
	id = peer_call(peers[0], &(struct peer_request){.path = "/t.T/Chat"}, false);
	for (unsigned i = 1; i <= MESSAGES; i++)
		peer_message(peers[0], id, message, KILOBYTE, i == MESSAGES);
	cr_assert(bed_run(&bed, call_waits_or_is_done, NULL));
	cr_expect_lt(fake_log.messages, MESSAGES / 2);
	cr_expect_not(fake_log.call->stream.awaits_input, "its client owes nothing");
	open_window(0);
	open_window(id);
	expect_answer(peers[0], id);
	cr_expect_eq(fake_log.messages, MESSAGES);
}

/* --- ends ------------------------------------------------------------------------------------- */

Test(call_turn, calls_that_end_while_they_wait)
{
	int32_t ids[10];

	fake_log.work = MUCH;
	for (unsigned i = 0; i < 10; i++)
		ids[i] = chat(peers[0], 2);
	peer_flush(peers[0]);
	cr_assert(bed_run(&bed, some_are_late, NULL));
	for (unsigned i = 0; i < 10; i++)
		peer_reset(peers[0], ids[i], NGHTTP2_CANCEL);
	cr_assert(bed_run(&bed, all_are_closed, NULL));
	expect_answer(peers[0], chat(peers[0], 1));
}

Test(call_turn, a_connection_that_ends_while_its_calls_wait)
{
	fake_log.work = MUCH;
	for (unsigned i = 0; i < 10; i++)
		(void)chat(peers[0], 2);
	peer_flush(peers[0]);
	cr_assert(bed_run(&bed, some_are_late, NULL));
	peers[0] = peer_free(peers[0]);
	cr_assert(bed_run(&bed, all_are_closed, NULL));
	expect_answer(peers[1], chat(peers[1], 1));
}

Test(call_turn, a_deadline_that_passes_while_a_call_waits)
{
	int32_t ids[10];
	struct call *c;

	fake_log.work = MUCH;
	for (unsigned i = 0; i < 10; i++)
		ids[i] = chat(peers[0], 1);
	peer_flush(peers[0]);
	cr_assert(bed_run(&bed, some_are_late, NULL));
	c = list_entry(
		list_first(&list_entry(list_first(&bed.calls->late), struct session_late, node)
				    ->streams),
		struct call, turn_node);
	cr_assert_eq(deadline_set(&call_transport(c)->deadlines, &c->stream.timer, 1), 0);
	for (unsigned i = 0; i < 10; i++) {
		const struct answer *a = peer_wait(peers[0], ids[i]);

		cr_expect(a->grpc_status == GRPC_OK || a->grpc_status == GRPC_DEADLINE_EXCEEDED);
	}
	cr_expect_eq(fake_log.messages, 9);
}

Test(call_turn, a_server_that_drains_answers_those_that_wait)
{
	int32_t ids[10];

	fake_log.work = MUCH;
	for (unsigned i = 0; i < 10; i++)
		ids[i] = chat(peers[0], 2);
	peer_flush(peers[0]);
	cr_assert(bed_run(&bed, some_are_late, NULL));
	calls_drain(bed.calls);
	for (unsigned i = 0; i < 10; i++)
		cr_expect_eq(peer_wait(peers[0], ids[i])->grpc_status, GRPC_OK);
	cr_expect_eq(fake_log.messages, 20);
}
