/*
 * arena_test.c: an arena grows by segments and shrinks again; low ones come first; the limit holds;
 * what is not resident is known; a host without memory is an error.
 */
#include "shm/arena.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "shm/slots.h"
#include "tests/support/failalloc.h"

#define KIB  UINT64_C(1024)
#define MIB  (UINT64_C(1) << 20)
#define PAGE UINT64_C(4096)
#define S    UINT64_C(1000000000)

/* Who is told of segments. */
struct owner {
	struct arena *arena;
	struct slots ids;
	struct segment *idle[16]; /* on_idle came for, not removed yet */
	unsigned n_idle;
	unsigned n_made;
	bool keep; /* do not remove what is idle at once */
	int fail;  /* of on_made */
};

static int on_made(void *data, struct segment *s, uint64_t *ret_id)
{
	struct owner *o = data;

	o->n_made++;
	return o->fail ? o->fail : slots_add(&o->ids, s, ret_id);
}

static void drop(struct owner *o, struct segment *s)
{
	slots_remove(&o->ids, segment_id(s));
	segment_free(arena_remove(o->arena, s));
}

static void on_idle(void *data, struct segment *s)
{
	struct owner *o = data;

	cr_assert_eq(segment_n_spans(s), 0);
	if (o->keep)
		o->idle[o->n_idle++] = s;
	else
		drop(o, s);
}

static const struct arena_events events = {.on_made = on_made, .on_idle = on_idle};

static const struct arena_options usual = {
	.name = "test",
	.limit = 16 * MIB,
	.segment_bytes = MIB,
	.populate_first = 64 * KIB,
	.populate_ahead = 256 * KIB,
	.idle_ns = 30 * S,
};

static void begin(struct owner *o, const struct arena_options *options)
{
	*o = (struct owner){0};
	cr_assert_eq(arena_new(&o->arena, options, &events, o), 0);
}

static void end(struct owner *o)
{
	o->arena = arena_free(o->arena);
	slots_deinit(&o->ids);
}

static struct span take(struct owner *o, uint64_t length)
{
	struct span span;

	cr_assert_eq(arena_alloc(o->arena, length, &span), 0);
	cr_assert_eq(span.length, length);
	cr_assert_not_null(arena_data(o->arena, &span));
	return span;
}

static void give(struct owner *o, struct span span)
{
	cr_assert_eq(arena_release(o->arena, &span), 0);
	cr_assert_eq(arena_release(o->arena, &span), -ESTALE);
	cr_assert_null(arena_data(o->arena, &span));
}

static uint32_t n_segments(const struct owner *o)
{
	return arena_memory(o->arena).n_segments;
}

Test(arena, options)
{
	struct owner o = {0};
	struct arena_options bad = usual;

	bad.limit = 0;
	cr_assert_eq(arena_new(&o.arena, &bad, &events, &o), -EINVAL);
	bad = usual;
	bad.segment_bytes = 0;
	cr_assert_eq(arena_new(&o.arena, &bad, &events, &o), -EINVAL);
	bad = usual;
	bad.name = NULL;
	cr_assert_eq(arena_new(&o.arena, &bad, &events, &o), -EINVAL);
	o.fail = -EMFILE;
	cr_assert_eq(arena_new(&o.arena, &usual, &events, &o), -EMFILE);
	cr_assert_null(o.arena);
	cr_assert_null(arena_free(NULL));
}

Test(arena, the_first_segment)
{
	struct owner o;
	struct arena_memory m;

	begin(&o, &usual);
	m = arena_memory(o.arena);
	cr_assert_eq(o.n_made, 1);
	cr_assert(m.n_segments == 1 && m.mapped == MIB && m.resident == 64 * KIB);
	cr_assert_eq(arena_limit(o.arena), 16 * MIB);
	end(&o);
}

Test(arena, a_segment_is_no_larger_than_the_limit)
{
	struct arena_options options = usual;
	struct owner o;

	options.segment_bytes = UINT64_MAX;
	begin(&o, &options);
	cr_assert_eq(arena_memory(o.arena).mapped, 16 * MIB);
	give(&o, take(&o, 16 * MIB));
	cr_assert_eq(o.n_made, 1);
	end(&o);
}

