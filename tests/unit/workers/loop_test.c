/* loop_test.c: the whole worker over its socket, as the daemon sees it. */
#include "workers/loop.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/seqpacket.h"
#include "fake_clock.h"
#include "fake_daemon.h"
#include "proto/grpc_status.h"
#include "tests/support/failalloc.h"
#include "workers/models.h"

#define REGION (WIRE_REGION_BIT | 3u)

static void ping(struct fake_daemon *d, uint64_t nonce)
{
	const struct wire_message m = {.type = WIRE_PING, .ping = {nonce}};

	fake_daemon_send(d, &m);
}

static void expect_pong(struct fake_daemon *d, uint64_t nonce)
{
	cr_assert_eq(fake_daemon_receive(d, WIRE_PONG)->ping.nonce, nonce);
}

static void start(struct fake_daemon *d)
{
	struct wire_setup setup = fake_daemon_setup();

	fake_daemon_start(d);
	fake_daemon_greet(d, &setup);
}

/* A worker that serves one builtin function as model 0. */
static void serve(struct fake_daemon *d, const char *function)
{
	start(d);
	fake_daemon_load(d, 0, function);
}

static void release(struct fake_daemon *d, uint64_t hold)
{
	const struct wire_message m = {
		.type = WIRE_RELEASE, .release = {.holds = &hold, .n_holds = 1}};

	fake_daemon_send(d, &m);
}

static void run_items(struct fake_daemon *d, uint64_t batch, uint32_t model,
	const struct wire_item *items, size_t n)
{
	const struct wire_message m = {.type = WIRE_RUN, .run = {batch, model, items, n, 0}};

	fake_daemon_send(d, &m);
}

/* Run model 0 on one u8 tensor. */
static void run_bytes(struct fake_daemon *d, uint64_t batch, struct span span)
{
	int64_t dims[] = {(int64_t)span.length};
	const struct wire_tensor input = {0, DTYPE_U8, 1, dims, span};
	const struct wire_item item = {.inputs = &input, .n_inputs = 1};

	run_items(d, batch, 0, &item, 1);
}

static const struct wire_done *expect_done(struct fake_daemon *d, uint64_t batch)
{
	const struct wire_done *done = &fake_daemon_receive(d, WIRE_DONE)->done;

	cr_assert_eq(done->batch, batch);
	return done;
}

static void drain(struct fake_daemon *d)
{
	const struct wire_message m = {.type = WIRE_DRAIN};

	fake_daemon_send(d, &m);
	cr_assert_str_eq(fake_daemon_receive(d, WIRE_BYE)->bye.reason, "drained");
	fake_daemon_expect_end(d);
	cr_assert_eq(fake_daemon_end(d), WORKER_EXIT_OK);
}

/* --- A life ------------------------------------------------------------------------------- */

Test(loop, from_hello_to_bye)
{
	struct fake_daemon d;

	serve(&d, "identity");
	cr_assert_str_eq(d.name, "cpu:0/1");
	drain(&d);
}

Test(loop, no_models_is_ready_at_once)
{
	struct fake_daemon d;

	start(&d);
	ping(&d, 9);
	expect_pong(&d, 9);
	drain(&d);
}

Test(loop, end_of_file_in_any_state)
{
	struct fake_daemon d;

	fake_daemon_start(&d);
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
	start(&d);
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
	serve(&d, "identity");
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
}

Test(loop, drain_without_a_model)
{
	struct fake_daemon d;

	start(&d);
	fake_daemon_load(&d, 0, "identity");
	drain(&d);
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

	start(&d);
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
	drain(&d);
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

	start(&d);
	fake_daemon_send(&d, &m);
	l = &fake_daemon_receive(&d, WIRE_LOADED)->loaded;
	cr_assert_not(l->ok);
	cr_assert(strstr(l->error, "no backend 'nothing'"), "%s", l->error);
	fake_daemon_load(&d, 1, "identity");
	fake_daemon_load(&d, 0, "identity"); /* again, later */
	drain(&d);
}

