/* loop_test.c: the whole worker over its socket, as the daemon sees it. */
#include "workers/loop.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "fake_daemon_says.h"
#include "proto/grpc_status.h"

Test(loop, from_hello_to_bye)
{
	struct fake_daemon d;

	daemon_serve(&d, "identity");
	cr_assert_str_eq(d.name, "cpu:0/1");
	daemon_drain(&d);
}

Test(loop, no_models_is_ready_at_once)
{
	struct fake_daemon d;

	daemon_start(&d);
	daemon_ping(&d, 9);
	daemon_expect_pong(&d, 9);
	daemon_drain(&d);
}

Test(loop, end_of_file_in_any_state)
{
	struct fake_daemon d;

	fake_daemon_start(&d);
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
	daemon_start(&d);
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
	daemon_serve(&d, "identity");
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
}

Test(loop, drain_without_a_model)
{
	struct fake_daemon d;

	daemon_start(&d);
	fake_daemon_load(&d, 0, "identity");
	daemon_drain(&d);
}

Test(loop, declarations_are_what_the_backend_said)
{
	const struct wire_message m = {
		.type = WIRE_LOAD,
		.load = {.model = 4,
			.name = "simple",
			.version = "1",
			.path = "/",
			.backend = "builtin",
			.max_batch_size = 5},
	};
	const struct wire_loaded *l;
	struct fake_daemon d;

	daemon_start(&d);
	fake_daemon_send(&d, &m);
	l = &fake_daemon_receive(&d, WIRE_LOADED)->loaded;
	cr_assert(l->ok);
	cr_assert_eq(l->model, 4);
	cr_assert_eq(l->max_batch_size, 5);
	cr_assert_eq(l->n_inputs, 2);
	cr_assert_eq(l->n_outputs, 2);
	cr_assert_str_eq(l->inputs[1].name, "INPUT1");
	cr_assert_str_eq(l->outputs[0].name, "OUTPUT0");
	cr_assert_eq(l->outputs[0].dtype, DTYPE_I32);
	cr_assert_eq(l->outputs[0].rank, 2);
	cr_assert_eq(l->outputs[0].dims[0], -1);
	cr_assert_eq(l->outputs[0].dims[1], 16);
	cr_assert_gt(l->memory_bytes, 0);
	daemon_drain(&d);
}

Test(loop, a_failed_load_is_told_and_others_go_on)
{
	const struct wire_message m = {
		.type = WIRE_LOAD,
		.load = {.model = 0,
			.name = "m",
			.version = "1",
			.path = "/",
			.backend = "nothing"},
	};
	const struct wire_loaded *l;
	struct fake_daemon d;

	daemon_start(&d);
	fake_daemon_send(&d, &m);
	l = &fake_daemon_receive(&d, WIRE_LOADED)->loaded;
	cr_assert_not(l->ok);
	cr_assert(strstr(l->error, "no backend 'nothing'"), "%s", l->error);
	fake_daemon_load(&d, 1, "identity");
	fake_daemon_load(&d, 0, "identity"); /* again, later */
	daemon_drain(&d);
}

/* No model: the settings, of which builtin has none. */
Test(loop, a_backend_judges_what_it_is_told)
{
	static const struct wire_pair parameters[] = {
		{"function", "identty"}, {"delay_ms", "1"}, {"load_ms", "soon"}, {"spin", "yes"}};
	struct wire_message m = {.type = WIRE_CHECK,
		.load = {.name = "m",
			.version = "1",
			.path = "/nowhere",
			.backend = "builtin",
			.parameters = parameters,
			.n_parameters = 4}};
	const struct wire_checked *c;
	struct fake_daemon d;

	daemon_start(&d);
	fake_daemon_send(&d, &m);
	c = &fake_daemon_receive(&d, WIRE_CHECKED)->checked;
	cr_assert_eq(c->n_faults, 3);
	cr_expect_str_eq(c->faults[0].key, "load_ms");
	cr_expect_str_eq(c->faults[1].key, "function");
	cr_expect(strstr(c->faults[1].text, "no function 'identty'"), "%s", c->faults[1].text);
	cr_expect_str_eq(c->faults[2].key, "spin");
	cr_expect_not(c->unjudged);
	m.load = (struct wire_load){.backend = "builtin"};
	fake_daemon_send(&d, &m);
	c = &fake_daemon_receive(&d, WIRE_CHECKED)->checked;
	cr_expect(c->n_faults == 0 && !c->unjudged);
	m.load.backend = "nothing";
	fake_daemon_send(&d, &m);
	c = &fake_daemon_receive(&d, WIRE_CHECKED)->checked;
	cr_assert_eq(c->n_faults, 1);
	cr_expect_str_eq(c->faults[0].key, "");
	cr_expect(strstr(c->faults[0].text, "no backend 'nothing'"), "%s", c->faults[0].text);
	daemon_drain(&d);
}

