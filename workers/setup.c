/*
 * setup.c: from a Setup message to a worker that can load models. Worker process, the leader, once.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "shm/arena.h"
#include "workers/affinity.h"
#include "workers/loop_private.h"
#include "workers/parting.h"
#include "workers/run.h"
#include "workers/sandbox.h"

#define SYSFS "/sys"
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
	if (s->slots == 0 || s->holds == 0)
		return loop_stop(l, WORKER_EXIT_INTERNAL, "setup names no slots or holds");
	return 0;
}

static int device_failed(struct loop *l, const char *name, const char *why, int r)
{
	if (r == -ENODEV || r == -EINVAL) {
		log_error("no such device here",
			"worker=%s device=%s reason=\"%s\" hint=\"[worker] workers\"", loop_name(l),
			name, why);
		parting_say(l->channel_fd, "no device %s here: %s", name, why);
		return loop_stop(l, WORKER_EXIT_CONFIG, "device");
	}
	if (r < 0)
		return r;
	log_error("the device cannot be used", "worker=%s device=%s reason=\"%s\"", loop_name(l),
		name, why);
	parting_say(l->channel_fd, "device %s cannot be used: %s", name, why);
	return loop_stop(l,
		device_class(r) == DEVICE_E_LOST ? WORKER_EXIT_DEVICE_LOST
						 : WORKER_EXIT_DEVICE_UNUSABLE,
		"device");
}

/* How tensors get there and back, as far as can be told now. */
static const char *copies_of(const struct device *d)
{
	if (device_is_host(d))
		return "";
	return d->info.reads_read_only ? "pinned" : "staged";
}

/* Threads that the device's driver has started are moved, too. Worse placed is no reason not to work. */
static const char *move_near(const struct loop *l, char *cpus)
{
	int r = affinity_apply(SYSFS, l->device->info.bus, cpus);

	if (r == -ENODATA)
		return "unknown";
	if (r)
		log_warning("the processors near the device cannot be chosen",
			"worker=%s bus=%s cpus=%s error=\"%s\"", loop_name(l), l->device->info.bus,
			cpus, err_str(r));
	return cpus;
}

static void log_opened(const struct loop *l, const char *name, const char *cpus)
{
	const struct device_info *info = &l->device->info;
	struct device_memory memory = {0};

	if (device_memory(l->device, &memory))
		return;
	log_info("device opened",
		"worker=%s device=%s name=\"%s\" uuid=%s bus=%s total_bytes=%" PRIu64
		" free_bytes=%" PRIu64 " inputs=%s cpus=%s",
		loop_name(l), name, info->name, info->uuid, info->bus, memory.total_bytes,
		memory.free_bytes, copies_of(l->device), cpus);
}

static int open_device(struct loop *l, const char *name)
{
	char why[DEVICE_TEXT_MAX], cpus[AFFINITY_TEXT_MAX];
	int r = device_open(&l->device, name, why);

	if (r)
		return device_failed(l, name, why, r);
	if (!device_is_host(l->device)) {
		l->numa_node = affinity_numa_node(SYSFS, l->device->info.bus);
		log_opened(l, name, move_near(l, cpus));
	}
	return pinned_new(&l->pinned, l->device);
}

static int make_outputs(struct loop *l, const struct wire_setup *s)
{
	struct arena_options options = {
		.name = "modeld-output",
		.limit = s->output_bytes,
		.segment_bytes = s->output_segment_bytes,
		.max_segments = s->output_segments,
		.idle_ns = s->output_idle_ms * NS_PER_MS,
		.populate_first = s->output_populate_first,
		.populate_ahead = AHEAD_BYTES,
		.pages = SEGMENT_PAGES_THP,
		.numa_node = l->numa_node,
	};
	int r = outputs_new(&l->outputs, &options, s->holds);

	if (r)
		log_error("cannot make the output arena",
			"worker=%s bytes=%" PRIu64 " error=\"%s\" setting=\"[worker] "
			"output_arena_bytes\"",
			loop_name(l), s->output_bytes, err_str(r));
	return r;
}

int loop_equip(struct loop *l, struct tools *t)
{
	struct executor_parts parts = {
		.regions = &l->regions,
		.outputs = l->outputs,
		.memory = &l->memory,
		.pinned = l->pinned,
		.scratch_max = l->scratch_bytes,
		.say_partial = loop_say_partial,
		.flush = loop_flush,
		.wait_ns = l->output_wait_ns,
		.data = l,
	};

	return l->outputs ? executor_new(&t->executor, &parts) : 0;
}

static int say_hello(struct loop *l, const struct wire_setup *s)
{
	const struct wire_message m = {
		.type = WIRE_HELLO,
		.hello = {.protocol = WIRE_PROTOCOL,
			.slots = s->slots,
			.sandbox = getenv(SANDBOX_STATE),
			.sandbox_lacks = getenv(SANDBOX_LACKS),
			.copies = copies_of(l->device),
			.imports = device_imports(l->device),
			.numa_node = l->numa_node},
	};

	return answers_send(l->answers, &m, NULL, 0);
}

int loop_setup(struct loop *l, const struct wire_setup *s)
{
	static const struct host_calls calls = {.complete = run_complete, .answer = run_answer};
	int r = check(l, s);

	if (!r)
		r = host_new(&l->host, s, &calls);
	if (r)
		return r;
	sandbox_close();
	log_set_level(
		s->log_level <= LOG_LEVEL_DEBUG ? (enum log_level)s->log_level : LOG_LEVEL_DEBUG);
	if (l->on_name)
		l->on_name(l->data, s->worker);
	l->scratch_bytes = s->scratch_bytes;
	l->output_wait_ns = s->output_wait_ms * NS_PER_MS;
	r = open_device(l, s->device);
	if (!r)
		r = make_outputs(l, s);
	if (!r)
		r = backends_new(
			&l->backends, s->backend_dirs, s->n_backend_dirs, host_api(l->host));
	if (!r)
		r = say_hello(l, s);
	if (!r)
		r = loop_announce(l);
	busy_poll_init(&l->busy, s->busy_poll_us);
	return r;
}
