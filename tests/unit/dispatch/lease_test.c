/* Tests of lease.c: charges, the line of those who wait, fair share. */
#include "dispatch/lease.h"

#include <criterion/criterion.h>

#include <string.h>

#include "fake_bed.h"
#include "tests/support/failalloc.h"

#define KIB UINT64_C(1024)

static struct bed bed;
static struct client *other;

static void setup(void)
{
	bed_init(&bed);
	bed.settings.arena.limit = 64 * KIB;
	bed.settings.arena.max_segments = 1;
	bed_up(&bed);
	cr_assert_eq(client_new(&other, dispatch_tally(bed.d)), 0);
}

static void teardown(void)
{
	client_unref(other);
	bed_close(&bed);
}

TestSuite(lease, .init = setup, .fini = teardown);

static struct lease *take(struct client *c, uint64_t length)
{
	struct lease *l;

	cr_assert_eq(lease_new(&l, dispatch_desk(bed.d), c, length, 0), 0);
	return l;
}

static int try(struct client *c, uint64_t length)
{
	struct lease *l;
	int e = lease_new(&l, dispatch_desk(bed.d), c, length, 0);

	if (!e)
		lease_unref(l);
	return e;
}

struct waiting {
	struct lease_waiter w;
	unsigned called;
	int order;
	bool again; /* wait again when lease_new() fails */
	struct lease *lease;
	int error;
	struct waiting *cancel; /* cancel this one when called */
};

static int turn;

static void on_space(struct lease_waiter *w)
{
	struct waiting *me = list_entry(w, struct waiting, w);

	me->called++;
	me->order = ++turn;
	me->error = lease_new(&me->lease, dispatch_desk(bed.d), w->client, w->length, 0);
	if (me->error && me->again)
		lease_wait(dispatch_desk(bed.d), w, w->client, w->length, 0, on_space);
	if (me->cancel)
		lease_wait_cancel(&me->cancel->w);
}

static void on_space_near(struct lease_waiter *w)
{
	struct waiting *me = list_entry(w, struct waiting, w);

	me->called++;
	me->error = lease_new(&me->lease, dispatch_desk(bed.d), w->client, w->length, w->numa_node);
}

static void wait_for(struct waiting *me, struct client *c, uint64_t length)
{
	lease_wait(dispatch_desk(bed.d), &me->w, c, length, 0, on_space);
}

Test(lease, lends_and_charges_granules)
{
	struct lease *l = take(bed.client, 100);

	cr_expect_eq(lease_length(l), 100);
	cr_expect_not_null(lease_data(l));
	cr_expect_eq(lease_span(l).length, 100);
	cr_expect_eq(client_bytes(bed.client), 128);
	cr_expect_eq(lease_ref(l), l);
	lease_unref(l);
	cr_expect_eq(client_bytes(bed.client), 128);
	cr_expect_null(lease_unref(l));
	cr_expect_eq(client_bytes(bed.client), 0);
	cr_expect_eq(arena_used(dispatch_arena(bed.d)), 0);
	cr_expect_null(lease_unref(NULL));
}

Test(lease, parts)
{
	struct lease *l = take(bed.client, 100);

	cr_expect_eq(lease_at(l, 0), lease_data(l));
	cr_expect_eq(lease_at(l, 100), (uint8_t *)lease_data(l) + 100);
	cr_expect(lease_holds(l, 0, 100));
	cr_expect(lease_holds(l, 100, 0));
	cr_expect_not(lease_holds(l, 1, 100));
	cr_expect_not(lease_holds(l, 101, 0));
	cr_expect_not(lease_holds(l, UINT64_MAX, 2));
	cr_expect_not(lease_holds(l, 2, UINT64_MAX));
	lease_unref(l);
}

Test(lease, empty_costs_a_granule)
{
	struct lease *l = take(bed.client, 0);

	cr_expect_eq(client_bytes(bed.client), 64);
	cr_expect_eq(lease_length(l), 0);
	lease_unref(l);
}

