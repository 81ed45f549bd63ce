/* infer_inputs.c: from the command line and files to the inputs of a request. modelctl, one thread. */
#include "clients/modelctl/infer_inputs_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digits.h"
#include "clients/modelctl/json_read.h"
#include "clients/modelctl/tensor_parse.h"
#include "clients/modelctl/tensor_value.h"
#include "clients/modelctl/zip.h"

typedef Inference__ModelMetadataResponse Metadata;
typedef Inference__ModelMetadataResponse__TensorMetadata TensorMetadata;

void infer_inputs_release(struct infer_inputs *x)
{
	for (size_t i = 0; i < x->n; i++)
		tensor_release(&x->list[i].tensor);
	x->n = 0;
}

/* --- Names -------------------------------------------------------------------------------------- */

/* The input that NAME= in front of a value names, *ret_value behind it; *ret_input is NULL where there is none. */
static int take_name(const struct infer_making *k, const char *given,
	struct infer_input **ret_input, const char **ret_value)
{
	size_t n = strcspn(given, "=/");

	*ret_input = NULL;
	*ret_value = given;
	if (given[n] != '=' || n == 0)
		return 0;
	*ret_input = infer_find(k, given, n);
	*ret_value = given + n + 1;
	return *ret_input ? 0 : infer_unknown(k, given, n);
}

/* --- Shapes and types --------------------------------------------------------------------------- */

static int ask_shape(struct infer_input *at, const char *value)
{
	if (!tensor_parse_shape(&at->asked, value))
		return 0;
	return modelctl_fail(
		MODELCTL_USAGE, "--shape '%s': numbers and commas are expected", value);
}

static int ask_dtype(struct infer_input *at, const char *value)
{
	at->asked.dtype = dtype_parse(value, strlen(value));
	if (at->asked.dtype != DTYPE_INVALID)
		return 0;
	return modelctl_fail(MODELCTL_USAGE, "--dtype '%s' is unknown", value);
}

/* Behind NAME=, which is not looked at. */
static const char *behind_name(const char *given)
{
	size_t n = strcspn(given, "=/");

	return given[n] == '=' && n > 0 ? given + n + 1 : given;
}

int infer_given_check(const struct infer_given *given)
{
	struct infer_input nobody = {0};

	if (given->what == 's')
		return ask_shape(&nobody, behind_name(given->value));
	return given->what == 'd' ? ask_dtype(&nobody, behind_name(given->value)) : 0;
}

/* Of one input, or of all. */
static int ask(struct infer_making *k, char what, const char *given)
{
	int (*one)(struct infer_input * at, const char *value) =
		what == 's' ? ask_shape : ask_dtype;
	struct infer_input *at;
	const char *value;
	int r = take_name(k, given, &at, &value);

	if (r || at)
		return r ? r : one(at, value);
	for (size_t i = 0; !r && i < k->x->n; i++)
		r = one(&k->x->list[i], value);
	return r;
}

/* --- Sources ------------------------------------------------------------------------------------ */

static int misread(const struct infer_making *k, const char *from)
{
	return modelctl_fail(MODELCTL_FAILED, "%s%s%s", from, *from ? ": " : "", k->text);
}

/* A member of a .npz, by its name without ".npy". */
static int take_member(struct infer_making *k, struct infer_input *at, const struct zip_member *m,
	const char *from)
{
	_cleanup_(freep) uint8_t *data = NULL;
	int r = zip_extract(m, &data);

	if (!r)
		r = tensor_parse_npy(&at->tensor, data, m->n);
	if (!r)
		return infer_fit(k, at, from);
	return modelctl_fail(MODELCTL_FAILED, "%s: member %.*s is %s", from, (int)m->n_name,
		m->name,
		r == -ENOMEM ? "too large for memory"
			     : "no complete, little-endian, C-ordered .npy file");
}

static size_t stem(const struct zip_member *m)
{
	bool npy = m->n_name > 4 && !memcmp(m->name + m->n_name - 4, ".npy", 4);

	return npy ? m->n_name - 4 : m->n_name;
}

/* Every member is an input; or one is, that `only` is to be. */
static int take_npz(
	struct infer_making *k, struct infer_input *only, const struct buf *b, const char *from)
{
	struct zip_reader z;
	struct zip_member m;
	int r = zip_open(&z, b->data, b->len);

	while (!r && !(r = zip_next(&z, &m))) {
		struct infer_input *at = infer_find(k, m.name, stem(&m));

		if (only && at != only)
			continue;
		if (!at)
			return infer_unknown(k, m.name, stem(&m));
		r = infer_choose(k, &at, from);
		if (!r)
			r = take_member(k, at, &m, from);
		if (r)
			return r;
	}
	if (r == -EINVAL)
		return modelctl_fail(
			MODELCTL_FAILED, "%s is no .npz file that can be read here", from);
	if (only && !only->tensor.data)
		return modelctl_fail(MODELCTL_FAILED, "%s has no %s", from, only->name);
	return 0;
}

