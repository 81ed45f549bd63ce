/* Tests of repository.c and entry.c on directories made for each test. */
#include "models/repository.h"

#include "pool/pool.h"
#include "tests/support/failalloc.h"
#include "tree.h"

static const char *repositories[3] = {root};
static const char *serve[4] = {"*"};
static struct pool_place places[2] = {{"cpu:0", 1}};
static struct models_settings settings;
static char text[1024];
static struct repository *repository;
/* Of the versions that are served, in order. */
static struct version_settings models[16];
static size_t n_models;

static void setup(void)
{
	tree_make();
	settings = (struct models_settings){
		.repositories = repositories,
		.serve = serve,
		.default_model = "",
		.defaults = {.max_queue_size = 1024, .run_timeout_ms = 60000},
		.places = places,
		.n_places = 1,
	};
}

static void teardown(void)
{
	repository_free(repository);
	tree_remove();
}

TestSuite(repository, .init = setup, .fini = teardown);

static void read_all(void)
{
	size_t n;
	const struct repository_entry *entries;

	repository_free(repository);
	cr_assert_eq(
		repository_read(&repository, &settings, NULL, text, sizeof(text)), 0, "%s", text);
	entries = repository_entries(repository, &n);
	n_models = 0;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < entries[i].n_versions; k++) {
			if (entries[i].versions[k].chosen)
				models[n_models++] = entries[i].versions[k].settings;
		}
	}
}

static void good(void)
{
	read_all();
	cr_assert_eq(repository_n_wrong(repository), 0);
}

/* The one that is wrong. "%" stands for the repository's path. */
static void bad(const char *expected)
{
	size_t n;
	const struct repository_entry *entries;

	read_all();
	entries = repository_entries(repository, &n);
	cr_assert_eq(repository_n_wrong(repository), 1);
	for (size_t i = 0; i < n; i++) {
		if (!entries[i].error)
			continue;
		cr_expect_str_eq(entries[i].error, in_tree(expected));
		cr_expect_eq(entries[i].n_versions, 0);
	}
}

/* What is not served of the model, which is. */
static void odd(const char *name, const char *expected)
{
	const struct repository_entry *e;

	read_all();
	e = repository_find(repository, name);
	cr_assert(e && !e->error && e->odd);
	cr_expect_str_eq(e->odd, in_tree(expected));
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
	settings.defaults.max_queue_delay_us = 7;
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
	bad("%/a/1 is not served: a version is a directory");
}

Test(repository, no_backend)
{
	put("a/1/model.plan", "");
	bad("%/a/1 has no model.onnx or model.py, and no model.conf names a backend");
}

Test(repository, files_whose_backend_is_to_be_named)
{
	put("a/1/model.pt", "");
	bad("%/a/1/model.pt is served where a model.conf says so: [model] backend = torch");
	put("a/1/model.pt2", "");
	bad("%/a/1/model.pt2 is served where a model.conf says so: [model] backend = torch");
	put("b/1/model.joblib", "");
	serve[0] = "b";
	bad("%/b/1/model.joblib is served where a model.conf says so: [model] backend = sklearn");
	put("c/1/handler.py", "");
	serve[0] = "c";
	bad("%/c/1/handler.py is served where a model.conf says so: [model] backend = python");
}

Test(repository, an_empty_directory_that_is_named)
{
	put("a", NULL);
	serve[0] = "a";
	bad("%/a: no model.conf that names a backend, and no 1/model.onnx or 1/model.py");
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
	serve[0] = "a";
	good();
	cr_expect_eq(n_models, 1);
}

Test(repository, names_outside_are_not_reached)
{
	put("a/model.conf", "[model]\nbackend = builtin\n");
	serve[0] = "a";
	serve[1] = "../a";
	bad("[models] serve: there is no model '../a' in %");
}

Test(repository, a_model_that_is_not_there)
{
	put("a/model.conf", "[model]\nbackend = builtin\n");
	serve[0] = "a";
	serve[1] = "z";
	bad("[models] serve: there is no model 'z' in %");
}

