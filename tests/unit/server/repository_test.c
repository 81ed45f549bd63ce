/* Tests of repository.c on directories made for each test. */
#include "repository.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/failalloc.h"

static char root[] = "/tmp/modeld-test-XXXXXX";
static struct config c;
static char text[1024];
static struct repository *repository;
static const struct version_settings *models;
static size_t n_models;

static void setup(void)
{
	char assignment[128];

	cr_assert_not_null(mkdtemp(root));
	cr_assert_eq(config_init(&c), 0);
	snprintf(assignment, sizeof(assignment), "models.repository=%s", root);
	cr_assert_eq(config_set(&c, assignment, text, sizeof(text)), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void teardown(void)
{
	repository_free(repository);
	config_release(&c);
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(repository, .init = setup, .fini = teardown);

/* A file, or a directory where content is NULL; its parents are made. */
static void put(const char *path, const char *content)
{
	char whole[512];
	FILE *f;

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		cr_assert(!mkdir(whole, 0755) || errno == EEXIST);
		*slash = '/';
	}
	if (!content) {
		cr_assert(!mkdir(whole, 0755) || errno == EEXIST);
		return;
	}
	f = fopen(whole, "we");
	cr_assert_not_null(f);
	fputs(content, f);
	fclose(f);
}

static void set(const char *assignment)
{
	cr_assert_eq(config_set(&c, assignment, text, sizeof(text)), 0, "%s", text);
}

static int read_all(void)
{
	cr_assert_eq(config_finish(&c, text, sizeof(text)), 0, "%s", text);
	return repository_new(&repository, &c, text, sizeof(text));
}

static void good(void)
{
	cr_assert_eq(read_all(), 0, "%s", text);
	models = repository_models(repository, &n_models);
}

/* Expected: "%" stands for the repository's path. */
static void bad(const char *expected)
{
	char whole[1024] = "";

	for (const char *at = expected; *at; at++) {
		if (*at == '%')
			strcat(whole, root);
		else
			strncat(whole, at, 1);
	}
	cr_assert_eq(read_all(), CONFIG_E_INVALID);
	cr_expect_str_eq(text, whole);
}

static void path_is(const char *path, const char *below)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s/%s", root, below);
	cr_expect_str_eq(path, whole);
}

Test(repository, models_are_sorted_and_get_the_defaults)
{
	put("b/model.conf", "[model]\nbackend = builtin\nmax_queue_size = 5\n");
	put("a/model.conf", "[model]\nbackend = builtin\n");
	put(".hidden/model.conf", "nonsense");
	put("README", "not a directory");
	set("model.max_queue_delay_us=7");
	good();
	cr_assert_eq(n_models, 2);
	cr_expect_str_eq(models[0].name, "a");
	cr_expect_eq(models[0].max_queue_size, 1024);
	cr_expect_eq(models[0].max_queue_delay_us, 7);
	cr_expect_eq(models[0].max_batch_size, UINT32_MAX);
	cr_expect_eq(models[0].instances, 0, "as the worker finds best");
	cr_expect_eq(models[0].run_timeout_ms, 60000);
	cr_expect_not(models[0].stateful);
	cr_expect_eq(models[1].max_queue_size, 5);
}

Test(repository, a_builtin_model_needs_no_version_directory)
{
	put("a/model.conf", "[model]\nbackend = builtin\n");
	good();
	cr_expect_str_eq(models[0].version, "1");
	path_is(models[0].path, "a");
}

Test(repository, the_highest_version_is_served)
{
	put("a/model.conf", "[model]\nbackend = x\n");
	put("a/2", NULL);
	put("a/10", NULL);
	put("a/011", NULL);
	put("a/latest", NULL);
	good();
	cr_expect_str_eq(models[0].version, "10");
	path_is(models[0].path, "a/10");
}

Test(repository, or_the_one_that_is_named)
{
	put("a/model.conf", "[model]\nbackend = x\nversion = 2\n");
	put("a/2", NULL);
	put("a/10", NULL);
	good();
	path_is(models[0].path, "a/2");
}

Test(repository, a_named_version_that_is_not_there)
{
	put("a/model.conf", "[model]\nbackend = x\nversion = 3\n");
	put("a/2", NULL);
	bad("%/a: there is no version directory 3");
}

Test(repository, an_onnx_file_says_enough)
{
	put("a/1/model.onnx", "");
	good();
	cr_expect_str_eq(models[0].backend, "onnxruntime");
	path_is(models[0].path, "a/1");
}

Test(repository, a_file_in_place_of_a_version)
{
	put("a/model.conf", "[model]\nbackend = x\n");
	put("a/1", "");
	bad("%/a: there is no version directory 1");
}

Test(repository, no_backend)
{
	put("a/1/model.plan", "");
	bad("%/a: no model.conf that names a backend, and no 1/model.onnx");
}

Test(repository, an_empty_directory_that_is_named)
{
	put("a", NULL);
	set("models.serve=a");
	bad("%/a: no model.conf that names a backend, and no 1/model.onnx");
}

Test(repository, what_is_no_model_is_not_among_all)
{
	put("a/model.conf", "[model]\nbackend = builtin\n");
	put("lost+found", NULL);
	put("docs/pictures", NULL);
	good();
	cr_expect_eq(n_models, 1);
}

Test(repository, a_bad_model_conf)
{
	put("a/model.conf", "[model]\nbackend = builtin\ncolour = red\n");
	bad("%/a/model.conf:3: [model] colour: unknown key");
}

Test(repository, a_bad_name)
{
	put("a b/model.conf", "[model]\nbackend = builtin\n");
	bad("%/a b: a model's name has only letters, digits, _, . and -, at most 255");
}

Test(repository, only_what_is_to_be_served_is_read)
{
	put("a/model.conf", "[model]\nbackend = builtin\n");
	put("b/model.conf", "nonsense\n");
	put("c d", NULL);
	set("models.serve=a");
	good();
	cr_expect_eq(n_models, 1);
}

Test(repository, names_outside_are_not_reached)
{
	put("a/model.conf", "[model]\nbackend = builtin\n");
	set("models.serve=a, ../a");
	bad("[models] serve: there is no model '../a' in %");
}

Test(repository, a_model_that_is_not_there)
{
	put("a/model.conf", "[model]\nbackend = builtin\n");
	set("models.serve=a,z");
	bad("[models] serve: there is no model 'z' in %");
}

Test(repository, the_default_model_is_served)
{
	put("a/model.conf", "[model]\nbackend = builtin\n");
	set("models.default=b");
	bad("[models] default: model 'b' is not served");
}

Test(repository, no_model)
{
	bad("[models] repository: there is no model in %");
}

Test(repository, no_repository)
{
	set("models.repository=/nonexistent");
	cr_assert_eq(read_all(), CONFIG_E_INVALID);
	cr_expect_str_eq(text, "[models] repository: /nonexistent: No such file or directory");
}

Test(repository, a_device_without_workers)
{
	put("a/model.conf", "[model]\nbackend = builtin\ndevices = cpu:1,cuda:0\n");
	set("worker.workers=cpu:11, cpu:0");
	bad("%/a/model.conf: [model] devices: there is no worker on any of 'cpu:1,cuda:0' "
	    "([worker] workers)");
}

Test(repository, one_device_with_workers_is_enough)
{
	put("a/model.conf", "[model]\nbackend = builtin\ndevices = cpu:1, cuda:0\n");
	set("worker.workers=cuda:0");
	good();
	cr_expect_str_eq(models[0].devices, "cpu:1,cuda:0");
}

Test(repository, links_of_the_administrator_are_followed)
{
	char from[128], to[128];

	put("a/model.conf", "[model]\nbackend = builtin\n");
	snprintf(from, sizeof(from), "%s/a", root);
	snprintf(to, sizeof(to), "%s/b", root);
	cr_assert_eq(symlink(from, to), 0);
	good();
	cr_expect_eq(n_models, 2);
}

Test(repository, the_shipped_ones_are_readable)
{
	static const char *const where[] = {"tests/models", "conf/models"};

	for (size_t i = 0; i < 2; i++) {
		char assignment[64];

		snprintf(assignment, sizeof(assignment), "models.repository=%s", where[i]);
		set(assignment);
		cr_expect_eq(read_all(), 0, "%s", text);
		repository = repository_free(repository);
	}
}

static int life(void *arg)
{
	struct repository *r = NULL;
	int e = repository_new(&r, &c, text, sizeof(text));

	cr_assert(e <= 0, "%s", text);
	repository_free(r);
	return e;
}

Test(repository, every_failure_leaves_nothing_behind)
{
	char path[32];

	for (int i = 0; i < 18; i++) {
		snprintf(path, sizeof(path), "m%d/1/model.onnx", i);
		put(path, "");
	}
	cr_assert_eq(config_finish(&c, text, sizeof(text)), 0);
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
}
