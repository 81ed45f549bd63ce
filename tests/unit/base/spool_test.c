/* Tests of spool.c: files come, are counted, and go. */
#include "base/spool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/failalloc.h"

static char parent[64], root[80];

static void setup(void)
{
	snprintf(parent, sizeof(parent), "/tmp/spool-test-XXXXXX");
	cr_assert(mkdtemp(parent));
	snprintf(root, sizeof(root), "%s/files", parent);
}

/* Nothing may be left in it. */
static void teardown(void)
{
	cr_expect(!rmdir(root) || errno == ENOENT, "%s", strerror(errno));
	cr_expect(!rmdir(parent));
}

TestSuite(spool, .init = setup, .fini = teardown);

static struct spool *opened(uint64_t limit)
{
	struct spool *s;

	cr_assert_eq(spool_open(&s, root, limit), 0);
	return s;
}

static struct spool_dir *directory(struct spool *s, uint64_t n)
{
	struct spool_dir *d;

	cr_assert(spool_reserve(s, n));
	cr_assert_eq(spool_dir_new(&d, s, n), 0);
	return d;
}

Test(spool, files)
{
	struct spool *s = opened(100);
	struct spool_dir *d = directory(s, 10);
	char path[512], data[16];
	struct stat st;
	int fd;

	cr_expect_eq(spool_dir_write(d, "m/1/model.onnx", "abc", 3), 0);
	cr_expect_eq(spool_dir_write(d, "m/1/more", "", 0), 0);
	cr_expect_eq(spool_dir_write(d, "m/1/more", "x", 1), -EEXIST);
	snprintf(path, sizeof(path), "%s/m/1/model.onnx", spool_dir_path(d));
	fd = open(path, O_RDONLY);
	cr_assert(fd >= 0);
	cr_expect_eq(read(fd, data, sizeof(data)), 3);
	close(fd);
	cr_assert_eq(stat(spool_dir_path(d), &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700);
	cr_assert_eq(stat(root, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700);
	spool_dir_ref(d);
	spool_dir_unref(d);
	cr_expect_eq(spool_used(s), 10);
	spool_dir_unref(d);
	spool_settle(s);
	cr_expect_eq(spool_used(s), 0);
	cr_expect(access(path, F_OK));
	spool_close(s);
}

Test(spool, many_that_go_at_once)
{
	struct spool *s = opened(100);
	struct spool_dir *d[100];

	for (size_t i = 0; i < 100; i++) {
		d[i] = directory(s, 1);
		cr_assert_eq(spool_dir_write(d[i], "m/1/f", "x", 1), 0);
	}
	cr_expect_not(spool_reserve(s, 1));
	for (size_t i = 0; i < 100; i++)
		spool_dir_unref(d[i]);
	spool_settle(s);
	cr_expect_eq(spool_used(s), 0);
	cr_expect(spool_reserve(s, 100));
	spool_unreserve(s, 100);
	/* And what goes last is waited for. */
	d[0] = directory(s, 1);
	cr_assert_eq(spool_dir_write(d[0], "m/1/f", "x", 1), 0);
	spool_dir_unref(d[0]);
	spool_close(s);
}

/* Its mode and group, below the spool's directory. */
static void expect_shared(struct spool_dir *d, const char *below, mode_t mode, gid_t group)
{
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", spool_dir_path(d), below);
	cr_assert_eq(stat(path, &st), 0, "%s", path);
	cr_expect_eq(st.st_mode & 07777, mode, "%s: %o", path, st.st_mode);
	cr_expect_eq(st.st_gid, group, "%s", path);
}

/* Whatever the mask, and nobody else does; another daemon goes on beside it, and shares nothing. */
Test(spool, a_group_may_read_what_is_written)
{
	gid_t group = geteuid() == 0 ? 64000 : getegid();
	struct spool *s = opened(100), *other;
	struct spool_dir *d = directory(s, 1), *beside;
	struct stat st;

	umask(0077);
	cr_assert_eq(spool_share(s, group), 0);
	cr_assert_eq(spool_dir_write(d, "m/1/f", "x", 1), 0);
	cr_assert_eq(stat(root, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0711);
	expect_shared(d, "..", 0750, group);
	expect_shared(d, "", 0750, group);
	expect_shared(d, "m", 0750, group);
	expect_shared(d, "m/1", 0750, group);
	expect_shared(d, "m/1/f", 0640, group);
	other = opened(100);
	beside = directory(other, 1);
	cr_assert_eq(spool_dir_write(beside, "f", "x", 1), 0);
	expect_shared(beside, "..", 0700, getegid());
	expect_shared(beside, "f", 0600, getegid());
	spool_dir_unref(beside);
	spool_close(other);
	spool_dir_unref(d);
	spool_close(s);
}

Test(spool, a_group_that_we_may_not_give_it_to)
{
	struct spool *s = opened(100);
	struct spool_dir *d = directory(s, 1);

	if (geteuid() == 0)
		cr_assert_eq(setfsuid(64001) + setfsgid(64001), 0);
	cr_expect_eq(spool_share(s, 64000), -EPERM);
	if (geteuid() == 0)
		cr_assert_eq(setfsuid(0) + setfsgid(0), 64001 + 64001);
	cr_assert_eq(spool_dir_write(d, "f", "x", 1), 0);
	expect_shared(d, "f", 0600, getegid());
	spool_dir_unref(d);
	spool_close(s);
}

Test(spool, no_more_than_the_limit)
{
	struct spool *s = opened(10);

	cr_expect_not(spool_reserve(s, 11));
	cr_expect(spool_reserve(s, 6));
	cr_expect_not(spool_reserve(s, 5));
	cr_expect_not(spool_reserve(s, UINT64_MAX));
	cr_expect(spool_reserve(s, 4));
	spool_unreserve(s, 10);
	cr_expect(spool_reserve(s, 10));
	spool_unreserve(s, 10);
	cr_expect_eq(spool_limit(s), 10);
	spool_close(s);
}

Test(spool, paths)
{
	static const char *const wrong[] = {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a",
		"a/../b", "./a", "1/2/3/4/5/6/7/8/9"};
	char name[300];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_not(spool_path_valid(wrong[i]), "%s", wrong[i]);
	cr_expect(spool_path_valid("1/model.onnx"));
	cr_expect(spool_path_valid("1/2/3/4/5/6/7/8"));
	cr_expect(spool_path_valid("..a/.b"));
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	cr_expect_not(spool_path_valid(name));
	name[255] = '\0';
	cr_expect(spool_path_valid(name));
}

/* Ends without tidying up. */
static void die(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct spool *s = opened(10);

		_exit(spool_dir_write(directory(s, 1), "m/1/f", "x", 1) ? 1 : 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
}

Test(spool, what_a_daemon_that_died_has_left_goes)
{
	die();
	cr_assert(rmdir(root), "something was left");
	spool_close(opened(10));
	cr_expect(!rmdir(root));
}

Test(spool, it_also_goes_where_none_are_taken)
{
	spool_sweep(root);
	cr_expect(access(root, F_OK), "it is made for nobody");
	die();
	spool_sweep(root);
	cr_expect(!rmdir(root), "all is gone");
}

Test(spool, a_sweep_leaves_what_is_not_ours_alone)
{
	die();
	cr_assert(!chmod(root, 0755));
	spool_sweep(root);
	cr_expect(rmdir(root), "another may have put it there");
	cr_assert(!chmod(root, 0700));
	spool_sweep(root);
}

Test(spool, another_one_s_that_lives_does_not)
{
	struct spool *a = opened(10);
	struct spool_dir *d = directory(a, 1);
	struct spool *b;

	cr_assert_eq(spool_dir_write(d, "f", "x", 1), 0);
	spool_sweep(root);
	b = opened(10);
	cr_expect(!access(spool_dir_path(d), F_OK));
	spool_dir_unref(d);
	spool_close(b);
	spool_close(a);
}

Test(spool, a_root_that_others_may_look_into)
{
	struct spool *s;

	cr_assert(!mkdir(root, 0755) && !chmod(root, 0755));
	cr_expect_eq(spool_open(&s, root, 10), -EPERM);
}

Test(spool, a_root_that_cannot_be)
{
	struct spool *s;

	cr_expect_eq(spool_open(&s, "/proc/nothing/files", 10), -ENOENT);
	cr_assert(!symlink("/tmp", root));
	cr_expect_lt(spool_open(&s, root, 10), 0);
	unlink(root);
}

static int life(void *arg)
{
	struct spool *s;
	struct spool_dir *d;
	int r = spool_open(&s, arg, 10);

	if (r)
		return r;
	r = spool_dir_new(&d, s, 0);
	if (!r) {
		r = spool_dir_write(d, "m/1/f", "x", 1);
		spool_dir_unref(d);
	}
	spool_close(s);
	return r;
}

Test(spool, every_failure_leaves_nothing_behind)
{
	FAULT_LOOP(life, root);
}
