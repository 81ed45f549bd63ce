/* Tests of queue.c: lines that take turns, suspects in front, ages, deadlines; levels and timeouts. */
#include "dispatch/queue.h"

#include <criterion/criterion.h>

#include "base/clock.h"
#include "fake_bed.h"
#include "tests/support/failalloc.h"

#define N 16

static struct bed bed;
static struct client *clients[3];
static struct answer answers[N];
static struct request *requests[N];
static struct queue q;

static void setup(void)
{
	bed_init(&bed);
	bed_up(&bed);
	cr_assert_eq(queue_init(&q, 4, NULL), 0);
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(client_new(&clients[i], dispatch_tally(bed.d)), 0);
}

static void teardown(void)
{
	for (size_t i = 0; i < N; i++) {
		struct request *r = requests[i];

		if (r && r->state == REQUEST_QUEUED)
			queue_remove(&q, r);
		if (r && r->state != REQUEST_NEW)
			request_set_state(r, REQUEST_DONE);
		request_unref(r);
	}
	queue_deinit(&q);
	for (size_t i = 0; i < 3; i++)
		client_unref(clients[i]);
	bed_close(&bed);
}

TestSuite(queue, .init = setup, .fini = teardown);

/* Request i of that client with so many rows. */
static struct request *make(size_t i, size_t client, int64_t rows, uint64_t deadline_ns)
{
	requests[i] = bed_request(&bed, bed.alpha, clients[client], rows, deadline_ns, &answers[i]);
	cr_assert_not_null(requests[i]);
	requests[i]->rows = (uint64_t)rows;
	return requests[i];
}

static struct line *first_line(unsigned rank)
{
	return list_entry(q.ranks[rank].lines.next, struct line, node);
}

static struct request *push(size_t i, size_t client, uint64_t now_ns)
{
	struct request *r = make(i, client, 1, 0);

	cr_assert_eq(queue_push(&q, r, now_ns), 0);
	return r;
}

static void take(struct request *r)
{
	queue_remove(&q, r);
	request_set_state(r, REQUEST_SENT);
}

Test(queue, is_bounded)
{
	cr_expect_not(queue_full(&q, 0));
	cr_expect_not(queue_full(&q, 3));
	cr_expect(queue_full(&q, 4));
	for (size_t i = 0; i < 4; i++)
		push(i, 0, i);
	cr_expect(queue_full(&q, 0));
	cr_expect(queue_full(&q, UINT32_MAX));
	cr_expect_eq(q.n, 4);
	cr_expect_eq(q.rows, 4);
}

Test(queue, a_client_has_one_line_while_it_has_requests)
{
	struct request *a = push(0, 0, 1), *b = push(1, 0, 2), *c = push(2, 1, 3);

	cr_expect_eq(a->line, b->line);
	cr_expect_neq(a->line, c->line);
	cr_expect_eq(line_first(a->line), a);
	take(a);
	cr_expect_eq(line_first(b->line), b);
	take(b);
	cr_expect(list_empty(&clients[0]->lines));
	cr_expect_eq(q.n_spare_lines, 1);
	cr_expect_null(b->line);
}

Test(queue, oldest_is_by_arrival_whatever_the_line)
{
	struct request *a = push(0, 1, 1), *b = push(1, 0, 2);

	cr_expect_eq(queue_oldest(&q), a);
	take(a);
	cr_expect_eq(queue_oldest(&q), b);
	take(b);
	cr_expect_null(queue_oldest(&q));
}

Test(queue, suspects_wait_apart)
{
	struct request *a = push(0, 0, 1), *b;

	take(a);
	b = push(1, 0, 2);
	queue_push_suspect(&q, a, 3);
	cr_expect_eq(q.n, 2);
	cr_expect_eq(q.n_suspects, 1);
	cr_expect_eq(q.rows, 1, "a suspect is in no batch");
	cr_expect_eq(queue_suspect(&q), a);
	cr_expect_eq(queue_oldest(&q), b);
	cr_expect_eq(a->queued_ns, 3);
	take(a);
	cr_expect_null(queue_suspect(&q));
	cr_expect_eq(q.n_suspects, 0);
}

