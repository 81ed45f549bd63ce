/* link.c: requests by libmodeld. */
#include "tests/gpu/check/link.h"

#include <string.h>

#include "base/clock.h"

bool link_open(struct link *l, const struct daemon *d, const char *model, size_t bytes)
{
	const struct modeld_options options = {.handoff = d->handoff};

	*l = (struct link){.model = model, .in_bytes = bytes, .out_bytes = bytes};
	l->type = MODELD_U8;
	l->rank = 1;
	l->dims[0] = (int64_t)bytes;
	if (modeld_connect(&l->m, &options, &l->error))
		return false;
	if (modeld_allocate(l->m, 2 * LINK_DEPTH * (bytes + 4096), &l->region, &l->error))
		return false;
	return true;
}

bool link_open_mlp(struct link *l, const struct daemon *d, const char *model, unsigned rows)
{
	if (!link_open(l, d, model, rows * 64 * sizeof(float)))
		return false;
	l->type = MODELD_F32;
	l->rank = 2;
	l->dims[0] = rows;
	l->dims[1] = 64;
	l->out_bytes = rows * 10 * sizeof(float);
	return true;
}

void link_close(struct link *l)
{
	modeld_release(l->region);
	modeld_close(l->m);
}

uint64_t link_place(const struct link *l, unsigned slot, bool out)
{
	return (2 * slot + out) * ((l->in_bytes + 4095) / 4096 * 4096);
}

unsigned char *link_data(const struct link *l, unsigned slot, bool out)
{
	return (unsigned char *)modeld_region_data(l->region) + link_place(l, slot, out);
}

static int link_submit(struct link *l, unsigned slot, struct modeld_call **ret_call)
{
	struct modeld_tensor input = {.type = l->type, .rank = l->rank, .region = l->region};
	struct modeld_target target = {.region = l->region};
	struct modeld_request request = {.model = l->model,
		.inputs = &input,
		.n_inputs = 1,
		.targets = &target,
		.n_targets = 1};

	memcpy(input.dims, l->dims, sizeof(l->dims));
	input.offset = link_place(l, slot, false);
	input.bytes = l->in_bytes;
	target.offset = link_place(l, slot, true);
	target.bytes = l->out_bytes;
	return modeld_submit(l->m, &request, ret_call, &l->error);
}

static int link_await(struct link *l, struct modeld_call *call)
{
	struct modeld_result *result = NULL;
	int r = modeld_wait(call, UINT64_MAX, &result, &l->error);

	modeld_result_free(result);
	return r;
}

int link_infer(struct link *l, unsigned slot)
{
	struct modeld_call *call;
	int r = link_submit(l, slot, &call);

	return r ? r : link_await(l, call);
}

static bool run(void *data)
{
	return !link_infer(data, 0);
}

double link_latency_us(struct link *l, struct check *c)
{
	return check_latency_us(c, run, l);
}

double link_rate(struct link *l, const struct check *c)
{
	struct modeld_call *calls[LINK_DEPTH];
	uint64_t start_ns = clock_ns(), now_ns = start_ns, n = 0;

	for (unsigned i = 0; i < LINK_DEPTH; i++) {
		if (link_submit(l, i, &calls[i]))
			return 0;
	}
	while (now_ns - start_ns < c->measure_ns) {
		unsigned i = n++ % LINK_DEPTH;

		if (link_await(l, calls[i]) || link_submit(l, i, &calls[i]))
			return 0;
		now_ns = clock_ns();
	}
	for (unsigned i = 0; i < LINK_DEPTH; i++)
		(void)link_await(l, calls[i]);
	return (double)n / ((double)(now_ns - start_ns) / 1e9);
}
