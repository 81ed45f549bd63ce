/* loop_lanes_test.c: what runs side by side, waits for room, and what nobody waits for any more. */
#include "workers/loop.h"

#include <criterion/criterion.h>

#include "fake_clock.h"
#include "fake_daemon_says.h"
#include "proto/grpc_status.h"

/* Run model `model` on one u16. */
static void run_u16(struct fake_daemon *d, uint64_t batch, uint32_t model, uint16_t value)
{
	static const int64_t dims[] = {1};
	const struct wire_tensor input = {
		0, DTYPE_U16, 1, dims, fake_daemon_put(d, &value, sizeof(value))};
	const struct wire_item item = {.inputs = &input, .n_inputs = 1};

	daemon_run_items(d, batch, model, &item, 1);
}

/* `sleep` is model 0, `identity` is model 1. */
static void serve_two(struct fake_daemon *d)
{
	daemon_start(d);
	fake_daemon_load(d, 0, "sleep");
	fake_daemon_load(d, 1, "identity");
}

Test(loop_lanes, messages_and_other_models_do_not_wait_for_a_long_run)
{
	struct fake_daemon d;

	serve_two(&d);
	fake_sleep_hold(true);
	run_u16(&d, 1, 0, 1);
	daemon_ping(&d, 1);
	daemon_expect_pong(&d, 1);
	run_u16(&d, 2, 1, 7);
	daemon_expect_done(&d, 2);
	run_u16(&d, 3, 0, 0);
	run_u16(&d, 4, 1, 7);
	daemon_expect_done(&d, 4);
	fake_sleep_hold(false);
	daemon_expect_done(&d, 1);
	daemon_expect_done(&d, 3);
	daemon_drain(&d);
}

/* It was quick so far, so the thread that reads the channel runs it. */
Test(loop_lanes, nor_for_one_that_turns_out_long)
{
	struct fake_daemon d;
	uint64_t batch = 1;

	serve_two(&d);
	for (int i = 0; i < 20; i++) {
		run_u16(&d, batch, 0, 0);
		daemon_expect_done(&d, batch++);
		run_u16(&d, batch, 1, 0);
		daemon_expect_done(&d, batch++);
	}
	fake_sleep_hold(true);
	run_u16(&d, batch, 0, 1);
	daemon_ping(&d, 1);
	daemon_expect_pong(&d, 1);
	run_u16(&d, batch + 1, 1, 7);
	daemon_expect_done(&d, batch + 1);
	/* What comes for its lane meanwhile is run after it. */
	run_u16(&d, batch + 2, 0, 0);
	fake_sleep_hold(false);
	daemon_expect_done(&d, batch);
	daemon_expect_done(&d, batch + 2);
	daemon_drain(&d);
}

Test(loop_lanes, nor_for_a_load)
{
	const struct wire_pair parameters[] = {{"function", "identity"}, {"load_ms", "1"}};
	const struct wire_message load = {
		.type = WIRE_LOAD,
		.load = {.model = 9,
			.name = "slow",
			.version = "1",
			.path = "/",
			.backend = "builtin",
			.parameters = parameters,
			.n_parameters = 2},
	};
	struct fake_daemon d;

	serve_two(&d);
	fake_sleep_hold(true);
	fake_daemon_send(&d, &load);
	daemon_ping(&d, 1);
	daemon_expect_pong(&d, 1);
	run_u16(&d, 1, 1, 7);
	daemon_expect_done(&d, 1);
	fake_sleep_hold(false);
	cr_assert(fake_daemon_receive(&d, WIRE_LOADED)->loaded.ok);
	run_u16(&d, 2, 9, 7);
	daemon_expect_done(&d, 2);
	daemon_drain(&d);
}

Test(loop_lanes, drain_waits_for_what_runs)
{
	const struct wire_message m = {.type = WIRE_DRAIN};
	struct fake_daemon d;

	serve_two(&d);
	run_u16(&d, 1, 0, 50);
	run_u16(&d, 2, 0, 50);
	fake_daemon_send(&d, &m);
	daemon_expect_done(&d, 1);
	daemon_expect_done(&d, 2);
	fake_daemon_receive(&d, WIRE_BYE);
	fake_daemon_expect_end(&d);
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
}

Test(loop_lanes, a_backend_that_cannot_go_on_ends_the_worker)
{
	struct fake_daemon d;

	daemon_serve(&d, "fatal");
	daemon_run_bytes(&d, 1, fake_daemon_put(&d, "\0", 1));
	daemon_expect_done(&d, 1);
	daemon_run_bytes(&d, 2, fake_daemon_put(&d, "\1", 1));
	daemon_expect_exit(&d, WORKER_EXIT_DEVICE_LOST);
}

Test(loop_lanes, an_answer_that_comes_later)
{
	struct fake_daemon d;

	daemon_serve(&d, "later");
	daemon_run_bytes(&d, 1, fake_daemon_put(&d, "\1", 1));
	cr_assert_eq(daemon_expect_done(&d, 1)->results[0].code, 0);
	daemon_drain(&d);
}

