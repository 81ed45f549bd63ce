/* output_memory_test.c: leases: what is told to a worker, in which portions, and what is not. */
#include "pool/output_memory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "shm/segment.h"
#include "shm/slots.h"
#include "shm/view.h"
#include "tests/support/failalloc.h"

#define ID	  (5 * SLOTS_MAX + 9)
#define HOLDS_MAX 8192u

struct sent {
	size_t n_messages;
	size_t n_holds;
	uint64_t last;
	uint64_t unmapped;
	unsigned n_unmapped;
	struct output_memory *mute; /* is muted by the first message */
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
	s->n_holds += m->release.n_holds;
	s->last = m->release.holds[m->release.n_holds - 1];
	if (s->mute)
		output_memory_mute(s->mute);
}

struct scene {
	struct output_desk desk;
	struct segment *arena;
	struct output_memory *output;
	struct sent sent;
};

static const char *why;

static int map(struct scene *s, const struct segment *segment, uint64_t id, uint64_t size)
{
	const struct wire_map m = {.id = id, .size = size};
	_cleanup_(close_fd) int fd = dup(segment_fd(segment));
	int r;

	why = "";
	r = output_memory_map(s->output, &fd, &m, &why);
	cr_assert_eq(fd >= 0, r != 0);
	return r;
}

static void scene_init(struct scene *s)
{
	const struct output_limits limits = {
		.bytes = 4 * 65536, .n_segments = 3, .n_holds = HOLDS_MAX};
	struct segment_options o = {.name = "out", .size = 65536};

	memset(s, 0, sizeof(*s));
	cr_assert_eq(output_desk_init(&s->desk), 0);
	cr_assert_eq(segment_new(&s->arena, &o), 0);
	segment_set_id(s->arena, ID);
	cr_assert_eq(
		output_memory_new(&s->output, &s->desk, (struct worker *)&s->sent, &limits), 0);
	cr_assert_eq(map(s, s->arena, ID, 65536), 0);
}

static void scene_deinit(struct scene *s)
{
	if (s->output)
		output_memory_mute(s->output);
	output_memory_unref(s->output);
	output_desk_deinit(&s->desk);
	segment_free(s->arena);
}

static struct output_lease *lease(struct scene *s, uint64_t hold)
{
	struct output_lease *l = NULL;

	cr_assert_eq(output_lease_new(&l, s->output, hold, &why), 0, "%s", why);
	output_lease_add(l, 1);
	return l;
}

/* The same, of something in the segment of this id. */
static struct output_lease *lease_on(struct scene *s, uint64_t hold, uint64_t id)
{
	struct output_lease *l = lease(s, hold);

	cr_assert_eq(output_lease_on(l, id), 0);
	return l;
}

Test(output_memory, released_in_portions)
{
	struct scene s;

	scene_init(&s);
	for (uint64_t i = 1; i <= WIRE_RELEASE_MAX + 5; i++)
		output_lease_unref(lease(&s, i));
	cr_assert_eq(s.sent.n_messages, 0);
	output_memory_tell(s.output, tell);
	cr_assert_eq(s.sent.n_messages, 2);
	cr_assert_eq(s.sent.n_holds, WIRE_RELEASE_MAX + 5);
	cr_assert_eq(s.sent.last, WIRE_RELEASE_MAX + 5);
	cr_assert_eq(s.desk.n_leases, 0);
	output_memory_tell(s.output, tell);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 2);
	scene_deinit(&s);
}

Test(output_memory, few_wait_for_company_and_many_do_not)
{
	struct scene s;

	scene_init(&s);
	for (uint64_t i = 1; i <= 255; i++)
		output_lease_unref(lease(&s, i));
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 0);
	output_lease_unref(lease(&s, 256));
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 1);
	cr_assert_eq(s.sent.n_holds, 256);
	output_lease_unref(lease(&s, 257));
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 1, "counted anew");
	scene_deinit(&s);
}

Test(output_memory, a_large_part_of_the_arena_does_not_wait)
{
	struct scene s;
	struct output_lease *l;

	scene_init(&s);
	l = lease(&s, 1);
	output_lease_add(l, segment_size(s.arena) / 16 - 2);
	output_lease_unref(l);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 0);
	output_lease_unref(lease(&s, 2));
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_holds, 2);
	scene_deinit(&s);
}

Test(output_memory, only_the_last_reference_is_told)
{
	struct scene s;
	struct output_lease *l;

	scene_init(&s);
	l = output_lease_ref(lease(&s, 1));
	output_lease_unref(l);
	output_memory_tell(s.output, tell);
	cr_assert_eq(s.sent.n_messages, 0);
	output_lease_unref(l);
	output_memory_tell(s.output, tell);
	cr_assert_eq(s.sent.n_holds, 1);
	cr_assert_eq(s.sent.last, 1);
	scene_deinit(&s);
}