Test(queue, back_in_front_with_the_old_age)
{
	struct request *a = push(0, 0, 1), *b = push(1, 0, 2), *c = push(2, 1, 3);

	take(a);
	take(b);
	cr_assert_eq(queue_push_front(&q, b), 0);
	cr_assert_eq(queue_push_front(&q, a), 0);
	cr_expect_eq(queue_oldest(&q), a);
	cr_expect_eq(line_first(a->line), a);
	cr_expect_eq(first_line(0), a->line, "it is its turn again");
	cr_expect_eq(q.n, 3);
	cr_expect_eq(q.rows, 3);
	take(a);
	cr_expect_eq(queue_oldest(&q), b);
	take(b);
	cr_expect_eq(queue_oldest(&q), c);
}

Test(queue, a_suspect_goes_back_in_front_of_suspects)
{
	struct request *a = push(0, 0, 1), *b = push(1, 0, 2);

	take(a);
	take(b);
	queue_push_suspect(&q, a, 3);
	queue_push_suspect(&q, b, 4);
	take(a);
	cr_assert_eq(queue_push_front(&q, a), 0);
	cr_expect_eq(queue_suspect(&q), a);
	cr_expect_eq(q.n_suspects, 2);
	cr_expect_eq(q.rows, 0);
}

Test(queue, first_deadline)
{
	static const uint64_t deadlines[] = {500, 300, 0, 400};
	struct request *r[4];

	cr_expect_eq(queue_first_deadline(&q), CLOCK_NO_DEADLINE);
	for (size_t i = 0; i < 4; i++) {
		r[i] = make(i, i % 2, 1, deadlines[i]);
		cr_assert_eq(queue_push(&q, r[i], 1), 0);
	}
	cr_expect_eq(queue_first_deadline(&q), 300);
	cr_expect_null(queue_expired(&q, 299));
	cr_expect_eq(queue_expired(&q, 300), r[1]);
	take(r[1]);
	cr_expect_eq(queue_first_deadline(&q), 400);
	take(r[3]);
	cr_expect_eq(queue_expired(&q, 1000), r[0]);
	take(r[0]);
	cr_expect_null(queue_expired(&q, UINT64_MAX));
}

Test(queue, half_of_the_time_left_is_early)
{
	struct request *a = make(0, 0, 1, 1100), *b = make(1, 0, 1, 3000), *c = make(2, 0, 1, 90);

	cr_expect_eq(q.early_ns, CLOCK_NO_DEADLINE);
	cr_assert_eq(queue_push(&q, b, 100), 0);
	cr_expect_eq(q.early_ns, 1550);
	cr_assert_eq(queue_push(&q, a, 100), 0);
	cr_expect_eq(q.early_ns, 600);
	take(a);
	cr_expect_eq(q.early_ns, 600, "may be too early");
	queue_refresh_early(&q);
	cr_expect_eq(q.early_ns, 1550);
	cr_assert_eq(queue_push(&q, c, 100), 0);
	cr_expect_eq(q.early_ns, 100, "passed already");
	take(b);
	take(c);
	cr_expect_eq(q.early_ns, CLOCK_NO_DEADLINE);
}

Test(queue, a_line_that_is_aside_has_no_turns)
{
	struct request *first = push(0, 0, 1);
	struct request *second = push(1, 1, 2);

	queue_set_aside(&q, first->line);
	cr_expect_eq(q.n, 2);
	cr_expect_eq(q.rows, 1);
	cr_expect_eq(line_first(first_line(0)), second);
	push(2, 0, 3);
	cr_expect_eq(q.rows, 1, "what comes into it has none either");
	queue_bring_back(first->line);
	queue_bring_back(first->line);
	cr_expect_eq(q.rows, 3);
	cr_expect(list_empty(&q.aside));
}

Test(queue, a_line_that_is_aside_can_be_emptied)
{
	struct request *r = push(0, 0, 1);

	queue_set_aside(&q, r->line);
	take(r);
	cr_expect_eq(q.n, 0);
	cr_expect_eq(q.rows, 0);
	push(1, 0, 2);
	cr_expect_eq(q.rows, 1, "the next one is not aside");
}

