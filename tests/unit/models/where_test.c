/* where_test.c: lines of parameters in both kinds of files. */
#include "models/where.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tree.h"

static char where[4200];

/* Without the repository's path in front. */
static const char *look(const char *model, const char *key)
{
	const char *const repositories[] = {"/nowhere", root, NULL};
	const struct models_settings s = {.repositories = repositories};
	size_t n = strlen(root) + 1;

	where_parameter(&s, model, key, where, sizeof(where));
	return *where ? where + n : where;
}

Test(where, of_model_conf)
{
	tree_make();
	put("m/model.conf", "[model]\nbackend = builtin\nspin = 1\n\n[parameters]\na = 1\n"
			    "; spin = 2\nspin = 3\n");
	put("m/config.pbtxt", "parameters { key: \"other\" }\n");
	cr_expect_str_eq(look("m", "spin"), "m/model.conf:8");
	cr_expect_str_eq(look("m", "a"), "m/model.conf:6");
	cr_expect_str_eq(look("m", "other"), "m/model.conf");
	cr_expect_str_eq(look("m", ""), "m/model.conf");
	cr_expect_str_eq(look("no", "spin"), "");
	tree_remove();
}

Test(where, of_config_pbtxt)
{
	tree_make();
	put("m/config.pbtxt", "backend: \"x\"\nparameters [ {\n key: \"spin\" } ]\n");
	cr_expect_str_eq(look("m", "spin"), "m/config.pbtxt:3");
	cr_expect_str_eq(look("m", "spi"), "m/config.pbtxt");
	tree_remove();
}