Test(lease, never_fits)
{
	cr_expect_eq(try(bed.client, 64 * KIB + 1), LEASE_E_LARGE);
	cr_expect_eq(try(bed.client, UINT64_MAX), LEASE_E_LARGE);
}

Test(lease, a_lone_client_may_take_all)
{
	struct lease *a = take(bed.client, 32 * KIB), *b = take(bed.client, 32 * KIB);

	cr_expect_eq(try(bed.client, 1), LEASE_E_FULL);
	lease_unref(a);
	lease_unref(b);
}

Test(lease, two_share)
{
	struct lease *a = take(bed.client, 16 * KIB), *b = take(other, KIB);

	/* (2 + 1) * (16 + c) - 16 <= 47: nothing more. */
	cr_expect_eq(try(bed.client, 8 * KIB), LEASE_E_SHARE);
	/* (2 + 1) * (1 + c) - 1 <= 47: 15 more. */
	cr_expect_eq(try(other, 15 * KIB), 0);
	cr_expect_eq(try(other, 16 * KIB), LEASE_E_SHARE);
	lease_unref(b);
	cr_expect_eq(try(bed.client, 8 * KIB), 0, "alone again");
	lease_unref(a);
}

Test(lease, who_holds_nothing_is_not_refused_for_his_share)
{
	struct lease *a = take(bed.client, 16 * KIB);

	cr_expect_eq(try(other, 40 * KIB), 0);
	lease_unref(a);
}

Test(lease, waits_for_space)
{
	struct waiting w = {0};
	struct lease *a = take(bed.client, 60 * KIB);

	cr_expect_eq(try(other, 8 * KIB), LEASE_E_FULL);
	wait_for(&w, other, 8 * KIB);
	bed_turn(&bed);
	cr_expect_eq(w.called, 0);
	lease_unref(a);
	cr_expect_eq(w.called, 0, "not from inside");
	bed_turn(&bed);
	cr_assert_eq(w.called, 1);
	cr_expect_eq(w.error, 0);
	lease_unref(w.lease);
}

Test(lease, nobody_overtakes)
{
	struct waiting large = {0}, small = {0};
	struct lease *a = take(bed.client, 40 * KIB);
	struct client *third;

	cr_assert_eq(client_new(&third, dispatch_tally(bed.d)), 0);
	wait_for(&large, other, 32 * KIB);
	wait_for(&small, third, KIB);
	bed_turn(&bed);
	cr_expect_eq(small.called, 0, "would fit, but is behind");
	cr_expect_eq(try(third, KIB), LEASE_E_FULL, "newcomers too");
	lease_unref(a);
	bed_turn(&bed);
	cr_expect_eq(large.order, 1);
	cr_expect_eq(small.order, 2);
	cr_expect_eq(small.error, 0);
	lease_unref(large.lease);
	lease_unref(small.lease);
	client_unref(third);
}

Test(lease, who_waits_for_his_own_share_is_passed_over)
{
	struct waiting greedy = {0}, modest = {0};
	struct client *third;
	struct lease *a = take(bed.client, 30 * KIB), *b = take(other, KIB);

	cr_assert_eq(client_new(&third, dispatch_tally(bed.d)), 0);
	cr_expect_eq(try(bed.client, 16 * KIB), LEASE_E_SHARE);
	wait_for(&greedy, bed.client, 16 * KIB);
	wait_for(&modest, third, 8 * KIB);
	bed_turn(&bed);
	cr_expect_eq(greedy.called, 0);
	cr_assert_eq(modest.called, 1);
	cr_expect_eq(modest.error, 0);
	lease_unref(a);
	bed_turn(&bed);
	cr_assert_eq(greedy.called, 1);
	cr_expect_eq(greedy.error, 0);
	lease_unref(greedy.lease);
	lease_unref(modest.lease);
	lease_unref(b);
	client_unref(third);
}

