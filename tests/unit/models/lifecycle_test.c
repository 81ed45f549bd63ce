/* Tests of lifecycle*.c: what is read, what dispatch is told, and what callers hear. */
#include "models/lifecycle.h"

#include "base/log.h"
#include "base/spool.h"
#include "fake_dispatch.h"
#include "models/lifecycle_private.h"
#include "models/overlay.h"
#include "models/overlay_bytes.h"
#include "models/repository.h"
#include "pool/pool.h"
#include "tests/support/failalloc.h"
#include "tree.h"

static const char *repositories[2] = {root};
static const char *serve[4] = {"*"};
static const char *load[4];
static const struct pool_place places[1] = {{"cpu:0", 1}};
static struct models_settings settings;
static struct lifecycle_source source;
static uv_loop_t loop;
static struct lifecycle *l;
static int read_error;	 /* what reading returns */
static unsigned n_read;	 /* how often it was read */
static unsigned n_moves; /* readings yet to come that find something else than the one before */

static void move_files(void)
{
	char content[8];

	snprintf(content, sizeof(content), "%.*s", (int)n_moves, "xxxxxx");
	put("d/1/model.onnx", content);
	if (n_moves == 1)
		put("e/model.conf", "[model]\nbackend = builtin\n");
	n_moves--;
}

static int read_models(void *data, const char *name, bool anew, const struct overlays *overlays,
	struct repository **ret_repository, char *text, size_t cap)
{
	(void)data;
	(void)anew;
	n_read++;
	if (n_moves)
		move_files();
	if (read_error) {
		snprintf(text, cap, "modeld.conf:3: nonsense");
		return read_error;
	}
	return name ? repository_read_model(ret_repository, &settings, overlays, name, text, cap)
		    : repository_read(ret_repository, &settings, overlays, text, cap);
}

static unsigned n_told;	      /* that the configuration was read again ... */
static size_t n_told_changes; /* ... when so much had been applied */

static void on_read(void *data)
{
	(void)data;
	n_told++;
	n_told_changes = strlen(fake.changes);
}

static void start_afresh(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.added_ready = true;
	cr_assert_eq(uv_loop_init(&loop), 0);
}

static void setup(void)
{
	log_init(NULL, LOG_LEVEL_ERROR);
	tree_make();
	start_afresh();
	put("a/model.conf", "[model]\nbackend = builtin\n");
	put("b/model.conf", "[model]\nbackend = builtin\n");
	put("c/1/model.onnx", "one");
	settings = (struct models_settings){
		.repositories = repositories,
		.serve = serve,
		.load = load,
		.poll_interval_ms = 50,
		.settle_ms = 20,
		.default_model = "",
		.defaults = {.max_queue_size = 1024, .run_timeout_ms = 60000},
		.places = places,
		.n_places = 1,
	};
	source = (struct lifecycle_source){.read = read_models, .on_read = on_read};
	n_told = 0;
}

static void begin(enum models_control control)
{
	struct repository *first;
	char text[256];

	settings.control = control;
	cr_assert_eq(lifecycle_new(&l, &loop, &settings, &source, NULL), 0);
	cr_assert_eq(repository_read(&first, &settings, NULL, text, sizeof(text)), 0);
	lifecycle_begin(l, first);
}

static void end(void)
{
	lifecycle_stop(l);
	cr_expect_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(uv_loop_close(&loop), 0);
	l = lifecycle_free(l);
	fake_clear();
	cr_expect_eq(fake.n_living, 0, "a reference is left");
}

static void teardown(void)
{
	if (l)
		end();
	tree_remove();
}

TestSuite(lifecycle, .init = setup, .fini = teardown);

/* Let the thread finish, and tell who waits. */
static void turn(void)
{
	while (lifecycle_busy(l))
		uv_run(&loop, UV_RUN_ONCE);
	lifecycle_flush(l);
}

static const char *changes(void)
{
	fake.changes[0] = 0;
	lifecycle_reload_all(l, NULL);
	turn();
	return fake.changes;
}

Test(lifecycle, who_reads_hears_that_the_configuration_was_read)
{
	begin(MODELS_CONTROL_EXPLICIT);
	cr_expect_eq(n_told, 0);
	changes();
	cr_expect_eq(n_told, 1);
	end();
	start_afresh();
	begin(MODELS_CONTROL_NONE);
	put("d/model.conf", "[model]\nbackend = builtin\n");
	cr_expect_str_eq(changes(), "add d/1");
	cr_expect_eq(n_told, 2);
	cr_expect_eq(n_told_changes, 0);
	n_told = 1;
	read_error = 1;
	changes();
	cr_expect_eq(n_told, 2);
	read_error = 0;
	lifecycle_refresh(l, NULL);
	turn();
	cr_expect_eq(n_told, 2);
}

/* --- Callers -------------------------------------------------------------------------------------- */

struct caller {
	struct lifecycle_wait wait;
	bool done;
	enum lifecycle_code code;
	char text[256];
};

static void on_done(struct lifecycle_wait *w, enum lifecycle_code code, const char *text)
{
	struct caller *c = (struct caller *)w;

	cr_assert_not(c->done);
	c->done = true;
	c->code = code;
	snprintf(c->text, sizeof(c->text), "%s", text);
}

static struct caller callers[8];

static struct lifecycle_wait *caller(size_t i)
{
	callers[i] = (struct caller){.wait = {.on_done = on_done}};
	return &callers[i].wait;
}

static void expect(size_t i, enum lifecycle_code code, const char *text)
{
	cr_assert(callers[i].done, "caller %zu waits", i);
	cr_expect_eq(callers[i].code, code, "%d: %s", callers[i].code, callers[i].text);
	cr_expect_str_eq(callers[i].text, in_tree(text));
}

static void ask_load(const char *name, const char *version)
{
	lifecycle_forget(&callers[0].wait);
	lifecycle_load(l, name, version, NULL, caller(0));
	turn();
}

static void ask_unload(const char *name, const char *version)
{
	lifecycle_forget(&callers[0].wait);
	lifecycle_unload(l, name, version, caller(0));
	turn();
}

/* --- All of them ---------------------------------------------------------------------------------- */

Test(lifecycle, what_is_there_at_start_is_served)
{
	settings.default_model = "b";
	begin(MODELS_CONTROL_NONE);
	cr_expect_str_eq(fake.changes, "add a/1 add b/1 add c/1");
	cr_expect_str_eq(fake.default_model, "b");
	cr_expect_str_eq(changes(), "");
}

Test(lifecycle, models_that_came_went_and_changed)
{
	begin(MODELS_CONTROL_NONE);
	put("d/model.conf", "[model]\nbackend = builtin\n");
	put("b/model.conf", "[model]\nbackend = builtin\nmax_queue_size = 7\n");
	take_away("a");
	cr_expect_str_eq(changes(), "replace b/1 add d/1 remove a/1");
}

