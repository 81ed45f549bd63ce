/* onnxruntime_changing_test.c: which graphs may read what changes. */
#include "workers/backends/onnxruntime/changing.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/workers/fake_graph.h"

static bool harmless(const char *lines)
{
	struct fake_message model = fake_model(lines, 19);
	int fd = fake_file(model.data, model.n);
	char path[64];
	bool is;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	is = changing_is_harmless(path);
	close(fd);
	fake_free(&model);
	return is;
}

Test(onnxruntime_changing, what_only_computes)
{
	static const char *const first_and_last[] = {"Abs x -> y", "Unsqueeze x,i -> y"};

	cr_expect(harmless("Relu x -> y"));
	cr_expect(harmless("Add x,x -> a\nMatMul a,x -> y"));
	cr_expect(harmless(first_and_last[0]));
	cr_expect(harmless(first_and_last[1]));
}

Test(onnxruntime_changing, what_sorts_or_seeks_is_not)
{
	static const char *const no[] = {"TopK x,i -> y", "Gather x,i -> y", "Unique x -> y",
		"NonZero x -> y", "ArgMax x -> y", "Loop x -> y", "NoSuchOperator x -> y",
		"Relu x -> a\nTopK a,i -> y"};

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		cr_expect_not(harmless(no[i]), "%s", no[i]);
}

Test(onnxruntime_changing, what_cannot_be_read_is_not)
{
	cr_expect_not(changing_is_harmless("/there/is/no/such/file"));
	cr_expect_not(changing_is_harmless("/proc/self/exe"));
}