Test(lease, the_place_is_kept_when_there_was_no_room_after_all)
{
	struct waiting first = {.again = true}, second = {0};
	struct lease *piece[4];
	uint64_t since;

	/* Free space in two pieces: enough in sum, not in a row. */
	for (int i = 0; i < 4; i++)
		piece[i] = take(bed.client, 16 * KIB);
	wait_for(&first, other, 32 * KIB);
	wait_for(&second, other, 16 * KIB);
	since = first.w.since_ns;
	lease_unref(piece[0]);
	lease_unref(piece[2]);
	bed_turn(&bed);
	cr_expect_eq(first.called, 0, "he is not asked in vain");
	cr_expect_eq(second.called, 0, "still behind");
	cr_expect_eq(first.w.since_ns, since);
	lease_unref(piece[1]);
	bed_turn(&bed);
	cr_expect_eq(first.called, 1);
	cr_assert_eq(first.error, 0);
	lease_unref(piece[3]);
	lease_unref(first.lease);
	bed_turn(&bed);
	cr_expect_eq(second.error, 0);
	cr_expect_eq(second.called, 1);
	lease_unref(second.lease);
}

/* He asks for more than he has waited for. */
static void on_space_more(struct lease_waiter *w)
{
	struct waiting *me = list_entry(w, struct waiting, w);

	me->error = lease_new(&me->lease, dispatch_desk(bed.d), w->client, 32 * KIB, 0);
	if (++me->called == 1)
		lease_wait(dispatch_desk(bed.d), w, w->client, 32 * KIB, 0, on_space_more);
}

Test(lease, who_waits_again_keeps_his_place)
{
	struct waiting first = {0}, second = {0};
	struct lease *a = take(bed.client, 40 * KIB), *b = take(bed.client, 24 * KIB);
	uint64_t since;

	lease_wait(dispatch_desk(bed.d), &first.w, other, 16 * KIB, 0, on_space_more);
	wait_for(&second, other, 16 * KIB);
	since = first.w.since_ns;
	lease_unref(b);
	bed_turn(&bed);
	cr_expect_eq(first.called, 1);
	cr_expect_eq(first.error, LEASE_E_FULL);
	cr_expect_eq(first.w.since_ns, since);
	cr_expect_eq(second.called, 0, "still behind");
	lease_unref(a);
	bed_turn(&bed);
	cr_expect_eq(first.called, 2);
	cr_expect_eq(first.error, 0);
	cr_expect_eq(second.called, 1);
	cr_expect_eq(second.error, 0);
	lease_unref(first.lease);
	lease_unref(second.lease);
}

Test(lease, a_waiter_may_leave)
{
	struct waiting first = {0}, second = {0};
	struct lease *a = take(bed.client, 50 * KIB);

	wait_for(&first, other, 40 * KIB);
	wait_for(&second, other, 8 * KIB);
	bed_turn(&bed);
	cr_expect_eq(second.called, 0);
	lease_wait_cancel(&first.w);
	lease_wait_cancel(&first.w);
	bed_turn(&bed);
	cr_expect_eq(first.called, 0);
	cr_expect_eq(second.called, 1);
	lease_unref(second.lease);
	lease_unref(a);
}

Test(lease, one_may_cancel_another_in_his_callback)
{
	struct waiting second = {0}, first = {.cancel = &second};
	struct lease *a = take(bed.client, 64 * KIB);

	wait_for(&first, other, 8 * KIB);
	wait_for(&second, other, 8 * KIB);
	lease_unref(a);
	bed_turn(&bed);
	cr_expect_eq(first.called, 1);
	cr_expect_eq(second.called, 0);
	lease_unref(first.lease);
}

Test(lease, what_never_fits_is_told_so)
{
	struct waiting w = {0};

	wait_for(&w, other, 65 * KIB);
	bed_turn(&bed);
	cr_expect_eq(w.error, LEASE_E_LARGE);
}

