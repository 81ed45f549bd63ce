/* Tests of region.c, and of requests that name regions: bounds, references, loss, drain. */
#include "dispatch/region.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "fake_bed.h"
#include "tests/support/failalloc.h"

static struct bed b;
static unsigned n_gone;
static unsigned fds_before;

static void on_gone(void *data, int fd)
{
	n_gone++;
	cr_expect_eq(close(fd), 0, "it is handed back, open: closing large memory takes long");
}

static struct region *make(uint64_t size, bool writable)
{
	struct region *r = NULL;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(
		region_new(&r, dispatch_regions(b.d), fd, size, writable, on_gone, &n_gone), 0);
	return r;
}

static void setup(void)
{
	uv_loop_t first;

	log_init(NULL, LOG_LEVEL_ERROR);
	/* The first loop of a process leaves libuv's own descriptors behind. */
	cr_assert_eq(uv_loop_init(&first), 0);
	cr_assert_eq(uv_loop_close(&first), 0);
	fds_before = failalloc_open_fds();
	bed_init(&b);
	bed_up(&b);
}

static void teardown(void)
{
	bed_close(&b);
	cr_expect_eq(failalloc_open_fds(), fds_before);
}

TestSuite(region, .init = setup, .fini = teardown);

/* The test's reference goes; then the pool is done with it. */
static void drop(struct region *r)
{
	region_unref(r);
	fake_region_gone(b.pool);
	cr_expect_eq(n_gone, 1);
}

Test(region, spans)
{
	static const struct {
		uint64_t offset, length;
		int result;
	} spans[] = {
		{0, 4096, 0},
		{4096, 0, 0},
		{4095, 1, 0},
		{4096, 1, -ERANGE},
		{4097, 0, -ERANGE},
		{0, 4097, -ERANGE},
		{1, UINT64_MAX, -ERANGE},
		{UINT64_MAX, 1, -ERANGE},
		{UINT64_MAX, UINT64_MAX, -ERANGE},
	};
	struct region *r = make(4096, true);
	struct span span;

	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
		cr_expect_eq(region_span(r, spans[i].offset, spans[i].length, &span),
			spans[i].result, "%zu", i);
	cr_assert_eq(region_span(r, 64, 128, &span), 0);
	cr_expect(span.arena & WIRE_REGION_BIT);
	cr_expect_eq(span.offset, 64);
	cr_expect_eq(span.length, 128);
	cr_expect_eq(region_size(r), 4096);
	cr_expect(region_writable(r));
	cr_expect_eq(region_data(r), &n_gone);
	drop(r);
}

/* Ask alpha for one row of four i32 at `offset` in a region. */
static struct request *ask(struct region *r, uint64_t offset, struct answer *a)
{
	struct request *q = bed_request(&b, b.alpha, b.client, 1, 0, a);
	struct request_input *in;

	cr_assert(q);
	in = request_input(q, 0);
	lease_unref(in->lease);
	in->lease = NULL;
	in->region = region_ref(r);
	in->offset = offset;
	in->length = 16;
	return q;
}

static void expect_refused(struct request *q, const char *why)
{
	cr_expect_eq(dispatch_submit(b.d, q), DISPATCH_E_REFUSED);
	cr_expect_eq(request_status(q), GRPC_INVALID_ARGUMENT);
	cr_expect(strstr(request_message(q), why), "got: %s", request_message(q));
	request_unref(q);
}

Test(region, a_request_names_it_and_keeps_it)
{
	struct region *r = make(4096, true);
	struct answer a = {.bed = &b};
	struct request *q = ask(r, 64, &a);

	cr_assert_eq(request_set_target(q, 0, r, 1024, 16), 0);
	cr_expect_eq(request_set_target(q, 0, r, 0, 16), -EEXIST);
	cr_expect_eq(request_set_target(q, 9, r, 0, 16), -EINVAL);
	cr_assert_eq(dispatch_submit(b.d, q), 0);
	region_unref(r);
	bed_turn(&b);
	cr_assert_eq(fake_n_runs(b.pool, NULL), 1);
	cr_expect_eq(b.pool->last_item->inputs[0].span.offset, 64);
	cr_expect(b.pool->last_item->inputs[0].span.arena & WIRE_REGION_BIT);
	cr_assert_eq(b.pool->last_item->n_targets, 1);
	cr_expect_eq(b.pool->last_item->targets[0].span.offset, 1024);
	cr_expect_eq(b.pool->last_item->targets[0].span.length, 16);
	cr_expect(!b.pool->region->freed, "in use");
	fake_done(b.pool, fake_first(b.pool, NULL), 0);
	cr_expect_eq(a.status, GRPC_OK);
	cr_expect(b.pool->region->freed);
	request_unref(q);
	fake_region_gone(b.pool);
	cr_expect_eq(n_gone, 1);
}

Test(region, inputs_and_targets_outside_are_refused)
{
	struct region *r = make(4096, true);
	struct answer a = {.bed = &b};
	struct request *q;

	expect_refused(ask(r, 4081, &a), "not inside its region of 4096 bytes");
	expect_refused(ask(r, UINT64_MAX - 8, &a), "not inside its region of 4096 bytes");
	q = ask(r, 0, &a);
	cr_assert_eq(request_set_target(q, 0, r, 8, UINT64_MAX), 0);
	expect_refused(q, "target of 18446744073709551615 bytes at offset 8 is not inside");
	drop(r);
}

Test(region, sizes_are_checked_as_everywhere)
{
	struct region *r = make(4096, true);
	struct answer a = {.bed = &b};
	struct request *q = ask(r, 0, &a);

	request_input(q, 0)->length = 12;
	expect_refused(q, "16 bytes expected");
	drop(r);
}

