/* orders_test.c: nothing of the settings is forgotten. */
#include "pool/orders.h"

#include <criterion/criterion.h>

#include "pool/pool.h"
#include "proto/wire.h"

Test(orders, setup)
{
	static const char *const dirs[] = {"/a", "/b", NULL};
	static const struct wire_pair pairs[] = {{"b.key", "value"}};
	const struct pool_settings s = {
		.backend_dirs = dirs,
		.settings = pairs,
		.n_settings = 1,
		.slots = 3,
		.output_arena_bytes = 8 << 20,
		.output_segment_bytes = 1 << 20,
		.output_populate_bytes = 5,
		.output_idle_ms = 6,
		.scratch_bytes = 7,
		.max_holds = 8,
		.output_wait_ms = 9,
		.busy_poll_us = 10,
	};
	struct wire_setup m;

	orders_setup(&m, &s);
	cr_expect_eq(m.protocol, WIRE_PROTOCOL);
	cr_expect(m.backend_dirs == dirs && m.n_backend_dirs == 2);
	cr_expect(m.settings == pairs && m.n_settings == 1);
	cr_expect(m.slots == 3 && m.output_bytes == 8 << 20 && m.output_segment_bytes == 1 << 20);
	cr_expect_eq(m.output_segments, pool_output_segments(&s));
	cr_expect(m.output_populate_first == 5 && m.output_idle_ms == 6 && m.scratch_bytes == 7);
	cr_expect(m.holds == 8 && m.output_wait_ms == 9 && m.busy_poll_us == 10);
}

Test(orders, no_directories)
{
	const struct pool_settings s = {.output_segment_bytes = 1};
	struct wire_setup m;

	orders_setup(&m, &s);
	cr_expect_eq(m.n_backend_dirs, 0);
}

Test(orders, load)
{
	static const struct wire_pair pairs[] = {{"key", "value"}};
	static const struct wire_warmup warmups[] = {{.name = "w", .count = 1}};
	const struct pool_model_settings s = {
		.name = "m",
		.version = "2",
		.path = "/m/2",
		.backend = "b",
		.max_batch_size = 4,
		.gpu_priority = WIRE_PRIORITY_LOW,
		.parameters = pairs,
		.n_parameters = 1,
		.warmup_path = "/m/warmup",
		.warmups = warmups,
		.n_warmups = 1,
	};
	struct wire_load m;

	orders_load(&m, &s);
	cr_expect(m.name == s.name && m.version == s.version && m.path == s.path);
	cr_expect(m.backend == s.backend && m.max_batch_size == 4);
	cr_expect_eq(m.priority, (uint32_t)WIRE_PRIORITY_LOW);
	cr_expect(m.parameters == pairs && m.n_parameters == 1);
	cr_expect(m.warmup_path == s.warmup_path && m.warmups == warmups && m.n_warmups == 1);
	cr_expect(m.model == 0 && m.instances == 0);
}
