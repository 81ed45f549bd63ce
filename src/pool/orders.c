/* orders.c: settings as messages to workers. Daemon process, any thread. */
#include "pool/orders.h"

#include "pool/pool.h"
#include "proto/wire.h"

void orders_setup(struct wire_setup *ret_setup, const struct pool_settings *s)
{
	size_t n_dirs = 0;

	while (s->backend_dirs && s->backend_dirs[n_dirs])
		n_dirs++;
	*ret_setup = (struct wire_setup){
		.protocol = WIRE_PROTOCOL,
		.output_bytes = s->output_arena_bytes,
		.output_segment_bytes = s->output_segment_bytes,
		.output_segments = pool_output_segments(s),
		.output_idle_ms = s->output_idle_ms,
		.holds = s->max_holds,
		.output_wait_ms = s->output_wait_ms,
		.scratch_bytes = s->scratch_bytes,
		.output_populate_first = s->output_populate_bytes,
		.slots = s->slots,
		.backend_dirs = s->backend_dirs,
		.n_backend_dirs = n_dirs,
		.settings = s->settings,
		.n_settings = s->n_settings,
		.busy_poll_us = s->busy_poll_us,
	};
}

void orders_load(struct wire_load *ret_load, const struct pool_model_settings *s)
{
	*ret_load = (struct wire_load){
		.name = s->name,
		.version = s->version,
		.path = s->path,
		.backend = s->backend,
		.max_batch_size = s->max_batch_size,
		.parameters = s->parameters,
		.n_parameters = s->n_parameters,
		.priority = s->gpu_priority,
		.warmup_path = s->warmup_path,
		.warmups = s->warmups,
		.n_warmups = s->n_warmups,
	};
}