Test(loop, unload_makes_room_for_another)
{
	const struct wire_message unload = {.type = WIRE_UNLOAD, .unload = {0}};
	const struct wire_message *m;
	struct fake_daemon d;

	serve(&d, "identity");
	fake_daemon_send(&d, &unload);
	m = fake_daemon_receive(&d, WIRE_UNLOADED);
	cr_expect_eq(m->unloaded.model, 0);
	cr_expect_gt(m->unloaded.memory_bytes, 0);
	fake_daemon_load(&d, 0, "simple");
	drain(&d);
}

/* --- Batches ------------------------------------------------------------------------------ */

Test(loop, batches_are_answered_in_order)
{
	const char data[100] = "hello";
	const struct wire_done *done;
	struct fake_daemon d;
	struct span s;

	serve(&d, "identity");
	s = fake_daemon_put(&d, data, sizeof(data));
	ping(&d, 1);
	expect_pong(&d, 1);
	run_bytes(&d, 10, s);
	run_bytes(&d, 11, s);
	run_bytes(&d, 12, s);
	done = expect_done(&d, 10);
	cr_assert_eq(done->n_results, 1);
	cr_assert_eq(done->results[0].code, GRPC_OK);
	cr_assert_eq(done->results[0].n_outputs, 1);
	cr_assert_eq(done->results[0].outputs[0].span.length, sizeof(data));
	cr_assert_eq(
		memcmp(view_data(d.output, &done->results[0].outputs[0].span), data, sizeof(data)),
		0);
	expect_done(&d, 11);
	expect_done(&d, 12);
	drain(&d);
}

/* --- Answers together --------------------------------------------------------------------- */

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

Test(loop, quick_answers_gather)
{
	struct fake_daemon d;

	serve(&d, "identity");
	expect_gathering(&d, 1, 0);
	drain(&d);
}

Test(loop, no_answer_waits_for_a_slow_run)
{
	struct fake_daemon d;

	serve(&d, "sleep");
	cr_assert_eq(run_together(&d, 1, 5, 0), 5);
	drain(&d);
}

/* What takes long now and then is not quick between times. */
Test(loop, no_answer_waits_for_a_model_that_was_slow_lately)
{
	const uint64_t n = FAKE_ARENA_BYTES / 4 * 3;
	struct fake_daemon d;
	int64_t dims[] = {(int64_t)n};
	struct wire_tensor input = {0, DTYPE_U8, 1, dims, {.arena = FAKE_INPUT_ARENA}};
	const struct wire_item item = {.inputs = &input, .n_inputs = 1};

	serve(&d, "identity");
	input.span.length = n;
	run_items(&d, 1, 0, &item, 1);
	expect_done(&d, 1);
	cr_assert_eq(run_together(&d, 2, 2, 0), 2);
	/* In the end it is. */
	expect_gathering(&d, 4, 0);
	drain(&d);
}

Test(loop, quick_answers_gather_across_models)
{
	struct fake_daemon d;

	start(&d);
	fake_daemon_load(&d, 0, "identity");
	fake_daemon_load(&d, 1, "identity");
	run_together(&d, 1, 2, 2);
	expect_gathering(&d, 3, 2);
	drain(&d);
}

/* Runs may take their time, all else is handled in order, and drain waits for the runs. */
Test(loop, a_record_of_many_kinds)
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

	serve(&d, "identity");
	run_items(&d, 1, 0, &item, 1);
	hold = expect_done(&d, 1)->results[0].hold;
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

Test(loop, joined_batch_of_simple)
{
	int32_t values[2][2][16];
	int64_t dims[] = {1, 16};
	struct wire_tensor inputs[2][2];
	struct wire_item items[2];
	const struct wire_done *done;
	struct fake_daemon d;

	serve(&d, "simple");
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < 2; k++) {
			for (int n = 0; n < 16; n++)
				values[i][k][n] = 1000 * i + 100 * k + n;
			inputs[i][k] = (struct wire_tensor){(uint32_t)k, DTYPE_I32, 2, dims,
				fake_daemon_put(&d, values[i][k], sizeof(values[i][k]))};
		}
		items[i] = (struct wire_item){.inputs = inputs[i], .n_inputs = 2};
	}
	run_items(&d, 1, 0, items, 2);
	done = expect_done(&d, 1);
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
	drain(&d);
}

