/* output_test.c: leases: what is told to a worker, in which portions, and what is not. */
#include "pool/output.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "shm/segment.h"
#include "shm/slots.h"
#include "tests/support/failalloc.h"

#define ID (5 * SLOTS_MAX + 9)

struct sent {
	size_t n_messages;
	size_t n_batches;
	uint64_t last;
	uint64_t unmapped;
	unsigned n_unmapped;
	struct output *mute; /* is muted by the first message */
};

static void tell(struct worker *w, const struct wire_message *m)
{
	struct sent *s = (struct sent *)w;

	if (m->type == WIRE_UNMAPPED) {
		s->unmapped = m->unmap.id;
		s->n_unmapped++;
		return;
	}
	s->n_messages++;
	s->n_batches += m->release.n_batches;
	s->last = m->release.batches[m->release.n_batches - 1];
	if (s->mute)
		output_mute(s->mute);
}

struct scene {
	struct output_desk desk;
	struct segment *arena;
	struct output *output;
	struct sent sent;
};

static const char *why;

static int map(struct scene *s, const struct segment *segment, uint64_t id, uint64_t size)
{
	const struct wire_map m = {.id = id, .size = size};

	why = "";
	return output_map(s->output, segment_fd(segment), &m, &why);
}

static void scene_init(struct scene *s)
{
	const struct output_limits limits = {.bytes = 4 * 65536, .n_segments = 3};
	struct segment_options o = {.name = "out", .size = 65536};

	memset(s, 0, sizeof(*s));
	cr_assert_eq(output_desk_init(&s->desk), 0);
	cr_assert_eq(segment_new(&s->arena, &o), 0);
	segment_set_id(s->arena, ID);
	cr_assert_eq(output_new(&s->output, &s->desk, (struct worker *)&s->sent, &limits), 0);
	cr_assert_eq(map(s, s->arena, ID, 65536), 0);
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

/* --- Segments ------------------------------------------------------------------------------- */

static void refused(struct scene *s, const struct segment *segment, uint64_t id, uint64_t size,
	const char *text)
{
	cr_assert_eq(map(s, segment, id, size), -EPROTO);
	cr_assert(strstr(why, text), "%s", why);
}

Test(output, what_is_no_segment_is_refused)
{
	struct segment_options o = {.name = "large", .size = 5 * 65536};
	struct segment *large;
	struct scene s;

	scene_init(&s);
	cr_assert_eq(segment_new(&large, &o), 0);
	refused(&s, s.arena, ID, 65536, "id is in use");
	refused(&s, s.arena, WIRE_REGION_BIT | 1, 65536, "not of a kind");
	refused(&s, s.arena, ID + 1, 4096, "not that size");
	refused(&s, large, ID + 1, 5 * 65536, "larger");
	refused(&s, s.arena, ID + 1, UINT64_MAX, "larger");
	cr_assert_eq(output_mapped(s.output), 65536);
	cr_assert_eq(map(&s, s.arena, ID + 1, 65536), 0);
	cr_assert_eq(map(&s, s.arena, ID + 2, 65536), 0);
	refused(&s, s.arena, ID + 3, 65536, "too many");
	cr_assert_eq(output_n_segments(s.output), 3);
	segment_free(large);
	scene_deinit(&s);
}

Test(output, a_segment_leaves_when_nobody_reads_it)
{
	struct scene s;
	struct output_lease *before, *after;
	struct span span;

	scene_init(&s);
	cr_assert_eq(segment_alloc(s.arena, 100, &span), 0);
	before = lease(&s, 1, true);
	cr_assert_eq(output_unmap(s.output, ID + SLOTS_MAX), -EPROTO);
	cr_assert_eq(output_unmap(s.output, ID), 0);
	cr_assert_eq(output_unmap(s.output, ID), -EPROTO);
	cr_assert_null(output_data(s.output, &span));
	cr_assert_eq(output_mapped(s.output), 0);
	after = lease(&s, 2, true);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_unmapped, 0);
	output_lease_unref(before);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_unmapped, 1, "leases that came later are not on it");
	cr_assert_eq(s.sent.unmapped, ID);
	output_lease_unref(after);
	cr_assert_eq(map(&s, s.arena, ID, 65536), 0);
	cr_assert_eq(output_unmap(s.output, ID), 0);
	output_tell(s.output, tell);
	cr_assert_eq(s.sent.n_unmapped, 2, "at once");
	scene_deinit(&s);
}

Test(output, nobody_is_told_of_a_segment_when_muted)
{
	struct scene s;
	struct output_lease *l;

	scene_init(&s);
	l = lease(&s, 1, true);
	cr_assert_eq(output_unmap(s.output, ID), 0);
	output_mute(s.output);
	output_lease_unref(l);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_unmapped, 0);
	scene_deinit(&s);
}

static int map_once(void *arg)
{
	const struct output_limits limits = {.bytes = 65536, .n_segments = 1};
	struct scene *s = arg;
	struct output *o = NULL;
	int r = output_new(&o, &s->desk, NULL, &limits);

	if (!r)
		r = output_map(
			o, segment_fd(s->arena), &(struct wire_map){.id = 1, .size = 65536}, &why);
	output_unref(o);
	return r;
}

Test(output, mapping_survives_faults)
{
	struct scene s;

	scene_init(&s);
	FAULT_LOOP(map_once, &s);
	scene_deinit(&s);
}