Test(repository, no_model)
{
	good();
	cr_expect_eq(n_models, 0);
}

Test(repository, no_repository)
{
	repositories[1] = "/nonexistent";
	cr_assert_eq(repository_read(&repository, &settings, NULL, text, sizeof(text)),
		REPOSITORY_E_UNREADABLE);
	cr_expect_str_eq(text, "[models] repository: /nonexistent: No such file or directory");
}

Test(repository, a_device_without_workers)
{
	put("a/model.conf", "[model]\nbackend = builtin\ndevices = cpu:1,cuda:0\n");
	places[0].device = "cpu:11";
	places[1].device = "cpu:0";
	settings.n_places = 2;
	bad("%/a/model.conf: [model] devices: there is no worker on any of 'cpu:1,cuda:0' "
	    "([worker] workers)");
}

Test(repository, one_device_with_workers_is_enough)
{
	put("a/model.conf", "[model]\nbackend = builtin\ndevices = cpu:1, cuda:0\n");
	places[0].device = "cuda:0";
	good();
	cr_expect_str_eq(models[0].devices, "cpu:1,cuda:0");
}

Test(repository, a_device_to_fall_back_to_is_enough)
{
	put("a/model.conf",
		"[model]\nbackend = builtin\ndevices = cuda:5\nfallback = cpu:1, cuda:0\n");
	places[0].device = "cuda:0";
	good();
	cr_expect_str_eq(models[0].fallback, "cpu:1,cuda:0");
	put("a/model.conf", "[model]\nbackend = builtin\nfallback = cuda:0\n");
	bad("%/a/model.conf: [model] fallback: it has all devices already");
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
	repositories[0] = "tests/models";
	repositories[1] = "conf/models";
	read_all();
	repositories[1] = NULL;
	good();
	repositories[0] = "conf/models";
	good();
}

/* --- Several versions ----------------------------------------------------------------------------- */

Test(repository, as_many_as_the_policy_says)
{
	put("a/model.conf", "[model]\nbackend = x\nversion = latest 2\n");
	put("a/2", NULL);
	put("a/10", NULL);
	put("a/3", NULL);
	good();
	cr_assert_eq(n_models, 2);
	cr_expect_str_eq(models[0].version, "10");
	cr_expect_str_eq(models[1].version, "3");
	put("a/model.conf", "[model]\nbackend = x\nversion = all\n");
	good();
	cr_expect_eq(n_models, 3);
	cr_expect_eq(repository_find(repository, "a")->n_versions, 3);
	put("a/model.conf", "[model]\nbackend = x\nversion = 3, 2\n");
	good();
	cr_assert_eq(n_models, 2);
	cr_expect_str_eq(models[1].version, "2");
}

Test(repository, versions_of_builtin_models_need_no_directories)
{
	put("a/model.conf", "[model]\nbackend = builtin\nversion = 3, 7\n");
	good();
	cr_assert_eq(n_models, 2);
	path_is(models[0].path, "a");
}

Test(repository, one_of_the_named_versions_is_not_there)
{
	put("a/model.conf", "[model]\nbackend = x\nversion = 3, 2\n");
	put("a/2", NULL);
	odd("a", "%/a: there is no version directory 3");
	cr_expect_eq(n_models, 1);
}

Test(repository, a_newest_version_without_its_file)
{
	put("a/1/model.onnx", "");
	put("a/2", NULL);
	odd("a", "%/a/2 has no model.onnx or model.py, and no model.conf names a backend");
	cr_assert_eq(n_models, 1);
	cr_expect_str_eq(models[0].version, "1");
	put("a/model.conf", "[model]\nbackend = onnxruntime\n");
	odd("a", "%/a/2 has no model.onnx (is it being copied?)");
}

Test(repository, two_directories_of_one_number)
{
	put("a/1/model.onnx", "");
	put("a/2/model.onnx", "");
	put("a/02/model.onnx", "");
	read_all();
	cr_assert_eq(n_models, 1);
	cr_expect_str_eq(models[0].version, "1");
	cr_expect_not_null(repository_find(repository, "a")->odd);
}