/* A quarter of the output arena a batch, and none of them too many. */
Test(loop, release_frees)
{
	static char data[FAKE_ARENA_BYTES / 4];
	const struct wire_done *done;
	uint64_t holds[22] = {0};
	struct fake_daemon d;
	struct span s;

	serve(&d, "identity");
	s = fake_daemon_put(&d, data, sizeof(data));
	for (uint64_t batch = 1; batch <= 20; batch++) {
		run_bytes(&d, batch, s);
		done = expect_done(&d, batch);
		cr_assert_eq(done->results[0].code, GRPC_OK);
		holds[batch] = done->results[0].hold;
		cr_assert_gt(holds[batch], holds[batch - 1]);
		if (batch >= 4)
			release(&d, holds[batch - 3]);
	}
	/* Three are still held. */
	run_bytes(&d, 21, s);
	done = expect_done(&d, 21);
	cr_assert_eq(done->results[0].code, GRPC_OK);
	holds[21] = done->results[0].hold;
	run_bytes(&d, 22, s);
	done = expect_done(&d, 22);
	cr_assert_eq(done->results[0].code, GRPC_RESOURCE_EXHAUSTED);
	cr_assert_eq(done->results[0].hold, 0);
	release(&d, holds[21]);
	run_bytes(&d, 23, s);
	cr_assert_eq(expect_done(&d, 23)->results[0].code, GRPC_OK);
	drain(&d);
}

