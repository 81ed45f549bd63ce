/*
 * worker_fuzz.c: the whole worker but its sandbox, in front of a daemon that lies: channel, crew, loader, lanes, memory, and the
 * backend that is built in. Messages are made of the input field by field, so that most get past the codec; a field is what it
 * should be or anything. What the worker says must be what a daemon takes. It runs on a thread, as a process of its own would.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/seqpacket.h"
#include "fuzz_input.h"
#include "proto/wire.h"
#include "shm/memfd.h"
#include "shm/segment.h"
#include "spare_scratch.h"
#include "workers/loop.h"

#define INPUT_ID    7u
#define REGION_ID   (WIRE_REGION_BIT | 3u)
#define ARENA_BYTES 16384u
#define TENSORS_MAX 3u
#define SLOTS	    4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* All of a run. */
static struct {
	struct fuzz_input in;
	int fd;	   /* the daemon's end of the channel */
	bool gone; /* the worker is */
	uint64_t batch;
	uint32_t model;
	pthread_t thread;
} run;

/* Of all runs. */
static struct segment *arena;
static struct wire_scratch *in, *out;
static uint8_t record[WIRE_MESSAGE_MAX];

/* --- What is used again: threads, too ---------------------------------------------------------- */

/* One that has done what it was made for waits for the next. */
#define THREADS_MAX 32u

static struct helper {
	pthread_t thread;
	bool is_there, has_work;
	pthread_cond_t changed;
	void *(*function)(void *arg); /* NULL: none that is not done */
	void *arg;
} helpers[THREADS_MAX];

static pthread_mutex_t helpers_lock = PTHREAD_MUTEX_INITIALIZER;

int __real_pthread_create(
	pthread_t *ret_thread, const pthread_attr_t *attr, void *(*function)(void *arg), void *arg);
int __wrap_pthread_create(
	pthread_t *ret_thread, const pthread_attr_t *attr, void *(*function)(void *arg), void *arg);
int __wrap_pthread_join(pthread_t thread, void **ret_value);

static void *help(void *data)
{
	struct helper *h = data;

	for (;;) {
		pthread_mutex_lock(&helpers_lock);
		while (!h->function)
			pthread_cond_wait(&h->changed, &helpers_lock);
		pthread_mutex_unlock(&helpers_lock);
		h->function(h->arg);
		pthread_mutex_lock(&helpers_lock);
		h->function = NULL;
		pthread_cond_broadcast(&h->changed);
		pthread_mutex_unlock(&helpers_lock);
	}
	return NULL;
}

/* One that nobody has to join. */
static struct helper *find_helper(void)
{
	for (size_t i = 0; i < THREADS_MAX; i++) {
		if (!helpers[i].has_work)
			return &helpers[i];
	}
	abort();
}

int __wrap_pthread_create(
	pthread_t *ret_thread, const pthread_attr_t *attr, void *(*function)(void *arg), void *arg)
{
	struct helper *h;
	int r = 0;

	if (attr) /* it is detached */
		return __real_pthread_create(ret_thread, attr, function, arg);
	pthread_mutex_lock(&helpers_lock);
	h = find_helper();
	h->function = function;
	h->arg = arg;
	if (!h->is_there) {
		pthread_cond_init(&h->changed, NULL);
		r = __real_pthread_create(&h->thread, attr, help, h);
	}
	h->is_there = h->has_work = r == 0;
	*ret_thread = h->thread;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&helpers_lock);
	return r;
}

int __wrap_pthread_join(pthread_t thread, void **ret_value)
{
	struct helper *h = helpers;

	pthread_mutex_lock(&helpers_lock);
	while (!h->is_there || !pthread_equal(h->thread, thread))
		h++;
	while (h->function)
		pthread_cond_wait(&h->changed, &helpers_lock);
	h->has_work = false;
	pthread_mutex_unlock(&helpers_lock);
	if (ret_value)
		*ret_value = NULL;
	return 0;
}

/* --- The worker -------------------------------------------------------------------------------- */

