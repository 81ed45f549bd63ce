/*
 * tensor_parse.c: file formats of tensors: .npy (that of numpy.lib.format, versions 1 to 3,
 * little-endian, C order; texts of it become BYTES), .pgm and .ppm (plain or raw, 8 bit). modelctl, one thread.
 */
#include "clients/modelctl/tensor_parse.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/digits.h"

#define PGM_SIDE_MAX 1000000u
#define TEXT_MAX     (1u << 26) /* characters of a text in .npy */

/* --- .npy ------------------------------------------------------------------------------------- */

static enum dtype npy_dtype(const char *code)
{
	static const struct {
		const char *code;
		enum dtype dtype;
	} map[] = {
		{"|b1", DTYPE_BOOL},
		{"|u1", DTYPE_U8},
		{"<u2", DTYPE_U16},
		{"<u4", DTYPE_U32},
		{"<u8", DTYPE_U64},
		{"|i1", DTYPE_I8},
		{"<i2", DTYPE_I16},
		{"<i4", DTYPE_I32},
		{"<i8", DTYPE_I64},
		{"<f2", DTYPE_F16},
		{"<f4", DTYPE_F32},
		{"<f8", DTYPE_F64},
	};

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (!strncmp(map[i].code, code, 3))
			return map[i].dtype;
	}
	return DTYPE_INVALID;
}

/* The value behind 'key': in the header's dictionary; NULL when it is not there. */
static const char *npy_value(const char *header, const char *key)
{
	const char *at = strstr(header, key);

	at = at ? strchr(at, ':') : NULL;
	while (at && (*at == ':' || *at == ' ' || *at == '\'' || *at == '('))
		at++;
	return at;
}

static int npy_shape(struct tensor *t, const char *at)
{
	t->rank = 0;
	while (isdigit((unsigned char)*at)) {
		uint64_t dim;

		if (t->rank == TENSOR_RANK_MAX || decimal_read(at, &dim, &at) || dim > INT64_MAX)
			return -EINVAL;
		t->dims[t->rank++] = (int64_t)dim;
		at += strspn(at, "L, ");
	}
	return *at == ')' ? 0 : -EINVAL;
}

/* Header text into `header`, where data starts into *ret_at. */
static int npy_header(const uint8_t *data, size_t length, char *header, size_t cap, size_t *ret_at)
{
	size_t lead = length > 6 && data[6] >= 2 ? 12 : 10;
	size_t n;

	if (length < lead || memcmp(data, "\x93NUMPY", 6) != 0 || data[6] < 1 || data[6] > 3)
		return -EINVAL;
	n = data[8] | (size_t)data[9] << 8;
	if (lead == 12)
		n |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
	if (n >= cap || n > length - lead)
		return -EINVAL;
	memcpy(header, data + lead, n);
	header[n] = 0;
	*ret_at = lead + n;
	return 0;
}

/* "|S5", "<U5": texts of so many bytes, or of so many code points of 4. 0: it is neither. */
static size_t text_size(const char *descr)
{
	bool wide = !strncmp(descr, "<U", 2);
	const char *end;
	uint64_t n;

	if ((!wide && strncmp(descr, "|S", 2) != 0) || decimal_read(descr + 2, &n, &end) ||
		n > TEXT_MAX)
		return 0;
	return (size_t)n * (wide ? 4 : 1);
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
	static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (uint8_t)(0x80 | (c & 0x3F));
	out[0] = (uint8_t)(lead[n] | c);
	return n;
}

/* One text of `size` bytes, without the zeros that fill it up, behind its length. -EINVAL: that is no code point */
static int append_text(struct buf *out, const uint8_t *at, size_t size, bool wide)
{
	size_t unit = wide ? 4 : 1;
	uint32_t length = 0;
	size_t from = out->len;
	int r = buf_reserve(out, sizeof(length) + size);

	while (size >= unit && !memcmp(at + size - unit, "\0\0\0\0", unit))
		size -= unit;
	if (r)
		return r;
	out->len += sizeof(length);
	for (size_t i = 0; i < size; i += unit) {
		uint32_t c = at[i];

		if (wide)
			memcpy(&c, at + i, sizeof(c));
		if (wide && (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)))
			return -EINVAL;
		if (wide)
			out->len += put_utf8(out->data + out->len, c);
		else
			out->data[out->len++] = at[i];
	}
	length = (uint32_t)(out->len - from - sizeof(length));
	memcpy(out->data + from, &length, sizeof(length));
	return 0;
}

static int take_texts(struct tensor *to, const uint8_t *data, size_t n, size_t size, bool wide)
{
	struct buf out = {.max = TENSOR_BYTES_MAX};
	uint64_t elements;
	int r = shape_elements(to->dims, to->rank, &elements);

	if (r || n / size != elements || n % size != 0)
		return -EINVAL;
	r = buf_reserve(&out, 1);
	for (size_t at = 0; !r && at < n; at += size)
		r = append_text(&out, data + at, size, wide);
	to->dtype = DTYPE_BYTES;
	to->n = out.len;
	if (!r)
		to->data = steal_ptr(out.data);
	buf_deinit(&out);
	return r;
}

