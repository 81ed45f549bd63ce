/* device_test.c: results, and the host as a device. */
#include "workers/device.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/failalloc.h"

Test(device, results_hold_a_class_and_a_code)
{
	int lost = device_result(DEVICE_E_LOST, 65535);
	char text[DEVICE_TEXT_MAX];
	struct device *d;

	cr_assert_gt(lost, 0);
	cr_assert_eq(device_class(lost), DEVICE_E_LOST);
	cr_assert_eq(device_class(0), 0);
	cr_assert_eq(device_class(-EINVAL), 0);
	cr_assert(device_fatal(lost));
	cr_assert(device_fatal(device_result(DEVICE_E_UNUSABLE, 3)));
	cr_assert(device_fatal(device_result(DEVICE_E_TIMEOUT, 0)));
	cr_assert_not(device_fatal(device_result(DEVICE_E_REQUEST, 1)));
	cr_assert_not(device_fatal(device_result(DEVICE_E_MEMORY, 2)));
	cr_assert_not(device_fatal(device_result(DEVICE_E_PENDING, 600)));
	cr_assert_not(device_fatal(-ENOMEM));
	cr_assert_eq(device_open(&d, "cpu:0", text), 0);
	cr_assert_str_eq(device_explain(d, lost, text, sizeof(text)), "error 65535 of the host");
	cr_assert_str_eq(
		device_explain(d, -ENOTSUP, text, sizeof(text)), "Operation not supported");
	cr_assert(strstr(device_explain(d, device_result(DEVICE_E_TIMEOUT, 0), text, sizeof(text)),
		"in time"));
	device_free(d);
}

static int use_memory(struct device *d, struct device_stream *s)
{
	char from[] = "data", to[sizeof(from)] = "";
	void *there = NULL;
	int r = device_alloc(s, sizeof(from), &there);

	if (r)
		return r;
	cr_assert_eq((uintptr_t)there % 64, 0);
	cr_assert_eq(device_register(d, from, sizeof(from), DEVICE_READ_ONLY), 0);
	cr_assert_eq(device_copy_in(s, there, from, sizeof(from)), 0);
	cr_assert_eq(device_copy_out(s, to, there, sizeof(from)), 0);
	cr_assert_eq(device_copy_out(s, NULL, NULL, 0), 0);
	cr_assert_str_eq(to, "data");
	cr_assert_eq(device_clear(s, there, sizeof(from)), 0);
	cr_assert_eq(device_clear(s, NULL, 0), 0);
	cr_assert_eq(*(char *)there, 0);
	cr_assert_eq(device_unregister(d, from), 0);
	cr_assert_eq(device_release(s, there), 0);
	cr_assert_eq(device_release(s, NULL), 0);
	return 0;
}

static int use_event(struct device *d, struct device_stream *s)
{
	_cleanup_(device_event_freep) struct device_event *e = NULL;
	int r = device_event_new(d, &e);

	if (r)
		return r;
	cr_assert_eq(device_event_record(e, s), 0);
	cr_assert_eq(device_stream_wait(s, e), 0);
	cr_assert_eq(device_event_query(e), 0);
	cr_assert_eq(device_event_wait(e, clock_ns()), 0);
	return 0;
}

/* Everything that a worker does with a device, on the host. */
static int work(void *arg)
{
	_cleanup_(device_freep) struct device *d = NULL;
	_cleanup_(device_stream_freep) struct device_stream *s = NULL;
	char text[DEVICE_TEXT_MAX];
	void *own = NULL;
	int r = device_open(&d, "cpu:0", text);

	if (!r)
		r = device_stream_new(d, &s);
	if (!r)
		r = use_memory(d, s);
	if (!r)
		r = use_event(d, s);
	if (!r)
		r = device_host_alloc(d, 100, &own);
	if (r)
		return r;
	cr_assert_null(device_stream_native(s));
	memset(own, 1, 100);
	device_host_free(d, own);
	device_host_free(d, NULL);
	return 0;
}

Test(device, the_host_is_one)
{
	struct device_memory memory;
	char text[DEVICE_TEXT_MAX];
	struct device *d;

	cr_assert_eq(work(NULL), 0);
	cr_assert_eq(device_open(&d, "cpu:0", text), 0);
	cr_assert_eq(device_memory(d, &memory), 0);
	cr_assert_gt(memory.total_bytes, memory.free_bytes);
	cr_assert(d->info.reads_read_only);
	device_free(d);
	cr_assert_null(device_stream_free(NULL));
	cr_assert_null(device_event_free(NULL));
}

Test(device, faults)
{
	FAULT_LOOP(work, NULL);
}
