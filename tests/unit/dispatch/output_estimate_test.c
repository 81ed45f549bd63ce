/* Tests of output_estimate.c: what answers should take, by what they took and what is declared. */
#include "dispatch/output_estimate.h"

#include <criterion/criterion.h>

#include "proto/wire.h"

#define MIB (UINT64_C(1) << 20)

static const int64_t rows_by_2048[] = {-1, 2048}, any_by_any[] = {-1, -1}, fixed[] = {3, 1024};

static struct output_estimate declared_as(struct wire_declaration output, bool batched)
{
	const struct wire_loaded loaded = {.outputs = &output, .n_outputs = 1};
	struct output_estimate e = {0};

	output_estimate_declare(&e, &loaded, batched);
	return e;
}

Test(output_estimate, nothing_known_is_as_large_as_the_inputs)
{
	const struct output_estimate e = {0};

	cr_expect_eq(output_estimate_bytes(&e, 1, MIB), MIB);
	cr_expect_eq(output_estimate_bytes(&e, 1, 8), 0, "it would be copied");
}

Test(output_estimate, a_declared_shape_is_what_comes)
{
	const struct output_estimate e = declared_as(
		(struct wire_declaration){.dtype = DTYPE_F32, .rank = 2, .dims = rows_by_2048},
		true);

	cr_expect_eq(output_estimate_bytes(&e, 3, 4), UINT64_C(3) * 8192);
	cr_expect_eq(output_estimate_bytes(&e, UINT64_MAX, 4), OUTPUT_ESTIMATE_MAX);
}

Test(output_estimate, a_fixed_shape_without_a_batch)
{
	const struct output_estimate e = declared_as(
		(struct wire_declaration){.dtype = DTYPE_F32, .rank = 2, .dims = fixed}, false);

	cr_expect_eq(output_estimate_bytes(&e, 1, 4), 3 * 4096);
}

Test(output_estimate, small_answers_count_for_nothing)
{
	const struct output_estimate e = declared_as(
		(struct wire_declaration){.dtype = DTYPE_U8, .rank = 2, .dims = rows_by_2048},
		true);

	cr_expect_eq(output_estimate_bytes(&e, 1, MIB), 0);
	cr_expect_eq(output_estimate_bytes(&e, 2, MIB), 4096);
}

Test(output_estimate, what_is_not_declared_is_not_a_bound)
{
	const struct wire_declaration open[] = {
		{.dtype = DTYPE_F32, .rank = 2, .dims = any_by_any},
		{.dtype = DTYPE_BYTES, .rank = 2, .dims = rows_by_2048},
		{.dtype = DTYPE_INVALID, .rank = 2, .dims = rows_by_2048},
		{.dtype = DTYPE_F32, .any_shape = true},
		{.dtype = DTYPE_F32, .rank = 2, .dims = rows_by_2048},
	};

	for (size_t i = 0; i < 4; i++)
		cr_expect_eq(declared_as(open[i], true).row_max, UINT64_MAX);
	cr_expect_eq(declared_as(open[4], false).row_max, UINT64_MAX, "the rows are not known");
}

Test(output_estimate, an_undeclared_version_is_asked_again)
{
	struct output_estimate e = {0};
	const struct wire_loaded none = {0};

	output_estimate_declare(&e, NULL, true);
	cr_expect_not(e.declared);
	output_estimate_declare(&e, &none, true);
	cr_expect(e.declared);
	cr_expect_eq(e.row_max, 0);
}

Test(output_estimate, answers_teach)
{
	struct output_estimate e = {0};

	output_estimate_note(&e, 4, MIB);
	cr_expect_eq(output_estimate_bytes(&e, 1, 7), MIB);
	output_estimate_note(&e, 4, 0);
	cr_expect_eq(output_estimate_bytes(&e, 1, 4), MIB / 16 * 15);
	output_estimate_note(&e, 5, 2 * MIB);
	cr_expect_eq(output_estimate_bytes(&e, 1, 4), 2 * MIB);
}

/* Small requests say nothing of large ones, nor these of them. */
Test(output_estimate, sizes_are_told_apart)
{
	struct output_estimate e = {0};

	output_estimate_note(&e, 64 * MIB, 64 * MIB);
	for (unsigned i = 0; i < 100; i++)
		output_estimate_note(&e, 8, 8);
	cr_expect_eq(output_estimate_bytes(&e, 1, 64 * MIB), 64 * MIB);
	cr_expect_eq(output_estimate_bytes(&e, 1, 8), 0);
	cr_expect_eq(output_estimate_bytes(&e, 1, MIB), MIB, "nothing is known of these");
}

Test(output_estimate, the_declaration_bounds_what_was_learned)
{
	struct output_estimate e = declared_as(
		(struct wire_declaration){.dtype = DTYPE_F32, .rank = 2, .dims = rows_by_2048},
		true);

	output_estimate_note(&e, 4, MIB);
	cr_expect_eq(output_estimate_bytes(&e, 1, 4), 8192);
}

Test(output_estimate, what_was_large_once_is_forgotten)
{
	struct output_estimate e = {0};

	output_estimate_note(&e, 4, MIB);
	for (unsigned i = 0; i < 400; i++)
		output_estimate_note(&e, 4, 4);
	cr_expect_eq(e.bytes[3], 4);
}

Test(output_estimate, no_size_is_out_of_bounds)
{
	struct output_estimate e = {0};

	output_estimate_note(&e, 0, MIB);
	output_estimate_note(&e, UINT64_MAX, UINT64_MAX);
	cr_expect_eq(output_estimate_bytes(&e, 0, 0), MIB);
	cr_expect_eq(output_estimate_bytes(&e, UINT64_MAX, UINT64_MAX), OUTPUT_ESTIMATE_MAX);
	cr_expect_eq(output_estimate_bytes(&e, 1, UINT64_C(1) << 50), OUTPUT_ESTIMATE_MAX);
}
