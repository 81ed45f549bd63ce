/*
 * Tests of sequences: sequence.c, sequence_step.c, scheduler_sequences.c and send.c, which are nothing without each other:
 * steps from the door to a lane of the fake pool, and back.
 */
#include "dispatch/scheduler_sequences.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/sequence.h"
#include "fake_bed.h"
#include "shm/memfd.h"
#include "tests/support/failalloc.h"

#define IDLE_US UINT64_C(60000000)

/* Of a step's inputs: its own and three control inputs. */
#define STEP_BYTES UINT64_C(29)

static struct bed bed;
static struct answer answers[64];

static const int64_t rows_by_4[] = {-1, 4};
static const int64_t rows_by_1[] = {-1, 1};
static const struct wire_declaration inputs[] = {
	{.name = "state", .dtype = DTYPE_I32, .rank = 1, .any_shape = true},
	{.name = "x", .dtype = DTYPE_I32, .rank = 2, .dims = rows_by_4},
	{.name = "START", .dtype = DTYPE_I32, .rank = 2, .dims = rows_by_1},
	{.name = "END", .dtype = DTYPE_BOOL, .rank = 2, .dims = rows_by_1},
	{.name = "CORRID", .dtype = DTYPE_U64, .rank = 2, .dims = rows_by_1},
};
static const struct wire_declaration outputs[] = {
	{.name = "y", .dtype = DTYPE_I32, .any_shape = true},
	{.name = "z", .dtype = DTYPE_I32, .any_shape = true}};
/* Without the state, and with it. */
static struct wire_loaded declared = {.ok = true,
	.inputs = inputs + 1,
	.n_inputs = 4,
	.outputs = outputs,
	.n_outputs = 1,
	.max_batch_size = 2};
static struct wire_loaded declared_state = {.ok = true,
	.inputs = inputs,
	.n_inputs = 5,
	.outputs = outputs,
	.n_outputs = 1,
	.max_batch_size = 2};

static struct sequence_settings *settings;

static void control(enum sequence_control kind, const char *name, enum dtype dtype)
{
	struct sequence_control_input *c = &settings->controls[kind];

	snprintf(c->name, sizeof(c->name), "%s", name);
	c->dtype = dtype;
	c->values[1][0] = 1;
}

/* `states`: 0 or 1, which is output 0: nothing is left of it for clients. */
static void up(uint32_t workers, uint32_t lanes, uint32_t states)
{
	settings = sequence_settings_new(states);
	settings->strategy = SEQUENCE_OLDEST;
	settings->max_candidates = 2;
	settings->idle_us = IDLE_US;
	control(SEQUENCE_START, "START", DTYPE_I32);
	control(SEQUENCE_END, "END", DTYPE_BOOL);
	control(SEQUENCE_CORRID, "CORRID", DTYPE_U64);
	if (states > 0) {
		snprintf(settings->states[0].input, sizeof(settings->states[0].input), "%s",
			"state");
		snprintf(settings->states[0].output, sizeof(settings->states[0].output), "%s", "y");
		settings->states[0].dtype = DTYPE_I32;
		settings->states[0].rank = 1;
		settings->states[0].dims[0] = 3;
	}
	bed_init(&bed);
	bed.place.count = workers;
	bed.models[0].sequence = settings;
	bed.models[0].max_batch_size = 2;
	bed_up(&bed);
	bed.pool->loaded[0] = states ? &declared_state : &declared;
	for (uint32_t i = 0; i < workers; i++)
		bed.pool->workers[i].n_lanes = lanes;
	bed_expect(&bed, 0);
}

static void setup(void)
{
	up(1, 1, 0);
}

static void teardown(void)
{
	bed_close(&bed);
	free(settings);
}

TestSuite(sequences, .init = setup, .fini = teardown);
/* Each begins with up(). */
TestSuite(sequences_many, .fini = teardown);

static uint32_t x_index(void)
{
	uint32_t index = 0;

	cr_assert_eq(version_find_input(bed.alpha, "x", &index), 0);
	return index;
}

