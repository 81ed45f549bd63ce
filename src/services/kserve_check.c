/*
 * kserve_check.c: Triton's checks of a request, in its order: names and their number, rows, then each
 * tensor. Where it goes through inputs by its hash table, which is mostly back to front, so do we: its
 * clients' tests know the names that come first. Daemon process, loop thread.
 */
#include "services/kserve_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dispatch/version.h"
#include "services/kserve_infer.h"

#define NAME_SHOWN     255
#define SHAPE_TEXT_MAX 512u
#define NAMES_MAX      768u
#define ID_SHOWN       255
#define LENGTH_BYTES   4u /* ahead of each element of a BYTES tensor */

#define BATCH_NOTE                                                                                 \
	" NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension " \
	"to be prepended to each input shape. If you want to specify the full shape including "    \
	"the batch dim in your input dims config, try setting max_batch_size to zero. See the "    \
	"model configuration docs for more info on max_batch_size."

enum dtype kserve_dtype(const char *name)
{
	enum dtype d = dtype_parse(name, strlen(name));

	return d == DTYPE_INVALID || strcmp(name, dtype_kserve_name(d)) != 0 ? DTYPE_INVALID : d;
}

int kserve_fail(struct infer *i, const char *format, ...)
{
	char text[GRPC_MESSAGE_MAX + 1];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (i->n_id == 0)
		return infer_fail(
			&i->failure, GRPC_INVALID_ARGUMENT, "[request id: <id_unknown>] %s", text);
	return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT, "[request id: %.*s] %s",
		i->n_id < ID_SHOWN ? (int)i->n_id : ID_SHOWN, i->id, text);
}

static const char *model_name(const struct infer *i)
{
	return version_settings(i->model)->name;
}

/* --- Which inputs there are ------------------------------------------------------------------- */

struct names {
	char text[NAMES_MAX];
	size_t n;
};

static void add_name(struct names *x, const char *name)
{
	int n = snprintf(x->text + x->n, sizeof(x->text) - x->n, "%s'%.*s'", x->n > 0 ? "," : "",
		NAME_SHOWN, name);

	if (n > 0 && (size_t)n < sizeof(x->text) - x->n)
		x->n += (size_t)n;
	else
		x->text[x->n] = '\0';
}

static bool is_there(const struct infer *i, uint32_t index)
{
	const struct request_input *in = request_input(i->request, index);

	return in && (in->lease || in->region);
}

/* Inputs that a client gives. */
static size_t n_expected(const struct infer *i, const struct wire_loaded *declared)
{
	size_t n = declared->n_inputs;

	for (uint32_t k = 0; k < declared->n_inputs; k++)
		n -= version_hides_input(i->model, k);
	return n;
}

static int fail_number(
	struct infer *i, const struct kserve_request *m, const struct wire_loaded *declared)
{
	struct names got = {.n = 0}, missing = {.n = 0};

	got.text[0] = missing.text[0] = '\0';
	for (size_t k = m->n_inputs; k-- > 0;)
		add_name(&got, m->inputs[k].name);
	for (uint32_t k = 0; k < declared->n_inputs; k++) {
		if (!is_there(i, k) && !version_hides_input(i->model, k))
			add_name(&missing, declared->inputs[k].name);
	}
	return kserve_fail(i,
		"expected %zu inputs but got %zu inputs for model '%s'. Got input(s) [%s], but "
		"missing required input(s) [%s]. Please provide all required input(s).",
		n_expected(i, declared), m->n_inputs, model_name(i), got.text, missing.text);
}

static int check_names(
	struct infer *i, const struct kserve_request *m, const struct wire_loaded *declared)
{
	if (m->n_inputs != n_expected(i, declared))
		return fail_number(i, m, declared);
	for (size_t k = m->n_inputs; k-- > 0;) {
		uint32_t index = (uint32_t)k;

		if (version_find_input(i->model, m->inputs[k].name, &index) ||
			version_hides_input(i->model, index))
			return kserve_fail(i, "unexpected inference input '%.*s' for model '%s'",
				NAME_SHOWN, m->inputs[k].name, model_name(i));
	}
	return 0;
}

