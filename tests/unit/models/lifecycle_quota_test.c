/* Tests of lifecycle_quota.c: the host's memory and that of each GPU, and what making room costs. */
#include "base/log.h"
#include "fake_dispatch.h"
#include "models/lifecycle.h"
#include "models/repository.h"
#include "pool/pool.h"
#include "tree.h"

#define MANY 300

static const char *repositories[2] = {root};
static const char *serve[2] = {"*"};
static const char *load[2];
static const struct pool_place places[] = {{"cpu:0", 1}, {"cuda:0", 2}, {"cuda:1", 1}};
static struct models_settings settings;
static struct lifecycle_source source;
static uv_loop_t loop;
static struct lifecycle *l;

static struct {
	struct lifecycle_wait wait;
	enum lifecycle_code code;
	char text[256];
	bool done;
} caller;

static int read_models(void *data, const char *name, bool anew, const struct overlays *overlays,
	struct repository **ret_repository, char *text, size_t cap)
{
	(void)data;
	(void)anew;
	return name ? repository_read_model(ret_repository, &settings, overlays, name, text, cap)
		    : repository_read(ret_repository, &settings, overlays, text, cap);
}

static void setup(void)
{
	log_init(NULL, LOG_LEVEL_ERROR);
	tree_make();
	memset(&fake, 0, sizeof(fake));
	fake.added_ready = true;
	cr_assert_eq(uv_loop_init(&loop), 0);
	put("a/model.conf", "[model]\nbackend = builtin\n");
	put("b/model.conf", "[model]\nbackend = builtin\n");
	put("c/model.conf", "[model]\nbackend = builtin\n");
	settings = (struct models_settings){
		.repositories = repositories,
		.serve = serve,
		.load = load,
		.control = MODELS_CONTROL_EXPLICIT,
		.default_model = "",
		.defaults = {.max_queue_size = 1024, .run_timeout_ms = 60000},
		.places = places,
		.n_places = sizeof(places) / sizeof(places[0]),
	};
	source = (struct lifecycle_source){.read = read_models};
}

static void begin(void)
{
	struct repository *first;
	char text[256];

	cr_assert_eq(lifecycle_new(&l, &loop, &settings, &source, NULL), 0);
	cr_assert_eq(repository_read(&first, &settings, NULL, text, sizeof(text)), 0);
	lifecycle_begin(l, first);
}

static void teardown(void)
{
	lifecycle_forget(&caller.wait);
	lifecycle_stop(l);
	cr_expect_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(uv_loop_close(&loop), 0);
	l = lifecycle_free(l);
	fake_clear();
	cr_expect_eq(fake.n_living, 0, "a reference is left");
	tree_remove();
}

TestSuite(lifecycle_quota, .init = setup, .fini = teardown);

static void turn(void)
{
	while (lifecycle_busy(l))
		uv_run(&loop, UV_RUN_ONCE);
	lifecycle_flush(l);
}

static void on_done(struct lifecycle_wait *w, enum lifecycle_code code, const char *text)
{
	(void)w;
	caller.done = true;
	caller.code = code;
	snprintf(caller.text, sizeof(caller.text), "%s", text);
}

/* Of a model that takes so much. */
static void ask(const char *name, uint64_t host, uint64_t first, uint64_t second)
{
	fake.added_bytes = host;
	fake.added_gpu_bytes[0] = first;
	fake.added_gpu_bytes[1] = second;
	fake.changes[0] = '\0';
	lifecycle_forget(&caller.wait);
	memset(&caller, 0, sizeof(caller));
	caller.wait.on_done = on_done;
	lifecycle_load(l, name, "", NULL, &caller.wait);
	turn();
	turn();
}

static void expect(enum lifecycle_code code, const char *text, const char *changes)
{
	cr_expect(caller.done);
	cr_expect_eq(caller.code, code);
	cr_expect_str_eq(caller.text, text);
	cr_expect_str_eq(fake.changes, changes);
}

Test(lifecycle_quota, each_gpu_for_itself)
{
	settings.max_gpu_memory_bytes = 100;
	begin();
	ask("a", 1000, 90, 0);
	expect(LIFECYCLE_OK, "", "add a/1");
	ask("b", 1000, 0, 90);
	expect(LIFECYCLE_OK, "", "add b/1");
	/* What two GPUs have is not what one may have. */
	ask("c", 1000, 5, 10);
	expect(LIFECYCLE_OK, "", "add c/1");
	cr_expect_eq(fake.n, 3);
}

