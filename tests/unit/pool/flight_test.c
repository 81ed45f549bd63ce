/* flight_test.c: answers of a model with more outputs than a machine word has bits. */
#include "pool/flight.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "shm/segment.h"
#include "tests/support/failalloc.h"

#define N_OUTPUTS 1024u

/* A model whose outputs are u8 [1] each, all at the front of the output arena. */
struct rig {
	struct memory_table memories;
	struct output_desk desk;
	struct segment *arena;
	struct output_memory *output;
	struct flight flight;
	struct wire_declaration declared[N_OUTPUTS];
	struct wire_loaded loaded;
	struct wire_tensor given[N_OUTPUTS];
	uint64_t hold; /* given last */
};

static void send_nothing(struct worker *w, const struct wire_message *m)
{
}

static void rig_init(struct rig *g)
{
	static const int64_t one[] = {1};
	const struct output_limits limits = {.bytes = 65536, .n_segments = 1, .n_holds = 8};
	const struct wire_map map = {.id = 9, .size = 65536};
	struct segment_options o = {.name = "out", .size = 65536};
	const char *why = "";
	struct span span;
	int fd;

	memset(g, 0, sizeof(*g));
	cr_assert_eq(output_desk_init(&g->desk), 0);
	cr_assert_eq(segment_new(&g->arena, &o), 0);
	segment_set_id(g->arena, 9);
	cr_assert_eq(segment_alloc(g->arena, 1, &span), 0);
	cr_assert_eq(output_memory_new(&g->output, &g->desk, NULL, &limits), 0);
	fd = dup(segment_fd(g->arena));
	cr_assert_eq(output_memory_map(g->output, &fd, &map, &why), 0, "%s", why);
	for (uint32_t i = 0; i < N_OUTPUTS; i++) {
		g->declared[i] = (struct wire_declaration){
			.name = "o", .dtype = DTYPE_U8, .rank = 1, .dims = one};
		g->given[i] = (struct wire_tensor){i, DTYPE_U8, 1, one, span};
	}
	g->loaded.outputs = g->declared;
	g->loaded.n_outputs = N_OUTPUTS;
}

static void rig_deinit(struct rig *g)
{
	flight_deinit(&g->flight);
	output_desk_flush(&g->desk, send_nothing);
	output_memory_mute(g->output);
	output_memory_unref(g->output);
	output_desk_deinit(&g->desk);
	segment_free(g->arena);
}

/* The verdict on an answer with the first n of g->given, where `wanted` was asked for. */
static const char *check(struct rig *g, const uint32_t *wanted, size_t n_wanted, size_t n)
{
	const struct wire_item item = {.outputs = wanted, .n_outputs = n_wanted};
	const struct wire_result result = {
		.message = "", .outputs = g->given, .n_outputs = n, .hold = ++g->hold};
	const char *why = NULL;
	int r;

	cr_assert_eq(flight_prepare(&g->flight, &g->memories, &g->loaded, &item, 1), 0);
	r = flight_check(&g->flight, &g->loaded, g->output, &result, 1, &why);
	cr_assert_eq(r, why ? -EPROTO : 0);
	if (!r)
		flight_let_go(&g->flight);
	return why ? why : "";
}

Test(flight, all_of_many_outputs)
{
	struct rig g;

	rig_init(&g);
	cr_assert_str_eq(check(&g, NULL, 0, N_OUTPUTS), "");
	cr_assert_eq(g.flight.results[0].n_outputs, N_OUTPUTS);
	cr_assert_str_eq(check(&g, NULL, 0, N_OUTPUTS - 1), "a wrong number of outputs");
	g.given[1023].index = 64;
	cr_assert_str_eq(check(&g, NULL, 0, N_OUTPUTS), "an output that is not wanted, or twice");
	g.given[1023].index = N_OUTPUTS;
	cr_assert_str_eq(check(&g, NULL, 0, N_OUTPUTS), "an output index out of range");
	rig_deinit(&g);
}

Test(flight, some_of_many_outputs)
{
	const uint32_t wanted[] = {63, 64, 1023};
	struct rig g;

	rig_init(&g);
	g.given[0].index = 1023;
	g.given[1].index = 63;
	g.given[2].index = 64;
	cr_assert_str_eq(check(&g, wanted, 3, 3), "");
	g.given[2].index = 65;
	cr_assert_str_eq(check(&g, wanted, 3, 3), "an output that is not wanted, or twice");
	g.given[2].index = 1023;
	cr_assert_str_eq(check(&g, wanted, 3, 3), "an output that is not wanted, or twice");
	rig_deinit(&g);
}