Test(lease, lending_makes_the_arena_grow_ahead)
{
	struct lease *a = take(bed.client, KIB);

	cr_expect(bed.d->desk.grew);
	bed_turn(&bed);
	cr_expect_not(bed.d->desk.grew);
	lease_unref(a);
}

/* --- Pages -------------------------------------------------------------------------------------- */

#define MIB (UINT64_C(1) << 20)

static void setup_large(void)
{
	bed_init(&bed);
	bed.settings.arena.limit = 32 * MIB;
	bed.settings.arena.segment_bytes = 32 * MIB;
	bed_up(&bed);
	cr_assert_eq(client_new(&other, dispatch_tally(bed.d)), 0);
}

TestSuite(lease_pages, .init = setup_large, .fini = teardown);
TestSuite(lease_shares, .init = setup_large, .fini = teardown);

static struct lease *take_large(struct client *c, uint64_t length)
{
	struct lease *l;

	cr_assert_eq(lease_new_at_once(&l, dispatch_desk(bed.d), c, length, 0), 0);
	return l;
}

static int try_large(struct client *c, uint64_t length)
{
	struct lease *l;
	int e = lease_new_at_once(&l, dispatch_desk(bed.d), c, length, 0);

	if (!e)
		lease_unref(l);
	return e;
}

Test(lease_shares, one_gets_half_at_most)
{
	struct lease *a = take_large(bed.client, 16 * MIB);

	cr_expect_eq(lease_max(dispatch_desk(bed.d)), 16 * MIB);
	cr_expect_eq(try_large(other, 16 * MIB + 1), LEASE_E_LARGE);
	cr_expect_eq(
		try_large(bed.client, MIB), LEASE_E_SHARE, "nor in several pieces, though alone");
	cr_expect_eq(try(bed.client, 128 * KIB), 0, "but of ordinary ones");
	cr_expect_eq(try_large(other, 4 * MIB), 0, "who comes next has room for a large one");
	cr_expect_eq(try_large(other, 4 * MIB + 1), LEASE_E_SHARE);
	lease_unref(a);
}

Test(lease_shares, the_last_eighths_are_for_others_and_for_small_ones)
{
	struct lease *large = take_large(bed.client, 16 * MIB), *medium[64], *crowd[32];
	struct client *clients[32];

	for (size_t i = 0; i < 64; i++)
		medium[i] = take_large(bed.client, 128 * KIB);
	cr_expect_eq(try(bed.client, 128 * KIB), LEASE_E_SHARE, "three quarters");
	for (size_t i = 0; i < 32; i++) {
		cr_assert_eq(client_new(&clients[i], dispatch_tally(bed.d)), 0);
		crowd[i] = take_large(clients[i], 128 * KIB);
	}
	cr_expect_eq(try(other, 64 * KIB + 1), LEASE_E_SHARE);
	cr_expect_eq(try(other, 64 * KIB), 0);
	for (size_t i = 0; i < 64; i++)
		lease_unref(medium[i]);
	for (size_t i = 0; i < 32; i++) {
		lease_unref(crowd[i]);
		client_unref(clients[i]);
	}
	lease_unref(large);
}

Test(lease_shares, a_large_one_takes_half_of_what_is_left_where_others_are)
{
	struct lease *a = take_large(bed.client, 4 * MIB);

	cr_expect_eq(try_large(other, 10 * MIB + KIB), LEASE_E_SHARE);
	cr_expect_eq(try_large(other, 10 * MIB), 0);
	a = lease_unref(a);
	cr_expect_eq(try_large(other, 16 * MIB), 0, "alone");
}

