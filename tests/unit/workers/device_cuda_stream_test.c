/* device_cuda_stream_test.c: memory, copies and events in the order of streams, with a stand-in. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/failalloc.h"
#include "tests/support/fakecuda/fakecuda.h"
#include "workers/device_cuda.h"

#define BYTES 100000u

/* A GPU, a stream, an event, and pinned memory. */
struct bed {
	struct device *d;
	struct device_stream *s;
	struct device_event *e;
	unsigned char *host;
};

static struct bed bed_new(const char *settings)
{
	char text[DEVICE_TEXT_MAX];
	struct bed b;
	void *host;

	fakecuda_reset(settings);
	cr_assert_eq(device_cuda_open(&b.d, text), 0, "%s", text);
	cr_assert_eq(device_stream_new(b.d, &b.s), 0);
	cr_assert_eq(device_event_new(b.d, &b.e), 0);
	cr_assert_eq(device_host_alloc(b.d, BYTES, &host), 0);
	b.host = host;
	return b;
}

static void bed_free(struct bed *b)
{
	device_event_free(b->e);
	device_stream_free(b->s);
	device_host_free(b->d, b->host);
	device_free(b->d);
}

static void finish(struct bed *b)
{
	cr_assert_eq(device_event_record(b->e, b->s), 0);
	cr_assert_eq(device_event_wait(b->e, CLOCK_NO_DEADLINE), 0);
}

Test(device_cuda_stream, there_and_back)
{
	struct bed b = bed_new("");
	unsigned char pageable[1000], back[1000];
	void *there;

	cr_assert_eq(device_alloc(b.s, BYTES, &there), 0);
	cr_assert_eq((uintptr_t)there % 256, 0);
	memset(b.host, 7, BYTES);
	cr_assert_eq(device_copy_in(b.s, there, b.host, BYTES), 0);
	finish(&b);
	memset(b.host, 0, BYTES);
	cr_assert_eq(device_copy_out(b.s, b.host, there, BYTES), 0);
	finish(&b);
	cr_assert(b.host[0] == 7 && b.host[BYTES - 1] == 7);
	memset(pageable, 9, sizeof(pageable));
	cr_assert_eq(device_copy_in(b.s, there, pageable, sizeof(pageable)), 0);
	cr_assert_eq(device_copy_out(b.s, back, there, sizeof(back)), 0);
	finish(&b);
	cr_assert_eq(back[999], 9);
	cr_assert_eq(device_clear(b.s, there, 999), 0);
	cr_assert_eq(device_copy_out(b.s, back, there, sizeof(back)), 0);
	finish(&b);
	cr_assert(back[0] == 0 && back[998] == 0 && back[999] == 9);
	cr_assert_not_null(device_stream_native(b.s));
	cr_assert_eq(device_release(b.s, there), 0);
	cr_assert_eq(fakecuda_used(), 0);
	bed_free(&b);
}

Test(device_cuda_stream, nothing_waits_for_the_device)
{
	struct bed b = bed_new("copy_us=20000");
	void *there;

	cr_assert_eq(device_event_query(b.e), 0, "never recorded");
	cr_assert_eq(device_alloc(b.s, BYTES, &there), 0);
	cr_assert_eq(device_copy_in(b.s, there, b.host, BYTES), 0);
	cr_assert_eq(device_event_record(b.e, b.s), 0);
	cr_assert_eq(device_class(device_event_query(b.e)), DEVICE_E_PENDING);
	cr_assert_eq(device_event_wait(b.e, CLOCK_NO_DEADLINE), 0);
	cr_assert_eq(device_event_query(b.e), 0);
	cr_assert_eq(device_release(b.s, there), 0);
	bed_free(&b);
}

Test(device_cuda_stream, one_stream_waits_for_an_event_of_another)
{
	struct bed b = bed_new("copy_us=20000");
	struct device_stream *other;
	struct device_event *e;
	unsigned char *first = b.host, *second = b.host + BYTES / 2;
	void *there;

	cr_assert_eq(device_stream_new(b.d, &other), 0);
	cr_assert_eq(device_event_new(b.d, &e), 0);
	cr_assert_eq(device_alloc(b.s, BYTES / 2, &there), 0);
	memset(first, 3, BYTES / 2);
	memset(second, 0, BYTES / 2);
	cr_assert_eq(device_copy_in(b.s, there, first, BYTES / 2), 0);
	cr_assert_eq(device_event_record(b.e, b.s), 0);
	cr_assert_eq(device_stream_wait(other, b.e), 0);
	cr_assert_eq(device_copy_out(other, second, there, BYTES / 2), 0);
	cr_assert_eq(device_event_record(e, other), 0);
	cr_assert_eq(device_event_wait(e, CLOCK_NO_DEADLINE), 0);
	cr_assert(second[0] == 3 && second[BYTES / 2 - 1] == 3);
	device_event_free(e);
	device_stream_free(other);
	bed_free(&b);
}

