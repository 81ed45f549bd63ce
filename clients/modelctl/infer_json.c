/* infer_json.c: inputs that JSON names. modelctl, one thread. */
#include <errno.h>
#include <string.h>

#include "base/digits.h"
#include "clients/modelctl/infer_inputs_private.h"
#include "clients/modelctl/json_read.h"
#include "clients/modelctl/tensor_json.h"

/* One of KServe's inputs: where its members stand. */
struct entry {
	struct buf name, datatype; /* own */
	struct json_reader data;
	bool has_data;
	struct tensor asked;
};

static void entry_release(struct entry *e)
{
	buf_deinit(&e->name);
	buf_deinit(&e->datatype);
}

static int no_json(const struct json_reader *in, const char *from)
{
	return modelctl_fail(
		MODELCTL_FAILED, "%s: malformed JSON in line %zu", from, json_read_line(in));
}

static int read_shape(struct json_reader *in, struct tensor *asked)
{
	int more = json_read_enter(in, '[');

	asked->has_shape = true;
	asked->rank = 0;
	while (!more && (more = json_read_more(in, '[', asked->rank == 0)) > 0) {
		const char *word;
		char digits[32];
		uint64_t dim;
		size_t n;

		if (json_read_word(in, &word, &n) || n >= sizeof(digits) ||
			asked->rank == TENSOR_RANK_MAX)
			return -EINVAL;
		memcpy(digits, word, n);
		digits[n] = 0;
		if (decimal_parse(digits, &dim) || dim > INT64_MAX)
			return -EINVAL;
		asked->dims[asked->rank++] = (int64_t)dim;
		more = 0;
	}
	return more;
}

static bool is(const struct buf *name, const char *text)
{
	return name->len == strlen(text) && !memcmp(name->data, text, name->len);
}

static int read_entry_member(struct json_reader *in, const struct buf *name, struct entry *e)
{
	if (is(name, "name"))
		return json_read_string(in, &e->name);
	if (is(name, "datatype"))
		return json_read_string(in, &e->datatype);
	if (is(name, "shape"))
		return read_shape(in, &e->asked);
	e->has_data |= is(name, "data");
	if (is(name, "data"))
		e->data = *in;
	return json_read_skip(in);
}

static int read_entry(struct json_reader *in, struct entry *e)
{
	int r = json_read_enter(in, '{'), more = 1;

	for (bool first = true; !r && (more = json_read_more(in, '{', first)) > 0; first = false) {
		_cleanup_(buf_deinit) struct buf name = {.max = INFER_NAME_MAX};

		r = json_read_name(in, &name);
		if (!r)
			r = read_entry_member(in, &name, e);
	}
	return r || more ? -EINVAL : 0;
}

/* The value at `data` becomes the input that is named. */
static int take_value(struct infer_making *k, const struct buf *name, const struct tensor *asked,
	struct json_reader data, const char *from)
{
	struct infer_input *at = infer_find(k, (const char *)name->data, name->len);
	struct tensor_want want;
	struct tensor *t;
	int r;

	if (!at)
		return infer_unknown(k, (const char *)name->data, name->len);
	r = infer_choose(k, &at, from);
	if (r)
		return r;
	want = infer_want(k, at);
	t = &at->tensor;
	if (asked->has_shape && !at->asked.has_shape) {
		enum dtype dtype = at->asked.dtype;

		at->asked = *asked;
		at->asked.dtype = dtype;
	}
	if (at->asked.dtype == DTYPE_INVALID)
		at->asked.dtype = asked->dtype;
	t->dtype = at->asked.dtype != DTYPE_INVALID ? at->asked.dtype : want.dtype;
	if (t->dtype == DTYPE_INVALID && json_read_kind(&data) == JSON_STRING)
		t->dtype = DTYPE_BYTES;
	if (t->dtype == DTYPE_INVALID)
		return modelctl_fail(MODELCTL_FAILED,
			"input %s: the model takes any type: say which with --dtype", at->name);
	if (tensor_from_json(t, &data, k->text, sizeof(k->text)))
		return modelctl_fail(MODELCTL_FAILED, "input %s: %s: %s", at->name, from, k->text);
	t->form = TENSOR_TYPED;
	return infer_fit(k, at, from);
}

static int take_entry(struct infer_making *k, struct json_reader *in, const char *from)
{
	_cleanup_(entry_release) struct entry e = {
		.name = {.max = INFER_NAME_MAX}, .datatype = {.max = INFER_NAME_MAX}};

	if (read_entry(in, &e) || !e.has_data || e.name.len == 0)
		return modelctl_fail(MODELCTL_FAILED,
			"%s: near line %zu an input with name and data is expected", from,
			json_read_line(in));
	if (e.datatype.len > 0)
		e.asked.dtype = dtype_parse((const char *)e.datatype.data, e.datatype.len);
	if (e.datatype.len > 0 && e.asked.dtype == DTYPE_INVALID)
		return modelctl_fail(MODELCTL_FAILED, "%s: datatype '%.*s' is unknown", from,
			(int)e.datatype.len, (const char *)e.datatype.data);
	return take_value(k, &e.name, &e.asked, e.data, from);
}

/* "inputs": [...], the body of a request of KServe's REST. */
static int take_entries(struct infer_making *k, struct json_reader *in, const char *from)
{
	int more = json_read_enter(in, '[');

	for (bool first = true; !more && (more = json_read_more(in, '[', first)) > 0;
		first = false) {
		int r = take_entry(k, in, from);

		if (r)
			return r;
		more = 0;
	}
	return more ? no_json(in, from) : 0;
}

/* What a request of KServe's REST has beside its inputs. */
static bool is_beside(const struct buf *name)
{
	return is(name, "id") || is(name, "outputs") || is(name, "parameters");
}

/* "NAME": value, of which the value comes next. An input's own name comes before what a request calls its parts. */
static int take_named(
	struct infer_making *k, const struct buf *name, struct json_reader *in, const char *from)
{
	static const struct tensor nothing;
	bool known = infer_find(k, (const char *)name->data, name->len);
	int r = 0;

	if (is(name, "inputs") && !known)
		return take_entries(k, in, from);
	if (known || !is_beside(name))
		r = take_value(k, name, &nothing, *in, from);
	if (!r && json_read_skip(in))
		return no_json(in, from);
	return r;
}

int infer_take_object(struct infer_making *k, const struct buf *b, const char *from)
{
	struct json_reader in = {(const char *)b->data, b->len, 0};
	int r = json_read_enter(&in, '{');

	if (r || !json_read_is_whole((struct json_reader){in.text, in.n, 0}))
		return no_json(&in, from);
	for (bool first = true; !r && json_read_more(&in, '{', first) > 0; first = false) {
		_cleanup_(buf_deinit) struct buf name = {.max = INFER_NAME_MAX};

		r = json_read_name(&in, &name) ? no_json(&in, from)
					       : take_named(k, &name, &in, from);
	}
	return r;
}
