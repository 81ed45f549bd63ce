/* Tests of alarm.c on a real loop. */
#include "dispatch/alarm.h"

#include <criterion/criterion.h>

#include "base/clock.h"
#include "tests/support/failalloc.h"

static uv_loop_t loop;
static struct alarm alarm_;
static unsigned fired;

static void on_alarm(void *data)
{
	cr_assert_eq(data, &loop);
	fired++;
}

static void setup(void)
{
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(alarm_init(&alarm_, &loop, on_alarm, &loop), 0);
}

static void teardown(void)
{
	alarm_close(&alarm_, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

TestSuite(alarm, .init = setup, .fini = teardown);

Test(alarm, goes_off_once_and_not_before_its_time)
{
	uint64_t at = clock_ns() + 2 * NS_PER_MS;

	alarm_set(&alarm_, at);
	while (!fired)
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect(clock_ns() >= at);
	cr_expect_eq(alarm_.at_ns, CLOCK_NO_DEADLINE);
	uv_run(&loop, UV_RUN_NOWAIT);
	cr_expect_eq(fired, 1);
}

Test(alarm, a_time_in_the_past_goes_off_at_once)
{
	alarm_set(&alarm_, 0);
	while (!fired)
		uv_run(&loop, UV_RUN_ONCE);
	alarm_set(&alarm_, 1);
	while (fired < 2)
		uv_run(&loop, UV_RUN_ONCE);
}

Test(alarm, an_earlier_time_replaces_a_later_one)
{
	alarm_set(&alarm_, clock_ns() + 3600 * NS_PER_S);
	alarm_set(&alarm_, clock_ns() + NS_PER_MS);
	while (!fired)
		uv_run(&loop, UV_RUN_ONCE);
}

Test(alarm, disarmed_it_stays_silent)
{
	alarm_set(&alarm_, 1);
	alarm_set(&alarm_, CLOCK_NO_DEADLINE);
	uv_run(&loop, UV_RUN_NOWAIT);
	cr_expect_eq(fired, 0);
}

Test(alarm, the_farthest_time_is_accepted)
{
	alarm_set(&alarm_, CLOCK_NO_DEADLINE - 1);
	cr_expect_eq(alarm_.at_ns, CLOCK_NO_DEADLINE - 1);
}

Test(alarm, the_descriptor_is_closed)
{
	struct alarm second;
	unsigned before = failalloc_open_fds();

	cr_assert_eq(alarm_init(&second, &loop, on_alarm, &loop), 0);
	cr_expect_eq(failalloc_open_fds(), before + 1);
	alarm_close(&second, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	cr_expect_eq(failalloc_open_fds(), before);
	cr_expect_eq(second.fd, -1);
}