static void *serve(void *arg)
{
	int *fd = arg;
	struct loop *l;

	if (!loop_new(&l, *fd, NULL, NULL)) {
		(void)!loop_run(l);
		loop_free(l);
	}
	return NULL;
}

/* --- What it says ------------------------------------------------------------------------------ */

/* Each message of a record. Returns their types, a bit each. */
static uint32_t look_at(size_t n, size_t n_fds)
{
	const struct wire_message *m;
	uint32_t types = 0;
	size_t used;

	for (size_t at = 0; at < n; at += used) {
		if (wire_unpack(in, record + at, n - at, &used, &m))
			abort();
		if (n_fds != (m->type == WIRE_MAP))
			abort();
		types |= 1u << m->type;
	}
	return types;
}

/* The types of the next record. 0: there is none, or never again. */
static uint32_t receive(bool now)
{
	_cleanup_(close_fd) int fd = -1;
	size_t n = 0, n_fds = 0;
	int r = seqpacket_recv(run.fd, record, sizeof(record), &n, &fd, 1, &n_fds, now);

	if (r == -EAGAIN)
		return 0;
	run.gone = r != 0;
	return r ? 0 : look_at(n, n_fds);
}

static void hear(void)
{
	while (!run.gone && receive(true))
		;
}

static void wait_for(enum wire_type type)
{
	while (!run.gone && !(receive(false) & 1u << type))
		;
}

/* --- The input --------------------------------------------------------------------------------- */

static uint8_t byte(void)
{
	return fuzz_byte(&run.in);
}

static uint64_t field(uint64_t good)
{
	return fuzz_field(&run.in, good, 160, 232);
}

/* One of what would cost memory or time. */
static uint64_t bounded(uint64_t good, uint64_t max)
{
	uint64_t v = field(good);

	return v < max ? v : max;
}

static const char *text(const char *good)
{
	static const char *const texts[] = {"", "../..", "\xff\xfe", "%s%n", "x\ny"};
	uint8_t b = byte();

	return b < 192 ? good : texts[b % 5];
}

static int memory(enum memfd_seals seals)
{
	int fd;

	if (memfd_new("fuzz", ARENA_BYTES, &fd))
		return -1;
	assert(!memfd_seal(fd, seals));
	return fd;
}

static int descriptor(bool good)
{
	int pair[2];

	switch (good ? 7 : byte() % 7) {
	case 0:
		return -1;
	case 1:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 2: /* one that may be made shorter */
		return memfd_new("fuzz", ARENA_BYTES, &pair[0]) ? -1 : pair[0];
	case 3:
		if (seqpacket_pair(pair))
			return -1;
		close(pair[1]);
		return pair[0];
	case 4:
		return memory(MEMFD_SIZE_SEALED);
	default:
		return fcntl(segment_fd(arena), F_DUPFD_CLOEXEC, 0);
	}
}

/* False: it was not sent. */
static bool say_bytes(const uint8_t *data, size_t n, int fd)
{
	int r = seqpacket_send(run.fd, data, n, &fd, fd >= 0, 1);

	run.gone |= r && r != -EAGAIN;
	return r == 0;
}

static bool say(const struct wire_message *m, int given_fd)
{
	_cleanup_(close_fd) int fd = given_fd;
	const uint8_t *data;
	size_t n;

	return !wire_pack(out, m, &data, &n) && say_bytes(data, n, fd);
}

static void say_raw(void)
{
	_cleanup_(close_fd) int fd = descriptor(false);
	size_t n = byte();

	n = n < (size_t)(run.in.end - run.in.at) ? n : (size_t)(run.in.end - run.in.at);
	say_bytes(run.in.at, n, fd);
	run.in.at += n;
}

