/* config_sandbox_test.c: what workers are told of the sandbox. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

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

TestSuite(config_sandbox, .init = setup, .fini = teardown);

static int finish(const char *data)
{
	cr_assert_eq(
		config_load_memory(&c, "f", data, strlen(data), text, sizeof(text)), 0, "%s", text);
	return config_finish(&c, text, sizeof(text));
}

/* The value of a variable of the workers' environment. */
static const char *value(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; c.pool.sandbox[i]; i++) {
		if (!strncmp(c.pool.sandbox[i], name, n) && c.pool.sandbox[i][n] == '=')
			return c.pool.sandbox[i] + n + 1;
	}
	return "(none)";
}

static bool has_line(const char *list, const char *line)
{
	size_t n = strlen(line);

	for (; *list; list += strcspn(list, "\n") + 1) {
		if (!strncmp(list, line, n) && list[n] == '\n')
			return true;
	}
	return false;
}

Test(config_sandbox, on_by_default)
{
	cr_assert_eq(finish("[models]\nrepository = /a/models, /b\n"), 0, "%s", text);
	cr_expect_str_eq(value("MODELD_SANDBOX"), "on");
	cr_expect_str_eq(value("MODELD_SANDBOX_MODELS"), "/a/models\n/b\n");
	cr_expect_str_eq(value("MODELD_SANDBOX_WRITE"), "");
}

Test(config_sandbox, what_is_configured_may_be_read)
{
	const char *read;

	cr_assert_eq(finish("[worker]\nsandbox = relaxed\nprogram = /opt/m/worker\nsandbox_read = "
			    "/data, "
			    "/more\nsandbox_write = /cache\nbackend_dirs = /opt/m/lib/backends\n"
			    "[backend.onnxruntime]\nlibrary = /opt/ort/lib/libonnxruntime.so\n"
			    "threads = 3\n"
			    "[backend.python]\ninterpreter = /opt/venv/bin/python\nworker = "
			    "/opt/py/run\n"),
		0, "%s", text);
	read = value("MODELD_SANDBOX_READ");
	cr_expect_str_eq(value("MODELD_SANDBOX"), "relaxed");
	cr_expect_str_eq(value("MODELD_SANDBOX_WRITE"), "/cache\n");
	cr_expect(has_line(read, "/data") && has_line(read, "/more"), "%s", read);
	cr_expect(has_line(read, "/opt/m/"), "%s", read);
	cr_expect(has_line(read, "/opt/m/lib/backends"), "%s", read);
	cr_expect(has_line(read, "/opt/m/lib/onnxruntime"), "%s", read);
	cr_expect(has_line(read, "/opt/ort/lib/"), "%s", read);
	cr_expect(has_line(read, "/opt/venv/bin/.."), "%s", read);
	cr_expect(has_line(read, "/opt/py/"), "%s", read);
	cr_expect_not(has_line(read, "3"));
}

Test(config_sandbox, programs_are_run_in_it)
{
	const char *const *argv;

	cr_assert_eq(finish("[backend.x]\nworker = /bin/x 1 2\n"), 0, "%s", text);
	argv = c.pool.programs[0].argv;
	cr_expect(strstr(argv[0], "/modeld-worker"), "%s", argv[0]);
	cr_expect_str_eq(argv[1], "--run");
	cr_expect_str_eq(argv[2], "/bin/x");
	cr_expect_str_eq(argv[4], "2");
	cr_expect_null(argv[5]);
}

Test(config_sandbox, off)
{
	cr_assert_eq(finish("[worker]\nsandbox = off\n[backend.x]\nworker = /bin/x\n"), 0);
	cr_expect_str_eq(value("MODELD_SANDBOX"), "off");
	cr_expect_str_eq(c.pool.programs[0].argv[0], "/bin/x");
}

Test(config_sandbox, a_mode_that_is_none)
{
	cr_expect_eq(finish("[worker]\nsandbox = open\n"), CONFIG_E_INVALID);
	cr_expect_str_eq(text, "f:2: [worker] sandbox: 'open' is none of on, relaxed, off");
}

Test(config_sandbox, of_one_backend)
{
	const struct pool_program *p;

	cr_assert_eq(finish("[worker]\nsandbox = off\n[backend.x]\nworker = /bin/x\n"
			    "worker_environment = A=b\nsandbox = relaxed\n"),
		0, "%s", text);
	p = &c.pool.programs[0];
	cr_expect_str_eq(p->argv[1], "--run");
	cr_expect_str_eq(p->environment[0], "MODELD_SANDBOX=relaxed");
	cr_expect_str_eq(p->environment[1], "A=b");
	cr_expect_null(p->environment[2]);
	cr_expect_eq(c.pool.n_settings, 0);
}

Test(config_sandbox, of_one_backend_off)
{
	cr_assert_eq(finish("[backend.x]\nworker = /bin/x\nsandbox = off\n"), 0, "%s", text);
	cr_expect_str_eq(c.pool.programs[0].argv[0], "/bin/x");
	cr_expect_str_eq(c.pool.programs[0].environment[0], "MODELD_SANDBOX=off");
}

Test(config_sandbox, of_one_backend_that_is_wrong)
{
	cr_expect_eq(finish("[backend.x]\nworker = /bin/x\nsandbox = open\n"), CONFIG_E_INVALID);
	cr_expect(strstr(text, "[backend.x] sandbox: is none of on, relaxed, off"), "%s", text);
}

