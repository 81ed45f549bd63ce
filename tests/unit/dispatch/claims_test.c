/* claims_test.c: what is said of tensors agrees with the model, or the text says with what it does not. */
#include "dispatch/claims.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t rows[] = {-1, 16}, image[] = {3, 224, 224}, any[] = {-1};
static const struct wire_declaration inputs[] = {
	{.name = "x", .dtype = DTYPE_I32, .rank = 2, .dims = rows},
	{.name = "image", .dtype = DTYPE_F32, .rank = 3, .dims = image},
	{.name = "open", .dtype = DTYPE_INVALID, .any_shape = true},
};
static const struct wire_declaration outputs[] = {
	{.name = "y", .dtype = DTYPE_BYTES, .rank = 1, .dims = any},
};
static const struct wire_loaded model = {
	.inputs = inputs, .n_inputs = 3, .outputs = outputs, .n_outputs = 1};

/* What it is told of one tensor; "": nothing contradicts. */
static const char *say(bool output, const char *name, enum dtype dtype, uint32_t rank, ...)
{
	static char text[CLAIMS_TEXT_MAX];
	struct claims *c = claims_new(1);
	va_list args;

	cr_assert_not_null(c);
	snprintf(c->list[0].name, sizeof(c->list[0].name), "%s", name);
	c->list[0].output = output;
	c->list[0].dtype = dtype;
	c->list[0].rank = rank;
	va_start(args, rank);
	for (uint32_t i = 0; i < rank; i++)
		c->list[0].dims[i] = va_arg(args, int);
	va_end(args);
	if (!claims_contradict(c, &model, text, sizeof(text)))
		text[0] = '\0';
	free(c);
	return text;
}

Test(claims, agree)
{
	cr_expect_str_eq(say(false, "x", DTYPE_I32, 1, 16), "");
	cr_expect_str_eq(say(false, "x", DTYPE_I32, 2, -1, 16), "", "with the batch's dimension");
	cr_expect_str_eq(say(false, "x", DTYPE_I32, 2, 8, 16), "", "it may say less than is taken");
	cr_expect_str_eq(say(false, "x", DTYPE_INVALID, 1, 16), "");
	cr_expect_str_eq(say(false, "x", DTYPE_I32, 0), "");
	cr_expect_str_eq(say(false, "image", DTYPE_F32, 3, 3, 224, 224), "");
	cr_expect_str_eq(say(false, "open", DTYPE_F64, 4, 1, 2, 3, 4), "");
	cr_expect_str_eq(say(true, "y", DTYPE_BYTES, 1, 5), "");
}

Test(claims, contradict)
{
	cr_expect_str_eq(say(false, "x", DTYPE_F32, 1, 4),
		"input 'x' is FP32 [4] in its configuration, and INT32 [-1,16] in the model");
	cr_expect_str_eq(say(false, "x", DTYPE_F32, 1, 16),
		"input 'x' is FP32 [16] in its configuration, and INT32 [-1,16] in the model");
	cr_expect_str_eq(say(false, "image", DTYPE_F32, 3, 3, -1, -1),
		"input 'image' is FP32 [3,-1,-1] in its configuration, and FP32 [3,224,224] in the "
		"model");
	cr_expect_str_eq(say(false, "image", DTYPE_F32, 2, 224, 224),
		"input 'image' is FP32 [224,224] in its configuration, and FP32 [3,224,224] in the "
		"model");
	cr_expect_str_eq(say(false, "y", DTYPE_BYTES, 1, -1),
		"input 'y' is in its configuration, and the model has no such input");
	cr_expect_str_eq(say(true, "y", DTYPE_F32, 1, -1),
		"output 'y' is FP32 [-1] in its configuration, and BYTES [-1] in the model");
}

Test(claims, as_many_as_there_is_room_for)
{
	char text[CLAIMS_TEXT_MAX];
	struct claims *c = claims_new(100), *copy = NULL;

	cr_assert_not_null(c);
	for (uint32_t i = 0; i < c->n; i++)
		snprintf(c->list[i].name, sizeof(c->list[i].name), "no%u", i);
	cr_expect(claims_contradict(c, &model, text, sizeof(text)));
	cr_expect(strstr(text, "no such input; input 'no1' is in its configuration"));
	cr_expect_eq(strlen(text), sizeof(text) - 1);
	cr_assert_eq(claims_copy(&copy, c), 0);
	cr_expect(claims_equal(c, copy));
	copy->list[99].rank = 1;
	cr_expect_not(claims_equal(c, copy));
	free(c);
	free(copy);
}

Test(claims, nothing_said)
{
	char text[CLAIMS_TEXT_MAX];
	struct claims *c = claims_new(0), *copy = c;

	cr_expect_not(claims_contradict(NULL, &model, text, sizeof(text)));
	cr_expect_not(claims_contradict(c, &model, text, sizeof(text)));
	cr_expect_not(claims_equal(c, NULL));
	cr_expect(claims_equal(NULL, NULL));
	cr_assert_eq(claims_copy(&copy, NULL), 0);
	cr_expect_null(copy);
	free(c);
}
