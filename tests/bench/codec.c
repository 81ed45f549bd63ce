/*
 * codec.c: nanoseconds to pack and unpack a Run and a Done of one small item, by our codec and by
 * protobuf-c in the same process, in turns; the medians of many rounds and their ratio.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/wire.h"
#include "proto/wire.pb-c.h"

#define ROUNDS	   101
#define REPEAT	   2000
#define RECORD_MAX 1024

static const int64_t dims[] = {1, 3, 224, 224};
static const struct wire_tensor tensor = {0, DTYPE_F32, 4, dims, {1, 77, 40960000, 602112}};
static const struct wire_item item = {.inputs = &tensor, .n_inputs = 1};
static const struct wire_result result = {.outputs = &tensor, .n_outputs = 1};

static struct wire_scratch *packed, *unpacked;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "codec: %s\n", what);
	exit(1);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double by_codec(const struct wire_message *m)
{
	double start = now_ns();

	for (unsigned int i = 0; i < REPEAT; i++) {
		const struct wire_message *back;
		const uint8_t *data;
		size_t n, used;

		must(wire_pack(packed, m, &data, &n) == 0, "wire_pack()");
		must(wire_unpack(unpacked, data, n, &used, &back) == 0, "wire_unpack()");
	}
	return (now_ns() - start) / REPEAT;
}

static double by_protobuf(const Modeld__Wire__Record *m)
{
	double start = now_ns();

	for (unsigned int i = 0; i < REPEAT; i++) {
		size_t n = modeld__wire__record__get_packed_size(m);
		uint8_t data[RECORD_MAX];
		Modeld__Wire__Record *back;

		must(n <= sizeof(data), "a record of that size");
		modeld__wire__record__pack(m, data);
		back = modeld__wire__record__unpack(NULL, n, data);
		must(back, "unpack");
		modeld__wire__record__free_unpacked(back, NULL);
	}
	return (now_ns() - start) / REPEAT;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *name, const struct wire_message *m)
{
	double codec[ROUNDS], protobuf[ROUNDS];
	Modeld__Wire__Record *same;
	char figures[64], ratio[16];
	const uint8_t *data;
	size_t n;

	must(wire_pack(packed, m, &data, &n) == 0, "wire_pack()");
	same = modeld__wire__record__unpack(NULL, n, data);
	must(same, "protobuf-c takes it");
	for (unsigned int i = 0; i < ROUNDS; i++) {
		codec[i] = by_codec(m);
		protobuf[i] = by_protobuf(same);
	}
	modeld__wire__record__free_unpacked(same, NULL);
	qsort(codec, ROUNDS, sizeof(double), compare);
	qsort(protobuf, ROUNDS, sizeof(double), compare);
	(void)snprintf(figures, sizeof(figures), "%.0f ns, %.0f ns", codec[ROUNDS / 2],
		protobuf[ROUNDS / 2]);
	(void)snprintf(ratio, sizeof(ratio), "%.2fx", codec[ROUNDS / 2] / protobuf[ROUNDS / 2]);
	/* As wide as the rows of bench.py. */
	printf("%-58s %-44s %8s %10s\n", name, figures, ratio, "<= 0.5x");
}

int main(void)
{
	const struct wire_message run = {.type = WIRE_RUN, .run = {123456, 3, &item, 1}};
	const struct wire_message done = {.type = WIRE_DONE, .done = {123456, 1234567, &result, 1}};

	must(wire_scratch_new(&packed) == 0 && wire_scratch_new(&unpacked) == 0, "no memory");
	measure("pack and unpack a Run of one item: codec / protobuf-c", &run);
	measure("pack and unpack a Done of one item: codec / protobuf-c", &done);
	wire_scratch_free(packed);
	wire_scratch_free(unpacked);
	return 0;
}
