/* tensor_parse_test.c: .npy and .pgm, whole, cut at every byte, and wrong in every way. */
#include "clients/modelctl/tensor_parse.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/failalloc.h"

static uint8_t file[8192];
static size_t n_file;

/* Version v with this dictionary and n zero bytes behind it. */
static void make_npy(int v, const char *dictionary, size_t n)
{
	size_t length = strlen(dictionary), at = v == 1 ? 10 : 12;

	memset(file, 0, sizeof(file));
	memcpy(file, "\x93NUMPY", 6);
	file[6] = (uint8_t)v;
	file[8] = (uint8_t)length;
	file[9] = (uint8_t)(length >> 8);
	memcpy(file + at, dictionary, length);
	n_file = at + length + n;
}

static int parse_npy(struct tensor *t)
{
	/* In memory of just that size: AddressSanitizer sees what is read behind it. */
	uint8_t *copy = calloc(1, n_file ? n_file : 1);
	int r;

	memcpy(copy, file, n_file);
	r = tensor_parse_npy(t, copy, n_file);
	free(copy);
	return r;
}

static int parse_pgm(struct tensor *t, const char *text, size_t n)
{
	uint8_t *copy = calloc(1, n ? n : 1);
	int r;

	memcpy(copy, text, n);
	r = tensor_parse_picture(t, copy, n);
	free(copy);
	return r;
}

#define DICTIONARY "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n"

Test(npy, every_version)
{
	for (int v = 1; v <= 3; v++) {
		struct tensor t = {0};

		make_npy(v, DICTIONARY, 24);
		file[n_file - 1] = 0x40;
		cr_assert_eq(parse_npy(&t), 0);
		cr_assert_eq((int)t.dtype, DTYPE_F32);
		cr_assert(t.has_shape);
		cr_assert_eq(t.rank, 2);
		cr_assert_eq(t.dims[0], 2);
		cr_assert_eq(t.dims[1], 3);
		cr_assert_eq(t.n, 24);
		cr_assert_eq(t.data[23], 0x40);
		tensor_release(&t);
		cr_assert_null(t.data);
	}
}

Test(npy, every_type)
{
	static const struct {
		const char *code;
		enum dtype dtype;
	} types[] = {{"|b1", DTYPE_BOOL}, {"|u1", DTYPE_U8}, {"<u2", DTYPE_U16}, {"<u4", DTYPE_U32},
		{"<u8", DTYPE_U64}, {"|i1", DTYPE_I8}, {"<i2", DTYPE_I16}, {"<i4", DTYPE_I32},
		{"<i8", DTYPE_I64}, {"<f2", DTYPE_F16}, {"<f4", DTYPE_F32}, {"<f8", DTYPE_F64}};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct tensor t = {0};
		char dictionary[128];

		(void)snprintf(dictionary, sizeof(dictionary),
			"{'shape': (3,), 'fortran_order': False, 'descr': '%s'}", types[i].code);
		make_npy(1, dictionary, 3 * dtype_size(types[i].dtype));
		cr_assert_eq(parse_npy(&t), 0, "%s", types[i].code);
		cr_assert_eq(t.dtype, types[i].dtype);
		tensor_release(&t);
	}
}

Test(npy, shapes)
{
	struct tensor t = {0};

	make_npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4);
	cr_assert_eq(parse_npy(&t), 0);
	cr_assert_eq(t.rank, 0);
	tensor_release(&t);
	make_npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5), }", 0);
	cr_assert_eq(parse_npy(&t), 0);
	cr_assert_not_null(t.data);
	cr_assert_eq(t.n, 0);
	tensor_release(&t);
	make_npy(1,
		"{'descr': '|u1', 'fortran_order': False, "
		"'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}",
		1);
	cr_assert_eq(parse_npy(&t), 0);
	cr_assert_eq(t.rank, 16);
	tensor_release(&t);
}

Test(npy, dictionaries_that_are_refused)
{
	static const char *const wrong[] = {"", "{}",
		"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }",
		"{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3), }",
		"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }",
		"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }",
		"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
		"{'descr': '<f4', 'fortran_order': False}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': 6}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, x)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape'",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
		"{'descr': '<f4', 'fortran_order': False, "
		"'shape': (6,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct tensor t = {.n = 77};

		make_npy(1, wrong[i], 24);
		cr_assert_eq(parse_npy(&t), -EINVAL, "%s", wrong[i]);
		cr_assert_eq(t.n, 77, "untouched");
	}
}

Test(npy, cut_anywhere_and_too_long)
{
	struct tensor t = {0};

	make_npy(1, DICTIONARY, 24);
	for (size_t whole = n_file, n = 0; n < whole; n++) {
		n_file = n;
		cr_assert_eq(parse_npy(&t), -EINVAL, "%zu bytes", n);
	}
	make_npy(1, DICTIONARY, 25);
	cr_assert_eq(parse_npy(&t), -EINVAL);
	make_npy(4, DICTIONARY, 24);
	cr_assert_eq(parse_npy(&t), -EINVAL, "version 4");
	make_npy(1, DICTIONARY, 24);
	file[6] = 0;
	cr_assert_eq(parse_npy(&t), -EINVAL, "version 0");
	make_npy(2, DICTIONARY, 24);
	file[11] = 0xFF;
	cr_assert_eq(parse_npy(&t), -EINVAL, "a header of gigabytes");
	make_npy(1, DICTIONARY, 24);
	file[1] = 'X';
	cr_assert_eq(parse_npy(&t), -EINVAL);
}

#define TEXTS(descr) "{'descr': '" descr "', 'fortran_order': False, 'shape': (2,), }\n"

