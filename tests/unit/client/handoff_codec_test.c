/* handoff_codec_test.c: what a client sends, as the daemon reads it; what a client takes, and what not. */
#include "clients/c/handoff_codec.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/handoff.pb-c.h"
#include "tests/support/failalloc.h"

typedef Modeld__Handoff__Envelope Envelope;

static struct handoff_codec *codec;

static void set_up(void)
{
	cr_assert_eq(handoff_codec_new(&codec), 0);
}

static void tear_down(void)
{
	codec = handoff_codec_free(codec);
}

TestSuite(handoff_codec, .init = set_up, .fini = tear_down);

static Envelope *packed(const struct handoff_request *q)
{
	const uint8_t *data;
	size_t n;
	Envelope *e;

	cr_assert_eq(handoff_codec_pack(codec, q, &data, &n), 0);
	e = modeld__handoff__envelope__unpack(NULL, n, data);
	cr_assert_not_null(e);
	cr_assert_eq(e->seq, q->seq);
	cr_assert_eq((int)e->body_case, (int)q->type);
	return e;
}

static int unpack(const Envelope *e, const struct handoff_answer **a)
{
	size_t n = modeld__handoff__envelope__get_packed_size(e);
	uint8_t *data = malloc(n + 1);
	int r;

	modeld__handoff__envelope__pack(e, data);
	r = handoff_codec_unpack(codec, data, n, a);
	free(data);
	return r;
}

Test(handoff_codec, small_requests)
{
	struct handoff_request q = {.seq = 7, .type = HANDOFF_GET_LIMITS};
	Envelope *e = packed(&q);

	modeld__handoff__envelope__free_unpacked(e, NULL);
	q = (struct handoff_request){.seq = UINT64_MAX, .type = HANDOFF_REGISTER};
	q.registration.size = 4096;
	q.registration.read_only = true;
	e = packed(&q);
	cr_assert_eq(e->register_->size, 4096);
	cr_assert(e->register_->read_only);
	modeld__handoff__envelope__free_unpacked(e, NULL);
	q = (struct handoff_request){.seq = 1, .type = HANDOFF_ALLOCATE, .allocate_size = 1};
	e = packed(&q);
	cr_assert_eq(e->allocate->size, 1);
	modeld__handoff__envelope__free_unpacked(e, NULL);
	q = (struct handoff_request){.seq = 1, .type = HANDOFF_CANCEL, .cancel_of = 3};
	e = packed(&q);
	cr_assert_eq(e->cancel->of, 3);
	modeld__handoff__envelope__free_unpacked(e, NULL);
	q = (struct handoff_request){.seq = 1, .type = HANDOFF_UNREGISTER};
	memcpy(q.unregister, "0123456789abcdef", HANDOFF_TOKEN_BYTES);
	e = packed(&q);
	cr_assert_eq(e->unregister->region.len, HANDOFF_TOKEN_BYTES);
	cr_assert_arr_eq(e->unregister->region.data, q.unregister, HANDOFF_TOKEN_BYTES);
	modeld__handoff__envelope__free_unpacked(e, NULL);
}

Test(handoff_codec, infer)
{
	const int64_t dims[] = {1, 64};
	const struct handoff_tensor inputs[] = {{.name = "in",
							.dtype = DTYPE_F32,
							.rank = 2,
							.dims = dims,
							.region = 3,
							.offset = 128,
							.length = 256},
		{.dtype = DTYPE_U8}};
	const struct handoff_target target = {
		.name = "out", .region = 4, .offset = 1ull << 40, .length = 8};
	const struct handoff_request q = {.seq = 9,
		.type = HANDOFF_INFER,
		.infer = {.model = "digits",
			.inputs = inputs,
			.n_inputs = 2,
			.targets = &target,
			.n_targets = 1,
			.timeout_us = 1000}};
	Envelope *e = packed(&q);

	cr_assert_str_eq(e->infer->model, "digits");
	cr_assert_eq(e->infer->n_inputs, 2);
	cr_assert_str_eq(e->infer->inputs[0]->name, "in");
	cr_assert_eq(e->infer->inputs[0]->n_dims, 2);
	cr_assert_eq(e->infer->inputs[0]->dims[1], 64);
	cr_assert_eq(e->infer->inputs[0]->offset, 128);
	cr_assert_str_eq(e->infer->inputs[1]->name, "");
	cr_assert_eq(e->infer->n_targets, 1);
	cr_assert_eq(e->infer->targets[0]->offset, 1ull << 40);
	cr_assert_eq(e->infer->timeout_us, 1000);
	modeld__handoff__envelope__free_unpacked(e, NULL);
}

