/* loop_partial_test.c: models that answer in part. */
#include "workers/loop.h"

#include <criterion/criterion.h>

#include "fake_daemon_says.h"
#include "proto/grpc_status.h"

static void run_i32(struct fake_daemon *d, uint64_t batch, const int32_t *values, uint64_t n,
	const uint32_t *wanted, size_t n_wanted)
{
	int64_t dims[] = {(int64_t)n};
	const struct wire_tensor input = {
		0, DTYPE_I32, 1, dims, fake_daemon_put(d, values, n * sizeof(*values))};
	const struct wire_item item = {
		.inputs = &input, .n_inputs = 1, .outputs = wanted, .n_outputs = n_wanted};

	daemon_run_items(d, batch, 0, &item, 1);
}

Test(loop_partial, a_decoupled_model_answers_in_part)
{
	const int32_t values[] = {7, -8, 9};
	const struct wire_partial *p;
	const struct wire_done *done;
	struct fake_daemon d;
	uint64_t holds[4] = {0};

	daemon_serve(&d, "repeat");
	run_i32(&d, 1, values, 3, NULL, 0);
	for (uint32_t i = 0; i < 3; i++) {
		const int32_t *out;
		const uint32_t *idx;

		p = &fake_daemon_receive(&d, WIRE_PARTIAL)->partial;
		cr_assert_eq(p->batch, 1);
		cr_assert_eq(p->item, 0);
		cr_assert_eq(p->n_outputs, 2);
		out = view_data(d.output, &p->outputs[0].span);
		idx = view_data(d.output, &p->outputs[1].span);
		cr_assert_eq(*out, values[i]);
		cr_assert_eq(*idx, i);
		cr_assert_gt(p->hold, holds[i]);
		holds[i + 1] = p->hold;
	}
	done = daemon_expect_done(&d, 1);
	cr_assert_eq(done->results[0].code, GRPC_OK);
	cr_assert_eq(done->results[0].n_outputs, 0);
	cr_assert_eq(done->results[0].hold, 0);
	for (int i = 3; i > 0; i--)
		daemon_release(&d, holds[i]);
	daemon_drain(&d);
}

Test(loop_partial, a_decoupled_model_gives_what_is_wanted_or_nothing_at_all)
{
	const uint32_t wanted[] = {1};
	const int32_t value = 3;
	const struct wire_partial *p;
	struct fake_daemon d;

	daemon_serve(&d, "repeat");
	run_i32(&d, 1, &value, 1, wanted, 1);
	p = &fake_daemon_receive(&d, WIRE_PARTIAL)->partial;
	cr_assert_eq(p->n_outputs, 1);
	cr_assert_eq(p->outputs[0].index, 1);
	cr_assert_eq(daemon_expect_done(&d, 1)->results[0].n_outputs, 0);
	run_i32(&d, 2, &value, 0, NULL, 0);
	cr_assert_eq(daemon_expect_done(&d, 2)->results[0].code, GRPC_OK);
	daemon_drain(&d);
}