/* As large going there as coming back: what could be sent can be answered ... */
Test(loop, most_items_of_a_message)
{
	static struct wire_item items[WIRE_ITEMS_MAX];
	int64_t dims[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct wire_tensor input = {0, DTYPE_U8, 16, dims, {0}};
	const struct wire_done *done;
	struct fake_daemon d;

	serve(&d, "identity");
	input.span = fake_daemon_put(&d, "x", 1);
	for (size_t i = 0; i < WIRE_ITEMS_MAX; i++)
		items[i] = (struct wire_item){.inputs = &input, .n_inputs = 1};
	run_items(&d, 1, 0, items, WIRE_ITEMS_MAX);
	done = expect_done(&d, 1);
	cr_assert_eq(done->n_results, WIRE_ITEMS_MAX);
	for (size_t i = 0; i < WIRE_ITEMS_MAX; i++)
		cr_assert_eq(done->results[i].code, GRPC_OK);
	drain(&d);
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
	serve(&d, "identity");
	run_items(&d, 1, 0, items, 1);
	cr_assert_eq(expect_done(&d, 1)->results[0].code, GRPC_INTERNAL);
	run_items(&d, 2, 0, items, 700);
	done = expect_done(&d, 2);
	cr_assert_eq(done->n_results, 700);
	for (size_t i = 0; i < 700; i++) {
		cr_assert_eq(done->results[i].code, GRPC_RESOURCE_EXHAUSTED);
		cr_assert(strstr(done->results[i].message, "max_batch_size"));
	}
	drain(&d);
}

/* --- Regions ------------------------------------------------------------------------------ */

static void map(struct fake_daemon *d, int fd, uint64_t size)
{
	const struct wire_message m = {
		.type = WIRE_MAP, .map = {.id = REGION, .size = size, .writable = true}};

	fake_daemon_send_fds(d, &m, &fd, 1);
}

static void unmap(struct fake_daemon *d)
{
	const struct wire_message m = {.type = WIRE_UNMAP, .unmap = {REGION}};

	fake_daemon_send(d, &m);
	cr_assert_eq(fake_daemon_receive(d, WIRE_UNMAPPED)->unmap.id, REGION);
}

Test(loop, region_in_and_out)
{
	struct span in = {.arena = REGION, .offset = 0, .length = 64};
	const struct wire_target target = {0, {.arena = REGION, .offset = 4096, .length = 64}};
	int64_t dims[] = {64};
	const struct wire_tensor input = {0, DTYPE_U8, 1, dims, in};
	const struct wire_item item = {
		.inputs = &input, .n_inputs = 1, .targets = &target, .n_targets = 1};
	const struct wire_done *done;
	struct fake_daemon d;
	void *data;
	int fd = fake_region(8192, &data);

	serve(&d, "identity");
	map(&d, fd, 8192);
	memset(data, 0x5a, 64);
	run_items(&d, 1, 0, &item, 1);
	done = expect_done(&d, 1);
	cr_assert_eq(done->results[0].code, GRPC_OK, "%s", done->results[0].message);
	cr_assert_eq(done->results[0].outputs[0].span.arena, REGION);
	cr_assert_eq(memcmp((char *)data + 4096, data, 64), 0);
	unmap(&d);
	run_bytes(&d, 2, in);
	done = expect_done(&d, 2);
	cr_assert_eq(done->results[0].code, GRPC_INTERNAL);
	cr_assert(strstr(done->results[0].message, "not mapped"));
	map(&d, fd, 8192);
	run_bytes(&d, 3, in);
	cr_assert_eq(expect_done(&d, 3)->results[0].code, GRPC_OK);
	drain(&d);
	close(fd);
}

Test(loop, a_region_that_cannot_be_mapped_harms_only_its_runs)
{
	struct span in = {.arena = REGION, .offset = 0, .length = 64};
	struct fake_daemon d;
	void *data;
	int fd = fake_region(8192, &data);

	serve(&d, "identity");
	map(&d, fd, 4096); /* another size than it has */
	run_bytes(&d, 1, in);
	cr_assert_eq(expect_done(&d, 1)->results[0].code, GRPC_INTERNAL);
	unmap(&d);
	drain(&d);
	close(fd);
}

/* --- What ends it ------------------------------------------------------------------------- */

static void expect_exit(struct fake_daemon *d, enum worker_exit status)
{
	fake_daemon_expect_end(d);
	cr_assert_eq(fake_daemon_end(d), (int)status);
}

/* A message of that type that is well-formed. */
static struct wire_message any_message(enum wire_type type)
{
	static const struct wire_item item;
	static const struct wire_result result;
	struct wire_message m = {.type = type};

	if (type == WIRE_SETUP)
		m.setup = fake_daemon_setup();
	if (type == WIRE_UNMAP || type == WIRE_UNMAPPED)
		m.unmap.id = REGION;
	if (type == WIRE_HELLO)
		m.hello = (struct wire_hello){.protocol = WIRE_PROTOCOL, .slots = 1};
	if (type == WIRE_RUN)
		m.run = (struct wire_run){.items = &item, .n_items = 1};
	if (type == WIRE_DONE)
		m.done = (struct wire_done){.results = &result, .n_results = 1};
	return m;
}

static void send_and_expect_exit(struct fake_daemon *d, enum wire_type type)
{
	const struct wire_message m = any_message(type);

	fake_daemon_send(d, &m);
	expect_exit(d, WORKER_EXIT_INTERNAL);
}

Test(loop, messages_out_of_turn)
{
	static const enum wire_type early[] = {WIRE_LOAD, WIRE_RUN, WIRE_PING, WIRE_DRAIN,
		WIRE_RELEASE, WIRE_CANCEL, WIRE_UNLOAD, WIRE_UNMAP, WIRE_READY, WIRE_PONG};
	static const enum wire_type ready[] = {WIRE_SETUP, WIRE_READY, WIRE_HELLO, WIRE_UNMAPPED,
		WIRE_UNLOADED, WIRE_BYE, WIRE_DONE};
	struct fake_daemon d;

	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
		fake_daemon_start(&d);
		send_and_expect_exit(&d, early[i]);
	}
	for (size_t i = 0; i < sizeof(ready) / sizeof(ready[0]); i++) {
		serve(&d, "identity");
		send_and_expect_exit(&d, ready[i]);
	}
}

Test(loop, garbage)
{
	struct fake_daemon d;

	fake_daemon_start(&d);
	fake_daemon_send_bytes(&d, "\xff\xff\xff\xff", 4);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
	serve(&d, "identity");
	fake_daemon_send_bytes(&d, "not a message", 13);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
}

Test(loop, bad_setups)
{
	struct wire_setup setups[5];
	struct fake_daemon d;

	for (size_t i = 0; i < 5; i++)
		setups[i] = fake_daemon_setup();
	setups[0].protocol = WIRE_PROTOCOL + 1;
	setups[1].device = "tpu:0";
	setups[2].device = "cpu";
	setups[3].slots = 0;
	setups[4].holds = 0;
	for (size_t i = 0; i < 5; i++) {
		const struct wire_message m = {.type = WIRE_SETUP, .setup = setups[i]};

		fake_daemon_start(&d);
		fake_daemon_send(&d, &m);
		expect_exit(&d, i < 3 ? WORKER_EXIT_CONFIG : WORKER_EXIT_INTERNAL);
	}
}

