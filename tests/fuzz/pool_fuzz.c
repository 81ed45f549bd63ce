/*
 * pool_fuzz.c: a worker that lies, in front of the daemon's side of it: channel, worker, flights, output memory. Messages are made
 * of the input field by field, so that most get past the codec; a field is what it should be or anything. There is no process:
 * what pool/spawn.c and pool/process.c do is done here.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/seqpacket.h"
#include "fuzz_input.h"
#include "pool/pool.h"
#include "pool/process.h"
#include "pool/spawn.h"
#include "pool/worker.h"
#include "shm/memfd.h"
#include "shm/segment.h"
#include "spare_scratch.h"

#define INPUT_ID     7u
#define OUTPUT_ID    1u
#define INPUT_BYTES  65536u
#define OUTPUT_BYTES 65536u
#define N_MODELS     2u
#define LEASES_MAX   16u
#define TENSORS_MAX  3u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct process {
	void (*on_exit)(void *data, const struct process_exit *e);
	void *data;
	bool ended; /* or killed: it is about to be seen */
};

/* All of a run. */
static struct {
	struct fuzz_input in;
	uv_loop_t loop;
	struct pool *pool;
	struct pool_model *models[N_MODELS];
	struct pool_memory *memory;
	struct segment *arena;
	struct span input;
	struct process *process; /* the one there is; NULL: none */
	int fd;			 /* its end of the channel; -1: none */
	struct wire_scratch *scratch;
	struct output_lease *leases[LEASES_MAX];
	uint64_t hold, batch;
	bool drained;
} run;

/* --- What is not there: processes ------------------------------------------------------------- */

int spawn(const struct spawn_options *o, pid_t *ret_pid, int *ret_pidfd)
{
	close_fd(&run.fd);
	run.fd = fcntl(o->channel_fd, F_DUPFD_CLOEXEC, 0);
	*ret_pid = 1 << 30;
	*ret_pidfd = -1;
	return run.fd < 0 ? -errno : 0;
}

int process_new(struct process **ret_process, uv_loop_t *loop, pid_t pid, int pidfd,
	void (*on_exit)(void *data, const struct process_exit *e), void *data)
{
	assert(!run.process);
	run.process = calloc(1, sizeof(*run.process));
	assert(run.process);
	*run.process = (struct process){.on_exit = on_exit, .data = data};
	*ret_process = run.process;
	return 0;
}

static const struct process_exit how_it_ends = {.known = true, .code = 1};

bool process_peek(const struct process *p, struct process_exit *ret_exit)
{
	if (p->ended)
		*ret_exit = how_it_ends;
	return p->ended;
}

void process_kill(struct process *p)
{
	p->ended = true;
}

pid_t process_pid(const struct process *p)
{
	return 1 << 30;
}

struct process *process_close(struct process *p)
{
	if (p == run.process)
		run.process = NULL;
	free(p);
	return NULL;
}

const char *process_exit_format(const struct process_exit *e, char *out, size_t cap)
{
	snprintf(out, cap, "%d", e->code);
	return out;
}

static void turn(void)
{
	pool_flush(run.pool);
	uv_run(&run.loop, UV_RUN_NOWAIT);
	if (run.process && run.process->ended)
		run.process->on_exit(run.process->data, &how_it_ends);
}

/* --- What comes back --------------------------------------------------------------------------- */

/* What is told must be readable. */
static void look_at(const struct pool_result *r)
{
	static volatile uint8_t sum;

	for (size_t i = 0; i < r->n_outputs; i++) {
		const uint8_t *data = r->outputs[i].data;

		for (uint64_t k = 0; data && k < r->outputs[i].length; k += 512)
			sum += data[k];
		if (data && r->outputs[i].length > 0)
			sum += data[r->outputs[i].length - 1];
	}
	if (r->lease) {
		struct output_lease **at = &run.leases[run.hold % LEASES_MAX];

		output_lease_unref(*at);
		*at = output_lease_ref(r->lease);
	}
}

static void on_done(void *data, void *tag, const struct pool_done *done)
{
	look_at(&done->results[0]);
}

static void on_partial(void *data, void *tag, const struct pool_partial *partial)
{
	look_at(partial->result);
}

static void on_lost(void *data, void *tag, struct worker *w, enum lost how)
{
}

static void on_nothing(void *data)
{
}

static void on_model(void *data, void *owner)
{
}

static void on_model_gone(void *data, void *owner)
{
	struct pool_model **at = owner;

	*at = pool_model_free(*at);
}

static void on_drained(void *data)
{
	run.drained = true;
}

static const struct pool_events events = {
	.on_done = on_done,
	.on_partial = on_partial,
	.on_lost = on_lost,
	.on_credit = on_nothing,
	.on_model = on_model,
	.on_model_gone = on_model_gone,
	.on_started = on_nothing,
	.on_drained = on_drained,
};

/* --- The input --------------------------------------------------------------------------------- */