/* --- Output memory that is full ------------------------------------------------------------- */

/* Room for one answer of 4096 bytes, and an hour to wait for it. */
static void serve_narrow(struct fake_daemon *d)
{
	struct wire_setup setup = fake_daemon_setup();

	setup.output_bytes = setup.output_segment_bytes = 4096;
	setup.output_wait_ms = 3600 * 1000;
	fake_daemon_start(d);
	fake_daemon_greet(d, &setup);
	fake_daemon_load(d, 0, "identity");
}

Test(loop_lanes, messages_do_not_wait_for_a_run_that_waits_for_room)
{
	const uint8_t data[4096] = {7};
	struct fake_daemon d;
	struct span s;
	uint64_t hold;

	serve_narrow(&d);
	s = fake_daemon_put(&d, data, sizeof(data));
	for (uint64_t batch = 1; batch < 40; batch += 2) {
		daemon_run_bytes(&d, batch, s);
		hold = daemon_expect_done(&d, batch)->results[0].hold;
		daemon_run_bytes(&d, batch + 1, s);
		daemon_ping(&d, batch);
		daemon_expect_pong(&d, batch);
		daemon_release(&d, hold);
		hold = daemon_expect_done(&d, batch + 1)->results[0].hold;
		cr_assert_neq(hold, 0);
		daemon_release(&d, hold);
	}
	daemon_drain(&d);
}

Test(loop_lanes, end_of_file_while_a_run_waits_for_room)
{
	const uint8_t data[4096] = {7};
	struct fake_daemon d;
	struct span s;

	serve_narrow(&d);
	s = fake_daemon_put(&d, data, sizeof(data));
	daemon_run_bytes(&d, 1, s);
	daemon_expect_done(&d, 1);
	daemon_run_bytes(&d, 2, s);
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
}

/* --- Nobody waits any more ---------------------------------------------------------------- */

static void cancel(struct fake_daemon *d, uint64_t batch, uint32_t model, uint32_t lane)
{
	const struct wire_message m = {.type = WIRE_CANCEL, .cancel = {batch, model, lane}};

	fake_daemon_send(d, &m);
}

static void expect_cancelled(struct fake_daemon *d, uint64_t batch)
{
	cr_assert_eq(daemon_expect_done(d, batch)->results[0].code, GRPC_CANCELLED);
}

Test(loop_lanes, what_nobody_waits_for_ends_early)
{
	struct fake_daemon d;
	struct span s;

	daemon_serve(&d, "until_cancelled");
	s = fake_daemon_put(&d, "x", 1);
	cancel(&d, UINT64_MAX, 0, 0);
	daemon_run_bytes(&d, 1, s);
	cancel(&d, 1, 0, 0);
	expect_cancelled(&d, 1);
	/* Also what waits for its lane. */
	daemon_run_bytes(&d, 2, s);
	daemon_run_bytes(&d, 3, s);
	cancel(&d, 3, 0, 0);
	cancel(&d, 2, 0, 0);
	expect_cancelled(&d, 2);
	expect_cancelled(&d, 3);
	daemon_drain(&d);
}

Test(loop_lanes, giving_up_what_is_not_there_is_no_harm)
{
	struct fake_daemon d;

	daemon_serve(&d, "identity");
	cancel(&d, 1, 0, 0);
	daemon_run_bytes(&d, 2, fake_daemon_put(&d, "x", 1));
	cr_assert_eq(daemon_expect_done(&d, 2)->results[0].code, GRPC_OK);
	cancel(&d, 2, 0, 0);
	cancel(&d, UINT64_MAX, 0, 0);
	cancel(&d, 3, 0, 1);
	cancel(&d, 3, 1, 0);
	cancel(&d, 3, UINT32_MAX, UINT32_MAX);
	daemon_ping(&d, 5);
	daemon_expect_pong(&d, 5);
	daemon_run_bytes(&d, 3, fake_daemon_put(&d, "x", 1));
	cr_assert_eq(daemon_expect_done(&d, 3)->results[0].code, GRPC_OK);
	daemon_drain(&d);
}

Test(loop_lanes, a_decoupled_model_ends_early)
{
	static const int32_t values[] = {7, 8};
	static const struct wire_pair hour = {"delay_ms", "3600000"};
	struct fake_daemon d;
	int64_t dims[] = {2};
	struct wire_tensor input = {0, DTYPE_I32, 1, dims, {0}};
	const struct wire_item item = {
		.inputs = &input, .n_inputs = 1, .parameters = &hour, .n_parameters = 1};

	daemon_serve(&d, "repeat");
	input.span = fake_daemon_put(&d, values, sizeof(values));
	daemon_run_items(&d, 1, 0, &item, 1);
	fake_daemon_receive(&d, WIRE_PARTIAL);
	cancel(&d, 1, 0, 0);
	expect_cancelled(&d, 1);
	daemon_drain(&d);
}
