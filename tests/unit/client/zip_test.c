/* zip_test.c: archives that are written are read again; cut or changed at any byte they are refused or harmless. */
#include "clients/modelctl/zip.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/failalloc.h"

/* x.npy, "hello hello hello hello", deflated: as Python's zipfile writes it. */
static const uint8_t deflated[] =
	"\120\113\003\004\024\000\000\000\010\000\000\000\041\000\343\121\075\215\012\000\000\000"
	"\027\000"
	"\000\000\005\000\000\000\170\056\156\160\171\313\110\315\311\311\127\310\100\047\001\120"
	"\113\001"
	"\002\024\003\024\000\000\000\010\000\000\000\041\000\343\121\075\215\012\000\000\000\027"
	"\000\000"
	"\000\005\000\000\000\000\000\000\000\000\000\000\000\200\001\000\000\000\000\170\056\156"
	"\160\171"
	"\120\113\005\006\000\000\000\000\001\000\001\000\063\000\000\000\055\000\000\000\000\000";

/* Two members, into *ret, which the caller frees. */
static int write_two(char **ret, size_t *ret_n)
{
	struct zip_writer w;
	FILE *f = open_memstream(ret, ret_n);
	int r = f ? 0 : -ENOMEM;

	if (r)
		return r;
	zip_writer_init(&w, f);
	r = zip_add(&w, "a.npy", (const struct zip_piece[]){{"hea", 3}, {"d", 1}, {NULL, 0}}, 3);
	if (!r)
		r = zip_add(&w, "empty", NULL, 0);
	if (!r)
		r = zip_end(&w);
	zip_writer_deinit(&w);
	return fclose(f) && !r ? -EIO : r;
}

/* All members are looked at; how many were whole. */
static size_t read_all(const uint8_t *data, size_t n)
{
	/* In memory of just that size: AddressSanitizer sees what is read behind it. */
	uint8_t *copy = malloc(n ? n : 1);
	struct zip_reader z;
	struct zip_member m;
	size_t whole = 0;

	if (!copy)
		return 0;
	memcpy(copy, data, n);
	if (!zip_open(&z, copy, n)) {
		while (!zip_next(&z, &m)) {
			uint8_t *out = NULL;

			whole += !zip_extract(&m, &out);
			free(out);
		}
	}
	free(copy);
	return whole;
}

Test(zip, what_is_written_is_read)
{
	struct zip_reader z;
	struct zip_member m;
	char *archive = NULL;
	uint8_t *out;
	size_t n;

	cr_assert_eq(write_two(&archive, &n), 0);
	cr_assert(zip_is_one((const uint8_t *)archive, n));
	cr_assert_eq(zip_open(&z, (const uint8_t *)archive, n), 0);
	cr_assert_eq(zip_next(&z, &m), 0);
	cr_assert_eq(m.n_name, 5);
	cr_assert_arr_eq(m.name, "a.npy", 5);
	cr_assert_eq(zip_extract(&m, &out), 0);
	cr_assert_eq(m.n, 4);
	cr_assert_arr_eq(out, "head", 4);
	free(out);
	cr_assert_eq(zip_next(&z, &m), 0);
	cr_assert_eq(zip_extract(&m, &out), 0);
	cr_assert_eq(m.n, 0);
	free(out);
	cr_assert_eq(zip_next(&z, &m), -ENOENT);
	free(archive);
}

Test(zip, cut_and_changed)
{
	char *archive = NULL;
	size_t n;

	cr_assert_eq(write_two(&archive, &n), 0);
	for (size_t cut = 0; cut < n; cut++)
		cr_assert_eq(read_all((const uint8_t *)archive, cut), 0, "%zu", cut);
	for (size_t i = 0; i < n; i++) {
		archive[i] = (char)~archive[i];
		cr_assert_leq(read_all((const uint8_t *)archive, n), 2, "%zu", i);
		archive[i] = (char)~archive[i];
	}
	archive[35] = 'x'; /* of the content */
	cr_assert_eq(read_all((const uint8_t *)archive, n), 1, "its sum is another");
	free(archive);
	cr_assert_not(zip_is_one((const uint8_t *)"PK", 2));
}

Test(zip, deflated)
{
	uint8_t copy[sizeof(deflated) - 1];

	memcpy(copy, deflated, sizeof(copy));
	cr_assert_eq(read_all(copy, sizeof(copy)), 1);
	for (size_t i = 0; i < sizeof(copy); i++) {
		copy[i] ^= 0x55;
		cr_assert_leq(read_all(copy, sizeof(copy)), 1, "%zu", i);
		copy[i] ^= 0x55;
	}
}

static int write_and_read(void *unused)
{
	char *archive = NULL;
	size_t n = 0;
	int r = write_two(&archive, &n);

	(void)unused;
	if (!r)
		(void)read_all((const uint8_t *)archive, n);
	free(archive);
	return r;
}

Test(zip, fault_loop)
{
	FAULT_LOOP(write_and_read, NULL);
}
