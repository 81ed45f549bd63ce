/* stream_copy_test.c: every alignment of both ends and every length about the border, and nothing beside. */
#include "base/stream_copy.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 1024u

static uint8_t from[ROOM];
static uint8_t to[ROOM];

static void check(size_t at_to, size_t at_from, size_t n)
{
	memset(to, 0xEE, sizeof(to));
	stream_copy(to + at_to, from + at_from, n);
	stream_copy_end();
	cr_assert_eq(memcmp(to + at_to, from + at_from, n), 0, "%zu %zu %zu", at_to, at_from, n);
	for (size_t i = 0; i < sizeof(to); i++) {
		if (i < at_to || i >= at_to + n)
			cr_assert_eq(to[i], 0xEE, "%zu %zu %zu wrote at %zu", at_to, at_from, n, i);
	}
}

Test(stream_copy, every_alignment_and_length)
{
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t at_to = 0; at_to < 66; at_to++) {
		for (size_t at_from = 0; at_from < 17; at_from++) {
			for (size_t n = 0; n < 200; n += 1 + n / 8)
				check(at_to, at_from, n);
			check(at_to, at_from, 640);
		}
	}
}

Test(stream_copy, large)
{
	size_t n = STREAM_COPY_MIN * 3 + 5;
	uint8_t *a = malloc(n);
	uint8_t *b = calloc(1, n + 1);

	cr_assert(a && b);
	for (size_t i = 0; i < n; i++)
		a[i] = (uint8_t)(i * 31 + i / 1000);
	stream_copy(b, a, n);
	stream_copy_end();
	cr_assert_eq(memcmp(a, b, n), 0);
	cr_assert_eq(b[n], 0);
	free(a);
	free(b);
}
