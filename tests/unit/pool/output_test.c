/* output_test.c: leases: what is told to a worker, in which portions, and what is not. */
#include "pool/output.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "shm/segment.h"
#include "tests/support/failalloc.h"

struct sent {
	size_t n_messages;
	size_t n_batches;
	uint64_t last;
	struct output *mute; /* is muted by the first message */
};

static void tell(struct worker *w, const struct wire_release *m)
{
	struct sent *s = (struct sent *)w;

	s->n_messages++;
	s->n_batches += m->n_batches;
	s->last = m->batches[m->n_batches - 1];
	if (s->mute)
		output_mute(s->mute);
}

struct scene {
	struct output_desk desk;
	struct segment *arena;
	struct output *output;
	struct sent sent;
};

static void scene_init(struct scene *s)
{
	struct segment_options o = {.name = "out", .size = 65536};

	memset(s, 0, sizeof(*s));
	cr_assert_eq(output_desk_init(&s->desk), 0);
	cr_assert_eq(segment_new(&s->arena, &o), 0);
	segment_set_id(s->arena, 9);
	cr_assert_eq(output_new(&s->output, &s->desk, (struct worker *)&s->sent,
			     segment_fd(s->arena), 9, segment_size(s->arena)),
		0);
}

static void scene_deinit(struct scene *s)
{
	if (s->output)
		output_mute(s->output);
	output_unref(s->output);
	output_desk_deinit(&s->desk);
	segment_free(s->arena);
}

static struct output_lease *lease(struct scene *s, uint64_t batch, bool fill)
{
	struct output_lease *l = NULL;

	cr_assert_eq(output_lease_new(&l, s->output, batch), 0);
	if (fill)
		output_lease_fill(l, 1);
	return l;
}

Test(output, released_in_portions)
{
	struct scene s;

	scene_init(&s);
	for (uint64_t i = 1; i <= WIRE_RELEASE_MAX + 5; i++)
		output_lease_unref(lease(&s, i, true));
	cr_assert_eq(s.sent.n_messages, 0);
	output_tell(s.output, tell);
	cr_assert_eq(s.sent.n_messages, 2);
	cr_assert_eq(s.sent.n_batches, WIRE_RELEASE_MAX + 5);
	cr_assert_eq(s.sent.last, WIRE_RELEASE_MAX + 5);
	cr_assert_eq(s.desk.n_leases, 0);
	output_tell(s.output, tell);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 2);
	scene_deinit(&s);
}

Test(output, few_wait_for_company_and_many_do_not)
{
	struct scene s;

	scene_init(&s);
	for (uint64_t i = 1; i <= 255; i++)
		output_lease_unref(lease(&s, i, true));
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 0);
	output_lease_unref(lease(&s, 256, true));
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 1);
	cr_assert_eq(s.sent.n_batches, 256);
	output_lease_unref(lease(&s, 257, true));
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 1, "counted anew");
	scene_deinit(&s);
}

Test(output, a_large_part_of_the_arena_does_not_wait)
{
	struct scene s;
	struct output_lease *l;

	scene_init(&s);
	l = lease(&s, 1, false);
	output_lease_fill(l, segment_size(s.arena) / 16 - 1);
	output_lease_unref(l);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 0);
	output_lease_unref(lease(&s, 2, true));
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_batches, 2);
	scene_deinit(&s);
}

Test(output, only_the_last_reference_of_a_filled_one_is_told)
{
	struct scene s;
	struct output_lease *l;

	scene_init(&s);
	l = output_lease_ref(lease(&s, 1, true));
	output_lease_unref(l);
	output_lease_unref(lease(&s, 2, false));
	output_tell(s.output, tell);
	cr_assert_eq(s.sent.n_messages, 0);
	output_lease_unref(l);
	output_tell(s.output, tell);
	cr_assert_eq(s.sent.n_batches, 1);
	cr_assert_eq(s.sent.last, 1);
	scene_deinit(&s);
}

Test(output, mapping_outlives_its_process)
{
	struct scene s;
	struct output_lease *l;
	const uint8_t *data;
	struct span span;

	scene_init(&s);
	cr_assert_eq(segment_alloc(s.arena, 100, &span), 0);
	memset(segment_data(s.arena, &span), 'x', 100);
	l = lease(&s, 1, true);
	data = output_data(s.output, &span);
	span.offset = 65536;
	cr_assert_null(output_data(s.output, &span));
	output_lease_unref(lease(&s, 2, true)); /* waits for a flush that never comes */
	output_mute(s.output);
	s.output = output_unref(s.output);
	cr_assert_eq(data[99], 'x');
	output_lease_unref(l);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 0);
	cr_assert_eq(s.desk.n_leases, 0);
	scene_deinit(&s);
}

Test(output, muted_while_it_is_told)
{
	struct scene s;

	scene_init(&s);
	s.sent.mute = s.output;
	for (uint64_t i = 1; i <= WIRE_RELEASE_MAX + 5; i++)
		output_lease_unref(lease(&s, i, true));
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 1);
	cr_assert_eq(s.desk.n_leases, 0);
	scene_deinit(&s);
}

Test(output, steady_load_allocates_nothing)
{
	struct scene s;

	scene_init(&s);
	output_lease_unref(lease(&s, 1, true));
	output_tell(s.output, tell);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	for (uint64_t i = 2; i <= 100; i++) {
		output_lease_unref(lease(&s, i, true));
		output_tell(s.output, tell);
	}
	failalloc_disarm();
	cr_assert_eq(failalloc_count(), 0);
	cr_assert_eq(s.sent.n_batches, 100);
	scene_deinit(&s);
}
