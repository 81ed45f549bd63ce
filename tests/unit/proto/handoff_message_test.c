/* handoff_message_test.c: what a client sends, as the daemon reads it; what a client takes, and what not. */
#include "proto/handoff_message.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/handoff.pb-c.h"
#include "proto/handoff_message_private.h"
#include "tests/fuzz/codec_oracle.h"
#include "tests/support/failalloc.h"

typedef Modeld__Handoff__Envelope Envelope;

static struct handoff_scratch *scratch;

static void set_up(void)
{
	cr_assert_eq(handoff_scratch_new(&scratch), 0);
}

static void tear_down(void)
{
	scratch = handoff_scratch_free(scratch);
}

TestSuite(handoff_message, .init = set_up, .fini = tear_down);

static Envelope *packed(const struct handoff_message *q)
{
	const uint8_t *data;
	size_t n;
	Envelope *e;

	cr_assert_eq(handoff_pack(scratch, q, &data, &n), 0);
	e = modeld__handoff__envelope__unpack(NULL, n, data);
	cr_assert_not_null(e);
	cr_assert_eq(e->seq, q->seq);
	cr_assert_eq((int)e->body_case, (int)q->type);
	return e;
}

static int unpack(const Envelope *e, const struct handoff_message **a)
{
	static uint8_t *record; /* tokens and data lie in it */
	size_t n = modeld__handoff__envelope__get_packed_size(e);

	free(record);
	record = malloc(n + 1);
	cr_assert_not_null(record);
	modeld__handoff__envelope__pack(e, record);
	return handoff_unpack_answer(scratch, record, n, a);
}

Test(handoff_message, small_requests)
{
	struct handoff_message q = {.seq = 7, .type = HANDOFF_GET_LIMITS};
	Envelope *e = packed(&q);

	modeld__handoff__envelope__free_unpacked(e, NULL);
	q = (struct handoff_message){.seq = UINT64_MAX, .type = HANDOFF_REGISTER};
	q.registration.size = 4096;
	q.registration.read_only = true;
	e = packed(&q);
	cr_assert_eq(e->register_->size, 4096);
	cr_assert(e->register_->read_only);
	modeld__handoff__envelope__free_unpacked(e, NULL);
	q = (struct handoff_message){.seq = 1, .type = HANDOFF_ALLOCATE, .allocate.size = 1};
	e = packed(&q);
	cr_assert_eq(e->allocate->size, 1);
	modeld__handoff__envelope__free_unpacked(e, NULL);
	q = (struct handoff_message){.seq = 1, .type = HANDOFF_CANCEL, .cancel.of = 3};
	e = packed(&q);
	cr_assert_eq(e->cancel->of, 3);
	modeld__handoff__envelope__free_unpacked(e, NULL);
	q = (struct handoff_message){.seq = 1, .type = HANDOFF_UNREGISTER};
	q.unregister.token = (const uint8_t *)"0123456789abcdef";
	q.unregister.n_token = HANDOFF_TOKEN_BYTES;
	e = packed(&q);
	cr_assert_eq(e->unregister->region.len, HANDOFF_TOKEN_BYTES);
	cr_assert_arr_eq(e->unregister->region.data, q.unregister.token, HANDOFF_TOKEN_BYTES);
	modeld__handoff__envelope__free_unpacked(e, NULL);
}

Test(handoff_message, infer)
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
	const struct handoff_message q = {.seq = 9,
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

Test(handoff_message, records_beyond_the_limit)
{
	static struct handoff_tensor outputs[HANDOFF_TENSORS_MAX + 1];
	static char name[HANDOFF_MESSAGE_MAX];
	struct handoff_message m = {.seq = 1, .type = HANDOFF_INFER};
	const uint8_t *data;
	size_t n;

	memset(name, 'x', sizeof(name) - 1);
	m.infer.model = name;
	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), -EMSGSIZE);
	m.infer.model = name + 16;
	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), 0);
	cr_assert_leq(n, HANDOFF_MESSAGE_MAX);
	for (size_t i = 0; i <= HANDOFF_TENSORS_MAX; i++)
		outputs[i].dtype = DTYPE_U8;
	m = (struct handoff_message){.seq = 1, .type = HANDOFF_INFERRED};
	m.inferred.outputs = outputs;
	m.inferred.n_outputs = HANDOFF_TENSORS_MAX;
	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), 0);
	m.inferred.n_outputs++;
	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), -EMSGSIZE);
}

