/* config_memory_test.c: limits of memory that follow the machine. */
#include <criterion/criterion.h>
#include <string.h>

#include "config_private.h"

#define MIB UINT64_C(1048576)
#define GIB (MIB * 1024)

static struct config c;

static void resolve(const char *file, uint64_t machine)
{
	char text[512];

	cr_assert_eq(config_init(&c), 0);
	cr_assert_eq(
		config_load_memory(&c, "f", file, strlen(file), text, sizeof(text)), 0, "%s", text);
	for (size_t i = 0; i < config_n_keys; i++)
		cr_assert_eq(config_store_value(&c, &config_keys[i], c.store->entries[i].text, text,
				     sizeof(text)),
			0);
	cr_assert_eq(config_resolve_memory(&c, machine), 0);
}

static void expect(uint64_t input, uint64_t output, uint64_t regions, uint64_t user)
{
	cr_expect_eq(c.dispatch.arena.limit, input);
	cr_expect_eq(c.pool.output_arena_bytes, output);
	cr_expect_eq(c.handoff.shm_total_bytes, regions);
	cr_expect_eq(c.handoff.user_bytes, user);
	config_release(&c);
}

Test(config_memory, a_large_machine_gives_what_is_needed)
{
	resolve("", 512 * GIB);
	expect(GIB, GIB, 10 * GIB, 10 * GIB);
	resolve("", 0);
	expect(GIB, GIB, 10 * GIB, 10 * GIB);
}

Test(config_memory, a_small_one_gives_shares)
{
	resolve("", 512 * MIB);
	expect(64 * MIB, 64 * MIB, 256 * MIB, 256 * MIB);
	resolve("[worker]\nworkers = cpu:0 x3, cpu:1\n", 512 * MIB + 1000);
	expect(64 * MIB, 16 * MIB, 256 * MIB, 256 * MIB);
	resolve("", 100);
	expect(MIB, MIB, MIB, MIB);
}

Test(config_memory, what_is_said_holds)
{
	resolve("[memory]\ninput_arena_bytes = 3G\n[worker]\noutput_arena_bytes = 2M\n[handoff]\n"
		"shm_total_bytes = 0\nuser_bytes = 7G\n",
		512 * MIB);
	expect(3 * GIB, 2 * MIB, 0, 7 * GIB);
}

Test(config_memory, what_was_found_is_shown)
{
	resolve("", 512 * MIB);
	cr_expect_str_eq(config_entry(&c, "memory", "input_arena_bytes")->text, "64M");
	cr_expect_str_eq(config_entry(&c, "handoff", "user_bytes")->text, "256M");
	config_release(&c);
}
