/* Tests of demand.c: who asks for a model that is not served waits for it, within limits. */
#include "dispatch/demand.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"
#include "tests/support/failalloc.h"

static struct bed bed;

struct asker {
	struct demand *demand;
	unsigned n_ends;
	enum grpc_status status;
	char text[256];
	struct asker *gives_up; /* when it is told */
};

static void setup(void)
{
	int r;

	bed_init(&bed);
	bed.settings.retry_wait_ms = 3600000;
	bed.settings.max_requests_per_client = 3;
	r = bed_open(&bed);
	cr_assert_eq(r, 0);
	bed_start(&bed);
	bed.offers = true;
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(demand, .init = setup, .fini = teardown);

static void on_end(void *data, enum grpc_status status, const char *text)
{
	struct asker *a = data;

	a->demand = NULL;
	a->n_ends++;
	a->status = status;
	snprintf(a->text, sizeof(a->text), "%s", text);
	if (a->gives_up)
		a->gives_up->demand = demand_free(a->gives_up->demand);
}

static int ask(struct asker *a, const char *model, const char *version)
{
	const struct demand_wish wish = {.model = model,
		.version = version,
		.client = bed.client,
		.deadline_ns = bed.origin.deadline_ns,
		.on_end = on_end,
		.data = a};

	return dispatch_demand(bed.d, &wish, &a->demand);
}

static void expect_end(const struct asker *a, enum grpc_status status, const char *text)
{
	cr_expect_eq(a->n_ends, 1);
	cr_expect_eq(a->status, status);
	cr_expect(strstr(a->text, text), "%s", a->text);
}

Test(demand, ends_when_it_is_there)
{
	struct asker a[3] = {0};

	cr_assert_eq(ask(&a[0], "delta", ""), 0);
	cr_assert_eq(ask(&a[1], "delta", "7"), 0);
	cr_assert_eq(ask(&a[2], "delta", ""), 0);
	cr_expect_str_eq(bed.demanded, "delta delta:7 delta ");
	cr_expect_eq(client_requests(bed.client), 3);
	cr_expect_eq(dispatch_load(bed.d), 3);
	bed_turn(&bed);
	dispatch_supply(bed.d, "delta", GRPC_OK, "");
	expect_end(&a[0], GRPC_OK, "");
	expect_end(&a[2], GRPC_OK, "");
	cr_expect_eq(a[1].n_ends, 0);
	dispatch_supply(bed.d, "delta:7", GRPC_NOT_FOUND, "there is none");
	expect_end(&a[1], GRPC_NOT_FOUND, "there is none");
	cr_expect_eq(client_requests(bed.client), 0);
}

Test(demand, of_the_default_model)
{
	struct asker a = {0};

	cr_assert_eq(ask(&a, "", ""), 0);
	cr_expect_str_eq(bed.demanded, "alpha ");
	demand_free(a.demand);
	cr_assert_eq(dispatch_set_default(bed.d, NULL), 0);
	cr_expect_eq(ask(&a, "", ""), DEMAND_E_NOBODY);
}

Test(demand, of_what_nobody_has)
{
	struct asker a = {0};

	bed.offers = false;
	cr_expect_eq(ask(&a, "delta", ""), DEMAND_E_NOBODY);
	cr_expect_eq(client_requests(bed.client), 0);
	bed.offers = true;
	bed.d->demands.wait_ms = 0;
	cr_expect_eq(ask(&a, "delta", ""), DEMAND_E_NOBODY);
}

Test(demand, no_more_than_the_client_may)
{
	struct asker a[4] = {0};

	for (int i = 0; i < 3; i++)
		cr_assert_eq(ask(&a[i], "delta", ""), 0);
	cr_expect_eq(ask(&a[3], "delta", ""), DEMAND_E_FULL);
	a[0].demand = demand_free(a[0].demand);
	cr_expect_eq(ask(&a[3], "delta", ""), 0);
	for (int i = 0; i < 4; i++)
		demand_free(a[i].demand);
	cr_expect_eq(client_requests(bed.client), 0);
}

/* In real time. */
static void wait_for_end(const struct asker *a)
{
	while (a->n_ends == 0) {
		bed_turn(&bed);
		uv_run(&bed.loop, UV_RUN_ONCE);
	}
}

Test(demand, does_not_wait_for_ever)
{
	struct asker a[2] = {0};

	cr_assert_eq(ask(&a[0], "delta", ""), 0);
	bed.d->demands.wait_ms = 20;
	cr_assert_eq(ask(&a[1], "delta", ""), 0);
	wait_for_end(&a[1]);
	expect_end(&a[1], GRPC_UNAVAILABLE,
		"model 'delta' was not loaded within 20 ms ([dispatch] retry_wait_ms)");
	cr_expect_eq(a[0].n_ends, 0);
	cr_expect_gt(bed.d->demands.wait_ns, clock_ns());
	demand_free(a[0].demand);
}

Test(demand, nor_past_its_deadline)
{
	struct asker a = {0};

	bed.origin.deadline_ns = clock_ns() + 20 * NS_PER_MS;
	cr_assert_eq(ask(&a, "delta", ""), 0);
	wait_for_end(&a);
	expect_end(&a, GRPC_DEADLINE_EXCEEDED, "model 'delta' was not loaded yet");
}

/* One ends, and its owner gives another one up. */
Test(demand, ends_while_others_are_given_up)
{
	struct asker a[2] = {{.gives_up = &a[1]}};

	cr_assert_eq(ask(&a[0], "delta", ""), 0);
	cr_assert_eq(ask(&a[1], "delta", ""), 0);
	dispatch_supply(bed.d, "delta", GRPC_OK, "");
	cr_expect_eq(a[0].n_ends, 1);
	cr_expect_eq(a[1].n_ends, 0);
}

Test(demand, ends_with_all)
{
	struct asker a = {0};

	cr_assert_eq(ask(&a, "delta", ""), 0);
	dispatch_drain(bed.d);
	cr_expect_eq(ask(&a, "delta", ""), DEMAND_E_NOBODY);
	bed_turn(&bed);
	expect_end(&a, GRPC_UNAVAILABLE, "shutting down");
}

Test(demand, ends_when_all_is_killed)
{
	struct asker a = {0};

	cr_assert_eq(ask(&a, "delta", ""), 0);
	dispatch_kill(bed.d);
	expect_end(&a, GRPC_UNAVAILABLE, "shutting down");
	cr_expect_eq(dispatch_load(bed.d), 0);
}

Test(demand, no_memory)
{
	struct asker a = {0};

	failalloc_arm(FAIL_ALLOCATIONS, FAIL_TRANSIENT, 1);
	cr_expect_eq(ask(&a, "delta", ""), -ENOMEM);
	failalloc_disarm();
	cr_expect_eq(client_requests(bed.client), 0);
}
