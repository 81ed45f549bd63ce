/* claims.c: what a configuration says of tensors, against what the model declares. Pure. */
#include "dispatch/claims.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define SHAPE_TEXT_MAX 128u

static size_t block_bytes(uint32_t n)
{
	return sizeof(struct claims) + n * sizeof(struct claim);
}

struct claims *claims_new(uint32_t n)
{
	struct claims *c = calloc(1, block_bytes(n));

	if (c)
		c->n = n;
	return c;
}

int claims_copy(struct claims **to, const struct claims *from)
{
	struct claims *copy = NULL;

	if (from) {
		copy = malloc(block_bytes(from->n));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, from, block_bytes(from->n));
	}
	*to = copy;
	return 0;
}

bool claims_equal(const struct claims *a, const struct claims *b)
{
	if (!a || !b)
		return a == b;
	return a->n == b->n && !memcmp((const char *)a, (const char *)b, block_bytes(a->n));
}

/* NULL: the model has none of that name. */
static const struct wire_declaration *find(const struct claim *c, const struct wire_loaded *d)
{
	const struct wire_declaration *list = c->output ? d->outputs : d->inputs;
	size_t n = c->output ? d->n_outputs : d->n_inputs;

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i].name, c->name))
			return &list[i];
	}
	return NULL;
}

/* What the configuration leaves open where the model does not would have clients send what is refused. */
static bool dims_agree(const struct claim *c, const int64_t *dims, uint32_t rank)
{
	bool agree = c->rank == rank;

	for (uint32_t i = 0; agree && i < rank; i++)
		agree = dims[i] < 0 || dims[i] == c->dims[i];
	return agree;
}

/* A model that batches has the batch's dimension in front, which a configuration leaves out. */
static bool shapes_agree(const struct claim *c, const struct wire_declaration *d)
{
	if (d->any_shape || c->rank == 0 || dims_agree(c, d->dims, d->rank))
		return true;
	return d->rank > 0 && d->dims[0] < 0 && dims_agree(c, d->dims + 1, d->rank - 1);
}

static bool agrees(const struct claim *c, const struct wire_declaration *d)
{
	return d && shapes_agree(c, d) &&
	       (c->dtype == DTYPE_INVALID || d->dtype == DTYPE_INVALID || c->dtype == d->dtype);
}

/* "FP32 [4]", as far as it is said. */
static void format(enum dtype dtype, const int64_t *dims, uint32_t rank, char *out, size_t cap)
{
	int n = snprintf(
		out, cap, "%s ", dtype == DTYPE_INVALID ? "any" : dtype_kserve_name(dtype));

	shape_format(dims, rank, out + n, cap - (size_t)n);
}

static int describe(const struct claim *c, const struct wire_declaration *d, char *text, size_t cap)
{
	const char *kind = c->output ? "output" : "input";
	char said[SHAPE_TEXT_MAX], is[SHAPE_TEXT_MAX];

	if (!d)
		return snprintf(text, cap,
			"%s '%s' is in its configuration, and the model has no such %s", kind,
			c->name, kind);
	format(c->dtype, c->dims, c->rank, said, sizeof(said));
	format(d->dtype, d->dims, d->rank, is, sizeof(is));
	return snprintf(text, cap, "%s '%s' is %s in its configuration, and %s in the model", kind,
		c->name, said, is);
}

bool claims_contradict(
	const struct claims *c, const struct wire_loaded *declared, char *text, size_t cap)
{
	size_t at = 0;

	for (uint32_t i = 0; c && i < c->n && at < cap; i++) {
		const struct wire_declaration *d = find(&c->list[i], declared);

		if (agrees(&c->list[i], d))
			continue;
		if (at > 0)
			at += (size_t)snprintf(text + at, cap - at, "; ");
		if (at < cap)
			at += (size_t)describe(&c->list[i], d, text + at, cap - at);
	}
	if (at > 0)
		utf8_mend(text); /* it may be cut in a character */
	return at > 0;
}