static uint8_t byte(void)
{
	return fuzz_byte(&run.in);
}

static uint64_t field(uint64_t good)
{
	return fuzz_field(&run.in, good, 128, 224);
}

static const char *text(void)
{
	static const char *const texts[] = {"", "name", "\xff\xfe", "%s%n", "x\ny"};

	return texts[byte() % 5];
}

static int descriptor(void)
{
	int pair[2];
	int fd;

	switch (byte() % 6) {
	case 0:
		return -1;
	case 1:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 2: /* one that may be made shorter */
		return memfd_new("fuzz", OUTPUT_BYTES, &fd) ? -1 : fd;
	case 3:
		if (seqpacket_pair(pair))
			return -1;
		close(pair[1]);
		return pair[0];
	default:
		if (memfd_new("fuzz", OUTPUT_BYTES, &fd))
			return -1;
		assert(!memfd_seal(fd, MEMFD_WRITER_SEALED));
		return fd;
	}
}

static void say(const struct wire_message *m, bool with_fd)
{
	_cleanup_(close_fd) int fd = with_fd ? descriptor() : -1;
	const uint8_t *data;
	size_t n;

	if (run.fd >= 0 && !wire_pack(run.scratch, m, &data, &n))
		(void)!seqpacket_send(run.fd, data, n, &fd, fd >= 0, 1);
}

static void say_raw(void)
{
	size_t n = byte();
	_cleanup_(close_fd) int fd = descriptor();

	n = n < (size_t)(run.in.end - run.in.at) ? n : (size_t)(run.in.end - run.in.at);
	if (run.fd >= 0)
		(void)!seqpacket_send(run.fd, run.in.at, n, &fd, fd >= 0, 1);
	run.in.at += n;
}

static void say_hello(void)
{
	say(&(struct wire_message){.type = WIRE_HELLO,
		    .hello = {.protocol = (uint32_t)field(WIRE_PROTOCOL),
			    .slots = (uint32_t)field(2),
			    .sandbox = text(),
			    .sandbox_lacks = text(),
			    .copies = text()}},
		byte() & 128);
}

static void say_loaded(void)
{
	int64_t dims[2] = {(int64_t)field(16), (int64_t)field(16)};
	struct wire_declaration d[2];
	uint8_t flags = byte();

	for (int i = 0; i < 2; i++)
		d[i] = (struct wire_declaration){.name = text(),
			.dtype = (enum dtype)(field(DTYPE_U8) % 15),
			.any_shape = flags & 1,
			.rank = (uint32_t)field(1) % 3,
			.dims = dims};
	say(&(struct wire_message){.type = WIRE_LOADED,
		    .loaded = {.model = (uint32_t)field(1),
			    .ok = !(flags & 2),
			    .error = text(),
			    .inputs = d,
			    .n_inputs = 1,
			    .outputs = d,
			    .n_outputs = 1 + (flags & 4) / 4,
			    .memory_bytes = field(1),
			    .max_batch_size = (uint32_t)field(4),
			    .lanes = (uint32_t)field(1),
			    .decoupled = flags & 8}},
		flags & 16);
}

static size_t tensors(struct wire_tensor *t, int64_t *dims)
{
	size_t n = 1 + byte() % TENSORS_MAX;

	if (n == TENSORS_MAX)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		dims[i] = (int64_t)field(16);
		t[i] = (struct wire_tensor){.index = (uint32_t)field(i),
			.dtype = (enum dtype)(field(DTYPE_U8) % 15),
			.rank = (uint32_t)field(1) % 2,
			.dims = &dims[i],
			.span = {.arena = field(OUTPUT_ID),
				.generation = field(0),
				.offset = field(64 * i),
				.length = field(16)}};
	}
	return n;
}

static void say_done(void)
{
	struct wire_tensor t[TENSORS_MAX];
	int64_t dims[TENSORS_MAX];
	struct wire_result r[2] = {{.message = text(), .outputs = t}};

	r[0].n_outputs = tensors(t, dims);
	r[0].code = (uint32_t)field(0);
	r[0].joined = (uint32_t)field(1);
	r[0].hold = field(r[0].n_outputs > 0 ? ++run.hold : 0);
	r[1] = r[0];
	say(&(struct wire_message){.type = WIRE_DONE,
		    .done = {.batch = field(run.batch),
			    .compute_ns = field(1),
			    .results = r,
			    .n_results = (size_t)field(1) % 3}},
		byte() & 128);
}

static void say_partial(void)
{
	struct wire_tensor t[TENSORS_MAX];
	int64_t dims[TENSORS_MAX];
	size_t n = tensors(t, dims);

	say(&(struct wire_message){.type = WIRE_PARTIAL,
		    .partial = {.batch = field(run.batch),
			    .item = (uint32_t)field(0),
			    .outputs = t,
			    .n_outputs = n,
			    .hold = field(++run.hold),
			    .last = byte() & 1}},
		false);
}

