/* fake_dispatch.c: a dispatch that does what the test says. */
#include "fake_dispatch.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/demand.h"
#include "dispatch/output_share.h"

struct dispatch fake;

static const int64_t any[] = {-1};
static const struct wire_declaration inputs[] = {{.name = "x", .any_shape = true}};
static const struct wire_declaration outputs[] = {
	{.name = "y", .dtype = DTYPE_U8, .rank = 1, .dims = any},
	{.name = "z", .dtype = DTYPE_U8, .rank = 1, .dims = any}};
static const struct wire_loaded declared = {
	.ok = true, .inputs = inputs, .n_inputs = 1, .outputs = outputs, .n_outputs = 2};
static const struct version_settings settings = {.name = "m", .version = "1"};
static uint8_t bytes[256 * 1024];

struct version {
	int unused;
};
static struct version model;

struct client {
	unsigned refs;
};

struct output_lease {
	int unused;
};
static struct output_lease lease;

struct output_lease *output_lease_ref(struct output_lease *l)
{
	fake.n_leased++;
	return l;
}

struct output_lease *output_lease_unref(struct output_lease *l)
{
	fake.n_leased -= l != NULL;
	return NULL;
}

struct pool *dispatch_pool(const struct dispatch *d)
{
	return NULL;
}

void pool_dispose(struct pool *p, int fd)
{
	fake.n_disposed++;
	close_fd(&fd);
}

void fake_init(void)
{
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 251);
	memset(&fake, 0, sizeof(fake));
	list_init(&fake.requests);
	list_init(&fake.held);
	list_init(&fake.demands);
	fake.demand_error = DEMAND_E_NOBODY;
	list_init(&fake.regions);
}

struct request *fake_first_request(void)
{
	struct list *node = list_first(&fake.requests);

	return node ? list_entry(node, struct request, node) : NULL;
}

void fake_run(struct request *r)
{
	r->running = true;
}

static void leave(struct request *r)
{
	list_remove(&r->node);
	r->submitted = false;
	request_unref(r);
}

/* The outputs' bytes begin with the mark. */
static void tell(struct request *r, enum grpc_status status, size_t n, uint64_t length,
	bool partial, uint8_t mark)
{
	struct pool_output results[2];
	struct request_result result = {
		.partial = partial,
		.status = status,
		.message = status == GRPC_OK ? "" : "it failed",
		.outputs = results,
		.n_outputs = status == GRPC_OK ? n : 0,
		.targets = r->targets,
		.n_targets = r->n_targets,
		.lease = &lease,
		.worker = "cpu:0/0",
		.device = "cpu:0",
		.batch_requests = 1,
		.times = {.received_ns = 10,
			.submitted_ns = 20,
			.dispatched_ns = 50,
			.done_ns = clock_ns()},
	};

	assert(mark + length <= sizeof(bytes));
	for (uint32_t i = 0; i < n; i++) {
		results[i] = (struct pool_output){.index = i,
			.dtype = DTYPE_U8,
			.rank = 1,
			.dims = {(int64_t)length},
			.data = bytes + mark,
			.length = length};
		for (uint32_t k = 0; k < r->n_targets; k++) {
			if (r->targets[k].output == i && length <= r->targets[k].length)
				results[i].data = NULL;
		}
	}
	if (r->on_done)
		r->on_done(r->data, &result);
}

void fake_answer(struct request *r, enum grpc_status status, size_t n, uint64_t length)
{
	tell(r, status, n, length, false, 0);
	leave(r);
}

void fake_part(struct request *r, size_t n, uint64_t length, uint8_t mark)
{
	assert(r->partial && r->running);
	tell(r, GRPC_OK, n, length, true, mark);
}

/* --- client.h, version.h, dispatch.h ---------------------------------------------------------- */

/* The tally and the regions are the double itself. */
struct tally *dispatch_tally(struct dispatch *d)
{
	return (struct tally *)d;
}

struct region_desk *dispatch_regions(struct dispatch *d)
{
	return (struct region_desk *)d;
}

