/*
 * model.c: loads a model through its backend, makes its instances and holds what it declared. A
 * declaration is checked once, at load; the executor counts on it. Worker process, the thread that
 * loads.
 */
#include "workers/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "workers/error.h"
#include "workers/host.h"
#include "workers/transfer.h"

_Static_assert((int)MODELD_DTYPE_ANY == (int)DTYPE_INVALID &&
		       (int)MODELD_DTYPE_BOOL == (int)DTYPE_BOOL &&
		       (int)MODELD_DTYPE_BF16 == (int)DTYPE_BF16 &&
		       (int)MODELD_DTYPE_BYTES == (int)DTYPE_BYTES,
	"backends and the wire use the same numbers");
_Static_assert(MODELD_BACKEND_RANK_MAX == TENSOR_RANK_MAX, "and the same ranks");

static const char *spec_parameter(const struct modeld_model_spec *spec, const char *key)
{
	const struct model *m = container_of(spec, struct model, spec);

	for (size_t i = m->parameters.n; i > 0; i--) {
		if (strcmp(m->parameters.items[i - 1].key, key) != 0)
			continue;
		pairs_ask(&m->parameters, i - 1);
		return m->parameters.items[i - 1].value;
	}
	return NULL;
}

static int spec_parameter_at(const struct modeld_model_spec *spec, size_t i, const char **ret_key,
	const char **ret_value)
{
	const struct model *m = container_of(spec, struct model, spec);

	if (i >= m->parameters.n)
		return 0;
	pairs_ask(&m->parameters, i);
	*ret_key = m->parameters.items[i].key;
	*ret_value = m->parameters.items[i].value;
	return 1;
}

static void free_lanes(struct model *m)
{
	for (uint32_t i = 0; i < m->n_lanes; i++) {
		lane_deinit(&m->lanes[i]);
		if (m->backend->instance_free)
			m->backend->instance_free(m->lanes[i].instance);
	}
	for (uint32_t i = 0; m->lanes && i < m->spec.n_instances; i++)
		transfer_free(m->lanes[i].transfer);
	free(m->lanes);
}

struct model *model_unload(struct model *m)
{
	if (!m)
		return NULL;
	free_lanes(m);
	if (m->handle)
		m->backend->unload(m->handle);
	free((void *)m->info.inputs);
	free((void *)m->info.outputs);
	pairs_deinit(&m->parameters);
	free((void *)m->spec.name);
	free((void *)m->spec.version);
	free((void *)m->spec.path);
	free(m);
	return NULL;
}

static int make(struct model **ret_model, const struct wire_load *load)
{
	_cleanup_(model_unloadp) struct model *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->number = load->model;
	m->priority = load->priority == WIRE_PRIORITY_HIGH  ? DEVICE_PRIORITY_HIGH
		      : load->priority == WIRE_PRIORITY_LOW ? DEVICE_PRIORITY_LOW
							    : DEVICE_PRIORITY_NORMAL;
	atomic_init(&m->compute_ns, UINT64_MAX);
	m->spec = (struct modeld_model_spec){
		.size = sizeof(m->spec),
		.name = strdup(load->name),
		.version = strdup(load->version),
		.path = strdup(load->path),
		.parameter = spec_parameter,
		.parameter_at = spec_parameter_at,
		.max_batch_size = load->max_batch_size,
	};
	if (!m->spec.name || !m->spec.version || !m->spec.path)
		return -ENOMEM;
	r = pairs_copy(&m->parameters, load->parameters, load->n_parameters);
	if (r)
		return r;
	*ret_model = steal_ptr(m);
	return 0;
}

/* --- Checking a declaration --------------------------------------------------------------- */

static bool named_before(const struct modeld_declaration *list, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (!strcmp(list[k].name, list[i].name))
			return true;
	}
	return false;
}

/* What is wrong with a tensor's declaration, or NULL. */
static const char *tensor_fault(const struct modeld_declaration *d, bool can_batch)
{
	if (!d->name || !*d->name || strlen(d->name) > WIRE_NAME_MAX)
		return "has no name, or a longer one than 255 bytes";
	if ((int)d->dtype < 0 || (int)d->dtype >= DTYPE_MAX_)
		return "has an unknown dtype";
	if (d->any_shape)
		return can_batch ? "has any shape, but the model batches" : NULL;
	if (d->rank > TENSOR_RANK_MAX)
		return "has more than 16 dimensions";
	for (uint32_t i = 0; i < d->rank; i++) {
		if (d->dims[i] < -1)
			return "has a dimension below -1";
	}
	if (can_batch && (d->rank == 0 || d->dims[0] != -1))
		return "has no free first dimension, but the model batches";
	return NULL;
}

