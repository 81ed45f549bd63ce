/* Tests of batcher.c: who is joined with whom, and when a batch is due. */
#include "dispatch/batcher.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/clock.h"
#include "dispatch/place.h"
#include "fake_bed.h"

#define N 96

static struct queue_settings levels = {.n_levels = 2, .default_level = 1};
static struct bed bed;
static struct client *clients[70];
static struct answer answers[N];
static struct list taken;
static size_t n_made;

static void setup(void)
{
	bed_init(&bed);
	bed.models[0].max_queue_delay_us = 1000;
	bed.models[0].max_queue_size = N;
	bed.models[0].queue = &levels;
	bed.settings.max_requests_per_client = N;
	bed_up(&bed);
	for (size_t i = 0; i < 70; i++)
		cr_assert_eq(client_new(&clients[i], dispatch_tally(bed.d)), 0);
	list_init(&taken);
}

static void teardown(void)
{
	while (!list_empty(&taken)) {
		struct request *r = list_entry(taken.next, struct request, node);

		list_remove(&r->node);
		request_drop(r);
	}
	dispatch_kill(bed.d);
	for (size_t i = 0; i < 70; i++)
		client_unref(clients[i]);
	bed_close(&bed);
}

TestSuite(batcher, .init = setup, .fini = teardown);

static struct request *submit_shape(
	struct version *m, size_t client, int64_t rows, uint64_t deadline_ns)
{
	struct answer *a = &answers[n_made++];
	struct request *r;

	r = bed_request(&bed, m, clients[client], rows, deadline_ns, a);
	cr_assert_not_null(r);
	cr_assert_eq(dispatch_submit(bed.d, r), 0, "%s", request_message(r));
	request_unref(r);
	return r;
}

static struct request *submit(size_t client, int64_t rows)
{
	return submit_shape(bed.alpha, client, rows, 0);
}

static uint64_t age(const struct request *r)
{
	return r->queued_ns;
}

/* The i-th that was taken. */
static struct request *nth(size_t i)
{
	struct list *node = taken.next;

	while (i-- > 0)
		node = node->next;
	return list_entry(node, struct request, node);
}

Test(batcher, takes_up_to_max_batch_size_rows)
{
	for (int i = 0; i < 3; i++)
		submit(0, 3);
	cr_expect_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 2);
	cr_expect_eq(version_queue_depth(bed.alpha), 1);
	cr_expect_eq(nth(0)->state, REQUEST_SENT);
	cr_expect_eq(version_figures(bed.alpha)->batch_rows.counts[3], 1, "6 rows: 5 to 8");
	cr_expect_eq(version_figures(bed.alpha)->batch_rows.sum, 6);
}

Test(batcher, clients_take_turns)
{
	struct request *flood[6], *single;

	for (int i = 0; i < 6; i++)
		flood[i] = submit(0, 2);
	single = submit(1, 2);
	cr_assert_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 4);
	cr_expect_eq(nth(0), flood[0]);
	cr_expect_eq(nth(1), single, "does not stand behind the flood");
	cr_expect_eq(nth(2), flood[1]);
	cr_expect_eq(nth(3), flood[2]);
}

Test(batcher, who_does_not_fit_is_passed_over_and_first_next_time)
{
	struct request *small = submit(0, 4), *large = submit(1, 6), *third = submit(2, 4);

	cr_assert_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 2);
	cr_expect_eq(nth(0), small);
	cr_expect_eq(nth(1), third);
	cr_assert_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 1);
	cr_expect_eq(nth(2), large);
}

Test(batcher, only_what_can_be_joined)
{
	struct request *a = submit(0, 1), *b = submit(1, 1), *c = submit(2, 1);

	b->key++; /* as if of another shape */
	cr_assert_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 2);
	cr_expect_eq(nth(0), a);
	cr_expect_eq(nth(1), c);
	cr_assert_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 1);
}

Test(batcher, an_unjoinable_request_goes_alone)
{
	submit(0, 1)->joinable = false;
	submit(1, 1);
	cr_expect_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 1);
	cr_expect_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 1);
}