Test(lifecycle, a_version_directory_that_changed)
{
	begin(MODELS_CONTROL_NONE);
	put("c/1/more/weights", "x");
	cr_expect_str_eq(changes(), "replace c/1");
	fake_take_over(fake_last());
	put("c/2/model.onnx", "two");
	cr_expect_str_eq(changes(), "replace c/2");
	fake_take_over(fake_last());
	put("c/model.conf", "[model]\nversion = latest 2\n");
	cr_expect_str_eq(changes(), "add c/1");
}

Test(lifecycle, a_model_that_is_wrong_stays_as_it_is)
{
	begin(MODELS_CONTROL_NONE);
	put("b/model.conf", "[model]\nbackend = builtin\nmax_queue_size = many\n");
	put("d/model.conf", "[model]\nbackend = builtin\n");
	put("wrong name/model.conf", "[model]\nbackend = builtin\n");
	cr_expect_str_eq(changes(), "add d/1");
	cr_expect_not_null(fake_find("b", "1"));
}

Test(lifecycle, what_cannot_be_read_changes_nothing)
{
	begin(MODELS_CONTROL_NONE);
	take_away("a");
	read_error = 1;
	lifecycle_reload_all(l, caller(0));
	cr_expect_str_eq(changes(), "");
	expect(0, LIFECYCLE_WRONG, "modeld.conf:3: nonsense");
	read_error = -ENOMEM;
	cr_expect_str_eq(changes(), "");
	read_error = 0;
	lifecycle_reload_all(l, caller(1));
	cr_expect_str_eq(changes(), "remove a/1");
	expect(1, LIFECYCLE_OK, "");
}

Test(lifecycle, what_is_served_as_it_is_wanted_is_told_so)
{
	begin(MODELS_CONTROL_NONE);
	cr_expect_eq(fake.versions[0]->n_stays, 0);
	cr_expect_str_eq(changes(), "");
	cr_expect_eq(fake.versions[0]->n_stays, 1);
}

/* The newest of a model counts, and what is served is what is replaced. */
Test(lifecycle, a_candidate_is_superseded_or_goes_with_its_model)
{
	begin(MODELS_CONTROL_NONE);
	fake.added_ready = false;
	put("b/model.conf", "[model]\nbackend = builtin\nmax_queue_size = 7\n");
	cr_expect_str_eq(changes(), "replace b/1");
	cr_expect_str_eq(changes(), "");
	put("b/model.conf", "[model]\nbackend = builtin\nmax_queue_size = 8\n");
	cr_expect_str_eq(changes(), "replace b/1");
	cr_expect_eq(fake_last()->replaces, fake_find("b", "1"));
	take_away("b");
	changes();
	cr_expect_null(fake_find("b", "1"));
	cr_expect_eq(fake.n, 2);
}

Test(lifecycle, what_dispatch_refuses_is_logged)
{
	begin(MODELS_CONTROL_NONE);
	put("d/model.conf", "[model]\nbackend = builtin\n");
	fake.add_error = -ENOMEM;
	cr_expect_str_eq(changes(), "");
	fake.add_error = 0;
	cr_expect_str_eq(changes(), "add d/1");
}

Test(lifecycle, asked_for_while_it_reads)
{
	begin(MODELS_CONTROL_NONE);
	for (int i = 0; i < 5; i++)
		lifecycle_reload_all(l, NULL);
	put("d/model.conf", "[model]\nbackend = builtin\n");
	turn();
	cr_expect_not_null(fake_find("d", "1"), "the last reading began after it came");
	cr_expect_eq(n_read, 2);
}

Test(lifecycle, stopped_while_it_reads)
{
	begin(MODELS_CONTROL_NONE);
	fake.changes[0] = 0;
	take_away("a");
	lifecycle_reload_all(l, caller(0));
	lifecycle_reload_all(l, caller(1));
	lifecycle_stop(l);
	expect(0, LIFECYCLE_ENDING, "the server shuts down");
	expect(1, LIFECYCLE_ENDING, "the server shuts down");
	turn();
	cr_expect_str_eq(fake.changes, "");
	lifecycle_reload_all(l, caller(2));
	lifecycle_load(l, "a", "", NULL, caller(3));
	turn();
	expect(2, LIFECYCLE_ENDING, "the server shuts down");
	expect(3, LIFECYCLE_ENDING, "the server shuts down");
	cr_expect_not(lifecycle_busy(l));
}

/* --- Model by model ------------------------------------------------------------------------------- */

Test(lifecycle, callers_may_not_where_the_files_say)
{
	begin(MODELS_CONTROL_NONE);
	ask_load("a", "");
	expect(0, LIFECYCLE_NOT_ALLOWED,
		"models are loaded and unloaded only where [models] control = explicit");
	ask_unload("a", "");
	cr_expect_eq(callers[0].code, LIFECYCLE_NOT_ALLOWED);
	lifecycle_reload(l, "a", caller(0));
	turn();
	expect(0, LIFECYCLE_OK, "");
	lifecycle_reload(l, "x", caller(0));
	turn();
	expect(0, LIFECYCLE_UNKNOWN, "model 'x' is in no repository");
}

Test(lifecycle, at_start_nothing_but_what_is_named)
{
	begin(MODELS_CONTROL_EXPLICIT);
	cr_expect_str_eq(fake.changes, "");
	end();
	start_afresh();
	load[0] = "b";
	load[1] = "x";
	begin(MODELS_CONTROL_EXPLICIT);
	cr_expect_str_eq(fake.changes, "add b/1");
	end();
	start_afresh();
	load[0] = "*";
	load[1] = NULL;
	begin(MODELS_CONTROL_EXPLICIT);
	cr_expect_str_eq(fake.changes, "add a/1 add b/1 add c/1");
}

Test(lifecycle, load_waits_until_it_is_ready)
{
	begin(MODELS_CONTROL_EXPLICIT);
	fake.added_ready = false;
	ask_load("a", "");
	cr_expect_str_eq(fake.changes, "add a/1");
	cr_expect_not(callers[0].done);
	lifecycle_load(l, "a", "", NULL, caller(1));
	fake_last()->ready = true;
	lifecycle_note(l, fake_last());
	lifecycle_flush(l);
	expect(0, LIFECYCLE_OK, "");
	expect(1, LIFECYCLE_OK, "");
	cr_expect_eq(n_read, 1, "the second joined the first");
	ask_load("a", "");
	expect(0, LIFECYCLE_OK, "");
	cr_expect_str_eq(fake.changes, "add a/1", "it is there already");
}

Test(lifecycle, load_tells_why_it_failed)
{
	begin(MODELS_CONTROL_EXPLICIT);
	fake.added_ready = false;
	ask_load("a", "");
	fake_last()->hopeful = false;
	fake_last()->failed = 1;
	fake_last()->detail = "load failed on cpu:0: no";
	lifecycle_note(l, fake_last());
	lifecycle_flush(l);
	expect(0, LIFECYCLE_FAILED, "model 'a' version 1: load failed on cpu:0: no");
	/* Asked for again, it is tried again. */
	ask_load("a", "");
	cr_expect_not(callers[0].done);
	cr_expect_eq(fake_last()->n_retries, 1);
	fake_last()->ready = true;
	lifecycle_note(l, fake_last());
	lifecycle_flush(l);
	expect(0, LIFECYCLE_OK, "");
}

