/* near.c: Levenshtein's distance, a row at a time. Pure. */
#include "base/near.h"

#include <string.h>

static size_t least_of(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

size_t near_distance(const char *a, const char *b)
{
	size_t row[NEAR_MAX + 1];
	size_t n_a = strlen(a), n_b = strlen(b);

	if (n_a >= NEAR_MAX || n_b >= NEAR_MAX)
		return NEAR_MAX;
	for (size_t k = 0; k <= n_b; k++)
		row[k] = k;
	for (size_t i = 1; i <= n_a; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t k = 1; k <= n_b; k++) {
			size_t above = row[k];

			row[k] = least_of(
				above + 1, row[k - 1] + 1, diagonal + (a[i - 1] != b[k - 1]));
			diagonal = above;
		}
	}
	return row[n_b];
}