Test(batcher, size_on_the_wire_is_bounded)
{
	struct request *a = submit(0, 1), *b = submit(1, 1);

	b->bound = WIRE_MESSAGE_MAX - a->bound;
	cr_expect_eq(
		batcher_take(bed.alpha->work, NULL, &taken, 0), 1, "there is the envelope too");
	cr_expect_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 1, "alone whatever its size");
}

Test(batcher, work_for_one_batch_is_bounded)
{
	submit(0, 1);
	for (size_t i = 1; i < 67; i++)
		submit(i, 1)->key = i;
	submit(67, 1);
	cr_expect_eq(
		batcher_take(bed.alpha->work, NULL, &taken, 0), 1, "the last is behind 66 others");
	cr_expect_eq(version_queue_depth(bed.alpha), 67);
}

Test(batcher, suspects_are_not_taken)
{
	struct request *r = submit(0, 1);

	queue_remove(&bed.alpha->work->queue, r);
	request_set_state(r, REQUEST_SENT);
	queue_push_suspect(&bed.alpha->work->queue, r, 1);
	cr_expect_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 0);
}

/* --- Levels ---------------------------------------------------------------------------------- */

static struct request *submit_at(size_t client, uint64_t priority, int64_t rows)
{
	struct answer *a = &answers[n_made++];
	struct request *r = bed_request(&bed, bed.alpha, clients[client], rows, 0, a);

	cr_assert_not_null(r);
	request_set_queueing(r, priority, 0);
	cr_assert_eq(dispatch_submit(bed.d, r), 0, "%s", request_message(r));
	request_unref(r);
	return r;
}

Test(batcher, the_first_level_goes_ahead_and_the_next_fills_up)
{
	struct request *second = submit_at(0, 2, 3), *third = submit_at(0, 0, 3);
	struct request *first = submit_at(1, 1, 4);

	cr_assert_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 2);
	cr_expect_eq(nth(0), first);
	cr_expect_eq(nth(1), second);
	cr_assert_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 1);
	cr_expect_eq(nth(2), third, "the default is the second");
}

Test(batcher, turns_are_taken_in_each_level)
{
	struct request *flood[4], *single;

	for (size_t i = 0; i < 4; i++)
		flood[i] = submit_at(0, 1, 2);
	single = submit_at(1, 1, 2);
	submit_at(2, 2, 1);
	cr_assert_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 4);
	cr_expect_eq(nth(0), flood[0]);
	cr_expect_eq(nth(1), single);
	cr_expect_eq(nth(2), flood[1]);
	cr_expect_eq(nth(3), flood[2]);
}

Test(batcher, who_is_passed_over_in_a_level_is_first_of_it_next_time)
{
	struct request *a = submit_at(0, 1, 6), *b = submit_at(1, 1, 4), *c = submit_at(2, 2, 2);

	cr_assert_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 2);
	cr_expect_eq(nth(0), a);
	cr_expect_eq(nth(1), c, "there is room for one of the next level");
	cr_expect_eq(queue_rank(&bed.alpha->work->queue, 0), 0);
	cr_assert_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 1);
	cr_expect_eq(nth(2), b);
}

/* --- Sizes ----------------------------------------------------------------------------------- */

static void prefer(uint32_t rows)
{
	cr_assert(queue_settings_prefer(bed.alpha->settings.queue, rows));
}

Test(batcher, a_preferred_size_is_due_and_taken)
{
	uint64_t born;

	prefer(2);
	prefer(4);
	born = age(submit(0, 1));
	cr_expect_eq(batcher_due(bed.alpha->work, born), born + NS_PER_MS);
	for (size_t i = 1; i < 5; i++)
		submit(i, 1);
	cr_expect_eq(batcher_due(bed.alpha->work, born), 0);
	cr_expect_eq(batcher_take(bed.alpha->work, NULL, &taken, born), 4);
	cr_expect_eq(bed.alpha->work->queue.rows, 1);
}

