/* device_cuda_import_test.c: memory of other processes, with a stand-in. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "fake_lender.h"
#include "tests/support/fakecuda/fakecuda.h"
#include "workers/device_cuda.h"

#define BYTES 5000u

struct bed {
	struct lender lender;
	struct device *d;
	struct device_stream *s;
	struct device_event *e;
};

static struct bed bed_new(const char *more)
{
	char text[DEVICE_TEXT_MAX];
	struct bed b;

	lender_init(&b.lender, BYTES, 7, more);
	cr_assert_eq(device_cuda_open(&b.d, text), 0, "%s", text);
	cr_assert_eq(device_stream_new(b.d, &b.s), 0);
	cr_assert_eq(device_event_new(b.d, &b.e), 0);
	return b;
}

static void bed_free(struct bed *b)
{
	device_event_free(b->e);
	device_stream_free(b->s);
	device_free(b->d);
	lender_deinit(&b->lender);
}

static void finish(struct bed *b)
{
	cr_assert_eq(device_event_record(b->e, b->s), 0);
	cr_assert_eq(device_event_wait(b->e, CLOCK_NO_DEADLINE), 0);
}

Test(device_cuda_import, what_another_process_has_is_copied_and_written)
{
	struct bed b = bed_new("");
	unsigned char host[BYTES] = {0};
	struct device_import there;
	void *own;

	cr_assert(device_imports(b.d));
	cr_assert_eq(device_import(b.d, b.lender.handle, BYTES, &there), 0);
	cr_assert_eq(device_alloc(b.s, BYTES, &own), 0);
	cr_assert_eq(device_copy_within(b.s, own, there.data, BYTES), 0);
	cr_assert_eq(device_copy_out(b.s, host, own, BYTES), 0);
	finish(&b);
	cr_assert(host[0] == 7 && host[BYTES - 1] == 7);
	memset(host, 9, BYTES);
	cr_assert_eq(device_copy_in(b.s, own, host, BYTES), 0);
	cr_assert_eq(device_copy_within(b.s, (char *)there.target + 1, own, 10), 0);
	finish(&b);
	cr_assert(b.lender.data[0] == 7 && b.lender.data[1] == 9 && b.lender.data[10] == 9 &&
		  b.lender.data[11] == 7);
	cr_assert_eq(device_give_back(b.d, &there), 0);
	cr_assert_neq(device_copy_within(b.s, own, there.data, 1), 0, "it is there no more");
	cr_assert_eq(device_release(b.s, own), 0);
	bed_free(&b);
}

Test(device_cuda_import, one_that_is_imported_twice_stays_until_it_was_given_back_twice)
{
	struct bed b = bed_new("");
	struct device_import first, second;
	void *own;

	cr_assert_eq(device_import(b.d, b.lender.handle, BYTES, &first), 0);
	cr_assert_eq(device_import(b.d, b.lender.handle, 1, &second), 0);
	cr_assert_eq(device_alloc(b.s, BYTES, &own), 0);
	cr_assert_eq(device_give_back(b.d, &first), 0);
	cr_assert_eq(device_copy_within(b.s, own, second.data, BYTES), 0);
	finish(&b);
	cr_assert_eq(device_give_back(b.d, &second), 0);
	cr_assert_eq(device_class(device_give_back(b.d, &second)), DEVICE_E_REQUEST);
	cr_assert_eq(device_release(b.s, own), 0);
	bed_free(&b);
}

Test(device_cuda_import, more_than_there_is_is_refused)
{
	struct bed b = bed_new("");
	struct device_import there;

	cr_assert_eq(device_import(b.d, b.lender.handle, BYTES + 1, &there), -ERANGE);
	cr_assert_eq(device_import(b.d, b.lender.handle, UINT64_MAX, &there), -ERANGE);
	cr_assert_eq(fakecuda_calls("cudaIpcCloseMemHandle"), 2);
	cr_assert_eq(device_import(b.d, b.lender.handle, BYTES, &there), 0);
	cr_assert_eq(device_give_back(b.d, &there), 0);
	bed_free(&b);
}

Test(device_cuda_import, what_is_no_handle_is_the_calls_error)
{
	struct bed b = bed_new("");
	unsigned char none[DEVICE_HANDLE_BYTES] = {0};
	struct device_import there;

	cr_assert_eq(device_class(device_import(b.d, none, 1, &there)), DEVICE_E_REQUEST);
	b.lender.handle[8] ^= 1;
	cr_assert_eq(
		device_class(device_import(b.d, b.lender.handle, 1, &there)), DEVICE_E_REQUEST);
	bed_free(&b);
}

/* Whatever code it has: it is the device's only where the device says so, too. */
Test(device_cuda_import, a_handle_does_not_end_the_process)
{
	struct bed b = bed_new("fail=cudaIpcOpenMemHandle:1:46");
	struct device_import there;

	cr_assert_eq(
		device_class(device_import(b.d, b.lender.handle, BYTES, &there)), DEVICE_E_REQUEST);
	cr_assert_eq(device_import(b.d, b.lender.handle, BYTES, &there), 0);
	cr_assert_eq(device_give_back(b.d, &there), 0);
	bed_free(&b);
}

Test(device_cuda_import, a_lost_context_is_lost)
{
	struct bed b = bed_new("fail=cudaIpcOpenMemHandle:1:700");
	struct device_import there;

	cr_assert_eq(
		device_class(device_import(b.d, b.lender.handle, BYTES, &there)), DEVICE_E_LOST);
	bed_free(&b);
}