int client_new(struct client **ret_client, struct tally *t)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	((struct dispatch *)t)->n_clients++;
	*ret_client = c;
	return 0;
}

struct client *client_unref(struct client *c)
{
	if (c)
		fake.n_clients--;
	free(c);
	return NULL;
}

struct version *dispatch_find_version(struct dispatch *d, const char *name, size_t n)
{
	return n == 1 && name[0] == 'm' && !fake.absent ? &model : NULL;
}

const struct version_settings *version_settings(const struct version *m)
{
	return &settings;
}

const struct wire_loaded *version_declared(const struct version *m)
{
	return fake.undeclared ? NULL : &declared;
}

int version_find_input(const struct version *m, const char *name, uint32_t *ret_index)
{
	*ret_index = 0;
	return strcmp(name, "x") ? -ENOENT : 0;
}

int version_find_output(const struct version *m, const char *name, uint32_t *ret_index)
{
	*ret_index = name[0] == 'z';
	return strcmp(name, "y") && strcmp(name, "z") ? -ENOENT : 0;
}

int dispatch_submit(struct dispatch *d, struct request *r)
{
	if (d->refusal != GRPC_OK)
		return DISPATCH_E_REFUSED;
	r->refs++;
	r->submitted = true;
	list_push_back(&d->requests, &r->node);
	return 0;
}

/* --- request.h -------------------------------------------------------------------------------- */

int request_new(struct request **ret_request, struct version *m, const struct origin *origin,
	request_done_fn on_done, void *data)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->refs = 1;
	r->deadline_ns = origin->deadline_ns;
	snprintf(r->traceparent, sizeof(r->traceparent), "%s", origin->traceparent);
	snprintf(r->tracestate, sizeof(r->tracestate), "%s", origin->tracestate);
	r->on_done = on_done;
	r->data = data;
	list_init(&r->node);
	fake.n_requests++;
	*ret_request = r;
	return 0;
}

struct request *request_unref(struct request *r)
{
	if (!r || --r->refs > 0)
		return NULL;
	region_unref(r->input.region);
	while (r->n_targets > 0)
		region_unref(r->targets[--r->n_targets].region);
	fake.n_requests--;
	free(r);
	return NULL;
}

void request_allow_partial(struct request *r)
{
	r->partial = true;
}

bool output_share_over(const struct client *c)
{
	return fake.over_share;
}

struct request_input *request_input(struct request *r, uint32_t index)
{
	return index == 0 && !fake.undeclared ? &r->input : NULL;
}

int request_want_output(struct request *r, uint32_t index)
{
	if (r->n_wanted & 1u << index)
		return -EEXIST;
	r->n_wanted |= 1u << index;
	return 0;
}

int request_set_target(
	struct request *r, uint32_t output, struct region *region, uint64_t offset, uint64_t length)
{
	for (uint32_t i = 0; i < r->n_targets; i++) {
		if (r->targets[i].output == output)
			return -EEXIST;
	}
	r->targets[r->n_targets++] =
		(struct request_target){output, region_ref(region), offset, length};
	return 0;
}

const struct request_target *request_result_target(
	const struct request_result *result, const struct pool_output *output)
{
	for (size_t i = 0; !output->data && i < result->n_targets; i++) {
		if (result->targets[i].output == output->index)
			return &result->targets[i];
	}
	return NULL;
}

int request_add_parameter(struct request *r, const char *key, const char *value)
{
	if (r->n_parameters >= WIRE_PAIRS_MAX)
		return -E2BIG;
	r->n_parameters++;
	return 0;
}

enum grpc_status request_status(const struct request *r)
{
	return fake.refusal;
}

const char *request_message(const struct request *r)
{
	return "refused by dispatch";
}

int dispatch_hold(struct dispatch *d, struct request *r, void (*on_end)(void *data))
{
	if (!d->holds || !d->undeclared)
		return DISPATCH_E_NOT_HELD;
	r->refs++;
	r->on_end = on_end;
	list_push_back(&d->held, &r->node);
	return 0;
}

struct demand {
	struct list node;
	struct demand_wish wish;
};

