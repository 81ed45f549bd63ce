/*
 * tensor_file.c: tensors from files, and made up. modelctl, one thread.
 */
#include "clients/modelctl/tensor_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "clients/modelctl/json_read.h"
#include "clients/modelctl/picture_read.h"
#include "clients/modelctl/tensor_parse.h"
#include "clients/modelctl/tensor_value.h"

static bool is_stdin(const char *path)
{
	return !strcmp(path, "-");
}

static const char *shown(const char *path)
{
	return is_stdin(path) ? "standard input" : path;
}

void tensor_release(struct tensor *t)
{
	free(t->data);
	*t = (struct tensor){0};
}

static int read_stream(struct buf *b, FILE *f)
{
	int r = 0;

	while (!r) {
		size_t n;

		r = buf_reserve(b, (size_t)64 * 1024);
		if (r)
			break;
		n = fread(b->data + b->len, 1, b->cap - b->len, f);
		b->len += n;
		if (n == 0)
			return ferror(f) ? -EIO : 0;
	}
	return r;
}

static int read_file(struct buf *b, const char *path)
{
	FILE *f = is_stdin(path) ? stdin : fopen(path, "rb");
	int r = f ? read_stream(b, f) : -errno;

	if (f && f != stdin)
		(void)fclose(f);
	return r;
}

int tensor_load(struct buf *b, const char *path, char *text, size_t cap)
{
	int r;

	buf_init(b, TENSOR_BYTES_MAX);
	r = read_file(b, path);
	if (r)
		(void)snprintf(text, cap, "cannot read %s: %s", shown(path),
			r == -ENOBUFS ? "it is beyond the limit of 4 GiB" : err_str(r));
	return r;
}

/* --- What it is --------------------------------------------------------------------------------- */

enum format {
	FORMAT_RAW,
	FORMAT_PLAIN,
	FORMAT_NPY,
	FORMAT_PICTURE,
	FORMAT_JSON,
	FORMAT_TEXT,
	FORMAT_COMPRESSED, /* pictures that libraries read */
	FORMAT_FOREIGN,	   /* pictures that are not read */
};

static const struct {
	const char *suffix;
	enum format format;
} suffixes[] = {
	{".npy", FORMAT_NPY},
	{".pgm", FORMAT_PICTURE},
	{".ppm", FORMAT_PICTURE},
	{".pnm", FORMAT_PICTURE},
	{".json", FORMAT_JSON},
	{".txt", FORMAT_TEXT},
	{".png", FORMAT_COMPRESSED},
	{".jpg", FORMAT_COMPRESSED},
	{".jpeg", FORMAT_COMPRESSED},
	{".gif", FORMAT_FOREIGN},
	{".bmp", FORMAT_FOREIGN},
	{".webp", FORMAT_FOREIGN},
	{".tiff", FORMAT_FOREIGN},
};

static bool ends_with(const char *path, const char *suffix)
{
	size_t n = strlen(path), m = strlen(suffix);

	return n >= m && !strcasecmp(path + n - m, suffix);
}

static bool is_json(const struct buf *b)
{
	struct json_reader r = {(const char *)b->data, b->len, 0};
	enum json_kind kind = json_read_kind(&r);

	return (kind == JSON_OBJECT || kind == JSON_ARRAY) && json_read_is_whole(r);
}

/* Of what has no name. */
static enum format format_of_content(const struct buf *b)
{
	if (b->len >= 6 && !memcmp(b->data, "\x93NUMPY", 6))
		return FORMAT_NPY;
	if (b->len >= 3 && b->data[0] == 'P' && b->data[1] >= '2' && b->data[1] <= '6' &&
		isspace(b->data[2]))
		return FORMAT_PICTURE;
	if (picture_is_png(b->data, b->len) || picture_is_jpeg(b->data, b->len))
		return FORMAT_COMPRESSED;
	return is_json(b) ? FORMAT_JSON : FORMAT_PLAIN;
}

static enum format format_of(const char *path, const struct buf *b)
{
	if (is_stdin(path))
		return format_of_content(b);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (ends_with(path, suffixes[i].suffix))
			return suffixes[i].format;
	}
	return FORMAT_RAW;
}