Test(lifecycle, a_candidate_that_fails)
{
	struct version *candidate;

	begin(MODELS_CONTROL_EXPLICIT);
	ask_load("c", "");
	fake.added_ready = false;
	put("c/1/model.onnx", "another");
	ask_load("c", "");
	candidate = fake_last();
	cr_assert_not_null(candidate->replaces);
	candidate->detail = "load failed on cpu:0: no";
	candidate->failed = 1;
	dispatch_remove_version(NULL, candidate);
	lifecycle_note(l, candidate);
	lifecycle_flush(l);
	expect(0, LIFECYCLE_FAILED, "model 'c' version 1: load failed on cpu:0: no");
	cr_expect_not_null(fake_find("c", "1"), "the old one goes on");
}

Test(lifecycle, what_cannot_be_loaded)
{
	char name[301];

	memset(name, 'a', sizeof(name));
	name[300] = 0;
	begin(MODELS_CONTROL_EXPLICIT);
	ask_load("x", "");
	expect(0, LIFECYCLE_UNKNOWN, "model 'x' is in no repository");
	ask_load("c", "7");
	expect(0, LIFECYCLE_UNKNOWN, "model 'c' has no version 7");
	ask_load("c", "0");
	expect(0, LIFECYCLE_INVALID,
		"\"0\" is no version: a whole number from 1 is expected, without leading zeros");
	ask_load("c", "../1");
	cr_expect_eq(callers[0].code, LIFECYCLE_INVALID);
	ask_load("../c", "");
	expect(0, LIFECYCLE_INVALID,
		"\"../c\" is no name of a model: 1 to 255 characters are expected, none a /, the "
		"first no dot");
	ask_load("", "");
	cr_expect_eq(callers[0].code, LIFECYCLE_INVALID);
	ask_load(name, "");
	cr_expect_eq(callers[0].code, LIFECYCLE_INVALID);
	put("w/model.conf", "nonsense\n");
	ask_load("w", "");
	expect(0, LIFECYCLE_WRONG, "%/w/model.conf:1: neither [section] nor key = value");
	read_error = 1;
	ask_load("a", "");
	expect(0, LIFECYCLE_FAILED, "modeld.conf:3: nonsense");
	read_error = -ENOMEM;
	ask_load("a", "");
	expect(0, LIFECYCLE_NO_MEMORY, "out of memory");
	cr_expect_eq(fake.n, 0);
}

Test(lifecycle, unload_waits_until_it_is_gone)
{
	struct version *v;

	begin(MODELS_CONTROL_EXPLICIT);
	ask_load("a", "");
	v = version_ref(fake_last());
	ask_unload("a", "");
	cr_expect(v->retired);
	cr_expect_not(callers[0].done);
	lifecycle_unload(l, "a", "", caller(1));
	lifecycle_gone(l, v);
	version_unref(v);
	lifecycle_flush(l);
	expect(0, LIFECYCLE_OK, "");
	expect(1, LIFECYCLE_OK, "");
	cr_expect_eq(fake.n_living, 0, "nobody holds it");
	ask_unload("a", "");
	expect(0, LIFECYCLE_UNKNOWN, "model 'a' is not loaded");
	cr_expect_str_eq(changes(), "", "reading all again loads nothing that is not wanted");
}

Test(lifecycle, unloaded_while_it_loads)
{
	struct version *v;

	begin(MODELS_CONTROL_EXPLICIT);
	fake.added_ready = false;
	lifecycle_load(l, "a", "", NULL, caller(0));
	/* The load is not applied yet: what was asked for first is done first. */
	lifecycle_unload(l, "a", "", caller(1));
	lifecycle_load(l, "a", "", NULL, caller(2));
	while (!fake_last() || lifecycle_busy(l))
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_str_eq(fake.changes, "add a/1 remove a/1 add a/1");
	lifecycle_flush(l);
	expect(0, LIFECYCLE_SUPERSEDED,
		"model 'a' version 1 was unloaded or changed again meanwhile");
	cr_expect_not(callers[1].done || callers[2].done);
	v = fake_last();
	v->ready = true;
	lifecycle_note(l, v);
	lifecycle_flush(l);
	expect(2, LIFECYCLE_OK, "");
}

Test(lifecycle, versions)
{
	struct version *v;

	put("c/2/model.onnx", "two");
	put("c/3/model.onnx", "three");
	begin(MODELS_CONTROL_EXPLICIT);
	ask_load("c", "2");
	ask_load("c", "");
	cr_expect_str_eq(fake.changes, "add c/2 replace c/3");
	cr_expect_not(callers[0].done);
	fake_take_over(fake_last());
	lifecycle_note(l, fake_last());
	lifecycle_flush(l);
	expect(0, LIFECYCLE_OK, "");
	fake.changes[0] = 0;
	ask_load("c", "1");
	cr_expect_str_eq(fake.changes, "add c/1", "beside the other");
	v = version_ref(fake_find("c", "3"));
	ask_unload("c", "3");
	cr_expect_str_eq(fake.changes, "add c/1 remove c/3");
	lifecycle_gone(l, v);
	version_unref(v);
	lifecycle_flush(l);
	expect(0, LIFECYCLE_OK, "");
	cr_expect_str_eq(changes(), "", "and 2 does not come back in its place");
	ask_unload("c", "3");
	expect(0, LIFECYCLE_UNKNOWN, "model 'c' version 3 is not loaded");
	lifecycle_reload(l, "b", caller(0));
	turn();
	expect(0, LIFECYCLE_UNKNOWN, "model 'b' is not loaded");
}

/* Callers may name as many as they like. */
Test(lifecycle, unloading_what_is_not_there_leaves_nothing_behind)
{
	char name[16], text[64];

	begin(MODELS_CONTROL_EXPLICIT);
	for (unsigned i = 1; i <= 20; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		snprintf(text, sizeof(text), "model '%s' is not loaded", name);
		ask_unload(name, "");
		expect(0, LIFECYCLE_UNKNOWN, text);
		ask_unload(name, "1");
		cr_expect_eq(callers[0].code, LIFECYCLE_UNKNOWN);
	}
	cr_expect_eq(wishes_count(&l->wishes), 0);
	ask_load("c", "");
	for (unsigned i = 2; i <= 20; i++) {
		snprintf(name, sizeof(name), "%u", i);
		snprintf(text, sizeof(text), "model 'c' version %u is not loaded", i);
		ask_unload("c", name);
		expect(0, LIFECYCLE_UNKNOWN, text);
	}
	cr_expect_eq(wishes_find(&l->wishes, "c")->without.n, 0);
	cr_expect_str_eq(fake.changes, "add c/1");
}