static void send_batch(void)
{
	static const int64_t dims[] = {16};
	struct wire_tensor in = {
		.dtype = DTYPE_U8, .rank = 1, .dims = dims, .span = span_slice(run.input, 0, 16)};
	struct wire_item item = {.inputs = &in, .n_inputs = 1};
	uint8_t which = byte();

	if (!run.models[which % N_MODELS])
		return;
	if (!worker_run(pool_worker(run.pool, 0),
		    &(struct pool_batch){.model = run.models[which % N_MODELS],
			    .items = &item,
			    .n_items = 1,
			    .expect_ns = 1000,
			    .now_ns = clock_ns(),
			    .alone = which & 64,
			    .tag = &run}))
		run.batch++;
	if (which & 128)
		worker_cancel(pool_worker(run.pool, 0), &run);
}

static void say_number(enum wire_type type)
{
	struct wire_message m = {.type = type};

	switch (type) {
	case WIRE_UNMAP:
	case WIRE_UNMAPPED:
		m.unmap.id = field(type == WIRE_UNMAP ? OUTPUT_ID : INPUT_ID);
		break;
	case WIRE_UNLOADED:
		m.unloaded.model = (uint32_t)field(1);
		break;
	case WIRE_BYE:
		m.bye.reason = text();
		break;
	case WIRE_PONG:
		m.ping.nonce = field(0);
		break;
	default:
		break;
	}
	say(&m, byte() & 128);
}

static void say_map(void)
{
	say(&(struct wire_message){.type = WIRE_MAP,
		    .map = {.id = field(OUTPUT_ID),
			    .size = field(OUTPUT_BYTES),
			    .writable = byte() & 1}},
		true);
}

static void step(void)
{
	static const enum wire_type numbers[] = {
		WIRE_UNMAP, WIRE_UNMAPPED, WIRE_UNLOADED, WIRE_BYE, WIRE_PONG, WIRE_READY};
	static void (*const others[])(void) = {
		say_hello, say_map, say_loaded, say_done, say_partial, send_batch, say_raw, turn};
	uint8_t what = byte() % 16;

	if (what < 6) {
		say_number(numbers[what]);
	} else if (what < 14) {
		others[what - 6]();
	} else if (what == 14) {
		close_fd(&run.fd);
		if (run.process)
			process_kill(run.process);
	} else if (run.models[0]) {
		pool_model_retire(run.models[0]);
	}
}

/* --- A run ------------------------------------------------------------------------------------- */

static void set_up(const struct pool_settings *settings)
{
	static const struct pool_model_settings model = {.name = "m",
		.version = "1",
		.path = "/nowhere",
		.backend = "builtin",
		.max_batch_size = 4,
		.run_timeout_ms = 20000};
	struct segment_options o = {.name = "input", .size = INPUT_BYTES};

	assert(!uv_loop_init(&run.loop));
	assert(!wire_scratch_new(&run.scratch));
	assert(!segment_new(&run.arena, &o));
	segment_set_id(run.arena, INPUT_ID);
	assert(!segment_alloc(run.arena, 1024, &run.input));
	assert(!pool_new(&run.pool, &run.loop, settings, &events, NULL));
	assert(!pool_memory_new(&run.memory, run.pool, INPUT_ID, segment_fd(run.arena),
		segment_size(run.arena), false, NULL, NULL));
	for (size_t i = 0; i < N_MODELS; i++)
		assert(!pool_model_new(&run.models[i], run.pool, &model, &run.models[i]));
	assert(!pool_start(run.pool));
}

static void tear_down(void)
{
	for (size_t i = 0; i < LEASES_MAX; i++)
		output_lease_unref(run.leases[i]);
	pool_kill(run.pool);
	while (!run.drained)
		turn();
	for (size_t i = 0; i < N_MODELS; i++)
		pool_model_free(run.models[i]);
	pool_memory_drop(run.memory);
	pool_free(run.pool);
	close_fd(&run.fd);
	uv_run(&run.loop, UV_RUN_DEFAULT);
	assert(!uv_loop_close(&run.loop));
	segment_free(run.arena);
	wire_scratch_free(run.scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const dirs[] = {"/nowhere", NULL};
	static const struct pool_place place = {"cpu:0", 1};
	static const struct pool_settings settings = {
		.worker_program = "/nowhere",
		.backend_dirs = dirs,
		.places = &place,
		.n_places = 1,
		.slots = 2,
		.output_arena_bytes = OUTPUT_BYTES,
		.output_segment_bytes = OUTPUT_BYTES,
		.max_holds = 16,
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

	log_init(NULL, LOG_LEVEL_ERROR);
	memset(&run, 0, sizeof(run));
	run.fd = -1;
	run.in.at = data;
	run.in.end = data + n;
	set_up(&settings);
	turn();
	while (run.in.at < run.in.end) {
		step();
		turn();
	}
	tear_down();
	return 0;
}
