/* executor_device_test.c: inputs and targets in memory of the device that another process has made, for a model that knows the
 * host's alone; with a stand-in for a GPU. */
#include <criterion/criterion.h>
#include <string.h>

#include "fake_executor.h"
#include "fake_lender.h"
#include "workers/transfer.h"

#define THEIRS (WIRE_REGION_BIT | 8u)
#define LOST   (WIRE_REGION_BIT | 9u)
#define BYTES  4096u

struct bed {
	struct lender lender;
	struct device *d;
	struct pinned *pinned;
	struct transfer *t;
	struct device_import there;
	struct rig g;
};

static void bed_init(struct bed *b)
{
	struct executor_parts parts;
	char text[DEVICE_TEXT_MAX];

	lender_init(&b->lender, BYTES, 0, "");
	cr_assert_eq(device_open(&b->d, "cuda:0", text), 0, "%s", text);
	cr_assert_eq(pinned_new(&b->pinned, b->d), 0);
	cr_assert_eq(transfer_new(&b->t, b->d, DEVICE_PRIORITY_NORMAL), 0);
	cr_assert_eq(device_import(b->d, b->lender.handle, BYTES, &b->there), 0);
	rig_init(&b->g, ARENA_BYTES, ARENA_BYTES);
	executor_free(b->g.executor);
	parts = rig_parts(&b->g, ARENA_BYTES, 0);
	parts.pinned = b->pinned;
	cr_assert_eq(executor_new(&b->g.executor, &parts), 0);
	cr_assert_eq(regions_import(&b->g.regions, THEIRS, BYTES, &b->there, ""), 0);
	cr_assert_eq(
		regions_import(&b->g.regions, LOST, BYTES, &(struct device_import){0}, "no room"),
		0);
	b->g.fake.lane.transfer = b->t;
}

static void bed_deinit(struct bed *b)
{
	rig_deinit(&b->g);
	cr_assert_eq(device_give_back(b->d, &b->there), 0);
	transfer_free(b->t);
	pinned_free(b->pinned);
	device_free(b->d);
	lender_deinit(&b->lender);
}

static struct span theirs(uint64_t offset, uint64_t length)
{
	return (struct span){.arena = THEIRS, .offset = offset, .length = length};
}

static void fill(struct bed *b, uint64_t offset, int32_t first)
{
	for (int32_t i = 0; i < 4; i++)
		memcpy(b->lender.data + offset + 4 * i, &(int32_t){first + i}, 4);
}

Test(executor_device, in_and_out)
{
	struct wire_target t = {0, theirs(1027, 20)};
	struct bed b;
	int32_t values[4];

	bed_init(&b);
	fill(&b, 100, 7);
	rig_add_span(&b.g, DTYPE_I32, 1, 4, theirs(100, 16));
	b.g.items[0].targets = &t;
	b.g.items[0].n_targets = 1;
	rig_execute(&b.g);
	cr_assert_eq(b.g.done.results[0].code, 0, "%s", b.g.done.results[0].message);
	cr_assert_eq(b.g.done.results[0].outputs[0].span.arena, THEIRS);
	cr_assert_eq(b.g.done.results[0].outputs[0].span.offset, 1027);
	cr_assert_eq(b.g.done.results[0].outputs[0].span.length, 16);
	memcpy(values, b.lender.data + 1027, sizeof(values));
	cr_assert(values[0] == 7 && values[3] == 10);
	cr_assert_eq(b.lender.data[1026], 0);
	cr_assert_eq(b.lender.data[1027 + 16], 0);
	cr_assert_eq(rig_used(&b.g), 0);
	bed_deinit(&b);
}

/* Each for itself, though the daemon has put them together. */
Test(executor_device, beside_others)
{
	struct bed b;

	bed_init(&b);
	fill(&b, 0, 70);
	rig_add_rows(&b.g, 1, 10);
	rig_add_span(&b.g, DTYPE_I32, 1, 4, theirs(0, 16));
	rig_add_rows(&b.g, 1, 30);
	rig_execute(&b.g);
	rig_expect_rows(&b.g, 0, 1, 10);
	rig_expect_rows(&b.g, 1, 1, 70);
	rig_expect_rows(&b.g, 2, 1, 30);
	cr_assert_eq(b.g.fake.n_runs, 3);
	bed_deinit(&b);
}

Test(executor_device, an_output_that_is_too_large_stays_here)
{
	struct wire_target t = {0, theirs(0, 15)};
	struct bed b;

	bed_init(&b);
	rig_add_rows(&b.g, 1, 7);
	b.g.items[0].targets = &t;
	b.g.items[0].n_targets = 1;
	rig_execute(&b.g);
	rig_expect_rows(&b.g, 0, 1, 7);
	cr_assert_eq(b.lender.data[0], 0);
	bed_deinit(&b);
}

Test(executor_device, what_cannot_be_had_is_said)
{
	struct wire_target t = {0, {.arena = LOST, .length = 16}};
	struct bed b;

	bed_init(&b);
	rig_add_span(&b.g, DTYPE_I32, 1, 4, (struct span){.arena = LOST, .length = 16});
	rig_add_rows(&b.g, 1, 7);
	b.g.items[1].targets = &t;
	b.g.items[1].n_targets = 1;
	rig_add_span(&b.g, DTYPE_I32, 1, 4, theirs(BYTES - 15, 16));
	rig_execute(&b.g);
	rig_expect_error(&b.g, 0, GRPC_INVALID_ARGUMENT, "cannot be had: no room");
	rig_expect_error(&b.g, 1, GRPC_INVALID_ARGUMENT, "cannot be had: no room");
	rig_expect_error(&b.g, 2, GRPC_INTERNAL, "outside of its memory");
	bed_deinit(&b);
}

Test(executor_device, a_copy_that_fails_is_the_requests)
{
	struct wire_target t = {0, theirs(0, 16)};
	struct bed b;

	bed_init(&b);
	rig_add_span(&b.g, DTYPE_I32, 1, 4, theirs(0, 16));
	rig_add_rows(&b.g, 1, 7);
	b.g.items[1].targets = &t;
	b.g.items[1].n_targets = 1;
	transfer_free(b.t);
	cr_assert_eq(device_give_back(b.d, &b.there), 0);
	lender_deinit(&b.lender);
	lender_init(&b.lender, BYTES, 0, "fail=cudaMemcpyAsync:0:1");
	cr_assert_eq(device_import(b.d, b.lender.handle, BYTES, &b.there), 0);
	cr_assert_eq(transfer_new(&b.t, b.d, DEVICE_PRIORITY_NORMAL), 0);
	b.g.fake.lane.transfer = b.t;
	rig_execute(&b.g);
	rig_expect_error(&b.g, 0, GRPC_INTERNAL, "the device failed");
	rig_expect_error(&b.g, 1, GRPC_INTERNAL, "the device failed");
	cr_assert_eq(rig_used(&b.g), 0);
	bed_deinit(&b);
}
