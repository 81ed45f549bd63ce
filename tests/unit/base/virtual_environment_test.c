/* virtual_environment_test.c: what is taken for a home, and what is not. */
#include "base/virtual_environment.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char root[64];
	char program[128]; /* of the environment */
	char home[128];	   /* of the interpreter */
};

static void put(const char *root, const char *name, const char *text, mode_t mode)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	f = fopen(path, "w");
	cr_assert(f && fputs(text, f) >= 0 && !fclose(f) && !chmod(path, mode));
}

static void make_directory(const char *root, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	cr_assert_eq(mkdir(path, 0700), 0);
}

static void prepare(struct place *p)
{
	snprintf(p->root, sizeof(p->root), "virtual-environment-test.XXXXXX");
	cr_assert(mkdtemp(p->root));
	make_directory(p->root, "venv");
	make_directory(p->root, "venv/bin");
	make_directory(p->root, "python");
	make_directory(p->root, "python/bin");
	put(p->root, "venv/bin/python", "", 0755);
	put(p->root, "python/bin/python3", "", 0755);
	snprintf(p->program, sizeof(p->program), "%s/venv/bin/python", p->root);
	snprintf(p->home, sizeof(p->home), "%s/python/bin", p->root);
}

static void tidy(const struct place *p)
{
	static const char *const names[] = {"venv/pyvenv.cfg", "venv/bin/python",
		"python/bin/python3", "venv/bin", "python/bin", "venv", "python"};
	char path[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", p->root, names[i]);
		if (unlink(path))
			rmdir(path);
	}
	cr_assert_eq(rmdir(p->root), 0);
}

/* Of a file that says: `before`, and the home below the working directory, and `behind`. */
static bool found(const struct place *p, const char *before, const char *home, const char *behind)
{
	char here[PATH_MAX], text[2 * PATH_MAX], got[PATH_MAX] = "", want[2 * PATH_MAX];

	cr_assert(getcwd(here, sizeof(here)));
	snprintf(want, sizeof(want), "%s/%s/../lib", here, home);
	snprintf(text, sizeof(text), "%s%s/%s%s", before, here, home, behind);
	put(p->root, "venv/pyvenv.cfg", text, 0644);
	if (!virtual_environment_libraries(p->program, got, sizeof(got)))
		return false;
	cr_expect_str_eq(got, want);
	cr_expect_not(virtual_environment_libraries(p->program, got, 8), "it does not fit");
	return true;
}

Test(virtual_environment, its_libraries)
{
	struct place p;
	char path[256];

	prepare(&p);
	cr_expect(found(&p, "home = ", p.home, "\nversion = 3.11.2\n"));
	cr_expect(found(&p, "a = b\nhome=\t", p.home, "\r\n"));
	cr_expect(found(&p, "home = ", p.home, ""));
	snprintf(path, sizeof(path), "%s/python/bin/python3", p.root);
	cr_expect_eq(chmod(path, 0644), 0);
	cr_expect_not(found(&p, "home = ", p.home, "\n"), "no program is there");
	tidy(&p);
}

Test(virtual_environment, what_is_none)
{
	struct place p;
	char libraries[PATH_MAX];

	prepare(&p);
	cr_expect_not(virtual_environment_libraries(p.program, libraries, sizeof(libraries)),
		"no pyvenv.cfg");
	cr_expect_not(virtual_environment_libraries("python", libraries, sizeof(libraries)));
	cr_expect_not(found(&p, "homely = ", p.home, "\n"));
	cr_expect_not(found(&p, "home ", p.home, "\n"));
	cr_expect_not(found(&p, "home = x", p.home, "\n"), "not an absolute path");
	cr_expect_not(found(&p, "home = ", p.root, "\n"), "no interpreter there");
	put(p.root, "venv/pyvenv.cfg", "", 0644);
	cr_expect_not(virtual_environment_libraries(p.program, libraries, sizeof(libraries)));
	tidy(&p);
}
