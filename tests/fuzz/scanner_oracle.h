/*
 * scanner_oracle.h: holds the scanner against protobuf-c: a message that is cut into chunks,
 * scanned (with refusals of memory in between) and put together again has to be what protobuf-c
 * makes of it in one piece. Shared by the fuzzer and the unit test.
 */
#ifndef TESTS_FUZZ_SCANNER_ORACLE_H
#define TESTS_FUZZ_SCANNER_ORACLE_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/model_worker.pb-c.h"
#include "services/scanner.h"

#define ORACLE_TENSOR_MAX (UINT64_C(1) << 24)

typedef Remotemedia__ModelRegistry__V1__InferRequest OracleRequest;
typedef Remotemedia__ModelRegistry__V1__TensorData OracleTensor;

struct oracle {
	uint64_t random;
	uint8_t *tensor; /* own: the last piece */
	uint64_t n_tensor;
	unsigned n_pieces;
};

static inline uint64_t oracle_random(struct oracle *o)
{
	o->random ^= o->random << 13;
	o->random ^= o->random >> 7;
	o->random ^= o->random << 17;
	return o->random;
}

static int oracle_on_tensor(void *data, uint64_t length, uint8_t **ret_target)
{
	struct oracle *o = data;

	if (oracle_random(o) % 4 == 0)
		return SCANNER_E_BLOCKED;
	/* No message of ours is as long: the scanner, not knowing its length, could not tell. */
	if (length > ORACLE_TENSOR_MAX)
		return SCANNER_E_MALFORMED;
	free(o->tensor);
	o->tensor = length > 0 ? malloc(length) : NULL;
	o->n_tensor = length;
	o->n_pieces++;
	*ret_target = o->tensor;
	return 0;
}

/* Scan in random chunks. The scanner's last word. */
static inline int oracle_scan(struct oracle *o, struct scanner *s, const uint8_t *data, size_t n)
{
	bool bytewise = oracle_random(o) % 4 == 0;
	size_t at = 0;

	while (at < n) {
		size_t some = bytewise ? 1 : 1 + oracle_random(o) % (n - at);
		/* A copy of its own, so that reading past the chunk is found out. */
		uint8_t *chunk = malloc(some);
		size_t taken;
		int r;

		memcpy(chunk, data + at, some);
		r = scanner_feed(s, chunk, some, &taken);
		free(chunk);
		if (r != 0 && r != SCANNER_E_BLOCKED)
			return r;
		if (taken > some || (r == 0 && taken != some) || (r && taken == some))
			abort();
		at += taken;
	}
	return 0;
}

static inline const char *oracle_same(const ProtobufCMessage *whole, const ProtobufCMessage *parted)
{
	size_t n = protobuf_c_message_get_packed_size(whole);
	uint8_t *a, *b;
	bool same;

	if (n != protobuf_c_message_get_packed_size(parted))
		return "another size than protobuf-c's";
	a = malloc(n + 1);
	b = malloc(n + 1);
	protobuf_c_message_pack(whole, a);
	protobuf_c_message_pack(parted, b);
	same = !memcmp(a, b, n);
	free(a);
	free(b);
	return same ? NULL : "another content than protobuf-c's";
}

/* Put the tensor where it was taken from. */
static inline void oracle_restore(ProtobufCMessage *m, struct oracle *o)
{
	OracleTensor *t = NULL;

	if (m->descriptor == &remotemedia__model_registry__v1__tensor_data__descriptor) {
		t = (OracleTensor *)m;
	} else if (((OracleRequest *)m)->input_case ==
		   REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INPUT_TENSOR_DATA) {
		t = ((OracleRequest *)m)->tensor_data;
	}
	if (!t)
		return;
	t->data.data = o->tensor;
	t->data.len = o->n_tensor;
	o->tensor = NULL;
}

static inline const char *oracle_compare(struct oracle *o, int r, struct scanner *s,
	const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n)
{
	ProtobufCMessage *whole = protobuf_c_message_unpack(type, NULL, n, data);
	ProtobufCMessage *parted = NULL;
	const char *wrong = NULL;
	const uint8_t *kept;
	size_t n_kept;

	if (r == 0)
		r = scanner_end(s, &kept, &n_kept);
	if (r == 0)
		parted = protobuf_c_message_unpack(type, NULL, n_kept, kept);
	if (parted)
		oracle_restore(parted, o);
	if (r != 0 && r != SCANNER_E_MALFORMED && r != SCANNER_E_REPEATED)
		wrong = "an unexpected error";
	else if (parted && !whole)
		wrong = "taken, though protobuf-c refuses it";
	else if (!parted && whole && r != SCANNER_E_REPEATED)
		wrong = "refused, though protobuf-c takes it";
	else if (parted)
		wrong = oracle_same(whole, parted);
	if (!wrong && s->copied_bytes != s->tensor_bytes)
		wrong = "tensor bytes that were not copied once";
	if (whole)
		protobuf_c_message_free_unpacked(whole, NULL);
	if (parted)
		protobuf_c_message_free_unpacked(parted, NULL);
	return wrong;
}

/* NULL, or what is wrong. `known`: the scanner is told the length. */
static inline const char *oracle_check(const struct scanner_table *table,
	const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n, uint64_t seed,
	bool known)
{
	struct oracle o = {.random = seed | 1};
	struct scanner s;
	const char *wrong;
	int r;

	/* Room for what the padded length adds. */
	scanner_init(&s, table, n + 8, oracle_on_tensor, &o);
	scanner_begin(&s, known ? n : UINT64_MAX);
	r = oracle_scan(&o, &s, data, n);
	wrong = oracle_compare(&o, r, &s, type, data, n);
	scanner_deinit(&s);
	free(o.tensor);
	return wrong;
}

#endif
