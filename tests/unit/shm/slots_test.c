/* slots_test.c: ids that are places, and do not come again. */
#include "shm/slots.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "tests/support/failalloc.h"

static uint64_t add(struct slots *s, void *item)
{
	uint64_t id = 0;

	cr_assert_eq(slots_add(s, item, &id), 0);
	cr_assert_neq(id, 0);
	return id;
}

Test(slots, an_empty_table_finds_nothing)
{
	struct slots s = {0};

	cr_assert_null(slots_find(&s, 0));
	cr_assert_null(slots_find(&s, 1));
	cr_assert_null(slots_find(&s, UINT64_MAX));
	cr_assert_null(slots_remove(&s, UINT64_MAX));
	slots_deinit(&s);
}

Test(slots, the_lowest_place_and_a_new_id)
{
	struct slots s = {0};
	int things[40];
	uint64_t ids[40], again;

	for (unsigned i = 0; i < 40; i++)
		ids[i] = add(&s, &things[i]);
	for (unsigned i = 0; i < 40; i++)
		cr_assert_eq(slots_find(&s, ids[i]), &things[i]);
	cr_assert_null(slots_find(&s, 0));
	cr_assert_eq(slots_remove(&s, ids[30]), &things[30]);
	cr_assert_eq(slots_remove(&s, ids[7]), &things[7]);
	cr_assert_null(slots_remove(&s, ids[7]));
	cr_assert_null(slots_find(&s, ids[7]));
	again = add(&s, &things[0]);
	cr_assert_eq(again % SLOTS_MAX, ids[7] % SLOTS_MAX);
	cr_assert_neq(again, ids[7]);
	cr_assert_null(slots_find(&s, ids[7]));
	cr_assert_eq(add(&s, &things[1]) % SLOTS_MAX, ids[30] % SLOTS_MAX);
	cr_assert_eq(add(&s, &things[2]) % SLOTS_MAX, 40);
	cr_assert_eq(s.n, 41);
	slots_deinit(&s);
}

Test(slots, what_one_gives_the_other_takes)
{
	struct slots giver = {0}, taker = {0};
	int things[3];
	uint64_t id;

	for (unsigned i = 0; i < 3; i++) {
		id = add(&giver, &things[i]);
		cr_assert_eq(slots_put(&taker, id, 3, &things[i]), 0);
		cr_assert_eq(slots_find(&taker, id), &things[i]);
	}
	cr_assert_eq(slots_put(&taker, id, 3, &things[0]), -EEXIST);
	cr_assert_eq(slots_put(&taker, id + SLOTS_MAX, 3, &things[0]), -EEXIST);
	cr_assert_eq(slots_put(&taker, 0, 3, &things[0]), -EINVAL);
	cr_assert_eq(slots_put(&taker, add(&giver, &things[0]), 3, &things[0]), -ERANGE);
	cr_assert_eq(slots_remove(&taker, id), &things[2]);
	cr_assert_eq(slots_put(&taker, id + SLOTS_MAX, 3, &things[1]), 0);
	cr_assert_null(slots_find(&taker, id));
	slots_deinit(&giver);
	slots_deinit(&taker);
}

Test(slots, there_is_an_end)
{
	struct slots s = {0};
	uint64_t id = 0;
	int thing;

	for (unsigned i = 0; i < SLOTS_MAX; i++)
		cr_assert_eq(slots_add(&s, &thing, &id), 0);
	cr_assert_eq(slots_add(&s, &thing, &id), -ENOMEM);
	cr_assert_eq(slots_remove(&s, id), &thing);
	(void)add(&s, &thing);
	slots_deinit(&s);
}

static int use(void *arg)
{
	struct slots s = {0};
	uint64_t id = 0;
	int r = 0;

	for (unsigned i = 0; i < 20 && !r; i++) {
		uint32_t n = s.n;

		r = slots_add(&s, arg, &id);
		cr_assert_eq(s.n, n + (r == 0));
	}
	if (!r)
		r = slots_put(&s, 100 | SLOTS_MAX, SLOTS_MAX, arg);
	slots_deinit(&s);
	return r;
}

Test(slots, fault_loop)
{
	int thing;

	FAULT_LOOP(use, &thing);
}
