/* loop_gather_test.c: answers that leave together, and those that wait for nothing. */
#include "workers/loop.h"

#include <criterion/criterion.h>

#include "fake_clock.h"
#include "fake_daemon_says.h"

/* n runs, of model 0 and every `turns`-th of model 1, in one record. Returns how many records the
 * answers came in; those of one model come in order. */
static uint32_t run_together(struct fake_daemon *d, uint64_t first, size_t n, size_t turns)
{
	static struct wire_message messages[256];
	const uint8_t one_ms = 1;
	int64_t dims[] = {1};
	const struct wire_tensor input = {
		0, DTYPE_U8, 1, dims, fake_daemon_put(d, &one_ms, sizeof(one_ms))};
	const struct wire_item item = {.inputs = &input, .n_inputs = 1};
	uint32_t before = d->n_records;
	uint64_t last[2] = {0, 0};

	for (size_t i = 0; i < n; i++)
		messages[i] = (struct wire_message){
			.type = WIRE_RUN, .run = {first + i, turns && i % turns == 0, &item, 1, 0}};
	fake_daemon_send_all(d, messages, n);
	for (size_t i = 0; i < n; i++) {
		uint64_t batch = fake_daemon_receive(d, WIRE_DONE)->done.batch;
		uint32_t model = messages[batch - first].run.model;

		cr_assert_gt(batch, last[model]);
		last[model] = batch;
	}
	return d->n_records - before;
}

/* In the end they come together: when the models have been quick for a while, as they are while the clock
 * stands. */
static void expect_gathering(struct fake_daemon *d, uint64_t first, size_t turns)
{
	uint64_t i = 0;

	fake_clock_stop(true);
	while (i < 50 && run_together(d, first + 200 * i, 200, turns) >= 100)
		i++;
	fake_clock_stop(false);
	cr_assert_lt(i, 50, "they came one by one");
}

Test(loop_gather, quick_answers_gather)
{
	struct fake_daemon d;

	daemon_serve(&d, "identity");
	expect_gathering(&d, 1, 0);
	daemon_drain(&d);
}

Test(loop_gather, no_answer_waits_for_a_slow_run)
{
	struct fake_daemon d;

	daemon_serve(&d, "sleep");
	cr_assert_eq(run_together(&d, 1, 5, 0), 5);
	daemon_drain(&d);
}

/* What takes long now and then is not quick between times. */
Test(loop_gather, no_answer_waits_for_a_model_that_was_slow_lately)
{
	const uint64_t n = FAKE_ARENA_BYTES / 4 * 3;
	struct fake_daemon d;
	int64_t dims[] = {(int64_t)n};
	struct wire_tensor input = {0, DTYPE_U8, 1, dims, {.arena = FAKE_INPUT_ARENA}};
	const struct wire_item item = {.inputs = &input, .n_inputs = 1};

	daemon_serve(&d, "identity");
	input.span.length = n;
	daemon_run_items(&d, 1, 0, &item, 1);
	daemon_expect_done(&d, 1);
	cr_assert_eq(run_together(&d, 2, 2, 0), 2);
	/* In the end it is. */
	expect_gathering(&d, 4, 0);
	daemon_drain(&d);
}

Test(loop_gather, quick_answers_gather_across_models)
{
	struct fake_daemon d;

	daemon_start(&d);
	fake_daemon_load(&d, 0, "identity");
	fake_daemon_load(&d, 1, "identity");
	run_together(&d, 1, 2, 2);
	expect_gathering(&d, 3, 2);
	daemon_drain(&d);
}

/* Runs may take their time, all else is handled in order, and drain waits for the runs. */
Test(loop_gather, a_record_of_many_kinds)
{
	uint64_t last_batch = 1, last_nonce = 0, hold;
	int64_t dims[] = {0};
	const struct wire_tensor input = {0, DTYPE_U8, 1, dims, {.arena = FAKE_INPUT_ARENA}};
	const struct wire_item item = {.inputs = &input, .n_inputs = 1};
	const struct wire_message messages[] = {
		{.type = WIRE_PING, .ping = {1}},
		{.type = WIRE_RUN, .run = {2, 0, &item, 1, 0}},
		{.type = WIRE_RELEASE, .release = {&hold, 1}},
		{.type = WIRE_RUN, .run = {3, 0, &item, 1, 0}},
		{.type = WIRE_PING, .ping = {2}},
		{.type = WIRE_DRAIN},
	};
	struct fake_daemon d;

	daemon_serve(&d, "identity");
	daemon_run_items(&d, 1, 0, &item, 1);
	hold = daemon_expect_done(&d, 1)->results[0].hold;
	fake_daemon_send_all(&d, messages, sizeof(messages) / sizeof(messages[0]));
	for (int i = 0; i < 4; i++) {
		const struct wire_message *m = fake_daemon_next(&d);

		if (m->type == WIRE_DONE)
			cr_assert_eq(m->done.batch, ++last_batch);
		else
			cr_assert_eq(m->ping.nonce, ++last_nonce);
	}
	cr_assert_eq(last_batch, 3);
	cr_assert_eq(last_nonce, 2);
	fake_daemon_receive(&d, WIRE_BYE);
	fake_daemon_expect_end(&d);
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
}