Test(region, a_read_only_one_is_no_target)
{
	struct region *r = make(4096, false);
	struct answer a = {.bed = &b};
	struct request *q = ask(r, 0, &a);

	cr_assert_eq(request_set_target(q, 0, r, 0, 16), 0);
	expect_refused(q, "read_only");
	drop(r);
}

Test(region, a_target_must_be_wanted)
{
	struct region *r = make(4096, true);
	struct answer a = {.bed = &b};
	struct request *q = bed_request(&b, b.gamma, b.client, 1, 0, &a);
	static const int64_t dims[] = {2, 1};

	cr_assert(q);
	for (uint32_t i = 0; i < 2; i++) {
		lease_unref(request_input(q, i)->lease);
		request_input(q, i)->lease = NULL;
		cr_assert_eq(bed_fill(&b, q, i, DTYPE_F32, 2, dims, 8), 0);
	}
	cr_assert_eq(request_want_output(q, 0), 0);
	cr_assert_eq(request_set_target(q, 1, r, 0, 16), 0);
	expect_refused(q, "has a target, but is not wanted");
	drop(r);
}

Test(region, withdrawing_what_is_queued_and_what_runs)
{
	struct region *r = make(4096, true);
	struct answer a = {.bed = &b}, queued = {.bed = &b};
	struct request *q = ask(r, 0, &a);
	struct request *other = ask(r, 0, &queued);

	cr_assert_eq(dispatch_submit(b.d, q), 0);
	bed_turn(&b);
	cr_assert_eq(dispatch_submit(b.d, other), 0);
	cr_expect(request_withdraw(other));
	cr_expect(!request_withdraw(q));
	cr_expect_eq(a.n, 0);
	fake_lose(fake_first(b.pool, NULL)->worker);
	bed_turn(&b);
	cr_expect_eq(a.n, 1);
	cr_expect_eq(a.status, GRPC_CANCELLED, "not sent again");
	cr_expect_eq(queued.n, 0);
	cr_expect(request_withdraw(q), "it is over");
	request_unref(q);
	request_unref(other);
	drop(r);
}

Test(region, a_drain_waits_for_it)
{
	struct region *r = make(4096, true);

	dispatch_drain(b.d);
	bed_turn(&b);
	fake_drained(b.pool);
	cr_expect_eq(b.drained, 0);
	drop(r);
	cr_expect_eq(b.drained, 1);
}

static int fault(void *arg)
{
	struct region *r;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int e = region_new(&r, dispatch_regions(b.d), fd, 4096, true, on_gone, NULL);

	if (e)
		return e;
	region_unref(r);
	fake_region_gone(b.pool);
	return 0;
}

/* One that was exported goes back as well. */
static int fault_exported(void *arg)
{
	struct region *r;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int e = region_new_exported(
		&r, dispatch_regions(b.d), "cuda:0", fd, 4096, true, on_gone, NULL);

	if (e)
		return e;
	region_unref(r);
	fake_region_gone(b.pool);
	return 0;
}

Test(region, faults)
{
	FAULT_LOOP(fault, NULL);
	FAULT_LOOP(fault_exported, NULL);
}

/* --- On a GPU ------------------------------------------------------------------------------- */

static const uint8_t handle[WIRE_HANDLE_BYTES] = {1, [63] = 9};

static void on_device_gone(void *data, int fd)
{
	n_gone++;
	cr_expect_eq(fd, -1);
}

static struct region *make_on(const char *device)
{
	struct region *r = NULL;

	cr_assert_eq(region_new_on_device(&r, dispatch_regions(b.d), device, handle, 4096,
			     on_device_gone, &n_gone),
		0);
	return r;
}

static const char *said;

static void on_tried(void *data, int e, const char *why)
{
	cr_expect_eq(data, &n_gone);
	cr_expect_eq(e, -EINVAL);
	said = why;
}

Test(region, on_a_device)
{
	struct region *r = make_on("cuda:0");

	cr_expect_str_eq(region_device(r), "cuda:0");
	cr_expect(region_writable(r));
	cr_expect_eq(b.pool->region->handle[0], 1);
	cr_expect_eq(b.pool->region->handle[7], UINT64_C(9) << 56);
	cr_assert_eq(region_try(r, on_tried), 0);
	cr_expect_str_eq(b.pool->region->tried_on, "cuda:0");
	b.pool->region->on_tried(b.pool->region->data, -EINVAL, "no");
	cr_expect_str_eq(said, "no");
	drop(r);
}

static void on_exported_gone(void *data, int fd)
{
	n_gone++;
	cr_expect(fd >= 0);
	close(fd);
}

Test(region, exported_to_a_descriptor)
{
	struct region *r = NULL;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	cr_assert_eq(region_new_exported(&r, dispatch_regions(b.d), "cuda:0", fd, 4096, false,
			     on_exported_gone, &n_gone),
		0);
	cr_expect_str_eq(region_device(r), "cuda:0");
	cr_expect_not(region_writable(r));
	cr_expect_eq(b.pool->region->fd, fd);
	cr_expect_null(b.pool->region->handle);
	cr_assert_eq(region_try(r, on_tried), 0);
	drop(r);
}

Test(region, on_a_device_that_does_not_fit)
{
	struct region *there = make_on("cuda:0");
	struct answer a = {.bed = &b};

	expect_refused(ask(there, 0, &a), "model 'alpha' is not on cuda:0, where its tensors are");
	drop(there);
}