Test(output_memory, mapping_outlives_its_process)
{
	struct scene s;
	struct output_lease *l;
	const uint8_t *data;
	struct span span;

	scene_init(&s);
	cr_assert_eq(segment_alloc(s.arena, 100, &span), 0);
	memset(segment_data(s.arena, &span), 'x', 100);
	l = lease(&s, 1);
	data = output_memory_data(s.output, &span);
	span.offset = 65536;
	cr_assert_null(output_memory_data(s.output, &span));
	output_lease_unref(lease(&s, 2)); /* waits for a flush that never comes */
	output_memory_mute(s.output);
	s.output = output_memory_unref(s.output);
	cr_assert_eq(data[99], 'x');
	output_lease_unref(l);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 0);
	cr_assert_eq(s.desk.n_leases, 0);
	scene_deinit(&s);
}

Test(output_memory, muted_while_it_is_told)
{
	struct scene s;

	scene_init(&s);
	s.sent.mute = s.output;
	for (uint64_t i = 1; i <= WIRE_RELEASE_MAX + 5; i++)
		output_lease_unref(lease(&s, i));
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_messages, 1);
	cr_assert_eq(s.desk.n_leases, 0);
	scene_deinit(&s);
}

Test(output_memory, holds_grow_and_are_not_too_many)
{
	struct output_lease *l[3], *untouched = NULL;
	struct scene s;

	scene_init(&s);
	l[0] = lease(&s, 5);
	cr_assert_eq(output_lease_new(&untouched, s.output, 5, &why), -EPROTO);
	cr_assert_eq(output_lease_new(&untouched, s.output, 0, &why), -EPROTO);
	cr_assert_str_eq(why, "a hold that does not come next");
	l[1] = lease(&s, 6);
	for (uint64_t i = 2; i < HOLDS_MAX; i++)
		output_lease_unref(lease(&s, 100 + i));
	/* What the worker was not told yet counts. */
	cr_assert_eq(output_lease_new(&untouched, s.output, UINT64_MAX, &why), -EPROTO);
	cr_assert_str_eq(why, "a hold more than [worker] max_holds");
	output_memory_tell(s.output, tell);
	l[2] = lease(&s, UINT64_MAX);
	for (size_t i = 0; i < 3; i++)
		output_lease_unref(l[i]);
	scene_deinit(&s);
}

Test(output_memory, the_descriptor_stays_while_the_segment_does)
{
	struct output_lease *l;
	struct scene s;
	struct view *again;
	int fd;

	scene_init(&s);
	fd = output_memory_segment_fd(s.output, ID);
	cr_assert_eq(output_memory_segment_fd(s.output, ID + 1), -1);
	cr_assert_eq(view_new(&again, fd, ID, 65536), 0, "another process can map it");
	view_free(again);
	l = lease_on(&s, 1, ID);
	cr_assert_eq(output_memory_unmap(s.output, ID), 0);
	cr_assert_eq(output_memory_segment_fd(s.output, ID), -1, "nothing new begins there");
	cr_assert_geq(fcntl(fd, F_GETFD), 0, "but it is read");
	output_lease_unref(l);
	cr_assert_lt(fcntl(fd, F_GETFD), 0);
	scene_deinit(&s);
}

Test(output_memory, steady_load_allocates_nothing)
{
	struct scene s;

	scene_init(&s);
	output_lease_unref(lease(&s, 1));
	output_memory_tell(s.output, tell);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	for (uint64_t i = 2; i <= 100; i++) {
		output_lease_unref(lease(&s, i));
		output_memory_tell(s.output, tell);
	}
	failalloc_disarm();
	cr_assert_eq(failalloc_count(), 0);
	cr_assert_eq(s.sent.n_holds, 100);
	scene_deinit(&s);
}

/* --- Segments ------------------------------------------------------------------------------- */

static void refused(struct scene *s, const struct segment *segment, uint64_t id, uint64_t size,
	const char *text)
{
	cr_assert_eq(map(s, segment, id, size), -EPROTO);
	cr_assert(strstr(why, text), "%s", why);
}

Test(output_memory, what_is_no_segment_is_refused)
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
	cr_assert_eq(output_memory_mapped(s.output), 65536);
	cr_assert_eq(map(&s, s.arena, ID + 1, 65536), 0);
	cr_assert_eq(map(&s, s.arena, ID + 2, 65536), 0);
	refused(&s, s.arena, ID + 3, 65536, "too many");
	cr_assert_eq(output_memory_n_segments(s.output), 3);
	segment_free(large);
	scene_deinit(&s);
}

