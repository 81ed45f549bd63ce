/*
 * serve.c: the real daemon with a worker on the GPU, asked by handoff and by gRPC: are the answers right,
 * what does it add to a bare loop of the same kernels and copies, and what does an illegal access cost.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/gpu/check/check.h"
#include "tests/gpu/check/daemon.h"
#include "tests/gpu/check/inline.h"
#include "tests/gpu/check/link.h"

#define LOAD 4 /* threads that call while a worker faults */

/* --- Right answers ------------------------------------------------------------------------ */

static void identity_by_handoff(struct check *c, const struct daemon *d, size_t bytes)
{
	struct link l;
	int r = -1;

	if (link_open(&l, d, "identity", bytes)) {
		check_fill(link_data(&l, 0, false), bytes, (uint32_t)bytes);
		memset(link_data(&l, 0, true), 0, bytes);
		r = link_infer(&l, 0);
		r = r ? r : memcmp(link_data(&l, 0, false), link_data(&l, 0, true), bytes);
	}
	check_true(
		c, r == 0, "identity, %zu bytes by handoff: %s", bytes, r ? l.error.text : "right");
	link_close(&l);
}

static void simple_by_handoff(struct check *c, const struct daemon *d)
{
	struct link l;
	struct modeld_tensor in[2] = {{.name = "INPUT0"}, {.name = "INPUT1"}};
	struct modeld_target out[2] = {{.name = "OUTPUT0"}, {.name = "OUTPUT1"}};
	struct modeld_request request = {
		.model = "simple", .inputs = in, .n_inputs = 2, .targets = out, .n_targets = 2};
	struct modeld_result *result = NULL;
	int r = link_open(&l, d, "simple", 4096) ? 0 : -1;

	for (unsigned i = 0; !r && i < 2; i++) {
		int32_t *x = (int32_t *)link_data(&l, i, false);

		for (int k = 0; k < 48; k++)
			x[k] = (int32_t)(i ? 7 * k : 1000 - k);
		in[i] = (struct modeld_tensor){.name = in[i].name,
			.type = MODELD_I32,
			.rank = 2,
			.dims = {3, 16},
			.region = l.region,
			.offset = link_place(&l, i, false),
			.bytes = 192};
		out[i].region = l.region;
		out[i].offset = link_place(&l, i, true);
		out[i].bytes = 192;
	}
	if (!r)
		r = modeld_infer(l.m, &request, &result, &l.error);
	for (int k = 0; !r && k < 48; k++)
		r = ((int32_t *)link_data(&l, 0, true))[k] != 1000 + 6 * k ||
		    ((int32_t *)link_data(&l, 1, true))[k] != 1000 - 8 * k;
	modeld_result_free(result);
	check_true(c, r == 0, "simple, two inputs and two outputs: %s", r ? l.error.text : "right");
	link_close(&l);
}

/* The example of docs/backends.md: half of what comes. */
static void scale_by_handoff(struct check *c, const struct daemon *d)
{
	struct link l;
	bool right = link_open(&l, d, "scale", 3000 * sizeof(float));
	float *in = right ? (float *)link_data(&l, 0, false) : NULL;
	const float *out = right ? (const float *)link_data(&l, 0, true) : NULL;

	l.type = MODELD_F32;
	l.rank = 2;
	l.dims[0] = 3;
	l.dims[1] = 1000;
	for (int i = 0; right && i < 3000; i++)
		in[i] = (float)(i - 700);
	right = right && link_infer(&l, 0) == 0;
	for (int i = 0; right && i < 3000; i++)
		right = out[i] == (float)(i - 700) * 0.5f;
	check_true(c, right, "a backend of a user's own, by device memory and a stream: %s",
		right ? "right" : l.error.text);
	link_close(&l);
}

/* As workers/backends/cuda/mlp.c, for widths 64, 256, 10. */
static void mlp_reference(const float *row, float *out)
{
	static const unsigned widths[] = {64, 256, 10};
	double in[256], sum[256];

	for (unsigned i = 0; i < widths[0]; i++)
		in[i] = (double)row[i];
	for (unsigned layer = 0; layer < 2; layer++) {
		for (unsigned k = 0; k < widths[layer + 1]; k++) {
			sum[k] = (k % 5) / 8.0;
			for (unsigned i = 0; i < widths[layer]; i++)
				sum[k] += in[i] * (((i * 31 + k * 17 + layer * 7) % 13) / 64.0 -
							  6.0 / 64.0);
			if (layer == 0 && sum[k] < 0)
				sum[k] = 0;
		}
		memcpy(in, sum, sizeof(in));
	}
	for (unsigned k = 0; k < 10; k++)
		out[k] = (float)in[k];
}