/* --- Rows ------------------------------------------------------------------------------------- */

/* The configuration says that the first dimension is the batch's; else that is a matter of joining. */
static bool has_rows(const struct infer *i)
{
	uint32_t configured = version_settings(i->model)->max_batch_size;

	return configured != UINT32_MAX && version_max_batch_size(i->model) > 0;
}

static int check_rows(struct infer *i, const struct kserve_request *m)
{
	uint32_t max = version_max_batch_size(i->model);
	int64_t rows = 0;

	for (size_t k = m->n_inputs; k-- > 0;) {
		const struct kserve_input *in = &m->inputs[k];

		if (in->rank == 0)
			return kserve_fail(i,
				"input '%.*s' has no shape but model requires batch dimension for "
				"'%s'",
				NAME_SHOWN, in->name, model_name(i));
		if (k == m->n_inputs - 1)
			rows = in->dims[0];
		else if (rows != in->dims[0])
			return kserve_fail(i,
				"input '%.*s' batch size does not match other inputs for '%s'",
				NAME_SHOWN, in->name, model_name(i));
	}
	if (rows > (int64_t)max)
		return kserve_fail(i,
			"inference request batch-size must be <= %" PRIu32 " for '%s'", max,
			model_name(i));
	return 0;
}

/* --- A tensor --------------------------------------------------------------------------------- */

static int fail_dtype(struct infer *i, const struct kserve_input *m, enum dtype d,
	const struct wire_declaration *want)
{
	return kserve_fail(i,
		"inference input '%.*s' data-type is '%s', but model '%s' expects '%s'", NAME_SHOWN,
		m->name, d == DTYPE_INVALID ? "<invalid>" : dtype_kserve_name(d), model_name(i),
		want->dtype == DTYPE_INVALID ? "any" : dtype_kserve_name(want->dtype));
}

static int fail_shape(
	struct infer *i, const struct kserve_input *m, const struct wire_declaration *want)
{
	char expected[SHAPE_TEXT_MAX], got[SHAPE_TEXT_MAX];

	shape_format(want->dims, want->rank, expected, sizeof(expected));
	shape_format(m->dims, m->rank, got, sizeof(got));
	return kserve_fail(i,
		"unexpected shape for input '%.*s' for model '%s'. Expected %s, got %s.%s",
		NAME_SHOWN, m->name, model_name(i), expected, got, has_rows(i) ? BATCH_NOTE : "");
}

static int check_shape(
	struct infer *i, const struct kserve_input *m, const struct wire_declaration *want)
{
	char got[SHAPE_TEXT_MAX];

	for (size_t k = 0; k < m->rank; k++) {
		if (m->dims[k] < 0)
			return kserve_fail(i,
				"All input dimensions should be specified for input '%.*s' for "
				"model '%s', got %s",
				NAME_SHOWN, m->name, model_name(i),
				shape_format(m->dims, m->rank, got, sizeof(got)));
	}
	if (!want->any_shape && !shape_admits(want->dims, want->rank, m->dims, m->rank))
		return fail_shape(i, m, want);
	return 0;
}

static uint64_t element_length(const uint8_t *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
}

