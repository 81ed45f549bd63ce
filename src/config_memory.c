/*
 * config_memory.c: limits of memory that say "auto": as much as a large machine should need, and no more than its share
 * of a small one, so that what clients may make us hold fits beside the models. A control group's limit counts as the
 * machine (base/machine.h).
 *
 * Of all memory, an eighth for inputs, an eighth for the outputs of all workers, a half for the regions of local
 * clients; a quarter stays for models and programs.
 */
#include "config_private.h"

#include <inttypes.h>
#include <stdio.h>

#define MIB UINT64_C(1048576)
#define GIB (MIB * 1024)

struct limit {
	const char *section;
	const char *name;
	uint64_t *value;
	uint64_t share;
	uint64_t most;
};

/* Whole MiB, at least one. */
static uint64_t bounded(const struct limit *l)
{
	uint64_t bytes = l->share < l->most ? l->share : l->most;

	return bytes < MIB ? MIB : bytes - bytes % MIB;
}

static int resolve(struct config *c, const struct limit *l)
{
	char text[32];

	if (*l->value != CONFIG_AUTO)
		return 0;
	*l->value = bounded(l);
	if (*l->value % GIB)
		snprintf(text, sizeof(text), "%" PRIu64 "M", *l->value / MIB);
	else
		snprintf(text, sizeof(text), "%" PRIu64 "G", *l->value / GIB);
	return config_show(c, l->section, l->name, text);
}

int config_resolve_memory(struct config *c, uint64_t machine_bytes)
{
	uint64_t n_workers = config_n_workers(c);
	uint64_t all = machine_bytes > 0 ? machine_bytes : UINT64_MAX / 2;
	const struct limit limits[] = {
		{"memory", "input_arena_bytes", &c->dispatch.arena.limit, all / 8, GIB},
		{"worker", "output_arena_bytes", &c->pool.output_arena_bytes,
			all / 8 / (n_workers > 0 ? n_workers : 1), GIB},
		{"handoff", "shm_total_bytes", &c->handoff.shm_total_bytes, all / 2, 10 * GIB},
		{"handoff", "user_bytes", &c->handoff.user_bytes, all / 2, 10 * GIB},
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]) && !r; i++)
		r = resolve(c, &limits[i]);
	return r;
}
