/* executor_targets_test.c: outputs that go where a client wants them. */
#include "workers/executor.h"

#include <criterion/criterion.h>
#include <string.h>

#include "fake_daemon.h"
#include "fake_executor.h"
#include "tests/support/failalloc.h"

static void target(struct rig *g, size_t i, struct wire_target *t)
{
	g->items[i].targets = t;
	g->items[i].n_targets = 1;
}

Test(executor_targets, output_goes_straight_to_its_place)
{
	struct wire_target t = {0, rig_in_region(64, 100)};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 7);
	target(&g, 0, &t);
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].code, 0, "%s", g.done.results[0].message);
	cr_assert_eq(g.done.results[0].outputs[0].span.arena, REGION);
	cr_assert_eq(g.done.results[0].outputs[0].span.offset, 64);
	cr_assert_eq(g.done.results[0].outputs[0].span.length, 16);
	cr_assert_eq(((int32_t *)(g.region + 64))[3], 10);
	cr_assert_eq(
		arena_memory(outputs_arena(g.outputs)).resident, 0, "the arena was not needed");
	rig_deinit(&g);
}

Test(executor_targets, output_to_an_unaligned_place_is_copied_there)
{
	struct wire_target t = {0, rig_in_region(3, 16)};
	int32_t values[4];
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 7);
	target(&g, 0, &t);
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].code, 0, "%s", g.done.results[0].message);
	memcpy(values, g.region + 3, sizeof(values));
	cr_assert_eq(values[0], 7);
	cr_assert_eq(values[3], 10);
	cr_assert_eq(g.done.results[0].outputs[0].span.offset, 3);
	cr_assert_eq(rig_used(&g), 0);
	rig_deinit(&g);
}

Test(executor_targets, an_output_larger_than_its_target_stays_in_the_arena)
{
	struct wire_target t = {0, rig_in_region(0, 15)};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 7);
	target(&g, 0, &t);
	memset(g.region, 9, 64);
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	rig_expect_rows(&g, 0, 1, 7);
	cr_assert_neq(g.done.results[0].outputs[0].span.arena, REGION);
	cr_assert_eq(g.region[0], 9, "nothing is written there");
	cr_assert_geq(rig_used(&g), 16);
	rig_deinit(&g);
}

/* The second does not fit, the third has no target. */
Test(executor_targets, joined_outputs_go_each_to_its_target)
{
	struct wire_target first = {0, rig_in_region(3, 64)}, second = {0, rig_in_region(128, 31)};
	int32_t values[4];
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 10);
	rig_add_gap(&g);
	rig_add_rows(&g, 2, 20);
	rig_add_gap(&g);
	rig_add_rows(&g, 1, 30);
	target(&g, 0, &first);
	target(&g, 1, &second);
	g.region[3 + 16] = 9;
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	cr_assert_eq(g.done.results[0].outputs[0].span.arena, REGION);
	cr_assert_eq(g.done.results[0].outputs[0].span.offset, 3);
	cr_assert_eq(g.done.results[0].outputs[0].span.length, 16);
	cr_assert_eq(g.done.results[0].outputs[0].dims[0], 1);
	memcpy(values, g.region + 3, sizeof(values));
	for (int32_t i = 0; i < 4; i++)
		cr_assert_eq(values[i], 10 + i);
	cr_assert_eq(g.region[3 + 16], 9, "not beyond it");
	rig_expect_rows(&g, 1, 2, 20);
	rig_expect_rows(&g, 2, 1, 30);
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(g.done.results[i].joined, 3);
	rig_deinit(&g);
}

