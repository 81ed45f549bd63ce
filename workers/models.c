/*
 * models.c: loads models through their backends and holds what they declared. A declaration is
 * checked once, at load; the executor counts on it. Worker process, its one thread.
 */
#include "workers/models.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "workers/host.h"

_Static_assert((int)MODELD_DTYPE_ANY == (int)DTYPE_INVALID &&
		       (int)MODELD_DTYPE_BOOL == (int)DTYPE_BOOL &&
		       (int)MODELD_DTYPE_BF16 == (int)DTYPE_BF16 &&
		       (int)MODELD_DTYPE_BYTES == (int)DTYPE_BYTES,
	"backends and the wire use the same numbers");
_Static_assert(MODELD_BACKEND_RANK_MAX == TENSOR_RANK_MAX, "and the same ranks");

static const char *spec_parameter(const struct modeld_model_spec *spec, const char *key)
{
	const struct model *m = container_of(spec, struct model, spec);

	return pairs_find(m->parameters.items, m->parameters.n, key);
}

static struct model *model_free(struct model *m)
{
	if (!m)
		return NULL;
	if (m->handle)
		m->backend->unload(m->handle);
	pairs_deinit(&m->parameters);
	free((void *)m->spec.name);
	free((void *)m->spec.version);
	free((void *)m->spec.path);
	free(m);
	return NULL;
}
DEFINE_CLEANUP(struct model *, model_free)

void models_deinit(struct models *t)
{
	for (size_t i = 0; i < t->n; i++)
		model_free(t->items[i]);
	free(t->items);
	t->items = NULL;
	t->n = 0;
}

static int model_new(struct model **ret_model, const struct wire_load *load)
{
	_cleanup_(model_freep) struct model *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->number = load->model;
	m->compute_ns = UINT64_MAX;
	m->spec = (struct modeld_model_spec){
		.name = strdup(load->name),
		.version = strdup(load->version),
		.path = strdup(load->path),
		.parameter = spec_parameter,
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

static _printf_(2, 3) int fail(struct modeld_error *error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(error->text, sizeof(error->text), format, ap);
	va_end(ap);
	return MODELS_E_FAILED;
}

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
	if (n > WIRE_TENSORS_MAX || (n > 0 && !list))
		return fail(error, "the backend declares %zu %ss; at most %u are possible", n, what,
			WIRE_TENSORS_MAX);
	for (size_t i = 0; i < n; i++) {
		const char *fault = tensor_fault(&list[i], can_batch);

		if (!fault && named_before(list, i))
			fault = "has the name of another one";
		if (fault)
			return fail(error, "the backend's declaration is wrong: %s %zu %s", what, i,
				fault);
	}
	return 0;
}

static int check_info(const struct modeld_model_info *info, struct modeld_error *error)
{
	bool can_batch = info->can_batch;
	int r = check_list(info->inputs, info->n_inputs, "input", can_batch, error);

	if (!r)
		r = check_list(info->outputs, info->n_outputs, "output", can_batch, error);
	if (!r && can_batch && info->n_inputs == 0)
		return fail(error, "the backend's declaration is wrong: it batches without inputs");
	return r;
}

/* --- The table ---------------------------------------------------------------------------- */

static int make_room(struct models *t, uint32_t number)
{
	size_t n = (size_t)number + 1;
	struct model **items;

	if (number > MODEL_NUMBER_MAX)
		return MODELS_E_NUMBER;
	if (n <= t->n)
		return t->items[number] ? MODELS_E_IN_USE : 0;
	items = realloc(t->items, n * sizeof(*items));
	if (!items)
		return -ENOMEM;
	memset(items + t->n, 0, (n - t->n) * sizeof(*items));
	t->items = items;
	t->n = n;
	return 0;
}

/* The backend's part. */
static int load_into(struct model *m, uint32_t max_batch_size, struct modeld_error *error)
{
	int r;

	if (m->backend->load(&m->spec, &m->handle, &m->info, error) != MODELD_OK) {
		m->handle = NULL;
		host_clean_error(error);
		return MODELS_E_FAILED;
	}
	if (!m->handle)
		return fail(error, "the backend gave no model");
	r = check_info(&m->info, error);
	if (r)
		return r;
	m->max_batch_size = m->info.can_batch ? max_batch_size : 0;
	return 0;
}

int models_load(struct models *t, struct backends *backends, const struct wire_load *load,
	const struct model **ret_model, struct modeld_error *ret_error)
{
	_cleanup_(model_freep) struct model *m = NULL;
	struct modeld_error error = {{0}};
	int r = make_room(t, load->model);

	if (!r)
		r = model_new(&m, load);
	if (r)
		return r;
	r = backends_get(backends, load->backend, &m->backend, &error);
	if (r == BACKEND_E_REFUSED)
		r = MODELS_E_FAILED;
	if (!r)
		r = load_into(m, load->max_batch_size, &error);
	if (r) {
		*ret_error = error;
		return r;
	}
	*ret_model = m;
	t->items[load->model] = steal_ptr(m);
	return 0;
}

int models_unload(struct models *t, uint32_t number)
{
	if (number >= t->n || !t->items[number])
		return -ENOENT;
	t->items[number] = model_free(t->items[number]);
	return 0;
}

struct model *models_get(const struct models *t, uint32_t number)
{
	return number < t->n ? t->items[number] : NULL;
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
