/* Tests of queue_pbtxt.c: what dynamic_batching says, and what is wrong with it. */
#include "models/queue_pbtxt.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/support/failalloc.h"

typedef Inference__ModelDynamicBatching Batching;
typedef Inference__ModelDynamicBatching__PriorityQueuePolicyEntry Entry;
typedef Inference__ModelQueuePolicy Policy;

static Batching m;
static Policy usual, special;
static Entry entry;
static Entry *entries[] = {&entry};
static int32_t sizes[66];
static struct version_settings s;
static struct pbtxt_error error;

static void setup(void)
{
	inference__model_dynamic_batching__init(&m);
	inference__model_queue_policy__init(&usual);
	inference__model_queue_policy__init(&special);
	inference__model_dynamic_batching__priority_queue_policy_entry__init(&entry);
	s = (struct version_settings){.max_batch_size = 8, .max_queue_size = 77};
}

static void teardown(void)
{
	free(s.queue);
}

TestSuite(queue_pbtxt, .init = setup, .fini = teardown);

static void bad(const char *field, const char *what)
{
	cr_assert_eq(queue_pbtxt_map(&m, &s, &error), QUEUE_PBTXT_E_INVALID);
	cr_expect_str_eq(error.field, field);
	cr_expect_str_eq(error.what, what);
	cr_expect_null(s.queue);
}

static void add_special(uint64_t level)
{
	entry.key = level;
	entry.value = &special;
	m.priority_queue_policy = entries;
	m.n_priority_queue_policy = 1;
}

Test(queue_pbtxt, nothing_said)
{
	cr_assert_eq(queue_pbtxt_map(&m, &s, &error), 0);
	cr_expect_eq(s.max_queue_delay_us, 0);
	cr_expect_eq(s.max_queue_size, 77);
	cr_assert(s.queue);
	cr_expect_eq(s.queue->n_levels, 1);
	cr_expect_eq(s.queue->n_preferred, 0);
	cr_expect_eq(s.queue->policies[0].timeout_us, 0);
}

Test(queue_pbtxt, one_level)
{
	usual.timeout_action = INFERENCE__MODEL_QUEUE_POLICY__TIMEOUT_ACTION__DELAY;
	usual.default_timeout_microseconds = 300;
	usual.allow_timeout_override = true;
	usual.max_queue_size = 9;
	m.default_queue_policy = &usual;
	m.max_queue_delay_microseconds = 5;
	sizes[0] = 8;
	sizes[1] = 4;
	m.preferred_batch_size = sizes;
	m.n_preferred_batch_size = 2;
	cr_assert_eq(queue_pbtxt_map(&m, &s, &error), 0);
	cr_expect_eq(s.max_queue_delay_us, 5);
	cr_expect_eq(s.max_queue_size, 9);
	cr_expect_eq(s.queue->policies[0].action, QUEUE_DELAY);
	cr_expect_eq(s.queue->policies[0].timeout_us, 300);
	cr_expect(s.queue->policies[0].allow_override);
	cr_expect_eq(s.queue->policies[0].max_requests, 9);
	cr_expect_eq(s.queue->n_preferred, 2);
	cr_expect_eq(s.queue->preferred[0], 4);
}

Test(queue_pbtxt, levels_with_a_policy_of_their_own)
{
	usual.max_queue_size = 10;
	special.max_queue_size = 3;
	special.default_timeout_microseconds = 1;
	m.default_queue_policy = &usual;
	m.priority_levels = 3;
	m.default_priority_level = 3;
	add_special(2);
	cr_assert_eq(queue_pbtxt_map(&m, &s, &error), 0);
	cr_expect_eq(s.queue->n_levels, 3);
	cr_expect_eq(s.queue->default_level, 2);
	cr_expect_eq(s.queue->policies[0].max_requests, 10);
	cr_expect_eq(s.queue->policies[1].max_requests, 3);
	cr_expect_eq(s.queue->policies[1].timeout_us, 1);
	cr_expect_eq(s.queue->policies[2].timeout_us, 0);
	cr_expect_eq(s.max_queue_size, 23, "what all levels may hold");
	special.max_queue_size = 0;
	cr_assert_eq(queue_pbtxt_map(&m, &s, &error), 0, "again: the first one is freed");
	cr_expect_eq(s.max_queue_size, 23, "one level has no bound: as it is");
}

