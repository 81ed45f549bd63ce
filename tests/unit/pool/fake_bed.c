/* fake_bed.c: see fake_bed.h. */
#include "fake_bed.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "fake_worker.h"

#define INPUT_BYTES (64 * 1024)

static void on_watchdog(uv_timer_t *t)
{
	cr_assert_fail("nothing has happened for 30 s");
}

/* Something came back: whoever waits is to look at once, even where the loop would sleep now. */
static void note(struct bed *b)
{
	cr_assert(!b->inside);
	uv_stop(&b->loop);
}

static void keep(struct bed *b, const struct pool_result *r)
{
	if (b->keep_leases && r->lease)
		b->leases[b->n_leases++] = output_lease_ref(r->lease);
}

static void on_partial(void *data, void *tag, const struct pool_partial *partial)
{
	struct bed *b = data;
	const struct pool_result *r = partial->result;

	note(b);
	b->events[b->n_events++ % BED_EVENTS] =
		(struct bed_event){.what = partial->last ? 'e' : 'p',
			.tag = (intptr_t)tag,
			.length = r->outputs[0].length,
			.data = r->outputs[0].data,
			.compute_ns = partial->compute_ns};
	keep(b, r);
}

static void on_done(void *data, void *tag, const struct pool_done *done)
{
	struct bed *b = data;
	struct bed_event *e = &b->events[b->n_events++ % BED_EVENTS];
	const struct pool_result *r = &done->results[0];

	note(b);
	*e = (struct bed_event){
		.what = 'd', .tag = (intptr_t)tag, .code = r->code, .compute_ns = done->compute_ns};
	snprintf(e->message, sizeof(e->message), "%s", r->message);
	if (r->n_outputs > 0) {
		e->length = r->outputs[0].length;
		e->data = r->outputs[0].data;
	}
	keep(b, r);
	if (b->run_again > 0) {
		b->run_again--;
		cr_assert_eq(bed_run(b, done->worker->index, 0, (intptr_t)tag + 1, 16), 0);
	}
}

static void on_lost(void *data, void *tag, struct worker *w, enum lost how)
{
	struct bed *b = data;

	note(b);
	b->events[b->n_events % BED_EVENTS] =
		(struct bed_event){.what = "sgib"[how], .tag = (intptr_t)tag};
	snprintf(b->events[b->n_events++ % BED_EVENTS].message, sizeof(b->events->message), "%s",
		worker_loss(w));
}

static void on_credit(void *data)
{
	struct bed *b = data;

	note(b);
	b->n_credit++;
}

static void on_model(void *data, void *owner)
{
	struct bed *b = data;

	note(b);
	b->n_model++;
}

static void on_model_gone(void *data, void *owner)
{
	struct bed *b = data;
	struct pool_model **at = owner;

	note(b);
	b->n_models_gone++;
	*at = pool_model_free(*at);
}

static void on_started(void *data)
{
	struct bed *b = data;

	note(b);
	b->n_started++;
}

static void on_drained(void *data)
{
	struct bed *b = data;

	note(b);
	b->n_drained++;
}

const struct pool_events bed_events = {
	.on_done = on_done,
	.on_partial = on_partial,
	.on_lost = on_lost,
	.on_credit = on_credit,
	.on_model = on_model,
	.on_model_gone = on_model_gone,
	.on_started = on_started,
	.on_drained = on_drained,
};

static void add_models(struct bed *b, const char *names)
{
	char *list = strdup(names);
	char *rest = list;

	for (char *name; (name = strsep(&rest, " "));) {
		b->models[b->n_models++] = (struct pool_model_settings){.name = strdup(name),
			.version = "1",
			.path = "/nowhere",
			.backend = "builtin",
			.max_batch_size = UINT32_MAX,
			.run_timeout_ms = 20000};
	}
	free(list);
}

