/* oom_test.c: which ends the kernel's count explains. */
#include "pool/oom.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static char root[64], file[128];
static struct oom o;

static void count(unsigned n)
{
	FILE *f = fopen(file, "w");

	cr_assert(f && fprintf(f, "nr_free_pages 1\noom_kill %u\n", n) > 0 && !fclose(f));
}

static void begin(void)
{
	char directory[96];

	snprintf(root, sizeof(root), "/tmp/oom_test.XXXXXX");
	cr_assert(mkdtemp(root));
	snprintf(directory, sizeof(directory), "%s/proc", root);
	cr_assert_eq(mkdir(directory, 0700), 0);
	snprintf(file, sizeof(file), "%s/vmstat", directory);
	count(7);
	oom_init(&o, root);
}

static void end(void)
{
	char directory[96];

	snprintf(directory, sizeof(directory), "%s/proc", root);
	unlink(file);
	cr_assert(!rmdir(directory) && !rmdir(root));
}

TestSuite(oom, .init = begin, .fini = end);

Test(oom, what_was_counted_before_is_not_ours)
{
	cr_expect_not(oom_claim(&o, 1));
}

Test(oom, one_that_was_counted_since)
{
	count(8);
	cr_expect(oom_claim(&o, 1));
	cr_expect_not(oom_claim(&o, 1));
}

Test(oom, two_together)
{
	count(9);
	cr_expect(oom_claim(&o, 1));
	cr_expect(oom_claim(&o, NS_PER_S));
	cr_expect_not(oom_claim(&o, NS_PER_S));
}

/* A process of somebody else's that ended so explains no end of ours later on. */
Test(oom, one_that_was_not_ours)
{
	count(9);
	cr_expect(oom_claim(&o, 1));
	cr_expect_not(oom_claim(&o, 3 * NS_PER_S));
	count(10);
	cr_expect(oom_claim(&o, 4 * NS_PER_S));
}

Test(oom, where_nobody_counts)
{
	unlink(file);
	cr_expect_not(oom_claim(&o, 1));
	/* And begins to again, with what was there. */
	count(1);
	oom_init(&o, root);
	cr_expect_not(oom_claim(&o, 1));
}
