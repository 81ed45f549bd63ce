/*
 * network.c: loads a model and makes its instances. Worker process.
 */
#include "workers/backends/onnxruntime/network.h"
#include "workers/backends/onnxruntime/changing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "workers/backends/onnxruntime/keys.h"
#include "workers/backends/onnxruntime/text.h"

/* All files of the version's directory: weights may lie beside model.onnx. */
static uint64_t directory_bytes(const char *path)
{
	DIR *dir = opendir(path);
	uint64_t bytes = 0;
	struct dirent *entry;
	struct stat st;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		if (!fstatat(dirfd(dir), entry->d_name, &st, 0) && S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_size;
	closedir(dir);
	return bytes;
}

/* What a session adds to it is the model; the first one's has some 1.4 MB that all share. */
static uint64_t heap_bytes(void)
{
	struct mallinfo2 heap = mallinfo2();

	return (uint64_t)heap.uordblks + heap.hblkhd;
}

static enum modeld_code find_file(const struct modeld_model_spec *spec, char *ret_path, size_t size,
	struct modeld_error *error)
{
	if ((size_t)snprintf(ret_path, size, "%s/model.onnx", spec->path) >= size)
		return error_set(error, MODELD_INTERNAL, "the model's path is too long");
	if (access(ret_path, R_OK))
		return error_set(error, MODELD_INTERNAL, "model.onnx: %s", strerror(errno));
	return MODELD_OK;
}

/* instance: see options_new(). */
static enum modeld_code create_session(struct OrtSession **ret_session, struct network *m,
	const struct modeld_instance_spec *instance, const char *path, struct modeld_error *error)
{
	const struct OrtApi *api = m->runtime->api;
	struct OrtSessionOptions *options = NULL;
	enum modeld_code code;

	code = options_new(&options, m->runtime, m->spec, instance, error);
	if (code)
		return code;
	code = runtime_check(m->runtime,
		api->CreateSession(m->runtime->env, path, options, ret_session), "model.onnx",
		error);
	if (code)
		text_hide(error->text, m->spec->path);
	api->ReleaseSessionOptions(options);
	/* Whatever is wrong with the file is not the request's fault. */
	return code == MODELD_INVALID ? MODELD_INTERNAL : code;
}

static enum modeld_code open_model(struct network *m, const char *path, struct modeld_error *error)
{
	uint64_t before = heap_bytes(), after;
	enum modeld_code code = create_session(&m->session, m, NULL, path, error);

	after = heap_bytes();
	m->memory_bytes = after > before ? after - before : 0;
	if (m->memory_bytes < directory_bytes(m->spec->path))
		m->memory_bytes = directory_bytes(m->spec->path);
	return code;
}

static enum modeld_code prepare_shrinking(
	struct network *m, const struct modeld_model_spec *spec, struct modeld_error *error)
{
	const struct OrtApi *api = m->runtime->api;
	bool gpu = runtime_on_gpu(m->runtime);
	enum modeld_code code = options_shrinkage(m->runtime, spec, &m->shrinkage, error);

	if (code || m->shrinkage == SHRINK_NEVER)
		return code;
	code = runtime_check(m->runtime, api->CreateRunOptions(&m->shrink), "run options", error);
	if (!code)
		code = runtime_check(m->runtime,
			api->AddRunConfigEntry(m->shrink, "memory.enable_memory_arena_shrinkage",
				gpu ? "cpu:0;gpu:0" : "cpu:0"),
			"arena_shrinkage", error);
	return code;
}

/* What is in the stream when a run ends the worker waits for. */
static enum modeld_code prepare_unwaited(struct network *m, struct modeld_error *error)
{
	const struct OrtApi *api = m->runtime->api;
	enum modeld_code code;

	if (!runtime_on_gpu(m->runtime))
		return MODELD_OK;
	code = runtime_check(m->runtime, api->CreateRunOptions(&m->unwaited), "run options", error);
	if (code)
		return code;
	return runtime_check(m->runtime,
		api->AddRunConfigEntry(m->unwaited, "disable_synchronize_execution_providers", "1"),
		"run options", error);
}

/* Strings have a form of their own, and a bool that is neither 0 nor 1, which the GPU must not meet, is looked for on the
 * host. */
static void place_inputs(struct network *m)
{
	for (size_t i = 0; runtime_on_gpu(m->runtime) && i < m->declared.n_inputs; i++) {
		struct modeld_declaration *d = &m->declared.inputs[i];

		if (d->dtype != MODELD_DTYPE_BYTES && d->dtype != MODELD_DTYPE_BOOL)
			d->memory = MODELD_MEMORY_BIT(MODELD_MEMORY_DEVICE);
	}
}

static enum modeld_code allocate(struct network *m, struct modeld_error *error)
{
	m->input_names = calloc(m->declared.n_inputs + 1, sizeof(*m->input_names));
	if (!m->input_names)
		return error_set(error, MODELD_EXHAUSTED, "no memory for the model");
	for (size_t i = 0; i < m->declared.n_inputs; i++)
		m->input_names[i] = m->declared.inputs[i].name;
	return MODELD_OK;
}

static enum modeld_code make_room(
	struct bindings *b, const struct declarations *d, struct modeld_error *error)
{
	size_t n_in = d->n_inputs + 1, n_out = d->n_outputs + 1;

	b->inputs = calloc(n_in, sizeof(struct OrtValue *));
	b->outputs = calloc(n_out, sizeof(struct OrtValue *));
	b->output_names = calloc(n_out, sizeof(*b->output_names));
	b->output_index = calloc(n_out, sizeof(*b->output_index));
	b->bound = calloc(n_out, sizeof(*b->bound));
	if (!b->inputs || !b->outputs || !b->output_names || !b->output_index || !b->bound)
		return error_set(error, MODELD_EXHAUSTED, "no memory for an instance");
	return MODELD_OK;
}

/* Once a load: somebody may wonder why requests are not joined, or know that they may be. */
static void say_alone(const struct network *m, const struct modeld_model_spec *spec)
{
	const struct modeld_host *host = m->runtime->host;
	struct modeld_error line;

	if (!*m->declared.why_alone)
		return;
	error_set(&line, MODELD_OK,
		"model '%.60s' runs requests one by one: %.250s; max_batch_size in [model] of its "
		"model.conf has them joined all the same",
		spec->name, m->declared.why_alone);
	host->log(host, MODELD_LOG_INFO, line.text);
}

enum modeld_code network_new(struct network **ret_network, struct runtime *r,
	const struct modeld_model_spec *spec, struct modeld_error *error)
{
	_cleanup_(network_freep) struct network *m = calloc(1, sizeof(*m));
	struct joining joining = {BATCH_AUTO, spec->max_batch_size};
	enum modeld_code code;
	char path[4096];

	if (!m)
		return error_set(error, MODELD_EXHAUSTED, "no memory for the model");
	m->name = spec->name;
	m->spec = spec;
	m->runtime = r;
	m->trust_shapes = true;
	code = options_batch(r, spec, &joining.batch, error);
	if (!code)
		code = find_file(spec, path, sizeof(path), error);
	if (!code)
		code = open_model(m, path, error);
	if (!code)
		code = declarations_read(&m->declared, r, m->session, path, &joining, error);
	m->shares = !code && changing_is_harmless(path);
	if (!code)
		code = prepare_shrinking(m, spec, error);
	if (!code)
		code = prepare_unwaited(m, error);
	if (!code)
		code = allocate(m, error);
	if (code)
		return code;
	place_inputs(m);
	say_alone(m, spec);
	keys_check_parameters(r->host, spec);
	*ret_network = steal_ptr(m);
	return MODELD_OK;
}

struct network *network_free(struct network *m)
{
	if (!m)
		return NULL;
	declarations_release(&m->declared, m->runtime);
	if (m->unwaited)
		m->runtime->api->ReleaseRunOptions(m->unwaited);
	if (m->shrink)
		m->runtime->api->ReleaseRunOptions(m->shrink);
	if (m->session)
		m->runtime->api->ReleaseSession(m->session);
	free(m->input_names);
	free(m);
	return NULL;
}

/* Its own where it has a stream to work in. */
static enum modeld_code choose_session(
	struct instance *in, const struct modeld_instance_spec *spec, struct modeld_error *error)
{
	struct network *m = in->network;
	enum modeld_code code;
	char path[4096];

	in->session = m->session;
	if (!runtime_on_gpu(m->runtime))
		return MODELD_OK;
	in->session = NULL;
	code = find_file(m->spec, path, sizeof(path), error);
	return code ? code : create_session(&in->session, m, spec, path, error);
}

enum modeld_code instance_new(struct instance **ret_instance, struct network *m,
	const struct modeld_instance_spec *spec, struct modeld_error *error)
{
	_cleanup_(instance_freep) struct instance *in = calloc(1, sizeof(*in));
	enum modeld_code code;

	if (!in)
		return error_set(error, MODELD_EXHAUSTED, "no memory for an instance");
	in->network = m;
	code = make_room(&in->bindings, &m->declared, error);
	if (!code)
		code = choose_session(in, spec, error);
	if (code)
		return code;
	*ret_instance = steal_ptr(in);
	return MODELD_OK;
}

struct instance *instance_free(struct instance *in)
{
	if (!in)
		return NULL;
	if (in->session && in->session != in->network->session)
		in->network->runtime->api->ReleaseSession(in->session);
	free(in->bindings.inputs);
	free(in->bindings.outputs);
	free(in->bindings.output_names);
	free(in->bindings.output_index);
	free(in->bindings.bound);
	free(in);
	return NULL;
}