static struct request *make(uint64_t sequence, bool start, bool end, struct answer *a)
{
	const struct origin origin = {.client = bed.client, .deadline_ns = CLOCK_NO_DEADLINE};
	const int64_t dims[] = {1, 4};
	struct request *r;

	a->bed = &bed;
	cr_assert_eq(request_new(&r, bed.alpha, &origin, bed_on_done, a), 0);
	cr_assert_eq(bed_fill(&bed, r, x_index(), DTYPE_I32, 2, dims, 16), 0);
	cr_assert_eq(request_set_sequence(r, sequence, NULL, 0, start, end), 0);
	return r;
}

static struct request *submit(uint64_t sequence, bool start, bool end, struct answer *a)
{
	struct request *r = make(sequence, start, end, a);

	cr_assert_eq(dispatch_submit(bed.d, r), 0, "%s", request_message(r));
	request_unref(r);
	return r; /* dispatch has it */
}

static void on_region_gone(void *data, int fd)
{
	close_fd(&fd);
}

static void refused(struct request *r, enum grpc_status status, const char *text)
{
	cr_assert_eq(dispatch_submit(bed.d, r), DISPATCH_E_REFUSED);
	cr_expect_eq(request_status(r), status);
	cr_expect_str_eq(request_message(r), text);
	request_unref(r);
}

static size_t n_runs(void)
{
	return fake_n_runs(bed.pool, NULL);
}

static void answer_first(void)
{
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	bed_turn(&bed);
}

static uint32_t n_sequences(void)
{
	return bed.alpha->work->sequences->n;
}

static uint64_t n_lost(void)
{
	return version_figures(bed.alpha)->sequences_lost;
}

Test(sequences, one_step_at_a_time_in_their_order)
{
	submit(1, true, false, &answers[0]);
	submit(1, false, false, &answers[1]);
	submit(1, false, true, &answers[2]);
	for (int i = 0; i < 3; i++) {
		bed_turn(&bed);
		cr_assert_eq(n_runs(), 1);
		answer_first();
		cr_expect_eq(answers[i].n, 1);
		cr_expect_eq(answers[i].status, GRPC_OK);
	}
	cr_expect_eq(n_sequences(), 0, "it has ended");
	cr_expect_eq(list_empty(&bed.alpha->work->node), true);
}

Test(sequences, a_step_is_told_which_one_it_is)
{
	const struct request *r = submit(7, true, false, &answers[0]);

	bed_turn(&bed);
	cr_expect_eq(*(int32_t *)lease_at(r->inputs[1].lease, r->inputs[1].offset), 1);
	cr_expect_eq(*(uint8_t *)lease_at(r->inputs[2].lease, r->inputs[2].offset), 0);
	cr_expect_eq(*(uint64_t *)lease_at(r->inputs[3].lease, r->inputs[3].offset), 7);
	cr_expect_eq(r->inputs[3].offset % 64, 0);
	answer_first();
	r = submit(7, false, true, &answers[1]);
	bed_turn(&bed);
	cr_expect_eq(*(int32_t *)lease_at(r->inputs[1].lease, r->inputs[1].offset), 0);
	cr_expect_eq(*(uint8_t *)lease_at(r->inputs[2].lease, r->inputs[2].offset), 1);
	answer_first();
}

/* Two sequences that could run side by side: the second waits for its client's share of output memory. */
Test(sequences_many, a_step_waits_for_its_clients_share_of_output_memory)
{
	up(1, 2, 0);
	bed.d->tally.outputs.limit = 16000;
	bed.alpha->work->outputs.declared = true;
	bed.alpha->work->outputs.row_max = UINT64_MAX;
	output_estimate_note(&bed.alpha->work->outputs, STEP_BYTES, 5000);
	submit(1, true, true, &answers[0]);
	submit(2, true, true, &answers[1]);
	bed_turn(&bed);
	cr_expect_eq(n_runs(), 1);
	cr_expect_eq(bed.client->expected_bytes, 5000);
	cr_expect_null(scheduler_runnable(&bed.d->scheduler, clock_ns()), "that is no stall");
	answer_first();
	cr_expect_eq(n_runs(), 1, "there is room now");
	answer_first();
	cr_expect_eq(answers[1].n, 1);
	cr_expect_eq(bed.client->expected_bytes, 0);
}

