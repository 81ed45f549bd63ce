/* fake_bed.c: a dispatch on the fake pool. */
#include "fake_bed.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static const int64_t rows_by_4[] = {-1, 4};
static const int64_t two_by_any[] = {2, -1};
static const struct wire_declaration batched_input[] = {
	{.name = "x", .dtype = DTYPE_I32, .rank = 2, .dims = rows_by_4}};
static const struct wire_declaration batched_output[] = {
	{.name = "y", .dtype = DTYPE_I32, .rank = 2, .dims = rows_by_4}};
static const struct wire_declaration gamma_inputs[] = {
	{.name = "a", .dtype = DTYPE_INVALID, .any_shape = true},
	{.name = "b", .dtype = DTYPE_F32, .rank = 2, .dims = two_by_any}};
static const struct wire_declaration gamma_outputs[] = {
	{.name = "y", .any_shape = true}, {.name = "z", .any_shape = true}};

static const struct wire_loaded declared[BED_MODELS] = {
	{.ok = true,
		.inputs = batched_input,
		.n_inputs = 1,
		.outputs = batched_output,
		.n_outputs = 1,
		.max_batch_size = 8},
	{.ok = true,
		.inputs = batched_input,
		.n_inputs = 1,
		.outputs = batched_output,
		.n_outputs = 1,
		.max_batch_size = 8},
	{.ok = true,
		.inputs = gamma_inputs,
		.n_inputs = 2,
		.outputs = gamma_outputs,
		.n_outputs = 2},
};

static void on_version(void *data, struct version *v)
{
	((struct bed *)data)->version_events++;
}

static bool on_demand(void *data, const char *name)
{
	struct bed *b = data;
	size_t n = strlen(b->demanded);

	snprintf(b->demanded + n, sizeof(b->demanded) - n, "%s ", name);
	return b->offers;
}

static void on_started(void *data)
{
	((struct bed *)data)->started++;
}

static void on_drained(void *data)
{
	((struct bed *)data)->drained++;
}

void bed_init(struct bed *b)
{
	static const char *const names[BED_MODELS] = {"alpha", "beta", "gamma"};

	log_init(NULL, LOG_LEVEL_ERROR);
	memset(b, 0, sizeof(*b));
	b->place = (struct pool_place){"cpu:0", 1};
	b->pool_settings = (struct pool_settings){.places = &b->place, .n_places = 1, .slots = 2};
	b->settings = (struct dispatch_settings){
		.arena = {.name = "test",
			.limit = 1 << 20,
			.segment_bytes = 1 << 20,
			.idle_ns = UINT64_C(30000000000)},
		.max_requests_per_client = 64,
		.max_state_bytes = 1 << 20,
		.retry_wait_ms = 20,
		.default_model = "alpha",
		.default_max_batch_size = 16,
	};
	for (size_t i = 0; i < BED_MODELS; i++)
		b->models[i] = (struct version_settings){
			.name = names[i],
			.version = "1",
			.path = "/nowhere",
			.backend = "builtin",
			.max_batch_size = UINT32_MAX,
			.max_queue_size = 32,
			.stateful = i == 1,
		};
}

int bed_open(struct bed *b)
{
	static const struct dispatch_events events = {.on_version = on_version,
		.on_demand = on_demand,
		.on_started = on_started,
		.on_drained = on_drained};
	int r = uv_loop_init(&b->loop);

	assert(r == 0);
	r = dispatch_new(&b->d, &b->loop, &b->settings, b->models, BED_MODELS, &b->pool_settings,
		&events, b);
	if (!r)
		r = client_new(&b->client, dispatch_tally(b->d));
	b->origin = (struct origin){.client = b->client, .deadline_ns = CLOCK_NO_DEADLINE};
	if (r)
		return r;
	b->pool = dispatch_pool(b->d);
	b->alpha = dispatch_version(b->d, 0);
	b->beta = dispatch_version(b->d, 1);
	b->gamma = dispatch_version(b->d, 2);
	return 0;
}

