/* Tests of config_resolve.c: what "auto" means, whose directory a path is relative to, and what must
 * hold between keys. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_private.h"

static struct config c;
static char text[512];
static char path[] = "/tmp/modeld-test-XXXXXX";

static void setup(void)
{
	unsetenv("RUNTIME_DIRECTORY");
	unsetenv("XDG_RUNTIME_DIR");
	cr_assert_eq(config_init(&c), 0);
}

static void teardown(void)
{
	config_release(&c);
	rmdir(path);
}

TestSuite(config_resolve, .init = setup, .fini = teardown);

static void load(const char *data)
{
	char file[64];
	FILE *f;

	cr_assert_not_null(mkdtemp(path));
	snprintf(file, sizeof(file), "%s/f.conf", path);
	f = fopen(file, "we");
	cr_assert_not_null(f);
	fputs(data, f);
	fclose(f);
	cr_expect_eq(config_load_file(&c, file, text, sizeof(text)), 0, "%s", text);
	unlink(file);
}

static void set(const char *assignment)
{
	cr_assert_eq(config_set(&c, assignment, text, sizeof(text)), 0, "%s", text);
}

static void finish(void)
{
	cr_assert_eq(config_finish(&c, text, sizeof(text)), 0, "%s", text);
}

static void bad(const char *expected)
{
	cr_assert_eq(config_finish(&c, text, sizeof(text)), CONFIG_E_INVALID);
	cr_expect_str_eq(text, expected);
}

/* The directory of this test program. */
static const char *program(void)
{
	static char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	cr_assert(n > 0);
	self[n] = 0;
	*strrchr(self, '/') = 0;
	return self;
}

static void ends(const char *whole, const char *with)
{
	size_t n = strlen(whole), m = strlen(with);

	cr_expect(n >= m && !strcmp(whole + n - m, with), "%s does not end in %s", whole, with);
}

Test(config_resolve, runtime_dir_of_systemd_comes_first)
{
	setenv("RUNTIME_DIRECTORY", "/run/modeld:/run/other", 1);
	setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
	finish();
	cr_expect_str_eq(c.runtime_dir, "/run/modeld");
	cr_expect_str_eq(c.frontend.listen[1], "unix:/run/modeld/modeld.sock");
}

Test(config_resolve, runtime_dir_of_the_user)
{
	setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
	finish();
	cr_expect_str_eq(c.runtime_dir, "/run/user/1/modeld");
}

Test(config_resolve, runtime_dir_beside_the_program)
{
	char expected[4200];

	finish();
	snprintf(expected, sizeof(expected), "%s/run", program());
	cr_expect_str_eq(c.runtime_dir, expected);
}

Test(config_resolve, sockets_with_a_directory_stay_where_they_are)
{
	set("server.listen=unix:/a/b, unix:./c, unix:@abstract, unix:d, [::1]:5");
	set("server.runtime_dir=/r");
	finish();
	cr_expect_str_eq(c.frontend.listen[0], "unix:/a/b");
	cr_expect_str_eq(c.frontend.listen[1], "unix:./c");
	cr_expect_str_eq(c.frontend.listen[2], "unix:@abstract");
	cr_expect_str_eq(c.frontend.listen[3], "unix:/r/d");
	cr_expect_str_eq(c.frontend.listen[4], "[::1]:5");
	cr_expect_null(c.frontend.listen[5]);
}

Test(config_resolve, programs_beside_this_one_or_installed)
{
	char expected[4200];

	finish();
	snprintf(expected, sizeof(expected), "%s/../libexec/modeld/modeld-worker", program());
	cr_expect_str_eq(c.pool.worker_program, expected);
	ends(c.pool.backend_dirs[0], "/../lib/modeld/backends");
	cr_expect_null(c.pool.backend_dirs[1]);
}

Test(config_resolve, paths_in_the_file_are_relative_to_it)
{
	load("[models]\nrepository = m\n[worker]\nprogram = ../w\nbackend_dirs = b, /abs\n"
	     "[server]\nruntime_dir = r\n");
	finish();
	cr_expect(strncmp(c.models.repositories[0], "/tmp/modeld-test-", 17) == 0);
	ends(c.models.repositories[0], "/m");
	ends(c.pool.worker_program, "/../w");
	ends(c.pool.backend_dirs[0], "/b");
	cr_expect_str_eq(c.pool.backend_dirs[1], "/abs");
	ends(c.runtime_dir, "/r");
	cr_expect_str_eq(config_entry(&c, "models", "repository")->text, c.models.repositories[0]);
}

Test(config_resolve, paths_of_the_command_line_are_relative_to_the_working_directory)
{
	char here[4096];

	load("[models]\nrepository = m\n");
	set("models.repository=n");
	set("worker.backend_dirs=x");
	finish();
	cr_assert_not_null(getcwd(here, sizeof(here)));
	cr_expect(!strncmp(c.models.repositories[0], here, strlen(here)));
	ends(c.models.repositories[0], "/n");
	cr_expect(!strncmp(c.pool.backend_dirs[0], here, strlen(here)));
	ends(c.pool.backend_dirs[0], "/x");
}

Test(config_resolve, the_default_repository_is_beside_the_file)
{
	load("");
	finish();
	ends(c.models.repositories[0], "/models");
	cr_expect_eq(c.models.repositories[0][0], '/');
}

Test(config_resolve, windows)
{
	set("http2.connection_window_bytes=1M");
	bad("--set http2.connection_window_bytes: [http2] connection_window_bytes (1048576) must "
	    "not be below stream_window_bytes "
	    "(4194304)");
}

Test(config_resolve, heartbeats)
{
	set("worker.heartbeat_timeout_ms=4999");
	bad("--set worker.heartbeat_timeout_ms: [worker] heartbeat_timeout_ms (4999) must not be "
	    "below heartbeat_interval_ms (5000)");
}

Test(config_resolve, backend_settings_fit_one_message)
{
	char assignment[4200];

	memset(assignment, 'v', sizeof(assignment));
	assignment[4000] = 0;
	for (int i = 0; i < 17; i++) {
		int n = snprintf(NULL, 0, "backend.x.k%02d=", i);

		snprintf(assignment, sizeof(assignment), "backend.x.k%02d=", i);
		assignment[n] = 'v';
		set(assignment);
	}
	bad("[backend.*]: 17 settings of 67847 bytes, at most 64 of 65536 are allowed");
}