/* By the kernel, by cuBLASLt where that is here and there are many rows, as a graph. */
void check_mlp(struct check *c, const struct daemon *d, const char *model, unsigned rows)
{
	struct link l;
	float wanted[10], worst = 0;
	int r = link_open_mlp(&l, d, model, rows) ? 0 : -1;
	const float *in = r ? NULL : (const float *)link_data(&l, 0, false);
	const float *out = r ? NULL : (const float *)link_data(&l, 0, true);

	for (unsigned i = 0; !r && i < rows * 64; i++)
		((float *)link_data(&l, 0, false))[i] = (float)(i % 11) / 10.0f;
	if (!r)
		r = link_infer(&l, 0);
	for (unsigned k = 0; !r && k < rows; k++) {
		mlp_reference(in + (size_t)k * 64, wanted);
		for (unsigned i = 0; i < 10; i++)
			worst = fmaxf(worst, fabsf(out[k * 10 + i] - wanted[i]));
	}
	check_true(c, r == 0 && worst < 1e-3f, "%s, %u rows: %s, off by %g at most", model, rows,
		r ? l.error.text : "right", (double)worst);
	link_close(&l);
}

/* Where there is no library of ONNX Runtime for GPUs, that is said, and no fault. */
static void onnx_by_handoff(struct check *c, const struct daemon *d)
{
	struct link l;
	struct modeld_tensor in[2] = {{.name = "a"}, {.name = "b"}};
	struct modeld_target out[2] = {{.name = "sum"}, {.name = "difference"}};
	struct modeld_request request = {
		.model = "add_sub", .inputs = in, .n_inputs = 2, .targets = out, .n_targets = 2};
	struct modeld_result *result = NULL;
	int r = link_open(&l, d, "add_sub", 4096) ? 0 : -1;

	for (unsigned i = 0; !r && i < 2; i++) {
		for (int k = 0; k < 4; k++)
			((float *)link_data(&l, i, false))[k] = (float)(i ? 2 * k : 10 - k);
		in[i] = (struct modeld_tensor){.name = in[i].name,
			.type = MODELD_F32,
			.rank = 2,
			.dims = {1, 4},
			.region = l.region,
			.offset = link_place(&l, i, false),
			.bytes = 16};
		out[i].region = l.region;
		out[i].offset = link_place(&l, i, true);
		out[i].bytes = 16;
	}
	if (!r)
		r = modeld_infer(l.m, &request, &result, &l.error);
	modeld_result_free(result);
	if (r && (strstr(l.error.text, "load failed") || strstr(l.error.text, "no model"))) {
		check_say(c, "- ONNX Runtime is not tried: %s", l.error.text);
		link_close(&l);
		return;
	}
	for (int k = 0; !r && k < 4; k++)
		r = ((float *)link_data(&l, 0, true))[k] != (float)(10 + k) ||
		    ((float *)link_data(&l, 1, true))[k] != (float)(10 - 3 * k);
	check_true(c, r == 0, "a model of ONNX Runtime: %s", r ? l.error.text : "right");
	link_close(&l);
}

static void identity_inline(struct check *c, const struct daemon *d, size_t bytes)
{
	struct inline_call k;
	bool right = inline_open(&k, d, bytes);

	k.check = true;
	right = right && inline_infer(&k);
	check_true(c, right, "identity, %zu bytes in a gRPC message", bytes);
	inline_close(&k);
}

/* --- What it adds ------------------------------------------------------------------------- */

static void say(struct check *c, const char *what, size_t bytes, const char *unit, double value,
	double base, double wanted)
{
	struct ratio r = {.value = value, .base = base, .wanted = wanted};

	snprintf(r.what, sizeof(r.what), "%s, %zu bytes", what, bytes);
	snprintf(r.unit, sizeof(r.unit), "%s", unit);
	snprintf(r.beside, sizeof(r.beside), "bare loop");
	r.less = !strcmp(unit, "us");
	check_ratio(c, &r);
}

