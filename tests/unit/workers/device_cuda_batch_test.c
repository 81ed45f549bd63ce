/* device_cuda_batch_test.c: several copies are one call; a driver that has none for that is asked once. */
#include "workers/device.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/fakecuda/fakecuda.h"

#define COPIES 150u /* more than one call takes */
#define BYTES  1000u

struct bed {
	struct device *d;
	struct device_stream *s;
	struct device_event *e;
	unsigned char *host, *back;
	char *there;
	struct device_copy copies[COPIES];
};

static struct bed bed;

static void open_bed(const char *settings)
{
	char text[DEVICE_TEXT_MAX];
	void *data;

	fakecuda_reset(settings);
	cr_assert_eq(device_open(&bed.d, "cuda:0", text), 0, "%s", text);
	cr_assert_eq(device_stream_new(bed.d, &bed.s), 0);
	cr_assert_eq(device_event_new(bed.d, &bed.e), 0);
	cr_assert_eq(device_host_alloc(bed.d, 2 * COPIES * BYTES, &data), 0);
	bed.host = data;
	bed.back = bed.host + COPIES * BYTES;
	cr_assert_eq(device_alloc(bed.s, COPIES * BYTES, &data), 0);
	bed.there = data;
	for (size_t i = 0; i < COPIES * BYTES; i++)
		bed.host[i] = (unsigned char)(i * 2654435761u >> 7);
	/* Those that lie in a row on the device are scattered on the host. */
	for (unsigned i = 0; i < COPIES; i++)
		bed.copies[i] = (struct device_copy){
			bed.there + i * BYTES, bed.host + (i * 77 % COPIES) * BYTES, BYTES};
}

static void close_bed(void)
{
	cr_assert_eq(device_release(bed.s, bed.there), 0);
	device_stream_free(bed.s);
	device_event_free(bed.e);
	device_host_free(bed.d, bed.host);
	device_free(bed.d);
}

static void expect_copied(unsigned n)
{
	memset(bed.back, 0, COPIES * BYTES);
	cr_assert_eq(device_copy_out(bed.s, bed.back, bed.there, n * BYTES), 0);
	cr_assert_eq(device_event_record(bed.e, bed.s), 0);
	cr_assert_eq(device_event_wait(bed.e, CLOCK_NO_DEADLINE), 0);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(memcmp(bed.back + i * BYTES, bed.copies[i].from, BYTES), 0, "%u", i);
}

Test(device_cuda_batch, many_copies_are_few_calls)
{
	open_bed("");
	cr_assert_eq(device_copy_all_in(bed.s, bed.copies, COPIES), 0);
	cr_expect_eq(fakecuda_calls("cudaMemcpyBatchAsync"), 3, "64, 64, 22");
	cr_expect_eq(fakecuda_calls("cudaMemcpyAsync"), 0);
	expect_copied(COPIES);
	close_bed();
}

Test(device_cuda_batch, one_copy_is_a_copy)
{
	open_bed("");
	cr_assert_eq(device_copy_all_in(bed.s, bed.copies, 1), 0);
	cr_assert_eq(device_copy_all_in(bed.s, bed.copies, 0), 0);
	cr_expect_eq(fakecuda_calls("cudaMemcpyBatchAsync"), 0);
	cr_expect_eq(fakecuda_calls("cudaMemcpyAsync"), 1);
	expect_copied(1);
	close_bed();
}

static void expect_each_alone(const char *settings)
{
	open_bed(settings);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(device_copy_all_in(bed.s, bed.copies, 10), 0);
		expect_copied(10);
	}
	cr_expect_eq(fakecuda_calls("cudaMemcpyBatchAsync"), 1, "it is not asked again");
	cr_expect_eq(fakecuda_calls("cudaMemcpyAsync"), 22);
	close_bed();
}

Test(device_cuda_batch, a_driver_that_has_none)
{
	expect_each_alone("fail=cudaMemcpyBatchAsync:0:36");
	expect_each_alone("fail=cudaMemcpyBatchAsync:0:801");
}

Test(device_cuda_batch, what_fails)
{
	open_bed("fail=cudaMemcpyBatchAsync:1:1 fail=cudaMemcpyBatchAsync:3:2");
	cr_expect_eq(device_class(device_copy_all_in(bed.s, bed.copies, 2)), DEVICE_E_REQUEST);
	cr_assert_eq(device_copy_all_in(bed.s, bed.copies, 2), 0, "it is well again");
	expect_copied(2);
	cr_expect_eq(device_class(device_copy_all_in(bed.s, bed.copies, 2)), DEVICE_E_MEMORY);
	/* A copy that is refused, the second of three. */
	bed.copies[1].from = bed.host + 2 * COPIES * BYTES - BYTES / 2;
	cr_expect_eq(device_class(device_copy_all_in(bed.s, bed.copies, 3)), DEVICE_E_REQUEST);
	close_bed();
}

Test(device_cuda_batch, the_context_is_lost)
{
	open_bed("fail=cudaMemcpyBatchAsync:1:700");
	cr_expect(device_fatal(device_copy_all_in(bed.s, bed.copies, 2)));
	cr_expect(device_fatal(device_copy_all_in(bed.s, bed.copies, 2)));
}