Test(sequences, what_is_refused)
{
	refused(make(0, true, false, &answers[0]), GRPC_INVALID_ARGUMENT,
		"inference request to model 'alpha' must specify a non-zero or non-empty "
		"correlation "
		"ID");
	refused(make(5, false, false, &answers[0]), GRPC_INVALID_ARGUMENT,
		"inference request for sequence 5 to model 'alpha' must specify the START flag on "
		"the "
		"first request of the sequence");
	cr_expect_eq(n_sequences(), 0);
	submit(5, true, true, &answers[1]);
	refused(make(5, false, false, &answers[0]), GRPC_INVALID_ARGUMENT,
		"inference request for sequence 5 to model 'alpha' must specify the START flag on "
		"the "
		"first request of the sequence");
	bed_turn(&bed);
	answer_first();
	cr_expect_eq(answers[1].n, 1);
}

Test(sequences, texts_are_names_too_and_no_numbers)
{
	struct request *r = make(0, true, false, &answers[0]);

	cr_assert_eq(request_set_sequence(r, 0, "5", 1, true, false), 0);
	cr_expect_eq(r->item.sequence, 0);
	cr_expect_str_eq(r->item.sequence_text, "5");
	cr_expect_eq(r->item.sequence_flags, WIRE_SEQUENCE_START);
	refused(r, GRPC_INVALID_ARGUMENT,
		"the sequence of a request for model 'alpha' has a text, '5', where the model "
		"takes a "
		"number (UINT64)");
	r = make(1, false, true, &answers[0]);
	cr_expect_eq(r->item.sequence, 1);
	cr_expect_null(r->item.sequence_text);
	cr_expect_eq(r->item.sequence_flags, WIRE_SEQUENCE_END);
	cr_expect_eq(request_set_sequence(r, 0, "a\0b", 3, true, false), -EINVAL);
	cr_expect_eq(request_set_sequence(r, 0, "a\xff", 2, true, false), -EINVAL);
	request_unref(r);
}

Test(sequences_many, they_go_to_the_lane_that_has_fewest_and_stay_there)
{
	uint32_t lanes[4], seen = 0;

	up(2, 2, 0);
	for (uint64_t i = 0; i < 4; i++)
		submit(i + 1, true, false, &answers[i]);
	bed_turn(&bed);
	cr_assert_eq(n_runs(), 4);
	for (size_t i = 0; i < 4; i++) {
		const struct fake_run *run = &bed.pool->runs[i];

		cr_assert_not_null(run->lane_asked);
		lanes[i] = (run->worker == &bed.pool->workers[1]) * 2 + run->lane;
		seen |= 1u << lanes[i];
	}
	cr_expect_eq(seen, 15, "each on a lane of its own");
	while (n_runs() > 0)
		answer_first();
	for (uint64_t i = 4; i-- > 0;) {
		submit(i + 1, false, true, &answers[8 + i]);
		bed_turn(&bed);
		cr_assert_eq(n_runs(), 1);
		cr_expect_eq((fake_first(bed.pool, NULL)->worker == &bed.pool->workers[1]) * 2 +
				     fake_first(bed.pool, NULL)->lane,
			lanes[i]);
		answer_first();
	}
}

