/* Tests of path.c. */
#include "models/path.h"

#include "tests/support/failalloc.h"
#include "tree.h"

TestSuite(path, .init = tree_make, .fini = tree_remove);

Test(path, what_is_there)
{
	_cleanup_(freep) char *a = path_join(root, "a");

	cr_expect_str_eq(a, in_tree("%/a"));
	cr_expect_not(path_is_directory(a));
	cr_expect_not(path_has(root, "a"));
	put("a", "");
	cr_expect_not(path_is_directory(a));
	cr_expect(path_has(root, "a"));
	cr_expect(path_is_directory(root));
}

static const char *const repositories[] = {"/srv/models", "/srv/more/", NULL};

static void expect_model(const char *path, const char *expected)
{
	char name[8] = "";
	bool found = path_find_model(repositories, path, name, sizeof(name));

	cr_expect_eq(found, expected != NULL, "%s", path);
	if (found && expected)
		cr_expect_str_eq(name, expected, "%s", path);
}

Test(path, of_which_model)
{
	expect_model("/srv/models/a", "a");
	expect_model("/srv/models/a/", "a");
	expect_model("/srv/models/a/1/model.onnx", "a");
	expect_model("/srv/more/seven77/1", "seven77");
	expect_model("a", "a");
	expect_model("a/1", "a");
	expect_model("", NULL);
	expect_model("/", NULL);
	expect_model("/srv/models", NULL);
	expect_model("/srv/models/", NULL);
	expect_model("/srv/modelsa/a", NULL);
	expect_model("/srv/models//a", NULL);
	expect_model("/srv/models/../etc", NULL);
	expect_model("/srv/models/a/../../etc", NULL);
	expect_model("/srv/models/./a", NULL);
	expect_model("..", NULL);
	expect_model("../a", NULL);
	expect_model("a//b", NULL);
	expect_model("eight888", NULL);
	expect_model("/etc/passwd", NULL);
	expect_model("...", "...");
}
