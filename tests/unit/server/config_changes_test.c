/* config_changes_test.c: which keys have changed, and need a restart. */
#include <criterion/criterion.h>
#include <string.h>

#include "config_private.h"

static struct config before, now;
static char text[512];

static void setup(void)
{
	cr_assert_eq(config_init(&before), 0);
	cr_assert_eq(config_init(&now), 0);
}

static void teardown(void)
{
	config_release(&before);
	config_release(&now);
}

TestSuite(config_changes, .init = setup, .fini = teardown);

static void set(struct config *c, const char *assignment)
{
	cr_assert_eq(config_set(c, assignment, text, sizeof(text)), 0, "%s", text);
}

static size_t changes(void)
{
	return config_need_restart(&before, &now, text, sizeof(text));
}

Test(config_changes, none)
{
	cr_expect_eq(changes(), 0);
	cr_expect_str_empty(text);
	set(&before, "worker.slots=7");
	set(&now, "worker.slots=7");
	cr_expect_eq(changes(), 0, "%s", text);
}

Test(config_changes, what_a_reload_applies_is_not_named)
{
	set(&now, "models.repository=/elsewhere");
	set(&now, "models.serve=a, b");
	set(&now, "models.default=a");
	set(&now, "models.isolation=model");
	set(&now, "model.max_batch_size=3");
	cr_expect_eq(changes(), 0, "%s", text);
}

Test(config_changes, all_others_are_in_the_order_of_the_table)
{
	set(&now, "worker.workers=cpu:0 x2");
	set(&now, "server.listen=127.0.0.1:0");
	set(&now, "models.control=poll");
	cr_expect_eq(changes(), 3);
	cr_expect_str_eq(text, "[server] listen, [models] control, [worker] workers");
}

Test(config_changes, settings_of_backends)
{
	set(&before, "backend.a.same=1");
	set(&now, "backend.a.same=1");
	set(&before, "backend.a.other=1");
	set(&now, "backend.a.other=2");
	set(&before, "backend.b.gone=1");
	set(&now, "backend.c.new=1");
	cr_expect_eq(changes(), 3);
	cr_expect_str_eq(text, "[backend.a] other, [backend.c] new, [backend.b] gone");
}

Test(config_changes, there_is_not_room_for_all)
{
	char small[16];

	set(&now, "server.listen=127.0.0.1:0");
	set(&now, "worker.workers=cpu:0 x2");
	cr_expect_eq(config_need_restart(&before, &now, small, sizeof(small)), 2);
	cr_expect_str_eq(small, "[server] listen");
}