/* Their worker is theirs until the last of them has ended. */
Test(sequences_many, one_that_ends_gets_no_new_ones)
{
	struct worker *w;

	up(2, 1, 0);
	w = &bed.pool->workers[0];
	submit(1, true, false, &answers[0]);
	submit(2, true, false, &answers[1]);
	bed_turn(&bed);
	answer_first();
	answer_first();
	cr_expect_eq(w->n_bound, 1);
	cr_expect_eq(bed.pool->workers[1].n_bound, 1);
	w->ending = true;
	submit(3, true, false, &answers[2]);
	submit(4, true, false, &answers[3]);
	submit(5, true, false, &answers[4]);
	bed_turn(&bed);
	cr_assert_eq(n_runs(), 1, "the other one has room for one more");
	cr_expect_eq(fake_first(bed.pool, NULL)->worker, &bed.pool->workers[1]);
	answer_first();
	cr_expect_eq(n_runs(), 0);
	submit(1, false, true, &answers[5]);
	submit(2, false, true, &answers[6]);
	bed_turn(&bed);
	while (n_runs() > 0)
		answer_first();
	cr_expect_eq(answers[5].status, GRPC_OK);
	cr_expect_eq(answers[6].status, GRPC_OK);
	cr_expect_eq(bed.pool->workers[0].n_bound + bed.pool->workers[1].n_bound, 1,
		"the one that has begun none since is nobody's");
}

Test(sequences, who_finds_no_room_waits_for_one_that_ends)
{
	submit(1, true, false, &answers[0]);
	submit(2, true, false, &answers[1]);
	submit(3, true, true, &answers[2]);
	bed_turn(&bed);
	answer_first();
	answer_first();
	cr_expect_eq(n_runs(), 0, "two sequences a lane");
	cr_expect_eq(answers[2].n, 0);
	submit(2, false, true, &answers[3]);
	bed_turn(&bed);
	answer_first();
	cr_assert_eq(n_runs(), 1);
	answer_first();
	cr_expect_eq(answers[2].status, GRPC_OK);
	cr_expect_eq(answers[2].n, 1);
}

Test(sequences, or_for_one_that_was_idle_for_too_long)
{
	bed.alpha->settings.sequence->idle_us = 0;
	submit(1, true, false, &answers[0]);
	submit(2, true, false, &answers[1]);
	submit(3, true, true, &answers[2]);
	bed_turn(&bed);
	answer_first();
	answer_first();
	bed_turn(&bed);
	cr_assert_eq(n_runs(), 1);
	answer_first();
	cr_expect_eq(answers[2].status, GRPC_OK);
	cr_expect_eq(answers[2].n, 1);
}

static void expect_gone(const struct answer *a, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "sequence 1 of model 'alpha' has ended: %s; begin it anew",
		why);
	cr_expect_eq(a->n, 1);
	cr_expect_eq(a->status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(a->message, text);
}

/* fake_done() answers at once, so that what is due next is sent in the same turn. */
Test(sequences, a_lost_worker_ends_them)
{
	submit(1, true, false, &answers[0]);
	submit(1, false, false, &answers[1]);
	bed_turn(&bed);
	fake_lose(&bed.pool->workers[0]);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	bed.pool->workers[0].generation++;
	fake_set_ready(&bed.pool->workers[0], true);
	bed_turn(&bed);
	expect_gone(&answers[1], "worker cpu:0/0 (signal 6 (Aborted)), which ran it, was lost");
	submit(1, false, false, &answers[2]);
	bed_turn(&bed);
	expect_gone(&answers[2], "worker cpu:0/0 (signal 6 (Aborted)), which ran it, was lost");
	submit(1, true, true, &answers[3]);
	bed_turn(&bed);
	answer_first();
	cr_expect_eq(answers[3].status, GRPC_OK, "it was begun anew");
	cr_expect_eq(n_sequences(), 0);
	cr_expect_eq(n_lost(), 1);
}