int dispatch_demand(struct dispatch *d, const struct demand_wish *wish, struct demand **ret_demand)
{
	struct demand *new = d->demand_error ? NULL : calloc(1, sizeof(*new));

	if (!new)
		return d->demand_error ? d->demand_error : -ENOMEM;
	new->wish = *wish;
	list_push_back(&d->demands, &new->node);
	*ret_demand = new;
	return 0;
}

struct demand *demand_free(struct demand *d)
{
	if (d)
		list_remove(&d->node);
	free(d);
	return NULL;
}

void fake_end_demands(enum grpc_status status, const char *text)
{
	struct list *node;

	while ((node = list_first(&fake.demands))) {
		struct demand_wish wish = list_entry(node, struct demand, node)->wish;

		demand_free(list_entry(node, struct demand, node));
		wish.on_end(wish.data, status, text);
	}
}

void fake_end_holds(void)
{
	struct list *node;

	while ((node = list_first(&fake.held))) {
		struct request *r = list_entry(node, struct request, node);
		void (*on_end)(void *data) = r->on_end;
		void *data = r->data;

		list_remove(node);
		r->on_end = NULL;
		request_unref(r);
		on_end(data);
	}
}

void request_cancel(struct request *r)
{
	if (r->on_end) {
		r->on_end = NULL;
		fake.n_cancelled++;
		list_remove(&r->node);
		request_unref(r);
		return;
	}
	if (!r->submitted)
		return;
	fake.n_cancelled++;
	r->on_done = NULL;
	if (!r->running)
		leave(r);
}

bool request_withdraw(struct request *r)
{
	r->withdrawn = true;
	if (r->running)
		return false;
	request_cancel(r);
	return true;
}

/* --- region.h --------------------------------------------------------------------------------- */

int region_new(struct region **ret_region, struct region_desk *k, int fd, uint64_t size,
	bool writable, void (*on_gone)(void *data, int fd), void *data)
{
	struct dispatch *d = (struct dispatch *)k;
	struct region *r = malloc(sizeof(*r));

	if (!r) {
		close(fd);
		return -ENOMEM;
	}
	*r = (struct region){.dispatch = d,
		.refs = 1,
		.fd = fd,
		.size = size,
		.writable = writable,
		.on_gone = on_gone,
		.data = data};
	list_init(&r->node);
	list_push_back(&d->regions, &r->node);
	d->n_regions++;
	*ret_region = r;
	return 0;
}

int region_new_exported(struct region **ret_region, struct region_desk *k, const char *device,
	int fd, uint64_t size, bool writable, void (*on_gone)(void *data, int fd), void *data)
{
	int e = region_new(ret_region, k, fd, size, writable, on_gone, data);

	if (!e)
		(*ret_region)->device = device;
	return e;
}

int region_try(struct region *r, void (*on_tried)(void *data, int e, const char *why))
{
	if (fake.no_worker)
		return -ENODEV;
	r->on_tried = on_tried;
	return 0;
}

const char *region_device(const struct region *r)
{
	return r->device;
}

void fake_end_tries(int e, const char *why)
{
	list_for_each (&fake.regions, node) {
		struct region *r = list_entry(node, struct region, node);
		void (*on_tried)(void *data, int e, const char *why) = r->on_tried;

		r->on_tried = NULL;
		if (on_tried && r->refs > 0)
			on_tried(r->data, e, why);
	}
}

const char *pool_find_gpu(const struct pool *p, const char *gpu)
{
	return !strcmp(gpu, "0") || !strcmp(gpu, "GPU-1") ? "cuda:0" : NULL;
}

struct region *region_ref(struct region *r)
{
	r->refs++;
	return r;
}

struct region *region_unref(struct region *r)
{
	if (r)
		r->refs--;
	return NULL;
}

void *region_data(const struct region *r)
{
	return r->data;
}

void fake_regions_gone(void)
{
	list_for_each (&fake.regions, node) {
		struct region *r = list_entry(node, struct region, node);

		if (r->refs > 0)
			continue;
		list_remove(&r->node);
		r->on_gone(r->data, steal_fd(&r->fd));
		fake.n_regions--;
		free(r);
	}
}