Test(loop, numbers_that_are_not_free_or_not_there)
{
	const struct wire_message unload = {.type = WIRE_UNLOAD, .unload = {1}};
	struct wire_message load = {
		.type = WIRE_LOAD,
		.load = {.model = 0,
			.name = "identity",
			.version = "1",
			.path = "/",
			.backend = "builtin"},
	};
	const struct wire_item none = {0};
	struct fake_daemon d;

	serve(&d, "identity");
	fake_daemon_send(&d, &load);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
	/* Numbers only grow, but however large they are, they take no room. */
	serve(&d, "identity");
	load.load.model = UINT32_MAX;
	fake_daemon_send(&d, &load);
	cr_assert(fake_daemon_receive(&d, WIRE_LOADED)->loaded.ok);
	fake_daemon_send(&d, &unload);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
	serve(&d, "identity");
	run_items(&d, 1, 1, &none, 1);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
}

Test(loop, holds_that_are_not_there)
{
	struct fake_daemon d;
	struct span s;
	uint64_t hold;

	serve(&d, "identity");
	s = fake_daemon_put(&d, "x", 1);
	run_bytes(&d, 1, s);
	hold = expect_done(&d, 1)->results[0].hold;
	release(&d, hold);
	release(&d, hold);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
	serve(&d, "identity");
	release(&d, 0);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
}

Test(loop, batch_number_in_use)
{
	struct fake_daemon d;
	struct span s;

	serve(&d, "identity");
	s = fake_daemon_put(&d, "x", 1);
	run_bytes(&d, 5, s);
	expect_done(&d, 5);
	run_bytes(&d, 5, s);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
}

Test(loop, descriptors_where_none_belong)
{
	const struct wire_message pinging = {.type = WIRE_PING};
	const struct wire_message mapping = {.type = WIRE_MAP, .map = {.id = REGION, .size = 4096}};
	struct fake_daemon d;
	int two[] = {0, 0};
	void *data;
	int fd = fake_region(4096, &data);

	serve(&d, "identity");
	fake_daemon_send_fds(&d, &pinging, &fd, 1);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
	serve(&d, "identity");
	fake_daemon_send(&d, &mapping);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
	serve(&d, "identity");
	fake_daemon_send_fds(&d, &mapping, two, 2);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
	serve(&d, "identity");
	map(&d, fd, 4096);
	map(&d, fd, 4096);
	expect_exit(&d, WORKER_EXIT_INTERNAL);
	close(fd);
}

/* --- Answers in part ---------------------------------------------------------------------- */

static void run_i32(struct fake_daemon *d, uint64_t batch, const int32_t *values, uint64_t n,
	const uint32_t *wanted, size_t n_wanted)
{
	int64_t dims[] = {(int64_t)n};
	const struct wire_tensor input = {
		0, DTYPE_I32, 1, dims, fake_daemon_put(d, values, n * sizeof(*values))};
	const struct wire_item item = {
		.inputs = &input, .n_inputs = 1, .outputs = wanted, .n_outputs = n_wanted};

	run_items(d, batch, 0, &item, 1);
}

Test(loop, a_decoupled_model_answers_in_part)
{
	const int32_t values[] = {7, -8, 9};
	const struct wire_partial *p;
	const struct wire_done *done;
	struct fake_daemon d;
	uint64_t holds[4] = {0};

	serve(&d, "repeat");
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
	done = expect_done(&d, 1);
	cr_assert_eq(done->results[0].code, GRPC_OK);
	cr_assert_eq(done->results[0].n_outputs, 0);
	cr_assert_eq(done->results[0].hold, 0);
	for (int i = 3; i > 0; i--)
		release(&d, holds[i]);
	drain(&d);
}