Test(arena, grows_and_reuses_low_ones_first)
{
	struct owner o;
	struct span first, second, third, again;

	begin(&o, &usual);
	first = take(&o, MIB);
	second = take(&o, MIB / 2);
	third = take(&o, MIB);
	cr_assert_eq(n_segments(&o), 3);
	cr_assert(first.arena != second.arena && second.arena != third.arena);
	cr_assert_eq(take(&o, MIB / 2).arena, second.arena);
	cr_assert_eq(arena_used(o.arena), 3 * MIB);
	cr_assert_eq(arena_n_spans(o.arena), 4);
	give(&o, third);
	give(&o, first);
	again = take(&o, 1);
	cr_assert_eq(again.arena, first.arena);
	end(&o);
}

Test(arena, a_large_span_has_a_segment_of_its_own)
{
	struct owner o;
	struct span large, small;

	begin(&o, &usual);
	large = take(&o, 5 * MIB + 1);
	cr_assert_eq(arena_memory(o.arena).mapped, 6 * MIB + PAGE);
	give(&o, large);
	small = take(&o, MIB); /* does not go there */
	cr_assert_neq(small.arena, large.arena);
	cr_assert_neq(take(&o, MIB).arena, large.arena);
	cr_assert_eq(take(&o, 4 * MIB).arena, large.arena);
	end(&o);
}

Test(arena, the_limit_holds)
{
	struct owner o;
	struct span span, all[16];

	begin(&o, &usual);
	cr_assert_eq(arena_alloc(o.arena, 16 * MIB + 1, &span), ARENA_E_TOO_LARGE);
	cr_assert_eq(arena_alloc(o.arena, UINT64_MAX, &span), ARENA_E_TOO_LARGE);
	for (unsigned i = 0; i < 16; i++)
		all[i] = take(&o, MIB);
	cr_assert_eq(arena_alloc(o.arena, 0, &span), ARENA_E_FULL);
	cr_assert_eq(arena_alloc(o.arena, 2 * MIB, &span), ARENA_E_FULL);
	give(&o, all[5]);
	all[5] = take(&o, MIB);
	cr_assert_eq(n_segments(&o), 16);
	for (unsigned i = 0; i < 16; i++)
		give(&o, all[i]);
	end(&o);
}

/* A span as large as the limit fits beside an empty first segment; then that gives nothing. */
Test(arena, one_span_may_be_all)
{
	struct owner o;
	struct span all, span;

	begin(&o, &usual);
	all = take(&o, 16 * MIB);
	cr_assert_eq(arena_alloc(o.arena, 1, &span), ARENA_E_FULL);
	give(&o, all);
	span = take(&o, 1);
	cr_assert_eq(arena_alloc(o.arena, 16 * MIB, &all), ARENA_E_FULL);
	give(&o, span);
	give(&o, take(&o, 16 * MIB));
	end(&o);
}

Test(arena, the_number_of_segments_has_a_limit)
{
	struct arena_options options = usual;
	struct owner o;
	struct span first, second, span;

	options.max_segments = 2;
	begin(&o, &options);
	first = take(&o, MIB);
	second = take(&o, MIB);
	cr_assert_eq(arena_alloc(o.arena, 1, &span), ARENA_E_FULL);
	give(&o, second);
	give(&o, take(&o, 1));
	give(&o, first);
	end(&o);
}

/* What is left of the limit is given, though it is no whole segment. */
Test(arena, the_last_segment_may_be_smaller)
{
	struct arena_options options = usual;
	struct owner o;
	struct span span;

	options.limit = 2 * MIB + MIB / 2;
	begin(&o, &options);
	(void)take(&o, MIB);
	(void)take(&o, MIB);
	(void)take(&o, MIB / 2);
	cr_assert_eq(arena_alloc(o.arena, 1, &span), ARENA_E_FULL);
	end(&o);
}

Test(arena, idle_segments_make_way)
{
	struct owner o;
	struct span spans[15], kept, large;

	begin(&o, &usual);
	for (unsigned i = 0; i < 15; i++)
		spans[i] = take(&o, MIB);
	kept = spans[3];
	for (unsigned i = 0; i < 15; i++) {
		if (i != 3)
			give(&o, spans[i]);
	}
	o.keep = true;
	large = take(&o, 10 * MIB); /* they leave as many as must */
	cr_assert_eq(o.n_idle, 8);
	cr_assert_eq(n_segments(&o), 16);
	cr_assert_eq(arena_alloc(o.arena, 6 * MIB, &spans[0]), ARENA_E_FULL);
	while (o.n_idle > 0)
		drop(&o, o.idle[--o.n_idle]);
	cr_assert_eq(n_segments(&o), 3);
	give(&o, large);
	give(&o, kept);
	end(&o);
}

