/* Tests of reload.c, and of repository_diff.c and config_source.c below it: what SIGHUP changes. */
#include "reload.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fake_below.h"
#include "repository.h"

static char root[] = "/tmp/modeld-reload-XXXXXX";
static char file[128];
static char setting[160];
static const char *sets[] = {setting};
static struct config_source source = {.file = file, .sets = sets, .n_sets = 1};
static uv_loop_t loop;
static struct reload reload;

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
	f = fopen(whole, "w");
	cr_assert_not_null(f);
	fputs(content, f);
	fclose(f);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void take_away(const char *path)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	nftw(whole, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Serve what the repository says now. */
static void serve_all(void)
{
	struct repository *r;
	struct config c;
	char text[512];
	size_t n;
	const struct version_settings *models;

	cr_assert_eq(config_source_read(&source, &c, text, sizeof(text)), 0, "%s", text);
	cr_assert_eq(repository_new(&r, &c, text, sizeof(text)), 0, "%s", text);
	models = repository_models(r, &n);
	below.n_versions = n;
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(version_settings_copy(&below.versions[i].settings, &models[i]), 0);
	repository_free(r);
	config_release(&c);
}

static void setup(void)
{
	log_init(NULL, LOG_LEVEL_ERROR + 0);
	memset(&below, 0, sizeof(below));
	cr_assert_not_null(mkdtemp(root));
	snprintf(file, sizeof(file), "%s/modeld.conf", root);
	snprintf(setting, sizeof(setting), "models.repository=%s/models", root);
	put("modeld.conf", "[models]\nserve = *\n");
	put("models/a/model.conf", "[model]\nbackend = builtin\n");
	put("models/b/model.conf", "[model]\nbackend = builtin\n");
	put("models/c/1/model.onnx", "one");
	serve_all();
	cr_assert_eq(uv_loop_init(&loop), 0);
	reload_init(&reload, &loop, &source, (struct dispatch *)&below);
}

static void teardown(void)
{
	cr_assert_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_assert_eq(uv_loop_close(&loop), 0);
	for (size_t i = 0; i < below.n_versions; i++)
		version_settings_release(&below.versions[i].settings);
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(reload, .init = setup, .fini = teardown);

static const char *changes(void)
{
	below.changes[0] = 0;
	reload_ask(&reload);
	while (reload.busy)
		uv_run(&loop, UV_RUN_ONCE);
	return below.changes;
}

Test(reload, nothing_has_changed)
{
	cr_expect_str_eq(changes(), "");
}

Test(reload, models_that_came_went_and_changed)
{
	put("models/d/model.conf", "[model]\nbackend = builtin\n");
	put("models/b/model.conf", "[model]\nbackend = builtin\nmax_queue_size = 7\n");
	take_away("models/a");
	cr_expect_str_eq(changes(), "add d/1 replace b/1 remove a/1");
}

Test(reload, a_version_directory_that_changed)
{
	put("models/c/1/more/weights", "x");
	cr_expect_str_eq(changes(), "replace c/1");
	put("models/c/2/model.onnx", "two");
	cr_expect_str_eq(changes(), "replace c/2");
}

Test(reload, a_model_that_is_wrong_stays_as_it_is)
{
	put("models/b/model.conf", "[model]\nbackend = builtin\nmax_queue_size = many\n");
	put("models/d/model.conf", "[model]\nbackend = builtin\n");
	put("models/wrong name/model.conf", "[model]\nbackend = builtin\n");
	cr_expect_str_eq(changes(), "add d/1");
}

Test(reload, a_configuration_that_is_wrong_changes_nothing)
{
	take_away("models/a");
	put("modeld.conf", "[models]\nserve = *\nnonsense = 1\n");
	cr_expect_str_eq(changes(), "");
	take_away("modeld.conf");
	cr_expect_str_eq(changes(), "");
	put("modeld.conf", "[models]\nserve = b, nobody\n");
	cr_expect_str_eq(changes(), "");
	put("modeld.conf", "[models]\nserve = b, c\ndefault = c\n");
	cr_expect_str_eq(changes(), "remove a/1");
	cr_expect_str_eq(below.default_model, "c");
}

Test(reload, defaults_of_models_are_read_anew)
{
	put("modeld.conf", "[models]\nserve = a, c\n[model]\nmax_queue_size = 9\n");
	cr_expect_str_eq(changes(), "replace a/1 replace c/1 remove b/1");
}

/* The newest of a model counts, and what is served is what is replaced. */
Test(reload, a_candidate_is_superseded_or_goes_with_its_model)
{
	struct version *candidate = &below.versions[below.n_versions++];

	cr_assert_eq(version_settings_copy(&candidate->settings, &below.versions[1].settings), 0);
	candidate->settings.max_queue_size = 7;
	candidate->replaces = &below.versions[1];
	put("models/b/model.conf", "[model]\nbackend = builtin\nmax_queue_size = 7\n");
	cr_expect_str_eq(changes(), "");
	put("models/b/model.conf", "[model]\nbackend = builtin\nmax_queue_size = 8\n");
	cr_expect_str_eq(changes(), "replace b/1");
	take_away("models/b");
	cr_expect_str_eq(changes(), "remove b/1 remove b/1");
}

Test(reload, what_dispatch_refuses_is_logged)
{
	put("models/d/model.conf", "[model]\nbackend = builtin\n");
	below.add_error = -ENOMEM;
	cr_expect_str_eq(changes(), "");
}

Test(reload, asked_for_while_it_reads)
{
	reload_ask(&reload);
	reload_ask(&reload);
	reload_ask(&reload);
	cr_expect(reload.busy && reload.again);
	put("models/d/model.conf", "[model]\nbackend = builtin\n");
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect(!reload.busy && !reload.again);
	cr_expect_not_null(
		strstr(below.changes, "add d/1"), "the last reading began after it came");
}

Test(reload, stopped_while_it_reads)
{
	take_away("models/a");
	reload_ask(&reload);
	reload_ask(&reload);
	reload_stop(&reload);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_str_eq(below.changes, "");
	reload_ask(&reload);
	cr_expect_not(reload.busy);
}

Test(reload, without_a_source)
{
	reload_init(&reload, &loop, NULL, (struct dispatch *)&below);
	reload_ask(&reload);
	cr_expect_not(reload.busy);
}