Test(loop, a_decoupled_model_gives_what_is_wanted_or_nothing_at_all)
{
	const uint32_t wanted[] = {1};
	const int32_t value = 3;
	const struct wire_partial *p;
	struct fake_daemon d;

	serve(&d, "repeat");
	run_i32(&d, 1, &value, 1, wanted, 1);
	p = &fake_daemon_receive(&d, WIRE_PARTIAL)->partial;
	cr_assert_eq(p->n_outputs, 1);
	cr_assert_eq(p->outputs[0].index, 1);
	cr_assert_eq(expect_done(&d, 1)->results[0].n_outputs, 0);
	run_i32(&d, 2, &value, 0, NULL, 0);
	cr_assert_eq(expect_done(&d, 2)->results[0].code, GRPC_OK);
	drain(&d);
}

/* --- Nobody waits any more ---------------------------------------------------------------- */

static void cancel(struct fake_daemon *d, uint64_t batch, uint32_t model, uint32_t lane)
{
	const struct wire_message m = {.type = WIRE_CANCEL, .cancel = {batch, model, lane}};

	fake_daemon_send(d, &m);
}

static void expect_cancelled(struct fake_daemon *d, uint64_t batch)
{
	cr_assert_eq(expect_done(d, batch)->results[0].code, GRPC_CANCELLED);
}

Test(loop, what_nobody_waits_for_ends_early)
{
	struct fake_daemon d;
	struct span s;

	serve(&d, "until_cancelled");
	s = fake_daemon_put(&d, "x", 1);
	cancel(&d, UINT64_MAX, 0, 0);
	run_bytes(&d, 1, s);
	cancel(&d, 1, 0, 0);
	expect_cancelled(&d, 1);
	/* Also what waits for its lane. */
	run_bytes(&d, 2, s);
	run_bytes(&d, 3, s);
	cancel(&d, 3, 0, 0);
	cancel(&d, 2, 0, 0);
	expect_cancelled(&d, 2);
	expect_cancelled(&d, 3);
	drain(&d);
}

Test(loop, giving_up_what_is_not_there_is_no_harm)
{
	struct fake_daemon d;

	serve(&d, "identity");
	cancel(&d, 1, 0, 0);
	run_bytes(&d, 2, fake_daemon_put(&d, "x", 1));
	cr_assert_eq(expect_done(&d, 2)->results[0].code, GRPC_OK);
	cancel(&d, 2, 0, 0);
	cancel(&d, UINT64_MAX, 0, 0);
	cancel(&d, 3, 0, 1);
	cancel(&d, 3, 1, 0);
	cancel(&d, 3, UINT32_MAX, UINT32_MAX);
	ping(&d, 5);
	expect_pong(&d, 5);
	run_bytes(&d, 3, fake_daemon_put(&d, "x", 1));
	cr_assert_eq(expect_done(&d, 3)->results[0].code, GRPC_OK);
	drain(&d);
}

Test(loop, a_decoupled_model_ends_early)
{
	static const int32_t values[] = {7, 8};
	static const struct wire_pair hour = {"delay_ms", "3600000"};
	struct fake_daemon d;
	int64_t dims[] = {2};
	struct wire_tensor input = {0, DTYPE_I32, 1, dims, {0}};
	const struct wire_item item = {
		.inputs = &input, .n_inputs = 1, .parameters = &hour, .n_parameters = 1};

	serve(&d, "repeat");
	input.span = fake_daemon_put(&d, values, sizeof(values));
	run_items(&d, 1, 0, &item, 1);
	fake_daemon_receive(&d, WIRE_PARTIAL);
	cancel(&d, 1, 0, 0);
	expect_cancelled(&d, 1);
	drain(&d);
}

/* --- Side by side ------------------------------------------------------------------------- */

/* Run model `model` on one u16. */
static void run_u16(struct fake_daemon *d, uint64_t batch, uint32_t model, uint16_t value)
{
	static const int64_t dims[] = {1};
	const struct wire_tensor input = {
		0, DTYPE_U16, 1, dims, fake_daemon_put(d, &value, sizeof(value))};
	const struct wire_item item = {.inputs = &input, .n_inputs = 1};

	run_items(d, batch, model, &item, 1);
}

/* `sleep` is model 0, `identity` is model 1. */
static void serve_two(struct fake_daemon *d)
{
	start(d);
	fake_daemon_load(d, 0, "sleep");
	fake_daemon_load(d, 1, "identity");
}