static int take_elements(struct tensor *to, const uint8_t *data, size_t n, const char *descr)
{
	uint64_t bytes;

	to->dtype = npy_dtype(descr);
	if (to->dtype == DTYPE_INVALID || shape_bytes(to->dtype, to->dims, to->rank, &bytes) ||
		bytes != n)
		return -EINVAL;
	to->n = n;
	to->data = malloc(n + 1);
	if (!to->data)
		return -ENOMEM;
	memcpy(to->data, data, n);
	return 0;
}

int tensor_parse_npy(struct tensor *t, const uint8_t *data, size_t n)
{
	struct tensor to = {.form = TENSOR_TYPED, .has_shape = true};
	char header[4096];
	const char *descr, *order, *shape;
	size_t at, size;
	int r = npy_header(data, n, header, sizeof(header), &at);

	if (r)
		return r;
	descr = npy_value(header, "'descr'");
	order = npy_value(header, "'fortran_order'");
	shape = npy_value(header, "'shape'");
	if (!descr || !order || !shape || strncmp(order, "False", 5) != 0)
		return -EINVAL;
	if (npy_shape(&to, shape))
		return -EINVAL;
	size = text_size(descr);
	r = size > 0 ? take_texts(&to, data + at, n - at, size, descr[1] == 'U')
		     : take_elements(&to, data + at, n - at, descr);
	if (r)
		return r;
	*t = to;
	return 0;
}

/* --- .pgm, .ppm ------------------------------------------------------------------------------------- */

/* Where such a file is read. */
struct pgm {
	const uint8_t *data;
	size_t n;
	size_t at;
};

static void skip_comment(struct pgm *p)
{
	while (p->at < p->n && p->data[p->at] != '\n')
		p->at++;
}

/* The next number of the header or of a plain body, at most `max`; a comment runs from # to the end of
 * its line. */
static int pgm_number(struct pgm *p, unsigned max, unsigned *ret)
{
	unsigned value = 0;
	size_t from;

	while (p->at < p->n && (isspace(p->data[p->at]) || p->data[p->at] == '#')) {
		if (p->data[p->at] == '#')
			skip_comment(p);
		else
			p->at++;
	}
	for (from = p->at; p->at < p->n && isdigit(p->data[p->at]); p->at++) {
		value = value * 10 + (p->data[p->at] - '0');
		if (value > max)
			return -EINVAL;
	}
	*ret = value;
	return p->at > from ? 0 : -EINVAL;
}

/* n values of at most `max` each. */
static int pgm_values(struct pgm *p, bool plain, unsigned max, float *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned value;

		if (plain && pgm_number(p, max, &value))
			return -EINVAL;
		if (!plain)
			value = p->data[p->at++];
		if (value > max)
			return -EINVAL;
		out[i] = (float)value;
	}
	return 0;
}

/* Sides and largest value, up to where the pixels begin. */
static int pgm_header(struct pgm *p, struct picture *ret_picture, unsigned *ret_max)
{
	unsigned width, height;

	if (pgm_number(p, PGM_SIDE_MAX, &width) || pgm_number(p, PGM_SIDE_MAX, &height) ||
		pgm_number(p, 255, ret_max))
		return -EINVAL;
	if (*ret_max == 0 || width == 0 || height == 0 || p->at == p->n || !isspace(p->data[p->at]))
		return -EINVAL;
	p->at++;
	ret_picture->width = width;
	ret_picture->height = height;
	return 0;
}

int tensor_parse_picture(struct tensor *t, const uint8_t *data, size_t n)
{
	struct pgm p = {.data = data, .n = n, .at = 2};
	_cleanup_(freep) float *out = NULL;
	struct picture picture;
	unsigned max;
	size_t values;
	bool plain;

	if (n < 3 || data[0] != 'P' || !data[1] || !strchr("2356", data[1]))
		return -EINVAL;
	plain = data[1] == '2' || data[1] == '3';
	picture.channels = data[1] == '3' || data[1] == '6' ? 3 : 1;
	if (pgm_header(&p, &picture, &max))
		return -EINVAL;
	values = (size_t)picture.width * picture.height * picture.channels;
	/* One byte a value is the least there can be. */
	if (values > n - p.at)
		return -EINVAL;
	out = calloc(values, sizeof(*out));
	if (!out)
		return -ENOMEM;
	if (pgm_values(&p, plain, max, out, values))
		return -EINVAL;
	*t = (struct tensor){.form = TENSOR_PICTURE, .dtype = DTYPE_F32, .picture = picture};
	t->n = values * sizeof(*out);
	t->data = (uint8_t *)steal_ptr(out);
	return 0;
}
