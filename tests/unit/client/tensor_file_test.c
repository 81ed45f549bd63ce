/* tensor_file_test.c: files, and made-up tensors. */
#include "clients/modelctl/tensor_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clients/modelctl/tensor_value.h"
#include "tests/support/failalloc.h"

static char text[256];

/* A file of these bytes; its path in static storage. */
static const char *file_with(const char *suffix, const void *data, size_t n)
{
	static char path[96];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/tmp/modeld-tensor-%d%s", (int)getpid(), suffix);
	f = fopen(path, "wb");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite(data, 1, n, f), n);
	cr_assert_eq(fclose(f), 0);
	return path;
}

static int read_and_remove(struct tensor *t, const char *path)
{
	int r = tensor_read(t, path, text, sizeof(text));

	(void)unlink(path);
	return r;
}

Test(tensor_file, raw_bytes)
{
	struct tensor t = {0};
	static char large[200000];

	cr_assert_eq(read_and_remove(&t, file_with(".bin", "abc", 3)), 0);
	cr_assert_eq((int)t.dtype, DTYPE_INVALID);
	cr_assert_not(t.has_shape);
	cr_assert_eq(t.n, 3);
	cr_assert_arr_eq(t.data, "abc", 3);
	tensor_release(&t);
	cr_assert_eq(read_and_remove(&t, file_with("", "", 0)), 0);
	cr_assert_eq(t.n, 0);
	cr_assert_not_null(t.data, "empty, but there");
	tensor_release(&t);
	large[199999] = 7;
	cr_assert_eq(read_and_remove(&t, file_with("", large, sizeof(large))), 0);
	cr_assert_eq(t.n, sizeof(large));
	cr_assert_eq(t.data[199999], 7);
	tensor_release(&t);
}

Test(tensor_file, formats_by_suffix)
{
	static const char pgm[] = "P2 1 1 255 9";
	static const char npy[] = "\x93NUMPY\1\0\x3c\0{'descr': '|u1', 'fortran_order': False, "
				  "'shape': (1,)}   \n\n*";
	struct tensor t = {0};

	cr_assert_eq(read_and_remove(&t, file_with(".pgm", pgm, sizeof(pgm) - 1)), 0, "%s", text);
	cr_assert_eq(t.n, 4);
	tensor_release(&t);
	cr_assert_eq(read_and_remove(&t, file_with(".npy", npy, 10 + 60 + 1)), 0, "%s", text);
	cr_assert_eq(t.data[0], '*');
	tensor_release(&t);
}

Test(tensor_file, errors_name_the_file)
{
	struct tensor t = {0};

	cr_assert_eq(tensor_read(&t, "/nonexistent", text, sizeof(text)), -ENOENT);
	cr_assert_str_eq(text, "cannot read /nonexistent: No such file or directory");
	cr_assert_eq(tensor_read(&t, "/tmp", text, sizeof(text)), -EIO);
	cr_assert_eq(read_and_remove(&t, file_with(".pgm", "xyz", 3)), -EINVAL);
	cr_assert(strstr(text, ".pgm is no PGM or PPM picture of 8 bits"), "%s", text);
	cr_assert_eq(read_and_remove(&t, file_with(".npy", "xyz", 3)), -EINVAL);
	cr_assert(strstr(text, ".npy file that can be read here"), "%s", text);
	cr_assert_null(t.data);
}

static const char *element(enum dtype d, double value)
{
	static char out[64];
	struct tensor t = {.dtype = d, .rank = 1, .dims = {1}};

	cr_assert_eq(tensor_fill(&t, value, false, text, sizeof(text)), 0);
	cr_assert_eq(t.n, dtype_size(d));
	tensor_element(d, t.data, 0, out, sizeof(out));
	tensor_release(&t);
	return out;
}

Test(tensor_fill, one_element_of_each_type)
{
	for (unsigned d = DTYPE_U8; d < DTYPE_BYTES; d++)
		cr_assert_str_eq(
			element((enum dtype)d, 100), "100", "%s", dtype_name((enum dtype)d));
	for (unsigned d = DTYPE_I8; d < DTYPE_BYTES; d++)
		cr_assert_str_eq(element((enum dtype)d, -2), "-2", "%s", dtype_name((enum dtype)d));
	cr_assert_str_eq(element(DTYPE_BOOL, 5), "1");
	cr_assert_str_eq(element(DTYPE_BOOL, 0), "0");
	cr_assert_str_eq(element(DTYPE_F16, 0.5), "0.5");
	cr_assert_str_eq(element(DTYPE_F16, 1e9), "inf");
	cr_assert_str_eq(element(DTYPE_F16, -1e-9), "-0");
	cr_assert_str_eq(element(DTYPE_BF16, 3.5), "3.5");
	cr_assert_str_eq(element(DTYPE_F64, 0.1), "0.1");
	cr_assert_str_eq(element(DTYPE_I64, 1e300), "9223372036854775807");
	cr_assert_str_eq(element(DTYPE_I64, -1e300), "-9223372036854775808");
	cr_assert_str_eq(element(DTYPE_I32, (double)NAN), "0");
}

Test(tensor_fill, ramps_and_texts)
{
	struct tensor t = {.dtype = DTYPE_U16, .rank = 2, .dims = {2, 2}};
	char out[32];

	cr_assert_eq(tensor_fill(&t, 0, true, text, sizeof(text)), 0);
	tensor_element(t.dtype, t.data, 3, out, sizeof(out));
	cr_assert_str_eq(out, "3");
	tensor_release(&t);
	t = (struct tensor){.dtype = DTYPE_BYTES, .rank = 1, .dims = {2}};
	cr_assert_eq(tensor_fill(&t, 2.5, false, text, sizeof(text)), 0);
	cr_assert_eq(t.n, 14);
	cr_assert_arr_eq(t.data, "\3\0\0\0002.5\3\0\0\0002.5", 14);
	tensor_release(&t);
	t = (struct tensor){.dtype = DTYPE_BYTES, .rank = 1, .dims = {0}};
	cr_assert_eq(tensor_fill(&t, 0, true, text, sizeof(text)), 0);
	cr_assert_not_null(t.data);
	tensor_release(&t);
}

static int read_and_fill(void *path)
{
	struct tensor a = {0}, b = {.dtype = DTYPE_F32, .rank = 1, .dims = {4}};
	struct tensor c = {.dtype = DTYPE_BYTES, .rank = 1, .dims = {4}};
	int r = tensor_read(&a, path, text, sizeof(text));

	if (!r)
		r = tensor_fill(&b, 1, false, text, sizeof(text));
	if (!r)
		r = tensor_fill(&c, 1, true, text, sizeof(text));
	tensor_release(&a);
	tensor_release(&b);
	tensor_release(&c);
	return r;
}

Test(tensor_file, fault_loop)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "%s", file_with(".bin", "abc", 3));
	FAULT_LOOP(read_and_fill, path);
	(void)unlink(path);
}