Test(lifecycle, a_caller_that_goes_away)
{
	begin(MODELS_CONTROL_EXPLICIT);
	lifecycle_load(l, "a", "", NULL, caller(0));
	lifecycle_forget(&callers[0].wait);
	turn();
	cr_expect_not(callers[0].done);
	cr_expect_str_eq(fake.changes, "add a/1", "what was begun goes on");
	lifecycle_forget(&callers[0].wait);
}

Test(lifecycle, stopped_while_callers_wait)
{
	begin(MODELS_CONTROL_EXPLICIT);
	fake.added_ready = false;
	ask_load("a", "");
	lifecycle_load(l, "b", "", NULL, caller(1));
	lifecycle_load(l, "c", "", NULL, caller(2));
	lifecycle_stop(l);
	for (size_t i = 0; i < 3; i++)
		expect(i, LIFECYCLE_ENDING, "the server shuts down");
	turn();
	cr_expect_str_eq(fake.changes, "add a/1");
}

/* --- What there is -------------------------------------------------------------------------------- */

static char listing[512];

static void on_item(void *data, const struct lifecycle_item *i)
{
	static const char *const states[] = {
		"unloaded", "loading", "ready", "unavailable", "unloading"};
	size_t n = strlen(listing);

	(void)data;
	snprintf(listing + n, sizeof(listing) - n, "%s:%s %s%s%s%s; ", i->name, i->version,
		states[i->state], *i->reason ? " " : "", i->reason, i->wrong ? " (wrong)" : "");
}

static const char *list(void)
{
	listing[0] = 0;
	lifecycle_list(l, on_item, NULL);
	return listing;
}

static const char *list_wrong(void)
{
	listing[0] = 0;
	lifecycle_list_wrong(l, on_item, NULL);
	return listing;
}

Test(lifecycle, a_list)
{
	struct version *v;

	put("w/model.conf", "nonsense\n");
	begin(MODELS_CONTROL_EXPLICIT);
	cr_expect(lifecycle_explicit(l));
	cr_expect_str_eq(
		list(), in_tree("a: unloaded; b: unloaded; c: unloaded; w: unavailable "
				"%/w/model.conf:1: neither [section] nor key = value (wrong); "));
	cr_expect_str_eq(list_wrong(),
		in_tree("w: unavailable %/w/model.conf:1: neither [section] nor key = "
			"value (wrong); "));
	take_away("w");
	fake.added_ready = false;
	ask_load("a", "");
	put("d/model.conf", "[model]\nbackend = builtin\n");
	ask_load("d", "");
	cr_expect_str_eq(
		list(), in_tree("a:1 loading; b: unloaded; c: unloaded; w: unavailable "
				"%/w/model.conf:1: neither [section] nor key = value (wrong); "
				"d:1 loading; "));
	lifecycle_refresh(l, caller(1));
	turn();
	expect(1, LIFECYCLE_OK, "");
	v = fake_last();
	v->ready = v->declared = true;
	cr_expect_str_eq(list(), "a:1 loading; b: unloaded; c: unloaded; d:1 ready; ");
	v->remark = "version 2 has failed";
	cr_expect_str_eq(
		list(), "a:1 loading; b: unloaded; c: unloaded; d:1 ready version 2 has failed; ");
	v->remark = NULL;
	v = version_ref(fake_find("a", "1"));
	ask_unload("a", "");
	cr_expect_str_eq(list(), "a:1 unloading; b: unloaded; c: unloaded; d:1 ready; ");
	lifecycle_gone(l, v);
	version_unref(v);
	lifecycle_flush(l);
	cr_expect_str_eq(list(), "a: unavailable unloaded; b: unloaded; c: unloaded; d:1 ready; ");
}

Test(lifecycle, a_list_of_what_was_right_once)
{
	begin(MODELS_CONTROL_NONE);
	put("b/model.conf", "nonsense\n");
	take_away("c");
	changes();
	cr_expect_str_eq(
		list(), in_tree("a:1 ready; b:1 ready %/b/model.conf:1: neither [section] nor "
				"key = value (wrong); "));
	cr_expect_str_eq(list_wrong(),
		in_tree("b:1 ready %/b/model.conf:1: neither [section] nor key = value (wrong); "));
	fake_find("b", "1")->remark = "version 2 has failed";
	cr_expect_str_eq(list_wrong(),
		in_tree("b:1 ready %/b/model.conf:1: neither [section] nor key = value (wrong); "),
		"what is wrong by now goes first");
}

/* --- Trying again --------------------------------------------------------------------------------- */

static void fail_last(void)
{
	struct version *v = fake_last();

	v->failed = 1;
	v->hopeful = false;
	lifecycle_note(l, v);
}

Test(lifecycle, what_failed_is_tried_again_by_itself)
{
	uint64_t before;
	struct version *v;

	fake.added_ready = false;
	begin(MODELS_CONTROL_NONE);
	v = fake_last();
	fail_last();
	lifecycle_note(l, v);
	uv_update_time(&loop);
	before = uv_now(&loop);
	while (v->n_retries == 0)
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_geq(uv_now(&loop) - before, 900);
	fail_last();
	before = uv_now(&loop);
	while (v->n_retries == 1)
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_geq(uv_now(&loop) - before, 1900, "after twice as long");
	v->ready = true;
	lifecycle_note(l, v);
	cr_expect_eq(v->refs, 1, "it is not held any more");
	fail_last();
	lifecycle_gone(l, v);
	cr_expect_eq(v->refs, 1, "nor when it is gone");
}

/* --- The files say -------------------------------------------------------------------------------- */

/* Until it was read n more times, from now on. */
static void let_read(unsigned n)
{
	n += n_read + (lifecycle_busy(l) ? 1 : 0);
	while (n_read < n || lifecycle_busy(l))
		uv_run(&loop, UV_RUN_ONCE);
}

static void poll_files(void)
{
	begin(MODELS_CONTROL_POLL);
	let_read(1);
	fake.changes[0] = 0;
}

Test(lifecycle, changes_of_files_are_followed)
{
	poll_files();
	put("d/model.conf", "[model]\nbackend = builtin\n");
	let_read(2);
	cr_expect_str_eq(fake.changes, "add d/1", "seen, and seen the same again");
	put("b/model.conf", "[model]\nbackend = builtin\nmax_queue_size = 7\n");
	take_away("a");
	let_read(2);
	cr_expect_str_eq(fake.changes, "add d/1 replace b/1 remove a/1");
	let_read(2);
	cr_expect_str_eq(fake.changes, "add d/1 replace b/1 remove a/1");
}

Test(lifecycle, what_moves_is_left_until_it_has_settled)
{
	poll_files();
	n_moves = 4;
	put("d/1/model.onnx", "begun");
	while (n_moves) {
		uv_run(&loop, UV_RUN_ONCE);
		cr_expect_str_eq(fake.changes, "");
	}
	while (!fake.changes[0])
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_str_eq(fake.changes, "add d/1 add e/1");
}

