/* declaration_test.c: copies are deep and equal; what fits a declaration. */
#include "pool/declaration.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/failalloc.h"

static int64_t dims[] = {-1, 64};

static struct wire_loaded sample(struct wire_declaration list[3])
{
	list[0] = (struct wire_declaration){
		.name = "image", .dtype = DTYPE_F32, .rank = 2, .dims = dims};
	list[1] = (struct wire_declaration){.name = "any", .any_shape = true, .dims = dims};
	list[2] = (struct wire_declaration){
		.name = "label", .dtype = DTYPE_I64, .rank = 1, .dims = dims};
	return (struct wire_loaded){.model = 3,
		.ok = true,
		.error = "",
		.inputs = list,
		.n_inputs = 2,
		.outputs = list + 2,
		.n_outputs = 1,
		.memory_bytes = 9,
		.max_batch_size = 4};
}

Test(declaration, copy_is_deep)
{
	struct wire_declaration list[3];
	struct wire_loaded l = sample(list);
	struct wire_loaded *copy = declaration_copy(&l);

	cr_assert_not_null(copy);
	cr_assert(declaration_equal(&l, copy));
	memset(list, 0xff, sizeof(list));
	cr_assert_str_eq(copy->inputs[0].name, "image");
	cr_assert_eq(copy->inputs[0].dims[1], 64);
	cr_assert_neq(copy->inputs[0].dims, dims);
	cr_assert_str_eq(copy->outputs[0].name, "label");
	cr_assert_eq(copy->memory_bytes, 9);
	free(copy);
}

Test(declaration, copy_of_nothing)
{
	struct wire_loaded l = {.error = ""};
	struct wire_loaded *copy = declaration_copy(&l);

	cr_assert(declaration_equal(&l, copy));
	free(copy);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	copy = declaration_copy(&l);
	failalloc_disarm();
	cr_assert_null(copy);
}

Test(declaration, every_difference_counts)
{
	struct wire_declaration a[3];
	struct wire_declaration b[3];
	struct wire_loaded la = sample(a);
	int64_t others[] = {-1, 65};

#define DIFFERS(change)                                                                            \
	do {                                                                                       \
		struct wire_loaded lb = sample(b);                                                 \
		change;                                                                            \
		cr_assert_not(declaration_equal(&la, &lb), #change);                               \
	} while (0)
	DIFFERS(lb.max_batch_size = 5);
	DIFFERS(lb.n_inputs = 1);
	DIFFERS(lb.n_outputs = 0);
	DIFFERS(b[0].name = "imagE");
	DIFFERS(b[0].dtype = DTYPE_F64);
	DIFFERS(b[0].rank = 1);
	DIFFERS(b[0].dims = others);
	DIFFERS(b[1].any_shape = false);
	DIFFERS(b[2].name = "");
	{
		struct wire_loaded lb = sample(b);

		lb.memory_bytes = 10;
		cr_assert(declaration_equal(&la, &lb));
	}
}