Test(loop, unload_makes_room_for_another)
{
	const struct wire_message unload = {.type = WIRE_UNLOAD, .unload = {0}};
	const struct wire_message *m;
	struct fake_daemon d;

	daemon_serve(&d, "identity");
	fake_daemon_send(&d, &unload);
	m = fake_daemon_receive(&d, WIRE_UNLOADED);
	cr_expect_eq(m->unloaded.model, 0);
	cr_expect_gt(m->unloaded.memory_bytes, 0);
	fake_daemon_load(&d, 0, "simple");
	daemon_drain(&d);
}

/* --- Batches ------------------------------------------------------------------------------ */

Test(loop, batches_are_answered_in_order)
{
	const char data[100] = "hello";
	const struct wire_done *done;
	struct fake_daemon d;
	struct span s;

	daemon_serve(&d, "identity");
	s = fake_daemon_put(&d, data, sizeof(data));
	daemon_ping(&d, 1);
	daemon_expect_pong(&d, 1);
	daemon_run_bytes(&d, 10, s);
	daemon_run_bytes(&d, 11, s);
	daemon_run_bytes(&d, 12, s);
	done = daemon_expect_done(&d, 10);
	cr_assert_eq(done->n_results, 1);
	cr_assert_eq(done->results[0].code, GRPC_OK);
	cr_assert_eq(done->results[0].n_outputs, 1);
	cr_assert_eq(done->results[0].outputs[0].span.length, sizeof(data));
	cr_assert_eq(
		memcmp(view_data(d.output, &done->results[0].outputs[0].span), data, sizeof(data)),
		0);
	daemon_expect_done(&d, 11);
	daemon_expect_done(&d, 12);
	daemon_drain(&d);
}

Test(loop, joined_batch_of_simple)
{
	int32_t values[2][2][16];
	int64_t dims[] = {1, 16};
	struct wire_tensor inputs[2][2];
	struct wire_item items[2];
	const struct wire_done *done;
	struct fake_daemon d;

	daemon_serve(&d, "simple");
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 2; k++) {
			for (int n = 0; n < 16; n++)
				values[i][k][n] = 1000 * i + 100 * k + n;
			inputs[i][k] = (struct wire_tensor){(uint32_t)k, DTYPE_I32, 2, dims,
				fake_daemon_put(&d, values[i][k], sizeof(values[i][k]))};
		}
		items[i] = (struct wire_item){.inputs = inputs[i], .n_inputs = 2};
	}
	daemon_run_items(&d, 1, 0, items, 2);
	done = daemon_expect_done(&d, 1);
	cr_assert_gt(done->compute_ns, 0);
	for (int i = 0; i < 2; i++) {
		const int32_t *sum = view_data(d.output, &done->results[i].outputs[0].span);
		const int32_t *difference = view_data(d.output, &done->results[i].outputs[1].span);

		cr_assert_eq(done->results[i].n_outputs, 2);
		for (int n = 0; n < 16; n++) {
			cr_assert_eq(sum[n], values[i][0][n] + values[i][1][n]);
			cr_assert_eq(difference[n], -100);
		}
	}
	daemon_drain(&d);
}

/* A quarter of the output arena a batch, and none of them too many. */
Test(loop, release_frees)
{
	static char data[FAKE_ARENA_BYTES / 4];
	const struct wire_done *done;
	uint64_t holds[22] = {0};
	struct fake_daemon d;
	struct span s;

	daemon_serve(&d, "identity");
	s = fake_daemon_put(&d, data, sizeof(data));
	for (uint64_t batch = 1; batch <= 20; batch++) {
		daemon_run_bytes(&d, batch, s);
		done = daemon_expect_done(&d, batch);
		cr_assert_eq(done->results[0].code, GRPC_OK);
		holds[batch] = done->results[0].hold;
		cr_assert_gt(holds[batch], holds[batch - 1]);
		if (batch >= 4)
			daemon_release(&d, holds[batch - 3]);
	}
	/* Three are still held. */
	daemon_run_bytes(&d, 21, s);
	done = daemon_expect_done(&d, 21);
	cr_assert_eq(done->results[0].code, GRPC_OK);
	holds[21] = done->results[0].hold;
	daemon_run_bytes(&d, 22, s);
	done = daemon_expect_done(&d, 22);
	cr_assert_eq(done->results[0].code, GRPC_RESOURCE_EXHAUSTED);
	cr_assert_eq(done->results[0].hold, 0);
	daemon_release(&d, holds[21]);
	daemon_run_bytes(&d, 23, s);
	cr_assert_eq(daemon_expect_done(&d, 23)->results[0].code, GRPC_OK);
	daemon_drain(&d);
}

