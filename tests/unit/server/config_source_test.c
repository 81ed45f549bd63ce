/* config_source_test.c: a file, what overrides it, what is wrong with either; read again. */
#include "config_source.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/failalloc.h"

static char path[] = "/tmp/modeld-test-XXXXXX";
static struct config c;
static char text[512];

static void put(const char *content)
{
	FILE *f = fopen(path, "w");

	cr_assert(f);
	cr_assert_geq(fputs(content, f), 0);
	cr_assert_eq(fclose(f), 0);
}

static void setup(void)
{
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	close(fd);
	put("[server]\ndrain_timeout_s = 7\nlog_level = warning\n");
}

static void teardown(void)
{
	unlink(path);
}

TestSuite(config_source, .init = setup, .fini = teardown);

static int read_source(const char *const *sets, size_t n_sets)
{
	const struct config_source s = {.file = path, .sets = sets, .n_sets = n_sets};

	text[0] = 0;
	return config_source_read(&s, &c, text, sizeof(text));
}

Test(config_source, the_file_then_what_overrides_it)
{
	static const char *const sets[] = {"server.drain_timeout_s=8", "server.drain_timeout_s=9"};

	cr_assert_eq(read_source(NULL, 0), 0, "%s", text);
	cr_expect_eq(c.drain_timeout_ms, 7000);
	config_release(&c);
	cr_assert_eq(read_source(sets, 2), 0, "%s", text);
	cr_expect_eq(c.drain_timeout_ms, 9000, "the last word counts");
	cr_expect_eq(c.log_level, LOG_LEVEL_WARNING);
	config_release(&c);
}

Test(config_source, without_a_file_and_what_comes_between)
{
	static const char *const before[] = {
		"server.drain_timeout_s=4", "server.log_level=debug", NULL};
	static const char *const sets[] = {"server.drain_timeout_s=8"};
	struct config_source s = {.file = path, .before = before, .sets = sets, .n_sets = 1};

	for (int i = 0; i < 2; i++) {
		cr_assert_eq(config_source_read(&s, &c, text, sizeof(text)), 0, "%s", text);
		cr_expect_eq(c.drain_timeout_ms, 8000, "what is set has the last word");
		cr_expect_eq(c.log_level, LOG_LEVEL_DEBUG);
		config_release(&c);
		s.file = NULL;
	}
}

Test(config_source, what_is_in_the_file_now)
{
	cr_assert_eq(read_source(NULL, 0), 0);
	config_release(&c);
	put("[server]\ndrain_timeout_s = 3\n");
	cr_assert_eq(read_source(NULL, 0), 0);
	cr_expect_eq(c.drain_timeout_ms, 3000);
	config_release(&c);
}

Test(config_source, what_is_wrong)
{
	static const char *const set[] = {"server.nothing=1"};

	cr_expect_eq(read_source(set, 1), CONFIG_E_INVALID);
	cr_expect(strstr(text, "nothing"), "%s", text);
	config_release(&c);
	put("[server]\ndrain_timeout_s = soon\n");
	cr_expect_eq(read_source(NULL, 0), CONFIG_E_INVALID);
	cr_expect(strstr(text, "drain_timeout_s"), "%s", text);
	config_release(&c);
	unlink(path);
	cr_expect_eq(read_source(NULL, 0), CONFIG_E_INVALID);
	cr_expect(strstr(text, path), "%s", text);
	config_release(&c);
}

Test(config_source, all_that_is_wrong)
{
	static const char *const set[] = {"server.nothing=1", "server.drain_timeout_s=5", "x=1"};

	put("[server]\nnosuch = 1\ndrain_timeout_s = soon\n");
	cr_expect_eq(read_source(set, 3), CONFIG_E_INVALID);
	cr_expect(strstr(text, ":2: unknown key [server] nosuch\n"), "%s", text);
	cr_expect(strstr(text, ":3: [server] drain_timeout_s: 'soon' is not a whole number\n"),
		"%s", text);
	cr_expect(strstr(text, "\n--set server.nothing: unknown key [server] nothing\n--set x=1: "),
		"%s", text);
	cr_expect_eq(text[strlen(text) - 1], 'e', "%s", text);
	config_release(&c);
}

static int read_and_release(void *arg)
{
	static const char *const sets[] = {"server.drain_timeout_s=8"};
	int r = read_source(sets, 1);

	cr_assert(r == 0 || failalloc_failed() > 0, "%s", text);
	config_release(&c);
	return r;
}

Test(config_source, faults)
{
	FAULT_LOOP(read_and_release, NULL);
}