Test(output_memory, a_segment_leaves_when_nobody_reads_it)
{
	struct scene s;
	struct output_lease *before, *after;
	struct span span;

	scene_init(&s);
	cr_assert_eq(segment_alloc(s.arena, 100, &span), 0);
	before = lease_on(&s, 1, ID);
	cr_assert_eq(output_lease_on(before, ID), 0, "once is enough");
	cr_assert_eq(output_memory_unmap(s.output, ID + SLOTS_MAX), -EPROTO);
	cr_assert_eq(output_memory_unmap(s.output, ID), 0);
	cr_assert_eq(output_memory_unmap(s.output, ID), -EPROTO);
	cr_assert_null(output_memory_data(s.output, &span));
	cr_assert_eq(output_memory_mapped(s.output), 65536, "it counts as long as it is there");
	after = lease(&s, 2);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_unmapped, 0);
	output_lease_unref(before);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_unmapped, 1, "leases that came later are not on it");
	cr_assert_eq(s.sent.unmapped, ID);
	cr_assert_eq(output_memory_mapped(s.output), 0);
	output_lease_unref(after);
	cr_assert_eq(map(&s, s.arena, ID, 65536), 0);
	cr_assert_eq(output_memory_unmap(s.output, ID), 0);
	output_memory_tell(s.output, tell);
	cr_assert_eq(s.sent.n_unmapped, 2, "at once");
	scene_deinit(&s);
}

/* Who reads slowly keeps what he has, and no more: else all that is used beside him would pile up. */
Test(output_memory, who_keeps_one_segment_keeps_no_other)
{
	struct scene s;
	struct output_lease *slow, *both;

	scene_init(&s);
	slow = lease_on(&s, 1, ID);
	for (uint64_t i = 1; i <= 10; i++) {
		cr_assert_eq(map(&s, s.arena, ID + 1, 65536), 0, "%s", why);
		both = lease_on(&s, 2 * i, ID + 1);
		cr_assert_eq(output_lease_on(both, ID), 0);
		output_lease_unref(both);
		cr_assert_eq(output_memory_unmap(s.output, ID + 1), 0);
		output_desk_flush(&s.desk, tell);
		cr_assert_eq(s.sent.n_unmapped, i);
		cr_assert_eq(s.sent.unmapped, ID + 1);
	}
	cr_expect_eq(output_memory_n_segments(s.output), 1);
	output_lease_unref(slow);
	scene_deinit(&s);
}

/* A worker that takes back what is still read does not get more mapped by that. */
Test(output_memory, what_is_taken_back_counts_while_it_is_read)
{
	struct scene s;
	struct output_lease *l[3];

	scene_init(&s);
	for (uint64_t i = 0; i < 3; i++) {
		if (i > 0)
			cr_assert_eq(map(&s, s.arena, ID + i, 65536), 0, "%s", why);
		l[i] = lease_on(&s, i + 1, ID + i);
		cr_assert_eq(output_memory_unmap(s.output, ID + i), 0);
	}
	cr_expect_eq(output_memory_n_segments(s.output), 3);
	refused(&s, s.arena, ID, 65536, "too many");
	output_lease_unref(l[1]);
	cr_expect_eq(map(&s, s.arena, ID, 65536), 0, "%s", why);
	output_lease_unref(l[0]);
	output_lease_unref(l[2]);
	output_desk_flush(&s.desk, tell);
	cr_expect_eq(s.sent.n_unmapped, 3);
	scene_deinit(&s);
}

Test(output_memory, nobody_is_told_of_a_segment_when_muted)
{
	struct scene s;
	struct output_lease *l;

	scene_init(&s);
	l = lease_on(&s, 1, ID);
	cr_assert_eq(output_memory_unmap(s.output, ID), 0);
	output_memory_mute(s.output);
	output_lease_unref(l);
	output_desk_flush(&s.desk, tell);
	cr_assert_eq(s.sent.n_unmapped, 0);
	scene_deinit(&s);
}

static int map_once(void *arg)
{
	const struct output_limits limits = {.bytes = 65536, .n_segments = 1, .n_holds = 1};
	struct scene *s = arg;
	struct output_memory *o = NULL;
	struct output_lease *l = NULL, *part = NULL;
	_cleanup_(close_fd) int fd = dup(segment_fd(s->arena));
	int r = output_memory_new(&o, &s->desk, NULL, &limits);

	if (!r)
		r = output_memory_map(o, &fd, &(struct wire_map){.id = 1, .size = 65536}, &why);
	if (!r)
		r = output_lease_new(&l, o, 7, &why);
	if (!r)
		r = output_lease_part(&part, l);
	if (!r)
		r = output_lease_on(part, 1);
	output_lease_unref(part);
	output_lease_unref(l);
	output_memory_unref(o);
	return r;
}

