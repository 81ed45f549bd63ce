/* Tests of labels.c: lines of files, by output and index. */
#include "dispatch/labels.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/failalloc.h"

static struct labels *make(const char *a, const char *b)
{
	const struct labels_source sources[] = {
		{"a", "a.txt", a, strlen(a)}, {"b", "b.txt", b, strlen(b)}};

	return labels_new(sources, 2);
}

static void expect(const char *text, size_t n, const char *const *expected)
{
	struct labels *l = make("before", text);
	const char *list[5];

	cr_assert(l);
	labels_list(l, labels_find(l, "b"), list, n);
	for (size_t i = 0; i < n; i++)
		cr_expect_str_eq(list[i], expected[i], "%s: %zu", text, i);
	free(l);
}

Test(labels, a_line_each)
{
	static const char *const some[] = {"ant", "", "a cat", "", ""};

	expect("ant\n\na cat", 5, some);
	expect("ant\n\na cat\n", 5, some);
	expect("ant\r\n\r\na cat\r", 5, some);
	expect("", 3, (const char *const[]){"", "", ""});
	expect("a\rb", 1, (const char *const[]){"a\rb"});
	expect("ant\nbee", 1, (const char *const[]){"ant"});
}

Test(labels, of_an_output)
{
	struct labels *l = make("x", "y");
	const char *label;

	cr_assert(l);
	cr_expect_str_eq(labels_find(l, "a")->file, "a.txt");
	labels_list(l, labels_find(l, "a"), &label, 1);
	cr_expect_str_eq(label, "x");
	cr_expect_null(labels_find(l, "c"));
	cr_expect_null(labels_find(NULL, "a"));
	free(l);
}

Test(labels, are_copied_and_compared_whole)
{
	struct labels *a = make("x", "y"), *b = NULL, *c = make("x", "z"), *d = make("x", "yy"),
		      *none = a;

	cr_assert(a && c && d);
	cr_assert_eq(labels_copy(&b, a), 0);
	cr_expect(labels_equal(a, b));
	cr_expect_not(labels_equal(a, c));
	cr_expect_not(labels_equal(a, d));
	cr_expect_not(labels_equal(a, NULL));
	cr_assert_eq(labels_copy(&none, NULL), 0);
	cr_expect_null(none);
	cr_expect(labels_equal(NULL, NULL));
	free(a);
	free(b);
	free(c);
	free(d);
}

static int make_and_copy(void *arg)
{
	struct labels *a = make("x", "y"), *b = NULL;
	int r = a ? labels_copy(&b, a) : -1;

	(void)arg;
	free(a);
	free(b);
	return r;
}

Test(labels, faults)
{
	FAULT_LOOP(make_and_copy, NULL);
}
