/* Tests of queue_conf.c: each key, and what is wrong with each. */
#include "models/queue_conf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/failalloc.h"

static struct queue_conf conf;
static struct version_settings s = {.max_batch_size = 8};

static void teardown(void)
{
	queue_conf_release(&conf);
	free(s.queue);
}

TestSuite(queue_conf, .fini = teardown);

static void good(const char *key, const char *value)
{
	cr_assert_eq(queue_conf_set(&conf, key, value), 0, "%s: %s", key, conf.what);
}

static void bad(const char *key, const char *value, const char *what)
{
	cr_expect_eq(queue_conf_set(&conf, key, value), QUEUE_CONF_E_INVALID, "%s", key);
	cr_expect_str_eq(conf.what, what);
	queue_conf_release(&conf);
}

Test(queue_conf, every_key)
{
	good("timeout_us", "100");
	good("levels", "3");
	good("default_level", "2");
	good("timeout_action", "delay");
	good("timeout_override", "yes");
	good("preferred_batch_size", "8, 4");
	cr_assert_eq(queue_conf_apply(&conf, &s), 0);
	cr_assert(s.queue);
	cr_expect_eq(s.queue->n_levels, 3);
	cr_expect_eq(s.queue->default_level, 1);
	cr_expect_eq(s.queue->n_preferred, 2);
	cr_expect_eq(s.queue->preferred[0], 4);
	cr_expect_eq(s.queue->preferred[1], 8);
	for (size_t i = 0; i < 3; i++) {
		cr_expect_eq(s.queue->policies[i].timeout_us, 100);
		cr_expect_eq(s.queue->policies[i].action, QUEUE_DELAY);
		cr_expect(s.queue->policies[i].allow_override);
		cr_expect_eq(s.queue->policies[i].max_requests, 0);
	}
	cr_expect_null(conf.settings);
}

Test(queue_conf, who_says_no_priority_is_last)
{
	good("levels", "32");
	good("timeout_action", "reject");
	cr_assert_eq(queue_conf_apply(&conf, &s), 0);
	cr_expect_eq(s.queue->default_level, 31);
	cr_expect_eq(s.queue->policies[0].action, QUEUE_REJECT);
}

Test(queue_conf, an_order)
{
	good("keep_order", "yes");
	good("timeout_us", "5");
	cr_assert_eq(queue_conf_apply(&conf, &s), 0);
	cr_expect(s.queue->keep_order);
}

Test(queue_conf, an_order_beside_another_one)
{
	good("keep_order", "yes");
	good("levels", "2");
	cr_assert_eq(queue_conf_apply(&conf, &s), QUEUE_CONF_E_INVALID);
	cr_expect_str_eq(conf.key, "keep_order");
}

Test(queue_conf, without_it_nothing_changes)
{
	cr_assert_eq(queue_conf_apply(&conf, &s), 0);
	cr_expect_null(s.queue);
}

Test(queue_conf, what_is_wrong)
{
	static const char size[] =
		"numbers from 1 to max_batch_size are expected, separated by commas";

	bad("level", "1", "unknown key");
	bad("levels", "33", "a number from 1 to 32 is expected");
	bad("default_level", "0", "a number from 1 to 32 is expected");
	bad("timeout_us", "86400000001", "a number from 0 to 86400000000 is expected");
	bad("timeout_action", "drop", "is none of reject, delay");
	bad("timeout_override", "maybe", "is neither yes nor no");
	bad("keep_order", "maybe", "is neither yes nor no");
	bad("preferred_batch_size", "4,,8", size);
	bad("preferred_batch_size", "", size);
	bad("preferred_batch_size", "4 8", size);
	bad("preferred_batch_size", "65537", size);
	good("levels", "2");
	bad("levels", "2", "is set twice");
}

Test(queue_conf, too_many_sizes)
{
	char list[512] = "1";

	for (int i = 2; i <= 65; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), ",%d", i);
	bad("preferred_batch_size", list, "at most 64 are expected");
}

Test(queue_conf, what_does_not_go_together)
{
	good("levels", "2");
	good("default_level", "3");
	cr_expect_eq(queue_conf_apply(&conf, &s), QUEUE_CONF_E_INVALID);
	cr_expect_str_eq(conf.key, "default_level");
	cr_expect_str_eq(conf.what, "there are not so many levels");
	queue_conf_release(&conf);
	good("preferred_batch_size", "9");
	cr_expect_eq(queue_conf_apply(&conf, &s), QUEUE_CONF_E_INVALID);
	cr_expect_str_eq(conf.key, "preferred_batch_size");
	cr_expect_str_eq(conf.what, "is more than max_batch_size");
	cr_expect_null(s.queue);
}

static int set(void *arg)
{
	struct queue_conf c = {0};
	int r = queue_conf_set(&c, "preferred_batch_size", "4,8");

	(void)arg;
	queue_conf_release(&c);
	return r;
}

Test(queue_conf, faults)
{
	FAULT_LOOP(set, NULL);
}
