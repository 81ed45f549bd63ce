/* Tests of config_value.c: each type's values, bounds and messages. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "config_private.h"

static struct config c;
static char text[256];

static void setup(void)
{
	cr_assert_eq(config_init(&c), 0);
}

static void teardown(void)
{
	config_release(&c);
}

TestSuite(config_value, .init = setup, .fini = teardown);

static const struct config_key *key_of(const char *section, const char *name)
{
	for (size_t i = 0; i < config_n_keys; i++) {
		if (!strcmp(config_keys[i].section, section) && !strcmp(config_keys[i].name, name))
			return &config_keys[i];
	}
	cr_assert(false, "no key [%s] %s", section, name);
	return NULL;
}

static void good(const char *section, const char *name, const char *value)
{
	text[0] = 0;
	cr_expect_eq(config_store_value(&c, key_of(section, name), value, text, sizeof(text)), 0,
		"%s = %s: %s", name, value, text);
}

static void bad(const char *section, const char *name, const char *value, const char *expected)
{
	cr_expect_eq(config_store_value(&c, key_of(section, name), value, text, sizeof(text)),
		CONFIG_E_INVALID, "%s = %s", name, value);
	cr_expect_str_eq(text, expected);
}

Test(config_value, numbers)
{
	good("model", "max_batch_size", "0");
	good("model", "max_batch_size", "65536");
	cr_expect_eq(c.models.defaults.max_batch_size, 65536);
	bad("model", "max_batch_size", "65537", "65537 is out of range: 0 to 65536");
	bad("model", "max_batch_size", "-1", "'-1' is not a whole number");
	bad("model", "max_batch_size", "+1", "'+1' is not a whole number");
	bad("model", "max_batch_size", " 1", "' 1' is not a whole number");
	bad("model", "max_batch_size", "1K", "'1K' is not a whole number");
	bad("model", "max_batch_size", "1.5", "'1.5' is not a whole number");
	bad("model", "max_batch_size", "", "'' is not a whole number");
	bad("model", "max_queue_delay_us", "99999999999999999999999",
		"99999999999999999999999 is out of range: 0 to 10000000");
}

Test(config_value, bytes)
{
	good("memory", "input_arena_bytes", "1048576");
	good("memory", "input_arena_bytes", "3G");
	cr_expect_eq(c.dispatch.arena.limit, 3 * (UINT64_C(1) << 30));
	good("limits", "max_header_bytes", "2K");
	cr_expect_eq(c.frontend.http2.max_header_bytes, 2048);
	good("limits", "max_receive_message_bytes", "4095M");
	bad("limits", "max_receive_message_bytes", "4G", "4G is out of range: 1024 to 4294967295");
	bad("memory", "input_arena_bytes", "1k",
		"'1k' is not a whole number of bytes (K, M and G may follow)");
	bad("memory", "input_arena_bytes", "1KB",
		"'1KB' is not a whole number of bytes (K, M and G may follow)");
	bad("memory", "input_arena_bytes", "18014398509481985K",
		"18014398509481985K is out of range: 1048576 to 70368744177664");
}

Test(config_value, seconds_are_kept_as_milliseconds)
{
	good("server", "drain_timeout_s", "7");
	cr_expect_eq(c.drain_timeout_ms, 7000);
	bad("server", "drain_timeout_s", "86401", "86401 is out of range: 0 to 86400");
}

Test(config_value, modes)
{
	good("server", "unix_mode", "0777");
	cr_expect_eq(c.frontend.unix_mode, 0777);
	good("server", "unix_mode", "0");
	bad("server", "unix_mode", "1000", "'1000' is no octal mode from 0 to 0777");
	bad("server", "unix_mode", "08", "'08' is no octal mode from 0 to 0777");
	bad("server", "unix_mode", "-1", "'-1' is no octal mode from 0 to 0777");
	bad("server", "unix_mode", "rw", "'rw' is no octal mode from 0 to 0777");
}

Test(config_value, yes_and_no)
{
	good("server", "strict_readiness", "no");
	cr_expect_not(c.frontend.services.strict_readiness);
	good("server", "strict_readiness", "true");
	cr_expect(c.frontend.services.strict_readiness);
	good("memory", "huge_pages", "0");
	cr_expect_eq(c.dispatch.arena.pages, SEGMENT_PAGES_BASE);
	good("memory", "huge_pages", "1");
	cr_expect_eq(c.dispatch.arena.pages, SEGMENT_PAGES_THP);
	bad("server", "strict_readiness", "maybe", "'maybe' is neither yes nor no");
	good("server", "client_shm", "off");
	cr_expect_eq(c.frontend.services.client_shm, CLIENT_SHM_OFF);
	good("server", "client_shm", "any");
	cr_expect_eq(c.frontend.services.client_shm, CLIENT_SHM_ANY);
	good("server", "client_shm", "local");
	cr_expect_eq(c.frontend.services.client_shm, CLIENT_SHM_LOCAL);
	bad("server", "client_shm", "yes", "'yes' is none of off, local, any");
	good("models", "uploads", "local");
	cr_expect_eq(c.frontend.services.uploads, KSERVE_UPLOADS_LOCAL);
	bad("models", "uploads", "any", "'any' is none of off, unix, local");
	good("server", "client_cuda_shm", "local");
	cr_expect_eq(c.frontend.services.client_cuda_shm, CLIENT_SHM_LOCAL);
	cr_expect_eq(c.frontend.services.client_shm, CLIENT_SHM_LOCAL);
	good("server", "client_cuda_shm", "off");
	cr_expect_eq(c.frontend.services.client_cuda_shm, CLIENT_SHM_OFF);
	bad("server", "client_cuda_shm", "1", "'1' is none of off, local, any");
}

Test(config_value, strings)
{
	good("models", "default", "");
	good("models", "default", "digits");
	cr_expect_str_eq(c.dispatch.default_model, "digits");
	bad("worker", "program", "", "must have 1 to 4095 characters, has 0");
}

Test(config_value, control)
{
	good("models", "control", "explicit");
	cr_expect_eq(c.models.control, MODELS_CONTROL_EXPLICIT);
	good("models", "control", "none");
	cr_expect_eq(c.models.control, MODELS_CONTROL_NONE);
	bad("models", "control", "", "'' is none of none, poll, explicit");
	bad("models", "control", "both", "'both' is none of none, poll, explicit");
}

Test(config_value, lists)
{
	good("server", "listen", " a:1 ,\tb:2");
	cr_expect_str_eq(c.frontend.listen[0], "a:1");
	cr_expect_str_eq(c.frontend.listen[1], "b:2");
	cr_expect_null(c.frontend.listen[2]);
	bad("server", "listen", "",
		"needs 1 to 64 entries separated by commas, none empty or a comment");
	good("models", "load", "");
	cr_expect_null(c.models.load[0]);
	bad("models", "load", "a,",
		"needs 0 to 4096 entries separated by commas, none empty or a comment");
	bad("server", "listen", "a:1,",
		"needs 1 to 64 entries separated by commas, none empty or a comment");
	bad("server", "listen", "a,#b",
		"needs 1 to 64 entries separated by commas, none empty or a comment");
	bad("server", "listen", "a:1,,b:2",
		"needs 1 to 64 entries separated by commas, none empty or a comment");
	bad("worker", "backend_dirs", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
		"needs 1 to 16 entries separated by commas, none empty or a comment");
}

Test(config_value, levels_and_codecs)
{
	good("server", "log_level", "debug");
	cr_expect_eq(c.log_level, LOG_LEVEL_DEBUG);
	bad("server", "log_level", "loud", "'loud' is none of error, warning, info, debug");
	good("server", "log_format", "json");
	cr_expect_eq(c.log_format, LOG_JSON);
	bad("server", "log_format", "xml", "'xml' is none of text, json");
	good("compression", "algorithm", "deflate");
	cr_expect_str_eq(c.frontend.grpc.compression, "deflate");
	bad("compression", "algorithm", "br", "'br' is none of none, gzip, deflate");
}

static void bad_place(const char *value, size_t number, const char *entry)
{
	char expected[256];

	snprintf(expected, sizeof(expected),
		"entry %zu, '%s', is no device like 'cpu:0' or 'cpu:0 x2' (1 to 256 times)", number,
		entry);
	bad("worker", "workers", value, expected);
}

Test(config_value, places)
{
	good("worker", "workers", "cpu:0 x2, cuda:1,cpu:3  x1");
	bad_place("cpu", 1, "cpu");
	bad_place("cpu:0, cuda:1,  tpu:0  x2 ,cpu:1", 3, "tpu:0  x2");
	good("worker", "workers", "cpu:0 x2, cuda:1");
	cr_assert_eq(c.pool.n_places, 2);
	cr_expect_str_eq(c.pool.places[0].device, "cpu:0");
	cr_expect_eq(c.pool.places[0].count, 2);
	cr_expect_str_eq(c.pool.places[1].device, "cuda:1");
	cr_expect_eq(c.pool.places[1].count, 1);
	good("worker", "workers",
		"cuda:GPU-4a1f0c2e-0000-4000-8000-00000000000f x3, cuda:MIG-7/1/0");
	cr_expect_str_eq(c.pool.places[0].device, "cuda:GPU-4a1f0c2e-0000-4000-8000-00000000000f");
	cr_expect_eq(c.pool.places[0].count, 3);
}

Test(config_value, places_that_are_none)
{
	static const char *const wrong[] = {"cpu:", ":0", "cpu:x", "cpu:1024", "tpu:0", "cpu:0 2",
		"cpu:0 x0", "cpu:0 x257", "cpu:0 x", "cpu:0x2", "cpu:-1", "cpu:GPU-1", "cuda:GPU-",
		"cuda:GPU-x", "cuda:gpu-1",
		"cuda:GPU-000000000000000000000000000000000000000000000000000000000000"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		bad_place(wrong[i], 1, wrong[i]);
	bad("worker", "workers", "cpu:0, cpu:0 x2", "device 'cpu:0' is named twice");
	bad("worker", "workers", "cpu:0 x256,cpu:1 x256,cpu:2 x256,cpu:3 x256,cpu:4",
		"1025 workers, at most 1024 are allowed");
}
