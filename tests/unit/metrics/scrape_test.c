/* scrape_test.c: the whole page in whatever pieces it is read, and what it holds meanwhile. */
#include "metrics/scrape.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_sources.h"
#include "tests/support/failalloc.h"

static struct metrics_sources sources;
static char page[8 << 20];

static void setup(void)
{
	memset(&fake, 0, sizeof(fake));
	sources = fake_sources();
	fake_add("a", "1");
	fake_add("b", "2");
	fake.n_workers = 2;
	fake.workers[0] = (struct worker){.name = "cpu:0/0", .device = "cpu:0"};
	fake.workers[1] = (struct worker){.name = "cpu:0/1", .device = "cpu:0"};
}

TestSuite(scrape, .init = setup);

/* Read it in pieces of `cap`. Returns its length, or what went wrong. */
static ssize_t read_all(struct http_source *s, size_t cap)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = s->read(s, page + len, cap);

		if (n < 0)
			return n;
		len += (size_t)n;
		page[len] = '\0';
		if (n == 0)
			return (ssize_t)len;
		cr_assert_lt(len + cap, sizeof(page));
	}
}

static ssize_t scrape(size_t cap)
{
	struct http_source *s;
	ssize_t n;

	cr_assert_eq(scrape_new(&s, &sources), 0);
	n = read_all(s, cap);
	s->close(s);
	cr_expect_eq(fake_refs(), 0);
	return n;
}

static unsigned count(const char *what)
{
	unsigned n = 0;

	for (const char *at = page; (at = strstr(at, what)); at += strlen(what))
		n++;
	return n;
}

Test(scrape, a_family_stands_together)
{
	cr_assert_gt(scrape(4096), 0);
	cr_expect_eq(count("# TYPE modeld_model_ready gauge\n"), 1);
	cr_expect_not_null(
		strstr(page, "# TYPE modeld_model_ready gauge\n"
			     "modeld_model_ready{model=\"a\",version=\"1\"} 1\n"
			     "modeld_model_ready{model=\"b\",version=\"2\"} 1\n# HELP "));
	cr_expect_not_null(
		strstr(page, "modeld_worker_up{worker=\"cpu:0/1\",device=\"cpu:0\"} 0\n"));
	/* What there is nothing of has no head either. */
	cr_expect_eq(count("nv_gpu_"), 0);
}

Test(scrape, the_same_however_it_is_read)
{
	char *first;
	ssize_t n = scrape(1 << 20);

	/* But for what runs on. */
	first = strdup(strstr(page, "# HELP modeld_worker_up"));
	cr_assert_gt(n, 0);
	scrape(7);
	cr_expect_str_eq(first, strstr(page, "# HELP modeld_worker_up"));
	free(first);
}

Test(scrape, names_that_are_anything)
{
	char name[256];

	memset(name, '"', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	fake_add(name, "1");
	cr_expect_gt(scrape(4096), 0);
	cr_expect_gt(count("\\\"\\\"\\\"\",version=\"1\"} 1\n"), 0);
}

Test(scrape, what_goes_meanwhile_is_held)
{
	struct http_source *s;

	cr_assert_eq(scrape_new(&s, &sources), 0);
	cr_assert_gt(s->read(s, page, 16), 0);
	cr_expect_eq(fake_refs(), 2);
	fake.n_versions = 0;
	cr_assert_gt(read_all(s, 4096), 0);
	cr_expect_not_null(strstr(page, "modeld_model_ready{model=\"b\",version=\"2\"} 1\n"));
	s->close(s);
	fake.n_versions = 2;
	cr_expect_eq(fake_refs(), 0);
}

Test(scrape, one_that_is_to_replace_another_is_not_shown)
{
	fake_add("a", "1")->replaces = &fake.versions[0];
	cr_assert_gt(scrape(4096), 0);
	cr_expect_eq(count("modeld_model_ready{model=\"a\",version=\"1\"}"), 1);
}

Test(scrape, places_that_are_nobodys_are_not_shown)
{
	fake.workers[0].free = true;
	cr_assert_gt(scrape(4096), 0);
	cr_expect_eq(count("worker=\"cpu:0/0\""), 0);
	cr_expect_gt(count("worker=\"cpu:0/1\""), 0);
}

/* However many models there are, one read is a bounded part of the work. */
Test(scrape, a_piece_is_bounded)
{
	struct http_source *s;
	size_t n_reads = 0;
	ssize_t n;

	for (unsigned i = 2; i < FAKE_VERSIONS_MAX; i++)
		fake_add("model", "1");
	cr_assert_eq(scrape_new(&s, &sources), 0);
	do {
		n = s->read(s, page, sizeof(page));
		/* 32 KiB, and one version's series of all stages. */
		cr_expect_lt(n, (32 + 16) << 10);
		n_reads++;
	} while (n > 0);
	cr_expect_gt(n_reads, 100);
	s->close(s);
}

static int scrape_in_need(void *arg)
{
	struct http_source *s;
	ssize_t n;
	int r;

	(void)arg;
	setup();
	r = scrape_new(&s, &sources);
	if (r)
		return r;
	n = read_all(s, 4096);
	s->close(s);
	cr_assert_eq(fake_refs(), 0);
	return n > 0 ? 0 : (int)n;
}

Test(scrape_fault, memory)
{
	FAULT_LOOP_KINDS(scrape_in_need, NULL, FAIL_ALLOCATIONS);
}