Test(batcher, all_go_when_they_have_waited)
{
	uint64_t born;

	prefer(2);
	born = age(submit(0, 1));
	for (size_t i = 1; i < 5; i++)
		submit(i, 1);
	cr_expect_eq(batcher_take(bed.alpha->work, NULL, &taken, born + NS_PER_MS), 5);
}

Test(batcher, fewer_than_any_preferred_size_go_together)
{
	prefer(4);
	submit(0, 1);
	submit(1, 2);
	cr_expect_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 2);
}

Test(batcher, a_preferred_size_that_no_batch_has_is_none)
{
	prefer(9);
	for (size_t i = 0; i < 10; i++)
		submit(i, 1);
	cr_expect_eq(batcher_take(bed.alpha->work, NULL, &taken, 0), 8);
}

/* --- When ----------------------------------------------------------------------------------- */

Test(batcher, held_until_the_oldest_has_waited)
{
	uint64_t born = age(submit(0, 1));

	submit(1, 1);
	cr_expect_eq(batcher_due(bed.alpha->work, born), born + NS_PER_MS);
	cr_expect_eq(batcher_due(bed.alpha->work, born + NS_PER_MS - 1), born + NS_PER_MS);
	cr_expect_eq(batcher_due(bed.alpha->work, born + NS_PER_MS), 0);
}

Test(batcher, a_full_batch_is_due_at_once)
{
	uint64_t born = age(submit(0, 5));

	cr_expect_neq(batcher_due(bed.alpha->work, born), 0);
	submit(1, 3);
	cr_expect_eq(batcher_due(bed.alpha->work, born), 0);
}

Test(batcher, models_without_a_delay_are_due_at_once)
{
	struct request *r = submit_shape(bed.beta, 0, 1, 0);

	cr_expect_eq(batcher_due(bed.beta->work, age(r)), 0);
}

Test(batcher, what_cannot_be_joined_is_not_held)
{
	struct request *r = submit(0, 1);

	r->joinable = false;
	cr_expect_eq(batcher_due(bed.alpha->work, age(r)), 0);
}

Test(batcher, a_deadline_is_not_spent_waiting_for_company)
{
	uint64_t deadline = clock_ns() + NS_PER_S;
	struct request *r = submit_shape(bed.alpha, 0, 1, deadline);
	uint64_t born = age(r);

	/* As if it had come 400 us before its deadline. */
	r->deadline_ns = born + 400 * NS_PER_US;
	queue_refresh_early(&bed.alpha->work->queue);
	cr_expect_eq(batcher_due(bed.alpha->work, born), born + 200 * NS_PER_US);
	cr_expect_eq(batcher_due(bed.alpha->work, born + 200 * NS_PER_US), 0);
	r->deadline_ns = deadline;
}

Test(batcher, a_stale_early_time_is_refreshed)
{
	uint64_t born = age(submit(0, 1));

	bed.alpha->work->queue.early_ns = 1;
	cr_expect_eq(batcher_due(bed.alpha->work, born), born + NS_PER_MS);
}

Test(batcher, what_is_bound_to_another_place_is_passed_over)
{
	struct place here = {.worker = &bed.pool->workers[0]};
	struct request *bound = submit(0, 1), *behind = submit(0, 1), *other = submit(1, 1);

	bound->device = "cuda:7";
	bound->joinable = false;
	bed.alpha->work->queue.n_bound++;
	cr_assert_eq(batcher_take(bed.alpha->work, &here, &taken, 0), 1);
	cr_expect_eq(nth(0), other);
	snprintf(here.worker->device, sizeof(here.worker->device), "cuda:7");
	here.worker->imports = true;
	cr_assert_eq(batcher_take(bed.alpha->work, &here, &taken, 0), 1, "alone");
	cr_expect_eq(nth(1), bound);
	cr_assert_eq(batcher_take(bed.alpha->work, &here, &taken, 0), 1);
	cr_expect_eq(nth(2), behind);
	cr_expect_eq(bed.alpha->work->queue.n_bound, 0);
}