/* Of a reason that is too long the end is left out, not what has become of the sequence. */
Test(sequences, a_worker_that_was_lost_for_a_long_reason)
{
	static char reason[300], expected[512];

	memset(reason, 'r', sizeof(reason) - 1);
	snprintf(expected, sizeof(expected),
		"sequence 1 of model 'alpha' has ended: worker cpu:0/0 (%.215s, which ran it, was "
		"lost; begin it anew",
		reason);
	bed.pool->workers[0].loss = reason;
	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	fake_lose(&bed.pool->workers[0]);
	bed.pool->workers[0].generation++;
	fake_set_ready(&bed.pool->workers[0], true);
	submit(1, false, false, &answers[1]);
	bed_turn(&bed);
	cr_expect_eq(answers[1].status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(answers[1].message, expected);
}

Test(sequences, one_that_nobody_asks_for_any_more_was_lost_too)
{
	bed.alpha->settings.sequence->idle_us = 0;
	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	bed.pool->workers[0].generation++;
	answer_first();
	bed_turn(&bed);
	cr_expect_eq(n_sequences(), 0);
	cr_expect_eq(n_lost(), 1);
}

Test(sequences, one_that_was_idle_for_too_long_was_not)
{
	bed.alpha->settings.sequence->idle_us = 0;
	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	answer_first();
	bed_turn(&bed);
	cr_expect_eq(n_sequences(), 0);
	cr_expect_eq(n_lost(), 0);
}

Test(sequences, another_process_knows_nothing_of_them)
{
	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	answer_first();
	bed.pool->workers[0].generation++;
	submit(1, false, false, &answers[1]);
	bed_turn(&bed);
	expect_gone(&answers[1], "worker cpu:0/0, which ran it, was lost");
}

Test(sequences, a_step_that_is_not_run_ends_it)
{
	struct request *r;

	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	r = submit(1, false, false, &answers[1]);
	submit(1, false, false, &answers[2]);
	request_cancel(r);
	bed_turn(&bed);
	cr_expect_eq(answers[2].n, 0, "the one before it still runs");
	answer_first();
	cr_expect_eq(answers[0].status, GRPC_OK);
	cr_expect_eq(answers[1].n, 0);
	expect_gone(&answers[2], "a request of it was not run");
}

/* Who is left of it cannot be followed by anything but its beginning: its place is another one's. */
Test(sequences, one_whose_end_was_not_run_leaves_its_place)
{
	struct request *r;

	submit(1, true, false, &answers[0]);
	r = submit(1, false, true, &answers[1]);
	request_cancel(r);
	bed_turn(&bed);
	answer_first();
	cr_expect_eq(answers[0].status, GRPC_OK);
	cr_expect_eq(n_sequences(), 0);
	refused(make(1, false, false, &answers[2]), GRPC_INVALID_ARGUMENT,
		"inference request for sequence 1 to model 'alpha' must specify the START flag on "
		"the first request of the sequence");
}

Test(sequences, one_that_may_be_idle_for_ever_is)
{
	/* In nanoseconds they would be 384 in 64 bits. */
	bed.alpha->settings.sequence->idle_us = UINT64_C(18446744073709552);
	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	answer_first();
	bed_turn(&bed);
	cr_expect_eq(n_sequences(), 1);
}

Test(sequences, an_error_of_the_model_does_not)
{
	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), GRPC_INVALID_ARGUMENT);
	cr_expect_eq(answers[0].status, GRPC_INVALID_ARGUMENT);
	submit(1, false, true, &answers[1]);
	bed_turn(&bed);
	answer_first();
	cr_expect_eq(answers[1].status, GRPC_OK);
}

Test(sequences, one_that_was_given_up_while_it_ran_does)
{
	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), GRPC_CANCELLED);
	submit(1, false, false, &answers[1]);
	bed_turn(&bed);
	expect_gone(&answers[1], "a request of it was given up while it ran");
}

Test(sequences, a_full_worker_is_asked_again)
{
	submit(1, true, true, &answers[0]);
	bed.pool->workers[0].run_error = WORKER_E_BUSY;
	bed_turn(&bed);
	cr_expect_eq(n_runs(), 0);
	cr_expect_eq(version_queue_depth(bed.alpha), 1);
	bed.pool->workers[0].run_error = 0;
	submit(2, true, true, &answers[1]);
	bed_turn(&bed);
	cr_assert_eq(n_runs(), 1);
	answer_first();
	answer_first();
	cr_expect_eq(answers[0].n + answers[1].n, 2);
}

