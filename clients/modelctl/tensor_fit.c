/* tensor_fit.c: types, then elements, then shapes. modelctl, one thread. */
#include "clients/modelctl/tensor_fit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/digits.h"
#include "base/err.h"
#include "clients/modelctl/picture.h"
#include "clients/modelctl/tensor_json.h"

#define SHAPE_TEXT_MAX 256

int tensor_parse_shape(struct tensor *t, const char *text)
{
	t->rank = 0;
	t->has_shape = true;
	while (*text) {
		const char *end;
		uint64_t dim;

		if (decimal_read(text, &dim, &end) || dim > INT64_MAX ||
			t->rank == TENSOR_RANK_MAX || (*end && (*end != ',' || !end[1])))
			return -EINVAL;
		t->dims[t->rank++] = (int64_t)dim;
		text = *end ? end + 1 : end;
	}
	return 0;
}

static int check_want(const struct tensor_want *want, char *text, size_t cap)
{
	if (want->rank <= TENSOR_RANK_MAX)
		return 0;
	(void)snprintf(text, cap, "the model declares a rank of %zu, the limit is %d", want->rank,
		TENSOR_RANK_MAX);
	return -EINVAL;
}

/* --- Types -------------------------------------------------------------------------------------- */

/* Where nothing says what it is. */
static int guess_dtype(struct tensor *t, char *text, size_t cap)
{
	struct json_reader r = {(const char *)t->data, t->n, 0};

	t->dtype = t->form == TENSOR_TEXT || t->form == TENSOR_PLAIN ? DTYPE_BYTES : DTYPE_U8;
	if (t->form != TENSOR_JSON)
		return 0;
	while (json_read_kind(&r) == JSON_ARRAY)
		r.at++;
	t->dtype = DTYPE_BYTES;
	if (json_read_kind(&r) == JSON_STRING)
		return 0;
	(void)snprintf(text, cap, "the model takes any type: say which with --dtype");
	return -EINVAL;
}

static int settle_dtype(
	struct tensor *t, enum dtype asked, const struct tensor_want *want, char *text, size_t cap)
{
	enum dtype wanted = asked != DTYPE_INVALID ? asked : want->dtype;

	if (t->form == TENSOR_TYPED && asked != DTYPE_INVALID && asked != t->dtype) {
		(void)snprintf(
			text, cap, "it is %s, not %s", dtype_name(t->dtype), dtype_name(asked));
		return -EINVAL;
	}
	if (t->form != TENSOR_TYPED && t->form != TENSOR_PICTURE)
		t->dtype = wanted;
	if (t->dtype == DTYPE_INVALID && guess_dtype(t, text, cap))
		return -EINVAL;
	if (t->form == TENSOR_PICTURE && wanted != DTYPE_INVALID &&
		picture_convert(t, wanted, text, cap))
		return -EINVAL;
	if (dtype_admits(want->dtype, t->dtype))
		return 0;
	(void)snprintf(text, cap, "it is %s, the model takes %s", dtype_name(t->dtype),
		dtype_name(want->dtype));
	return -EINVAL;
}

/* --- Elements ----------------------------------------------------------------------------------- */

static int append_line(struct buf *out, const uint8_t *line, size_t n)
{
	uint32_t length = (uint32_t)n;
	int r = buf_append(out, &length, sizeof(length));

	return r ? r : buf_append(out, line, n);
}

/* Each line an element; the last needs no end. */
static int take_lines(struct tensor *t)
{
	struct buf out = {.max = TENSOR_BYTES_MAX};
	int64_t lines = 0;
	int r = buf_reserve(&out, 1);

	for (size_t at = 0; !r && at < t->n; lines++) {
		const uint8_t *end = memchr(t->data + at, '\n', t->n - at);
		size_t n = end ? (size_t)(end - t->data) - at : t->n - at;

		r = append_line(&out, t->data + at, n);
		at += n + 1;
	}
	if (r) {
		buf_deinit(&out);
		return r;
	}
	free(t->data);
	t->data = out.data;
	t->n = out.len;
	t->has_shape = true;
	t->rank = 1;
	t->dims[0] = lines;
	return 0;
}

static int take_json(struct tensor *t, char *text, size_t cap)
{
	struct json_reader r = {(const char *)t->data, t->n, 0};
	struct tensor made = {.dtype = t->dtype};
	int e = tensor_from_json(&made, &r, text, cap);

	if (e)
		return e;
	if (json_read_kind(&r) != JSON_NOTHING || r.at < r.n) {
		tensor_release(&made);
		(void)snprintf(text, cap, "malformed JSON in line %zu", json_read_line(&r));
		return -EINVAL;
	}
	tensor_release(t);
	*t = made;
	return 0;
}

/* Text becomes elements. */
static int settle_elements(struct tensor *t, char *text, size_t cap)
{
	bool is_text = t->form == TENSOR_TEXT || t->form == TENSOR_PLAIN;
	int r;

	if (t->form == TENSOR_JSON)
		return take_json(t, text, cap);
	if (t->form == TENSOR_TEXT && t->dtype != DTYPE_BYTES) {
		(void)snprintf(text, cap, "it is text, the model takes %s", dtype_name(t->dtype));
		return -EINVAL;
	}
	if (!is_text || t->dtype != DTYPE_BYTES)
		return 0;
	r = take_lines(t);
	if (r)
		(void)snprintf(text, cap, "%s", err_str(r));
	return r;
}

/* --- Shapes ------------------------------------------------------------------------------------- */