/* Input and output in regions: nothing is left behind in the arena. */
Test(executor_targets, joined_items_of_local_clients)
{
	struct wire_target first = {0, rig_in_region(1024, 16)},
			   second = {0, rig_in_region(2048, 16)};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	for (int32_t i = 0; i < 8; i++)
		((int32_t *)g.region)[i + (i < 4 ? 0 : 100)] = 100 + i;
	rig_add_span(&g, DTYPE_I32, 1, 4, rig_in_region(0, 16));
	rig_add_span(&g, DTYPE_I32, 1, 4, rig_in_region(104 * 4, 16));
	target(&g, 0, &first);
	target(&g, 1, &second);
	rig_execute(&g);
	cr_assert_eq(g.fake.n_runs, 1);
	cr_assert_eq(((int32_t *)(g.region + 1024))[3], 103);
	cr_assert_eq(((int32_t *)(g.region + 2048))[0], 104);
	cr_assert_eq(rig_used(&g), 0);
	rig_deinit(&g);
}

Test(executor_targets, targets_of_several_items_are_kept_apart)
{
	struct wire_target first = {0, rig_in_region(0, 64)}, second = {0, rig_in_region(64, 64)};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	rig_add_rows(&g, 1, 10);
	rig_add_rows(&g, 1, 20);
	rig_add_rows(&g, 1, 30);
	target(&g, 0, &first);
	target(&g, 1, &second);
	rig_execute(&g);
	cr_assert_eq(((int32_t *)g.region)[0], 10);
	cr_assert_eq(((int32_t *)(g.region + 64))[0], 20);
	rig_expect_rows(&g, 2, 1, 30);
	rig_deinit(&g);
}

Test(executor_targets, bad_targets)
{
	struct wire_target good = {0, rig_in_region(0, 16)};
	struct wire_target outside = {0, rig_in_region(REGION_SIZE - 1, 16)};
	struct wire_target unwanted = {1, rig_in_region(0, 64)};
	struct wire_target nowhere = {0, {.arena = REGION + 1, .length = 64}};
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	for (int i = 0; i < 4; i++)
		rig_add_rows(&g, 1, 0);
	target(&g, 0, &good);
	target(&g, 1, &outside);
	target(&g, 2, &unwanted);
	target(&g, 3, &nowhere);
	rig_execute(&g);
	cr_assert_eq(g.done.results[0].code, 0);
	cr_assert_eq(g.done.results[0].outputs[0].span.arena, REGION);
	rig_expect_error(&g, 1, GRPC_INTERNAL, "can be written");
	rig_expect_error(&g, 2, GRPC_INTERNAL, "not wanted");
	rig_expect_error(&g, 3, GRPC_INTERNAL, "can be written");
	rig_deinit(&g);
}

Test(executor_targets, read_only_region_takes_no_output)
{
	struct wire_map map = {.id = REGION + 9, .size = 4096, .writable = false};
	struct wire_target t = {0, {.arena = REGION + 9, .length = 64}};
	void *data;
	int fd = fake_region(4096, &data);
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	cr_assert_eq(regions_map(&g.regions, fd, &map), 0);
	rig_add_rows(&g, 1, 0);
	target(&g, 0, &t);
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_INTERNAL, "can be written");
	rig_deinit(&g);
	close(fd);
}

Test(executor_targets, a_region_that_there_was_no_room_to_map)
{
	struct wire_map map = {.id = REGION + 9, .size = 4096, .writable = true};
	struct wire_target t = {0, {.arena = REGION + 9, .length = 64}};
	void *data;
	int fd = fake_region(4096, &data);
	struct rig g;

	rig_init(&g, ARENA_BYTES, ARENA_BYTES);
	for (unsigned long i = 1; !regions_lacks(&g.regions, map.id); i++) {
		failalloc_arm(FAIL_ALL, FAIL_TRANSIENT, i);
		cr_assert_neq(regions_map(&g.regions, fd, &map), 0);
		failalloc_disarm();
	}
	rig_add_rows(&g, 1, 0);
	target(&g, 0, &t);
	rig_execute(&g);
	rig_expect_error(&g, 0, GRPC_RESOURCE_EXHAUSTED, "no room to map the region");
	rig_deinit(&g);
	close(fd);
}