Test(queue, what_comes_back_to_a_line_that_is_aside_has_a_turn)
{
	struct request *first = push(0, 0, 1);
	struct request *second = push(1, 0, 2);

	take(first);
	queue_set_aside(&q, second->line);
	cr_assert_eq(queue_push_front(&q, first), 0);
	cr_expect_eq(q.rows, 2);
	cr_expect_not(first->line->aside);
}

/* --- Levels and timeouts -------------------------------------------------------------------- */

static struct queue_settings levels;

/* Three levels: 100 us and then rejected, 100 us and then delayed, as long as it takes. */
static void with_levels(void)
{
	levels = (struct queue_settings){.n_levels = 3,
		.default_level = 1,
		.policies = {{.action = QUEUE_REJECT, .timeout_us = 100, .max_requests = 2},
			{.action = QUEUE_DELAY, .timeout_us = 100, .allow_override = true}}};
	queue_deinit(&q);
	cr_assert_eq(queue_init(&q, N, &levels), 0);
}

static struct request *push_at(size_t i, size_t client, uint32_t level, uint64_t now_ns)
{
	struct request *r = make(i, client, 1, 0);

	r->level = level;
	cr_assert_eq(queue_push(&q, r, now_ns), 0);
	return r;
}

Test(queue, levels_have_lines_of_their_own)
{
	struct request *last, *first;

	with_levels();
	cr_expect_eq(queue_rank(&q, 0), QUEUE_RANKS_MAX);
	cr_expect_not(queue_has_turns(&q));
	last = push_at(0, 0, 2, 1);
	first = push_at(1, 0, 0, 2);
	cr_expect_neq(last->line, first->line, "of the same client");
	cr_expect_eq(queue_rank(&q, 0), 0);
	cr_expect_eq(queue_rank(&q, 1), 4);
	cr_expect_eq(queue_rank(&q, 5), QUEUE_RANKS_MAX);
	cr_expect_eq(queue_rank(&q, QUEUE_RANKS_MAX), QUEUE_RANKS_MAX);
	cr_expect_eq(q.rows, 2);
	cr_expect_eq(queue_oldest(&q), last, "ages are of all levels");
	take(first);
	cr_expect_eq(queue_rank(&q, 0), 4);
	take(last);
	cr_expect_not(queue_has_turns(&q));
}

Test(queue, the_last_of_as_many_levels_as_there_may_be)
{
	levels = (struct queue_settings){.n_levels = QUEUE_LEVELS_MAX};
	queue_deinit(&q);
	cr_assert_eq(queue_init(&q, N, &levels), 0);
	push_at(0, 0, QUEUE_LEVELS_MAX - 1, 1);
	cr_expect_eq(queue_rank(&q, 0), QUEUE_RANKS_MAX - 2);
	queue_delay(&q, requests[0]);
	cr_expect_eq(queue_rank(&q, 0), QUEUE_RANKS_MAX - 1);
	take(requests[0]);
}

Test(queue, a_level_is_bounded_with_what_is_delayed_in_it)
{
	with_levels();
	levels.policies[1].max_requests = 2;
	cr_expect_not(queue_level_full(&q, 1));
	queue_delay(&q, push_at(0, 0, 1, 1));
	push_at(1, 1, 1, 2);
	cr_expect(queue_level_full(&q, 1));
	cr_expect_not(queue_level_full(&q, 0));
	cr_expect_not(queue_level_full(&q, 2), "it has no bound");
	take(requests[1]);
	cr_expect_not(queue_level_full(&q, 1));
}

Test(queue, a_suspect_is_in_no_level)
{
	struct request *r;

	with_levels();
	levels.policies[0].max_requests = 1;
	r = push_at(0, 0, 0, 1);
	take(r);
	queue_push_suspect(&q, r, 2);
	cr_expect_not(queue_level_full(&q, 0));
	cr_expect_eq(queue_first_timeout(&q), CLOCK_NO_DEADLINE, "it was sent in time");
	take(r);
	cr_assert_eq(queue_push_front(&q, r), 0);
	cr_expect_eq(queue_first_timeout(&q), CLOCK_NO_DEADLINE);
}