static void say_setup(void)
{
	static const char *const dirs[] = {"/nowhere"};
	struct wire_pair setting = {"builtin.key", text("value")};

	if (say(&(struct wire_message){.type = WIRE_SETUP,
			.setup = {.protocol = (uint32_t)field(WIRE_PROTOCOL),
				.worker = text("cpu:0/0"),
				.device = text("cpu:0"),
				.process = field(1),
				.output_bytes = bounded(ARENA_BYTES, 1u << 20),
				.output_populate_first = bounded(0, 1u << 16),
				.slots = (uint32_t)field(SLOTS),
				.backend_dirs = dirs,
				.n_backend_dirs = 1,
				.settings = &setting,
				.n_settings = 1,
				.log_level = 0,
				.output_segment_bytes = bounded(ARENA_BYTES, 1u << 20),
				.output_segments = (uint32_t)field(4),
				.output_idle_ms = field(1),
				.scratch_bytes = bounded(ARENA_BYTES, 1u << 20),
				.holds = (uint32_t)bounded(16, 4096),
				.threads = (uint32_t)field(1)}},
		    -1))
		wait_for(WIRE_READY);
}

static void say_load(void)
{
	static const char *const functions[] = {"identity", "identity", "simple", "count", "repeat",
		"simple_string", "simple_sequence", "running_sum", "fatal", "nothing"};
	const struct wire_pair function = {"function", functions[byte() % 10]};
	const int64_t dims[] = {(int64_t)bounded(4, 64)};
	const struct wire_warmup_input input = {.name = text("INPUT0"),
		.dtype = (enum dtype)(bounded(DTYPE_U8, 14)),
		.rank = 1,
		.dims = dims,
		.random = byte() & 1,
		.file = text("")};
	const struct wire_warmup warmup = {.name = text("w"),
		.batch_size = (uint32_t)bounded(1, 8),
		.count = (uint32_t)bounded(1, 2),
		.inputs = &input,
		.n_inputs = 1};

	run.model = (uint32_t)field(run.model + 1);
	if (say(&(struct wire_message){.type = WIRE_LOAD,
			.load = {.model = run.model,
				.name = text("m"),
				.version = text("1"),
				.path = text("/nowhere"),
				.backend = text("builtin"),
				.max_batch_size = (uint32_t)field(4),
				.parameters = &function,
				.n_parameters = 1,
				.instances = (uint32_t)bounded(1, 4),
				.priority = (uint32_t)field(0),
				.warmup_path = text(""),
				.warmups = &warmup,
				.n_warmups = byte() < 224 ? 0 : 1}},
		    -1))
		wait_for(WIRE_LOADED);
}

static struct span place(uint64_t id, size_t i)
{
	return (struct span){.arena = field(id),
		.generation = field(0),
		.offset = field(64 * i),
		.length = field(16)};
}

static void say_run(void)
{
	struct wire_tensor t[TENSORS_MAX];
	int64_t dims[TENSORS_MAX][2];
	struct wire_target target = {.output = 0};
	struct wire_item items[2];
	uint32_t wanted = 0;
	size_t n = byte() % 3 + 1;
	uint8_t flags = byte();

	for (size_t i = 0; i < n; i++) {
		dims[i][0] = (int64_t)field(1);
		dims[i][1] = (int64_t)field(16);
		t[i] = (struct wire_tensor){.index = (uint32_t)field(i),
			.dtype = (enum dtype)(bounded(DTYPE_U8, 14)),
			.rank = 2,
			.dims = dims[i],
			.span = place(flags & 1 ? REGION_ID : INPUT_ID, i)};
	}
	target.span = place(REGION_ID, 8);
	wanted = (uint32_t)field(0);
	items[0] = (struct wire_item){.inputs = t,
		.n_inputs = n,
		.outputs = &wanted,
		.n_outputs = flags & 2 ? 1 : 0,
		.targets = &target,
		.n_targets = flags & 4 ? 1 : 0,
		.traceparent = text(""),
		.tracestate = text("")};
	items[1] = items[0];
	run.batch = run.batch < UINT64_MAX ? run.batch + 1 : run.batch;
	if (say(&(struct wire_message){.type = WIRE_RUN,
			.run = {.batch = field(run.batch),
				.model = (uint32_t)field(run.model),
				.items = items,
				.n_items = flags & 8 ? 2 : 1,
				.lane = (uint32_t)field(0)}},
		    flags & 16 ? descriptor(false) : -1) &&
		flags & 32)
		wait_for(WIRE_DONE);
}