Test(loop, messages_and_other_models_do_not_wait_for_a_long_run)
{
	struct fake_daemon d;

	serve_two(&d);
	fake_sleep_hold(true);
	run_u16(&d, 1, 0, 1);
	ping(&d, 1);
	expect_pong(&d, 1);
	run_u16(&d, 2, 1, 7);
	expect_done(&d, 2);
	run_u16(&d, 3, 0, 0);
	run_u16(&d, 4, 1, 7);
	expect_done(&d, 4);
	fake_sleep_hold(false);
	expect_done(&d, 1);
	expect_done(&d, 3);
	drain(&d);
}

/* It was quick so far, so the thread that reads the channel runs it. */
Test(loop, nor_for_one_that_turns_out_long)
{
	struct fake_daemon d;
	uint64_t batch = 1;

	serve_two(&d);
	for (int i = 0; i < 20; i++) {
		run_u16(&d, batch, 0, 0);
		expect_done(&d, batch++);
		run_u16(&d, batch, 1, 0);
		expect_done(&d, batch++);
	}
	fake_sleep_hold(true);
	run_u16(&d, batch, 0, 1);
	ping(&d, 1);
	expect_pong(&d, 1);
	run_u16(&d, batch + 1, 1, 7);
	expect_done(&d, batch + 1);
	/* What comes for its lane meanwhile is run after it. */
	run_u16(&d, batch + 2, 0, 0);
	fake_sleep_hold(false);
	expect_done(&d, batch);
	expect_done(&d, batch + 2);
	drain(&d);
}

Test(loop, nor_for_a_load)
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
	ping(&d, 1);
	expect_pong(&d, 1);
	run_u16(&d, 1, 1, 7);
	expect_done(&d, 1);
	fake_sleep_hold(false);
	cr_assert(fake_daemon_receive(&d, WIRE_LOADED)->loaded.ok);
	run_u16(&d, 2, 9, 7);
	expect_done(&d, 2);
	drain(&d);
}

Test(loop, drain_waits_for_what_runs)
{
	const struct wire_message m = {.type = WIRE_DRAIN};
	struct fake_daemon d;

	serve_two(&d);
	run_u16(&d, 1, 0, 50);
	run_u16(&d, 2, 0, 50);
	fake_daemon_send(&d, &m);
	expect_done(&d, 1);
	expect_done(&d, 2);
	fake_daemon_receive(&d, WIRE_BYE);
	fake_daemon_expect_end(&d);
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
}

Test(loop, a_backend_that_cannot_go_on_ends_the_worker)
{
	struct fake_daemon d;

	serve(&d, "fatal");
	run_bytes(&d, 1, fake_daemon_put(&d, "\0", 1));
	expect_done(&d, 1);
	run_bytes(&d, 2, fake_daemon_put(&d, "\1", 1));
	expect_exit(&d, WORKER_EXIT_DEVICE_LOST);
}

Test(loop, an_answer_that_comes_later)
{
	struct fake_daemon d;

	serve(&d, "later");
	run_bytes(&d, 1, fake_daemon_put(&d, "\1", 1));
	cr_assert_eq(expect_done(&d, 1)->results[0].code, 0);
	drain(&d);
}

/* --- Faults ------------------------------------------------------------------------------- */

/* The daemon's part is played by calls that do not count, so that only what the worker does can fail:
 * its words are packed beforehand; the second half is said when the worker is ready. */
struct script {
	struct fake_daemon d; /* thread not used */
	int fds[2];
	uint8_t words[3][4096];
	size_t n_words[3];
};

