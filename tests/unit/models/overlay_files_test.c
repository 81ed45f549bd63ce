/* Tests of overlay_files.c: bytes become files, once, and are given back. */
#include "models/overlay_files.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/spool.h"
#include "models/overlay_bytes.h"
#include "tests/support/failalloc.h"

static char parent[64], root[80], text[512];
static struct spool *spool;
static unsigned n_released;

static void setup(void)
{
	snprintf(parent, sizeof(parent), "/tmp/overlay-files-XXXXXX");
	cr_assert(mkdtemp(parent));
	snprintf(root, sizeof(root), "%s/files", parent);
	cr_assert_eq(spool_open(&spool, root, 100), 0);
	n_released = 0;
}

static void teardown(void)
{
	spool_close(spool);
	cr_expect(!rmdir(root) && !rmdir(parent));
}

TestSuite(overlay_files, .init = setup, .fini = teardown);

static void release(void *data)
{
	(void)data;
	n_released++;
}

static int make(struct overlay_files **ret, const struct overlay_file *list, size_t n)
{
	const struct overlay_bytes bytes = {.list = list, .n = n, .release = release};
	struct spool_dir *dir;

	cr_assert(spool_reserve(spool, 10));
	if (spool_dir_new(&dir, spool, 10)) {
		spool_unreserve(spool, 10);
		return -ENOMEM;
	}
	return overlay_files_new(ret, dir, &bytes, text, sizeof(text));
}

static bool is_there(const struct overlay_files *f, const char *path)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s/%s", spool_dir_path(overlay_files_dir(f)), path);
	return !access(whole, R_OK);
}

Test(overlay_files, written_once)
{
	static const struct overlay_file list[] = {{"1/model.onnx", "abc", 3}, {"1/a/b", "", 0}};
	struct overlay_files *f;

	cr_assert_eq(make(&f, list, 2), 0);
	cr_expect_not(is_there(f, "m/1/model.onnx"));
	cr_expect_eq(overlay_files_write(f, "m"), 0);
	cr_expect_eq(n_released, 1);
	cr_expect(is_there(f, "m/1/model.onnx"));
	cr_expect(is_there(f, "m/1/a/b"));
	cr_expect_eq(overlay_files_write(f, "m"), 0);
	overlay_files_free(f);
	cr_expect_eq(n_released, 1);
}

Test(overlay_files, never_written)
{
	static const struct overlay_file list[] = {{"1/model.onnx", "abc", 3}};
	struct overlay_files *f;

	cr_assert_eq(make(&f, list, 1), 0);
	overlay_files_free(f);
	cr_expect_eq(n_released, 1);
}

Test(overlay_files, one_twice)
{
	static const struct overlay_file list[] = {{"1/a", "x", 1}, {"1/a", "y", 1}};
	struct overlay_files *f;

	cr_expect_eq(make(&f, list, 2), OVERLAY_FILES_E_INVALID);
	cr_expect_str_eq(text, "file:1/a is given twice");
	cr_expect_eq(n_released, 1);
}

Test(overlay_files, a_file_that_is_a_directory_of_another)
{
	static const struct overlay_file list[] = {{"1/a", "x", 1}, {"1/a/b", "y", 1}};
	struct overlay_files *f;

	cr_assert_eq(make(&f, list, 2), 0);
	cr_expect_eq(overlay_files_write(f, "m"), -ENOTDIR);
	cr_expect_eq(overlay_files_write(f, "m"), -ENOTDIR, "and it stays so");
	overlay_files_free(f);
}

Test(overlay_files, paths_that_lead_elsewhere)
{
	static const char *const wrong[] = {
		"", "model.onnx", "../m/1/x", "/etc/passwd", "1//x", "1/..", "1/2/3/4/5/6/7/8"};
	struct overlay_files *f;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct overlay_file file = {wrong[i], "", 0};

		cr_expect_eq(make(&f, &file, 1), OVERLAY_FILES_E_INVALID, "%s", wrong[i]);
		cr_expect(strstr(text, wrong[i]));
		cr_expect_eq(n_released, i + 1);
	}
}

Test(overlay_files, as_deep_as_it_may_lie)
{
	static const struct overlay_file file = {"1/2/3/4/5/6/7", "x", 1};
	struct overlay_files *f;

	cr_assert_eq(make(&f, &file, 1), 0);
	cr_expect_eq(overlay_files_write(f, "m"), 0);
	cr_expect(is_there(f, "m/1/2/3/4/5/6/7"));
	overlay_files_free(f);
}

Test(overlay_files, too_many)
{
	static struct overlay_file list[OVERLAY_FILES_MAX + 1];
	struct overlay_files *f;

	cr_expect_eq(make(&f, list, OVERLAY_FILES_MAX + 1), OVERLAY_FILES_E_INVALID);
	cr_expect_str_eq(text, "257 files are given, and 256 are the limit");
}

static int life(void *arg)
{
	struct overlay_files *f;
	int r = make(&f, arg, 1);

	if (!r) {
		r = overlay_files_write(f, "m");
		overlay_files_free(f);
	}
	spool_settle(spool);
	return r;
}

Test(overlay_files, every_failure_leaves_nothing_behind)
{
	struct overlay_file file = {"1/a", "x", 1};

	FAULT_LOOP(life, &file);
	cr_expect_eq(spool_used(spool), 0);
}
