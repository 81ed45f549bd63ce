/* Tests of label_files.c: files below the model's directory, and what is wrong with others. */
#include "models/label_files.h"

#include "tests/support/failalloc.h"
#include "tree.h"

static Inference__ModelConfig config;
static Inference__ModelOutput outputs[65], *list[65];
static struct labels *labels;
static char text[512];

static void setup(void)
{
	tree_make();
	inference__model_config__init(&config);
	for (size_t i = 0; i < 65; i++) {
		inference__model_output__init(&outputs[i]);
		outputs[i].name = (char *)"p";
		list[i] = &outputs[i];
	}
	config.output = list;
	config.n_output = 1;
}

static void teardown(void)
{
	free(labels);
	tree_remove();
}

TestSuite(label_files, .init = setup, .fini = teardown);

static int read_labels(const char *file)
{
	outputs[0].label_filename = (char *)file;
	return label_files_read(root, &config, &labels, text, sizeof(text));
}

static void bad(const char *file, const char *what)
{
	cr_assert_eq(read_labels(file), LABEL_FILES_E_INVALID, "%s", file);
	cr_expect_str_eq(text, what);
	cr_expect_null(labels);
}

Test(label_files, of_outputs_that_have_some)
{
	const char *first[2];

	put("labels.txt", "ant\nbee\n");
	put("more/labels..txt", "cat\n");
	config.n_output = 3;
	outputs[1].name = (char *)"q";
	outputs[2].name = (char *)"r";
	outputs[2].label_filename = (char *)"more/labels..txt";
	cr_assert_eq(read_labels("labels.txt"), 0, "%s", text);
	cr_expect_null(labels_find(labels, "q"));
	labels_list(labels, labels_find(labels, "p"), first, 2);
	cr_expect_str_eq(first[1], "bee");
	labels_list(labels, labels_find(labels, "r"), first, 2);
	cr_expect_str_eq(first[0], "cat");
	cr_expect_str_eq(first[1], "");
}

Test(label_files, none)
{
	cr_assert_eq(read_labels(""), 0);
	cr_expect_null(labels);
}

Test(label_files, an_empty_file)
{
	put("labels.txt", "");
	cr_assert_eq(read_labels("labels.txt"), 0, "%s", text);
	cr_expect(labels);
}

Test(label_files, paths_that_lead_elsewhere)
{
	bad("/etc/passwd", "'/etc/passwd': a path below the model's directory is expected");
	bad("../x", "'../x': a path below the model's directory is expected");
	bad("a/..", "'a/..': a path below the model's directory is expected");
	bad("a/../b", "'a/../b': a path below the model's directory is expected");
}

Test(label_files, files_that_are_wrong)
{
	static char large[(1 << 20) + 2];

	bad("none", "'none': No such file or directory");
	bad(".", "'.': Is a directory");
	put("bytes", "\xff");
	bad("bytes", "'bytes': is not valid UTF-8");
	memset(large, 'x', sizeof(large) - 1);
	put("large", large);
	bad("large", "'large': labels of all outputs have more than 1048576 bytes");
}

Test(label_files, too_many)
{
	put("l", "x");
	config.n_output = 65;
	for (size_t i = 0; i < 65; i++)
		outputs[i].label_filename = (char *)"l";
	bad("l", "'l': more than 64 outputs have labels");
}

Test(label_files, long_names)
{
	static char name[300], what[400];

	memset(name, 'n', sizeof(name) - 1);
	snprintf(what, sizeof(what), "'%.255s': a name of at most 255 bytes is expected", name);
	bad(name, what);
}

static int read_all(void *arg)
{
	int r = read_labels("l");

	(void)arg;
	free(labels);
	labels = NULL;
	return r;
}

Test(label_files, faults)
{
	put("l", "x\ny\n");
	FAULT_LOOP_KINDS(read_all, NULL, FAIL_ALLOCATIONS);
}
