/* pinned_test.c: which memory the device may use, with a stand-in for a GPU. */
#include "workers/pinned.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/failalloc.h"
#include "tests/support/fakecuda/fakecuda.h"

#define PAGE 4096u

static struct device *open_device(const char *name, const char *settings)
{
	char text[DEVICE_TEXT_MAX];
	struct device *d = NULL;

	fakecuda_reset(settings);
	cr_assert_eq(device_open(&d, name, text), 0, "%s", text);
	return d;
}

static char *map(size_t pages, int protection)
{
	char *data = mmap(NULL, pages * PAGE, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(data, MAP_FAILED);
	return data;
}

Test(pinned, ranges)
{
	struct device *d = open_device("cuda:0", "");
	char *data = map(8, PROT_READ | PROT_WRITE);
	struct pinned *p;

	cr_assert_eq(pinned_new(&p, d), 0);
	cr_assert_not(pinned_has(p, data, 1));
	cr_assert_eq(pinned_add(p, data + 4 * PAGE, PAGE, DEVICE_READ_WRITE), 0);
	cr_assert_eq(pinned_add(p, data, 2 * PAGE, DEVICE_READ_WRITE), 0);
	cr_assert_eq(pinned_add(p, data + 6 * PAGE, PAGE, DEVICE_READ_WRITE), 0);
	cr_assert_eq(fakecuda_n_pieces(), 3);
	cr_assert(pinned_has(p, data, 2 * PAGE));
	cr_assert(pinned_has(p, data + 2 * PAGE - 1, 1));
	cr_assert(pinned_has(p, data + 4 * PAGE, PAGE));
	cr_assert(pinned_has(p, data + 4 * PAGE + 10, 0));
	cr_assert_not(pinned_has(p, data + 2 * PAGE - 1, 2), "beyond the end");
	cr_assert_not(pinned_has(p, data + 2 * PAGE, 1), "between two");
	cr_assert_not(pinned_has(p, data + 3 * PAGE, 2 * PAGE), "begins before");
	cr_assert_not(pinned_has(p, data + 7 * PAGE, 1), "behind all");
	cr_assert_not(pinned_has(p, data, UINT64_MAX));
	pinned_remove(p, data + 4 * PAGE);
	pinned_remove(p, data + 4 * PAGE);
	pinned_remove(p, data + 1);
	cr_assert_not(pinned_has(p, data + 4 * PAGE, 1));
	cr_assert(pinned_has(p, data + 6 * PAGE, 1));
	cr_assert_eq(fakecuda_n_pieces(), 2);
	pinned_free(p);
	cr_assert_eq(fakecuda_n_pieces(), 0);
	cr_assert_null(pinned_free(NULL));
	device_free(d);
}

Test(pinned, many)
{
	struct device *d = open_device("cuda:0", "");
	char *data = map(100, PROT_READ);
	struct pinned *p;

	cr_assert_eq(pinned_new(&p, d), 0);
	for (size_t i = 0; i < 50; i++)
		cr_assert_eq(pinned_add(p, data + (49 - i) * 2 * PAGE, PAGE, DEVICE_READ_ONLY), 0);
	for (size_t i = 0; i < 100; i++)
		cr_assert_eq(pinned_has(p, data + i * PAGE, PAGE), i % 2 == 0, "%zu", i);
	pinned_free(p);
	device_free(d);
}

Test(pinned, what_is_refused_is_staged)
{
	struct device *d = open_device("cuda:0", "readonly=0");
	char *data = map(1, PROT_READ);
	struct pinned *p;

	cr_assert_eq(pinned_new(&p, d), 0);
	cr_assert_eq(pinned_add(p, data, PAGE, DEVICE_READ_ONLY), 0);
	cr_assert_not(pinned_has(p, data, PAGE));
	pinned_remove(p, data);
	pinned_free(p);
	device_free(d);
}

Test(pinned, a_lost_context_is_told)
{
	struct device *d = open_device("cuda:0", "fail=cudaHostRegister:1:700");
	char *data = map(1, PROT_READ);
	struct pinned *p;

	cr_assert_eq(pinned_new(&p, d), 0);
	cr_assert_eq(device_class(pinned_add(p, data, PAGE, DEVICE_READ_ONLY)), DEVICE_E_LOST);
	pinned_free(p);
	device_free(d);
}

Test(pinned, on_a_host_everything_is)
{
	struct device *d = open_device("cpu:0", "");
	struct pinned *p;
	char data[1];

	cr_assert_eq(pinned_new(&p, d), 0);
	cr_assert(pinned_has(p, data, 1));
	cr_assert_eq(pinned_add(p, data, 1, DEVICE_READ_ONLY), 0);
	pinned_remove(p, data);
	pinned_free(p);
	device_free(d);
}

struct work {
	struct device *d;
	char *data;
};

/* Where there is no memory for the books, it is staged. */
static int work(void *arg)
{
	struct work *w = arg;
	struct pinned *p;
	int r = pinned_new(&p, w->d);

	if (r)
		return r;
	r = pinned_add(p, w->data, PAGE, DEVICE_READ_ONLY);
	cr_assert_eq(r, 0);
	r = pinned_has(p, w->data, 1) ? 0 : -ENOMEM;
	cr_assert_eq(fakecuda_n_pieces(), r ? 0 : 1);
	pinned_free(p);
	return r;
}

Test(pinned, faults)
{
	struct work w = {open_device("cuda:0", ""), map(1, PROT_READ)};

	FAULT_LOOP(work, &w);
	device_free(w.d);
}
