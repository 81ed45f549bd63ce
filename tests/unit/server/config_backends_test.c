/* config_backends_test.c: which sections [backend.NAME] are of no backend that there is. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config.h"

static struct config c;
static char directory[] = "/tmp/modeld-backends-XXXXXX";
static char library[64];

static void setup(void)
{
	_cleanup_(close_fd) int fd = -1;

	cr_assert_eq(config_init(&c), 0);
	cr_assert(mkdtemp(directory));
	snprintf(library, sizeof(library), "%s/real.so", directory);
	fd = open(library, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
}

static void teardown(void)
{
	config_release(&c);
	unlink(library);
	rmdir(directory);
}

TestSuite(config_backends, .init = setup, .fini = teardown);

static void finish(const char *sections)
{
	char data[512], text[512];

	snprintf(data, sizeof(data), "[worker]\nbackend_dirs = /nowhere, %s\n%s", directory,
		sections);
	cr_assert_eq(
		config_load_memory(&c, "f", data, strlen(data), text, sizeof(text)), 0, "%s", text);
	cr_assert_eq(config_finish(&c, text, sizeof(text)), 0, "%s", text);
}

Test(config_backends, those_that_are_there)
{
	struct missing_backend b;
	size_t at = 0;

	finish("[backend.real]\na = 1\n[backend.builtin]\nb = 2\n"
	       "[backend.own]\nc = 3\nworker = /bin/own\n");
	cr_expect_not(config_next_missing_backend(&c, &at, &b));
	cr_expect(config_has_backend(&c, "own", 3));
	cr_expect_not(config_has_backend(&c, "ow", 2));
	cr_expect_str_eq(config_where_setting(&c, "own", "worker"), "f:9");
	cr_expect_null(config_where_setting(&c, "real", "worker"));
}

Test(config_backends, each_that_is_missing_once)
{
	struct missing_backend b;
	size_t at = 0;

	finish("[backend.rea]\na = 1\nb = 2\n[backend.real]\na = 1\n[backend.real2]\na = 1\n");
	cr_assert(config_next_missing_backend(&c, &at, &b));
	cr_expect_eq(b.n, 3);
	cr_expect(!strncmp(b.name, "rea.", 4));
	cr_expect_str_eq(b.where, "f:4");
	cr_assert(config_next_missing_backend(&c, &at, &b));
	cr_expect(!strncmp(b.name, "real2.", (size_t)b.n + 1));
	cr_expect_not(config_next_missing_backend(&c, &at, &b));
}
