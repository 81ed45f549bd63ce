/*
 * tensor_parse.c: file formats of tensors: .npy (that of numpy.lib.format, versions 1 to 3,
 * little-endian, C order) and .pgm (plain or raw, 8 bit). modelctl, one thread.
 */
#include "clients/modelctl/tensor_parse.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/digits.h"

#define PGM_SIDE_MAX 1000000u

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

int tensor_parse_npy(struct tensor *t, const uint8_t *data, size_t n)
{
	struct tensor to = {.has_shape = true};
	char header[4096];
	const char *descr, *order, *shape;
	uint64_t bytes;
	size_t at;
	int r = npy_header(data, n, header, sizeof(header), &at);

	if (r)
		return r;
	descr = npy_value(header, "'descr'");
	order = npy_value(header, "'fortran_order'");
	shape = npy_value(header, "'shape'");
	if (!descr || !order || !shape || strncmp(order, "False", 5) != 0)
		return -EINVAL;
	to.dtype = npy_dtype(descr);
	if (to.dtype == DTYPE_INVALID || npy_shape(&to, shape) ||
		shape_bytes(to.dtype, to.dims, to.rank, &bytes) || bytes != n - at)
		return -EINVAL;
	to.n = n - at;
	to.data = malloc(to.n + 1);
	if (!to.data)
		return -ENOMEM;
	memcpy(to.data, data + at, to.n);
	*t = to;
	return 0;
}

/* --- .pgm ------------------------------------------------------------------------------------- */

/* Where a PGM file is read. */
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

int tensor_parse_pgm(struct tensor *t, const uint8_t *data, size_t n)
{
	struct pgm p = {.data = data, .n = n, .at = 2};
	_cleanup_(freep) float *out = NULL;
	unsigned width, height, max;
	size_t pixels;
	bool plain;

	if (n < 3 || data[0] != 'P' || (data[1] != '2' && data[1] != '5'))
		return -EINVAL;
	plain = data[1] == '2';
	if (pgm_number(&p, PGM_SIDE_MAX, &width) || pgm_number(&p, PGM_SIDE_MAX, &height) ||
		pgm_number(&p, 255, &max))
		return -EINVAL;
	pixels = (size_t)width * height;
	/* One byte a pixel is the least there can be, behind one white space. */
	if (max == 0 || pixels == 0 || p.at == n || !isspace(data[p.at]) || pixels > n - p.at - 1)
		return -EINVAL;
	p.at++;
	out = calloc(pixels, sizeof(*out));
	if (!out)
		return -ENOMEM;
	if (pgm_values(&p, plain, max, out, pixels))
		return -EINVAL;
	*t = (struct tensor){.dtype = DTYPE_F32, .n = pixels * sizeof(*out)};
	t->data = (uint8_t *)steal_ptr(out);
	return 0;
}
