/* config_entry_test.c: keys by name. */
#include <criterion/criterion.h>
#include <string.h>

#include "config_private.h"

Test(config_entry, a_key_is_found_by_section_and_name)
{
	size_t i = 0;

	cr_assert(config_find_key("worker", "slots", &i));
	cr_expect_str_eq(config_keys[i].name, "slots");
	cr_expect_not(config_find_key("workers", "slots", &i));
	cr_expect_not(config_find_key("worker", "slot", &i));
	cr_expect_not(config_find_key("", "", &i));
}

Test(config_entry, what_became_of_a_value_is_shown)
{
	struct config c;

	cr_assert_eq(config_init(&c), 0);
	cr_expect_str_eq(config_entry(&c, "worker", "program")->text, "auto");
	cr_assert_eq(config_show(&c, "worker", "program", "/bin/x"), 0);
	cr_expect_str_eq(config_entry(&c, "worker", "program")->text, "/bin/x");
	config_release(&c);
}