Test(config_sandbox, of_a_backend_without_a_program)
{
	cr_expect_eq(finish("[backend.x]\nsandbox = off\n"), CONFIG_E_INVALID);
	cr_expect(strstr(text, "[backend.x] sandbox: there is no 'worker'"), "%s", text);
}

Test(config_sandbox, one_user)
{
	cr_assert_eq(finish("[worker]\nuser = 1234\n"), 0, "%s", text);
	cr_expect_eq(c.pool.users.uid, 1234);
	cr_expect_eq(c.pool.users.gid, 1234);
	cr_expect_eq(c.pool.users.n, 1);
}

Test(config_sandbox, a_user_each)
{
	cr_assert_eq(finish("[worker]\nsandbox = off\nuser = 64000-64099\n[backend.x]\nworker = "
			    "/bin/x\n"),
		0, "%s", text);
	cr_expect_eq(c.pool.users.uid, 64000);
	cr_expect_eq(c.pool.users.n, 100);
	cr_expect_str_eq(c.pool.programs[0].argv[1], "--run");
}

Test(config_sandbox, users_that_are_none)
{
	static const char *const wrong[] = {"root", "0", "5-4", "1-", "-1", "no such user", "0-9",
		"5--3", "1-2-3", "4294967295", "4294967297", "5-4294967301"};
	char given[64];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(given, sizeof(given), "[worker]\nuser = %s\n", wrong[i]);
		cr_expect_eq(finish(given), CONFIG_E_INVALID, "%s", wrong[i]);
		cr_expect(strstr(text, "[worker] user: "), "%s", text);
		config_release(&c);
		cr_assert_eq(config_init(&c), 0);
	}
}

static int work(void *arg)
{
	struct config own;
	char message[256];
	int r = config_init(&own);

	if (r)
		return r;
	r = config_set(&own, "backend.x.worker=/bin/x", message, sizeof(message));
	if (!r)
		r = config_set(&own, "backend.x.sandbox=relaxed", message, sizeof(message));
	if (!r)
		r = config_finish(&own, message, sizeof(message));
	config_release(&own);
	return r;
}

static const char *hidden(const char *mode, const char *const *read, const char *const *added)
{
	static char paths[256];
	static const char *const first[] = {"/srv/models", "/opt/more/", NULL};
	struct config before = {.sandbox = {.mode = mode, .read = read}};
	struct config now = {.sandbox = {.mode = mode, .read = read}};
	size_t n, commas = 0;

	before.models.repositories = first;
	now.models.repositories = added;
	n = config_find_hidden(&before, &before, &now, paths, sizeof(paths));
	for (const char *at = paths; (at = strchr(at, ',')); at++)
		commas++;
	cr_expect_eq(n, paths[0] ? commas + 1 : 0);
	return paths;
}

Test(config_sandbox, a_repository_that_a_reload_adds)
{
	static const char *const none[] = {NULL}, *const read[] = {"/data", NULL};
	static const char *const known[] = {
		"/srv/models", "/srv/models/x", "/opt/more", "/opt/more/y", NULL};
	static const char *const others[] = {"/srv/models2", "/srv", "/data/m", NULL};

	cr_expect_str_eq(hidden("on", none, known), "");
	cr_expect_str_eq(hidden("on", none, others), "/srv/models2, /srv, /data/m");
	cr_expect_str_eq(hidden("relaxed", read, others), "/srv/models2, /srv");
	cr_expect_str_eq(hidden("on", (const char *const[]){"/", NULL}, others), "");
	cr_expect_str_eq(hidden("off", none, others), "");
}

/* Of the second reading only the repositories count. */
Test(config_sandbox, what_workers_are_told_after_a_reload)
{
	struct config first;

	cr_assert_eq(
		finish("[models]\nrepository = /a\n[worker]\nsandbox_read = /r\n"), 0, "%s", text);
	first = c;
	first.upload_dir = "/up";
	cr_assert_eq(config_init(&c), 0);
	cr_assert_eq(finish("[models]\nrepository = /b, /c\n[worker]\nsandbox = relaxed\n"
			    "sandbox_write = /w\n"),
		0, "%s", text);
	cr_assert_eq(config_renew_sandbox(&c, &first), 0);
	cr_expect_str_eq(value("MODELD_SANDBOX"), "on");
	cr_expect(has_line(value("MODELD_SANDBOX_READ"), "/r"));
	cr_expect_str_eq(value("MODELD_SANDBOX_WRITE"), "");
	cr_expect_str_eq(value("MODELD_SANDBOX_MODELS"), "/b\n/c\n/up\n");
	config_release(&first);
}

static int renew(void *first)
{
	struct config own;
	char message[256];
	int r = config_init(&own);

	if (r)
		return r;
	r = config_finish(&own, message, sizeof(message));
	if (!r)
		r = config_renew_sandbox(&own, first);
	config_release(&own);
	return r;
}

Test(config_sandbox, faults_after_a_reload)
{
	cr_assert_eq(finish("[models]\nrepository = /a\n"), 0, "%s", text);
	FAULT_LOOP_KINDS(renew, &c, FAIL_ALLOCATIONS);
}

Test(config_sandbox, faults)
{
	FAULT_LOOP_KINDS(work, NULL, FAIL_ALLOCATIONS);
}