Test(sequences, what_no_message_can_carry_fails_and_ends_it)
{
	submit(1, true, false, &answers[0]);
	submit(1, false, false, &answers[1]);
	bed.pool->workers[0].run_error = WORKER_E_LARGE;
	bed_turn(&bed);
	cr_expect_eq(answers[0].status, GRPC_RESOURCE_EXHAUSTED);
	bed.pool->workers[0].run_error = 0;
	bed_turn(&bed);
	expect_gone(&answers[1], "a request of it was not run");
}

Test(sequences_many, a_state_goes_from_step_to_step)
{
	const struct request *r;

	up(1, 1, 1);
	r = submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	cr_assert_eq(n_runs(), 1);
	cr_expect_eq(r->inputs[0].length, 12);
	cr_expect_eq(r->inputs[0].rank, 2);
	cr_expect_eq(r->inputs[0].dims[1], 3);
	cr_expect_eq(*(int32_t *)lease_data(r->inputs[0].lease), 0);
	answer_first();
	cr_expect_eq(answers[0].n_outputs, 0, "it is not the client's");
	r = submit(1, false, true, &answers[1]);
	bed_turn(&bed);
	cr_assert_eq(n_runs(), 1);
	cr_expect_eq(r->inputs[0].length, 4);
	cr_expect_eq(r->inputs[0].rank, 1);
	cr_expect_eq(memcmp(lease_data(r->inputs[0].lease), "\1\2\3\4", 4), 0);
	answer_first();
	cr_expect_eq(n_sequences(), 0);
}

/* A generator of numbers, say: its client gives nothing. */
Test(sequences_many, a_model_all_of_whose_inputs_are_states)
{
	struct origin origin = {.deadline_ns = CLOCK_NO_DEADLINE};
	struct wire_loaded alone = declared_state;
	struct request *r;

	up(1, 1, 1);
	origin.client = bed.client;
	alone.n_inputs = 1;
	bed.pool->loaded[0] = &alone;
	memset(bed.alpha->settings.sequence->controls, 0,
		sizeof(bed.alpha->settings.sequence->controls));
	answers[0].bed = &bed;
	cr_assert_eq(request_new(&r, bed.alpha, &origin, bed_on_done, &answers[0]), 0);
	cr_assert_eq(request_set_sequence(r, 1, NULL, 0, true, true), 0);
	cr_assert_eq(dispatch_submit(bed.d, r), 0, "%s", request_message(r));
	request_unref(r);
	bed_turn(&bed);
	cr_assert_eq(n_runs(), 1);
	cr_expect_eq(r->rows, 1);
	answer_first();
	cr_expect_eq(answers[0].status, GRPC_OK);
	cr_expect_eq(n_sequences(), 0);
	bed.pool->loaded[0] = &declared_state;
}

/* Of whatever kind of memory it says that they are. */
Test(sequences_many, a_state_is_not_the_clients_to_give)
{
	const char *text = "unexpected inference input 'state' for model 'alpha'";
	struct region *region;
	struct request *r;
	int fd;

	up(1, 1, 1);
	r = make(1, true, false, &answers[0]);
	*request_input(r, 0) = *request_input(r, x_index());
	lease_ref(request_input(r, 0)->lease);
	request_input(r, 0)->offset = 8;
	request_input(r, 0)->length = 8;
	refused(r, GRPC_INVALID_ARGUMENT, text);
	cr_assert_eq(memfd_new("region", 65536, &fd), 0);
	cr_assert_eq(
		region_new(&region, dispatch_regions(bed.d), fd, 65536, true, on_region_gone, NULL),
		0);
	r = make(0, false, false, &answers[1]);
	request_input(r, 0)->region = region;
	request_input(r, 0)->offset = UINT64_MAX;
	request_input(r, 0)->length = 8;
	refused(r, GRPC_INVALID_ARGUMENT, text);
	fake_region_gone(bed.pool);
	cr_expect_eq(n_sequences(), 0);
}

