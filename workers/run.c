/*
 * run.c: one call of a backend, from what the message says to what the answer can say. Worker process, the
 * thread of the run; a backend's own threads may ask for parameters, and complete the run.
 */
#include "workers/run.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base/list.h"
#include "workers/error.h"
#include "workers/host.h"
#include "workers/run_private.h"

static const char *give_parameter(const struct modeld_batch *batch, const char *key)
{
	const struct run *r = container_of(batch, struct run, batch);

	return r->item ? pairs_find(r->item->parameters, r->item->n_parameters, key) : NULL;
}

static int give_parameter_at(
	const struct modeld_batch *batch, size_t i, const char **ret_key, const char **ret_value)
{
	const struct run *r = container_of(batch, struct run, batch);

	if (!r->item || i >= r->item->n_parameters)
		return 0;
	*ret_key = r->item->parameters[i].key;
	*ret_value = r->item->parameters[i].value;
	return 1;
}

/* --- Before ------------------------------------------------------------------------------- */

static int is_cancelled(const struct modeld_batch *batch)
{
	const struct run *r = container_of(batch, struct run, batch);

	return lane_is_cancelled(r->lane, r->number);
}

void run_init(struct run *r, const struct run_parts *parts)
{
	r->memory = parts->memory;
	r->offload.pinned = parts->pinned;
	r->outputs = parts->outputs;
	r->on_answer = parts->on_answer;
	r->on_full = parts->on_full;
	r->wait_ns = parts->wait_ns;
	r->data = parts->data;
	r->regions = parts->regions;
	r->batch.size = sizeof(r->batch);
	r->batch.output = run_give_output;
	r->batch.parameter = give_parameter;
	r->batch.parameter_at = give_parameter_at;
	r->batch.cancelled = is_cancelled;
	/* Without random bytes the mark is zeroes: an output that ends with them fails then. */
	(void)!getrandom(r->mark, sizeof(r->mark), GRND_NONBLOCK);
	pthread_mutex_init(&r->completion.lock, NULL);
	pthread_cond_init(&r->completion.arrived, NULL);
}

static void drop_arrays(struct run *r)
{
	free(r->inputs);
	free(r->given);
	free(r->wanted);
	r->inputs = NULL;
	r->given = NULL;
	r->wanted = NULL;
	r->inputs_cap = r->given_cap = 0;
}

void run_deinit(struct run *r)
{
	offload_deinit(&r->offload);
	drop_arrays(r);
	pthread_cond_destroy(&r->completion.arrived);
	pthread_mutex_destroy(&r->completion.lock);
}

int run_reserve(struct run *r, const struct model *m)
{
	size_t n_inputs = m->info.n_inputs > r->inputs_cap ? m->info.n_inputs : r->inputs_cap;
	size_t n_given = m->info.n_outputs > r->given_cap ? m->info.n_outputs : r->given_cap;

	if (n_inputs == r->inputs_cap && n_given == r->given_cap)
		return 0;
	drop_arrays(r);
	r->inputs = calloc(n_inputs + 1, sizeof(*r->inputs));
	r->given = calloc(n_given + 1, sizeof(*r->given));
	r->wanted = calloc(n_given + 1, sizeof(*r->wanted));
	if (!r->inputs || !r->given || !r->wanted)
		return -ENOMEM;
	r->inputs_cap = n_inputs;
	r->given_cap = n_given;
	return 0;
}

static enum modeld_code set_wanted(
	struct run *r, const struct wire_item *want, struct modeld_error *error)
{
	size_t n = r->model->info.n_outputs;

	memset(r->wanted, want->n_outputs == 0, n);
	for (size_t i = 0; i < want->n_outputs; i++) {
		if (want->outputs[i] >= n)
			return error_say(error, MODELD_INTERNAL,
				"output %" PRIu32 " is wanted, the model declares %zu",
				want->outputs[i], n);
		r->wanted[want->outputs[i]] = 1;
	}
	return MODELD_OK;
}

