/* infer_outputs.c: outputs to a terminal, to programs, to files. modelctl, one thread. */
#include "clients/modelctl/infer_outputs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "clients/modelctl/json.h"
#include "clients/modelctl/modelctl.h"
#include "clients/modelctl/npy.h"
#include "clients/modelctl/tensor_value.h"
#include "clients/modelctl/zip.h"

#define SHOWN_MAX      64u /* elements that are printed for people */
#define TEXT_SHOWN_MAX 72u /* bytes of a text likewise */
#define NAME_MAX_BYTES 256u

typedef Inference__ModelInferResponse Response;
typedef Inference__ModelInferResponse__InferOutputTensor Output;

/* Borrowed of r, and not to be released. */
static struct tensor tensor_of(const Response *r, size_t i)
{
	const Output *o = r->outputs[i];
	struct tensor t = {.form = TENSOR_TYPED,
		.dtype = dtype_parse(o->datatype, strlen(o->datatype)),
		.has_shape = true,
		.rank = (uint32_t)o->n_shape,
		.data = r->raw_output_contents[i].data,
		.n = r->raw_output_contents[i].len};

	if (o->n_shape > 0)
		memcpy(t.dims, o->shape, o->n_shape * sizeof(t.dims[0]));
	return t;
}

int infer_outputs_check(const Response *r)
{
	if (r->n_raw_output_contents != r->n_outputs)
		return modelctl_fail(MODELCTL_FAILED,
			"the answer has %zu outputs and the raw contents of %zu", r->n_outputs,
			r->n_raw_output_contents);
	for (size_t i = 0; i < r->n_outputs; i++) {
		const Output *o = r->outputs[i];
		const ProtobufCBinaryData *raw = &r->raw_output_contents[i];
		enum dtype d = dtype_parse(o->datatype, strlen(o->datatype));

		if (d == DTYPE_INVALID || o->n_shape > TENSOR_RANK_MAX ||
			tensor_check(d, o->shape, o->n_shape, raw->len,
				raw->data ? raw->data : (const uint8_t *)""))
			return modelctl_fail(MODELCTL_FAILED,
				"output %s: %zu bytes are not the %s of its shape", o->name,
				raw->len, o->datatype);
	}
	return 0;
}

/* --- Shown -------------------------------------------------------------------------------------- */

static uint64_t n_elements(const struct tensor *t)
{
	uint64_t n = 0;

	return shape_elements(t->dims, t->rank, &n) ? 0 : n;
}

/* The text at *at, which is moved behind it. */
static const char *next_text(const struct tensor *t, size_t *at, uint32_t *ret_n)
{
	const char *text;

	memcpy(ret_n, t->data + *at, sizeof(*ret_n));
	text = (const char *)t->data + *at + sizeof(*ret_n);
	*at += sizeof(*ret_n) + *ret_n;
	return text;
}

/* What a terminal may see of it. */
static void print_text(const char *text, size_t n)
{
	size_t shown = n < TEXT_SHOWN_MAX ? n : TEXT_SHOWN_MAX;

	for (size_t i = 0; i < shown; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7F)
			(void)printf("\\x%02x", c);
		else
			(void)putchar(c);
	}
	(void)puts(shown < n ? "..." : "");
}

static void print_texts(const struct tensor *t, uint64_t n)
{
	size_t at = 0;

	for (uint64_t i = 0; i < n && i < SHOWN_MAX; i++) {
		uint32_t length;
		const char *text = next_text(t, &at, &length);

		print_text(text, length);
	}
	if (n > SHOWN_MAX)
		(void)puts("...");
}

static void print_numbers(const struct tensor *t, uint64_t n)
{
	for (uint64_t i = 0; i < n && i < SHOWN_MAX; i++) {
		char text[64];

		tensor_element(t->dtype, t->data, i, text, sizeof(text));
		(void)printf("%s%s", i ? " " : "", text);
	}
	if (n > 0)
		(void)puts(n > SHOWN_MAX ? " ..." : "");
}

static void print_output(const Output *o, const struct tensor *t)
{
	char shape[256];

	(void)printf("%s: %s%s, %zu bytes\n", o->name, dtype_name(t->dtype),
		shape_format(t->dims, t->rank, shape, sizeof(shape)), t->n);
	if (t->dtype == DTYPE_BYTES)
		print_texts(t, n_elements(t));
	else
		print_numbers(t, n_elements(t));
}

/* --- As JSON ------------------------------------------------------------------------------------ */

static void json_data(struct json *j, const struct tensor *t)
{
	size_t at = 0;

	json_open(j, "data", '[');
	for (uint64_t i = 0, n = n_elements(t); i < n; i++) {
		char text[64];
		uint32_t length;

		if (t->dtype == DTYPE_BYTES) {
			const char *bytes = next_text(t, &at, &length);

			json_string_n(j, NULL, bytes, length);
			continue;
		}
		tensor_element_exact(t->dtype, t->data, i, text, sizeof(text));
		if (t->dtype == DTYPE_BOOL)
			json_bool(j, NULL, text[0] == '1');
		else
			json_number(j, NULL, text);
	}
	json_close(j, ']');
}

