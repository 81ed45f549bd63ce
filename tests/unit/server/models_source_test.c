/* Tests of models_source.c and config_source.c: what is wrong with the configuration changes nothing. */
#include "models_source.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "models/repository.h"

static char file[] = "/tmp/modeld-conf-XXXXXX";
static struct config config;
static struct config_source where = {.file = file};
static struct models_source s;
static char text[512];
static char added[64]; /* repositories */

static void write_conf(const char *content)
{
	FILE *f = fopen(file, "w");

	cr_assert_not_null(f);
	fprintf(f, "[models]\nrepository = %s/tests/models%s\n%s", getcwd(text, sizeof(text)),
		added, content);
	fclose(f);
}

static void setup(void)
{
	close(mkstemp(file));
	write_conf("serve = identity, simple\n");
	cr_assert_eq(config_source_read(&where, &config, text, sizeof(text)), 0, "%s", text);
	models_source_init(&s, &config);
}

static void teardown(void)
{
	models_source_release(&s);
	config_release(&config);
	unlink(file);
}

TestSuite(models_source, .init = setup, .fini = teardown);

static size_t n_models(bool anew)
{
	struct repository *r;
	size_t n;

	cr_assert_eq(s.lifecycle.read(s.lifecycle.data, NULL, anew, NULL, &r, text, sizeof(text)),
		0, "%s", text);
	(void)repository_entries(r, &n);
	repository_free(r);
	return n;
}

Test(models_source, the_configuration_is_read_when_wanted)
{
	cr_expect_eq(n_models(false), 2);
	write_conf("serve = identity\n");
	cr_expect_eq(n_models(true), 2, "it cannot be");
	models_source_set(&s, &where);
	cr_expect_eq(n_models(false), 2);
	cr_expect_eq(n_models(true), 1);
	cr_expect_eq(n_models(false), 1, "and it stays so");
}

Test(models_source, one_that_is_wrong)
{
	struct repository *r = NULL;

	models_source_set(&s, &where);
	write_conf("nonsense = 1\n");
	cr_expect_gt(
		s.lifecycle.read(s.lifecycle.data, NULL, true, NULL, &r, text, sizeof(text)), 0);
	cr_expect_not_null(strstr(text, "nonsense"));
	cr_expect_null(r);
	cr_expect_eq(n_models(false), 2);
}

static char said[512];

static void on_line(void *data, enum log_level level, uint64_t time_ns, const char *line, size_t n)
{
	(void)data;
	(void)level;
	(void)time_ns;
	if (memmem(line, n, "was added", 9))
		snprintf(said, sizeof(said), "%.*s", (int)n, line);
}

static char told[512]; /* where models are */
static int told_wider = -1;

static void on_sandbox(void *data, const char *const *sandbox, bool wider)
{
	cr_expect_eq(data, &s);
	told_wider = wider;
	cr_assert_not_null(sandbox[3]);
	cr_expect_null(sandbox[4]);
	for (size_t i = 0; i < 3; i++)
		cr_expect_str_eq(sandbox[i], config.pool.sandbox[i]);
	snprintf(told, sizeof(told), "%s", sandbox[3]);
}

/* Nobody reads any more. */
static void read_anew(void)
{
	cr_expect_eq(n_models(true), 2);
	told_wider = -1;
	s.lifecycle.on_read(s.lifecycle.data);
}

/* Workers that start are told of it. */
Test(models_source, a_repository_that_workers_cannot_read)
{
	char directory[] = "/tmp/modeld-models-XXXXXX";

	cr_assert_not_null(mkdtemp(directory));
	log_tap(on_line, NULL);
	models_source_set(&s, &where);
	s.lifecycle.on_read(s.lifecycle.data);
	models_source_tell(&s, on_sandbox, &s);
	s.lifecycle.on_read(s.lifecycle.data);
	cr_expect_eq(told_wider, -1, "nothing was read yet");
	read_anew();
	cr_expect_eq(told_wider, 0);
	cr_expect_str_eq(told, config.pool.sandbox[3]);
	cr_expect_str_empty(said, "%s", said);
	snprintf(added, sizeof(added), ", %s", directory);
	write_conf("serve = identity, simple\n");
	read_anew();
	cr_expect_eq(told_wider, 1);
	cr_expect_not_null(strstr(told, directory), "%s", told);
	cr_expect_not_null(strstr(said, directory), "%s", said);
	/* That was all. */
	read_anew();
	cr_expect_eq(told_wider, 0);
	cr_expect_not_null(strstr(told, directory), "%s", told);
	added[0] = '\0';
	write_conf("serve = identity, simple\n");
	read_anew();
	cr_expect_eq(told_wider, 0);
	cr_expect_str_eq(told, config.pool.sandbox[3]);
	log_tap(NULL, NULL);
	rmdir(directory);
}

Test(models_source, one_model)
{
	struct repository *r;

	cr_assert_eq(
		s.lifecycle.read(s.lifecycle.data, "identity", false, NULL, &r, text, sizeof(text)),
		0);
	cr_expect_not_null(repository_find(r, "identity"));
	cr_expect_null(repository_find(r, "simple"));
	repository_free(r);
}
