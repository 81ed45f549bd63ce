/* Tests of version_settings.c: copies own all they point to; every difference counts. */
#include "dispatch/version_settings.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/failalloc.h"

static const struct wire_pair pairs[] = {{"threads", "2"}, {"mode", "fast"}};

static const int64_t dims[] = {INT64_MAX, 1};
static const struct wire_warmup_input inputs[] = {
	{.name = "x", .dtype = DTYPE_F32, .rank = 2, .dims = dims, .file = "a"}};
static const struct wire_warmup warmups[] = {
	{.name = "w", .batch_size = 1, .count = 2, .inputs = inputs, .n_inputs = 1}};
static struct queue_settings queue = {.n_levels = 1, .n_preferred = 1, .preferred = {4}};

static struct version_settings sample(void)
{
	return (struct version_settings){
		.name = "digits",
		.version = "1",
		.path = "/models/digits/1",
		.backend = "onnxruntime",
		.devices = "cpu:0",
		.fallback = "cpu:2",
		.caller_parameters = "a,b",
		.max_batch_size = 8,
		.max_queue_delay_us = 100,
		.max_queue_size = 64,
		.instances = 1,
		.run_timeout_ms = 1000,
		.queue = &queue,
		.parameters = pairs,
		.n_parameters = 2,
		.warmup_path = "/models/digits/warmup",
		.warmups = warmups,
		.n_warmups = 1,
	};
}

Test(version_settings, a_copy_is_its_own)
{
	struct version_settings s = sample();
	struct version_settings copy;

	cr_assert_eq(version_settings_copy(&copy, &s), 0);
	cr_expect(version_settings_equal(&copy, &s));
	cr_expect_neq(copy.name, s.name);
	cr_expect_neq(copy.parameters, s.parameters);
	cr_expect_neq(copy.parameters[1].value, s.parameters[1].value);
	cr_expect_neq(copy.queue, s.queue);
	cr_expect_str_eq(copy.caller_parameters, "a,b");
	version_settings_release(&copy);
	cr_expect_null(copy.name);
	version_settings_release(&copy);
}

Test(version_settings, nothing_stays_nothing)
{
	struct version_settings s = {.name = "a"};
	struct version_settings copy;

	cr_assert_eq(version_settings_copy(&copy, &s), 0);
	cr_expect_null(copy.devices);
	cr_expect_null(copy.fallback);
	cr_expect_null(copy.parameters);
	cr_expect(version_settings_equal(&copy, &s));
	version_settings_release(&copy);
}

#define DIFFERS(change)                                                                            \
	do {                                                                                       \
		struct version_settings a = sample(), b = sample();                                \
		b.change;                                                                          \
		cr_expect_not(version_settings_equal(&a, &b), #change);                            \
		cr_expect_not(version_settings_equal(&b, &a), #change);                            \
	} while (0)

Test(version_settings, every_difference_counts)
{
	static const struct wire_pair others[] = {{"threads", "2"}, {"mode", "slow"}};
	static const struct wire_warmup colder[] = {{.name = "w", .batch_size = 1, .count = 1}};
	static struct labels labels = {.bytes = sizeof(labels)};
	static struct claims claims;
	static struct queue_settings other_queue = {.n_levels = 2};
	static const struct wire_pair renamed[] = {{"threads", "2"}, {"kind", "fast"}};

	DIFFERS(name = "digit");
	DIFFERS(version = "2");
	DIFFERS(path = "/models/digits/2");
	DIFFERS(backend = "builtin");
	DIFFERS(devices = NULL);
	DIFFERS(fallback = "cpu:1");
	DIFFERS(gpu_priority = WIRE_PRIORITY_LOW);
	DIFFERS(max_batch_size = 9);
	DIFFERS(max_queue_delay_us = 0);
	DIFFERS(max_queue_size = 65);
	DIFFERS(run_timeout_ms = 2);
	DIFFERS(instances = 2);
	DIFFERS(stateful = true);
	DIFFERS(content = 1);
	DIFFERS(queue = &other_queue);
	DIFFERS(labels = &labels);
	DIFFERS(claims = &claims);
	DIFFERS(n_parameters = 1);
	DIFFERS(warmup_path = NULL);
	DIFFERS(n_warmups = 0);
	DIFFERS(warmups = colder);
	DIFFERS(parameters = others);
	DIFFERS(parameters = renamed);
}

Test(version_settings, what_it_takes_of_a_message)
{
	struct version_settings s = sample();
	struct wire_message m = {.type = WIRE_LOAD,
		.load = {.model = UINT32_MAX,
			.name = s.name,
			.version = s.version,
			.path = s.path,
			.backend = s.backend,
			.max_batch_size = UINT32_MAX,
			.parameters = s.parameters,
			.n_parameters = s.n_parameters,
			.instances = 1000,
			.warmup_path = s.warmup_path,
			.warmups = s.warmups,
			.n_warmups = s.n_warmups}};
	_cleanup_(wire_scratch_freep) struct wire_scratch *scratch = NULL;
	const uint8_t *data;
	size_t n;

	cr_assert_eq(wire_scratch_new(&scratch), 0);
	cr_assert_eq(wire_pack(scratch, &m, &data, &n), 0);
	cr_expect_leq(
		n, version_settings_bytes(&s) + WIRE_MESSAGE_MAX - VERSION_SETTINGS_BYTES_MAX);
	cr_expect_geq(n, version_settings_bytes(&s) / 2, "and is not far from it");
}

static int copy(void *arg)
{
	struct version_settings s = sample();
	struct version_settings to;
	int r = version_settings_copy(&to, &s);

	(void)arg;
	if (r)
		cr_assert(!to.name && !to.parameters, "it owns nothing");
	version_settings_release(&to);
	return r;
}

Test(version_settings, faults)
{
	FAULT_LOOP(copy, NULL);
}
