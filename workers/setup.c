/*
 * setup.c: from a Setup message to a worker that can load models. Worker process, the leader, once.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "shm/arena.h"
#include "workers/loop_private.h"
#include "workers/run.h"

/* Of the output arena, populated ahead of use at most. */
#define AHEAD_BYTES (UINT64_C(16) << 20)

static int check(struct loop *l, const struct wire_setup *s)
{
	if (s->protocol != WIRE_PROTOCOL) {
		log_error("daemon and worker are of different builds",
			"daemon_protocol=%" PRIu32 " worker_protocol=%u", s->protocol,
			WIRE_PROTOCOL);
		return loop_stop(l, WORKER_EXIT_CONFIG, "protocol version");
	}
	if (s->slots == 0 || s->input_arena == 0 || s->output_arena == 0 ||
		s->input_arena == s->output_arena ||
		((s->input_arena | s->output_arena) & WIRE_REGION_BIT))
		return loop_stop(l, WORKER_EXIT_INTERNAL, "setup names no slots or bad arenas");
	return 0;
}

static int device_failed(struct loop *l, const char *name, const char *why, int r)
{
	if (r == -ENODEV || r == -EINVAL) {
		log_error("no such device here",
			"worker=%s device=%s reason=\"%s\" hint=\"[worker] workers\"", loop_name(l),
			name, why);
		return loop_stop(l, WORKER_EXIT_CONFIG, "device");
	}
	if (r < 0)
		return r;
	log_error("the device cannot be used", "worker=%s device=%s reason=\"%s\"", loop_name(l),
		name, why);
	return loop_stop(l,
		device_class(r) == DEVICE_E_LOST ? WORKER_EXIT_DEVICE_LOST
						 : WORKER_EXIT_DEVICE_UNUSABLE,
		"device");
}

static void log_opened(const struct loop *l, const char *name)
{
	const struct device_info *info = &l->device->info;
	struct device_memory memory = {0};

	if (device_memory(l->device, &memory) || device_is_host(l->device))
		return;
	log_info("device opened",
		"worker=%s device=%s name=\"%s\" uuid=%s bus=%s total_bytes=%" PRIu64
		" free_bytes=%" PRIu64 " inputs=%s",
		loop_name(l), name, info->name, info->uuid, info->bus, memory.total_bytes,
		memory.free_bytes, info->reads_read_only ? "pinned" : "staged");
}

static int open_device(struct loop *l, const char *name)
{
	char why[DEVICE_TEXT_MAX];
	int r = device_open(&l->device, name, why);

	if (r)
		return device_failed(l, name, why, r);
	log_opened(l, name);
	return pinned_new(&l->pinned, l->device);
}

int loop_pin_memory(struct loop *l, void *data, uint64_t bytes, enum device_access access)
{
	int r = pinned_add(l->pinned, data, bytes, access);

	return r ? loop_stop(l, WORKER_EXIT_DEVICE_LOST, "the device refused memory") : 0;
}

int loop_pin(struct loop *l, const struct view *v, enum device_access access)
{
	const struct span all = {.arena = view_id(v), .length = view_size(v)};

	return loop_pin_memory(l, (void *)view_data(v, &all), all.length, access);
}

static int map_input(struct loop *l, const struct wire_setup *s)
{
	int r = view_new(&l->input, l->arena_fd, s->input_arena, s->input_arena_size);

	if (r) {
		log_error("cannot map the input arena", "worker=%s bytes=%" PRIu64 " error=\"%s\"",
			loop_name(l), s->input_arena_size, err_str(r));
		return r;
	}
	close_fd(&l->arena_fd);
	return loop_pin(l, l->input, DEVICE_READ_ONLY);
}

/* All of it, while nothing is in use. */
static int pin_outputs(struct loop *l, uint64_t bytes)
{
	struct output *all;
	int r;

	if (device_is_host(l->device))
		return 0;
	r = outputs_alloc(l->outputs, 0, bytes, &all);
	if (r)
		return r < 0 ? r : -ENOMEM;
	r = loop_pin_memory(l, output_data(all), bytes, DEVICE_READ_WRITE);
	outputs_give_back(l->outputs, all);
	return r;
}

static int make_outputs(struct loop *l, const struct wire_setup *s)
{
	struct arena_options options = {
		.name = "modeld-output",
		.limit = s->output_arena_size,
		.segment_bytes = s->output_arena_size,
		.max_segments = 1,
		.populate_first = s->output_populate_first,
		.populate_ahead = AHEAD_BYTES,
		.pages = SEGMENT_PAGES_THP,
	};
	int r = outputs_new(&l->outputs, &options, s->output_arena);

	if (r)
		log_error("cannot make the output arena",
			"worker=%s bytes=%" PRIu64 " error=\"%s\" setting=\"[worker] "
			"output_arena_bytes\"",
			loop_name(l), s->output_arena_size, err_str(r));
	return r ? r : pin_outputs(l, s->output_arena_size);
}

int loop_equip(struct loop *l, struct tools *t)
{
	struct executor_parts parts = {
		.input = l->input,
		.regions = &l->regions,
		.outputs = l->outputs,
		.memory = &l->memory,
		.pinned = l->pinned,
		.scratch_max = l->input ? view_size(l->input) : 0,
	};

	return l->outputs ? executor_new(&t->executor, &parts) : 0;
}

static int say_hello(struct loop *l, const struct wire_setup *s)
{
	const struct segment *first = outputs_segment(l->outputs);
	int fd = segment_fd(first);
	struct wire_message m = {
		.type = WIRE_HELLO,
		.hello =
			{
				.protocol = WIRE_PROTOCOL,
				.output_arena = segment_id(first),
				.output_arena_size = segment_size(first),
				.slots = s->slots,
			},
	};

	return answers_send(l->answers, &m, &fd, 1);
}

int loop_setup(struct loop *l, const struct wire_setup *s)
{
	int r = check(l, s);

	if (!r)
		r = host_new(&l->host, s, run_complete);
	if (r)
		return r;
	log_set_level(
		s->log_level <= LOG_LEVEL_DEBUG ? (enum log_level)s->log_level : LOG_LEVEL_DEBUG);
	if (l->on_name)
		l->on_name(l->data, s->worker);
	r = open_device(l, s->device);
	if (!r)
		r = map_input(l, s);
	if (!r)
		r = make_outputs(l, s);
	if (!r)
		r = backends_new(
			&l->backends, s->backend_dirs, s->n_backend_dirs, host_api(l->host));
	if (!r)
		r = say_hello(l, s);
	l->n_loads = s->n_loads;
	busy_poll_init(&l->busy, s->busy_poll_us);
	return r;
}