Test(output_memory, mapping_survives_faults)
{
	struct scene s;

	scene_init(&s);
	FAULT_LOOP(map_once, &s);
	scene_deinit(&s);
}

static uint64_t ended, more;

static void on_more(void *data, uint64_t bytes)
{
	(void)data;
	more += bytes;
}

static void on_end(void *data, uint64_t bytes)
{
	*(unsigned *)data += 1;
	ended = bytes;
}

static const struct output_charge charge = {.on_more = on_more, .on_end = on_end};

Test(output_memory, who_keeps_it_is_charged_until_the_last_reference_goes)
{
	struct scene s;
	struct output_lease *l;
	unsigned n = 0;

	scene_init(&s);
	l = lease(&s, 1);
	cr_expect_eq(output_lease_charge(l, &charge, &n), 0, "nobody keeps it");
	output_lease_add(l, 99);
	output_lease_ref(l);
	cr_expect_eq(output_lease_charge(l, &charge, &n), 100);
	cr_expect_eq(output_lease_charge(l, &charge, &n), 0, "somebody is charged");
	output_lease_unref(l);
	cr_expect_eq(n, 0);
	output_lease_unref(l);
	cr_expect_eq(n, 1);
	cr_expect_eq(ended, 100);
	output_lease_unref(lease(&s, 2));
	cr_expect_eq(n, 1);
	scene_deinit(&s);
}

Test(output_memory, a_charge_ends_also_where_the_process_is_gone)
{
	struct scene s;
	struct output_lease *l;
	unsigned n = 0;

	scene_init(&s);
	l = output_lease_ref(lease(&s, 1));
	cr_expect_eq(output_lease_charge(l, &charge, &n), 1);
	output_memory_mute(s.output);
	output_lease_unref(l);
	output_lease_unref(l);
	cr_expect_eq(n, 1);
	scene_deinit(&s);
}

Test(output_memory, nothing_costs_nothing)
{
	struct scene s;
	struct output_lease *l = NULL;
	unsigned n = 0;

	scene_init(&s);
	cr_assert_eq(output_lease_new(&l, s.output, 1, &why), 0);
	output_lease_ref(l);
	cr_expect_eq(output_lease_charge(l, &charge, &n), 0);
	output_lease_unref(l);
	output_lease_unref(l);
	cr_expect_eq(n, 0);
	scene_deinit(&s);
}

/* A part of `bytes`, kept by somebody, who is charged with it; the hold's lease is given back. */
static struct output_lease *kept_part(struct output_lease *whole, uint64_t bytes, unsigned *n)
{
	struct output_lease *l = NULL;

	cr_assert_eq(output_lease_part(&l, whole), 0);
	output_lease_add(l, bytes);
	output_lease_ref(l);
	cr_expect_eq(output_lease_charge(l, &charge, n), bytes);
	output_lease_unref(l);
	return l;
}

Test(output_memory, each_is_charged_for_its_part_and_who_is_last_for_the_whole)
{
	struct output_lease *whole = NULL, *unkept = NULL, *l[3];
	unsigned n[3] = {0};
	struct scene s;

	scene_init(&s);
	ended = more = 0;
	cr_assert_eq(output_lease_new(&whole, s.output, 1, &why), 0);
	for (size_t i = 0; i < 3; i++)
		l[i] = kept_part(whole, 100 + i, &n[i]);
	cr_assert_eq(output_lease_part(&unkept, whole), 0);
	output_lease_add(unkept, 50);
	cr_expect_eq(output_lease_charge(unkept, &charge, n), 0, "nobody keeps it");
	output_lease_unref(whole);
	output_lease_unref(unkept);
	cr_expect_eq(more, 50, "it lies there for the sake of the others");
	output_lease_unref(l[0]);
	cr_expect_eq(ended, 150);
	output_lease_unref(l[2]);
	cr_expect_eq(ended, 102);
	output_memory_tell(s.output, tell);
	cr_expect_eq(s.sent.n_holds, 0, "one is there still");
	output_lease_unref(l[1]);
	cr_expect_eq(ended, 353);
	for (size_t i = 0; i < 3; i++)
		cr_expect_eq(n[i], 1);
	output_memory_tell(s.output, tell);
	cr_expect_eq(s.sent.n_holds, 1);
	cr_expect_eq(s.desk.n_leases, 0);
	scene_deinit(&s);
}
