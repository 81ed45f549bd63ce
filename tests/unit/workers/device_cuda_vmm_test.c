/* device_cuda_vmm_test.c: memory of other processes by a descriptor, with a stand-in. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/support/fakecuda/fakecuda.h"
#include "workers/device_cuda.h"

#define PIECE (2u << 20)
#define BYTES (2 * PIECE)

struct bed {
	unsigned char *theirs; /* where the other process sees it */
	int fd;
	struct device *d;
	struct device_stream *s;
	struct device_event *e;
};

static struct bed bed_new(const char *settings)
{
	char text[DEVICE_TEXT_MAX];
	struct bed b;
	void *data;

	fakecuda_reset(settings);
	b.fd = fakecuda_foreign_fd(BYTES, 0, &data);
	b.theirs = data;
	memset(b.theirs, 7, BYTES);
	cr_assert_eq(device_cuda_open(&b.d, text), 0, "%s", text);
	cr_assert_eq(device_stream_new(b.d, &b.s), 0);
	cr_assert_eq(device_event_new(b.d, &b.e), 0);
	return b;
}

static void bed_free(struct bed *b)
{
	cr_assert_eq(fakecuda_n_vmm(), 0, "nothing is left of any");
	device_event_free(b->e);
	device_stream_free(b->s);
	device_free(b->d);
	munmap(b->theirs, BYTES);
	close_fd(&b->fd);
}

static int finish(struct bed *b)
{
	int r = device_event_record(b->e, b->s);

	return r ? r : device_event_wait(b->e, CLOCK_NO_DEADLINE);
}

/* The byte at `at` of it, by the device. */
static int read_byte(struct bed *b, const struct device_import *there, size_t at)
{
	unsigned char host = 0;

	cr_assert_eq(device_copy_out(b->s, &host, (char *)there->data + at, 1), 0);
	cr_assert_eq(finish(b), 0);
	return host;
}

Test(device_cuda_vmm, what_another_process_has_is_read_and_written)
{
	struct bed b = bed_new("");
	struct device_import there;
	unsigned char nine = 9;

	cr_assert_eq(device_import_fd(b.d, b.fd, BYTES, true, &there), 0);
	cr_assert_eq(read_byte(&b, &there, BYTES - 1), 7);
	cr_assert_eq(device_copy_in(b.s, (char *)there.target + 5, &nine, 1), 0);
	cr_assert_eq(finish(&b), 0);
	cr_assert(b.theirs[4] == 7 && b.theirs[5] == 9 && b.theirs[6] == 7);
	cr_assert_eq(read_byte(&b, &there, 5), 9, "both are the same memory");
	cr_assert_eq(device_give_back(b.d, &there), 0);
	cr_assert_neq(device_copy_out(b.s, &nine, there.data, 1), 0, "it is there no more");
	bed_free(&b);
}

Test(device_cuda_vmm, inputs_cannot_be_written)
{
	struct bed b = bed_new("");
	struct device_import there;
	unsigned char nine = 9;

	cr_assert_eq(device_import_fd(b.d, b.fd, BYTES, false, &there), 0);
	cr_assert_null(there.target);
	cr_assert_neq(device_copy_in(b.s, there.data, &nine, 1), 0);
	cr_assert_eq(b.theirs[0], 7);
	cr_assert_eq(device_give_back(b.d, &there), 0);
	bed_free(&b);
}

/* Where the driver cannot map it for reading only, it is mapped for both. */
Test(device_cuda_vmm, a_driver_that_does_not_enforce_it)
{
	struct bed b = bed_new("readonly=0");
	struct device_import there;

	cr_assert_eq(device_import_fd(b.d, b.fd, BYTES, false, &there), 0);
	cr_assert_eq(read_byte(&b, &there, 0), 7);
	cr_assert_null(there.target);
	cr_assert_eq(device_give_back(b.d, &there), 0);
	bed_free(&b);
}

Test(device_cuda_vmm, whole_pieces_are_mapped_and_no_more_than_there_is)
{
	struct bed b = bed_new("");
	struct device_import there;

	cr_assert_eq(device_import_fd(b.d, b.fd, PIECE + 1, true, &there), 0);
	cr_assert_eq(there.mapped_bytes, BYTES);
	cr_assert_eq(device_give_back(b.d, &there), 0);
	cr_assert_eq(device_import_fd(b.d, b.fd, 1, true, &there), 0);
	cr_assert_eq(there.mapped_bytes, PIECE);
	cr_assert_eq(device_give_back(b.d, &there), 0);
	cr_assert_eq(device_import_fd(b.d, b.fd, BYTES + 1, true, &there), -ERANGE);
	cr_assert_eq(device_import_fd(b.d, b.fd, UINT64_MAX, true, &there), -ERANGE);
	cr_assert_eq(device_import_fd(b.d, b.fd, UINT64_C(1) << 62, true, &there),
		device_result(DEVICE_E_MEMORY, 2));
	bed_free(&b);
}

