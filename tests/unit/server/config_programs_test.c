/* config_programs_test.c: worker programs that backends name. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_private.h"
#include "tests/support/failalloc.h"

static struct config c;
static char text[512];

static void setup(void)
{
	cr_assert_eq(config_init(&c), 0);
}

static void teardown(void)
{
	config_release(&c);
}

TestSuite(config_programs, .init = setup, .fini = teardown);

static int finish(const char *data)
{
	cr_assert_eq(
		config_load_memory(&c, "f", data, strlen(data), text, sizeof(text)), 0, "%s", text);
	return config_finish(&c, text, sizeof(text));
}

static void refused(const char *data, const char *part)
{
	cr_expect_eq(finish(data), CONFIG_E_INVALID);
	cr_expect(strstr(text, part), "%s", text);
}

Test(config_programs, words_and_what_goes_to_workers)
{
	const struct pool_program *p;

	cr_assert_eq(
		finish("[worker]\nsandbox = off\nprogram = /opt/bin/modeld-worker\n"
		       "[backend.py]\nworker = run-python  -m\tx\ninterpreter = /usr/bin/python3\n"
		       "worker_environment = A=1 B=\n"
		       "[backend.other]\nworker = /bin/other\nworkers = 3\n"),
		0, "%s", text);
	cr_assert_eq(c.pool.n_programs, 2);
	p = &c.pool.programs[0];
	cr_expect_str_eq(p->backend, "py");
	cr_expect_str_eq(p->argv[0], "/opt/bin/run-python");
	cr_expect_str_eq(p->argv[1], "-m");
	cr_expect_str_eq(p->argv[2], "x");
	cr_expect_null(p->argv[3]);
	cr_expect_str_eq(p->environment[0], "A=1");
	cr_expect_str_eq(p->environment[1], "B=");
	cr_expect_null(p->environment[2]);
	cr_expect_str_eq(c.pool.programs[1].argv[0], "/bin/other");
	cr_expect_null(c.pool.programs[1].argv[1]);
	cr_expect_null(c.pool.programs[1].environment);
	cr_assert_eq(c.pool.n_settings, 2);
	cr_expect_str_eq(c.pool.settings[0].key, "py.interpreter");
	cr_expect_str_eq(c.pool.settings[1].key, "other.workers");
}

Test(config_programs, none)
{
	cr_assert_eq(finish("[backend.onnxruntime]\nlibrary = x\n"), 0);
	cr_expect_eq(c.pool.n_programs, 0);
	cr_expect_eq(c.pool.n_settings, 1);
}

Test(config_programs, what_comes_with_modeld)
{
	char directory[] = "/tmp/config_programs_test_XXXXXX", path[64], conf[256];
	FILE *f;

	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/modeld-python", directory);
	f = fopen(path, "w");
	cr_assert(f && !fclose(f) && !chmod(path, 0755));
	snprintf(conf, sizeof(conf),
		"[worker]\nsandbox = off\nprogram = "
		"%s/modeld-worker\n[backend.python]\nworker_environment = "
		"A=1\n",
		directory);
	cr_assert_eq(finish(conf), 0, "%s", text);
	cr_assert_eq(c.pool.n_programs, 3);
	cr_expect_str_eq(c.pool.programs[0].backend, "python");
	cr_expect_str_eq(c.pool.programs[0].argv[0], path);
	cr_expect_null(c.pool.programs[0].argv[1]);
	cr_expect_str_eq(c.pool.programs[0].environment[0], "A=1");
	config_release(&c);
	setup();
	snprintf(conf, sizeof(conf),
		"[worker]\nsandbox = off\nprogram = %s/modeld-worker\n[backend.python]\nworker = "
		"/bin/x\n",
		directory);
	cr_assert_eq(finish(conf), 0, "%s", text);
	cr_assert_eq(c.pool.n_programs, 3);
	cr_expect_str_eq(c.pool.programs[0].argv[0], "/bin/x");
	cr_expect_str_eq(c.pool.programs[1].backend, "sklearn");
	cr_expect_str_eq(c.pool.programs[2].backend, "torch");
	unlink(path);
	rmdir(directory);
}

Test(config_programs, empty)
{
	refused("[backend.py]\nworker =\n", "[backend.py] worker: needs a program");
}

Test(config_programs, environment_without_a_program)
{
	refused("[backend.py]\nworker_environment = A=1\n",
		"[backend.py] worker_environment: there is no 'worker'");
}

Test(config_programs, environment_that_is_none)
{
	refused("[backend.py]\nworker = x\nworker_environment = A=1 B\n", "needs NAME=value");
}

static int live_once(void *arg)
{
	static const char data[] = "[backend.py]\nworker = x y\nworker_environment = A=1\n";
	struct config own;
	int r = config_init(&own);

	if (!r)
		r = config_load_memory(&own, "f", data, strlen(data), text, sizeof(text));
	if (!r)
		r = config_finish(&own, text, sizeof(text));
	config_release(&own);
	return r;
}

Test(config_programs, faults)
{
	FAULT_LOOP(live_once, NULL);
}