Test(arena, small_spans_go_to_large_segments_at_the_limit_only)
{
	struct owner o;
	struct span large[2], span;

	begin(&o, &usual);
	large[0] = take(&o, 10 * MIB);
	large[1] = take(&o, 5 * MIB);
	(void)take(&o, MIB);
	cr_assert_eq(arena_alloc(o.arena, 1, &span), ARENA_E_FULL);
	give(&o, large[1]);
	span = take(&o, 1);
	cr_assert_neq(span.arena, large[0].arena);
	(void)take(&o, 3 * MIB);
	end(&o);
}

static struct span take_near(struct owner *o, uint64_t length, uint32_t numa_node)
{
	struct span span;

	cr_assert_eq(arena_alloc_near(o->arena, length, numa_node, &span), 0);
	return span;
}

Test(arena, each_node_has_segments_of_its_own)
{
	struct owner o;
	struct span any, near, far, large;

	begin(&o, &usual);
	any = take(&o, KIB);
	near = take_near(&o, KIB, 1);
	far = take_near(&o, KIB, 2);
	cr_expect_eq(n_segments(&o), 3);
	cr_expect(any.arena != near.arena && near.arena != far.arena && far.arena != any.arena);
	cr_expect_eq(take(&o, KIB).arena, any.arena);
	cr_expect_eq(take_near(&o, KIB, 1).arena, near.arena);
	cr_expect_eq(take_near(&o, KIB, 2).arena, far.arena);
	/* So has what is larger than a segment. */
	large = take_near(&o, 2 * MIB, 1);
	give(&o, large);
	cr_expect_neq(take_near(&o, 2 * MIB, 2).arena, large.arena);
	cr_expect_eq(take_near(&o, 2 * MIB, 1).arena, large.arena);
	end(&o);
}

Test(arena, near_or_not_what_there_is_is_used)
{
	struct owner o;
	struct span first;

	begin(&o, &usual);
	first = take_near(&o, MIB - KIB, 1);
	for (unsigned i = 1; i < 16; i++)
		(void)take_near(&o, MIB - KIB, 1);
	cr_expect_eq(n_segments(&o), 17, "the first, and sixteen of the node");
	cr_expect_eq(
		take_near(&o, KIB, 2).arena, first.arena, "there is no room for a segment more");
	end(&o);
}

/* Nodes that are in use are not to take each other's segments in turns. */
Test(arena, more_nodes_than_segments_share_those_that_there_are)
{
	struct arena_options options = usual;
	struct owner o;
	struct span span;
	unsigned n_made;

	options.limit = 4 * MIB;
	begin(&o, &options);
	for (uint32_t node = 1; node <= 6; node++)
		give(&o, take_near(&o, KIB, node));
	n_made = o.n_made;
	cr_expect_eq(n_segments(&o), n_made, "none was given up");
	for (unsigned round = 0; round < 10; round++) {
		for (uint32_t node = 1; node <= 6; node++)
			give(&o, take_near(&o, KIB, node));
		(void)arena_tick(o.arena, (round + 1) * 20 * S);
	}
	cr_expect_eq(o.n_made, n_made);
	/* Once others are idle for long it has one. */
	for (unsigned i = 0; i < 5; i++) {
		give(&o, take_near(&o, KIB, 6));
		(void)arena_tick(o.arena, (300 + 10 * i) * S);
	}
	span = take_near(&o, KIB, 6);
	cr_expect_eq(o.n_made, n_made + 1);
	cr_expect_eq(take_near(&o, KIB, 6).arena, span.arena);
	/* What has room nowhere takes the place of what is idle, as ever. */
	give(&o, take_near(&o, 3 * MIB - KIB, 2));
	end(&o);
}

Test(arena, far_is_better_than_not_at_all)
{
	struct owner o;
	struct span first, near, span;

	begin(&o, &usual);
	first = take(&o, KIB);
	o.fail = -EMFILE;
	cr_expect_eq(take_near(&o, KIB, 1).arena, first.arena, "no segment can be made");
	cr_expect_eq(arena_alloc_near(o.arena, MIB, 1, &span), -EMFILE, "nor is there any room");
	o.fail = 0;
	near = take_near(&o, KIB, 1);
	cr_assert_neq(near.arena, first.arena);
	/* What the host has no memory for is no longer cut. */
	span = take_near(&o, MIB / 2, 1);
	failalloc_arm(FAIL_SYSCALLS, FAIL_PERSISTENT, 1);
	cr_assert_eq(arena_populate_span(o.arena, &span), ARENA_E_MEMORY);
	failalloc_disarm();
	give(&o, span);
	cr_expect_eq(take_near(&o, MIB / 2, 1).arena, first.arena);
	end(&o);
}