/* As many as like may announce large ones. */
Test(lease_shares, no_number_of_large_ones_takes_all)
{
	struct client *crowd[40];
	struct lease *held[40] = {0};

	for (size_t i = 0; i < 40; i++) {
		cr_assert_eq(client_new(&crowd[i], dispatch_tally(bed.d)), 0);
		for (uint64_t length = 16 * MIB; length > 128 * KIB && !held[i]; length /= 2)
			(void)!lease_new_at_once(
				&held[i], dispatch_desk(bed.d), crowd[i], length, 0);
	}
	cr_expect_eq(try(bed.client, 128 * KIB), 0);
	cr_expect_eq(try(bed.client, 64 * KIB), 0);
	for (size_t i = 0; i < 40; i++) {
		lease_unref(held[i]);
		client_unref(crowd[i]);
	}
}

/* Neither one that stands first for want of room in a row, nor one that waits for his share. */
Test(lease_shares, small_ones_stand_behind_nobody)
{
	struct waiting large = {0}, greedy = {0}, modest = {0};
	struct client *third;
	struct lease *a = take_large(bed.client, 8 * MIB), *gap = take_large(bed.client, MIB);

	cr_assert_eq(client_new(&third, dispatch_tally(bed.d)), 0);
	wait_for(&large, other, 15 * MIB);
	wait_for(&greedy, bed.client, 12 * MIB);
	bed_turn(&bed);
	cr_expect_eq(large.called + greedy.called, 0);
	cr_expect_eq(try(third, 4), 0);
	wait_for(&modest, third, 128 * KIB);
	bed_turn(&bed);
	cr_expect_eq(modest.called, 1, "nor do others behind one who would leave too little");
	lease_unref(modest.lease);
	lease_unref(a);
	lease_unref(gap);
	lease_wait_cancel(&large.w);
	lease_wait_cancel(&greedy.w);
	client_unref(third);
}

Test(lease_shares, small_ones_have_a_line)
{
	struct waiting first = {0}, second = {0};
	struct lease *all[512];
	struct client *third;
	size_t n = 0;

	cr_assert_eq(client_new(&third, dispatch_tally(bed.d)), 0);
	while (n < 512)
		all[n++] = take(bed.client, 64 * KIB);
	cr_expect_eq(try(other, 64), LEASE_E_FULL);
	wait_for(&first, other, 64 * KIB);
	wait_for(&second, third, 64);
	bed_turn(&bed);
	cr_expect_eq(first.called + second.called, 0);
	cr_expect_eq(try(other, 0), LEASE_E_FULL, "newcomers are behind");
	lease_unref(all[--n]);
	bed_turn(&bed);
	cr_expect_eq(first.called, 1);
	cr_assert_eq(first.error, 0);
	cr_expect_eq(second.called, 0);
	lease_unref(all[--n]);
	bed_turn(&bed);
	cr_assert_eq(second.called, 1);
	cr_assert_eq(second.error, 0);
	lease_unref(first.lease);
	lease_unref(second.lease);
	client_unref(third);
	while (n > 0)
		lease_unref(all[--n]);
}

static void turn_until(const unsigned *called)
{
	while (*called == 0) {
		uv_run(&bed.loop, UV_RUN_ONCE);
		dispatch_schedule(bed.d);
	}
}

Test(lease_pages, a_small_one_is_there_at_once)
{
	struct lease *l = take(bed.client, 200 * KIB);

	cr_expect_geq(arena_memory(dispatch_arena(bed.d)).resident, 200 * KIB);
	memset(lease_data(l), 1, 200 * KIB);
	lease_unref(l);
}

