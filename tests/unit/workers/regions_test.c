/* regions_test.c: regions by id. */
#include "workers/regions.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "fake_daemon.h"
#include "tests/support/failalloc.h"

static struct wire_map map_of(uint64_t id)
{
	return (struct wire_map){.id = WIRE_REGION_BIT | id, .size = 4096, .writable = true};
}

Test(regions, found_by_id_in_any_order)
{
	static const uint64_t ids[] = {
		5, 1, 9, 3, 7, 2, 8, 4, 6, 20, 19, 18, 17, 16, 15, 14, 13, 12};
	size_t n = sizeof(ids) / sizeof(ids[0]);
	struct regions s = {0};
	void *data;
	int fd = fake_region(4096, &data);

	for (size_t i = 0; i < n; i++) {
		struct wire_map m = map_of(ids[i]);

		cr_assert_eq(regions_map(&s, fd, &m), 0);
		cr_assert_eq(regions_map(&s, fd, &m), -EEXIST);
	}
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(view_id(regions_find(&s, WIRE_REGION_BIT | ids[i])),
			WIRE_REGION_BIT | ids[i]);
	cr_assert_null(regions_find(&s, WIRE_REGION_BIT | 10));
	cr_assert_eq(regions_unmap(&s, WIRE_REGION_BIT | 10), -ENOENT);
	for (size_t i = 0; i < n; i += 2)
		cr_assert_eq(regions_unmap(&s, WIRE_REGION_BIT | ids[i]), 0);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(regions_find(&s, WIRE_REGION_BIT | ids[i]) != NULL, i % 2 == 1);
	regions_deinit(&s);
	cr_assert_null(regions_find(&s, WIRE_REGION_BIT | 1));
	close(fd);
}

Test(regions, memory_of_the_device)
{
	uint64_t id = WIRE_REGION_BIT | 3, gone = WIRE_REGION_BIT | 4;
	struct wire_map m = map_of(3);
	struct regions s = {0};
	char memory[100];
	char other[100];
	const struct device_import there = {memory, other, 0}, nowhere = {0};
	const struct device_import read_only = {.data = memory};
	bool lost = true;
	void *data;

	cr_assert_eq(regions_import(&s, id, sizeof(memory), &there, ""), 0);
	cr_assert_eq(regions_import(&s, id, sizeof(memory), &there, ""), -EEXIST);
	cr_assert_eq(regions_map(&s, -1, &m), -EEXIST);
	cr_assert_null(regions_find(&s, id));
	cr_assert_eq(regions_imported(&s, id).data, memory);
	cr_assert(regions_on_device(
		&s, &(struct span){.arena = id, .offset = 40, .length = 60}, &data, &lost));
	cr_assert(data == memory + 40 && !lost);
	cr_assert(regions_target_on_device(
		&s, &(struct span){.arena = id, .offset = 40, .length = 60}, &data, &lost));
	cr_assert(data == other + 40 && !lost);
	cr_assert(regions_on_device(
		&s, &(struct span){.arena = id, .offset = 41, .length = 60}, &data, &lost));
	cr_assert(!data && !lost);
	cr_assert(regions_on_device(
		&s, &(struct span){.arena = id, .offset = UINT64_MAX, .length = 2}, &data, &lost));
	cr_assert(!data && !lost);
	cr_assert_eq(regions_import(&s, gone, 1, &nowhere, "so small"), 0);
	cr_assert(regions_on_device(&s, &(struct span){.arena = gone, .length = 1}, &data, &lost));
	cr_assert(!data && lost);
	cr_assert_eq(regions_import(&s, gone + 1, 100, &read_only, ""), 0);
	cr_assert(regions_target_on_device(
		&s, &(struct span){.arena = gone + 1, .length = 1}, &data, &lost));
	cr_assert(!data && !lost, "nobody writes it");
	cr_assert_not(regions_on_device(&s, &(struct span){.arena = 5, .length = 1}, &data, &lost));
	cr_assert_not(lost);
	cr_assert_eq(regions_unmap(&s, id), 0);
	cr_assert_null(regions_imported(&s, id).data);
	cr_assert_eq(regions_unmap(&s, id), -ENOENT);
	regions_deinit(&s);
}