/* Dimensions from the declaration; the last free one from the bytes there are, those before it are 1. */
static void declared_shape(struct tensor *t, const struct tensor_want *want)
{
	uint64_t fixed = dtype_size(t->dtype);
	size_t free_at = want->rank;
	bool huge = false;

	t->has_shape = true;
	t->rank = (uint32_t)want->rank;
	for (size_t i = 0; i < want->rank; i++) {
		t->dims[i] = want->dims[i] < 0 ? 1 : want->dims[i];
		if (want->dims[i] < 0)
			free_at = i;
		huge |= __builtin_mul_overflow(fixed, (uint64_t)t->dims[i], &fixed);
	}
	if (free_at < want->rank && t->data && fixed > 0 && !huge)
		t->dims[free_at] = t->n > 0 && t->n < fixed ? 1 : (int64_t)(t->n / fixed);
}

/* Of raw bytes that have none. */
static void raw_shape(struct tensor *t, const struct tensor_want *want)
{
	size_t size = dtype_size(t->dtype);

	if (!want->any_shape) {
		declared_shape(t, want);
		return;
	}
	t->has_shape = true;
	t->rank = 1;
	t->dims[0] = size ? (int64_t)(t->n / size) : 1;
}

/* A batch of one. */
static void add_batch(struct tensor *t, const struct tensor_want *want)
{
	if (want->any_shape || t->rank + 1 != want->rank || want->dims[0] >= 0)
		return;
	memmove(t->dims + 1, t->dims, t->rank * sizeof(t->dims[0]));
	t->dims[0] = 1;
	t->rank++;
}

static int check_count(const struct tensor *t, char *text, size_t cap)
{
	char shape[SHAPE_TEXT_MAX];
	uint64_t bytes;

	if (!tensor_check(t->dtype, t->dims, t->rank, t->n, t->data))
		return 0;
	(void)shape_format(t->dims, t->rank, shape, sizeof(shape));
	if (t->dtype == DTYPE_BYTES)
		(void)snprintf(text, cap,
			"its %zu bytes are not the elements of bytes%s, each behind its length",
			t->n, shape);
	else if (shape_bytes(t->dtype, t->dims, t->rank, &bytes))
		(void)snprintf(text, cap, "a tensor of %s is beyond the limits", shape);
	else
		(void)snprintf(text, cap, "%s%s is %" PRIu64 " bytes, there are %zu",
			dtype_name(t->dtype), shape, bytes, t->n);
	return -EINVAL;
}

static int check_shape(
	const struct tensor *t, const struct tensor_want *want, char *text, size_t cap)
{
	char has[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];

	if (want->any_shape || shape_admits(want->dims, want->rank, t->dims, t->rank))
		return 0;
	(void)snprintf(text, cap, "it is %s%s, the model takes %s%s", dtype_name(t->dtype),
		shape_format(t->dims, t->rank, has, sizeof(has)), dtype_name(want->dtype),
		shape_format(want->dims, want->rank, wanted, sizeof(wanted)));
	return -EINVAL;
}

/* As many elements in another shape, which was asked for. */
static void reshape(struct tensor *t, const struct tensor *asked)
{
	t->has_shape = true;
	t->rank = asked->rank;
	memcpy(t->dims, asked->dims, sizeof(t->dims));
}

/* A batch of texts, each for itself, where the model takes one a row. */
static void fold_lines(struct tensor *t, const struct tensor_want *want)
{
	if (t->rank != 1 || want->any_shape || want->rank != 2 || want->dims[0] >= 0 ||
		want->dims[1] != 1)
		return;
	t->rank = 2;
	t->dims[1] = 1;
}

static int settle_shape(struct tensor *t, const struct tensor *asked,
	const struct tensor_want *want, char *text, size_t cap)
{
	bool is_text = t->form == TENSOR_TEXT || t->form == TENSOR_PLAIN;
	int r = 0;

	if (asked->has_shape)
		reshape(t, asked);
	else if (t->form == TENSOR_PICTURE)
		r = picture_place(t, want, text, cap);
	else if (is_text && t->has_shape)
		fold_lines(t, want);
	else if (!t->has_shape)
		raw_shape(t, want);
	if (r)
		return r;
	add_batch(t, want);
	r = check_count(t, text, cap);
	return r ? r : check_shape(t, want, text, cap);
}

int tensor_fit_empty(struct tensor *t, const struct tensor_want *want, char *text, size_t cap)
{
	if (check_want(want, text, cap))
		return -EINVAL;
	if (t->dtype == DTYPE_INVALID)
		t->dtype = want->dtype == DTYPE_INVALID ? DTYPE_U8 : want->dtype;
	if (!dtype_admits(want->dtype, t->dtype)) {
		(void)snprintf(text, cap, "it is to be %s, the model takes %s",
			dtype_name(t->dtype), dtype_name(want->dtype));
		return -EINVAL;
	}
	if (t->has_shape) {
		add_batch(t, want);
		return check_shape(t, want, text, cap);
	}
	if (want->any_shape) {
		(void)snprintf(text, cap, "the model takes any shape: say which with --shape");
		return -EINVAL;
	}
	declared_shape(t, want);
	return 0;
}

int tensor_fit(struct tensor *t, const struct tensor *asked, const struct tensor_want *want,
	char *text, size_t cap)
{
	int r = check_want(want, text, cap);

	if (!r)
		r = settle_dtype(t, asked->dtype, want, text, cap);
	if (!r)
		r = settle_elements(t, text, cap);
	return r ? r : settle_shape(t, asked, want, text, cap);
}
