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
