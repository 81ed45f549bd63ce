/* loop_import_test.c: memory of the device that other processes have made: taken, named, given back. */
#include "workers/loop.h"

#include <criterion/criterion.h>
#include <string.h>

#include "fake_daemon_says.h"
#include "fake_lender.h"
#include "proto/grpc_status.h"
#include "tests/support/fakecuda/fakecuda.h"

#define THEIRS (WIRE_REGION_BIT | 5u)
#define BYTES  4096u

static void serve(struct fake_daemon *d, const char *device)
{
	struct wire_setup setup = fake_daemon_setup();

	setup.device = device;
	fake_daemon_start(d);
	fake_daemon_greet(d, &setup);
	fake_daemon_load(d, 1, "identity");
}

static void send_import(struct fake_daemon *d, const struct lender *l, uint64_t size)
{
	uint64_t handle[WIRE_HANDLE_WORDS];
	const struct wire_message m = {
		.type = WIRE_IMPORT, .import = {THEIRS, size, handle, WIRE_HANDLE_WORDS}};

	memcpy(handle, l->handle, sizeof(handle));
	fake_daemon_send(d, &m);
}

static const char *import(struct fake_daemon *d, const struct lender *l, uint64_t size)
{
	const struct wire_imported *imported;

	send_import(d, l, size);
	imported = &fake_daemon_receive(d, WIRE_IMPORTED)->imported;
	cr_assert_eq(imported->id, THEIRS);
	return imported->error;
}

static void unmap(struct fake_daemon *d)
{
	const struct wire_message m = {.type = WIRE_UNMAP, .unmap = {THEIRS}};

	fake_daemon_send(d, &m);
	cr_assert_eq(fake_daemon_receive(d, WIRE_UNMAPPED)->unmap.id, THEIRS);
}

static const struct wire_done *run(struct fake_daemon *d, uint64_t batch)
{
	static const int64_t dims[] = {1, 16};
	const struct wire_tensor input = {0, DTYPE_U8, 2, dims, {.arena = THEIRS, .length = 16}};
	const struct wire_target target = {0, {.arena = THEIRS, .offset = 100, .length = 16}};
	const struct wire_item item = {
		.inputs = &input, .n_inputs = 1, .targets = &target, .n_targets = 1};

	fake_daemon_send(
		d, &(struct wire_message){.type = WIRE_RUN,
			   .run = {.batch = batch, .model = 1, .items = &item, .n_items = 1}});
	return &fake_daemon_receive(d, WIRE_DONE)->done;
}

Test(loop_import, taken_named_and_given_back)
{
	struct fake_daemon d;
	struct lender l;

	lender_init(&l, BYTES, 3, "");
	serve(&d, "cuda:0");
	cr_assert_str_eq(import(&d, &l, BYTES), "");
	l.data[0] = 9;
	cr_assert_eq(run(&d, 1)->results[0].code, 0);
	cr_assert(l.data[99] == 3 && l.data[100] == 9 && l.data[101] == 3);
	unmap(&d);
	cr_assert_eq(fakecuda_calls("cudaIpcCloseMemHandle"), 1);
	cr_assert_eq(run(&d, 2)->results[0].code, GRPC_INTERNAL);
	cr_assert_str_eq(import(&d, &l, BYTES), "");
	cr_assert_eq(fake_daemon_end(&d), 0);
	lender_deinit(&l);
}

Test(loop_import, what_cannot_be_had_is_said_and_known)
{
	struct fake_daemon d;
	struct lender l;

	lender_init(&l, BYTES, 3, "");
	serve(&d, "cuda:0");
	cr_assert_str_eq(import(&d, &l, BYTES + 1), "it is smaller than that");
	cr_assert_eq(run(&d, 1)->results[0].code, GRPC_INVALID_ARGUMENT);
	unmap(&d);
	l.handle[0] ^= 1;
	cr_assert(strstr(import(&d, &l, BYTES), "cudaErrorInvalidResourceHandle"));
	unmap(&d);
	cr_assert_eq(fake_daemon_end(&d), 0);
	lender_deinit(&l);
}

Test(loop_import, a_host_has_none)
{
	struct fake_daemon d;
	struct lender l;

	lender_init(&l, BYTES, 3, "");
	serve(&d, "cpu:0");
	cr_assert_str_eq(import(&d, &l, BYTES), "this device cannot");
	cr_assert_eq(fake_daemon_end(&d), 0);
	lender_deinit(&l);
}

Test(loop_import, the_same_id_twice_is_the_end)
{
	struct fake_daemon d;
	struct lender l;

	lender_init(&l, BYTES, 3, "");
	serve(&d, "cuda:0");
	cr_assert_str_eq(import(&d, &l, BYTES), "");
	send_import(&d, &l, 1);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
	lender_deinit(&l);
}

Test(loop_import, a_lost_context_ends_the_process)
{
	struct fake_daemon d;
	struct lender l;

	lender_init(&l, BYTES, 3, "fail=cudaIpcOpenMemHandle:1:700");
	serve(&d, "cuda:0");
	send_import(&d, &l, 1);
	daemon_expect_exit(&d, WORKER_EXIT_DEVICE_LOST);
	lender_deinit(&l);
}
