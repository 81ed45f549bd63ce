/* fake_executor.c: see fake_executor.h. */
#include "fake_executor.h"

#include <criterion/criterion.h>
#include <string.h>

#include "fake_daemon.h"

static int say_partial(void *data, struct wire_partial *partial, struct hold *hold)
{
	struct rig *g = data;
	struct span span = partial->outputs[0].span;

	if (g->say_error)
		return g->say_error;
	cr_assert_eq(partial->batch, g->run.batch);
	cr_assert_eq(partial->n_outputs, 1);
	memcpy(&g->last_value, segment_data(g->made, &span), sizeof(g->last_value));
	g->last_hold = outputs_number(g->outputs, hold);
	g->n_partial++;
	return 0;
}

/* As the daemon, with clients that take what they are given. */
static int flush(void *data)
{
	struct rig *g = data;

	g->n_flushed++;
	while (g->releases && g->last_hold > 0 && outputs_release(g->outputs, g->last_hold) == 0)
		g->last_hold--;
	return 0;
}

struct executor_parts rig_parts(struct rig *g, uint64_t scratch_max, uint64_t wait_ns)
{
	return (struct executor_parts){&g->regions, g->outputs, &g->memory, scratch_max, NULL,
		say_partial, flush, g, wait_ns};
}

void rig_init(struct rig *g, uint64_t output_bytes, uint64_t scratch_max)
{
	struct segment_options input = {.name = "input", .size = ARENA_BYTES};
	struct arena_options output = {
		.name = "output", .limit = output_bytes, .segment_bytes = output_bytes};
	struct wire_map input_map = {.id = 1, .size = ARENA_BYTES};
	struct wire_map map = {.id = REGION, .size = REGION_SIZE, .writable = true};
	struct executor_parts parts;
	void *region;
	int fd;

	memset(g, 0, sizeof(*g));
	cr_assert_eq(segment_new(&g->input, &input), 0);
	segment_set_id(g->input, 1);
	cr_assert_eq(regions_map(&g->regions, segment_fd(g->input), &input_map), 0);
	cr_assert_eq(outputs_new(&g->outputs, &output, 64), 0);
	g->made = outputs_next_new(g->outputs);
	pthread_mutex_init(&g->memory, NULL);
	fd = fake_region(REGION_SIZE, &region);
	g->region = region;
	cr_assert_eq(regions_map(&g->regions, fd, &map), 0);
	close_fd(&fd);
	parts = rig_parts(g, scratch_max, 0);
	cr_assert_eq(executor_new(&g->executor, &parts), 0);
	fake_backend_init(&g->fake, 1, 1, MODELD_DTYPE_I32, 4, 8);
	g->run.batch = 100;
	g->run.items = g->items;
}

void rig_deinit(struct rig *g)
{
	executor_free(g->executor);
	regions_deinit(&g->regions);
	outputs_free(g->outputs);
	segment_free(g->input);
}

uint64_t rig_used(const struct rig *g)
{
	return arena_used(outputs_arena(g->outputs));
}

void rig_add_span(struct rig *g, enum dtype dtype, int64_t rows, int64_t width, struct span span)
{
	size_t i = g->run.n_items++;

	g->dims[i][0][0] = rows;
	g->dims[i][0][1] = width;
	g->tensors[i][0] = (struct wire_tensor){0, dtype, 2, g->dims[i][0], span};
	g->items[i] = (struct wire_item){.inputs = g->tensors[i], .n_inputs = 1};
}

void *rig_put(struct rig *g, const void *data, uint64_t n, struct span *ret_span)
{
	cr_assert_eq(segment_alloc(g->input, n, ret_span), 0);
	memcpy(segment_data(g->input, ret_span), data, n);
	return segment_data(g->input, ret_span);
}

void rig_add_rows(struct rig *g, int64_t rows, int32_t first)
{
	int32_t values[4 * ITEMS];
	struct span s;

	for (int32_t i = 0; i < 4 * rows; i++)
		values[i] = first + i;
	rig_put(g, values, (uint64_t)rows * 16, &s);
	rig_add_span(g, DTYPE_I32, rows, 4, s);
}

void rig_add_gap(struct rig *g)
{
	struct span s;

	rig_put(g, "gap", 3, &s);
}

void rig_execute(struct rig *g)
{
	cr_assert_eq(executor_run(g->executor, &g->fake.lane, &g->run, &g->done), 0);
	cr_assert_eq(g->done.batch, g->run.batch);
	cr_assert_eq(g->done.n_results, g->run.n_items);
	executor_number(g->executor, &g->done);
}

void rig_release(struct rig *g)
{
	for (size_t i = 0; i < g->done.n_results; i++) {
		uint64_t hold = g->done.results[i].hold;

		if (hold > 0 && (i == 0 || hold != g->done.results[i - 1].hold))
			cr_assert_eq(outputs_release(g->outputs, hold), 0);
	}
}

const void *rig_output(struct rig *g, size_t i, size_t k)
{
	const struct wire_result *r = &g->done.results[i];
	_cleanup_(view_freep) struct view *v = NULL;
	const struct segment *s = g->made;

	cr_assert_eq(r->code, 0, "item %zu: %u %s", i, r->code, r->message);
	cr_assert_lt(k, r->n_outputs);
	cr_assert_eq(view_new(&v, segment_fd(s), segment_id(s), segment_size(s)), 0);
	cr_assert(view_data(v, &r->outputs[k].span));
	return segment_data((struct segment *)s, &r->outputs[k].span);
}

void rig_expect_rows(struct rig *g, size_t i, int64_t rows, int32_t first)
{
	const int32_t *values = rig_output(g, i, 0);
	const struct wire_tensor *t = &g->done.results[i].outputs[0];

	cr_assert_eq(t->dims[0], rows);
	cr_assert_eq(t->dims[1], 4);
	cr_assert_eq(t->span.length, (uint64_t)rows * 16);
	for (int32_t k = 0; k < 4 * rows; k++)
		cr_assert_eq(values[k], first + k);
}

void rig_expect_error(struct rig *g, size_t i, enum grpc_status code, const char *part)
{
	const struct wire_result *r = &g->done.results[i];

	cr_assert_eq(r->code, (uint32_t)code, "%u %s", r->code, r->message);
	cr_assert(strstr(r->message, part), "'%s' has no '%s'", r->message, part);
	cr_assert_eq(r->n_outputs, 0);
}

struct span rig_in_region(uint64_t offset, uint64_t length)
{
	return (struct span){.arena = REGION, .offset = offset, .length = length};
}
