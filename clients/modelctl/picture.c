/* picture.c: types and places of pixels. modelctl, one thread. */
#include "clients/modelctl/picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "clients/modelctl/tensor_value.h"

static int no_memory(char *text, size_t cap)
{
	(void)snprintf(text, cap, "%s", err_str(-ENOMEM));
	return -ENOMEM;
}

static size_t n_values(const struct tensor *t)
{
	return (size_t)t->picture.width * t->picture.height * t->picture.channels;
}

int picture_convert(struct tensor *t, enum dtype dtype, char *text, size_t cap)
{
	size_t size = dtype_size(dtype), n = n_values(t);
	uint8_t *out;

	if (dtype == t->dtype)
		return 0;
	if (dtype == DTYPE_BYTES || dtype == DTYPE_BOOL || dtype == DTYPE_I8) {
		(void)snprintf(text, cap, "it is a picture, the values of which are no %s",
			dtype_name(dtype));
		return -EINVAL;
	}
	out = malloc(n * size + 1);
	if (!out)
		return no_memory(text, cap);
	for (size_t i = 0; i < n; i++) {
		float value;

		memcpy(&value, t->data + i * sizeof(value), sizeof(value));
		tensor_put(dtype, out + i * size, (double)value);
	}
	free(t->data);
	t->data = out;
	t->n = n * size;
	t->dtype = dtype;
	return 0;
}

/* Channel by channel instead of pixel by pixel. */
static int part_channels(struct tensor *t)
{
	size_t channels = t->picture.channels, size = dtype_size(t->dtype);
	size_t pixels = n_values(t) / channels;
	uint8_t *out = malloc(t->n + 1);

	if (!out)
		return -ENOMEM;
	for (size_t c = 0; c < channels; c++) {
		for (size_t i = 0; i < pixels; i++)
			memcpy(out + (c * pixels + i) * size, t->data + (i * channels + c) * size,
				size);
	}
	free(t->data);
	t->data = out;
	return 0;
}

/* A way to lie in a tensor. */
struct place {
	uint32_t rank;
	int64_t dims[3];
	bool parted;
};

static bool admits(const struct tensor_want *want, const struct place *p)
{
	bool batch = want->rank == p->rank + 1 && want->dims[0] < 0;

	if (want->any_shape)
		return true;
	/* Colours are no batch. */
	if (p->parted && p->dims[0] > 1 && !batch && want->rank > 0 && want->dims[0] < 0)
		return false;
	return shape_admits(want->dims + batch, want->rank - batch, p->dims, p->rank);
}

int picture_place(struct tensor *t, const struct tensor_want *want, char *text, size_t cap)
{
	int64_t w = t->picture.width, h = t->picture.height, c = t->picture.channels;
	const struct place places[] = {
		{c == 1 ? 2 : 3, {h, w, c}, false},
		{3, {h, w, c}, false},
		{3, {c, h, w}, true},
		{1, {h * w * c}, false},
	};
	char wanted[256];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (!admits(want, &places[i]))
			continue;
		t->has_shape = true;
		t->rank = places[i].rank;
		memcpy(t->dims, places[i].dims, sizeof(places[i].dims));
		return places[i].parted && c > 1 && part_channels(t) ? no_memory(text, cap) : 0;
	}
	(void)snprintf(text, cap,
		"it is a picture of %u columns and %u rows%s, the model takes %s%s",
		t->picture.width, t->picture.height, c == 1 ? "" : " in 3 colours",
		dtype_name(want->dtype),
		shape_format(want->dims, want->rank, wanted, sizeof(wanted)));
	return -EINVAL;
}