static void json_output(struct json *j, const Output *o, const struct tensor *t)
{
	json_open(j, NULL, '{');
	json_string(j, "name", o->name);
	json_string(j, "datatype", o->datatype);
	json_open(j, "shape", '[');
	for (size_t i = 0; i < o->n_shape; i++)
		json_i64(j, NULL, o->shape[i]);
	json_close(j, ']');
	json_data(j, t);
	json_close(j, '}');
}

static void print_json(const Response *r)
{
	struct json j;

	json_init(&j, stdout);
	json_open(&j, NULL, '{');
	json_string(&j, "model_name", r->model_name);
	json_string(&j, "model_version", r->model_version);
	json_string(&j, "id", r->id);
	json_open(&j, "outputs", '[');
	for (size_t i = 0; i < r->n_outputs; i++) {
		const struct tensor t = tensor_of(r, i);

		json_output(&j, r->outputs[i], &t);
	}
	json_close(&j, ']');
	json_close(&j, '}');
	json_end(&j);
}

void infer_outputs_print(const Response *r, bool json)
{
	if (json) {
		print_json(r);
		return;
	}
	for (size_t i = 0; i < r->n_outputs; i++) {
		const struct tensor t = tensor_of(r, i);

		print_output(r->outputs[i], &t);
	}
}

/* --- Written ------------------------------------------------------------------------------------ */

static bool ends_with(const char *path, const char *suffix)
{
	size_t n = strlen(path), m = strlen(suffix);

	return n >= m && !strcasecmp(path + n - m, suffix);
}

static int put(FILE *f, const void *data, size_t n)
{
	return n == 0 || fwrite(data, 1, n, f) == n ? 0 : -errno;
}

static int write_npy(FILE *f, const struct tensor *t)
{
	struct npy x;
	int e = npy_make(&x, t);

	if (!e)
		e = put(f, x.header, x.n_header);
	if (!e)
		e = put(f, x.data, x.n);
	npy_release(&x);
	return e;
}

static int add_member(struct zip_writer *w, const char *name, const struct tensor *t)
{
	char member[NAME_MAX_BYTES + sizeof(".npy")];
	struct npy x;
	int e = npy_make(&x, t);

	(void)snprintf(member, sizeof(member), "%s.npy", name);
	if (!e)
		e = zip_add(w, member,
			(const struct zip_piece[]){{x.header, x.n_header}, {x.data, x.n}}, 2);
	npy_release(&x);
	return e;
}

/* Of the outputs from `first` to before `end`. */
static int write_npz(FILE *f, const Response *r, size_t first, size_t end)
{
	struct zip_writer w;
	int e = 0;

	zip_writer_init(&w, f);
	for (size_t i = first; !e && i < end; i++) {
		const struct tensor t = tensor_of(r, i);

		e = add_member(&w, r->outputs[i]->name, &t);
	}
	if (!e)
		e = zip_end(&w);
	zip_writer_deinit(&w);
	return e;
}

static int write_to(FILE *f, const char *path, const Response *r, size_t i, bool named)
{
	const struct tensor t = tensor_of(r, i);

	if (ends_with(path, ".npz"))
		return named ? write_npz(f, r, i, i + 1) : write_npz(f, r, 0, r->n_outputs);
	return ends_with(path, ".npy") ? write_npy(f, &t) : put(f, t.data, t.n);
}

static int write_file(const char *path, const Response *r, size_t i, bool named)
{
	FILE *f = !strcmp(path, "-") ? stdout : fopen(path, "wb");
	int e = f ? write_to(f, path, r, i, named) : -errno;

	if (f && f != stdout && fclose(f) && !e)
		e = -errno;
	if (e == -ENOTSUP)
		return modelctl_fail(MODELCTL_FAILED,
			"cannot write %s: numpy has no such type, or would lose a zero at a text's "
			"end; another suffix writes the bytes as they are",
			path);
	return e ? modelctl_fail(MODELCTL_FAILED, "cannot write %s: %s", path, err_str(e)) : 0;
}

static int no_output(const Response *r, const char *name, size_t n)
{
	char list[NAME_MAX_BYTES] = "";
	size_t at = 0;

	for (size_t i = 0; i < r->n_outputs && at < sizeof(list); i++)
		at += (size_t)snprintf(
			list + at, sizeof(list) - at, "%s%s", i ? ", " : "", r->outputs[i]->name);
	return modelctl_fail(
		MODELCTL_FAILED, "there is no output '%.*s'; there are: %s", (int)n, name, list);
}

int infer_outputs_write(const Response *r, const char *given)
{
	size_t n = strcspn(given, "=/");
	bool named = given[n] == '=' && n > 0;

	if (r->n_outputs == 0)
		return modelctl_fail(MODELCTL_FAILED, "the answer has no outputs");
	if (!named)
		return write_file(given, r, 0, false);
	for (size_t i = 0; i < r->n_outputs; i++) {
		if (strlen(r->outputs[i]->name) == n && !memcmp(r->outputs[i]->name, given, n))
			return write_file(given + n + 1, r, i, true);
	}
	return no_output(r, given, n);
}