Test(lifecycle, a_version_that_failed_is_not_offered_again)
{
	poll_files();
	fake.added_ready = false;
	put("c/1/model.onnx", "another");
	let_read(2);
	cr_expect_str_eq(fake.changes, "replace c/1");
	dispatch_remove_version(NULL, fake_last());
	fake.changes[0] = 0;
	let_read(2);
	cr_expect_str_eq(fake.changes, "");
	put("c/1/model.onnx", "one more");
	let_read(2);
	cr_expect_str_eq(fake.changes, "replace c/1", "its files have changed");
}

Test(lifecycle, a_repository_that_vanishes)
{
	poll_files();
	read_error = 1;
	let_read(2);
	cr_expect_str_eq(fake.changes, "", "what is loaded goes on");
	read_error = 0;
	take_away("a");
	let_read(2);
	cr_expect_str_eq(fake.changes, "remove a/1");
}

static int life(void *arg)
{
	static const struct wire_pair pair = {"max_queue_size", "7"};
	struct repository *first = NULL;
	struct overlay *o = NULL;
	char text[256];
	int r;

	(void)arg;
	start_afresh();
	r = repository_read(&first, &settings, NULL, text, sizeof(text));
	if (!r)
		r = overlay_new_keys(&o, &pair, 1, text, sizeof(text));
	if (!r)
		r = lifecycle_new(&l, &loop, &settings, &source, NULL);
	if (r) {
		overlay_unref(o);
		repository_free(first);
		cr_expect_eq(uv_loop_close(&loop), 0);
		return r;
	}
	lifecycle_begin(l, first);
	lifecycle_load(l, "a", "", o, caller(0));
	overlay_unref(o);
	turn();
	lifecycle_reload_all(l, NULL);
	turn();
	lifecycle_unload(l, "a", "", caller(1));
	turn();
	cr_expect(callers[0].done);
	r = callers[0].code == LIFECYCLE_OK && fake.n == 0 ? 0 : -ENOMEM;
	end();
	return r;
}

Test(lifecycle, every_failure_leaves_nothing_behind)
{
	settings.control = MODELS_CONTROL_EXPLICIT;
	log_init(NULL, LOG_LEVEL_ERROR);
	cr_assert_eq(uv_loop_close(&loop), 0);
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
}

/* --- On request ----------------------------------------------------------------------------------- */

Test(lifecycle, a_request_has_a_model_loaded)
{
	settings.load_on_request = true;
	begin(MODELS_CONTROL_EXPLICIT);
	fake.added_ready = false;
	cr_expect(lifecycle_demand(l, "a"));
	turn();
	cr_expect_str_eq(fake.changes, "add a/1");
	cr_expect(lifecycle_demand(l, "a"), "it waits for the same");
	cr_expect(lifecycle_demand(l, "c:1"));
	turn();
	cr_expect_str_eq(fake.supplied, "");
	fake_find("a", "1")->ready = true;
	lifecycle_note(l, fake_find("a", "1"));
	turn();
	cr_expect_str_eq(fake.supplied, "a: 0", "once");
	fake_find("c", "1")->hopeful = false;
	fake_find("c", "1")->detail = "it is broken";
	lifecycle_note(l, fake_find("c", "1"));
	turn();
	cr_expect_str_eq(fake.supplied, "a: 0, c:1: 14 model 'c' version 1: it is broken");
}

/* What it waited for was changed: it waits for what takes its place. */
Test(lifecycle, a_request_waits_for_a_model_that_changes_meanwhile)
{
	struct version *v;

	settings.load_on_request = fake.demanded = true;
	begin(MODELS_CONTROL_EXPLICIT);
	fake.added_ready = false;
	cr_expect(lifecycle_demand(l, "a"));
	turn();
	put("a/model.conf", "[model]\nbackend = builtin\nmax_queue_size = 7\n");
	lifecycle_reload(l, "a", caller(0));
	turn();
	cr_expect_str_eq(fake.changes, "add a/1 replace a/1");
	v = fake_last();
	fake_take_over(v);
	lifecycle_note(l, v);
	turn();
	turn();
	cr_expect_str_eq(fake.supplied, "a: 0");
	/* But not when it was unloaded. */
	fake_clear();
	cr_expect(lifecycle_demand(l, "b"));
	turn();
	v = version_ref(fake_find("b", "1"));
	lifecycle_unload(l, "b", "", caller(1));
	lifecycle_gone(l, v);
	version_unref(v);
	turn();
	turn();
	cr_expect(strstr(fake.supplied, "a: 0, b: 14 model 'b' version 1 was unloaded or changed"),
		"%s", fake.supplied);
}

Test(lifecycle, a_request_for_what_is_not_there)
{
	settings.load_on_request = true;
	begin(MODELS_CONTROL_EXPLICIT);
	cr_expect_not(lifecycle_demand(l, "x"));
	cr_expect_not(lifecycle_demand(l, ""));
	cr_expect_not(lifecycle_demand(l, "../a"));
	cr_expect_eq(n_read, 0, "nothing is read for that");
	cr_expect(lifecycle_demand(l, "a:7"));
	cr_expect(lifecycle_demand(l, "a:1:1"));
	take_away("b");
	cr_expect(lifecycle_demand(l, "b"));
	turn();
	turn();
	cr_expect(strstr(fake.supplied, "a:7: 5 "), "%s", fake.supplied);
	cr_expect(strstr(fake.supplied, "a:1:1: 5 "), "%s", fake.supplied);
	cr_expect(strstr(fake.supplied, "b: 5 "), "%s", fake.supplied);
}

Test(lifecycle, requests_do_not_have_models_loaded_unless_they_may)
{
	begin(MODELS_CONTROL_EXPLICIT);
	cr_expect_not(lifecycle_demand(l, "a"));
	settings.load_on_request = true;
	cr_expect(lifecycle_demand(l, "a"));
	lifecycle_stop(l);
	cr_expect_str_eq(fake.supplied, "a: 14 the server shuts down");
	cr_expect_not(lifecycle_demand(l, "b"));
	turn();
}

/* --- No more than there is room for --------------------------------------------------------------- */

/* a and b are loaded, a was used last. */
static void load_two(void)
{
	begin(MODELS_CONTROL_EXPLICIT);
	ask_load("b", "");
	expect(0, LIFECYCLE_OK, "");
	ask_load("a", "");
	expect(0, LIFECYCLE_OK, "");
	fake.changes[0] = 0;
}

/* What was removed is gone. */
static void forget(struct version *v)
{
	lifecycle_gone(l, v);
	version_unref(v);
	turn();
	turn();
}

Test(lifecycle, the_one_that_was_not_used_for_longest_makes_room)
{
	struct version *b;

	settings.max_models = 2;
	load_two();
	b = version_ref(fake_find("b", "1"));
	ask_load("c", "");
	cr_expect_str_eq(fake.changes, "remove b/1");
	cr_expect_not(callers[0].done, "its memory is not back yet");
	turn();
	cr_expect_str_eq(fake.changes, "remove b/1");
	forget(b);
	cr_expect_str_eq(fake.changes, "remove b/1 add c/1");
	expect(0, LIFECYCLE_OK, "");
	cr_expect_eq(lifecycle_counters(l).evictions, 1);
	ask_load("c", "");
	expect(0, LIFECYCLE_OK, "");
	ask_unload("b", "");
	expect(0, LIFECYCLE_UNKNOWN, "model 'b' is not loaded");
}

