/* Tests of warmup_conf.c: sections [warmup.NAME], line by line, and what is wrong with them. */
#include "models/warmup_conf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/failalloc.h"

static struct version_settings s;
static struct warmup_conf state;
static const char *what;

static void fresh(void)
{
	version_settings_release(&s);
	state = (struct warmup_conf){0};
	what = "";
}

TestSuite(warmup_conf, .init = fresh, .fini = fresh);

static int set(const char *section, const char *key, const char *value)
{
	struct conf_line line = {.where = "f:1", .section = section, .key = key, .value = value};

	return warmup_conf_set(&state, &s, &line, &what);
}

static void good(const char *key, const char *value)
{
	cr_assert_eq(set("warmup.w", key, value), 0, "%s: %s", value, what);
}

static void bad(const char *key, const char *value, const char *why)
{
	cr_assert_eq(set("warmup.w", key, value), WARMUP_CONF_E_INVALID, "%s", value);
	cr_expect(strstr(what, why), "%s: %s", value, what);
}

Test(warmup_conf, every_key)
{
	good("batch_size", "4");
	good("count", "2");
	good("input", "x FP32 [3, 224,224] zero");
	good("input", " y\tint64  [ ]   random ");
	good("input", "in:0 bytes [2] file:sub/text.bin");
	cr_assert_eq(set("warmup.v", "count", "1"), 0);
	cr_assert_eq(s.n_warmups, 2);
	cr_expect_str_eq(s.warmups[0].name, "w");
	cr_expect_eq(s.warmups[0].batch_size, 4);
	cr_expect_eq(s.warmups[0].count, 2);
	cr_assert_eq(s.warmups[0].n_inputs, 3);
	cr_expect_str_eq(s.warmups[0].inputs[0].name, "x");
	cr_expect_eq(s.warmups[0].inputs[0].dtype, DTYPE_F32);
	cr_assert_eq(s.warmups[0].inputs[0].rank, 3);
	cr_expect_eq(s.warmups[0].inputs[0].dims[2], 224);
	cr_expect(!s.warmups[0].inputs[0].random);
	cr_expect_eq(s.warmups[0].inputs[1].dtype, DTYPE_I64);
	cr_expect_eq(s.warmups[0].inputs[1].rank, 0);
	cr_expect(s.warmups[0].inputs[1].random);
	cr_expect_str_eq(s.warmups[0].inputs[2].name, "in:0");
	cr_expect_str_eq(s.warmups[0].inputs[2].file, "sub/text.bin");
	cr_expect_eq(s.warmups[1].batch_size, 1);
}

Test(warmup_conf, what_is_wrong)
{
	good("batch_size", "4");
	bad("batch_size", "4", "is set twice");
	bad("count", "0", "a number from 1 to 1000 is expected");
	bad("count", "1", "is set twice");
	bad("counts", "1", "unknown key");
	bad("input", "", "is expected");
	bad("input", "x", "is expected");
	bad("input", "x FP32", "is expected");
	bad("input", "x FP32 3 zero", "is expected");
	bad("input", "x FP32 [3 zero", "is expected");
	bad("input", "x FP32 [-1] zero", "is expected");
	bad("input", "x FP32 [3]", "is expected");
	bad("input", "x FP32 [3] none", "is expected");
	bad("input", "x FP32 [3] file:", "is expected");
	bad("input", "x FP32 [3] zero more", "is expected");
	bad("input", "x FP32 [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1] zero", "is expected");
	bad("input", "x FP32 [9223372036854775808] zero", "is expected");
	bad("input", "x FP32 [9223372036854775807,2] zero", "fits 63 bits");
	bad("input", "x FP7 [3] zero", "no data type that is known");
	bad("input", "x FP32 [3] file:/etc/passwd", "a path below the model's warmup directory");
	bad("input", "x FP32 [3] file:a/../../b", "a path below the model's warmup directory");
	good("input", "x FP32 [3] zero");
	bad("input", "x FP32 [3] zero", "an input is set twice");
	cr_assert_eq(set("warmup.v", "batch_size", "70000"), WARMUP_CONF_E_INVALID);
	cr_expect(strstr(what, "from 1 to 65536"), "%s", what);
	cr_assert_eq(set("warmup.w", "count", "1"), WARMUP_CONF_E_INVALID);
	cr_expect(strstr(what, "another one has its name"), "%s", what);
	cr_assert_eq(set("warmup.", "count", "1"), WARMUP_CONF_E_INVALID);
	cr_expect(strstr(what, "a name of at most 255"), "%s", what);
}

Test(warmup_conf, so_many)
{
	char section[32];

	for (unsigned i = 0; i < WIRE_WARMUPS_MAX; i++) {
		snprintf(section, sizeof(section), "warmup.%u", i);
		cr_assert_eq(set(section, "count", "1"), 0);
	}
	cr_assert_eq(set("warmup.more", "count", "1"), WARMUP_CONF_E_INVALID);
	cr_expect(strstr(what, "at most 64"), "%s", what);
}

static int under_faults(void *arg)
{
	int r;

	(void)arg;
	fresh();
	r = set("warmup.w", "input", "x FP32 [3] file:a");
	fresh();
	return r;
}

Test(warmup_conf, memory_failures)
{
	FAULT_LOOP_KINDS(under_faults, NULL, FAIL_ALLOCATIONS);
}