Test(queue, timeouts_begin_with_the_wait)
{
	struct request *a, *b, *c;

	with_levels();
	cr_expect_eq(queue_first_timeout(&q), CLOCK_NO_DEADLINE);
	a = push_at(0, 0, 0, 1000);
	b = make(1, 0, 1, 0);
	b->level = 1;
	b->timeout_us = 50;
	cr_assert_eq(queue_push(&q, b, 2000), 0);
	c = push_at(2, 0, 2, 3000);
	cr_expect_eq(queue_first_timeout(&q), 52000, "the shorter one that it asked for");
	cr_expect_null(queue_overdue(&q, 51999));
	cr_expect_eq(queue_overdue(&q, 52000), b);
	cr_expect_eq(queue_action(&q, b), QUEUE_DELAY);
	take(b);
	cr_expect_eq(queue_first_timeout(&q), 101000);
	cr_expect_eq(queue_overdue(&q, UINT64_MAX - 1), a);
	cr_expect_eq(queue_action(&q, a), QUEUE_REJECT);
	take(a);
	cr_expect_null(queue_overdue(&q, UINT64_MAX - 1), "there is none for the last level");
	take(c);
}

Test(queue, delayed_is_behind_its_level_and_ahead_of_the_next)
{
	struct request *late, *next, *fresh;

	with_levels();
	late = push_at(0, 0, 1, 1);
	next = push_at(1, 1, 2, 2);
	queue_delay(&q, late);
	cr_expect_eq(queue_first_timeout(&q), CLOCK_NO_DEADLINE, "it is delayed once");
	fresh = push_at(2, 2, 1, 3);
	cr_expect_eq(queue_rank(&q, 0), 2);
	cr_expect_eq(line_first(first_line(2)), fresh);
	cr_expect_eq(queue_rank(&q, 3), 3);
	cr_expect_eq(line_first(first_line(3)), late);
	cr_expect_eq(queue_rank(&q, 4), 4);
	cr_expect_eq(line_first(first_line(4)), next);
	cr_expect_eq(q.rows, 3);
	cr_expect_eq(queue_oldest(&q), late, "with its age");
}

Test(queue, delayed_ones_keep_their_order_and_come_back_as_such)
{
	struct request *a, *b;

	with_levels();
	a = push_at(0, 0, 1, 1);
	b = push_at(1, 0, 1, 2);
	queue_delay(&q, a);
	queue_delay(&q, b);
	cr_expect_eq(a->line, b->line);
	cr_expect_eq(line_first(a->line), a);
	take(a);
	cr_assert_eq(queue_push_front(&q, a), 0);
	cr_expect_eq(line_first(first_line(3)), a);
	cr_expect_eq(queue_first_timeout(&q), CLOCK_NO_DEADLINE);
}

Test(queue, what_comes_back_has_the_timeout_that_it_had)
{
	struct request *r;

	with_levels();
	r = push_at(0, 0, 0, 1000);
	take(r);
	cr_expect_eq(queue_first_timeout(&q), CLOCK_NO_DEADLINE);
	cr_assert_eq(queue_push_front(&q, r), 0);
	cr_expect_eq(queue_first_timeout(&q), 101000);
}

Test(queue, one_of_a_line_that_is_aside_is_delayed)
{
	struct request *a, *b;

	with_levels();
	a = push_at(0, 0, 1, 1);
	b = push_at(1, 0, 1, 2);
	queue_set_aside(&q, a->line);
	cr_expect_not(queue_has_turns(&q));
	queue_delay(&q, a);
	cr_expect_eq(q.rows, 1, "its line there is not aside");
	cr_expect_eq(queue_rank(&q, 0), 3);
	queue_delay(&q, b);
	cr_expect(list_empty(&q.aside));
	cr_expect_eq(q.rows, 2);
}

Test(queue, without_memory_nothing_is_delayed)
{
	struct request *r;

	with_levels();
	r = push_at(0, 0, 1, 1);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	queue_delay(&q, r);
	failalloc_disarm();
	cr_expect_eq(queue_rank(&q, 0), 2);
	cr_expect_eq(queue_first_timeout(&q), CLOCK_NO_DEADLINE, "and is not tried again");
}