/* The elements do not add up: say how. They are not counted further than to one more than would be looked at. */
static int fail_strings(struct infer *i, const struct kserve_input *m, const uint8_t *p,
	uint64_t left, uint64_t expected)
{
	uint64_t n = 0;

	for (; left > 0 && n <= WIRE_BYTES_CHECKED_MAX; n++) {
		uint64_t length;

		if (left < LENGTH_BYTES)
			return kserve_fail(i,
				"incomplete string length indicator for inference input '%.*s' for "
				"model '%s', expecting %u bytes but only %" PRIu64
				" bytes available. Please make sure the string length indicator is "
				"in one buffer.",
				NAME_SHOWN, m->name, model_name(i), LENGTH_BYTES, left);
		length = element_length(p);
		if (length > left - LENGTH_BYTES)
			return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
				"incomplete string data for inference input '%.*s', expecting "
				"string of length %" PRIu64 " but only %" PRIu64 " bytes available",
				NAME_SHOWN, m->name, length, left - LENGTH_BYTES);
		p += LENGTH_BYTES + length;
		left -= LENGTH_BYTES + length;
	}
	if (n > expected)
		return kserve_fail(i,
			"unexpected number of string elements %" PRIu64
			"%s for inference input '%.*s' for model '%s', expecting %" PRIu64,
			n, left > 0 ? " or more" : "", NAME_SHOWN, m->name, model_name(i),
			expected);
	return kserve_fail(i,
		"expected %" PRIu64 " string elements for inference input '%.*s' for model "
		"'%s', got %" PRIu64,
		expected, NAME_SHOWN, m->name, model_name(i), n);
}

static int check_bytes(
	struct infer *i, const struct kserve_input *m, const struct request_input *in, uint64_t n)
{
	const uint8_t *data;

	/* What a client can still change is checked by the worker, on a copy, and what takes long; what is not here yet, by
	 * dispatch. */
	if (!in->lease || n > WIRE_BYTES_CHECKED_MAX ||
		kserve_keys_pending((const struct kserve_infer *)i))
		return 0;
	data = in->length > 0 ? lease_at(in->lease, in->offset) : NULL;
	if (bytes_tensor_check(data, in->length, n) == 0)
		return 0;
	return fail_strings(i, m, data, in->length, n);
}

/* Of a batch of no rows one is expected. */
static int count_elements(
	const struct infer *i, const struct request_input *in, uint64_t *ret_elements)
{
	int64_t dims[TENSOR_RANK_MAX];

	if (!has_rows(i) || in->rank == 0 || in->dims[0] != 0)
		return shape_elements(in->dims, in->rank, ret_elements);
	memcpy(dims, in->dims, in->rank * sizeof(dims[0]));
	dims[0] = 1;
	return shape_elements(dims, in->rank, ret_elements);
}

static int check_size(struct infer *i, const struct kserve_input *m, const struct request_input *in)
{
	char got[SHAPE_TEXT_MAX];
	uint64_t n;

	if (count_elements(i, in, &n) ||
		(dtype_size(in->dtype) > 0 && n > (uint64_t)INT64_MAX / dtype_size(in->dtype)))
		return kserve_fail(i, "input '%.*s' for model '%s' has too many elements: %s",
			NAME_SHOWN, m->name, model_name(i),
			shape_format(m->dims, m->rank, got, sizeof(got)));
	if (in->dtype == DTYPE_BYTES)
		return check_bytes(i, m, in, n);
	if (in->length == n * dtype_size(in->dtype))
		return 0;
	return kserve_fail(i,
		"input byte size mismatch for input '%.*s' for model '%s'. Expected %" PRIu64
		", got %" PRIu64,
		NAME_SHOWN, m->name, model_name(i), n * dtype_size(in->dtype), in->length);
}

static int check_tensor(struct infer *i, const struct kserve_input *m,
	const struct wire_declaration *want, const struct request_input *in)
{
	int r = 0;

	if (!dtype_admits(want->dtype, in->dtype))
		r = fail_dtype(i, m, in->dtype, want);
	if (!r)
		r = check_shape(i, m, want);
	if (!r)
		r = check_size(i, m, in);
	return r;
}

int kserve_check_inputs(struct infer *i, const struct kserve_request *m)
{
	const struct wire_loaded *declared = version_declared(i->model);
	int r = check_names(i, m, declared);

	if (!r && has_rows(i))
		r = check_rows(i, m);
	for (size_t k = m->n_inputs; k-- > 0 && !r;) {
		uint32_t index = (uint32_t)k;

		r = version_find_input(i->model, m->inputs[k].name, &index);
		if (!r)
			r = check_tensor(i, &m->inputs[k], &declared->inputs[index],
				request_input(i->request, index));
	}
	return r;
}