Test(handoff_codec, requests_beyond_the_limits)
{
	static struct handoff_tensor inputs[HANDOFF_TENSORS_MAX + 1];
	static char name[HANDOFF_MESSAGE_MAX];
	struct handoff_request q = {.seq = 1,
		.type = HANDOFF_INFER,
		.infer = {.inputs = inputs, .n_inputs = HANDOFF_TENSORS_MAX}};
	const uint8_t *data;
	size_t n;

	cr_assert_eq(handoff_codec_pack(codec, &q, &data, &n), 0);
	q.infer.n_inputs++;
	cr_assert_eq(handoff_codec_pack(codec, &q, &data, &n), -EMSGSIZE);
	q.infer.n_inputs = 0;
	memset(name, 'x', sizeof(name) - 1);
	q.infer.model = name;
	cr_assert_eq(handoff_codec_pack(codec, &q, &data, &n), -EMSGSIZE);
	q.infer.model = name + 16;
	cr_assert_eq(handoff_codec_pack(codec, &q, &data, &n), 0);
	cr_assert_leq(n, HANDOFF_MESSAGE_MAX);
}

Test(handoff_codec, limits_and_unregistered)
{
	Modeld__Handoff__Limits limits = MODELD__HANDOFF__LIMITS__INIT;
	Modeld__Handoff__Unregistered unregistered = MODELD__HANDOFF__UNREGISTERED__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	const struct handoff_answer *a;

	limits.protocol = 1;
	limits.user_bytes = UINT64_MAX;
	limits.busy_poll_us = 5;
	e.seq = 12;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_LIMITS;
	e.limits = &limits;
	cr_assert_eq(unpack(&e, &a), 0);
	cr_assert_eq(a->seq, 12);
	cr_assert_eq((int)a->type, HANDOFF_LIMITS);
	cr_assert_eq(a->limits.user_bytes, UINT64_MAX);
	cr_assert_eq(a->limits.busy_poll_us, 5);
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_UNREGISTERED;
	e.unregistered = &unregistered;
	cr_assert_eq(unpack(&e, &a), 0);
	cr_assert_eq((int)a->type, HANDOFF_UNREGISTERED);
}

Test(handoff_codec, registered)
{
	Modeld__Handoff__Registered r = MODELD__HANDOFF__REGISTERED__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	uint8_t token[HANDOFF_TOKEN_BYTES + 1] = "0123456789abcdef";
	const struct handoff_answer *a;

	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_REGISTERED;
	e.registered = &r;
	r.region.data = token;
	r.region.len = HANDOFF_TOKEN_BYTES;
	r.number = 1;
	r.size = 4096;
	cr_assert_eq(unpack(&e, &a), 0);
	cr_assert_arr_eq(a->registered.token, token, HANDOFF_TOKEN_BYTES);
	r.region.len = HANDOFF_TOKEN_BYTES - 1;
	cr_assert_eq(unpack(&e, &a), -EPROTO, "a token too short");
	r.region.len = HANDOFF_TOKEN_BYTES + 1;
	cr_assert_eq(unpack(&e, &a), -EPROTO, "a token too long");
	r.region.len = HANDOFF_TOKEN_BYTES;
	r.number = 0;
	cr_assert_eq(unpack(&e, &a), -EPROTO, "no number");
	r.number = 1;
	r.size = 0;
	cr_assert_eq(unpack(&e, &a), -EPROTO, "no size");
}

