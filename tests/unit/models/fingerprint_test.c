/* Tests of fingerprint.c: every change of a file is another number, also behind links. */
#include "models/fingerprint.h"

#include <utime.h>

#include "tree.h"

TestSuite(fingerprint, .init = tree_make, .fini = tree_remove);

static uint64_t now(void)
{
	char path[64];
	uint64_t fingerprint = 1;

	snprintf(path, sizeof(path), "%s/m", root);
	cr_assert_eq(fingerprint_directory(path, &fingerprint), 0);
	return fingerprint;
}

static uint64_t last;

static void expect_change(const char *why)
{
	uint64_t next = now();

	cr_expect_neq(next, last, "%s", why);
	last = next;
	cr_expect_eq(now(), last, "it stays the same while nothing changes");
}

Test(fingerprint, every_change_counts)
{
	char file[64], moved[64];

	snprintf(file, sizeof(file), "%s/m/1/model.onnx", root);
	snprintf(moved, sizeof(moved), "%s/m/1/other.onnx", root);
	cr_expect_eq(now(), 0, "there is no such directory");
	put("m", NULL);
	expect_change("it is there");
	put("m/1/model.onnx", "one");
	expect_change("a file more");
	put("m/1/model.onnx", "longer");
	expect_change("another size");
	cr_assert_eq(utime(file, &(struct utimbuf){1, 2}), 0);
	expect_change("another time");
	cr_assert_eq(rename(file, moved), 0);
	expect_change("another name");
	put("m/1/deep/er/weights", "");
	expect_change("deeper");
	take_away("m/1/deep/er/weights");
	expect_change("a file less");
}

/* As Kubernetes mounts a ConfigMap: a link to a link, which is replaced. */
Test(fingerprint, links_are_followed)
{
	char data[64], other[64], link_name[64];

	put("m/..one/model.conf", "x");
	put("m/..two/model.conf", "x");
	snprintf(data, sizeof(data), "%s/m/..data", root);
	snprintf(other, sizeof(other), "%s/m/..next", root);
	snprintf(link_name, sizeof(link_name), "%s/m/model.conf", root);
	cr_assert_eq(symlink("..one", data), 0);
	cr_assert_eq(symlink("..data/model.conf", link_name), 0);
	last = now();
	cr_assert_eq(symlink("..two", other), 0);
	cr_assert_eq(rename(other, data), 0);
	expect_change("the link leads elsewhere");
}

/* What cannot be looked at for want of descriptors has not changed. */
Test(fingerprint, without_descriptors_there_is_none)
{
	rlim_t before;
	char path[64];
	uint64_t f;

	put("m/1/2/model.onnx", "one");
	snprintf(path, sizeof(path), "%s/m", root);
	for (unsigned i = 0; i < 3; i++) {
		before = leave_descriptors(i);
		cr_expect_eq(fingerprint_directory(path, &f), -EMFILE, "%u", i);
		set_descriptors(before);
	}
	before = leave_descriptors(3);
	cr_expect_eq(fingerprint_directory(path, &f), 0);
	set_descriptors(before);
	cr_expect_eq(f, now());
}

Test(fingerprint, a_file)
{
	char file[64];
	uint64_t first;

	snprintf(file, sizeof(file), "%s/f", root);
	cr_expect_eq(fingerprint_file(file), 0);
	put("f", "1");
	first = fingerprint_file(file);
	cr_expect_neq(first, 0);
	put("f", "22");
	cr_expect_neq(fingerprint_file(file), first);
}