Test(arena, one_of_few_segments_knows_no_nodes)
{
	struct arena_options options = usual;
	struct owner o;
	uint64_t first;

	options.limit = 4 * MIB - PAGE;
	begin(&o, &options);
	first = take(&o, KIB).arena;
	cr_expect_eq(take_near(&o, KIB, 1).arena, first);
	cr_expect_eq(take_near(&o, KIB, 2).arena, first);
	end(&o);
}

Test(arena, all_of_one_owner_may_be_near_one_node)
{
	struct arena_options options = usual;
	struct owner o;
	uint64_t first;

	options.numa_node = 1;
	begin(&o, &options);
	first = take(&o, KIB).arena;
	cr_expect_eq(take_near(&o, KIB, 1).arena, first);
	end(&o);
}

Test(arena, idle_ones_are_given_up_after_a_while)
{
	struct owner o;
	struct span first, second;

	begin(&o, &usual);
	cr_assert_eq(arena_tick(o.arena, 1 * S), UINT64_MAX);
	first = take(&o, MIB);
	second = take(&o, MIB);
	cr_assert_lt(arena_tick(o.arena, 2 * S), 30 * S);
	give(&o, first);
	give(&o, second);
	arena_tick(o.arena, 100 * S); /* since now */
	cr_assert_eq(arena_tick(o.arena, 129 * S), 130 * S);
	give(&o, take(&o, MIB)); /* of the first: that does not count */
	cr_assert_eq(n_segments(&o), 2);
	cr_assert_eq(arena_tick(o.arena, 130 * S), UINT64_MAX);
	cr_assert_eq(n_segments(&o), 1);
	cr_assert_eq(arena_memory(o.arena).mapped, MIB);
	end(&o);
}

Test(arena, use_starts_the_while_anew)
{
	struct owner o;
	struct span first, second;

	begin(&o, &usual);
	first = take(&o, MIB);
	give(&o, take(&o, MIB));
	arena_tick(o.arena, 1 * S);
	arena_tick(o.arena, 2 * S); /* idle since then */
	give(&o, take(&o, MIB));
	arena_tick(o.arena, 32 * S); /* it was used meanwhile */
	cr_assert_eq(n_segments(&o), 2);
	arena_tick(o.arena, 33 * S);
	second = take(&o, MIB);
	arena_tick(o.arena, 100 * S);
	arena_tick(o.arena, 200 * S); /* it is in use */
	cr_assert_eq(n_segments(&o), 2);
	give(&o, second);
	arena_tick(o.arena, 201 * S);
	arena_tick(o.arena, 231 * S);
	cr_assert_eq(n_segments(&o), 1);
	give(&o, first);
	end(&o);
}

Test(arena, one_that_leaves_gives_nothing)
{
	struct owner o;
	struct span first, second;

	begin(&o, &usual);
	o.keep = true;
	first = take(&o, MIB);
	give(&o, take(&o, MIB));
	arena_tick(o.arena, 1 * S);
	arena_tick(o.arena, 2 * S);
	arena_tick(o.arena, 32 * S);
	cr_assert_eq(o.n_idle, 1);
	cr_assert_neq(arena_tick(o.arena, 100 * S), UINT64_MAX);
	cr_assert_eq(o.n_idle, 1); /* told once */
	second = take(&o, MIB);
	cr_assert_neq(second.arena, segment_id(o.idle[0]));
	drop(&o, o.idle[0]);
	cr_assert_eq(n_segments(&o), 2);
	give(&o, second);
	give(&o, first);
	end(&o);
}

Test(arena, forged_spans)
{
	struct owner o;
	struct span span, forged;

	begin(&o, &usual);
	span = take(&o, 100);
	forged = span;
	forged.arena += SLOTS_MAX;
	cr_assert_null(arena_data(o.arena, &forged));
	cr_assert_eq(arena_release(o.arena, &forged), -ESTALE);
	forged = (struct span){0};
	cr_assert_null(arena_data(o.arena, &forged));
	forged = span;
	forged.length++;
	cr_assert_null(arena_data(o.arena, &forged));
	give(&o, span);
	end(&o);
}