void bed_start(struct bed *b)
{
	int r = dispatch_start(b->d);

	assert(r == 0);
	for (uint32_t i = 0; i < BED_MODELS; i++)
		fake_declare(b->pool, i, &declared[i]);
	fake_start(b->pool);
}

void bed_expect(struct bed *b, uint64_t compute_ns)
{
	struct version *const all[] = {b->alpha, b->beta, b->gamma};

	for (size_t i = 0; i < BED_MODELS; i++) {
		all[i]->work->compute_ns = compute_ns;
		all[i]->work->batches_timed = compute_ns > 0;
	}
}

void bed_up(struct bed *b)
{
	int r = bed_open(b);

	assert(r == 0);
	bed_start(b);
	bed_expect(b, 1500 * NS_PER_US);
}

void bed_close(struct bed *b)
{
	if (b->d) {
		client_unref(b->client);
		dispatch_kill(b->d);
		if (b->pool)
			fake_drained(b->pool);
		while (b->pool && !b->drained)
			uv_run(&b->loop, UV_RUN_ONCE);
		dispatch_free(b->d);
	}
	uv_run(&b->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&b->loop))
		abort();
}

void bed_on_done(void *data, const struct request_result *result)
{
	struct answer *a = data;

	if (result->partial) {
		assert(a->n == 0 && result->status == GRPC_OK && result->lease);
		a->n_partial++;
		if (a->partial_hook)
			a->partial_hook(a);
		return;
	}
	a->n++;
	a->status = result->status;
	snprintf(a->message, sizeof(a->message), "%s", result->message);
	snprintf(a->worker, sizeof(a->worker), "%s", result->worker);
	a->batch_requests = result->batch_requests;
	a->n_outputs = result->n_outputs;
	a->times = result->times;
	if (a->take)
		a->keep = output_lease_ref(result->lease);
	if (a->hook)
		a->hook(a);
}

void bed_decouple(struct bed *b)
{
	static struct wire_loaded loaded;

	loaded = declared[0];
	loaded.max_batch_size = 0;
	loaded.decoupled = true;
	b->pool->loaded[0] = &loaded;
}

int bed_fill(struct bed *b, struct request *r, uint32_t index, enum dtype dtype, uint32_t rank,
	const int64_t *dims, uint64_t length)
{
	struct request_input *in = request_input(r, index);
	int e = lease_new(&in->lease, dispatch_desk(b->d), r->client, length, 0);

	if (e)
		return e;
	in->dtype = dtype;
	in->rank = rank;
	for (uint32_t i = 0; i < rank && i < TENSOR_RANK_MAX; i++)
		in->dims[i] = dims[i];
	in->length = length;
	memset(lease_data(in->lease), 0, length);
	return 0;
}

struct request *bed_request(struct bed *b, struct version *m, struct client *c, int64_t rows,
	uint64_t deadline_ns, struct answer *a)
{
	const struct origin origin = {
		.client = c, .deadline_ns = deadline_ns ? deadline_ns : CLOCK_NO_DEADLINE};
	const int64_t dims[] = {rows, 4};
	struct request *r;

	a->bed = b;
	if (request_new(&r, m, &origin, bed_on_done, a))
		return NULL;
	if (bed_fill(b, r, 0, DTYPE_I32, 2, dims, rows > 0 ? (uint64_t)rows * 16 : 0))
		return request_unref(r);
	return r;
}

struct request *bed_submit_by(
	struct bed *b, struct version *m, struct client *c, int64_t rows, struct answer *a)
{
	struct request *r = bed_request(b, m, c, rows, 0, a);
	int e = dispatch_submit(b->d, r);

	assert(e == 0);
	return r;
}

struct request *bed_submit(struct bed *b, struct version *m, struct answer *a)
{
	return bed_submit_by(b, m, b->client, 1, a);
}

void bed_turn(struct bed *b)
{
	dispatch_schedule(b->d);
}

void bed_wait(struct bed *b, const struct answer *a)
{
	for (;;) {
		dispatch_schedule(b->d);
		if (a->n > 0)
			return;
		uv_run(&b->loop, UV_RUN_ONCE);
	}
}
