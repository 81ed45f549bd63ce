/* fake_worker.c: see fake_worker.h. The worker process of tests; single-threaded. */
#include "fake_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/seqpacket.h"
#include "proto/wire.h"
#include "shm/segment.h"
#include "shm/view.h"

#define BATCHES	       256
#define HOLDS	       512
#define MODELS	       8
#define FAKE_OUTPUT_ID 9u
#define REGIONS	       8

struct fake {
	const char *script;
	struct wire_scratch *in;
	struct wire_scratch *out;
	uint8_t buffer[WIRE_MESSAGE_MAX];
	struct segment *arena;
	struct view *regions[REGIONS];
	struct {
		uint64_t hold;
		struct span span;
	} spans[HOLDS];
	uint64_t last_hold;
	char names[MODELS][64];
	uint64_t held[BATCHES];
	uint32_t held_model[BATCHES];
	size_t n_held;
	uint64_t stayed;
	uint32_t n_imports;
	bool on_first;	  /* on cpu:0 */
	unsigned n_loads; /* of `large` */
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake worker: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static bool is(const struct fake *f, const char *word)
{
	return !strcmp(f->script, word);
}

static void say_fd(struct fake *f, const struct wire_message *m, int fd)
{
	const uint8_t *data;
	size_t n;

	must(!wire_pack(f->out, m, &data, &n), "pack");
	if (seqpacket_send(3, data, n, &fd, fd >= 0 ? 1 : 0, 0))
		_exit(98);
}

static void say(struct fake *f, const struct wire_message *m)
{
	say_fd(f, m, -1);
}

static void hang(void)
{
	for (;;)
		pause();
}

/* --- Start ----------------------------------------------------------------------------------- */

/* The word for the n-th process. */
static const char *word_of(char *list, uint64_t n)
{
	char *word = list;

	for (uint64_t i = 0; i < n; i++) {
		char *comma = strchr(word, ',');

		if (!comma)
			break;
		word = comma + 1;
	}
	word[strcspn(word, ",")] = '\0';
	return word;
}

static void check_surroundings(const struct fake *f)
{
	int signal_to_die = 0;
	sigset_t mask;
	struct sigaction act;

	if (!is(f, "surroundings"))
		return;
	must(fcntl(0, F_GETFD) == 0 && fcntl(3, F_GETFD) == 0, "fds");
	for (int fd = 4; fd < 256; fd++)
		must(fcntl(fd, F_GETFD) < 0, "a descriptor too many");
	sigprocmask(SIG_SETMASK, NULL, &mask);
	must(!sigismember(&mask, SIGUSR1), "signal mask");
	sigaction(SIGPIPE, NULL, &act);
	must(act.sa_handler == SIG_DFL, "SIGPIPE");
	prctl(PR_GET_PDEATHSIG, &signal_to_die);
	must(signal_to_die == SIGKILL, "PR_SET_PDEATHSIG");
	must(getpgrp() == getpid(), "process group");
	must(getenv("CUDA_VISIBLE_DEVICES") && !strcmp(getenv("CUDA_VISIBLE_DEVICES"), "3"),
		"CUDA");
}

static uint32_t node_of(const char *device)
{
	if (!strcmp(device, "cuda:0"))
		return 1;
	return !strcmp(device, "cuda:1") ? 2 : 0;
}

static void say_hello(struct fake *f, const struct wire_setup *s)
{
	struct wire_message m = {
		.type = WIRE_HELLO, .hello = {.protocol = WIRE_PROTOCOL, .slots = s->slots}};

	if (is(f, "sandboxed")) {
		m.hello.sandbox = "on: files";
		m.hello.sandbox_lacks = "system calls";
	}
	if (is(f, "bad-protocol"))
		m.hello.protocol = 99;
	if (is(f, "no-slots"))
		m.hello.slots = 0;
	if (is(f, "many-slots"))
		m.hello.slots++;
	if (is(f, "one-slot"))
		m.hello.slots = 1;
	m.hello.imports = is(f, "imports") || is(f, "import-refused") ||
			  is(f, "import-refused-once") || is(f, "import-silent") ||
			  is(f, "w-imported");
	if (is(f, "near"))
		m.hello.numa_node = node_of(s->device);
	say(f, &m);
	if (is(f, "hello-twice"))
		say(f, &m);
}

/* The output memory. */
static void say_map(struct fake *f)
{
	struct wire_message m = {
		.type = WIRE_MAP, .map = {.id = FAKE_OUTPUT_ID, .size = segment_size(f->arena)}};
	int fd = segment_fd(f->arena);

	if (is(f, "region"))
		m.map.id |= WIRE_REGION_BIT;
	if (is(f, "large-segment"))
		m.map.size += 1 << 30;
	if (is(f, "wrong-size"))
		m.map.size -= 4096;
	if (is(f, "no-fd"))
		fd = -1;
	if (is(f, "unsealed"))
		fd = memfd_create("unsealed", MFD_CLOEXEC);
	if (is(f, "unsealed"))
		must(!ftruncate(fd, (off_t)segment_size(f->arena)), "ftruncate");
	say_fd(f, &m, fd);
	if (is(f, "map-twice"))
		say_fd(f, &m, fd);
	if (is(f, "unmap-unknown"))
		say(f, &(struct wire_message){.type = WIRE_UNMAP, .unmap = {.id = 99}});
}

static void say_ready(struct fake *f)
{
	say_fd(f, &(struct wire_message){.type = WIRE_READY}, is(f, "fd-with-ready") ? 3 : -1);
}

static void on_setup(struct fake *f, const struct wire_setup *s)
{
	struct segment_options o = {.name = "fake", .size = s->output_bytes};

	f->on_first = !strcmp(s->device, "cpu:0");
	f->script = word_of(strdup(getenv(FAKE_WORKER_VARIABLE)), s->process - 1);
	check_surroundings(f);
	if (is(f, "exit77"))
		_exit(77);
	if (is(f, "exit78"))
		_exit(78);
	if (is(f, "exit0"))
		_exit(0);
	if (!strncmp(f->script, "parting", 7))
		say(f, &(struct wire_message){
			       .type = WIRE_BYE, .bye = {.reason = "it \"lacks\"\nnumpy \xff"}});
	if (is(f, "parting78"))
		_exit(78);
	if (is(f, "parting0"))
		_exit(0);
	if (is(f, "no-hello"))
		hang();
	if (is(f, "garbage"))
		must(!seqpacket_send(3, "\377\377\377", 3, NULL, 0, 0), "garbage");
	must(!segment_new(&f->arena, &o), "output arena");
	segment_set_id(f->arena, FAKE_OUTPUT_ID);
	if (is(f, "pong-first"))
		say(f, &(struct wire_message){.type = WIRE_PONG});
	say_hello(f, s);
	say_map(f);
	say_ready(f);
	if (is(f, "ready-twice"))
		say_ready(f);
}

/* --- Models ---------------------------------------------------------------------------------- */

static bool is_decoupled(const char *name)
{
	return !strncmp(name, "parts", 5) || !strncmp(name, "p-", 2);
}

static void on_load(struct fake *f, const struct wire_load *l)
{
	static const int64_t dims[] = {-1};
	struct wire_declaration d[2] = {{.name = "x", .dtype = DTYPE_U8, .rank = 1, .dims = dims},
		{.name = "y", .dtype = DTYPE_U8, .rank = 1, .dims = dims}};
	struct wire_message m = {.type = WIRE_LOADED,
		.loaded = {.model = l->model,
			.ok = true,
			.inputs = d,
			.n_inputs = 1,
			.outputs = d,
			.n_outputs = 2,
			.max_batch_size = 8,
			.memory_bytes = 1000,
			.lanes = l->instances}};

	must(l->model < MODELS, "model number");
	snprintf(f->names[l->model], sizeof(f->names[0]), "%s", l->name);
	/* Too large for the first device, until it is tried again. */
	if (!strcmp(l->name, "large") && f->on_first && f->n_loads++ == 0) {
		m.loaded = (struct wire_loaded){.model = l->model, .error = "it does not fit"};
	} else if (!strcmp(l->name, "noload") || (is(f, "poor") && !strcmp(l->name, "second"))) {
		m.loaded = (struct wire_loaded){.model = l->model, .error = "no such thing"};
	} else if (!strcmp(l->name, "crashload") || (!strcmp(l->name, "oddload") && is(f, "odd"))) {
		raise(SIGKILL);
	} else if (!strcmp(l->name, "hangload")) {
		hang();
	}
	if (is_decoupled(l->name)) {
		m.loaded.decoupled = true;
		m.loaded.max_batch_size = 0;
	}
	/* It takes for ever, while all else is served. */
	if (!strcmp(l->name, "longload") || is(f, "slow"))
		return;
	if (is(f, "other-declaration"))
		d[0].name = "z";
	if (is(f, "wrong-model"))
		m.loaded.model = MODELS;
	say(f, &m);
	if (is(f, "exit-ready"))
		_exit(42);
	if (is(f, "bye-early"))
		say(f, &(struct wire_message){.type = WIRE_BYE});
	if (is(f, "pong"))
		say(f, &(struct wire_message){.type = WIRE_PONG});
	if (is(f, "unmapped"))
		say(f, &(struct wire_message){
			       .type = WIRE_UNMAPPED, .unmap = {.id = WIRE_REGION_BIT | 1}});
}

/* --- Batches --------------------------------------------------------------------------------- */

static const void *read_span(struct fake *f, const struct span *span)
{
	const void *data = NULL;

	for (size_t i = 0; i < REGIONS && !data; i++) {
		if (f->regions[i])
			data = view_data(f->regions[i], span);
	}
	must(data, "input span");
	return data;
}

static void *write_target(struct fake *f, const struct span *span)
{
	for (size_t i = 0; i < REGIONS; i++) {
		if (f->regions[i] && view_id(f->regions[i]) == span->arena)
			return view_data_writable(f->regions[i], span);
	}
	must(false, "target span");
	return NULL;
}

static uint64_t hold(struct fake *f, struct span span)
{
	for (size_t i = 0; i < HOLDS; i++) {
		if (f->spans[i].hold)
			continue;
		f->spans[i].hold = ++f->last_hold;
		f->spans[i].span = span;
		return f->last_hold;
	}
	must(false, "holds that were never released");
	return 0;
}

/* Copy the first input to the target or to memory of ours. Returns false when that is full. */
static bool echo(struct fake *f, const struct wire_item *item, const struct wire_tensor *in,
	struct wire_tensor *out, uint64_t *ret_hold)
{
	const void *from = read_span(f, &in->span);

