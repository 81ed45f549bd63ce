/* Tests of warmup_data.c: rows of zeroes, of random numbers, of files; and files that are none of the model's. */
#include "proto/warmup_data.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../models/tree.h"
#include "tests/support/failalloc.h"

static char text[512];
static char directory[64];
static struct warmup_data data;
static union {
	uint8_t bytes[4096];
	float f32[1024];
	double f64[512];
	int16_t i16[2048];
} row;

static void setup(void)
{
	tree_make();
	put("m/warmup", NULL);
	snprintf(directory, sizeof(directory), "%s/m/warmup", root);
}

TestSuite(warmup_data, .init = setup, .fini = tree_remove);

static struct wire_warmup_input input(
	enum dtype dtype, bool random, const char *file, uint32_t rank)
{
	static const int64_t dims[] = {3, 4, 5};

	return (struct wire_warmup_input){.name = "x",
		.dtype = dtype,
		.rank = rank,
		.dims = dims,
		.random = random,
		.file = file};
}

/* How many bytes a row has; the row is in `row`. */
static uint64_t make(const struct wire_warmup_input *in)
{
	cr_assert_eq(warmup_data_open(&data, in, directory, text, sizeof(text)), 0, "%s", text);
	cr_assert_leq(data.bytes, sizeof(row));
	memset(&row, 0xee, sizeof(row));
	cr_assert_eq(warmup_data_fill(&data, &row, text, sizeof(text)), 0, "%s", text);
	warmup_data_close(&data);
	return data.bytes;
}

static void refused(const struct wire_warmup_input *in, const char *why)
{
	int r = warmup_data_open(&data, in, directory, text, sizeof(text));

	if (!r) {
		r = warmup_data_fill(&data, &row, text, sizeof(text));
		warmup_data_close(&data);
	}
	cr_assert_eq(r, WARMUP_DATA_E_INVALID);
	cr_expect(strstr(text, why), "%s", text);
}

Test(warmup_data, zeroes)
{
	struct wire_warmup_input in = input(DTYPE_I64, false, "", 2),
				 scalar = input(DTYPE_I64, false, "", 0);
	struct wire_warmup_input texts = input(DTYPE_BYTES, true, "", 1);

	cr_assert_eq(make(&in), 96);
	for (size_t i = 0; i < 96; i++)
		cr_assert_eq(row.bytes[i], 0);
	cr_expect_eq(make(&scalar), 8);
	cr_assert_eq(make(&texts), 12, "three lengths");
	cr_expect_eq(bytes_tensor_check(&row, 12, 3), 0);
}

Test(warmup_data, random_numbers_are_small_and_the_same_each_time)
{
	struct wire_warmup_input in = input(DTYPE_F32, true, NULL, 3);
	float before[60];
	bool differ = false;

	cr_assert_eq(make(&in), 240);
	memcpy(before, row.f32, sizeof(before));
	for (size_t i = 0; i < 60; i++) {
		cr_expect(row.f32[i] >= 0 && row.f32[i] < 1);
		differ |= i > 0 && row.f32[i] != row.f32[i - 1];
	}
	cr_expect(differ);
	make(&in);
	cr_expect_eq(memcmp(before, row.f32, sizeof(before)), 0);
	in.dtype = DTYPE_F64;
	make(&in);
	cr_expect(row.f64[7] > 0 && row.f64[7] < 1);
	in.dtype = DTYPE_I16;
	make(&in);
	for (size_t i = 0; i < 60; i++)
		cr_expect(row.i16[i] >= 0 && row.i16[i] < 128);
	in.dtype = DTYPE_BOOL;
	make(&in);
	for (size_t i = 0; i < 60; i++)
		cr_expect_leq(row.bytes[i], 1);
	in.dtype = DTYPE_BF16;
	cr_assert_eq(make(&in), 120);
	for (size_t i = 0; i < 60; i++)
		cr_expect(row.i16[i] >= 0x3f00 && row.i16[i] <= 0x3f7f, "from 0.5 to 1");
	in.dtype = DTYPE_F16;
	make(&in);
	for (size_t i = 0; i < 60; i++)
		cr_expect(row.i16[i] >= 0x3800 && row.i16[i] <= 0x3bff, "from 0.5 to 1");
}

Test(warmup_data, files)
{
	struct wire_warmup_input numbers = input(DTYPE_U8, false, "sub/abc", 1);
	struct wire_warmup_input texts = input(DTYPE_BYTES, false, "texts", 1);

	put("m/warmup/sub/abc", "abc");
	cr_assert_eq(make(&numbers), 3);
	cr_expect_eq(memcmp(&row, "abc", 3), 0);
	numbers.dtype = DTYPE_U16;
	refused(&numbers, "sub/abc: has 3 bytes, and the shape asks for 6");
	put("m/warmup/texts", "not lengths");
	refused(&texts, "texts: is not 3 elements of a length of 4 bytes and so many bytes each");
	texts.file = "absent";
	refused(&texts, "absent: No such file");
	put("m/warmup/folder", NULL);
	texts.file = "folder";
	refused(&texts, "folder: is no file");
	cr_assert_eq(mkfifo(in_tree("%/m/warmup/pipe"), 0600), 0);
	texts.file = "pipe";
	refused(&texts, "pipe: is no file");
}

Test(warmup_data, links_lead_nowhere_else_than_below_the_model)
{
	struct wire_warmup_input in = input(DTYPE_U8, false, "inside", 1);

	put("m/..data/abc", "abc");
	put("outside", "abc");
	put("mm/abc", "abc");
	cr_assert_eq(symlink("../..data/abc", in_tree("%/m/warmup/inside")), 0);
	cr_assert_eq(symlink("../../outside", in_tree("%/m/warmup/outside")), 0);
	cr_assert_eq(symlink("../../mm/abc", in_tree("%/m/warmup/beside")), 0);
	cr_expect_eq(make(&in), 3);
	in.file = "outside";
	refused(&in, "outside: lies outside of the model's directory");
	in.file = "beside";
	refused(&in, "beside: lies outside of the model's directory");
	in.file = "../../outside";
	refused(&in, "lies outside of the model's directory");
}

Test(warmup_data, shapes_that_are_too_large)
{
	static const int64_t dims[] = {INT64_MAX, 3};
	struct wire_warmup_input in = {.dtype = DTYPE_F32, .rank = 2, .dims = dims};

	refused(&in, "the shape is too large");
	in.rank = 1;
	refused(&in, "the shape is too large");
	in.dtype = DTYPE_BYTES;
	refused(&in, "the shape is too large");
}

static int under_faults(void *arg)
{
	struct wire_warmup_input in = input(DTYPE_U8, false, "abc", 1);
	int r = warmup_data_open(&data, &in, directory, text, sizeof(text));

	(void)arg;
	if (!r)
		r = warmup_data_fill(&data, &row, text, sizeof(text));
	if (!r)
		warmup_data_close(&data);
	return r;
}

Test(warmup_data, memory_failures)
{
	put("m/warmup/abc", "abc");
	FAULT_LOOP_KINDS(under_faults, NULL, FAIL_ALL);
}