/* As large going there as coming back: what could be sent can be answered ... */
Test(loop, most_items_of_a_message)
{
	static struct wire_item items[WIRE_ITEMS_MAX];
	int64_t dims[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct wire_tensor input = {0, DTYPE_U8, 16, dims, {0}};
	const struct wire_done *done;
	struct fake_daemon d;

	daemon_serve(&d, "identity");
	input.span = fake_daemon_put(&d, "x", 1);
	for (size_t i = 0; i < WIRE_ITEMS_MAX; i++)
		items[i] = (struct wire_item){.inputs = &input, .n_inputs = 1};
	daemon_run_items(&d, 1, 0, items, WIRE_ITEMS_MAX);
	done = daemon_expect_done(&d, 1);
	cr_assert_eq(done->n_results, WIRE_ITEMS_MAX);
	for (size_t i = 0; i < WIRE_ITEMS_MAX; i++)
		cr_assert_eq(done->results[i].code, GRPC_OK);
	daemon_drain(&d);
}

/* ... unless the texts of many errors are longer than what they are about. */
Test(loop, results_that_do_not_fit_a_message)
{
	static struct wire_item items[700];
	int64_t dims[16];
	const struct wire_tensor input = {
		0, DTYPE_U8, 16, dims, {.arena = FAKE_INPUT_ARENA, .length = 1}};
	const struct wire_done *done;
	struct fake_daemon d;

	for (size_t i = 0; i < 16; i++)
		dims[i] = INT64_C(1000000000000000);
	for (size_t i = 0; i < 700; i++)
		items[i] = (struct wire_item){.inputs = &input, .n_inputs = 1};
	daemon_serve(&d, "identity");
	daemon_run_items(&d, 1, 0, items, 1);
	cr_assert_eq(daemon_expect_done(&d, 1)->results[0].code, GRPC_INTERNAL);
	daemon_run_items(&d, 2, 0, items, 700);
	done = daemon_expect_done(&d, 2);
	cr_assert_eq(done->n_results, 700);
	for (size_t i = 0; i < 700; i++) {
		cr_assert_eq(done->results[i].code, GRPC_RESOURCE_EXHAUSTED);
		cr_assert(strstr(done->results[i].message, "max_batch_size"));
	}
	daemon_drain(&d);
}

/* --- Regions ------------------------------------------------------------------------------ */

Test(loop, region_in_and_out)
{
	struct span in = {.arena = FAKE_REGION, .offset = 0, .length = 64};
	const struct wire_target target = {0, {.arena = FAKE_REGION, .offset = 4096, .length = 64}};
	int64_t dims[] = {64};
	const struct wire_tensor input = {0, DTYPE_U8, 1, dims, in};
	const struct wire_item item = {
		.inputs = &input, .n_inputs = 1, .targets = &target, .n_targets = 1};
	const struct wire_done *done;
	struct fake_daemon d;
	void *data;
	int fd = fake_region(8192, &data);

	daemon_serve(&d, "identity");
	daemon_map(&d, fd, 8192);
	memset(data, 0x5a, 64);
	daemon_run_items(&d, 1, 0, &item, 1);
	done = daemon_expect_done(&d, 1);
	cr_assert_eq(done->results[0].code, GRPC_OK, "%s", done->results[0].message);
	cr_assert_eq(done->results[0].outputs[0].span.arena, FAKE_REGION);
	cr_assert_eq(memcmp((char *)data + 4096, data, 64), 0);
	daemon_unmap(&d);
	daemon_run_bytes(&d, 2, in);
	done = daemon_expect_done(&d, 2);
	cr_assert_eq(done->results[0].code, GRPC_INTERNAL);
	cr_assert(strstr(done->results[0].message, "not mapped"));
	daemon_map(&d, fd, 8192);
	daemon_run_bytes(&d, 3, in);
	cr_assert_eq(daemon_expect_done(&d, 3)->results[0].code, GRPC_OK);
	daemon_drain(&d);
	close(fd);
}

Test(loop, a_region_that_cannot_be_mapped_harms_only_its_runs)
{
	struct span in = {.arena = FAKE_REGION, .offset = 0, .length = 64};
	struct fake_daemon d;
	void *data;
	int fd = fake_region(8192, &data);

	daemon_serve(&d, "identity");
	daemon_map(&d, fd, 4096); /* another size than it has */
	daemon_run_bytes(&d, 1, in);
	cr_assert_eq(daemon_expect_done(&d, 1)->results[0].code, GRPC_INTERNAL);
	daemon_unmap(&d);
	daemon_drain(&d);
	close(fd);
}