/* --- Nearly a model ------------------------------------------------------------------------------- */

Test(repository, a_model_without_versions)
{
	put("a/model.onnx", "");
	good();
	cr_expect_str_eq(models[0].version, "1");
	cr_expect_str_eq(models[0].backend, "onnxruntime");
	path_is(models[0].path, "a");
}

Test(repository, a_file_of_another_name)
{
	put("a/1/resnet.onnx", "");
	bad("%/a/1/resnet.onnx is not served: the model's file is called model.onnx: rename it");
}

Test(repository, a_file_in_place_of_a_directory)
{
	put("resnet.onnx", "");
	bad("%/resnet.onnx: a model is a directory: move the file to resnet/1/model.onnx");
	put("resnet/1/model.onnx", "");
	good();
	cr_expect_eq(n_models, 1);
}

Test(repository, a_directory_that_is_named_otherwise)
{
	put("a/latest/model.onnx", "");
	bad("%/a/latest is not served: a version's directory is named by its number, from 1: "
	    "rename it");
}

Test(repository, names_that_are_no_text)
{
	put("a\xff\n/model.conf", "[model]\nbackend = builtin\n");
	bad("%/a??: a model's name has only letters, digits, _, . and -, at most 255");
	cr_expect_not_null(repository_find(repository, "a??"));
}

/* --- In Triton's words ----------------------------------------------------------------------------- */

Test(repository, a_config_pbtxt)
{
	put("a/config.pbtxt", "platform: \"onnxruntime_onnx\" max_batch_size: 4 runtime: \"x\"\n"
			      "version_policy { all {} }");
	put("a/1/model.onnx", "");
	put("a/2/model.onnx", "");
	odd("a", "%/a/config.pbtxt: not acted on: runtime");
	cr_assert_eq(n_models, 2);
	cr_expect_eq(models[0].max_batch_size, 4);
	cr_expect_str_eq(models[0].backend, "onnxruntime");
	put("a/config.pbtxt", "name: \"a\"\n  max_batch_sise: 4");
	bad("%/a/config.pbtxt:2:3: ModelConfig has no field 'max_batch_sise'");
	put("a/config.pbtxt", "instance_group { gpus: 7 }");
	bad("%/a/config.pbtxt: instance_group: there is no worker on any of 'cuda:7' ([worker] "
	    "workers)");
	put("a/model.conf", "[model]\nbackend = onnxruntime\n");
	odd("a", "%/a/config.pbtxt is not read beside model.conf");
	take_away("a/1");
	take_away("a/2");
	take_away("a/model.conf");
	put("a/config.pbtxt", "backend: \"builtin\"");
	good();
	cr_expect_str_eq(models[0].version, "1");
}

/* --- Several repositories ------------------------------------------------------------------------- */

Test(repository, models_of_all_of_them)
{
	char one[64], two[64];

	put("one/a/model.conf", "[model]\nbackend = builtin\n");
	put("two/b/model.conf", "[model]\nbackend = builtin\n");
	snprintf(one, sizeof(one), "%s/one", root);
	snprintf(two, sizeof(two), "%s/two", root);
	repositories[0] = two;
	repositories[1] = one;
	good();
	cr_assert_eq(n_models, 2);
	cr_expect_str_eq(models[0].name, "a");
	put("two/a/model.conf", "[model]\nbackend = builtin\n");
	bad("model 'a' is in several repositories: '%/two', '%/one': names must differ");
	cr_expect_eq(n_models, 1);
	repository = repository_free(repository);
	cr_assert_eq(
		repository_read_model(&repository, &settings, NULL, "a", text, sizeof(text)), 0);
	cr_expect_not_null(repository_find(repository, "a")->error);
}

/* --- One model ------------------------------------------------------------------------------------ */

static size_t n_of(const char *name)
{
	size_t n;

	repository = repository_free(repository);
	cr_assert_eq(
		repository_read_model(&repository, &settings, NULL, name, text, sizeof(text)), 0);
	(void)repository_entries(repository, &n);
	return n;
}