static void expect_why(const struct regions *s, uint64_t id, const char *expected)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	char text[64];

	regions_why_locked(s, &lock, id, text, sizeof(text));
	cr_expect_str_eq(text, expected);
}

Test(regions, memory_of_the_device_that_cannot_be_had_may_come_again)
{
	uint64_t id = WIRE_REGION_BIT | 3, next = WIRE_REGION_BIT | 4;
	const struct device_import nowhere = {0};
	struct regions s = {0};
	char memory[100];
	const struct device_import there = {.data = memory};

	cr_assert_eq(regions_import(&s, id, 100, &nowhere, "no room"), 0);
	cr_assert_eq(regions_import(&s, next, 100, &there, ""), 0);
	expect_why(&s, id, "no room");
	cr_assert_eq(regions_import(&s, id, 100, &nowhere, "no room still"), 0);
	expect_why(&s, id, "no room still");
	cr_assert_eq(s.n, 2);
	cr_assert_eq(regions_import(&s, id, 100, &there, ""), 0);
	cr_assert_eq(regions_imported(&s, id).data, memory);
	expect_why(&s, id, "it could not be taken");
	cr_assert_eq(regions_import(&s, id, 100, &there, ""), -EEXIST);
	cr_assert_eq(regions_import(&s, next + 1, 100, &nowhere, "gone"), 0);
	regions_deinit(&s);
}

Test(regions, what_the_view_refuses_is_not_there)
{
	struct wire_map m = map_of(1);
	struct regions s = {0};
	void *data;
	int fd = fake_region(4096, &data);

	m.size = 8192;
	cr_assert_eq(regions_map(&s, fd, &m), -EINVAL);
	cr_assert_null(regions_find(&s, m.id));
	regions_deinit(&s);
	close(fd);
}

#ifndef __SANITIZE_ADDRESS__
/* As where a process has so many addresses and no more. */
static void limit_addresses(rlim_t n)
{
	const struct rlimit limit = {n, RLIM_INFINITY};

	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

Test(regions, what_has_no_room_is_mapped_when_it_has)
{
	struct wire_map region = map_of(1), other = map_of(2), map;
	struct regions s = {0};
	unsigned fds;
	void *data;
	int fd = fake_region(4096, &data);

	fds = failalloc_open_fds();
	limit_addresses(1);
	cr_expect_eq(regions_map(&s, fd, &region), -ENOMEM);
	cr_expect_eq(regions_map_again(&s, &map), -ENOMEM);
	limit_addresses(RLIM_INFINITY);
	cr_expect(regions_lacks(&s, region.id));
	cr_expect_null(regions_find(&s, region.id));
	cr_expect_eq(regions_map_again(&s, &map), 0);
	cr_expect_eq(map.id, region.id);
	cr_expect(regions_find(&s, region.id) && !regions_lacks(&s, region.id));
	cr_expect_eq(regions_map_again(&s, &map), -ENOENT);
	limit_addresses(1);
	cr_expect_eq(regions_map(&s, fd, &other), -ENOMEM);
	limit_addresses(RLIM_INFINITY);
	cr_expect_eq(regions_unmap(&s, other.id), 0, "it was known");
	cr_expect_eq(regions_unmap(&s, other.id), -ENOENT);
	cr_expect_eq(failalloc_open_fds(), fds);
	regions_deinit(&s);
	close(fd);
}
#endif

static int work(void *arg)
{
	struct regions s = {0};
	int r = 0;

	for (uint64_t i = 1; !r && i <= 20; i++) {
		struct wire_map m = map_of(i);

		r = regions_map(&s, *(int *)arg, &m);
		cr_assert_eq(regions_find(&s, m.id) != NULL, r == 0);
	}
	regions_deinit(&s);
	return r;
}

Test(regions, faults)
{
	void *data;
	int fd = fake_region(4096, &data);

	FAULT_LOOP(work, &fd);
	close(fd);
}
