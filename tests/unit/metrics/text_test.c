/* text_test.c: numbers in their units, labels that hold anything, the lines of a histogram. */
#include "metrics/text.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/failalloc.h"

static struct text t;

static void setup(void)
{
	text_init(&t, 1 << 20);
}

static void teardown(void)
{
	text_deinit(&t);
}

TestSuite(text, .init = setup, .fini = teardown);

static const char *written(void)
{
	static char copy[1 << 16];

	cr_assert_eq(t.error, 0);
	cr_assert_lt(t.buf.len, sizeof(copy));
	if (t.buf.len > 0)
		memcpy(copy, t.buf.data, t.buf.len);
	copy[t.buf.len] = '\0';
	buf_reset(&t.buf);
	return copy;
}

static const char *number(uint64_t value, enum text_unit unit)
{
	text_number(&t, value, unit);
	return written();
}

Test(text, numbers)
{
	cr_expect_str_eq(number(0, TEXT_PLAIN), "0");
	cr_expect_str_eq(number(UINT64_MAX, TEXT_PLAIN), "18446744073709551615");
	cr_expect_str_eq(number(0, TEXT_SECONDS), "0");
	cr_expect_str_eq(number(1, TEXT_SECONDS), "0.000000001");
	cr_expect_str_eq(number(1500000000, TEXT_SECONDS), "1.5");
	cr_expect_str_eq(number(2000000000, TEXT_SECONDS), "2");
	cr_expect_str_eq(number(UINT64_MAX, TEXT_SECONDS), "18446744073.709551615");
	cr_expect_str_eq(number(1024, TEXT_SECONDS), "0.000001024");
	cr_expect_str_eq(number(1234567, TEXT_MICROSECONDS), "1234.567");
	cr_expect_str_eq(number(1050, TEXT_MILLI), "1.05");
	cr_expect_str_eq(number(7, TEXT_CENTI), "0.07");
	cr_expect_str_eq(number(100, TEXT_CENTI), "1");
}

Test(text, labels_hold_anything)
{
	text_label(&t, "a", "plain");
	text_label(&t, "b", "q\"b\\s\nend");
	text_label(&t, "c", "");
	cr_expect_str_eq(written(), "a=\"plain\",b=\"q\\\"b\\\\s\\nend\",c=\"\"");
}

Test(text, samples)
{
	text_family(&t, "x", "gauge", "What it is");
	cr_expect_str_eq(written(), "# HELP x What it is\n# TYPE x gauge\n");
	text_sample(&t, "x", "", "", 5, TEXT_PLAIN);
	cr_expect_str_eq(written(), "x 5\n");
	text_sample(&t, "x", "a=\"1\"", "", 5, TEXT_PLAIN);
	cr_expect_str_eq(written(), "x{a=\"1\"} 5\n");
	text_sample(&t, "x", "", "b=\"2\"", 5, TEXT_PLAIN);
	cr_expect_str_eq(written(), "x{b=\"2\"} 5\n");
	text_sample(&t, "x", "a=\"1\"", "b=\"2\"", 5, TEXT_PLAIN);
	cr_expect_str_eq(written(), "x{a=\"1\",b=\"2\"} 5\n");
}

static unsigned count_lines(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

Test(text, a_histogram_is_cumulative)
{
	struct histogram h = {.sum = 0};
	const char *s;

	histogram_add(&h, HISTOGRAM_SHIFT_COUNT, 1);
	histogram_add(&h, HISTOGRAM_SHIFT_COUNT, 2);
	histogram_add(&h, HISTOGRAM_SHIFT_COUNT, 2);
	histogram_add(&h, HISTOGRAM_SHIFT_COUNT, UINT32_MAX);
	text_histogram(&t, "x", "a=\"1\"", "", &h, HISTOGRAM_SHIFT_COUNT);
	s = written();
	cr_expect_eq(count_lines(s), HISTOGRAM_BUCKETS + 2);
	cr_expect_not_null(strstr(s, "x_bucket{a=\"1\",le=\"1\"} 1\n"));
	cr_expect_not_null(strstr(s, "x_bucket{a=\"1\",le=\"2\"} 3\n"));
	cr_expect_not_null(strstr(s, "x_bucket{a=\"1\",le=\"67108864\"} 3\n"));
	cr_expect_not_null(strstr(s, "x_bucket{a=\"1\",le=\"+Inf\"} 4\n"));
	cr_expect_not_null(strstr(s, "x_sum{a=\"1\"} 4294967300\n"));
	cr_expect_not_null(strstr(s, "x_count{a=\"1\"} 4\n"));
}

Test(text, a_histogram_of_times_without_labels)
{
	struct histogram h = {.sum = 0};
	const char *s;

	histogram_add(&h, HISTOGRAM_SHIFT_NS, 5000);
	text_histogram(&t, "x", "", "", &h, HISTOGRAM_SHIFT_NS);
	s = written();
	cr_expect_not_null(strstr(s, "x_bucket{le=\"0.000001024\"} 0\n"));
	cr_expect_not_null(strstr(s, "x_bucket{le=\"0.000008192\"} 1\n"));
	cr_expect_not_null(strstr(s, "x_sum 0.000005\n"));
	cr_expect_not_null(strstr(s, "x_count 1\n"));
}

Test(text, what_does_not_fit_is_said_once)
{
	struct text small;

	text_init(&small, 8);
	text_add(&small, "1234");
	text_add(&small, "56789");
	text_add(&small, "ab");
	cr_expect_eq(small.error, -ENOBUFS);
	cr_expect_eq(small.buf.len, 4);
	text_deinit(&small);
}

static int write_page(void *arg)
{
	struct text page;
	int r;

	(void)arg;
	text_init(&page, 1 << 20);
	for (unsigned i = 0; i < 100; i++)
		text_sample(&page, "x", "a=\"1\"", "", i, TEXT_PLAIN);
	r = page.error;
	text_deinit(&page);
	return r;
}

Test(text_fault, memory)
{
	FAULT_LOOP(write_page, NULL);
}