/* And not when something else happens. */
Test(lifecycle, who_finds_no_room_after_all_is_told_at_once)
{
	struct version *b;

	settings.max_models = 2;
	load_two();
	b = version_ref(fake_find("b", "1"));
	ask_load("c", "");
	cr_expect_not(callers[0].done);
	settings.max_models = 1;
	fake_find("a", "1")->n_requests = 1;
	lifecycle_gone(l, b);
	version_unref(b);
	lifecycle_flush(l);
	expect(0, LIFECYCLE_FULL,
		"model 'c' is not loaded: 1 models are loaded, and the limit is 1 ([models] "
		"max_models), and none of them may go");
}

Test(lifecycle, what_was_used_least_often_makes_room)
{
	struct version *a;

	settings.max_models = 2;
	settings.eviction = EVICTION_LFU;
	load_two();
	fake_find("b", "1")->counters.requests_ok = 2;
	a = version_ref(fake_find("a", "1"));
	ask_load("c", "");
	cr_expect_str_eq(fake.changes, "remove a/1");
	forget(a);
	expect(0, LIFECYCLE_OK, "");
}

Test(lifecycle, what_is_in_use_makes_no_room)
{
	settings.max_models = 2;
	load_two();
	fake_find("a", "1")->n_requests = 1;
	fake_find("b", "1")->n_requests = 1;
	ask_load("c", "");
	expect(0, LIFECYCLE_FULL,
		"model 'c' is not loaded: 2 models are loaded, and the limit is 2 ([models] "
		"max_models), and none of them may go");
	cr_expect_str_eq(fake.changes, "");
	ask_load("a", "");
	expect(0, LIFECYCLE_OK, "");
	fake_find("a", "1")->n_requests = fake_find("b", "1")->n_requests = 0;
	settings.eviction = EVICTION_MANUAL;
	ask_load("c", "");
	cr_expect_eq(callers[0].code, LIFECYCLE_FULL);
	settings.eviction = EVICTION_TTL;
	settings.ttl_ms = 3600000;
	ask_load("c", "");
	cr_expect_eq(callers[0].code, LIFECYCLE_FULL);
}

/* It can wait for what has requests now. */
Test(lifecycle, a_request_waits_for_room)
{
	struct version *b;

	settings.max_models = 2;
	settings.load_on_request = true;
	load_two();
	fake.demanded = true;
	fake_find("a", "1")->n_requests = fake_find("b", "1")->n_requests = 1;
	cr_expect(lifecycle_demand(l, "c"));
	turn();
	turn();
	cr_expect_str_eq(fake.supplied, "");
	b = version_ref(fake_find("b", "1"));
	b->n_requests = 0;
	turn();
	turn();
	cr_expect_str_eq(fake.changes, "remove b/1");
	forget(b);
	cr_expect_str_eq(fake.supplied, "c: 0");
	/* But not when nobody waits any more. */
	fake_find("c", "1")->n_requests = 1;
	cr_expect(lifecycle_demand(l, "b"));
	turn();
	fake.demanded = false;
	turn();
	turn();
	cr_expect(strstr(fake.supplied, "c: 0, b: 8 model 'b' is not loaded: 2 models"), "%s",
		fake.supplied);
}

/* What it takes is known when it was loaded. */
Test(lifecycle, memory_is_measured)
{
	settings.max_memory_bytes = 100;
	fake.added_bytes = 50;
	load_two();
	fake.added_bytes = 30;
	ask_load("c", "");
	expect(0, LIFECYCLE_OK, "");
	cr_expect_str_eq(fake.changes, "add c/1 remove b/1");
	fake.changes[0] = 0;
	fake_find("a", "1")->n_requests = fake_find("c", "1")->n_requests = 1;
	ask_load("b", "");
	expect(0, LIFECYCLE_FULL,
		"model 'b' is not loaded: models take 80 bytes on the host, this one took 50 when "
		"it was loaded last, and the limit is 100 ([models] max_memory_bytes), and none of "
		"them may go");
	cr_expect_str_eq(fake.changes, "", "this time it is known ahead");
}

Test(lifecycle, what_takes_too_much_is_not_kept)
{
	settings.max_memory_bytes = 100;
	begin(MODELS_CONTROL_EXPLICIT);
	fake.added_bytes = 101;
	ask_load("a", "");
	expect(0, LIFECYCLE_FULL,
		"model 'a' is not kept: models take 101 bytes on the host, and the limit is 100 "
		"([models] max_memory_bytes), and none of them may go");
	cr_expect_str_eq(fake.changes, "add a/1 remove a/1");
}

/* What the files before took says nothing of those that have come for them. */
Test(lifecycle, what_took_too_much_may_be_smaller_by_now)
{
	settings.max_memory_bytes = 100;
	begin(MODELS_CONTROL_EXPLICIT);
	fake.added_bytes = 101;
	ask_load("c", "");
	cr_expect_eq(callers[0].code, LIFECYCLE_FULL);
	fake.added_bytes = 20;
	ask_load("c", "");
	cr_expect_eq(callers[0].code, LIFECYCLE_FULL, "they are the same: it is not tried");
	put("c/1/model.onnx", "smaller");
	ask_load("c", "");
	expect(0, LIFECYCLE_OK, "");
}

/* Another worker has loaded it, too. */
Test(lifecycle, what_takes_more_by_and_by)
{
	settings.max_memory_bytes = 100;
	fake.added_bytes = 40;
	load_two();
	fake_find("a", "1")->memory_bytes = 80;
	lifecycle_note(l, fake_find("a", "1"));
	turn();
	cr_expect_str_eq(fake.changes, "remove b/1");
	fake_find("a", "1")->memory_bytes = 160;
	fake_find("a", "1")->n_requests = 1;
	lifecycle_note(l, fake_find("a", "1"));
	turn();
	cr_expect_str_eq(fake.changes, "remove b/1", "it is in use");
	fake_find("a", "1")->n_requests = 0;
}

Test(lifecycle, no_more_than_may_be_at_start)
{
	settings.max_models = 2;
	load[0] = "*";
	load[1] = NULL;
	begin(MODELS_CONTROL_EXPLICIT);
	cr_expect_str_eq(fake.changes, "add a/1 add b/1");
}

/* --- References ----------------------------------------------------------------------------------- */

static void ask_to_refer(const char *name)
{
	lifecycle_forget(&callers[0].wait);
	lifecycle_load_to_refer(l, name, "", NULL, caller(0));
	turn();
	expect(0, LIFECYCLE_OK, "");
	cr_assert_eq(lifecycle_refer(l, name), 0);
}

