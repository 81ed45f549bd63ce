/* loop_import_test.c: memory of the device that other processes have made: taken, named, given back. */
#include "workers/loop.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	const struct wire_message m = {.type = WIRE_IMPORT,
		.import = {.id = THEIRS,
			.size = size,
			.handle = handle,
			.n_handle = WIRE_HANDLE_WORDS}};

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

/* --- By a descriptor ------------------------------------------------------------------------------ */

#define PIECE (2u << 20)

static const char *import_fd(struct fake_daemon *d, int fd, uint64_t size, bool writable)
{
	const struct wire_message m = {
		.type = WIRE_IMPORT, .import = {.id = THEIRS, .size = size, .writable = writable}};
	const struct wire_imported *imported;

	fake_daemon_send_fds(d, &m, &fd, 1);
	imported = &fake_daemon_receive(d, WIRE_IMPORTED)->imported;
	cr_assert_eq(imported->id, THEIRS);
	return imported->error;
}

Test(loop_import, by_a_descriptor)
{
	struct fake_daemon d;
	char *theirs;
	void *data;
	int fd;

	fakecuda_reset("");
	fd = fakecuda_foreign_fd(PIECE, 0, &data);
	theirs = data;
	serve(&d, "cuda:0");
	cr_assert_str_eq(import_fd(&d, fd, PIECE, true), "");
	theirs[0] = 9;
	cr_assert_eq(run(&d, 1)->results[0].code, 0);
	cr_assert(theirs[99] == 0 && theirs[100] == 9);
	unmap(&d);
	cr_assert_str_eq(import_fd(&d, fd, PIECE, false), "");
	theirs[100] = 0;
	cr_assert_eq(run(&d, 2)->results[0].code, GRPC_INTERNAL, "nothing may be written there");
	cr_assert_eq(theirs[100], 0);
	unmap(&d);
	cr_assert_str_eq(import_fd(&d, fd, PIECE + 1, true), "it is smaller than that");
	unmap(&d);
	cr_assert(strstr(import_fd(&d, STDIN_FILENO, PIECE, true), "cudaErrorInvalidValue"));
	unmap(&d);
	cr_assert_eq(fakecuda_n_vmm(), 0);
	cr_assert_eq(fake_daemon_end(&d), 0);
	close(fd);
}

Test(loop_import, another_devices_memory)
{
	struct fake_daemon d;
	void *data;
	int fd;

	fakecuda_reset("devices=2");
	setenv("CUDA_VISIBLE_DEVICES", "0", 1);
	fd = fakecuda_foreign_fd(PIECE, 1, &data);
	serve(&d, "cuda:0");
	cr_assert_str_eq(import_fd(&d, fd, PIECE, true), "it is another device's");
	cr_assert_eq(fake_daemon_end(&d), 0);
	close(fd);
}

Test(loop_import, what_could_not_be_had_may_come_again)
{
	struct fake_daemon d;
	const struct wire_done *done;
	char *theirs;
	void *data;
	int fd;

	fakecuda_reset("");
	fd = fakecuda_foreign_fd(PIECE, 0, &data);
	theirs = data;
	serve(&d, "cuda:0");
	cr_assert_str_eq(import_fd(&d, fd, PIECE + 1, true), "it is smaller than that");
	done = run(&d, 1);
	cr_expect_eq(done->results[0].code, GRPC_INVALID_ARGUMENT);
	cr_expect(strstr(done->results[0].message, "cannot be had: it is smaller than that"), "%s",
		done->results[0].message);
	cr_assert_str_eq(import_fd(&d, fd, PIECE, true), "");
	theirs[0] = 9;
	cr_assert_eq(run(&d, 2)->results[0].code, 0);
	cr_assert_eq(theirs[100], 9);
	unmap(&d);
	cr_assert_eq(fakecuda_n_vmm(), 0);
	cr_assert_eq(fake_daemon_end(&d), 0);
	close(fd);
}

Test(loop_import, without_its_descriptor_it_is_the_end)
{
	const struct wire_message m = {.type = WIRE_IMPORT, .import = {.id = THEIRS, .size = 1}};
	struct fake_daemon d;

	fakecuda_reset("");
	serve(&d, "cuda:0");
	fake_daemon_send(&d, &m);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
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