/* The bytes as they are, for tensor_fit() to make something of. */
static int take(struct tensor *t, enum tensor_form form, struct buf *b)
{
	int r = buf_reserve(b, 1); /* an empty file is data too */

	if (r)
		return r;
	t->form = form;
	t->n = b->len;
	t->data = steal_ptr(b->data);
	buf_init(b, b->max);
	return 0;
}

static int decode(struct tensor *t, enum format format, struct buf *b)
{
	switch (format) {
	case FORMAT_NPY:
		return tensor_parse_npy(t, b->data, b->len);
	case FORMAT_PICTURE:
		return tensor_parse_picture(t, b->data, b->len);
	case FORMAT_COMPRESSED:
		return picture_read(t, b->data, b->len);
	case FORMAT_JSON:
		return take(t, TENSOR_JSON, b);
	case FORMAT_TEXT:
		return take(t, TENSOR_TEXT, b);
	case FORMAT_PLAIN:
		return take(t, TENSOR_PLAIN, b);
	case FORMAT_FOREIGN:
		return -EINVAL;
	default:
		return take(t, TENSOR_RAW, b);
	}
}

static const char *name_of(enum format format)
{
	switch (format) {
	case FORMAT_PICTURE:
		return "PGM or PPM picture of 8 bits";
	case FORMAT_COMPRESSED:
		return "PNG or JPEG picture, or has more pixels than are taken";
	default:
		return "complete, little-endian, C-ordered .npy file";
	}
}

int tensor_decode(struct tensor *t, const char *path, struct buf *b, char *text, size_t cap)
{
	enum format format = format_of(path, b);
	int r = decode(t, format, b);

	if (r == -EINVAL && format == FORMAT_FOREIGN)
		(void)snprintf(text, cap,
			"%s: pictures are read as .pgm, .ppm, .png and .jpg; what another is for "
			"the model can be saved as .npy",
			path);
	else if (r == -ENOTSUP)
		(void)snprintf(text, cap,
			"%s: modelctl was built where there was no %s, which reads such pictures",
			shown(path),
			picture_is_png(b->data, b->len) ? picture_lacks_png : picture_lacks_jpeg);
	else if (r == -EINVAL)
		(void)snprintf(text, cap, "%s is no %s that can be read here", shown(path),
			name_of(format));
	else if (r)
		(void)snprintf(text, cap, "cannot read %s: %s", shown(path), err_str(r));
	return r;
}

int tensor_read(struct tensor *t, const char *path, char *text, size_t cap)
{
	_cleanup_(buf_deinit) struct buf b = {0};
	int r = tensor_load(&b, path, text, cap);

	return r ? r : tensor_decode(t, path, &b, text, cap);
}

/* --- Made up ------------------------------------------------------------------------------------ */

static int fill_bytes(struct tensor *t, uint64_t n, double value, bool ramp)
{
	_cleanup_(buf_deinit) struct buf b = {.max = TENSOR_BYTES_MAX};

	if (buf_reserve(&b, 1)) /* no elements are data too */
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		char text[32];
		uint32_t length =
			(uint32_t)snprintf(text, sizeof(text), "%.15g", ramp ? (double)i : value);

		if (buf_append(&b, &length, sizeof(length)) || buf_append(&b, text, length))
			return -ENOMEM;
	}
	t->n = b.len;
	t->data = steal_ptr(b.data);
	return 0;
}

int tensor_fill(struct tensor *t, double value, bool ramp, char *text, size_t cap)
{
	uint64_t n = 0;
	size_t size = dtype_size(t->dtype);
	int r = shape_elements(t->dims, t->rank, &n);

	if (!r && n > TENSOR_BYTES_MAX / (size ? size : 32))
		r = -EOVERFLOW;
	if (r) {
		(void)snprintf(text, cap, "a tensor of that shape is beyond the limit of 4 GiB");
		return -EINVAL;
	}
	(void)snprintf(text, cap, "out of memory");
	if (t->dtype == DTYPE_BYTES)
		return fill_bytes(t, n, value, ramp);
	t->n = (size_t)n * size;
	t->data = malloc(t->n + 1);
	if (!t->data)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++)
		tensor_put(t->dtype, t->data + i * size, ramp ? (double)i : value);
	return 0;
}