void bed_init(struct bed *b, const char *script, const char *names)
{
	static const char *const dirs[] = {"/nowhere", NULL};
	struct segment_options o = {.name = "input", .size = INPUT_BYTES};

	memset(b, 0, sizeof(*b));
	log_init(NULL, getenv("BED_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	setenv(FAKE_WORKER_VARIABLE, script, 1);
	cr_assert_eq(uv_loop_init(&b->loop), 0);
	uv_timer_init(&b->loop, &b->watchdog);
	uv_timer_start(&b->watchdog, on_watchdog, 30000, 0);
	cr_assert_eq(segment_new(&b->arena, &o), 0);
	segment_set_id(b->arena, FAKE_INPUT_ARENA);
	cr_assert_eq(segment_alloc(b->arena, INPUT_BYTES / 2, &b->input), 0);
	for (size_t i = 0; i < INPUT_BYTES / 2; i++)
		((uint8_t *)segment_data(b->arena, &b->input))[i] = (uint8_t)(i * 7);
	add_models(b, names);
	b->places[0] = (struct pool_place){"cpu:0", 1};
	b->settings = (struct pool_settings){
		.worker_program = "/proc/self/exe",
		.backend_dirs = dirs,
		.places = b->places,
		.n_places = 1,
		.slots = 2,
		.output_arena_bytes = 64 * 1024,
		.output_segment_bytes = 64 * 1024,
		.max_holds = 256,
		.start_timeout_ms = 20000,
		.load_timeout_ms = 20000,
		.heartbeat_interval_ms = 10000,
		.heartbeat_timeout_ms = 10000,
		.drain_timeout_ms = 20000,
		.backoff_max_ms = 1,
		.breaker_crashes = 100,
		.breaker_window_ms = 60000,
		.breaker_cooldown_ms = 60000,
	};
}

int bed_make(struct bed *b)
{
	int r = pool_new(&b->pool, &b->loop, &b->settings, &bed_events, b);

	if (!r)
		r = pool_memory_new(&b->memory, b->pool, FAKE_INPUT_ARENA, segment_fd(b->arena),
			segment_size(b->arena), false, NULL, NULL);

	for (size_t i = 0; !r && i < b->n_models; i++)
		r = pool_model_new(&b->pm[i], b->pool, &b->models[i], &b->pm[i]);
	return r;
}

void bed_add(struct bed *b, size_t i)
{
	b->inside = true;
	cr_assert_eq(pool_model_new(&b->pm[i], b->pool, &b->models[i], &b->pm[i]), 0);
	b->inside = false;
}

void bed_add_named(struct bed *b, const char *name)
{
	size_t i = b->n_models++;

	b->models[i] = b->models[0];
	b->models[i].name = strdup(name);
	bed_add(b, i);
}

void bed_retire(struct bed *b, size_t i)
{
	b->inside = true;
	pool_model_retire(b->pm[i]);
	b->inside = false;
}

void bed_start(struct bed *b)
{
	cr_assert_eq(bed_make(b), 0);
	b->inside = true;
	cr_assert_eq(pool_start(b->pool), 0);
	b->inside = false;
}

void bed_up(struct bed *b)
{
	bed_start(b);
	bed_wait(b, b->n_started == 1);
}

void bed_free_pool(struct bed *b)
{
	for (size_t i = 0; i < b->n_models; i++)
		b->pm[i] = pool_model_free(b->pm[i]);
	pool_memory_drop(b->memory);
	b->memory = NULL;
	b->pool = pool_free(b->pool);
}

void bed_free(struct bed *b)
{
	for (size_t i = 0; i < b->n_leases; i++)
		output_lease_unref(b->leases[i]);
	bed_free_pool(b);
	uv_close((uv_handle_t *)&b->watchdog, NULL);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&b->loop), 0);
	b->arena = segment_free(b->arena);
	for (size_t i = 0; i < b->n_models; i++)
		free((char *)b->models[i].name);
	/* No child, not even a zombie. */
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
	cr_assert_eq(errno, ECHILD);
}

void bed_end(struct bed *b)
{
	b->inside = true;
	pool_kill(b->pool);
	b->inside = false;
	bed_wait(b, b->n_drained == 1);
	bed_free(b);
}

void bed_drain_end(struct bed *b)
{
	b->inside = true;
	pool_drain(b->pool);
	b->inside = false;
	bed_wait(b, b->n_drained == 1);
	bed_free(b);
}

void bed_turn(struct bed *b)
{
	if (b->pool)
		pool_flush(b->pool);
	uv_run(&b->loop, UV_RUN_ONCE);
}

struct worker *bed_worker(struct bed *b, size_t i)
{
	return pool_worker(b->pool, i);
}

int bed_run(struct bed *b, size_t worker, uint32_t model, intptr_t tag, uint64_t n)
{
	const int64_t dims[] = {(int64_t)n};
	const uint32_t wanted = 0;
	struct wire_tensor in = {
		.dtype = DTYPE_U8, .rank = 1, .dims = dims, .span = span_slice(b->input, 0, n)};
	struct wire_item item = {.inputs = &in, .n_inputs = 1, .outputs = &wanted, .n_outputs = 1};
	bool inside = b->inside;
	int r;

	b->inside = true;
	r = worker_run(bed_worker(b, worker), &(struct pool_batch){.model = b->pm[model],
						      .items = &item,
						      .n_items = 1,
						      .expect_ns = 1000,
						      .now_ns = clock_ns(),
						      .tag = (void *)tag});
	b->inside = inside;
	return r;
}