Test(lease_pages, a_large_one_waits_and_stops_nobody)
{
	struct waiting large = {0}, next = {0};
	struct lease *small;

	cr_expect_eq(try(bed.client, 8 * MIB), LEASE_E_FULL);
	wait_for(&large, bed.client, 8 * MIB);
	wait_for(&next, other, KIB);
	dispatch_schedule(bed.d);
	cr_expect_eq(large.called, 0);
	cr_expect_eq(next.called, 1);
	cr_expect_eq(client_bytes(bed.client), 8 * MIB, "it is his already");
	small = take(other, KIB);
	turn_until(&large.called);
	cr_assert_eq(large.error, 0);
	cr_expect_eq(client_bytes(bed.client), 8 * MIB);
	cr_expect_geq(arena_memory(dispatch_arena(bed.d)).resident, 8 * MIB);
	memset(lease_data(large.lease), 1, 8 * MIB);
	lease_unref(small);
	lease_unref(next.lease);
	lease_unref(large.lease);
	cr_expect_eq(client_bytes(bed.client), 0);
	cr_expect_eq(try(bed.client, 8 * MIB), 0, "what is there is lent at once");
}

Test(lease_pages, who_cannot_wait_gets_it_at_once)
{
	struct lease *l;

	cr_assert_eq(lease_new_at_once(&l, dispatch_desk(bed.d), bed.client, 8 * MIB, 0), 0);
	memset(lease_data(l), 1, 8 * MIB);
	lease_unref(l);
}

Test(lease_pages, who_waits_for_pages_may_leave)
{
	struct waiting large = {0};

	wait_for(&large, bed.client, 8 * MIB);
	dispatch_schedule(bed.d);
	cr_expect_eq(client_bytes(bed.client), 8 * MIB);
	lease_wait_cancel(&large.w);
	cr_expect_eq(client_bytes(bed.client), 0);
	cr_expect_eq(arena_used(dispatch_arena(bed.d)), 0);
	cr_expect_eq(large.called, 0);
}

Test(lease_pages, a_host_without_memory_is_an_error)
{
	struct lease *low = take(bed.client, KIB);
	struct waiting large = {0};

	wait_for(&large, other, 8 * MIB);
	failalloc_arm(FAIL_SYSCALLS, FAIL_PERSISTENT, 1);
	dispatch_schedule(bed.d);
	turn_until(&large.called);
	cr_expect_eq(large.error, LEASE_E_MEMORY);
	cr_expect_eq(try(other, 200 * KIB), LEASE_E_MEMORY);
	failalloc_disarm();
	cr_expect_eq(client_bytes(other), 0);
	lease_unref(low);
	cr_expect_eq(try(other, 200 * KIB), 0, "when nothing is lent it is tried again");
}

/* --- Nodes ------------------------------------------------------------------------------------ */

static void setup_nodes(void)
{
	bed_init(&bed);
	bed.settings.arena.limit = 8 * MIB;
	bed.settings.arena.segment_bytes = MIB;
	bed_up(&bed);
	cr_assert_eq(client_new(&other, dispatch_tally(bed.d)), 0);
}

TestSuite(lease_nodes, .init = setup_nodes, .fini = teardown);

static struct lease *take_near(uint32_t numa_node)
{
	struct lease *l;

	cr_assert_eq(lease_new(&l, dispatch_desk(bed.d), bed.client, 16 * KIB, numa_node), 0);
	return l;
}

Test(lease_nodes, each_has_segments_of_its_own)
{
	struct lease *any = take_near(0), *first = take_near(1), *second = take_near(2),
		     *more = take_near(1);

	cr_expect_neq(lease_span(first).arena, lease_span(any).arena);
	cr_expect_neq(lease_span(second).arena, lease_span(any).arena);
	cr_expect_neq(lease_span(second).arena, lease_span(first).arena);
	cr_expect_eq(lease_span(more).arena, lease_span(first).arena);
	lease_unref(any);
	lease_unref(first);
	lease_unref(second);
	lease_unref(more);
}

Test(lease_nodes, so_has_who_waits)
{
	struct waiting w = {0};

	lease_wait(dispatch_desk(bed.d), &w.w, other, 16 * KIB, 2, on_space_near);
	turn_until(&w.called);
	cr_assert_eq(w.error, 0);
	cr_expect_eq(arena_memory(dispatch_arena(bed.d)).n_segments, 2);
	lease_unref(w.lease);
}
