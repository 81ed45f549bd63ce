/* latencies.c: kept one by one: percentiles are exact. modelctl, one thread. */
#include "clients/modelctl/latencies.h"

#include <errno.h>
#include <stdlib.h>

void latencies_release(struct latencies *l)
{
	free(l->ns);
	*l = (struct latencies){0};
}

int latencies_add(struct latencies *l, uint64_t ns)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 1024;
		uint64_t *more = realloc(l->ns, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->ns = more;
		l->cap = cap;
	}
	l->ns[l->n++] = ns;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void latencies_sort(struct latencies *l)
{
	if (l->n > 0)
		qsort(l->ns, l->n, sizeof(*l->ns), compare);
}

uint64_t latencies_at(const struct latencies *l, uint32_t share)
{
	uint64_t i = ((uint64_t)l->n * share + 99999) / 100000;

	if (l->n == 0)
		return 0;
	return l->ns[i == 0 ? 0 : i - 1];
}