static void measure_identity(struct check *c, const struct daemon *d, size_t bytes)
{
	struct bare *b = bare_new(BARE_IDENTITY, bytes, LINK_DEPTH);
	struct link l;
	struct inline_call k;
	double us = b ? bare_latency_us(b, c) : 0, rate = b ? bare_rate(b, c) : 0;

	bare_free(b);
	if (link_open(&l, d, "identity", bytes)) {
		say(c, "identity by handoff, latency", bytes, "us", link_latency_us(&l, c), us, 0);
		say(c, "identity by handoff, 8 at once", bytes, "/s", link_rate(&l, c), rate,
			bytes == 16 * MIB ? 0.9 : 0);
	}
	link_close(&l);
	if (inline_open(&k, d, bytes))
		say(c, "identity in messages, latency", bytes, "us", inline_latency_us(&k, c), us,
			0);
	inline_close(&k);
}

/* Two workers: what one copies overlaps with what the other does. */
static void measure_together(struct check *c, const struct daemon *d)
{
	struct bare *b = bare_new(BARE_IDENTITY, 16 * MIB, LINK_DEPTH);
	double rate = b ? bare_rate(b, c) : 0;
	struct link l;

	bare_free(b);
	/* Both have to be back after the faults. */
	if (link_open(&l, d, "identity", 16 * MIB) && link_rate(&l, c) > 0)
		say(c, "2 workers, identity by handoff, 8 at once", l.in_bytes, "/s",
			link_rate(&l, c), rate, 0.9);
	link_close(&l);
}

static void measure_mlp(struct check *c, const struct daemon *d)
{
	struct bare *b = bare_new(BARE_MLP, 64 * sizeof(float), LINK_DEPTH);
	double us = b ? bare_latency_us(b, c) : 0, rate = b ? bare_rate(b, c) : 0, served;
	struct link l;

	bare_free(b);
	if (link_open_mlp(&l, d, "mlp", 1)) {
		memset(link_data(&l, 0, false), 0, 2 * LINK_DEPTH * 4096);
		served = link_latency_us(&l, c);
		say(c, "mlp by handoff, 1 row, latency", l.in_bytes, "us", served, us, 0);
		say(c, "mlp by handoff, 1 row, 8 at once", l.in_bytes, "/s", link_rate(&l, c), rate,
			0);
		check_true(c, served > 0 && served - us < 60,
			"modeld adds %.1f us to an mlp of 1 row (at most 60 are wanted)",
			served - us);
	}
	link_close(&l);
}

/* --- Illegal accesses --------------------------------------------------------------------- */

static double fault_ms(struct check *c, const struct daemon *d, const char *model)
{
	struct link fault, identity;
	uint64_t start_ns = clock_ns(), end_ns = start_ns;
	int code = 0, r = -1;

	if (link_open(&fault, d, model, 64) && link_open(&identity, d, "identity", 4096)) {
		memset(link_data(&fault, 0, false), 1, 64);
		check_fill(link_data(&identity, 0, false), 4096, 3);
		memset(link_data(&identity, 0, true), 0, 4096);
		start_ns = clock_ns();
		code = link_infer(&fault, 0);
		r = link_infer(&identity, 0);
		r = r ? r
		      : memcmp(link_data(&identity, 0, false), link_data(&identity, 0, true), 4096);
		end_ns = clock_ns();
	}
	check_true(c, code != 0, "%s: the call fails: %s", model, fault.error.text);
	check_true(c, r == 0, "the next answer is right");
	link_close(&fault);
	link_close(&identity);
	return r ? 0 : (double)(end_ns - start_ns) / 1e6;
}

static void faults(struct check *c, const struct daemon *d)
{
	struct ratio r = {.base = 3000, .wanted = 1, .less = true, .unit = "ms"};

	snprintf(r.what, sizeof(r.what), "illegal access to next right answer, one worker");
	snprintf(r.beside, sizeof(r.beside), "limit");
	r.value = fault_ms(c, d, "fault_once");
	check_ratio(c, &r);
	snprintf(r.what, sizeof(r.what), "the same, where the request is sent again");
	r.wanted = 0;
	r.value = fault_ms(c, d, "fault");
	check_ratio(c, &r);
}