/* With the input segment. */
static void say_map(struct script *s, int part)
{
	int fd = segment_fd(s->d.input);
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = {{0}};
	struct iovec words = {s->words[part], s->n_words[part]};
	struct msghdr m = {.msg_iov = &words,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (syscall(SYS_sendmsg, s->fds[0], &m, MSG_NOSIGNAL) < 0)
		cr_assert(errno == EPIPE || errno == ECONNRESET);
}

static void say(struct script *s, int part)
{
	/* The worker may be gone. */
	if (syscall(SYS_write, s->fds[0], s->words[part], s->n_words[part]) < 0)
		cr_assert(errno == EPIPE || errno == ECONNRESET);
}

static bool says_loaded(struct script *s, size_t n)
{
	const struct wire_message *m;
	bool loaded = false;

	for (size_t at = 0, used; at < n; at += used) {
		cr_assert_eq(wire_unpack(s->d.in, s->d.record + at, n - at, &used, &m), 0);
		loaded |= m->type == WIRE_LOADED;
	}
	return loaded;
}

static void *play_daemon(void *arg)
{
	struct script *s = arg;
	long n;

	say(s, 0);
	say_map(s, 2);
	while ((n = syscall(SYS_read, s->fds[0], s->d.record, WIRE_MESSAGE_MAX)) > 0) {
		if (says_loaded(s, (size_t)n))
			say(s, 1);
	}
	return NULL;
}

static int play(struct script *s)
{
	struct loop *l;
	pthread_t thread;
	int r;

	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pthread_create(&thread, NULL, play_daemon, s), 0);
	r = loop_new(&l, s->fds[1], NULL, NULL);
	if (!r) {
		r = loop_run(l);
		loop_free(l);
	}
	pthread_join(thread, NULL);
	close_fd(&s->fds[0]);
	return r;
}

static void write_words(struct script *s, int part, const struct wire_message *m, size_t n)
{
	s->n_words[part] = 0;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *data;
		size_t n_data;

		cr_assert_eq(wire_pack(s->d.out, &m[i], &data, &n_data), 0);
		cr_assert_leq(s->n_words[part] + n_data, sizeof(s->words[part]));
		memcpy(s->words[part] + s->n_words[part], data, n_data);
		s->n_words[part] += n_data;
	}
}

static void write_script(struct script *s)
{
	int64_t dims[] = {64};
	const struct wire_tensor input = {
		0, DTYPE_U8, 1, dims, {.arena = FAKE_INPUT_ARENA, .length = 64}};
	const struct wire_item item = {.inputs = &input, .n_inputs = 1};
	const struct wire_message first[] = {
		{.type = WIRE_SETUP, .setup = fake_daemon_setup()},
		{.type = WIRE_LOAD,
			.load = {.name = "identity",
				.version = "1",
				.path = "/",
				.backend = "builtin"}},
	};
	const struct wire_message map = {
		.type = WIRE_MAP, .map = {.id = FAKE_INPUT_ARENA, .size = FAKE_ARENA_BYTES}};
	const struct wire_message second[] = {
		{.type = WIRE_RUN, .run = {1, 0, &item, 1, 0}},
		{.type = WIRE_DRAIN},
	};

	cr_assert_eq(seqpacket_pair(s->fds), 0);
	cr_assert_eq(seqpacket_set_send_buffer(s->fds[0], WIRE_MESSAGE_MAX), 0);
	write_words(s, 0, first, 2);
	write_words(s, 1, second, 2);
	write_words(s, 2, &map, 1);
}

Test(loop, faults)
{
	struct segment_options options = {.name = "input", .size = FAKE_ARENA_BYTES};
	struct script s = {0};
	unsigned long count = 1;

	log_init(NULL, LOG_LEVEL_ERROR);
	cr_assert_eq(segment_new(&s.d.input, &options), 0);
	segment_set_id(s.d.input, FAKE_INPUT_ARENA);
	cr_assert_eq(wire_scratch_new(&s.d.in), 0);
	cr_assert_eq(wire_scratch_new(&s.d.out), 0);
	s.d.record = malloc(WIRE_MESSAGE_MAX);
	for (unsigned long i = 0; i <= count; i++) {
		unsigned fds = failalloc_open_fds();
		int r;

		write_script(&s);
		failalloc_arm(FAIL_ALL, FAIL_TRANSIENT, i);
		r = play(&s);
		failalloc_disarm();
		if (i == 0) {
			cr_assert_eq(r, WORKER_EXIT_OK);
			count = failalloc_count();
			cr_assert_gt(count, 10);
		}
		/* A load or a run that fails for want of memory is an answer, not an end. */
		cr_assert(
			r == WORKER_EXIT_OK || r == WORKER_EXIT_INTERNAL || r == -ENOMEM, "%d", r);
		cr_assert_eq(failalloc_open_fds(), fds);
	}
	segment_free(s.d.input);
	wire_scratch_free(s.d.in);
	wire_scratch_free(s.d.out);
	free(s.d.record);
}