/* The policy decides between those that would help. */
Test(lifecycle_quota, who_is_on_another_gpu_need_not_go)
{
	settings.max_gpu_memory_bytes = 100;
	begin();
	ask("a", 1000, 60, 0);
	ask("b", 1000, 0, 60);
	ask("c", 1000, 0, 50);
	expect(LIFECYCLE_OK, "", "add c/1 remove b/1");
	ask("b", 1000, 0, 60);
	cr_expect_str_eq(fake.changes, "remove c/1", "it is known what it takes, and where");
}

Test(lifecycle_quota, of_several_reasons_one_after_the_other)
{
	settings.max_memory_bytes = 100;
	settings.max_gpu_memory_bytes = 100;
	begin();
	ask("a", 0, 0, 60);
	ask("b", 90, 0, 0);
	ask("c", 20, 0, 60);
	expect(LIFECYCLE_OK, "", "add c/1 remove b/1 remove a/1");
}

Test(lifecycle_quota, the_gpu_that_has_no_room_is_named)
{
	settings.max_gpu_memory_bytes = 100;
	begin();
	ask("a", 0, 0, 101);
	expect(LIFECYCLE_FULL,
		"model 'a' is not kept: models take 101 bytes on cuda:1, and the limit is 100 "
		"([models] max_gpu_memory_bytes), and none of them may go",
		"add a/1 remove a/1");
	/* And next time ahead of loading it. */
	ask("a", 0, 0, 101);
	expect(LIFECYCLE_FULL,
		"model 'a' is not loaded: models take 0 bytes on cuda:1, this one took 101 when it "
		"was loaded last, and the limit is 100 ([models] max_gpu_memory_bytes), and none "
		"of "
		"them may go",
		"");
}

Test(lifecycle_quota, the_host_is_not_a_gpu)
{
	settings.max_memory_bytes = 100;
	settings.max_gpu_memory_bytes = 1000;
	begin();
	ask("a", 60, 900, 900);
	expect(LIFECYCLE_OK, "", "add a/1");
	ask("b", 60, 0, 0);
	expect(LIFECYCLE_OK, "", "add b/1 remove a/1");
	ask("c", 101, 0, 0);
	cr_expect_eq(caller.code, LIFECYCLE_FULL);
	cr_expect(strstr(caller.text,
			  "bytes on the host, and the limit is 100 ([models] max_memory_bytes)"),
		"%s", caller.text);
}

Test(lifecycle_quota, nobody_goes_for_what_could_never_stay)
{
	settings.max_memory_bytes = 100;
	settings.max_gpu_memory_bytes = 100;
	begin();
	ask("a", 60, 0, 60);
	ask("b", 101, 0, 0);
	expect(LIFECYCLE_FULL,
		"model 'b' is not kept: models take 161 bytes on the host, and the limit is 100 "
		"([models] max_memory_bytes), and none of them may go",
		"add b/1 remove b/1");
	ask("b", 101, 0, 0);
	expect(LIFECYCLE_FULL,
		"model 'b' is not loaded: models take 60 bytes on the host, this one took 101 when "
		"it "
		"was loaded last, and the limit is 100 ([models] max_memory_bytes), and none of "
		"them "
		"may go",
		"");
	ask("c", 0, 0, 101);
	cr_expect_str_eq(fake.changes, "add c/1 remove c/1");
	cr_expect_eq(fake.n, 1);
}

/* One load has all others evicted: each is looked at a few times, not once for each that goes. */
Test(lifecycle_quota, making_room_looks_at_each_model_once)
{
	char path[64];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "m%u/model.conf", i);
		put(path, "[model]\nbackend = builtin\n");
	}
	load[0] = "*";
	fake.added_bytes = 10;
	begin();
	load[0] = NULL;
	cr_assert_eq(fake.n, MANY + 3);
	settings.max_memory_bytes = 100000;
	fake.n_looks = 0;
	fake_last()->memory_bytes = 100000 - 10;
	fake_last()->n_requests = 1;
	lifecycle_note(l, fake_last());
	lifecycle_flush(l);
	cr_expect_eq(fake.n, 2);
	cr_expect_leq(fake.n_looks, 12 * (MANY + 3));
	fake_last()->n_requests = 0;
}