Test(handoff_codec, errors)
{
	Modeld__Handoff__Error error = MODELD__HANDOFF__ERROR__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	const struct handoff_answer *a;

	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_ERROR;
	e.error = &error;
	for (uint32_t code = 1; code <= 16; code++) {
		error.code = code;
		cr_assert_eq(unpack(&e, &a), 0);
		cr_assert_eq((uint32_t)a->error.code, code);
		cr_assert_str_eq(a->error.message, "");
	}
	error.code = 0;
	cr_assert_eq(unpack(&e, &a), -EPROTO);
	error.code = 17;
	cr_assert_eq(unpack(&e, &a), -EPROTO);
}

/* An answer with one output. */
struct inferred {
	Envelope e;
	Modeld__Handoff__Inferred body;
	Modeld__Handoff__Tensor tensor;
	Modeld__Handoff__Tensor *list[HANDOFF_TENSORS_MAX + 1];
	int64_t dims[17];
};

static void inferred_init(struct inferred *x)
{
	*x = (struct inferred){.e = MODELD__HANDOFF__ENVELOPE__INIT,
		.body = MODELD__HANDOFF__INFERRED__INIT,
		.tensor = MODELD__HANDOFF__TENSOR__INIT};
	x->e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_INFERRED;
	x->e.inferred = &x->body;
	x->body.outputs = x->list;
	x->body.n_outputs = 1;
	for (size_t i = 0; i <= HANDOFF_TENSORS_MAX; i++)
		x->list[i] = &x->tensor;
	x->tensor.dtype = DTYPE_F32;
	x->tensor.dims = x->dims;
	x->tensor.n_dims = 1;
	x->dims[0] = 2;
	x->tensor.region = 5;
	x->tensor.offset = 64;
	x->tensor.length = 8;
}

Test(handoff_codec, inferred)
{
	static uint8_t data[8] = "8 bytes";
	struct inferred x;
	const struct handoff_answer *a;

	inferred_init(&x);
	x.body.queue_ns = 1;
	x.body.compute_ns = 2;
	x.body.total_ns = 3;
	cr_assert_eq(unpack(&x.e, &a), 0);
	cr_assert_eq(a->inferred.n_outputs, 1);
	cr_assert_eq(a->inferred.total_ns, 3);
	cr_assert_eq(a->inferred.outputs[0].offset, 64);
	cr_assert_null(a->inferred.outputs[0].data);
	x.tensor.region = 0;
	x.tensor.length = 0;
	x.tensor.data.data = data;
	x.tensor.data.len = 8;
	cr_assert_eq(unpack(&x.e, &a), 0);
	cr_assert_eq(a->inferred.outputs[0].length, 8);
	cr_assert_eq(a->inferred.outputs[0].offset, 0, "nothing for an inline output");
	cr_assert_arr_eq(a->inferred.outputs[0].data, data, 8);
	x.body.n_outputs = 0;
	cr_assert_eq(unpack(&x.e, &a), 0);
	cr_assert_eq(a->inferred.n_outputs, 0);
	x.body.n_outputs = HANDOFF_TENSORS_MAX;
	cr_assert_eq(unpack(&x.e, &a), 0);
	x.body.n_outputs++;
	cr_assert_eq(unpack(&x.e, &a), -EPROTO);
}

static int unpack_changed(void (*change)(struct inferred *x))
{
	const struct handoff_answer *a;
	struct inferred x;

	inferred_init(&x);
	change(&x);
	return unpack(&x.e, &a);
}

static void no_dtype(struct inferred *x)
{
	x->tensor.dtype = 0;
}

static void high_dtype(struct inferred *x)
{
	x->tensor.dtype = DTYPE_MAX_;
}

static void negative(struct inferred *x)
{
	x->dims[0] = -2;
}

static void huge(struct inferred *x)
{
	x->tensor.n_dims = 3;
	x->dims[0] = x->dims[1] = x->dims[2] = INT64_MAX;
}

static void rank_17(struct inferred *x)
{
	x->tensor.n_dims = 17;
	for (size_t i = 0; i < 17; i++)
		x->dims[i] = i == 0 ? 2 : 1;
}

static void rank_16(struct inferred *x)
{
	rank_17(x);
	x->tensor.n_dims = 16;
}