	if (item->n_targets > 0) {
		out->span = item->targets[0].span;
		out->span.length = in->span.length;
		memcpy(write_target(f, &item->targets[0].span), from, in->span.length);
		return true;
	}
	if (segment_alloc(f->arena, in->span.length, &out->span))
		return false;
	*ret_hold = hold(f, out->span);
	memcpy(segment_data(f->arena, &out->span), from, in->span.length);
	return true;
}

static void spoil(
	const char *name, struct wire_done *d, struct wire_result *r, struct wire_tensor *t)
{
	static int64_t dims[] = {1, 1};

	if (!strcmp(name, "boasts"))
		d->compute_ns = UINT64_MAX;
	if (!strcmp(name, "w-batch"))
		d->batch += 1000;
	if (!strcmp(name, "w-results"))
		d->n_results++;
	if (!strcmp(name, "w-index"))
		t->index = 2;
	if (!strcmp(name, "w-unwanted"))
		t->index = 1;
	if (!strcmp(name, "w-dtype"))
		t->dtype = DTYPE_I8;
	if (!strcmp(name, "w-length"))
		t->span.length++;
	if (!strcmp(name, "w-outside"))
		t->span.offset = UINT64_MAX - 2;
	if (!strcmp(name, "w-arena"))
		t->span.arena = FAKE_INPUT_ARENA;
	if (!strcmp(name, "w-target"))
		t->span.offset++;
	if (!strcmp(name, "w-no-hold"))
		r->hold = 0;
	if (!strcmp(name, "w-hold-for-nothing"))
		*r = (struct wire_result){.code = 13, .hold = r->hold};
	if (!strcmp(name, "w-old-hold"))
		r->hold = 1;
	if (!strcmp(name, "w-rank")) {
		dims[1] = t->dims[0];
		t->rank = 2;
		t->dims = dims;
	}
}

static void answer(
	struct fake *f, uint64_t batch, const char *name, const struct wire_item *items, size_t n)
{
	struct wire_result results[64] = {{0}};
	struct wire_tensor tensors[64];
	struct wire_message m = {.type = WIRE_DONE,
		.done = {.batch = batch, .compute_ns = 5, .results = results, .n_results = n}};
	struct wire_done *d = &m.done;

