/* Tests of task.c: what is held, and what comes of it. */
#include "models/task.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fake_dispatch.h"
#include "tests/support/failalloc.h"

static struct task *t;

static struct version *version(const char *number)
{
	const struct version_settings s = {.name = "m", .version = number};
	struct version *v;

	cr_assert_eq(dispatch_add_version(NULL, &s, NULL, &v), 0);
	return v;
}

static void begin(enum task_kind kind, uint64_t number)
{
	memset(&fake, 0, sizeof(fake));
	t = task_new(kind, "m", number);
	cr_assert_not_null(t);
	t->phase = TASK_WAITING;
}

static void end(void)
{
	task_free(t);
	fake_clear();
	cr_expect_eq(fake.n_living, 0);
}

Test(task, a_load_of_several_versions_is_done_with_the_last)
{
	struct version *one, *two;

	begin(TASK_LOAD, 0);
	one = version("1");
	two = version("2");
	cr_assert_eq(task_watch(t, one), 0);
	cr_assert_eq(task_watch(t, two), 0);
	cr_expect_eq(one->refs, 2);
	task_look(t);
	two->ready = true;
	task_look(t);
	cr_expect_eq(t->phase, TASK_WAITING);
	one->ready = true;
	task_look(t);
	cr_expect_eq(t->phase, TASK_DONE);
	cr_expect_eq(t->code, LIFECYCLE_OK);
	cr_expect_eq(one->refs, 1, "nothing is held any more");
	end();
}

Test(task, only_the_version_that_was_named)
{
	struct version *one, *two;

	begin(TASK_LOAD, 2);
	one = version("1");
	two = version("2");
	cr_assert_eq(task_watch(t, one), 0);
	cr_assert_eq(task_watch(t, two), 0);
	task_drop_others(t);
	cr_expect_eq(one->refs, 1);
	cr_expect_eq(t->n_versions, 1);
	two->hopeful = false;
	task_look(t);
	cr_expect_eq(t->code, LIFECYCLE_FAILED);
	cr_expect_str_eq(t->text, "model 'm' version 2: no worker can load it");
	cr_expect_str_eq(t->failed_version, "2");
	cr_expect_str_eq(t->failed_detail, "no worker can load it");
	end();
}

Test(task, an_unload_is_done_when_all_are_gone)
{
	struct version *one;

	begin(TASK_UNLOAD, 0);
	one = version("1");
	cr_assert_eq(task_watch(t, one), 0);
	task_look(t);
	cr_expect_eq(t->phase, TASK_WAITING);
	task_gone(t, one);
	task_look(t);
	cr_expect_eq(t->code, LIFECYCLE_OK);
	cr_expect_eq(t->phase, TASK_DONE);
	end();
}

static int life(void *arg)
{
	struct task *own = task_new(TASK_LOAD, "m", 0);
	struct version v = {.refs = 1};
	int r;

	(void)arg;
	if (!own)
		return -12;
	r = task_watch(own, &v);
	task_end(own, LIFECYCLE_OK, "%s", "done");
	cr_expect_eq(v.refs, 1);
	if (!own->text)
		r = -12;
	task_free(own);
	return r;
}

Test(task, every_failure_leaves_nothing_behind)
{
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
}