Test(queue_pbtxt, an_order)
{
	m.preserve_ordering = true;
	cr_assert_eq(queue_pbtxt_map(&m, &s, &error), 0);
	cr_expect(s.queue->keep_order);
}

Test(queue_pbtxt, an_order_beside_levels)
{
	m.preserve_ordering = true;
	m.priority_levels = 2;
	m.default_priority_level = 1;
	bad("priority_levels", "only one level is allowed where preserve_ordering is true");
}

Test(queue_pbtxt, an_order_beside_another_one)
{
	m.preserve_ordering = true;
	usual.timeout_action = INFERENCE__MODEL_QUEUE_POLICY__TIMEOUT_ACTION__DELAY;
	m.default_queue_policy = &usual;
	bad("preserve_ordering", "no queue policy may have DELAY as its timeout_action then");
}

Test(queue_pbtxt, the_sum_of_bounds_is_bounded)
{
	usual.max_queue_size = 1000000;
	m.default_queue_policy = &usual;
	m.priority_levels = 32;
	m.default_priority_level = 1;
	cr_assert_eq(queue_pbtxt_map(&m, &s, &error), 0);
	cr_expect_eq(s.max_queue_size, 1000000);
}

Test(queue_pbtxt, what_is_wrong_with_levels)
{
	m.priority_levels = 33;
	bad("priority_levels", "a number from 0 to 32 is expected");
	m.priority_levels = 2;
	bad("default_priority_level", "a number from 1 to priority_levels is expected");
	m.default_priority_level = 3;
	bad("default_priority_level", "a number from 1 to priority_levels is expected");
	m.default_priority_level = 1;
	add_special(3);
	bad("priority_queue_policy", "its keys are numbers from 1 to priority_levels");
	add_special(0);
	bad("priority_queue_policy", "its keys are numbers from 1 to priority_levels");
	m.priority_levels = 0;
	add_special(1);
	bad("priority_queue_policy", "its keys are numbers from 1 to priority_levels");
}

Test(queue_pbtxt, what_is_wrong_with_policies)
{
	m.default_queue_policy = &usual;
	usual.max_queue_size = 1000001;
	bad("max_queue_size", "a number from 0 to 1000000 is expected");
	usual.max_queue_size = 0;
	usual.default_timeout_microseconds = UINT64_MAX;
	bad("default_timeout_microseconds", "a number from 0 to 86400000000 is expected");
	usual.default_timeout_microseconds = 0;
	m.priority_levels = 1;
	m.default_priority_level = 1;
	add_special(1);
	special.max_queue_size = UINT32_MAX;
	bad("max_queue_size", "a number from 0 to 1000000 is expected");
}

Test(queue_pbtxt, what_is_wrong_with_sizes)
{
	m.max_queue_delay_microseconds = 10000001;
	bad("max_queue_delay_microseconds", "a number from 0 to 10000000 is expected");
	m.max_queue_delay_microseconds = 0;
	m.preferred_batch_size = sizes;
	m.n_preferred_batch_size = 1;
	sizes[0] = 9;
	bad("preferred_batch_size", "numbers from 1 to max_batch_size are expected");
	sizes[0] = 0;
	bad("preferred_batch_size", "numbers from 1 to max_batch_size are expected");
	sizes[0] = INT32_MIN;
	bad("preferred_batch_size", "numbers from 1 to max_batch_size are expected");
	s.max_batch_size = UINT32_MAX;
	m.n_preferred_batch_size = 65;
	for (int32_t i = 0; i < 65; i++)
		sizes[i] = i + 1;
	bad("preferred_batch_size", "at most 64 are expected");
}

static int map(void *arg)
{
	struct version_settings to = {.max_batch_size = 8};
	int r = queue_pbtxt_map(&m, &to, &error);

	(void)arg;
	free(to.queue);
	return r;
}

Test(queue_pbtxt, faults)
{
	FAULT_LOOP(map, NULL);
}