static int check_list(const struct modeld_declaration *list, size_t n, const char *what,
	bool can_batch, struct modeld_error *error)
{
	for (size_t i = 0; i < n; i++) {
		const char *fault = tensor_fault(&list[i], can_batch);

		if (!fault && named_before(list, i))
			fault = "has the name of another one";
		if (fault)
			return error_say(error, MODEL_E_FAILED,
				"the backend's declaration is wrong: %s %zu %s", what, i, fault);
	}
	return 0;
}

/* A host has no other memory than its own. */
static int check_memory(const struct model *m, struct modeld_error *error)
{
	const uint32_t host =
		MODELD_MEMORY_BIT(MODELD_MEMORY_HOST) | MODELD_MEMORY_BIT(MODELD_MEMORY_PINNED);

	for (size_t i = 0; !m->device && i < m->info.n_inputs; i++) {
		uint32_t memory = m->info.inputs[i].memory;

		if (memory && !(memory & host))
			return error_say(error, MODEL_E_FAILED,
				"the backend's declaration is wrong: input %zu is wanted in device "
				"memory, and this device has none",
				i);
	}
	return 0;
}

/* A copy of what a backend declares, whose elements may be larger than ours. -ENOMEM */
static int copy_list(
	const struct modeld_declaration **ret_list, const struct modeld_declaration *list, size_t n)
{
	struct modeld_declaration *copy = calloc(n + 1, sizeof(*copy));
	size_t stride = n > 0 ? list->size : 0;

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		memcpy(&copy[i], (const char *)list + i * stride, sizeof(*copy));
	*ret_list = copy;
	return 0;
}

static int check_count(const struct modeld_declaration *list, size_t n, const char *what,
	struct modeld_error *error)
{
	if (n > WIRE_TENSORS_MAX || (n > 0 && !list))
		return error_say(error, MODEL_E_FAILED,
			"the backend declares %zu %ss; at most %u are possible", n, what,
			WIRE_TENSORS_MAX);
	if (n > 0 && list->size < sizeof(*list))
		return error_say(error, MODEL_E_FAILED,
			"the backend's declaration is wrong: %s 0 has a size of %zu, not %zu", what,
			list->size, sizeof(*list));
	return 0;
}

/* Believe what load() said, or not: m->info gets declarations of its own. */
static int take_info(
	struct model *m, const struct modeld_model_info *info, struct modeld_error *error)
{
	bool can_batch = info->can_batch;
	int r = check_count(info->inputs, info->n_inputs, "input", error);

	if (!r)
		r = check_count(info->outputs, info->n_outputs, "output", error);
	if (!r)
		r = copy_list(&m->info.inputs, info->inputs, info->n_inputs);
	if (!r)
		r = copy_list(&m->info.outputs, info->outputs, info->n_outputs);
	if (r)
		return r;
	m->info.n_inputs = info->n_inputs;
	m->info.n_outputs = info->n_outputs;
	m->info.can_batch = can_batch;
	m->info.decoupled = info->decoupled != 0;
	r = check_list(m->info.inputs, m->info.n_inputs, "input", can_batch, error);
	if (!r)
		r = check_list(m->info.outputs, m->info.n_outputs, "output", can_batch, error);
	if (!r)
		r = check_memory(m, error);
	if (!r && can_batch && m->info.n_inputs == 0)
		return error_say(error, MODEL_E_FAILED,
			"the backend's declaration is wrong: it batches without inputs");
	if (!r && can_batch && info->decoupled)
		return error_say(error, MODEL_E_FAILED,
			"the backend's declaration is wrong: it batches and is decoupled");
	return r;
}

/* --- Loading ------------------------------------------------------------------------------ */

/* What a function of the backend returned, as an error of ours. */
static int check_code(enum modeld_code code, struct modeld_error *error)
{
	if (code == MODELD_OK)
		return 0;
	host_clean_error(error);
	return code == MODELD_FATAL ? MODEL_E_FATAL : MODEL_E_FAILED;
}

static int load_into(struct model *m, uint32_t max_batch_size, struct modeld_error *error)
{
	struct modeld_model_info info = {.size = sizeof(info)};
	int r = check_code(m->backend->load(&m->spec, &m->handle, &info, error), error);

	if (r) {
		m->handle = NULL;
		return r;
	}
	if (!m->handle)
		return error_say(error, MODEL_E_FAILED, "the backend gave no model");
	r = take_info(m, &info, error);
	if (r)
		return r;
	m->max_batch_size = m->info.can_batch ? max_batch_size : 0;
	return 0;
}

/* The stream of a lane, and what the backend calls it. Nothing on a host. */
static int make_transfer(
	struct model *m, struct lane *lane, void **ret_stream, struct modeld_error *error)
{
	char text[DEVICE_TEXT_MAX / 2];
	int r;