/* Of a control input it would take the place among those, which is not inside of a state. */
Test(sequences_many, a_state_that_is_a_control_input_too_costs_nobody_else_anything)
{
	struct sequence_state *state;
	const struct request *r;

	up(1, 1, 1);
	bed.pool->loaded[0] = &declared;
	state = &bed.alpha->settings.sequence->states[0];
	snprintf(state->input, sizeof(state->input), "%s", "CORRID");
	state->dtype = DTYPE_U64;
	state->dims[0] = 1;
	r = submit(1, true, true, &answers[0]);
	cr_assert_gt(r->inputs[3].offset, 0);
	bed_turn(&bed);
	cr_assert_eq(n_runs(), 1);
	cr_expect_eq(r->inputs[3].offset, 0);
	answer_first();
	cr_expect_eq(answers[0].n, 1);
}

/* They are as large as each other: two states of the same input and output. */
static void up_twice(void)
{
	up(1, 1, 2);
	bed.alpha->settings.sequence->states[1] = bed.alpha->settings.sequence->states[0];
}

Test(sequences_many, states_that_together_are_too_large_are_refused)
{
	up_twice();
	bed.settings.max_state_bytes = 23;
	refused(make(1, true, false, &answers[0]), GRPC_RESOURCE_EXHAUSTED,
		"the states of a sequence of model 'alpha' take 24 bytes, more than [dispatch] "
		"max_state_bytes, 23");
	cr_expect_eq(n_sequences(), 0);
	bed.settings.max_state_bytes = 24;
	submit(1, true, true, &answers[1]);
	bed_turn(&bed);
	answer_first();
	cr_expect_eq(answers[1].status, GRPC_OK);
}

/* What is zeroed in a turn of the loop, of all sequences that begin in it: the rest begins in later ones, by itself. */
Test(sequences_many, states_that_begin_together_do_so_a_few_a_turn)
{
	up(2, 2, 1);
	bed.settings.max_state_bytes = 24;
	for (uint64_t i = 0; i < 4; i++)
		submit(i + 1, true, false, &answers[i]);
	bed_turn(&bed);
	cr_assert_eq(n_runs(), 2);
	cr_expect_eq(bed.d->scheduler.zeroed_bytes, 24);
	cr_expect_null(scheduler_runnable(&bed.d->scheduler, clock_ns()), "nothing is stuck");
	while (n_runs() < 4) {
		uv_run(&bed.loop, UV_RUN_ONCE);
		bed_turn(&bed);
		cr_assert_leq(bed.d->scheduler.zeroed_bytes, 24);
	}
	while (n_runs() > 0)
		answer_first();
	/* Those that have theirs wait for nobody. */
	for (uint64_t i = 0; i < 4; i++)
		submit(i + 1, false, true, &answers[8 + i]);
	bed_turn(&bed);
	cr_expect_eq(n_runs(), 4);
	while (n_runs() > 0)
		answer_first();
}

Test(sequences_many, dimensions_that_no_number_holds_are_too_large)
{
	up(1, 1, 1);
	bed.alpha->settings.sequence->states[0].rank = 2;
	bed.alpha->settings.sequence->states[0].dims[0] = INT64_MAX;
	bed.alpha->settings.sequence->states[0].dims[1] = 8;
	refused(make(1, true, false, &answers[0]), GRPC_RESOURCE_EXHAUSTED,
		"the states of a sequence of model 'alpha' take 18446744073709551615 bytes, more "
		"than [dispatch] max_state_bytes, 1048576");
}

Test(sequences_many, states_that_have_become_too_large_end_it)
{
	up_twice();
	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	bed.settings.max_state_bytes = 7;
	answer_first();
	cr_expect_eq(answers[0].status, GRPC_RESOURCE_EXHAUSTED);
	cr_expect_str_eq(answers[0].message,
		"the model gave states that together are larger than [dispatch] max_state_bytes");
	bed.settings.max_state_bytes = 24;
	submit(1, false, false, &answers[1]);
	bed_turn(&bed);
	expect_gone(&answers[1], "its state could not be kept");
}

