/* model_check_test.c: a model is tried by its worker program; here that is a shell's script of the same name. */
#include "model_check.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "dispatch/version_settings.h"
#include "tests/support/failalloc.h"

static struct config c;
static char directory[] = "/tmp/modeld-check-XXXXXX";
static char path[64];
static const char *argv[] = {path, NULL};
static const struct pool_program program = {.backend = "python", .argv = argv};
static const struct pool_place place = {"cpu:0", 1};
static const struct version_settings model = {
	.name = "m", .version = "1", .path = "/models/m/1", .backend = "python"};
static char said[4096];

static void setup(void)
{
	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/modeld-python", directory);
	cr_assert_eq(config_init(&c), 0);
	c.pool.programs = &program;
	c.pool.n_programs = 1;
	c.pool.places = &place;
	c.pool.n_places = 1;
	c.pool.load_timeout_ms = 60000;
}

static void teardown(void)
{
	unlink(path);
	rmdir(directory);
	config_release(&c);
}

TestSuite(model_check, .init = setup, .fini = teardown);

static void say(const struct version_settings *v, const char *line)
{
	size_t n = strlen(said);

	cr_assert_eq(v, &model);
	snprintf(said + n, sizeof(said) - n, "%s|", line);
}

static int try_it(const char *script, char *why, size_t cap)
{
	FILE *f = fopen(path, "w");

	cr_assert(f);
	fprintf(f, "#!/bin/sh\n%s\n", script);
	fclose(f);
	cr_assert_eq(chmod(path, 0700), 0);
	said[0] = '\0';
	return model_check(&c, &model, say, why, cap);
}

Test(model_check, what_it_declares_is_said)
{
	unsigned fds = failalloc_open_fds();
	char why[128] = "";

	cr_assert_eq(try_it("echo not this; echo input x >&3; echo \"$1 $2 $3 $MODELD_DEVICE\" >&3",
			     why, sizeof(why)),
		0, "%s", why);
	cr_expect_str_eq(said, "input x|--check /models/m/1 python cpu:0|");
	cr_expect_eq(failalloc_open_fds(), fds);
}

Test(model_check, long_lines_are_cut)
{
	char why[128] = "";

	cr_assert_eq(try_it("printf '%0600d\\n' 1 >&3", why, sizeof(why)), 0, "%s", why);
	cr_expect_eq(strlen(said), 602);
	cr_expect_eq(strchr(said, '|') - said, 511);
}

Test(model_check, how_it_failed)
{
	char why[128] = "";

	cr_expect_eq(try_it("echo half >&3; exit 3", why, sizeof(why)), -ENOEXEC);
	cr_expect_str_eq(why, "its code cannot be loaded (exit status 3)");
	cr_expect_str_eq(said, "half|");
	cr_expect_eq(try_it("kill -SEGV $$", why, sizeof(why)), -ENOEXEC);
	cr_expect_str_eq(why, "its code ended by signal 11");
	chmod(path, 0600);
	cr_expect_eq(model_check(&c, &model, say, why, sizeof(why)), -EACCES);
	cr_expect(strstr(why, "cannot be tried"), "%s", why);
}

/* What it leaves behind ends with it, whoever holds the pipe. */
Test(model_check, it_has_so_much_time)
{
	char why[128] = "";

	cr_assert_eq(try_it("sleep 1000 & exit 0", why, sizeof(why)), 0, "%s", why);
	c.pool.load_timeout_ms = 50;
	cr_expect_eq(try_it("sleep 1000", why, sizeof(why)), -ETIMEDOUT);
	cr_expect(strstr(why, "load_timeout_ms"), "%s", why);
}

Test(model_check, what_can_be_tried)
{
	struct version_settings other = model;

	cr_expect(model_check_applies(&c, &model));
	other.backend = "onnxruntime";
	cr_expect_not(model_check_applies(&c, &other));
	argv[0] = "/bin/mine";
	cr_expect_not(model_check_applies(&c, &model));
}
