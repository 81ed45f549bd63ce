/* npy.c: writes what tensor_parse_npy() reads. modelctl, one thread. */
#include "clients/modelctl/npy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAD  10u /* bytes before the dictionary */
#define ALIGN 64u

static const char *const codes[DTYPE_MAX_] = {
	[DTYPE_BOOL] = "|b1",
	[DTYPE_U8] = "|u1",
	[DTYPE_U16] = "<u2",
	[DTYPE_U32] = "<u4",
	[DTYPE_U64] = "<u8",
	[DTYPE_I8] = "|i1",
	[DTYPE_I16] = "<i2",
	[DTYPE_I32] = "<i4",
	[DTYPE_I64] = "<i8",
	[DTYPE_F16] = "<f2",
	[DTYPE_F32] = "<f4",
	[DTYPE_F64] = "<f8",
};

static const uint8_t magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};

static void put_header(struct npy *x, const char *code, const struct tensor *t)
{
	char *out = (char *)x->header;
	int n = snprintf(out + LEAD, NPY_HEADER_MAX - LEAD,
		"{'descr': '%s', 'fortran_order': False, 'shape': (", code);

	/* A code of 23 bytes and 16 dimensions of 20 fit: at most 430 bytes. */
	for (uint32_t i = 0; i < t->rank; i++)
		n += snprintf(out + LEAD + n, NPY_HEADER_MAX - LEAD - (size_t)n, "%" PRId64 ", ",
			t->dims[i]);
	n += snprintf(out + LEAD + n, NPY_HEADER_MAX - LEAD - (size_t)n, "), }");
	x->n_header = (LEAD + (size_t)n + 1 + ALIGN - 1) / ALIGN * ALIGN;
	memset(out + LEAD + n, ' ', x->n_header - LEAD - (size_t)n);
	out[x->n_header - 1] = '\n';
	memcpy(out, magic, sizeof(magic));
	out[8] = (char)((x->n_header - LEAD) & 0xFF);
	out[9] = (char)((x->n_header - LEAD) >> 8);
}

/* The longest text and how many there are. */
static size_t measure(const struct tensor *t, size_t *ret_n)
{
	size_t longest = 1; /* numpy has none of 0 */
	uint32_t length;

	*ret_n = 0;
	for (size_t at = 0; at < t->n; at += sizeof(length) + length) {
		memcpy(&length, t->data + at, sizeof(length));
		longest = length > longest ? length : longest;
		(*ret_n)++;
	}
	return longest;
}

static int put_texts(struct npy *x, const struct tensor *t, size_t longest, size_t n)
{
	size_t at = 0;

	if (n > 0 && longest > TENSOR_BYTES_MAX / n)
		return -ENOMEM;
	x->texts = calloc(n ? n : 1, longest);
	if (!x->texts)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint32_t length;

		memcpy(&length, t->data + at, sizeof(length));
		at += sizeof(length);
		if (length > 0 && t->data[at + length - 1] == 0)
			return -ENOTSUP;
		memcpy(x->texts + i * longest, t->data + at, length);
		at += length;
	}
	x->data = x->texts;
	x->n = n * longest;
	return 0;
}

int npy_make(struct npy *x, const struct tensor *t)
{
	char code[24];
	size_t longest, n;

	*x = (struct npy){.data = t->data, .n = t->n};
	if (t->dtype == DTYPE_BYTES) {
		longest = measure(t, &n);
		(void)snprintf(code, sizeof(code), "|S%zu", longest);
		put_header(x, code, t);
		return put_texts(x, t, longest, n);
	}
	if (!codes[t->dtype])
		return -ENOTSUP;
	put_header(x, codes[t->dtype], t);
	return 0;
}

void npy_release(struct npy *x)
{
	free(x->texts);
	x->texts = NULL;
}
