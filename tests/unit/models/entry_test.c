/* Tests of entry.c: what is shown of names, and what looks like a model. Models are read in repository_test.c. */
#include "models/entry.h"

#include "tests/support/failalloc.h"
#include "tree.h"

TestSuite(entry, .init = tree_make, .fini = tree_remove);

Test(entry, names_are_text)
{
	struct repository_entry e = {0};

	cr_assert_eq(entry_set_name(&e, "a\tb"), 0);
	cr_expect_str_eq(e.name, "a?b");
	cr_assert_eq(entry_set_name(&e, "\xc3\xbc"), 0);
	cr_expect_str_eq(e.name, "\xc3\xbc");
	cr_assert_eq(entry_set_name(&e, "\xfc"), 0);
	cr_expect_str_eq(e.name, "?");
	cr_assert_eq(entry_refuse(&e, "%s", "no\n\xfc"), 0);
	cr_expect_str_eq(e.error, "no??");
	entry_release(&e);
	cr_expect_null(e.name);
}

static bool looks(const char *name)
{
	bool yes = false;

	cr_assert_eq(entry_looks_like_model(root, name, &yes), 0);
	return yes;
}

Test(entry, what_looks_like_a_model)
{
	put("a/model.conf", "");
	put("b/7", NULL);
	put("c/model.onnx", "");
	put("d/stable/model.onnx", "");
	put("e/README", "");
	put("f/config.pbtxt", "");
	put("g/1/model.py", "");
	cr_expect(looks("a") && looks("b") && looks("c") && looks("d") && looks("f") && looks("g"));
	cr_expect_not(looks("e"));
	cr_expect_not(looks("nothing"));
}