/* --- Pages ----------------------------------------------------------------------------------- */

static bool step(struct owner *o, uint64_t max)
{
	struct arena_range range;

	if (!arena_populate_next(o->arena, max, &range))
		return false;
	arena_populate_done(o->arena, &range, arena_populate_run(&range));
	return true;
}

Test(arena, what_is_used_comes_before_what_may_be)
{
	struct owner o;
	struct span small, large;
	struct arena_range range, other;

	begin(&o, &usual);
	cr_assert_not(step(&o, MIB)); /* nobody uses any */
	small = take(&o, 1);
	large = take(&o, 2 * MIB);
	cr_assert_eq(arena_missing(o.arena, &small), 0);
	cr_assert_eq(arena_missing(o.arena, &large), 2 * MIB);
	cr_assert(arena_populate_next(o.arena, MIB, &range));
	cr_assert_eq(segment_id(range.segment), large.arena);
	cr_assert_not(arena_populate_next(o.arena, MIB, &other)); /* one at a time */
	arena_populate_done(o.arena, &range, arena_populate_run(&range));
	cr_assert_eq(arena_missing(o.arena, &large), MIB);
	cr_assert(step(&o, MIB));
	cr_assert_eq(arena_missing(o.arena, &large), 0);
	while (step(&o, 16 * KIB))
		;
	/* 64 KiB that are used or not, and as much ahead: that is in the next part. */
	cr_assert_eq(arena_memory(o.arena).resident, 2 * MIB + 2 * 64 * KIB);
	end(&o);
}

Test(arena, as_much_ahead_as_is_in_use)
{
	struct owner o;

	begin(&o, &usual);
	(void)take(&o, 128 * KIB);
	while (step(&o, MIB))
		;
	cr_assert_eq(arena_memory(o.arena).resident, 256 * KIB);
	(void)take(&o, 256 * KIB);
	while (step(&o, MIB))
		;
	cr_assert_eq(arena_memory(o.arena).resident, (384 + 256) * KIB);
	end(&o);
}

Test(arena, at_once)
{
	struct owner o;
	struct span span;

	begin(&o, &usual);
	span = take(&o, 3 * MIB);
	cr_assert_eq(arena_populate_span(o.arena, &span), 0);
	cr_assert_eq(arena_missing(o.arena, &span), 0);
	memset(arena_data(o.arena, &span), 1, span.length);
	end(&o);
}

Test(arena, a_host_without_memory)
{
	struct owner o;
	struct span first, span;

	begin(&o, &usual);
	first = take(&o, 64 * KIB);
	span = take(&o, MIB / 2);
	failalloc_arm(FAIL_SYSCALLS, FAIL_PERSISTENT, 1);
	cr_assert_eq(arena_populate_span(o.arena, &span), ARENA_E_MEMORY);
	failalloc_disarm();
	give(&o, span);
	cr_assert_eq(arena_alloc(o.arena, MIB / 2, &span), ARENA_E_MEMORY);
	give(&o, first);
	span = take(&o, MIB / 2);
	cr_assert_eq(arena_populate_span(o.arena, &span), 0);
	end(&o);
}

Test(arena, what_is_being_populated_does_not_leave)
{
	struct owner o;
	struct arena_range range;
	struct span span;

	begin(&o, &usual);
	span = take(&o, 4 * MIB);
	cr_assert(arena_populate_next(o.arena, MIB, &range));
	give(&o, span);
	arena_tick(o.arena, 1 * S);
	arena_tick(o.arena, 2 * S);
	arena_tick(o.arena, 100 * S);
	cr_assert_eq(n_segments(&o), 2);
	arena_populate_done(o.arena, &range, arena_populate_run(&range));
	arena_tick(o.arena, 200 * S);
	arena_tick(o.arena, 300 * S);
	cr_assert_eq(n_segments(&o), 1);
	end(&o);
}

/* Pages of the host that an arena had are the host's again. */
Test(arena, memory_comes_back)
{
	struct owner o;
	struct span span;
	struct stat st;
	int fd;

	begin(&o, &usual);
	o.keep = true;
	span = take(&o, 8 * MIB);
	cr_assert_eq(arena_populate_span(o.arena, &span), 0);
	cr_assert_eq(arena_memory(o.arena).resident, 8 * MIB + 64 * KIB);
	give(&o, span);
	for (uint64_t t = 1; o.n_idle == 0; t++)
		arena_tick(o.arena, t * 20 * S);
	fd = segment_fd(o.idle[0]);
	cr_assert_eq(fstat(fd, &st), 0);
	drop(&o, o.idle[0]);
	cr_assert_eq(fstat(fd, &st), -1);
	cr_assert_eq(errno, EBADF);
	cr_assert_eq(arena_memory(o.arena).resident, 64 * KIB);
	end(&o);
}