static void too_long(struct inferred *x)
{
	x->tensor.length++;
}

static void too_short(struct inferred *x)
{
	x->tensor.length--;
}

static void both_ways(struct inferred *x)
{
	x->tensor.data.data = (uint8_t *)"12345678";
	x->tensor.data.len = 8;
}

static void bad_bytes(struct inferred *x)
{
	x->tensor.region = 0;
	x->tensor.dtype = DTYPE_BYTES;
	x->dims[0] = 1;
	x->tensor.data.data = (uint8_t *)"\xff\0\0\0abcd";
	x->tensor.data.len = 8;
}

static void bytes_in_region(struct inferred *x)
{
	x->tensor.dtype = DTYPE_BYTES;
}

static void empty(struct inferred *x)
{
	x->tensor.region = 0;
	x->dims[0] = 0;
}

Test(handoff_codec, outputs_that_make_sense_and_others)
{
	cr_assert_eq(unpack_changed(no_dtype), -EPROTO);
	cr_assert_eq(unpack_changed(high_dtype), -EPROTO);
	cr_assert_eq(unpack_changed(negative), -EPROTO);
	cr_assert_eq(unpack_changed(huge), -EPROTO);
	cr_assert_eq(unpack_changed(rank_17), -EPROTO);
	cr_assert_eq(unpack_changed(rank_16), 0);
	cr_assert_eq(unpack_changed(too_long), -EPROTO);
	cr_assert_eq(unpack_changed(too_short), -EPROTO);
	cr_assert_eq(unpack_changed(both_ways), -EPROTO);
	cr_assert_eq(unpack_changed(bad_bytes), -EPROTO);
	cr_assert_eq(unpack_changed(bytes_in_region), 0);
	cr_assert_eq(unpack_changed(empty), 0);
}

Test(handoff_codec, what_is_no_answer)
{
	static uint8_t large[HANDOFF_MESSAGE_MAX + 1];
	Modeld__Handoff__Cancel cancel = MODELD__HANDOFF__CANCEL__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	const struct handoff_answer *a;

	cr_assert_eq(unpack(&e, &a), -EPROTO, "no body");
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_CANCEL;
	e.cancel = &cancel;
	cr_assert_eq(unpack(&e, &a), -EPROTO, "a request");
	cr_assert_eq(handoff_codec_unpack(codec, (const uint8_t *)"\xff\xff", 2, &a), -EPROTO);
	cr_assert_eq(handoff_codec_unpack(codec, large, 0, &a), -EPROTO);
	cr_assert_eq(handoff_codec_unpack(codec, large, sizeof(large), &a), -EPROTO);
}

/* So many fields that their structs would need tens of megabytes. */
Test(handoff_codec, a_record_cannot_make_us_hold_more_than_the_codec)
{
	static uint8_t record[HANDOFF_MESSAGE_MAX];
	size_t n_body = sizeof(record) - 8, n = 0;
	const struct handoff_answer *a;

	record[n++] = 11 << 3 | 2;
	record[n++] = (uint8_t)(n_body | 0x80);
	record[n++] = (uint8_t)(n_body >> 7 | 0x80);
	record[n++] = (uint8_t)(n_body >> 14);
	for (size_t i = 0; i + 1 < n_body; i += 2)
		record[n++] = 1 << 3 | 2, record[n++] = 0;
	cr_assert_eq(handoff_codec_unpack(codec, record, n, &a), -EPROTO);
}

static int steady(void *arg)
{
	_cleanup_(handoff_codec_freep) struct handoff_codec *c = NULL;
	const struct handoff_request q = {.seq = 1, .type = HANDOFF_GET_LIMITS};
	const uint8_t *data;
	size_t n;

	if (handoff_codec_new(&c)) {
		cr_assert_null(c);
		return -1;
	}
	cr_assert_eq(handoff_codec_pack(c, &q, &data, &n), 0, "nothing is allocated after new");
	return 0;
}

Test(handoff_codec_alone, fault_loop)
{
	FAULT_LOOP(steady, NULL);
	cr_assert_null(handoff_codec_free(NULL));
}