Test(sequences_many, a_state_that_is_not_there_ends_it)
{
	up(1, 1, 1);
	snprintf(bed.alpha->settings.sequence->states[0].output,
		sizeof(bed.alpha->settings.sequence->states[0].output), "%s", "z");
	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	answer_first();
	cr_expect_eq(answers[0].status, GRPC_INTERNAL);
	submit(1, false, false, &answers[1]);
	bed_turn(&bed);
	expect_gone(&answers[1], "its state could not be kept");
}

Test(sequences, a_removed_version_keeps_none_that_is_idle)
{
	submit(1, true, false, &answers[0]);
	bed_turn(&bed);
	answer_first();
	cr_expect_eq(n_sequences(), 1);
	dispatch_remove_version(bed.d, bed.alpha);
	bed_turn(&bed);
	cr_expect_null(bed.alpha->work, "nothing of it can run any more");
}

Test(sequences, a_drain_waits_for_steps_alone)
{
	submit(1, true, false, &answers[0]);
	submit(1, false, false, &answers[1]);
	bed_turn(&bed);
	dispatch_drain(bed.d);
	bed_turn(&bed);
	answer_first();
	answer_first();
	cr_expect_eq(answers[1].status, GRPC_OK);
	bed_turn(&bed);
	cr_expect_eq(n_sequences(), 0);
	cr_expect_eq(bed.pool->draining, true);
}

/* --- Without memory --------------------------------------------------------------------------- */

static struct request *try_submit(uint64_t sequence, bool start, bool end, struct answer *a)
{
	const struct origin origin = {.client = bed.client, .deadline_ns = CLOCK_NO_DEADLINE};
	const int64_t dims[] = {1, 4};
	struct request *r;

	a->bed = &bed;
	if (request_new(&r, bed.alpha, &origin, bed_on_done, a))
		return NULL;
	if (!bed_fill(&bed, r, x_index(), DTYPE_I32, 2, dims, 16) &&
		!request_set_sequence(r, sequence, NULL, 0, start, end) &&
		!dispatch_submit(bed.d, r))
		return r;
	return request_unref(r);
}

/* Each step loses its worker; the last one finds its sequence ended. */
static int exercise(void)
{
	bool fine = true;

	for (int i = 0; i < 3; i++) {
		struct request *r = try_submit(1, i < 2, false, &answers[i]);

		bed_turn(&bed);
		fake_lose(&bed.pool->workers[0]);
		bed.pool->workers[0].generation++;
		fake_set_ready(&bed.pool->workers[0], true);
		bed_turn(&bed);
		cr_assert(
			answers[i].n <= (r != NULL), "answered once at most, and if it was taken");
		fine &= r && answers[i].n == 1 && answers[i].status == GRPC_UNAVAILABLE;
		request_unref(r);
	}
	return fine ? 0 : -1;
}

static int life(void *arg)
{
	int r = -1;

	(void)arg;
	memset(answers, 0, sizeof(answers));
	settings = sequence_settings_new(1);
	if (!settings)
		return -1;
	settings->idle_us = IDLE_US;
	control(SEQUENCE_START, "START", DTYPE_I32);
	control(SEQUENCE_END, "END", DTYPE_BOOL);
	control(SEQUENCE_CORRID, "CORRID", DTYPE_U64);
	settings->states[0] = (struct sequence_state){
		.input = "state", .output = "y", .dtype = DTYPE_I32, .rank = 1, .dims = {3}};
	bed_init(&bed);
	bed.models[0].sequence = settings;
	bed.models[0].max_batch_size = 2;
	if (!bed_open(&bed)) {
		bed_start(&bed);
		bed.pool->loaded[0] = &declared_state;
		r = exercise();
	}
	bed_close(&bed);
	free(settings);
	return r;
}

Test(sequences_bare, every_failure_leaves_nothing_behind)
{
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
}