/* Calls of identity while workers fault. */
struct caller {
	const struct daemon *d;
	atomic_bool *stops;
	pthread_t thread;
	unsigned long n, n_failed;
	double slowest_ms;
	struct modeld_error error;
};

static void *call_on(void *arg)
{
	struct caller *k = arg;
	struct link l;

	if (!link_open(&l, k->d, "identity", 100000))
		k->n_failed++;
	while (l.region && !atomic_load(k->stops)) {
		uint64_t start_ns = clock_ns();
		double ms;
		int r;

		check_fill(link_data(&l, 0, false), 1000, (uint32_t)k->n);
		r = link_infer(&l, 0);
		r = r ? r : memcmp(link_data(&l, 0, false), link_data(&l, 0, true), 1000);
		ms = (double)(clock_ns() - start_ns) / 1e6;
		k->slowest_ms = ms > k->slowest_ms ? ms : k->slowest_ms;
		k->n++;
		if (r) {
			k->n_failed++;
			k->error = l.error;
		}
	}
	link_close(&l);
	return NULL;
}

static void faults_under_load(struct check *c, const struct daemon *d)
{
	static struct caller callers[LOAD];
	atomic_bool stops = false;
	unsigned long n = 0, n_failed = 0;
	double slowest_ms = 0;

	for (int i = 0; i < LOAD; i++) {
		callers[i] = (struct caller){.d = d, .stops = &stops};
		pthread_create(&callers[i].thread, NULL, call_on, &callers[i]);
	}
	for (int i = 0; i < 3; i++)
		fault_ms(c, d, "fault_once");
	atomic_store(&stops, true);
	for (int i = 0; i < LOAD; i++) {
		pthread_join(callers[i].thread, NULL);
		n += callers[i].n;
		n_failed += callers[i].n_failed;
		slowest_ms = fmax(slowest_ms, callers[i].slowest_ms);
	}
	check_true(c, n > 0 && n_failed == 0,
		"3 illegal accesses, 2 workers on the GPU: of %lu calls of others %lu failed; the "
		"slowest took %.0f ms %s",
		n, n_failed, slowest_ms, callers[0].error.text);
}

/* The daemon is ready when its start is over, with or without its workers. */
static bool answers(struct check *c, const struct daemon *d)
{
	struct link l;
	int r = link_open(&l, d, "identity", 64) ? link_infer(&l, 0) : -1;

	link_close(&l);
	return check_true(c, r == 0, "a worker is there, %.0f ms after the daemon's start %s",
		d->start_ms, r ? l.error.text : "");
}

static void serve_alone(struct check *c, const struct daemon *d)
{
	static const size_t sizes[] = {0, 1, 4096, 100000, 16 * MIB, 16 * MIB + 1};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		identity_by_handoff(c, d, sizes[i]);
		identity_inline(c, d, sizes[i]);
	}
	simple_by_handoff(c, d);
	scale_by_handoff(c, d);
	check_mlp(c, d, "mlp", 1);
	check_mlp(c, d, "mlp", 32);
	check_mlp(c, d, "mlp_graphs", 3);
	check_mlp(c, d, "mlp_graphs", 3);
	onnx_by_handoff(c, d);
	faults(c, d);
	measure_mlp(c, d);
	measure_identity(c, d, 4);
	measure_identity(c, d, 64 * KIB);
	measure_identity(c, d, MIB);
	measure_identity(c, d, 16 * MIB);
	check_shared(c, d->address);
	check_handed(c, d->handoff);
}

void check_serve(struct check *c)
{
	struct daemon d;

	check_heading(c, "The daemon with a worker on the GPU");
	if (daemon_start(&d, c, "cuda:0", NULL)) {
		if (answers(c, &d))
			serve_alone(c, &d);
		daemon_stop(&d, c);
	}
	check_heading(c, "The daemon with two workers on the GPU");
	if (daemon_start(&d, c, "cuda:0 x2", NULL)) {
		if (answers(c, &d)) {
			faults_under_load(c, &d);
			measure_together(c, &d);
		}
		daemon_stop(&d, c);
	}
}