static void say_map(void)
{
	bool region = byte() & 1;
	int fd = descriptor(byte() < 224);

	if (region && fd >= 0 && byte() < 224) {
		close_fd(&fd);
		fd = memory(MEMFD_SIZE_SEALED);
	}
	say(&(struct wire_message){.type = WIRE_MAP,
		    .map = {.id = field(region ? REGION_ID : INPUT_ID),
			    .size = field(ARENA_BYTES),
			    .writable = byte() & 1}},
		fd);
}

/* There is no GPU here: whatever comes along, it cannot be had. */
static void say_import(void)
{
	uint64_t handle[WIRE_HANDLE_WORDS] = {field(1), field(2)};
	bool by_handle = byte() & 1;

	say(&(struct wire_message){.type = WIRE_IMPORT,
		    .import = {.id = field(REGION_ID),
			    .size = field(ARENA_BYTES),
			    .handle = handle,
			    .n_handle = by_handle ? WIRE_HANDLE_WORDS : 0,
			    .writable = byte() & 1}},
		byte() < 224 && !by_handle ? memory(MEMFD_SIZE_SEALED) : -1);
}

static void say_release(void)
{
	uint64_t holds[2] = {field(1), field(2)};

	say(&(struct wire_message){.type = WIRE_RELEASE,
		    .release = {.holds = holds, .n_holds = 1 + (byte() & 1)}},
		-1);
}

static void say_number(enum wire_type type)
{
	struct wire_message m = {.type = type};

	switch (type) {
	case WIRE_UNLOAD:
		m.unload.model = (uint32_t)field(run.model);
		break;
	case WIRE_CANCEL:
		m.cancel = (struct wire_cancel){.batch = field(run.batch),
			.model = (uint32_t)field(run.model),
			.lane = (uint32_t)field(0)};
		break;
	case WIRE_PING:
		m.ping.nonce = field(1);
		break;
	case WIRE_UNMAP:
	case WIRE_UNMAPPED:
		m.unmap.id = field(byte() & 1 ? INPUT_ID : REGION_ID);
		break;
	default:
		break;
	}
	say(&m, byte() & 128 ? descriptor(false) : -1);
}

static void step(void)
{
	static const enum wire_type numbers[] = {
		WIRE_UNLOAD, WIRE_CANCEL, WIRE_PING, WIRE_UNMAP, WIRE_UNMAPPED, WIRE_DRAIN};
	static void (*const others[])(void) = {say_setup, say_map, say_map, say_load, say_load,
		say_run, say_run, say_run, say_release, say_raw, say_import};
	uint8_t b = byte(), what = b < 240 ? b % 16 : 16;

	if (what < 6)
		say_number(numbers[what]);
	else
		others[what - 6]();
	hear();
}

/* --- A run ------------------------------------------------------------------------------------- */

static void set_up_once(void)
{
	struct segment_options o = {.name = "input", .size = ARENA_BYTES};
	struct span all;

	if (arena)
		return;
	log_init(NULL, LOG_LEVEL_ERROR);
	assert(!segment_new(&arena, &o));
	segment_set_id(arena, INPUT_ID);
	assert(!segment_alloc(arena, ARENA_BYTES / 2, &all));
	assert(!wire_scratch_new(&in) && !wire_scratch_new(&out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int fds[2];

	set_up_once();
	memset(&run, 0, sizeof(run));
	run.in.at = data;
	run.in.end = data + n;
	assert(!seqpacket_pair(fds));
	run.fd = fds[0];
	assert(!pthread_create(&run.thread, NULL, serve, &fds[1]));
	say_setup();
	while (run.in.at < run.in.end && !run.gone)
		step();
	close_fd(&run.fd);
	assert(!pthread_join(run.thread, NULL));
	return 0;
}