void *run_target_data(const struct run *r, const struct wire_target *target)
{
	const struct view *v = regions_find_locked(r->regions, r->memory, target->span.arena);

	return v ? view_data_writable(v, &target->span) : NULL;
}

static enum modeld_code check_wanted(
	const struct run *r, const struct wire_target *t, struct modeld_error *error)
{
	if (t->output < r->model->info.n_outputs && r->wanted[t->output])
		return MODELD_OK;
	return error_say(error, MODELD_INTERNAL,
		"a place is given for output %" PRIu32 ", which is not wanted", t->output);
}

static enum modeld_code check_target(const struct run *r, const struct wire_target *t,
	void **ret_data, struct modeld_error *error)
{
	if (check_wanted(r, t, error) != MODELD_OK)
		return MODELD_INTERNAL;
	*ret_data = run_target_data(r, t);
	if (!*ret_data && regions_lacks_locked(r->regions, r->memory, t->span.arena))
		return error_say(error, MODELD_EXHAUSTED,
			"output '%s': this worker has no room to map the region that it goes to",
			r->model->info.outputs[t->output].name);
	if (!*ret_data)
		return error_say(error, MODELD_INTERNAL,
			"the place for output '%s' is not in a region that can be written",
			r->model->info.outputs[t->output].name);
	return MODELD_OK;
}

enum modeld_code run_check_targets(
	struct run *r, const struct wire_item *item, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;
	void *data;

	for (size_t i = 0; code == MODELD_OK && i < item->n_targets; i++)
		code = check_target(r, &item->targets[i], &data, error);
	return code;
}

/* Whether it lies on the device, and where. */
static bool find_on_device(
	const struct run *r, const struct wire_target *t, void **ret_data, bool *ret_lost)
{
	bool is;

	pthread_mutex_lock(r->memory);
	is = regions_target_on_device(r->regions, &t->span, ret_data, ret_lost);
	pthread_mutex_unlock(r->memory);
	return is;
}

static enum modeld_code say_lost(const struct run *r, uint64_t region, struct modeld_error *error)
{
	char why[DEVICE_TEXT_MAX];

	regions_why_locked(r->regions, r->memory, region, why, sizeof(why));
	return error_say(error, MODELD_INVALID,
		"the memory on the GPU of an output's region cannot be had: %s", why);
}

static enum modeld_code set_target(
	struct run *r, const struct wire_target *t, struct modeld_error *error)
{
	enum modeld_code code;
	void *data = NULL;
	bool lost = false, on_device = find_on_device(r, t, &data, &lost);

	if (on_device && r->model->info.decoupled)
		return error_say(error, MODELD_UNSUPPORTED,
			"outputs of a decoupled model cannot go to a client's memory on a GPU");
	if (lost)
		return say_lost(r, t->span.arena, error);
	code = data ? check_wanted(r, t, error) : check_target(r, t, &data, error);
	if (code != MODELD_OK)
		return code;
	r->given[t->output].target = t;
	r->given[t->output].target_data = data;
	r->given[t->output].target_on_device = on_device;
	return MODELD_OK;
}

static enum modeld_code set_targets(
	struct run *r, const struct wire_item *item, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	for (size_t i = 0; code == MODELD_OK && item && i < item->n_targets; i++)
		code = set_target(r, &item->targets[i], error);
	return code;
}

enum modeld_code run_begin(struct run *r, const struct model *m, const struct modeld_tensor *inputs,
	const struct wire_item *want, const struct wire_item *item, uint64_t rows,
	struct modeld_error *error)
{
	enum modeld_code code;