/* A region that a target lies in; what an answer says of it is judged by its span alone. */
Test(flight, an_output_with_a_target)
{
	const int64_t four[] = {4};
	const struct span place = {.arena = WIRE_REGION_BIT | 5, .offset = 64, .length = 3};
	struct flight_item item = {.n_wanted = 1, .n_targets = 1};
	struct wire_target target = {.output = 0, .span = place};
	struct pool_result results[1];
	struct pool_output outputs[1];
	uint64_t wanted[N_OUTPUTS / 64] = {1};
	struct wire_result result = {.message = "", .n_outputs = 1};
	const char *why = "";
	struct flight f;
	struct rig g;

	rig_init(&g);
	result.outputs = g.given;
	f = (struct flight){.n_items = 1,
		.n_targets = 1,
		.n_words = N_OUTPUTS / 64,
		.items = &item,
		.wanted = wanted,
		.targets = &target,
		.results = results,
		.outputs = outputs};
	/* In the output arena: it did not fit. */
	result.hold = 1;
	cr_assert_eq(flight_check(&f, &g.loaded, g.output, &result, 1, &why), 0, "%s", why);
	cr_expect_not_null(outputs[0].data);
	cr_expect_eq(results[0].joined, 1);
	cr_expect_not_null(results[0].lease);
	flight_let_go(&f);
	result.hold = 0;
	/* At its target, larger than that, and somewhere else. */
	g.given[0].span = place;
	g.given[0].span.length = 1;
	wanted[0] = 1;
	cr_assert_eq(flight_check(&f, &g.loaded, g.output, &result, 1, &why), 0, "%s", why);
	cr_expect_null(outputs[0].data);
	g.given[0].dims = four;
	g.given[0].span.length = 4;
	cr_assert_eq(flight_check(&f, &g.loaded, g.output, &result, 1, &why), -EPROTO);
	cr_expect_str_eq(why, "an output that is not at its target");
	g.given[0].dims = g.given[1].dims;
	g.given[0].span = place;
	g.given[0].span.length = 1;
	g.given[0].span.arena++;
	cr_assert_eq(flight_check(&f, &g.loaded, g.output, &result, 1, &why), -EPROTO);
	result.joined = 2;
	cr_assert_eq(flight_check(&f, &g.loaded, g.output, &result, 1, &why), -EPROTO);
	cr_expect_str_eq(why, "a result of more items than there are");
	rig_deinit(&g);
}

/* Three items of one output each. */
static int check_holds(struct rig *g, const uint64_t *holds, const char **ret_why)
{
	static const uint32_t wanted[] = {0};
	struct wire_item items[3];
	struct wire_result results[3];

	for (size_t i = 0; i < 3; i++) {
		items[i] = (struct wire_item){.outputs = wanted, .n_outputs = 1};
		results[i] = (struct wire_result){.message = "",
			.outputs = g->given,
			.n_outputs = holds[i] ? 1 : 0,
			.code = holds[i] ? 0 : 13,
			.hold = holds[i]};
	}
	cr_assert_eq(flight_prepare(&g->flight, &g->memories, &g->loaded, items, 3), 0);
	return flight_check(&g->flight, &g->loaded, g->output, results, 3, ret_why);
}

/* Each has a part of it; a second lease on it would be refused. */
Test(flight, items_that_ran_as_one_share_a_hold)
{
	const struct pool_result *r;
	const char *why = NULL;
	struct rig g;

	rig_init(&g);
	cr_assert_eq(check_holds(&g, (uint64_t[]){4, 4, 5}, &why), 0);
	r = g.flight.results;
	cr_assert_neq(r[0].lease, r[1].lease);
	cr_assert_neq(r[1].lease, r[2].lease);
	flight_let_go(&g.flight);
	cr_assert_eq(check_holds(&g, (uint64_t[]){6, 0, 7}, &why), 0);
	cr_assert_null(r[1].lease);
	flight_let_go(&g.flight);
	cr_assert_eq(check_holds(&g, (uint64_t[]){8, 0, 8}, &why), 0);
	cr_assert_null(r[1].lease);
	cr_assert_neq(r[0].lease, r[2].lease);
	flight_let_go(&g.flight);
	rig_deinit(&g);
}

Test(flight, a_lie_about_holds_leaves_nothing_behind)
{
	const char *why = NULL;
	struct rig g;

	rig_init(&g);
	cr_assert_eq(check_holds(&g, (uint64_t[]){4, 5, 4}, &why), -EPROTO);
	cr_assert_str_eq(why, "a hold that does not come next");
	cr_assert_eq(check_holds(&g, (uint64_t[]){1, 7, 8}, &why), -EPROTO);
	rig_deinit(&g);
}

static int check_once(void *arg)
{
	const char *why = NULL;
	struct rig *g = arg;
	uint64_t holds[3];
	int r;

	for (size_t i = 0; i < 3; i++)
		holds[i] = ++g->hold;
	r = check_holds(g, holds, &why);
	if (!r)
		flight_let_go(&g->flight);
	return r;
}

Test(flight, checks_survive_faults)
{
	struct rig g;

	rig_init(&g);
	FAULT_LOOP(check_once, &g);
	rig_deinit(&g);
}