Test(lifecycle, what_is_referred_to_makes_no_room)
{
	settings.max_models = 2;
	settings.ttl_ms = 3600000;
	load_two();
	cr_assert_eq(lifecycle_refer(l, "a"), 0);
	cr_assert_eq(lifecycle_refer(l, "b"), 0);
	ask_load("c", "");
	cr_expect_eq(callers[0].code, LIFECYCLE_FULL);
	cr_expect_eq(lifecycle_references(l, "b"), 1);
	cr_expect_eq(lifecycle_unrefer(l, "b"), 0);
	ask_load("c", "");
	cr_expect_str_eq(fake.changes, "remove b/1");
	cr_expect_eq(lifecycle_unrefer(l, "a"), 0);
	cr_expect_eq(lifecycle_references(l, "x"), 0);
}

/* What others wanted, too, stays. */
Test(lifecycle, what_nobody_refers_to_goes_by_and_by)
{
	struct lifecycle_expired gone;

	settings.ttl_ms = 3600000;
	begin(MODELS_CONTROL_EXPLICIT);
	fake.added_bytes = 70;
	ask_load("b", "");
	ask_to_refer("a");
	ask_to_refer("b");
	cr_expect_eq(lifecycle_expire(l, 0).n, 0);
	cr_expect_eq(lifecycle_unrefer(l, "a"), 0);
	cr_expect_eq(lifecycle_unrefer(l, "b"), 0);
	cr_expect_eq(lifecycle_expire(l, 3600000).n, 0);
	fake_find("a", "1")->n_requests = 1;
	cr_expect_eq(lifecycle_expire(l, 0).n, 0, "it is in use");
	fake_find("a", "1")->n_requests = 0;
	gone = lifecycle_expire(l, 0);
	cr_expect_eq(gone.n, 1);
	cr_expect_eq(gone.bytes, 70);
	cr_expect_not_null(fake_find("b", "1"));
	cr_expect_null(fake_find("a", "1"));
	ask_to_refer("a");
	ask_load("a", "");
	cr_expect_eq(lifecycle_unrefer(l, "a"), 0);
	cr_expect_eq(lifecycle_expire(l, 0).n, 0, "somebody else wants it now");
}

/* --- Settings of callers --------------------------------------------------------------------------- */

static struct overlay *overlay_of(const char *key, const char *value)
{
	const struct wire_pair pair = {key, value};
	struct overlay *o;
	char text[256];

	cr_assert_eq(overlay_new_keys(&o, &pair, 1, text, sizeof(text)), 0, "%s", text);
	return o;
}

/* Steals o. */
static void ask_load_with(const char *name, struct overlay *o)
{
	lifecycle_forget(&callers[0].wait);
	lifecycle_load(l, name, "", o, caller(0));
	overlay_unref(o);
	turn();
}

/* Steals o. */
static void ask_to_refer_with(const char *name, struct overlay *o)
{
	lifecycle_forget(&callers[0].wait);
	lifecycle_load_to_refer(l, name, "", o, caller(0));
	overlay_unref(o);
	turn();
}

static uint32_t queue_size(const char *name)
{
	return fake_find(name, "1")->settings.max_queue_size;
}

Test(lifecycle, a_model_is_loaded_with_settings_of_a_caller)
{
	begin(MODELS_CONTROL_EXPLICIT);
	ask_load_with("a", overlay_of("max_queue_size", "7"));
	expect(0, LIFECYCLE_OK, "");
	cr_expect_eq(queue_size("a"), 7);
	cr_expect_str_eq(changes(), "", "they stay through SIGHUP");
	lifecycle_reload(l, "a", caller(1));
	turn();
	expect(1, LIFECYCLE_OK, "");
	cr_expect_str_eq(fake.changes, "", "and through a reload");
	put("a/model.conf", "[model]\nbackend = builtin\nmax_queue_size = 3\ninstances = 2\n");
	cr_expect_str_eq(changes(), "replace a/1");
	fake_take_over(fake_last());
	cr_expect_eq(queue_size("a"), 7, "what else the files say counts");
	cr_expect_eq(fake_find("a", "1")->settings.instances, 2);
	ask_load_with("a", NULL);
	fake_take_over(fake_last());
	cr_expect_eq(queue_size("a"), 3, "a load without has those of its files");
}

/* A model that is all brought, and takes so many bytes of s. */
static struct overlay *brought(struct spool *s, uint64_t n)
{
	static const char json[] = "{\"backend\": \"onnxruntime\"}";
	static const struct overlay_file list[] = {{"1/model.onnx", "junk", 4}};
	const struct overlay_bytes bytes = {.list = list, .n = 1};
	struct overlay *o;
	struct spool_dir *d;
	char text[256];

	cr_assert_eq(overlay_new_json(&o, json, strlen(json), text, sizeof(text)), 0, "%s", text);
	cr_assert(spool_reserve(s, n));
	cr_assert_eq(spool_dir_new(&d, s, n), 0);
	cr_assert_eq(overlay_set_files(o, d, &bytes, text, sizeof(text)), 0, "%s", text);
	return o;
}

static struct spool *uploads(void)
{
	char path[64];
	struct spool *s;

	snprintf(path, sizeof(path), "%s/.uploads", root);
	cr_assert_eq(spool_open(&s, path, 100), 0);
	return s;
}

/* As dispatch has it: what was to replace another one is removed then. */
static void fail_as_dispatch_does(void)
{
	struct version *v = version_ref(fake_last());

	v->failed = 1;
	v->hopeful = false;
	v->detail = "no";
	if (v->replaces)
		dispatch_remove_version(NULL, v);
	lifecycle_note(l, v);
	lifecycle_flush(l);
	lifecycle_note(l, v);
	version_unref(v);
}

Test(lifecycle, files_that_cannot_be_loaded_are_gone)
{
	struct spool *s = uploads();

	begin(MODELS_CONTROL_EXPLICIT);
	fake.added_ready = false;
	ask_load_with("x", brought(s, 10));
	cr_expect_eq(spool_used(s), 10);
	fail_as_dispatch_does();
	expect(0, LIFECYCLE_FAILED, "model 'x' version 1: no");
	spool_settle(s);
	cr_expect_eq(spool_used(s), 0);
	cr_expect_null(fake_last());
	cr_expect_eq(wishes_count(&l->wishes), 0);
	cr_expect_str_eq(changes(), "", "nobody wants it any more");
	end();
	spool_close(s);
}

/* Callers bring models under as many names as they like. */
Test(lifecycle, nothing_is_left_of_a_name_that_no_repository_has)
{
	const char *names[] = {"x", "a"};
	struct spool *s = uploads();

	begin(MODELS_CONTROL_EXPLICIT);
	ask_load_with("x", brought(s, 10));
	ask_load("a", "");
	cr_expect_eq(wishes_count(&l->wishes), 2);
	for (size_t i = 0; i < 2; i++) {
		struct version *v = version_ref(fake_find(names[i], "1"));

		ask_unload(names[i], "");
		lifecycle_gone(l, v);
		version_unref(v);
		lifecycle_flush(l);
		expect(0, LIFECYCLE_OK, "");
	}
	cr_expect_null(wishes_find(&l->wishes, "x"));
	cr_expect_not_null(wishes_find(&l->wishes, "a"), "of this it is told that it was unloaded");
	end();
	spool_close(s);
}