Test(device_cuda_stream, memory_ends_and_comes_back)
{
	struct bed b = bed_new("memory_mib=1");
	void *first, *second = NULL;

	cr_assert_eq(device_alloc(b.s, 1 << 20, &first), 0);
	cr_assert_eq(device_class(device_alloc(b.s, 1, &second)), DEVICE_E_MEMORY);
	cr_assert_null(second);
	cr_assert_eq(fakecuda_calls("cudaMemPoolTrimTo"), 2, "others can have what is unused");
	cr_assert_eq(device_class(device_alloc(b.s, (1 << 20) + 1, &second)), DEVICE_E_MEMORY);
	cr_assert_eq(fakecuda_calls("cudaMallocAsync"), 3, "what can never be is not tried");
	cr_assert_eq(device_release(b.s, first), 0);
	cr_assert_eq(device_alloc(b.s, 0, &second), 0, "nothing has a place, too");
	cr_assert_eq(device_copy_in(b.s, second, b.host, 0), 0);
	bed_free(&b);
}

Test(device_cuda_stream, what_hangs_is_given_up_at_the_deadline)
{
	struct bed b = bed_new("stall=1");
	uint64_t now_ns = clock_ns();
	int r;

	cr_assert_eq(device_event_record(b.e, b.s), 0);
	r = device_event_wait(b.e, now_ns);
	cr_assert_eq(device_class(r), DEVICE_E_TIMEOUT);
	cr_assert(device_fatal(r));
	r = device_event_wait(b.e, now_ns + 3 * NS_PER_MS);
	cr_assert_eq(device_class(r), DEVICE_E_TIMEOUT);
	cr_assert_geq(clock_ns(), now_ns + 3 * NS_PER_MS);
	fakecuda_resume();
	finish(&b);
	bed_free(&b);
}

Test(device_cuda_stream, a_copy_stays_inside_of_what_is_registered)
{
	struct bed b = bed_new("");
	_Alignas(4096) static unsigned char all[8192];
	void *there;

	cr_assert_eq(device_alloc(b.s, sizeof(all), &there), 0);
	cr_assert_eq(device_register(b.d, all, 4096, DEVICE_READ_WRITE), 0);
	cr_assert_eq(device_class(device_copy_in(b.s, there, all, sizeof(all))), DEVICE_E_REQUEST);
	cr_assert_eq(device_copy_in(b.s, there, all, 4096), 0);
	cr_assert_eq(device_copy_in(b.s, there, all + 4096, 4096), 0);
	finish(&b);
	cr_assert_eq(device_unregister(b.d, all), 0);
	bed_free(&b);
}

Test(device_cuda_stream, each_call_can_lose_the_context)
{
	static const char *const calls[] = {
		"cudaMallocAsync", "cudaMemcpyAsync", "cudaEventRecord", "cudaEventQuery"};
	char settings[64];

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct bed b;
		void *there;
		int r;

		snprintf(settings, sizeof(settings), "fail=%s:1:700", calls[i]);
		b = bed_new(settings);
		r = device_alloc(b.s, BYTES, &there);
		if (!r)
			r = device_copy_in(b.s, there, b.host, BYTES);
		if (!r)
			r = device_event_record(b.e, b.s);
		if (!r)
			r = device_event_wait(b.e, CLOCK_NO_DEADLINE);
		cr_assert_eq(device_class(r), DEVICE_E_LOST, "%s", calls[i]);
		bed_free(&b);
	}
}

static int work(void *arg)
{
	_cleanup_(device_stream_freep) struct device_stream *s = NULL;
	_cleanup_(device_event_freep) struct device_event *e = NULL;
	int r = device_stream_new(arg, &s);

	return r ? r : device_event_new(arg, &e);
}

Test(device_cuda_stream, faults)
{
	struct bed b = bed_new("");

	FAULT_LOOP(work, b.d);
	bed_free(&b);
}

Test(device_cuda_stream, creating_can_fail)
{
	struct bed b =
		bed_new("fail=cudaStreamCreateWithPriority:2:2 fail=cudaEventCreateWithFlags:2:2");

	cr_assert_eq(device_class(work(b.d)), DEVICE_E_MEMORY);
	cr_assert_eq(device_class(work(b.d)), DEVICE_E_MEMORY);
	cr_assert_eq(work(b.d), 0);
	bed_free(&b);
}