Test(handoff_message, answers_that_a_client_would_refuse_are_not_sent)
{
	struct handoff_tensor output = {
		.dtype = DTYPE_U8, .region = 1, .data = (const uint8_t *)"x", .n_data = 1};
	struct handoff_message m = {.type = HANDOFF_ERROR};
	const uint8_t *data;
	size_t n;

	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), -EINVAL);
	m.error.code = GRPC_UNAUTHENTICATED + 1;
	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), -EINVAL);
	m = (struct handoff_message){.type = HANDOFF_REGISTERED};
	m.registered = (struct handoff_registered){(const uint8_t *)"short", 5, 1, 1};
	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), -EINVAL);
	m = (struct handoff_message){.type = HANDOFF_INFERRED, .inferred = {&output, 1}};
	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), -EINVAL);
	output.region = 0;
	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), 0);
	m.type = (enum handoff_type)1;
	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), -EINVAL);
	m.type = (enum handoff_type)(HANDOFF_ERROR + 1);
	cr_assert_eq(handoff_pack(scratch, &m, &data, &n), -EINVAL);
}

Test(handoff_message, limits_and_unregistered)
{
	Modeld__Handoff__Limits limits = MODELD__HANDOFF__LIMITS__INIT;
	Modeld__Handoff__Unregistered unregistered = MODELD__HANDOFF__UNREGISTERED__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	const struct handoff_message *a;

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

Test(handoff_message, registered)
{
	Modeld__Handoff__Registered r = MODELD__HANDOFF__REGISTERED__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	uint8_t token[HANDOFF_TOKEN_BYTES + 1] = "0123456789abcdef";
	const struct handoff_message *a;

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

Test(handoff_message, errors)
{
	Modeld__Handoff__Error error = MODELD__HANDOFF__ERROR__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	const struct handoff_message *a;

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

Test(handoff_message, inferred)
{
	static uint8_t data[8] = "8 bytes";
	struct inferred x;
	const struct handoff_message *a;

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
	cr_assert_eq(a->inferred.outputs[0].n_data, 8);
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
	const struct handoff_message *a;
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

static void both_ways(struct inferred *x)
{
	x->tensor.data.data = (uint8_t *)"12345678";
	x->tensor.data.len = 8;
}

Test(handoff_message, outputs_that_make_sense_and_others)
{
	cr_assert_eq(unpack_changed(no_dtype), -EPROTO);
	cr_assert_eq(unpack_changed(high_dtype), -EPROTO);
	cr_assert_eq(unpack_changed(negative), -EPROTO);
	cr_assert_eq(unpack_changed(rank_17), -EPROTO);
	cr_assert_eq(unpack_changed(rank_16), 0);
	cr_assert_eq(unpack_changed(both_ways), -EPROTO);
}

Test(handoff_message, what_is_no_answer)
{
	static uint8_t large[HANDOFF_MESSAGE_MAX + 1];
	Modeld__Handoff__Cancel cancel = MODELD__HANDOFF__CANCEL__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	const struct handoff_message *a;

	cr_assert_eq(unpack(&e, &a), -EPROTO, "no body");
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_CANCEL;
	e.cancel = &cancel;
	cr_assert_eq(unpack(&e, &a), -EPROTO, "a request");
	cr_assert_eq(handoff_unpack_answer(scratch, (const uint8_t *)"\xff\xff", 2, &a), -EPROTO);
	cr_assert_eq(handoff_unpack_answer(scratch, large, 0, &a), -EPROTO);
	cr_assert_eq(handoff_unpack_answer(scratch, large, sizeof(large), &a), -EPROTO);
}

/* So many fields that their structs would need tens of megabytes. */
Test(handoff_message, a_record_cannot_make_us_hold_more)
{
	static uint8_t record[HANDOFF_MESSAGE_MAX];
	size_t n_body = sizeof(record) - 8, n = 0;
	const struct handoff_message *a;

	record[n++] = 11 << 3 | 2;
	record[n++] = (uint8_t)(n_body | 0x80);
	record[n++] = (uint8_t)(n_body >> 7 | 0x80);
	record[n++] = (uint8_t)(n_body >> 14);
	for (size_t i = 0; i + 1 < n_body; i += 2)
		record[n++] = 1 << 3 | 2, record[n++] = 0;
	cr_assert_eq(handoff_unpack_answer(scratch, record, n, &a), -EPROTO);
}

static int steady(void *arg)
{
	_cleanup_(handoff_scratch_freep) struct handoff_scratch *c = NULL;
	const struct handoff_message q = {.seq = 1, .type = HANDOFF_GET_LIMITS};
	const uint8_t *data;
	size_t n;

	if (handoff_scratch_new(&c)) {
		cr_assert_null(c);
		return -1;
	}
	cr_assert_eq(handoff_pack(c, &q, &data, &n), 0, "nothing is allocated after new");
	return 0;
}

Test(handoff_message_alone, fault_loop)
{
	FAULT_LOOP(steady, NULL);
	cr_assert_null(handoff_scratch_free(NULL));
}

/* --- Requests, as the daemon takes them ------------------------------------------------------- */

static int unpack_request(const Envelope *e, const struct handoff_message **m)
{
	static uint8_t *record;
	size_t n = modeld__handoff__envelope__get_packed_size(e);

	free(record);
	record = malloc(n + 1);
	cr_assert_not_null(record);
	modeld__handoff__envelope__pack(e, record);
	return handoff_unpack_request(scratch, record, n, m);
}

Test(handoff_message, a_request_is_as_the_client_gave_it)
{
	Modeld__Handoff__Infer infer = MODELD__HANDOFF__INFER__INIT;
	Modeld__Handoff__Tensor input = MODELD__HANDOFF__TENSOR__INIT, *inputs[100];
	Modeld__Handoff__Parameter pair = MODELD__HANDOFF__PARAMETER__INIT, *pairs = &pair;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	char *outputs[] = {(char *)"a", (char *)""};
	int64_t dims[17] = {-5, INT64_MIN, INT64_MAX};
	const struct handoff_message *m;

	e.seq = 77;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_INFER;
	e.infer = &infer;
	for (size_t i = 0; i < 100; i++)
		inputs[i] = &input;
	input.name = (char *)"x";
	input.dtype = UINT32_MAX;
	input.dims = dims;
	input.n_dims = 17;
	input.length = UINT64_MAX;
	infer.inputs = inputs;
	infer.n_inputs = 100;
	infer.outputs = outputs;
	infer.n_outputs = 2;
	pair.key = (char *)"k";
	infer.parameters = &pairs;
	infer.n_parameters = 1;
	infer.timeout_us = 5;
	cr_assert_eq(unpack_request(&e, &m), 0);
	cr_assert_eq(m->seq, 77);
	cr_assert_eq(m->type, HANDOFF_INFER);
	cr_assert_eq(m->infer.n_inputs, 100);
	cr_assert_eq((uint32_t)m->infer.inputs[99].dtype, UINT32_MAX);
	cr_assert_eq(m->infer.inputs[99].rank, 17);
	cr_assert_arr_eq(m->infer.inputs[99].dims, dims, sizeof(dims));
	cr_assert_eq(m->infer.inputs[99].length, UINT64_MAX);
	cr_assert_str_eq(m->infer.inputs[99].name, "x");
	cr_assert_eq(m->infer.n_outputs, 2);
	cr_assert_str_eq(m->infer.outputs[0], "a");
	cr_assert_str_eq(m->infer.outputs[1], "");
	cr_assert_str_eq(m->infer.parameters[0].key, "k");
	cr_assert_str_eq(m->infer.parameters[0].value, "");
	cr_assert_str_eq(m->infer.model, "");
	cr_assert_eq(m->infer.timeout_us, 5);
}

Test(handoff_message, an_answer_is_no_request)
{
	Modeld__Handoff__Unregistered body = MODELD__HANDOFF__UNREGISTERED__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	const struct handoff_message *m;

	cr_assert_eq(unpack_request(&e, &m), -EPROTO, "no body");
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_UNREGISTERED;
	e.unregistered = &body;
	cr_assert_eq(unpack_request(&e, &m), -EPROTO);
}

/* --- Against protobuf-c ----------------------------------------------------------------------- */

static const int64_t some_dims[] = {1, 3, 224};
static const struct handoff_tensor some_tensors[] = {
	{"in", DTYPE_F32, 3, some_dims, 5, 64, 602112, NULL, 0},
	{"", DTYPE_U8, 0, NULL, 0, 0, 0, NULL, 0},
};
static const struct handoff_tensor some_outputs[] = {
	{"out", DTYPE_F32, 3, some_dims, 5, 64, 602112, NULL, 0},
	{"o", DTYPE_U8, 1, some_dims, 0, 0, 1, (const uint8_t *)"\0", 1},
};
static const struct handoff_target some_targets[] = {{"out", 5, 128, 256}, {"", 1, 0, 0}};
static const struct handoff_pair some_pairs[] = {{"key", "value"}, {"", ""}};
static const char *const some_names[] = {"out", ""};
static const struct handoff_registered some_room = {
	(const uint8_t *)"0123456789abcdef", 16, 2, 8192};
static const struct handoff_message some[] = {
	{7, HANDOFF_GET_LIMITS, {.limits = {0}}},
	{0, HANDOFF_REGISTER, {.registration = {4096, true}}},
	{1, HANDOFF_ALLOCATE, {.allocate = {UINT64_MAX}}},
	{2, HANDOFF_UNREGISTER, {.unregister = {(const uint8_t *)"0123456789abcdef", 16}}},
	{UINT64_MAX, HANDOFF_INFER,
		{.infer = {"digits", some_tensors, 2, some_targets, 2, some_names, 2, 1000000,
			 some_pairs, 2, true}}},
	{9, HANDOFF_CANCEL, {.cancel = {7}}},
	{7, HANDOFF_LIMITS, {.limits = {1, 2, 3, 4, 5, 6, 7, 65536, 64, 20}}},
	{3, HANDOFF_REGISTERED, {.registered = {(const uint8_t *)"0123456789abcdef", 16, 1, 4096}}},
	{2, HANDOFF_UNREGISTERED, {.limits = {0}}},
	{9, HANDOFF_INFERRED,
		{.inferred = {some_outputs, 2, 1, 2, 300, 4, "cpu:0/0", &some_room, 1}}},
	{9, HANDOFF_INFERRED, {.inferred = {some_outputs, 2, .worker = "cpu:0/0", .more = true}}},
	{9, HANDOFF_ERROR, {.error = {GRPC_CANCELLED, "cancelled"}}},
	{9, HANDOFF_ERROR, {.error = {GRPC_FAILED_PRECONDITION, "no room", some_outputs, 1}}},
};

Test(handoff_message, room_and_sizes)
{
	const struct handoff_message *m;
	const uint8_t *data;
	size_t n;
	struct handoff_registered room = some_room;
	struct handoff_message given = {.seq = 1, .type = HANDOFF_INFERRED};

	given.inferred = (struct handoff_inferred){
		.outputs = some_outputs, .n_outputs = 1, .room = &room, .n_room = 1};
	cr_assert_eq(handoff_pack(scratch, &given, &data, &n), 0);
	cr_assert_eq(handoff_unpack_answer(scratch, data, n, &m), 0);
	cr_assert_eq(m->inferred.n_room, 1);
	cr_expect_eq(m->inferred.room->number, 2);
	cr_expect_eq(m->inferred.room->size, 8192);
	cr_expect_eq(m->inferred.room->n_token, HANDOFF_TOKEN_BYTES);
	cr_expect_not(m->inferred.more);
	room.number = 0;
	cr_expect_eq(handoff_pack(scratch, &given, &data, &n), -EINVAL, "a region has a number");
	given.type = HANDOFF_ERROR;
	given.error = (struct handoff_error){GRPC_FAILED_PRECONDITION, "no room", some_outputs, 2};
	cr_assert_eq(handoff_pack(scratch, &given, &data, &n), 0);
	cr_assert_eq(handoff_unpack_answer(scratch, data, n, &m), 0);
	cr_assert_eq(m->error.n_outputs, 2);
	cr_expect_str_eq(m->error.outputs[0].name, "out");
	cr_expect_eq(m->error.outputs[0].length, 602112);
}

Test(handoff_message, answers_in_part)
{
	const struct handoff_message *m;
	const uint8_t *data;
	size_t n;
	struct handoff_message given = {
		.seq = 1, .type = HANDOFF_INFER, .infer = {.model = "m", .partial = true}};

	cr_assert_eq(handoff_pack(scratch, &given, &data, &n), 0);
	cr_assert_eq(handoff_unpack_request(scratch, data, n, &m), 0);
	cr_expect(m->infer.partial);
	cr_expect_not(m->infer.make_room);
	given.type = HANDOFF_INFERRED;
	given.inferred = (struct handoff_inferred){.more = true};
	cr_assert_eq(handoff_pack(scratch, &given, &data, &n), 0);
	cr_assert_eq(handoff_unpack_answer(scratch, data, n, &m), 0);
	cr_expect(m->inferred.more);
}

Test(handoff_message, agrees_with_protobuf_on_mutants)
{
	static uint8_t copy[4096];
	unsigned int n_taken = 0;
	uint32_t state = 1;

	for (unsigned int round = 0; round < 20000; round++) {
		const struct handoff_message *m = &some[round % (sizeof(some) / sizeof(some[0]))];
		const uint8_t *data;
		size_t n;

		cr_assert_eq(handoff_pack(scratch, m, &data, &n), 0);
		cr_assert_leq(n, sizeof(copy));
		memcpy(copy, data, n);
		for (unsigned int i = 0; i < round % 4; i++) {
			state = state * 1664525 + 1013904223;
			copy[(state >> 8) % n] ^= (uint8_t)(1u << (state >> 29));
		}
		n_taken += oracle_check(
			&handoff_envelope_table, &modeld__handoff__envelope__descriptor, copy, n);
	}
	cr_assert_gt(n_taken, 6000);
	cr_assert_lt(n_taken, 19000);
}
