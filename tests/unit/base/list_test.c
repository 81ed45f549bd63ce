/* list_test.c: order, removal, iteration; and the helpers of cleanup.h. */
#include "base/list.h"

#include <criterion/criterion.h>
#include <fcntl.h>

#include "base/cleanup.h"

struct item {
	int value;
	struct list node;
};

static int digits(struct list *l)
{
	int all = 0;

	list_for_each (l, it)
		all = all * 10 + list_entry(it, struct item, node)->value;
	return all;
}

Test(list, empty)
{
	struct list l;

	list_init(&l);
	cr_assert(list_empty(&l));
	cr_assert_null(list_first(&l));
	list_remove(&l);
	cr_assert(list_empty(&l));
}

Test(list, order)
{
	struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3}, d = {.value = 4};
	struct list l;

	list_init(&l);
	list_push_back(&l, &b.node);
	list_push_back(&l, &d.node);
	list_push_front(&l, &a.node);
	list_insert_before(&d.node, &c.node);
	cr_assert_eq(digits(&l), 1234);
	cr_assert_eq(list_first(&l), &a.node);
	list_remove(&c.node);
	list_remove(&c.node);
	cr_assert_eq(digits(&l), 124);
	list_push_front(&l, &c.node);
	cr_assert_eq(digits(&l), 3124);
}

Test(list, body_may_remove_and_free_the_current)
{
	struct list l;
	int seen = 0;

	list_init(&l);
	for (int i = 1; i <= 4; i++) {
		struct item *item = malloc(sizeof(*item));

		item->value = i;
		list_push_back(&l, &item->node);
	}
	list_for_each (&l, it) {
		struct item *item = list_entry(it, struct item, node);

		seen = seen * 10 + item->value;
		list_remove(it);
		free(item);
	}
	cr_assert_eq(seen, 1234);
	cr_assert(list_empty(&l));
}

Test(cleanup, steal_leaves_nothing_behind)
{
	char *p = malloc(1);
	_cleanup_(freep) char *q = steal_ptr(p);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_(close_fd) int taken = steal_fd(&fd);

	cr_assert(!p && q);
	cr_assert(fd == -1 && taken >= 0);
	close_fd(&fd);
	cr_assert_eq(fd, -1);
}
