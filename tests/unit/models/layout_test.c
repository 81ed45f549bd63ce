/* Tests of layout.c: directories of versions, and what is nearly one. */
#include "models/layout.h"

#include "tests/support/failalloc.h"
#include "tree.h"

static struct layout l;

static void teardown(void)
{
	layout_release(&l);
	tree_remove();
}

TestSuite(layout, .init = tree_make, .fini = teardown);

static void look(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/m", root);
	layout_release(&l);
	cr_assert_eq(layout_read(&l, path), 0);
}

static void version_is(size_t i, uint64_t number, const char *path)
{
	cr_assert_lt(i, l.n);
	cr_expect_eq(l.versions[i].number, number);
	cr_expect_str_eq(l.versions[i].path, in_tree(path));
}

Test(layout, the_highest_is_first)
{
	put("m/2", NULL);
	put("m/10", NULL);
	put("m/1/model.onnx", "");
	put("m/.git", NULL);
	put("m/docs/x", "");
	look();
	cr_expect_eq(l.n, 3);
	version_is(0, 10, "%/m/10");
	version_is(2, 1, "%/m/1");
	cr_expect_null(l.odd);
	cr_expect_not(l.has_files);
}

Test(layout, nearly_a_number)
{
	put("m/v3", NULL);
	put("m/02", NULL);
	look();
	cr_expect_eq(l.n, 2);
	version_is(0, 3, "%/m/v3");
	version_is(1, 2, "%/m/02");
	cr_expect_null(l.odd);
}

Test(layout, two_of_one_number)
{
	put("m/1/model.onnx", "");
	put("m/01/model.onnx", "");
	look();
	cr_expect_eq(l.n, 1);
	cr_expect(l.versions[0].ambiguous);
	cr_expect_not_null(strstr(l.odd, "are both version 1: remove one of them"));
}

Test(layout, in_the_directory_itself)
{
	put("m/model.onnx", "");
	look();
	cr_expect_eq(l.n, 1);
	version_is(0, 1, "%/m");
	put("m/1/model.onnx", "");
	look();
	cr_expect_eq(l.n, 1);
	version_is(0, 1, "%/m/1");
	cr_expect_str_eq(l.odd,
		in_tree("%/m/model.onnx is not served, since there are directories of versions: "
			"move it into one"));
}

Test(layout, what_is_named_otherwise)
{
	put("m/latest/model.onnx", "");
	look();
	cr_expect_eq(l.n, 0);
	cr_expect(l.has_files);
	cr_expect_str_eq(l.odd,
		in_tree("%/m/latest is not served: a version's directory is named by its number, "
			"from 1: rename it"));
	take_away("m/latest");
	put("m/0/model.onnx", "");
	look();
	cr_expect_eq(l.n, 0);
	cr_expect_not_null(strstr(l.odd, "/m/0 is not served"));
}

Test(layout, a_file_named_like_a_version)
{
	put("m/1", NULL);
	put("m/3", "");
	look();
	cr_expect_eq(l.n, 1);
	cr_expect_str_eq(l.odd, in_tree("%/m/3 is not served: a version is a directory"));
}

Test(layout, nothing)
{
	look();
	cr_expect_eq(l.n, 0);
	put("m", NULL);
	look();
	cr_expect_eq(l.n, 0);
	cr_expect_null(l.odd);
}

Test(layout, without_descriptors_nothing_is_said)
{
	rlim_t before;
	char path[64];

	put("m/1/model.onnx", "");
	snprintf(path, sizeof(path), "%s/m", root);
	before = leave_descriptors(0);
	cr_expect_eq(layout_read(&l, path), -EMFILE);
	set_descriptors(before);
	look();
	cr_expect_eq(l.n, 1);
}

/* A link that leads to itself stands for a disk that fails. */
Test(layout, what_cannot_be_read_is_odd)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/m", root);
	cr_assert_eq(symlink("m", path), 0);
	look();
	cr_expect_eq(l.n, 0);
	cr_expect(l.has_files);
	cr_expect_str_eq(l.odd, in_tree("%/m cannot be read: Too many levels of symbolic links"));
}

static int life(void *arg)
{
	struct layout own;
	char path[64];
	int r;

	(void)arg;
	snprintf(path, sizeof(path), "%s/m", root);
	r = layout_read(&own, path);
	layout_release(&own);
	return r;
}

Test(layout, every_failure_leaves_nothing_behind)
{
	put("m/1/model.onnx", "");
	put("m/01/model.onnx", "");
	put("m/latest/model.onnx", "");
	put("m/model.onnx", "");
	put("m/7", "");
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
}