static bool is_object(const struct tensor *t)
{
	struct json_reader in = {(const char *)t->data, t->n, 0};

	return t->form == TENSOR_JSON && json_read_kind(&in) == JSON_OBJECT;
}

/* --- All of it ---------------------------------------------------------------------------------- */

static bool is_npz(const char *path)
{
	size_t n = strlen(path);

	return n > 4 && !strcmp(path + n - 4, ".npz");
}

static int take_file(struct infer_making *k, struct infer_input *at, const char *path)
{
	_cleanup_(buf_deinit) struct buf b = {0};
	struct tensor t = {0};
	int r;

	if (tensor_load(&b, path, k->text, sizeof(k->text)))
		return misread(k, "");
	if (zip_is_one(b.data, b.len) || is_npz(path))
		return take_npz(k, at, &b, path);
	if (tensor_decode(&t, path, &b, k->text, sizeof(k->text)))
		return misread(k, "");
	if (is_object(&t)) {
		const struct buf object = {.data = t.data, .len = t.n};

		r = at ? modelctl_fail(MODELCTL_FAILED,
				 "input %s: %s is an object, which names its inputs itself",
				 at->name, path)
		       : infer_take_object(k, &object, path);
		tensor_release(&t);
		return r;
	}
	r = infer_choose(k, &at, path);
	if (r) {
		tensor_release(&t);
		return r;
	}
	at->tensor = t;
	return infer_fit(k, at, path);
}

/* --text: one element. */
static int take_text(struct infer_making *k, struct infer_input *at, const char *value)
{
	uint32_t length = (uint32_t)strlen(value);
	struct tensor t = {
		.form = TENSOR_TYPED, .dtype = DTYPE_BYTES, .n = sizeof(length) + length};
	int r = infer_choose(k, &at, value);

	if (r)
		return r;
	t.data = malloc(t.n);
	if (!t.data)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	memcpy(t.data, &length, sizeof(length));
	memcpy(t.data + sizeof(length), value, length);
	at->tensor = t;
	if (!at->asked.has_shape && !infer_want(k, at).any_shape) {
		at->tensor.has_shape = true;
		at->tensor.rank = (uint32_t)infer_want(k, at).rank;
		for (uint32_t i = 0; i < at->tensor.rank && i < TENSOR_RANK_MAX; i++)
			at->tensor.dims[i] = 1;
	}
	return infer_fit(k, at, "--text");
}

static int make_up(struct infer_making *k, struct infer_input *at)
{
	const char *fill = k->asked->fill;
	const struct tensor_want want = infer_want(k, at);
	bool ramp = !strcmp(fill, "ramp");
	double value = 0;

	if (!ramp && real_parse(fill, &value))
		return modelctl_fail(
			MODELCTL_USAGE, "--fill '%s': a number or `ramp` is expected", fill);
	at->tensor = at->asked;
	if (tensor_fit_empty(&at->tensor, &want, k->text, sizeof(k->text)))
		return modelctl_fail(want.any_shape ? MODELCTL_USAGE : MODELCTL_FAILED,
			"input %s: %s", at->name, k->text);
	if (!ramp && !tensor_takes(at->tensor.dtype, fill))
		return modelctl_fail(MODELCTL_FAILED,
			"input %s: --fill %s is not what %s holds: %s", at->name, fill,
			dtype_name(at->tensor.dtype), tensor_holds(at->tensor.dtype));
	if (tensor_fill(&at->tensor, value, ramp, k->text, sizeof(k->text)))
		return modelctl_fail(MODELCTL_FAILED, "input %s: %s", at->name, k->text);
	return 0;
}

/* What says types and shapes comes first: the rest is made by it. */
static int take_given(struct infer_making *k)
{
	const struct infer_asked *a = k->asked;
	int r = 0;

	for (size_t i = 0; !r && i < a->n_given; i++) {
		if (a->given[i].what == 's' || a->given[i].what == 'd')
			r = ask(k, a->given[i].what, a->given[i].value);
	}
	for (size_t i = 0; !r && i < a->n_given; i++) {
		struct infer_input *at = NULL;
		const char *value = NULL;
		char what = a->given[i].what;

		if (what == 's' || what == 'd')
			continue;
		r = take_name(k, a->given[i].value, &at, &value);
		if (!r)
			r = what == 'i' ? take_file(k, at, value) : take_text(k, at, value);
	}
	return r;
}

int infer_inputs_make(struct infer_inputs *x, const Metadata *m, const struct infer_asked *asked)
{
	struct infer_making k = {.x = x, .m = m, .asked = asked};
	int r;

	if (m->n_inputs > INFER_INPUTS_MAX)
		return modelctl_fail(MODELCTL_FAILED, "model %s has %zu inputs, the limit is %u",
			m->name, m->n_inputs, INFER_INPUTS_MAX);
	for (x->n = 0; x->n < m->n_inputs; x->n++)
		x->list[x->n].name = m->inputs[x->n]->name;
	r = take_given(&k);
	for (size_t i = 0; !r && asked->fill && i < x->n; i++) {
		if (!x->list[i].tensor.data)
			r = make_up(&k, &x->list[i]);
	}
	return r;
}