Test(npy, texts)
{
	struct tensor t = {0};

	make_npy(1, TEXTS("|S3"), 6);
	memcpy(file + n_file - 6, "ab\0xyz", 6);
	cr_assert_eq(parse_npy(&t), 0);
	cr_assert_eq((int)t.dtype, DTYPE_BYTES);
	cr_assert_eq(t.n, 13);
	cr_assert_arr_eq(t.data, "\2\0\0\0ab\3\0\0\0xyz", 13);
	tensor_release(&t);
	make_npy(1, TEXTS("<U1"), 8);
	memcpy(file + n_file - 8, "\xAC\x20\0\0\0\0\0\0", 8);
	cr_assert_eq(parse_npy(&t), 0);
	cr_assert_eq(t.n, 11);
	cr_assert_arr_eq(t.data, "\3\0\0\0\xE2\x82\xAC\0\0\0\0", 11);
	tensor_release(&t);
	memcpy(file + n_file - 8, "\0\0\x11\0", 4);
	cr_assert_eq(parse_npy(&t), -EINVAL, "beyond Unicode");
	memcpy(file + n_file - 8, "\0\xD8\0\0", 4);
	cr_assert_eq(parse_npy(&t), -EINVAL, "half a pair");
	make_npy(1, TEXTS("|S3"), 5);
	cr_assert_eq(parse_npy(&t), -EINVAL, "cut");
	make_npy(1, TEXTS("|S0"), 0);
	cr_assert_eq(parse_npy(&t), -EINVAL, "of no length");
	make_npy(1, TEXTS("|S99999999999"), 6);
	cr_assert_eq(parse_npy(&t), -EINVAL);
	cr_assert_null(t.data);
}

#define PGM(text, t) parse_pgm(t, text, sizeof(text) - 1)

Test(pgm, plain_and_raw)
{
	struct tensor t = {0};

	cr_assert_eq(
		PGM("P2\n# a comment\n3 2\n# another\n255\n0 1 2\n3 # here too\n254 255", &t), 0);
	cr_assert_eq((int)t.dtype, DTYPE_F32);
	cr_assert_not(t.has_shape);
	cr_assert_eq(t.n, 24);
	cr_assert_eq(((float *)(void *)t.data)[4], 254);
	tensor_release(&t);
	cr_assert_eq(PGM("P5 2 2 255\n\0\x80#\xff", &t), 0);
	cr_assert_eq(((float *)(void *)t.data)[1], 128);
	cr_assert_eq(((float *)(void *)t.data)[2], '#');
	tensor_release(&t);
	cr_assert_eq(PGM("P5 1 1 7\n\7 trailing", &t), 0, "what follows is another picture");
	tensor_release(&t);
}

Test(pgm, colours)
{
	struct tensor t = {0};

	cr_assert_eq(PGM("P6 2 1 255\n\1\2\3\4\5\6", &t), 0);
	cr_assert_eq((int)t.form, TENSOR_PICTURE);
	cr_assert_eq(t.picture.width, 2);
	cr_assert_eq(t.picture.height, 1);
	cr_assert_eq(t.picture.channels, 3);
	cr_assert_eq(t.n, 24);
	cr_assert_eq(((float *)(void *)t.data)[5], 6);
	tensor_release(&t);
	cr_assert_eq(PGM("P3 1 1 9 1 2 3", &t), 0);
	cr_assert_eq(((float *)(void *)t.data)[2], 3);
	tensor_release(&t);
}

Test(pgm, what_is_refused)
{
	struct tensor t = {0};

	cr_assert_eq(PGM("", &t), -EINVAL);
	cr_assert_eq(PGM("P5", &t), -EINVAL);
	cr_assert_eq(PGM("P6 1 1 255\n\0\0", &t), -EINVAL, "two of three colours");
	cr_assert_eq(PGM("P4 8 1\n\0", &t), -EINVAL, "one bit a pixel");
	cr_assert_eq(PGM("X5 1 1 255\n\0", &t), -EINVAL);
	cr_assert_eq(PGM("P5 0 1 255\n\0", &t), -EINVAL);
	cr_assert_eq(PGM("P5 1 1 0\n\0", &t), -EINVAL);
	cr_assert_eq(PGM("P5 1 1 256\n\0", &t), -EINVAL, "16 bit");
	cr_assert_eq(PGM("P5 1 1 255", &t), -EINVAL);
	cr_assert_eq(PGM("P5 1 1 255\n", &t), -EINVAL);
	cr_assert_eq(PGM("P5 2 2 255\n\0\0\0", &t), -EINVAL, "cut");
	cr_assert_eq(PGM("P5 2 1 7\n\7\x8", &t), -EINVAL, "above its maximum");
	cr_assert_eq(PGM("P2 2 1 7\n7 8", &t), -EINVAL, "above its maximum");
	cr_assert_eq(PGM("P2 2 2 255\n1 2 3   ", &t), -EINVAL, "cut");
	cr_assert_eq(PGM("P2 1 1 255\nx", &t), -EINVAL);
	cr_assert_eq(PGM("P2 1 1 255\n# only a comment", &t), -EINVAL);
	cr_assert_eq(PGM("P2 99999999 1 255\n1", &t), -EINVAL);
	cr_assert_eq(PGM("P2 1000000 1000000 255\n1", &t), -EINVAL, "terabytes, of one byte");
	cr_assert_null(t.data);
}

static int both(void *arg)
{
	struct tensor a = {0}, b = {0};
	int r = tensor_parse_npy(&a, file, n_file);

	if (!r)
		r = tensor_parse_picture(&b, (const uint8_t *)"P2 1 1 9 5", 10);
	tensor_release(&a);
	tensor_release(&b);
	return r;
}

Test(npy, fault_loop)
{
	make_npy(1, DICTIONARY, 24);
	FAULT_LOOP(both, NULL);
}
