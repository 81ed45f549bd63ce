/* Tests of model_print_tensor.c: what a model declares is read without a complaint, whatever it is called. */
#include "models/model_print_tensor.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/labels.h"
#include "dispatch/sequence_settings.h"
#include "models/model_conf.h"
#include "models/model_pbtxt.h"
#include "tree.h"

static const int64_t dims[] = {-1, 3};
static const struct wire_declaration inputs[] = {
	{.name = "a \"b\"\n", .dtype = DTYPE_BYTES, .rank = 2, .dims = dims},
	{.name = "any", .any_shape = true},
	{.name = "one", .dtype = DTYPE_I64, .rank = 1, .dims = dims},
	{.name = "START", .dtype = DTYPE_I32, .rank = 2, .dims = dims},
};
static const struct wire_declaration outputs[] = {
	{.name = "y", .dtype = DTYPE_F32, .rank = 2, .dims = dims},
	{.name = "state", .dtype = DTYPE_F32, .rank = 2, .dims = dims},
};
static const struct wire_loaded declared = {.ok = true,
	.inputs = inputs,
	.n_inputs = 4,
	.outputs = outputs,
	.n_outputs = 2,
	.max_batch_size = 4,
	.decoupled = true};
static char printed[4096];

TestSuite(model_print_tensor, .init = tree_make, .fini = tree_remove);

static void print_pbtxt(const struct version_settings *s, bool batched)
{
	FILE *out = fmemopen(printed, sizeof(printed), "w");

	cr_assert(out);
	model_print_declared_pbtxt(out, s, &declared, batched);
	cr_assert_eq(fclose(out), 0);
}

static void print_conf(const struct wire_loaded *l)
{
	FILE *out = fmemopen(printed, sizeof(printed), "w");

	cr_assert(out);
	fputc('\n', out);
	model_print_declared_conf(out, l);
	cr_assert_eq(fclose(out), 0);
}

static void has(const char *line)
{
	cr_expect(strstr(printed, line), "%s: %s", line, printed);
}

Test(model_print_tensor, dimensions_are_without_the_batchs)
{
	const struct version_settings s = {0};

	print_pbtxt(&s, true);
	has("input { name: \"a \\\"b\\\"\\012\" data_type: TYPE_STRING dims: [ 3 ] }\n");
	has("input { name: \"any\" data_type: TYPE_INVALID dims: [ -1 ] }  # of any shape\n");
	has("input { name: \"one\" data_type: TYPE_INT64 dims: [ 1 ] reshape { } }\n");
	has("output { name: \"y\" data_type: TYPE_FP32 dims: [ 3 ] }\n");
	has("model_transaction_policy { decoupled: true }\n");
	print_pbtxt(&s, false);
	has("data_type: TYPE_STRING dims: [ -1, 3 ] }\n");
	has("input { name: \"one\" data_type: TYPE_INT64 dims: [ -1 ] }\n");
}

Test(model_print_tensor, labels_and_sequences)
{
	const struct labels_source source = {.output = "y", .file = "l.txt", .text = "a\n", .n = 2};
	struct version_settings s = {0};

	s.labels = labels_new(&source, 1);
	s.sequence = sequence_settings_new(1);
	cr_assert(s.labels && s.sequence);
	snprintf(s.sequence->controls[SEQUENCE_START].name, WIRE_NAME_MAX, "START");
	snprintf(s.sequence->states[0].output, WIRE_NAME_MAX, "state");
	print_pbtxt(&s, true);
	has("output { name: \"y\" data_type: TYPE_FP32 dims: [ 3 ] label_filename: \"l.txt\" }\n");
	cr_expect(!strstr(printed, "START") && !strstr(printed, "state"), "%s", printed);
	free(s.labels);
	free(s.sequence);
}

Test(model_print_tensor, is_read_without_a_complaint)
{
	static struct models_settings settings;
	const struct version_settings s = {0};
	struct model_conf m = {0};
	char text[1024] = "";
	char *ignored = NULL;
	char file[128];

	cr_assert_eq(model_conf_replace(&m.settings.name, "m"), 0);
	print_pbtxt(&s, true);
	put("config.pbtxt", printed);
	snprintf(file, sizeof(file), "%s/config.pbtxt", root);
	cr_expect_eq(model_pbtxt_read(file, &m, &settings, &ignored, text, sizeof(text)), 0,
		"%s\n%s", text, printed);
	cr_expect_null(ignored);
	model_conf_release(&m);
}

/* Whatever a name has in it, it ends no comment. */
Test(model_print_tensor, comments)
{
	print_conf(&declared);
	has("; input \"a \\\"b\\\"\\012\" BYTES [-1, 3]\n");
	has("; input \"any\" any [any]\n");
	has("; output \"y\" FP32 [-1, 3]\n");
	has("; it answers any number of times\n");
	for (const char *at = printed; (at = strchr(at, '\n')) && at[1]; at++)
		cr_expect_eq(at[1], ';', "%s", printed);
	print_conf(NULL);
	cr_expect_str_eq(printed, "\n");
}

Test(model_print_tensor, words)
{
	cr_expect(model_print_is_word("a/b"));
	cr_expect_not(model_print_is_word("a b"));
	cr_expect_not(model_print_is_word(""));
	cr_expect_str_eq(model_print_type(DTYPE_BYTES), "STRING");
	cr_expect_str_eq(model_print_type(DTYPE_F32), "FP32");
}
