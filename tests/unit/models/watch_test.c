/* Tests of watch.c: changes are heard of, as deep as asked. */
#include "models/watch.h"

#include "tests/support/failalloc.h"
#include "tree.h"

static uv_loop_t loop;
static struct watch w;
static unsigned n_changes;

static void on_change(void *data)
{
	(void)data;
	n_changes++;
}

static void setup(void)
{
	tree_make();
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(watch_init(&w, &loop, on_change, NULL), 0);
}

static void teardown(void)
{
	watch_close(&w);
	cr_expect_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(uv_loop_close(&loop), 0);
	tree_remove();
}

TestSuite(watch, .init = setup, .fini = teardown);

static bool heard(void)
{
	unsigned before = n_changes;

	uv_run(&loop, UV_RUN_NOWAIT);
	return n_changes > before;
}

Test(watch, changes_are_heard_of)
{
	put("m/1/model.onnx", "one");
	put("m/1/deep/weights", "one");
	watch_directory(&w, root, 2);
	cr_expect_not(heard());
	put("m/1/model.onnx", "another");
	cr_expect(heard());
	cr_expect_not(heard(), "once");
	put("n/1", NULL);
	cr_expect(heard());
	put("m/1/deep/weights", "too deep");
	cr_expect_not(heard());
	take_away("m");
	cr_expect(heard());
	watch_directory(&w, root, 2);
	put("n/1/x", "");
	cr_expect(heard(), "watched since");
}

Test(watch, what_cannot_be_watched)
{
	watch_directory(&w, "/nonexistent", 2);
	put("f", "");
	watch_directory(&w, in_tree("%/f"), 2);
	cr_expect_not(heard());
}

Test(watch, a_zeroed_one)
{
	struct watch none = {.fd = -1};

	watch_directory(&none, root, 2);
	watch_close(&none);
}
