/* roster.c: the workers of a pool, made once. Daemon process, loop thread. */
#include "pool/roster.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/own.h"
#include "pool/pool_private.h"
#include "pool/recycle.h"
#include "pool/worker_private.h"

static uint32_t device_index(struct pool *p, const char *device)
{
	for (size_t i = 0; i < p->n_devices; i++) {
		assert(p->devices[i]);
		if (!strcmp(p->devices[i], device))
			return (uint32_t)i;
	}
	p->devices[p->n_devices] = device;
	return (uint32_t)p->n_devices++;
}

static int make_shared(struct pool *p, uint32_t device, uint32_t *numbers)
{
	uint32_t index = (uint32_t)p->n_all++;
	char name[16];

	snprintf(name, sizeof(name), "%" PRIu32, numbers[device]++);
	p->workers[index].column = index;
	return worker_init(&p->workers[index], p, index, p->devices[device], device, name);
}

static int make_place(struct pool *p, const struct pool_place *place, uint32_t *numbers)
{
	uint32_t device = device_index(p, place->device);
	int r = 0;

	for (uint32_t i = 0; i < place->count && !r; i++)
		r = make_shared(p, device, numbers);
	return r;
}

/* One a device, where another one may be replaced. */
static int make_resting(struct pool *p, uint32_t *numbers)
{
	int r = 0;

	for (uint32_t k = 0; k < p->n_devices && recycle_is_on(p->settings) && !r; k++) {
		p->workers[p->n_all].resting = true;
		r = make_shared(p, k, numbers);
	}
	return r;
}

/* One a device, behind those that serve. */
static int make_trials(struct pool *p)
{
	int r = 0;

	for (uint32_t k = 0; k < p->n_devices && !r; k++) {
		struct worker *t = &p->workers[p->n_all];

		t->trial = true;
		t->column = (uint32_t)p->n_shared + k;
		r = worker_init(t, p, (uint32_t)p->n_all++, p->devices[k], k, "trial");
	}
	return r;
}

int roster_make(struct pool *p)
{
	const struct pool_settings *s = p->settings;
	_cleanup_(freep) uint32_t *numbers = calloc(s->n_places + 1, sizeof(*numbers));
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < s->n_places; i++)
		n += s->places[i].count;
	p->devices = calloc(s->n_places + 1, sizeof(*p->devices));
	p->workers = calloc(n + s->max_model_workers + 2 * s->n_places + 1, sizeof(*p->workers));
	if (!numbers || !p->devices || !p->workers)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_places && !r; i++)
		r = make_place(p, &s->places[i], numbers);
	if (!r)
		r = make_resting(p, numbers);
	if (r)
		return r;
	p->n_shared = p->n_workers = p->n_all;
	own_make(p);
	return make_trials(p);
}

void roster_free(struct pool *p)
{
	for (size_t i = 0; i < p->n_all; i++)
		worker_deinit(&p->workers[i]);
	free(p->workers);
	free(p->devices);
}