	must(n < 64, "items");
	for (size_t i = 0; i < n; i++) {
		tensors[i] = items[i].inputs[0];
		tensors[i].index = 0;
		results[i].outputs = &tensors[i];
		results[i].n_outputs = 1;
		if (!strcmp(name, "error"))
			results[i] = (struct wire_result){.code = 13, .message = "as told"};
		else if (!strcmp(name, "imports"))
			results[i] = (struct wire_result){.code = f->n_imports, .message = "told"};
		else if (!strcmp(name, "mumbles"))
			results[i] = (struct wire_result){.code = 13, .message = "\xff told"};
		else if (!echo(f, &items[i], &items[i].inputs[0], &tensors[i], &results[i].hold))
			results[i] = (struct wire_result){.code = 8, .message = "arena full"};
		if (!strcmp(name, "w-none"))
			results[i].n_outputs = 0;
		if (!strcmp(name, "w-error"))
			results[i].code = 13;
	}
	spoil(name, d, &results[0], &tensors[0]);
	say(f, &m);
}

/* An answer in part: the first input once more. */
static void say_part(struct fake *f, const struct wire_run *r, const char *name)
{
	struct wire_tensor out = r->items[0].inputs[0];
	struct wire_message m = {.type = WIRE_PARTIAL,
		.partial = {.batch = r->batch, .outputs = &out, .n_outputs = 1}};

	out.index = 0;
	must(echo(f, &r->items[0], &r->items[0].inputs[0], &out, &m.partial.hold), "memory");
	if (!strcmp(name, "p-item"))
		m.partial.item = 1;
	m.partial.last = !strncmp(name, "e-", 2);
	m.partial.compute_ns = m.partial.last ? 7 : 0;
	if (!strcmp(name, "e-boasts"))
		m.partial.compute_ns = UINT64_MAX;
	if (!strcmp(name, "p-batch"))
		m.partial.batch += 1000;
	if (!strcmp(name, "p-empty"))
		m.partial.n_outputs = 0;
	if (!strcmp(name, "p-no-hold"))
		m.partial.hold = 0;
	if (!strcmp(name, "p-unwanted"))
		out.index = 1;
	say(f, &m);
}

/* "parts0" to "parts9": so many, "p-many": too many, others 3. */
static void answer_in_parts(struct fake *f, const struct wire_run *r, const char *name)
{
	struct wire_result nothing = {.message = ""};
	size_t n = !strcmp(name, "p-many") ? 300 : 3;

	if (name[0] == 'p' && name[5] >= '0' && name[5] <= '9')
		n = (size_t)(name[5] - '0');
	for (size_t i = 0; i < n; i++)
		say_part(f, r, name);
	if (!strcmp(name, "parts-crash"))
		raise(SIGKILL);
	say(f, &(struct wire_message){.type = WIRE_DONE,
		       .done = {.batch = r->batch, .results = &nothing, .n_results = 1}});
	if (!strcmp(name, "p-late"))
		say_part(f, r, name);
}

/* Ahead of a Done that is empty, or not: "e-again", "e-twice", "e-error". */
static void answer_early(struct fake *f, const struct wire_run *r, const char *name)
{
	struct wire_result nothing = {.message = "", .code = !strcmp(name, "e-error") ? 13 : 0};

	say_part(f, r, name);
	if (!strcmp(name, "e-again"))
		say_part(f, r, name);
	if (!strcmp(name, "e-twice"))
		answer(f, r->batch, name, r->items, r->n_items);
	else
		say(f, &(struct wire_message){.type = WIRE_DONE,
			       .done = {.batch = r->batch, .results = &nothing, .n_results = 1}});
}

static void on_run(struct fake *f, const struct wire_run *r)
{
	const char *name = f->names[r->model];
	struct wire_result error = {.code = 13, .message = "held"};

	if (!strcmp(name, "crash") || (!strcmp(name, "maybe") && is(f, "crashy")))
		raise(SIGKILL);
	if (!strcmp(name, "hang"))
		hang();
	/* The first is never answered. */
	if (!strcmp(name, "w-order") && r->batch == 1)
		return;
	if (!strcmp(name, "hold")) {
		f->held_model[f->n_held] = r->model;
		f->held[f->n_held++] = r->batch;
		return;
	}
	for (size_t i = 0; i < f->n_held; i++)
		say(f, &(struct wire_message){.type = WIRE_DONE,
			       .done = {.batch = f->held[i], .results = &error, .n_results = 1}});
	f->n_held = 0;
	if (!strncmp(name, "e-", 2)) {
		answer_early(f, r, name);
		return;
	}
	if (is_decoupled(name) || !strcmp(name, "w-part")) {
		answer_in_parts(f, r, name);
		return;
	}
	answer(f, r->batch, name, r->items, r->n_items);
	if (!strcmp(name, "last"))
		raise(SIGKILL);
}

/* What is held is given up; what is not there is ignored. */
static void on_cancel(struct fake *f, const struct wire_cancel *c)
{
	struct wire_result given_up = {.code = 1, .message = "given up"};

	must(c->lane == 0, "lane");
	for (size_t i = 0; i < f->n_held; i++) {
		if (f->held[i] != c->batch)
			continue;
		must(f->held_model[i] == c->model, "model of what is given up");
		f->n_held--;
		f->held[i] = f->held[f->n_held];
		f->held_model[i] = f->held_model[f->n_held];
		say(f, &(struct wire_message){.type = WIRE_DONE,
			       .done = {.batch = c->batch, .results = &given_up, .n_results = 1}});
	}
}

static void on_release(struct fake *f, const struct wire_release *r)
{
	for (size_t i = 0; i < r->n_holds; i++) {
		for (size_t k = 0; k < HOLDS; k++) {
			if (f->spans[k].hold != r->holds[i])
				continue;
			must(!segment_release(f->arena, &f->spans[k].span), "release");
			f->spans[k].hold = 0;
		}
	}
}

/* --- Memory, the end ------------------------------------------------------------------------ */

static void on_map(struct fake *f, const struct wire_map *m, int fd)
{
	size_t i = 0;

	while (i < REGIONS && f->regions[i]) {
		must(view_id(f->regions[i]) != m->id, "mapped twice");
		i++;
	}
	must(i < REGIONS, "regions");
	if (m->id & WIRE_REGION_BIT)
		must(!view_new_region(&f->regions[i], fd, m->id, m->size, m->writable), "region");
	else
		must(!view_new(&f->regions[i], fd, m->id, m->size), "segment");
}

static void on_unmap(struct fake *f, const struct wire_unmap *m)
{
	for (size_t i = 0; i < REGIONS; i++) {
		if (f->regions[i] && view_id(f->regions[i]) == m->id)
			f->regions[i] = view_free(f->regions[i]);
	}
	if (!is(f, "no-unmapped"))
		say(f, &(struct wire_message){.type = WIRE_UNMAPPED, .unmap = *m});
}

/* There is nothing behind the handle, which is to be numbers from 1 on, nor behind a descriptor. */
static void on_import(struct fake *f, const struct wire_import *m, int fd)
{
	bool refused =
		is(f, "import-refused") || (is(f, "import-refused-once") && f->n_imports == 0);
	struct wire_message answer = {.type = WIRE_IMPORTED,
		.imported = {.id = m->id + is(f, "w-imported"),
			.error = refused ? "no such \377 memory" : ""}};

	f->n_imports++;
	for (size_t i = 0; i < m->n_handle; i++)
		must(m->handle[i] == i + 1, "handle");
	must((fd >= 0) == (m->n_handle == 0), "descriptor of an import");
	if (!is(f, "import-silent"))
		say(f, &answer);
}

static void on_drain(struct fake *f)
{
	if (is(f, "no-drain"))
		return;
	if (!is(f, "no-bye"))
		say(f, &(struct wire_message){.type = WIRE_BYE, .bye = {.reason = "drained"}});
	if (is(f, "bye-twice"))
		say(f, &(struct wire_message){.type = WIRE_BYE});
	if (is(f, "no-exit"))
		hang();
	_exit(is(f, "bye-exit3") ? 3 : 0);
}

static void on_message(struct fake *f, const struct wire_message *m, int fd)
{
	switch (m->type) {
	case WIRE_SETUP:
		on_setup(f, &m->setup);
		break;
	case WIRE_LOAD:
		on_load(f, &m->load);
		break;
	case WIRE_RUN:
		on_run(f, &m->run);
		break;
	case WIRE_UNLOAD:
		f->names[m->unload.model][0] = '\0';
		for (size_t i = 0; i < f->n_held; i++)
			must(f->held_model[i] != m->unload.model, "unload of a model that runs");
		f->stayed += is(f, "leaky") ? 1000 : 0;
		say(f, &(struct wire_message){.type = WIRE_UNLOADED,
			       .unloaded = {.model = m->unload.model + is(f, "w-unloaded"),
				       .stayed_bytes = f->stayed}});
		break;
	case WIRE_CANCEL:
		on_cancel(f, &m->cancel);
		break;
	case WIRE_RELEASE:
		on_release(f, &m->release);
		break;
	case WIRE_PING:
		if (!is(f, "deaf"))
			say(f, &(struct wire_message){.type = WIRE_PONG, .ping = m->ping});
		break;
	case WIRE_MAP:
		on_map(f, &m->map, fd);
		break;
	case WIRE_IMPORT:
		on_import(f, &m->import, fd);
		break;
	case WIRE_UNMAP:
		on_unmap(f, &m->unmap);
		break;
	case WIRE_DRAIN:
		on_drain(f);
		break;
	default:
		break;
	}
}

__attribute__((constructor)) static void fake_worker(void)
{
	static struct fake f;

	if (!getenv(FAKE_WORKER_VARIABLE))
		return;
	must(!wire_scratch_new(&f.in) && !wire_scratch_new(&f.out), "scratch");
	for (;;) {
		_cleanup_(close_fd) int fd = -1;
		const struct wire_message *m;
		size_t n;
		size_t used;
		size_t n_fds;

		if (seqpacket_recv(3, f.buffer, sizeof(f.buffer), &n, &fd, 1, &n_fds, 0))
			_exit(0);
		for (size_t at = 0; at < n; at += used) {
			must(!wire_unpack(f.in, f.buffer + at, n - at, &used, &m), "unpack");
			on_message(&f, m, fd);
		}
	}
}