Test(repository, one_model)
{
	char name[301];

	memset(name, 'a', sizeof(name));
	name[300] = 0;
	put("a/model.conf", "[model]\nbackend = builtin\n");
	put("b/model.conf", "nonsense\n");
	cr_expect_eq(n_of("a"), 1);
	cr_expect_null(repository_find(repository, "a")->error);
	cr_expect_eq(n_of("b"), 1);
	cr_expect_not_null(repository_find(repository, "b")->error);
	cr_expect_eq(n_of("c"), 0);
	cr_expect_eq(n_of(""), 0);
	cr_expect_eq(n_of(".."), 0);
	cr_expect_eq(n_of("../a"), 0);
	cr_expect_eq(n_of(name), 0);
	serve[0] = "b";
	cr_expect_eq(n_of("a"), 0);
}

static int life(void *arg)
{
	struct repository *r = NULL;
	int e = repository_read(&r, &settings, NULL, text, sizeof(text));

	(void)arg;
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
	put("odd/2", NULL);
	put("odd/1/model.onnx", "");
	put("triton/config.pbtxt", "runtime: \"x\"");
	put("triton/1/model.onnx", "");
	put("stray.onnx", "");
	put("builtin/model.conf", "[model]\nbackend = builtin\nversion = 1, 2\n");
	serve[1] = "missing";
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
}

/* Is each model there that is in `repository`, the same, or wrong? Returns whether none is wrong. */
static bool is_the_same(const struct repository *now)
{
	size_t n, n_now;
	const struct repository_entry *before = repository_entries(repository, &n);
	const struct repository_entry *e = repository_entries(now, &n_now);

	cr_assert_eq(n_now, n);
	for (size_t i = 0; i < n; i++)
		cr_expect(e[i].error || e[i].fingerprint == before[i].fingerprint);
	return repository_n_wrong(now) == 0;
}

/* However many descriptors there are: a model is as it is, or wrong, or nothing is said at all. */
static void read_with_few_descriptors(void)
{
	bool enough = false;

	good();
	for (unsigned n = 0; !enough; n++) {
		struct repository *now = NULL;
		rlim_t before;
		int r;

		cr_assert_lt(n, 16);
		before = leave_descriptors(n);
		r = repository_read(&now, &settings, NULL, text, sizeof(text));
		set_descriptors(before);
		cr_expect(!r || r == -EMFILE || r == REPOSITORY_E_UNREADABLE, "%d", r);
		enough = !r && is_the_same(now);
		repository_free(now);
	}
}

Test(repository, a_shortage_of_descriptors_takes_nothing_away)
{
	put("a/1/deep/er/weights", "");
	put("a/1/model.onnx", "");
	read_with_few_descriptors();
	put("b/config.pbtxt", "max_batch_size: 4");
	put("b/1/model.onnx", "");
	read_with_few_descriptors();
}

#define WARMUP "[warmup.w]\ninput = x FP32 [3] file:f\n"

Test(repository, warmups_and_their_files)
{
	uint64_t before;

	put("a/1/model.onnx", "");
	put("a/model.conf", WARMUP);
	put("a/warmup/f", "one");
	put("b/1/model.onnx", "");
	good();
	path_is(models[0].warmup_path, "a/warmup");
	cr_expect_null(models[1].warmup_path);
	before = models[0].content;
	put("a/warmup/f", "other");
	good();
	cr_expect_neq(models[0].content, before, "a change of a file is one of the version");
}

Test(repository, settings_fit_a_message)
{
	static char config[64 * 4096];
	size_t n = 0;

	for (int i = 0; i < 45; i++)
		n += (size_t)snprintf(config + n, sizeof(config) - n,
			"parameters { key: \"k%d\" value { string_value: \"%03000d\" } }\n", i, i);
	put("large/config.pbtxt", config);
	put("large/1/model.onnx", "");
	put("a/1/model.onnx", "");
	read_all();
	cr_assert_eq(repository_n_wrong(repository), 1);
	cr_expect(strstr(repository_find(repository, "large")->error,
			  "its names, parameters and warm-ups take 13"),
		"%s", repository_find(repository, "large")->error);
}