Test(device_cuda_vmm, its_maker_may_go)
{
	struct bed b = bed_new("");
	struct device_import there;

	cr_assert_eq(device_import_fd(b.d, b.fd, BYTES, true, &there), 0);
	close_fd(&b.fd);
	cr_assert_eq(read_byte(&b, &there, 0), 7);
	cr_assert_eq(device_give_back(b.d, &there), 0);
	bed_free(&b);
}

Test(device_cuda_vmm, what_is_no_memory_of_a_device_is_the_calls_error)
{
	struct bed b = bed_new("");
	struct device_import there;
	int pipes[2];
	int memory = memfd_create("nothing", 0), null = open("/dev/null", O_RDWR);

	cr_assert_eq(pipe(pipes), 0);
	cr_assert_eq(ftruncate(memory, BYTES), 0);
	for (int i = 0; i < 5; i++) {
		int fd = (int[]){pipes[0], pipes[1], memory, null, 999}[i];

		cr_assert_eq(
			device_class(device_import_fd(b.d, fd, 1, true, &there)), DEVICE_E_REQUEST);
	}
	close(pipes[0]);
	close(pipes[1]);
	close(memory);
	close(null);
	bed_free(&b);
}

Test(device_cuda_vmm, another_devices_memory)
{
	struct bed b = bed_new("devices=2");
	struct device_import there;
	void *data;
	int fd;

	/* As a worker is started: it sees one. */
	setenv("CUDA_VISIBLE_DEVICES", "0", 1);
	fd = fakecuda_foreign_fd(PIECE, 1, &data);
	cr_assert_eq(device_import_fd(b.d, fd, PIECE, true, &there), -EXDEV);
	unsetenv("CUDA_VISIBLE_DEVICES");
	munmap(data, PIECE);
	close(fd);
	bed_free(&b);
}

/* Wherever it fails, nothing is left, and the process goes on. */
Test(device_cuda_vmm, each_call_may_fail)
{
	static const char *const calls[] = {"cuMemImportFromShareableHandle:1",
		"cuMemGetAllocationPropertiesFromHandle:1", "cuMemGetAllocationGranularity:1",
		"cuMemAddressReserve:1", "cuMemAddressReserve:2", "cuMemMap:1", "cuMemMap:2",
		"cuMemSetAccess:1", "cuMemSetAccess:2"};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		char settings[128];
		struct device_import there;
		struct bed b;

		snprintf(settings, sizeof(settings), "fail=%s:2", calls[i]);
		b = bed_new(settings);
		cr_assert_eq(device_class(device_import_fd(b.d, b.fd, BYTES, true, &there)),
			DEVICE_E_MEMORY, "%s", calls[i]);
		cr_assert_eq(device_import_fd(b.d, b.fd, BYTES, true, &there), 0);
		cr_assert_eq(device_give_back(b.d, &there), 0);
		bed_free(&b);
	}
}

/* The driver keeps it: what was mapped is not, and nobody unmaps it once more. */
Test(device_cuda_vmm, a_handle_that_cannot_be_released)
{
	struct bed b = bed_new("fail=cuMemRelease:1:2");
	struct device_import there = {0};

	cr_assert_eq(
		device_class(device_import_fd(b.d, b.fd, BYTES, true, &there)), DEVICE_E_MEMORY);
	cr_expect_null(there.data);
	cr_expect_null(there.target);
	device_event_free(b.e);
	device_stream_free(b.s);
	device_free(b.d);
	munmap(b.theirs, BYTES);
	close(b.fd);
}

Test(device_cuda_vmm, a_descriptor_does_not_end_the_process)
{
	struct bed b = bed_new("fail=cuMemImportFromShareableHandle:1:46");
	struct device_import there;

	cr_assert_eq(
		device_class(device_import_fd(b.d, b.fd, BYTES, true, &there)), DEVICE_E_REQUEST);
	bed_free(&b);
}

Test(device_cuda_vmm, a_lost_context_is_lost)
{
	struct bed b = bed_new("fail=cuMemMap:1:700");
	struct device_import there;

	cr_assert_eq(device_class(device_import_fd(b.d, b.fd, BYTES, true, &there)), DEVICE_E_LOST);
	device_event_free(b.e);
	device_stream_free(b.s);
	device_free(b.d);
	close(b.fd);
}