Test(lifecycle, what_is_served_keeps_its_files_where_others_cannot_be_loaded)
{
	struct spool *s = uploads();

	begin(MODELS_CONTROL_EXPLICIT);
	ask_load_with("x", brought(s, 10));
	expect(0, LIFECYCLE_OK, "");
	fake.added_ready = false;
	ask_load_with("x", brought(s, 20));
	cr_expect_eq(spool_used(s), 30);
	fail_as_dispatch_does();
	expect(0, LIFECYCLE_FAILED, "model 'x' version 1: no");
	spool_settle(s);
	cr_expect_eq(spool_used(s), 10);
	cr_expect_str_eq(changes(), "", "it is what is wanted");
	end();
	spool_close(s);
}

Test(lifecycle, settings_of_a_caller_go_with_what_they_are_of)
{
	begin(MODELS_CONTROL_EXPLICIT);
	ask_load_with("a", overlay_of("max_queue_size", "7"));
	ask_unload("a", "");
	ask_to_refer_with("a", NULL);
	expect(0, LIFECYCLE_OK, "");
	cr_expect_eq(queue_size("a"), 1024);
}

Test(lifecycle, settings_stay_where_a_model_is_evicted_and_comes_back)
{
	settings.max_models = 1;
	settings.load_on_request = true;
	begin(MODELS_CONTROL_EXPLICIT);
	ask_load_with("a", overlay_of("max_queue_size", "7"));
	ask_load_with("b", NULL);
	turn();
	cr_expect_null(fake_find("a", "1"));
	cr_assert(lifecycle_demand(l, "a"));
	turn();
	lifecycle_gone(l, NULL);
	turn();
	cr_assert_not_null(fake_find("a", "1"));
	cr_expect_eq(queue_size("a"), 7);
}

Test(lifecycle, one_load_for_all_who_want_the_same_settings)
{
	fake.added_ready = false;
	begin(MODELS_CONTROL_EXPLICIT);
	ask_to_refer_with("a", overlay_of("max_queue_size", "7"));
	cr_expect_not(callers[0].done);
	for (size_t i = 1; i <= 3; i++) {
		struct overlay *o =
			i == 3 ? NULL : overlay_of("max_queue_size", i == 1 ? "7" : "8");

		lifecycle_load_to_refer(l, "a", "", o, caller(i));
		overlay_unref(o);
	}
	turn();
	expect(2, LIFECYCLE_OTHER, "model 'a' is loaded with other settings than config says");
	fake_last()->ready = fake_last()->declared = true;
	lifecycle_note(l, fake_last());
	turn();
	for (size_t i = 0; i <= 3; i += i == 1 ? 2 : 1)
		expect(i, LIFECYCLE_OK, "");
	cr_expect_str_eq(fake.changes, "add a/1");
}

/* What nobody refers to any more, and nobody else wanted, may get others. */
Test(lifecycle, settings_are_of_those_who_refer_to_a_model)
{
	struct overlay *seven = overlay_of("max_queue_size", "7");

	settings.ttl_ms = 3600000;
	begin(MODELS_CONTROL_EXPLICIT);
	ask_to_refer_with("a", overlay_ref(seven));
	cr_expect(lifecycle_has_settings(l, "a", NULL));
	cr_expect(lifecycle_has_settings(l, "a", seven));
	cr_expect_not(lifecycle_has_settings(l, "b", seven));
	cr_assert_eq(lifecycle_refer(l, "a"), 0);
	ask_to_refer_with("a", overlay_of("max_queue_size", "8"));
	expect(0, LIFECYCLE_OTHER, "model 'a' is loaded with other settings than config says");
	cr_expect_eq(lifecycle_unrefer(l, "a"), 0);
	ask_to_refer_with("a", overlay_of("max_queue_size", "8"));
	cr_expect_not(callers[0].done);
	cr_expect_not(lifecycle_has_settings(l, "a", seven));
	fake_take_over(fake_last());
	lifecycle_note(l, fake_last());
	turn();
	expect(0, LIFECYCLE_OK, "");
	cr_expect_eq(queue_size("a"), 8);
	ask_load_with("b", NULL);
	ask_to_refer_with("b", overlay_ref(seven));
	expect(0, LIFECYCLE_OTHER, "model 'b' is loaded with other settings than config says");
	overlay_unref(seven);
}

/* A change of the settings that is not ready is none. */
Test(lifecycle, settings_that_are_not_in_effect_yet)
{
	struct overlay *seven = overlay_of("max_queue_size", "7");

	begin(MODELS_CONTROL_EXPLICIT);
	ask_load_with("a", NULL);
	ask_load_with("a", overlay_ref(seven));
	cr_expect_not(lifecycle_has_settings(l, "a", seven));
	fake_take_over(fake_last());
	cr_expect(lifecycle_has_settings(l, "a", seven));
	overlay_unref(seven);
}

Test(lifecycle, settings_of_a_caller_that_are_wrong)
{
	begin(MODELS_CONTROL_EXPLICIT);
	ask_load_with("a", overlay_of("devices", "cuda:7"));
	cr_expect_eq(callers[0].code, LIFECYCLE_CONFIG);
	cr_expect(strstr(callers[0].text, "cuda:7"), "%s", callers[0].text);
	ask_load_with("a", overlay_of("spin", "yes"));
	expect(0, LIFECYCLE_CONFIG,
		"config 'spin' = 'yes': means nothing to the model's backend 'builtin'");
	cr_expect_str_eq(fake.changes, "");
	ask_load_with("a", NULL);
	cr_expect_eq(queue_size("a"), 1024);
}

/* In real time. */
Test(lifecycle, what_nobody_refers_to_goes_by_itself)
{
	settings.ttl_ms = 20;
	begin(MODELS_CONTROL_EXPLICIT);
	ask_to_refer("a");
	cr_expect_eq(lifecycle_unrefer(l, "a"), 0);
	while (fake_find("a", "1"))
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_eq(lifecycle_counters(l).evictions, 1);
}

Test(lifecycle, what_nobody_uses_goes_by_itself)
{
	settings.ttl_ms = 20;
	settings.eviction = EVICTION_TTL;
	begin(MODELS_CONTROL_EXPLICIT);
	ask_load("a", "");
	while (fake_find("a", "1"))
		uv_run(&loop, UV_RUN_ONCE);
}

Test(lifecycle, references_where_the_files_say)
{
	begin(MODELS_CONTROL_NONE);
	cr_assert_eq(lifecycle_refer(l, "a"), 0);
	cr_expect_eq(lifecycle_unrefer(l, "a"), 0);
	cr_expect_eq(lifecycle_expire(l, 0).n, 0);
	cr_expect_not(lifecycle_loads_on_request(l));
}