	if (!m->device)
		return 0;
	r = transfer_new(&lane->transfer, m->device, m->priority);
	if (!r)
		*ret_stream = transfer_stream(lane->transfer);
	if (r <= 0)
		return r;
	(void)error_say(error, MODEL_E_FAILED, "a stream of the device: %s",
		device_explain(m->device, r, text, sizeof(text)));
	return device_fatal(r) ? MODEL_E_FATAL : MODEL_E_FAILED;
}

/* What a backend without instances of its own has is the model. */
static int make_instance(struct model *m, struct lane *lane,
	const struct modeld_instance_spec *spec, struct modeld_error *error)
{
	int r;

	lane->instance = m->handle;
	if (!m->backend->instance_create)
		return 0;
	lane->instance = NULL;
	r = check_code(m->backend->instance_create(m->handle, spec, &lane->instance, error), error);
	if (!r && !lane->instance)
		return error_say(error, MODEL_E_FAILED, "the backend gave no instance");
	return r;
}

static int add_lane(struct model *m, struct modeld_error *error)
{
	struct modeld_instance_spec spec = {.size = sizeof(spec), .index = m->n_lanes};
	struct lane *lane = &m->lanes[m->n_lanes];
	int r = make_transfer(m, lane, &spec.stream, error);

	if (!r)
		r = make_instance(m, lane, &spec, error);
	if (r)
		return r;
	lane_init(lane, m, m->n_lanes++);
	return m->backend->warm ? check_code(m->backend->warm(lane->instance, error), error) : 0;
}

static int make_lanes(struct model *m, struct modeld_error *error)
{
	int r = 0;

	m->lanes = calloc(m->spec.n_instances, sizeof(*m->lanes));
	if (!m->lanes)
		return -ENOMEM;
	while (!r && m->n_lanes < m->spec.n_instances)
		r = add_lane(m, error);
	return r;
}

/* Several where nobody said how many, the device gains from it, and the backend can tell them apart. */
static uint32_t count_instances(const struct model *m, uint32_t asked)
{
	if (asked > 0)
		return asked;
	if (!m->device || !m->backend->instance_create)
		return 1;
	if (MODELD_HAS(m->backend, instances) && m->backend->instances > 0)
		return m->backend->instances;
	return device_lanes(m->device);
}

/* Each backend would say it in its own words, and none which setting it is. */
static int check_readable(const char *path, struct modeld_error *error)
{
	_cleanup_(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 || errno != EACCES)
		return 0;
	snprintf(error->text, sizeof(error->text),
		"%s: this worker may not read it: [worker] sandbox_read, or the file's mode", path);
	return MODEL_E_FAILED;
}

int model_load(struct model **ret_model, struct backends *backends, struct device *device,
	const struct wire_load *load, struct modeld_error *ret_error)
{
	_cleanup_(model_unloadp) struct model *m = NULL;
	struct modeld_error error = {.size = sizeof(error)};
	int r = make(&m, load);

	if (r)
		return r;
	m->device = device && !device_is_host(device) ? device : NULL;
	r = backends_get(backends, load->backend, &m->backend, &error);
	if (r > 0)
		r = MODEL_E_FAILED;
	if (!r)
		r = check_readable(load->path, &error);
	if (!r) {
		m->spec.n_instances = count_instances(m, load->instances);
		r = load_into(m, load->max_batch_size, &error);
	}
	if (!r)
		r = make_lanes(m, &error);
	if (r) {
		*ret_error = error;
		return r;
	}
	*ret_model = steal_ptr(m);
	return 0;
}

int model_check(struct backends *backends, const struct wire_load *check,
	const struct modeld_faults *faults, bool *ret_unjudged, struct modeld_error *ret_error)
{
	_cleanup_(model_unloadp) struct model *m = NULL;
	const struct modeld_backend *backend;
	const char *key;
	int r = make(&m, check);

	if (!r)
		r = backends_get(backends, check->backend, &backend, ret_error);
	if (r < 0 || r == BACKEND_E_REFUSED)
		return r;
	*ret_unjudged = r > 0 || !MODELD_HAS(backend, check) || !backend->check;
	if (*ret_unjudged)
		return 0;
	m->spec.n_instances = 1;
	backend->check(*check->name ? &m->spec : NULL, faults);
	while (*check->name && (key = pairs_next_unasked(&m->parameters, "")))
		faults->add(faults, key, "means nothing to the backend");
	return 0;
}

uint64_t model_memory_bytes(const struct model *m)
{
	return m->backend->memory_usage ? m->backend->memory_usage(m->handle) : 0;
}

void model_describe(
	const struct modeld_declaration *list, size_t n, struct wire_declaration *ret_list)
{
	for (size_t i = 0; i < n; i++) {
		ret_list[i] = (struct wire_declaration){
			.name = list[i].name,
			.dtype = (enum dtype)list[i].dtype,
			.any_shape = list[i].any_shape,
			.rank = list[i].any_shape ? 0 : list[i].rank,
			.dims = list[i].dims,
		};
	}
}
