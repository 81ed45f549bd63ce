/* Tests of lent.c: memory that was made for a client is charged until nobody but the daemon has it. */
#include "handoff/lent.h"

#include <criterion/criterion.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "handoff/handoff.h"
#include "handoff/user.h"
#include "shm/memfd.h"
#include "tests/support/failalloc.h"
#include "tests/unit/handoff/fake_dispatch.h"

#define BYTES 4096u

static const struct handoff_settings settings = {.max_connections = 8,
	.shm_total_bytes = 1000 * BYTES,
	.user_bytes = 1000 * BYTES,
	.user_regions = 1000,
	.max_regions = 1000};

static struct users users;
static struct user *user;
static struct lent_desk desk;
static char text[512];

static void setup(void)
{
	fake_init();
	users_init(&users, &settings);
	cr_assert_eq(user_connect(&user, &users, 7, text, sizeof(text)), 0);
	lent_desk_init(&desk, &fake);
}

static void teardown(void)
{
	lent_desk_deinit(&desk);
	user_disconnect(user);
	users_deinit(&users);
}

TestSuite(lent, .init = setup, .fini = teardown);

/* Given back; returns the client's descriptor. */
static int lend(void)
{
	struct lent *l;
	int fd, theirs, ours;

	cr_assert_eq(memfd_new("test", BYTES, &fd), 0);
	cr_assert_eq(memfd_reopen(fd, &theirs), 0);
	cr_assert_eq(memfd_reopen(fd, &ours), 0);
	close(fd);
	cr_assert_eq(user_charge(user, BYTES, text, sizeof(text)), 0);
	cr_assert_eq(lent_new(&l, &desk, user, BYTES), 0);
	lent_give_back(l, ours);
	return theirs;
}

static uint64_t charged(void)
{
	lent_sweep(&desk, CLOCK_NO_DEADLINE);
	return users.bytes;
}

Test(lent, is_charged_until_it_is_closed_and_unmapped)
{
	int fd = lend();
	void *at = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);

	cr_assert_neq(at, MAP_FAILED);
	cr_expect_eq(charged(), BYTES);
	close(fd);
	cr_expect_eq(charged(), BYTES);
	munmap(at, BYTES);
	cr_expect_eq(charged(), 0);
	cr_expect_eq(users.regions, 0);
}

Test(lent, that_nobody_has_is_not_charged)
{
	struct lent *l;
	int fd, ours;

	cr_assert_eq(memfd_new("test", BYTES, &fd), 0);
	cr_assert_eq(memfd_reopen(fd, &ours), 0);
	close(fd);
	cr_assert_eq(user_charge(user, BYTES, text, sizeof(text)), 0);
	cr_assert_eq(lent_new(&l, &desk, user, BYTES), 0);
	lent_give_back(l, ours);
	cr_expect_eq(users.bytes, 0);
}

/* Some in each look, and all in turn. */
Test(lent, many_are_looked_at_in_turn)
{
	int fds[200];
	uint64_t left = 200 * BYTES;

	for (size_t i = 0; i < 200; i++)
		fds[i] = lend();
	for (size_t i = 0; i < 200; i++)
		close(fds[i]);
	while (left > 0) {
		uint64_t now = charged();

		cr_assert_lt(now, left);
		left = now;
	}
}

Test(lent, looks_every_few_ms)
{
	int fd = lend();

	lent_sweep(&desk, 100 * NS_PER_MS);
	close(fd);
	lent_sweep(&desk, 101 * NS_PER_MS);
	cr_expect_eq(users.bytes, BYTES);
	lent_sweep(&desk, 200 * NS_PER_MS);
	cr_expect_eq(users.bytes, 0);
}

/* The daemon's end; users_deinit() asserts that nothing is charged. */
Test(lent, is_let_go_at_the_end)
{
	int fd = lend();

	lent_desk_deinit(&desk);
	cr_expect_eq(users.bytes, 0);
	close(fd);
}

static int fault(void *arg)
{
	struct lent *l;
	int r = lent_new(&l, &desk, user, BYTES);

	if (!r)
		lent_free(l);
	return r;
}

Test(lent, faults)
{
	FAULT_LOOP(fault, NULL);
}