	r->model = m;
	r->item = item;
	r->rows = rows;
	r->compute_ns = 0;
	r->failed_code = MODELD_OK;
	for (size_t i = 0; i < m->info.n_inputs; i++)
		r->inputs[i] = &inputs[i];
	r->batch.inputs = r->inputs;
	r->batch.wanted = r->wanted;
	r->batch.n_inputs = m->info.n_inputs;
	r->batch.n_outputs = m->info.n_outputs;
	for (size_t i = 0; i < m->info.n_outputs; i++) {
		r->given[i].memory = NULL;
		r->given[i].data = NULL;
		r->given[i].target = NULL;
		r->given[i].target_data = NULL;
		r->given[i].at_target = false;
		r->given[i].target_on_device = false;
		r->given[i].device = NULL;
	}
	code = set_wanted(r, want, error);
	return code == MODELD_OK ? set_targets(r, item, error) : code;
}

/* --- After -------------------------------------------------------------------------------- */

static bool known_code(enum modeld_code code)
{
	return code == MODELD_INVALID || code == MODELD_EXHAUSTED || code == MODELD_UNSUPPORTED ||
	       code == MODELD_INTERNAL || code == MODELD_CANCELLED || code == MODELD_FATAL;
}

/* What output() refused is the reason, whatever the backend says. */
static enum modeld_code settle(
	const struct run *r, enum modeld_code code, struct modeld_error *error)
{
	if (code != MODELD_FATAL && r->failed_code != MODELD_OK) {
		code = r->failed_code;
		*error = r->failed;
	}
	return code;
}

static bool gave_nothing(const struct run *r)
{
	for (size_t i = 0; i < r->model->info.n_outputs; i++) {
		if (r->given[i].data)
			return false;
	}
	return true;
}

static enum modeld_code finish_outputs(struct run *r, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	for (size_t i = 0; code == MODELD_OK && i < r->model->info.n_outputs; i++)
		code = run_finish_output(r, i, error);
	return code;
}

enum modeld_code run_answer(const struct modeld_batch *batch, struct modeld_error *error)
{
	struct run *r = container_of(batch, struct run, batch);
	enum modeld_code code;

	if (!r->model->info.decoupled)
		return error_say(error, MODELD_INTERNAL,
			"the backend answers in part, and did not declare the model decoupled");
	code = settle(r, MODELD_OK, error);
	if (code == MODELD_OK && is_cancelled(batch))
		code = error_say(error, MODELD_CANCELLED, "%s", RUN_CANCELLED_TEXT);
	if (code == MODELD_OK)
		code = finish_outputs(r, error);
	if (code == MODELD_OK)
		code = r->on_answer(r->data, error);
	if (code != MODELD_OK) {
		run_drop(r);
		return code;
	}
	for (size_t i = 0; i < r->model->info.n_outputs; i++)
		run_forget_output(&r->given[i]);
	return MODELD_OK;
}

enum modeld_code run_execute(struct run *r, struct modeld_error *error)
{
	enum modeld_code code = run_call(r, error);

	code = settle(r, code, error);
	if (code != MODELD_OK) {
		code = known_code(code) ? code : MODELD_INTERNAL;
		host_clean_error(error);
		host_hide_paths(error->text);
	}
	r->empty = code == MODELD_OK && r->model->info.decoupled && gave_nothing(r);
	if (code == MODELD_OK && !r->empty)
		code = finish_outputs(r, error);
	if (code != MODELD_OK)
		run_drop(r);
	return code;
}

static void drop_hold(struct run *r)
{
	pthread_mutex_lock(r->memory);
	outputs_drop(r->outputs, r->hold);
	pthread_mutex_unlock(r->memory);
	r->hold = NULL;
}

struct hold *run_take_hold(struct run *r)
{
	struct hold *hold;

	if (r->hold && hold_is_empty(r->hold))
		drop_hold(r);
	hold = r->hold;
	r->hold = NULL;
	return hold;
}

void run_drop(struct run *r)
{
	if (r->hold)
		drop_hold(r);
	for (size_t i = 0; i < r->model->info.n_outputs; i++)
		run_forget_output(&r->given[i]);
}