struct job {
	struct arena_range range;
	int result;
};

static void *run(void *arg)
{
	struct job *j = arg;

	j->result = arena_populate_run(&j->range);
	return NULL;
}

/* For ThreadSanitizer: the owner goes on while another thread populates. */
Test(arena, the_owner_goes_on_meanwhile)
{
	struct owner o;
	struct span large;
	struct job j;

	begin(&o, &usual);
	large = take(&o, 8 * MIB);
	while (arena_missing(o.arena, &large) > 0) {
		pthread_t thread;

		cr_assert(arena_populate_next(o.arena, MIB, &j.range));
		cr_assert_eq(pthread_create(&thread, NULL, run, &j), 0);
		for (unsigned i = 0; i < 20; i++) {
			struct span small = take(&o, 32 * KIB), other = take(&o, MIB);

			memset(arena_data(o.arena, &small), (int)i, small.length);
			give(&o, small);
			give(&o, other);
			arena_tick(o.arena, (i + 1) * 20 * S);
		}
		cr_assert_eq(pthread_join(thread, NULL), 0);
		arena_populate_done(o.arena, &j.range, j.result);
	}
	memset(arena_data(o.arena, &large), 1, large.length);
	end(&o);
}

/* --- Random use, and failures ---------------------------------------------------------------- */

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

#define LIVE 48u

Test(arena, random_use_keeps_contents_and_the_limit)
{
	struct owner o;
	struct span live[LIVE] = {{0}};
	uint64_t random = 7;

	begin(&o, &usual);
	for (unsigned i = 0; i < 6000; i++) {
		struct span *s = &live[next_random(&random) % LIVE];
		uint64_t length =
			next_random(&random) % (UINT64_C(1) << (next_random(&random) % 23));
		int r;

		if (s->arena) {
			cr_assert_eq(*(uint64_t *)arena_data(o.arena, s), s->generation);
			give(&o, *s);
			s->arena = 0;
		}
		r = arena_alloc(o.arena, length + 8, s);
		cr_assert(r == 0 || r == ARENA_E_FULL);
		if (r == 0) {
			*(uint64_t *)arena_data(o.arena, s) = s->generation;
		} else {
			s->arena = 0;
		}
		cr_assert_leq(arena_used(o.arena), usual.limit);
		cr_assert_leq(arena_memory(o.arena).mapped, usual.limit + usual.segment_bytes);
		if (i % 16 == 0)
			arena_tick(o.arena, (i + 1) * S);
	}
	for (unsigned i = 0; i < LIVE; i++) {
		if (live[i].arena)
			give(&o, live[i]);
	}
	cr_assert(arena_used(o.arena) == 0 && arena_n_spans(o.arena) == 0);
	arena_tick(o.arena, 10000 * S);
	arena_tick(o.arena, 20000 * S);
	arena_tick(o.arena, 30000 * S);
	cr_assert_eq(n_segments(&o), 1);
	end(&o);
}

static int use(void *arg)
{
	struct owner o = {0};
	struct span spans[40];
	unsigned n = 0;
	int r = arena_new(&o.arena, &usual, &events, &o);

	while (!r && n < 20) {
		uint64_t length = n % 4 ? MIB / 2 : 2 * MIB;

		r = arena_alloc(o.arena, length, &spans[n]);
		n += r == 0;
		if (!r && n == 3)
			r = arena_populate_span(o.arena, &spans[n - 1]);
		if (r == ARENA_E_FULL && n > 0) {
			n--;
			r = arena_release(o.arena, &spans[n]);
			break;
		}
	}
	cr_assert_eq(r != 0, failalloc_failed() != 0);
	cr_assert(!o.arena || arena_n_spans(o.arena) == n);
	while (n > 0)
		give(&o, spans[--n]);
	for (uint64_t t = 1; o.arena && t < 5; t++)
		arena_tick(o.arena, t * 40 * S);
	cr_assert(!o.arena || n_segments(&o) == 1);
	end(&o);
	return r;
}

Test(arena, fault_loop)
{
	FAULT_LOOP(use, NULL);
}
