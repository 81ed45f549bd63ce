/*
 * kserve_request_fuzz.c: a ModelInferRequest by the scanner and the codec against protobuf-c, for arbitrary
 * bytes cut arbitrarily. The first eight bytes are the seed of the cuts. What we take, protobuf-c takes,
 * too, and finds the same in it; typed contents that can be measured are written within their bytes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/kserve/grpc_service.pb-c.h"
#include "services/kserve_contents.h"
#include "services/kserve_message.h"

#define PIECES_MAX   1024u
#define CONTENTS_MAX (UINT64_C(1) << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef Inference__ModelInferRequest Request;

struct pieces {
	uint64_t random;
	uint8_t *data[PIECES_MAX]; /* own */
	uint64_t n[PIECES_MAX];
	size_t count;
};

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "kserve: not so: %s\n", #condition);                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static uint64_t next(struct pieces *p)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return p->random;
}

static int on_tensor(void *arg, uint64_t length, uint8_t **ret_target)
{
	struct pieces *p = arg;

	if (p->count == PIECES_MAX || length > CONTENTS_MAX)
		return -1;
	p->data[p->count] = malloc(length + 1);
	p->n[p->count] = length;
	*ret_target = p->data[p->count++];
	return 0;
}

static int scan(struct scanner *s, struct pieces *p, const uint8_t *data, size_t n)
{
	for (size_t at = 0; at < n;) {
		size_t some = 1 + next(p) % (n - at), taken;

		if (scanner_feed(s, data + at, some, &taken))
			return -1;
		at += taken;
	}
	return 0;
}

static int check_parameters(const struct kserve_entry *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct kserve_parameter p;

		if (kserve_parameter_read(&list[i], &p))
			return -1;
	}
	return 0;
}

static int check_contents(const struct kserve_input *in)
{
	int e = 0;

	for (unsigned d = DTYPE_INVALID; d < DTYPE_MAX_ && e >= 0; d++) {
		const char *type;
		uint64_t bytes;
		uint8_t *to;

		e = kserve_contents_measure(
			in->contents, in->n_contents, (enum dtype)d, &bytes, &type);
		if (e || bytes > CONTENTS_MAX)
			continue;
		to = malloc(bytes);
		kserve_contents_write(in->contents, in->n_contents, (enum dtype)d, to);
		free(to);
	}
	return e < 0 ? -1 : 0;
}

/* What is read later is well-formed, too. */
static int check_rest(const struct kserve_request *m)
{
	int e = check_parameters(m->parameters, m->n_parameters);

	for (size_t i = 0; i < m->n_inputs && !e; i++) {
		e = check_parameters(m->inputs[i].parameters, m->inputs[i].n_parameters);
		if (!e && m->inputs[i].contents)
			e = check_contents(&m->inputs[i]);
	}
	for (size_t i = 0; i < m->n_outputs && !e; i++)
		e = check_parameters(m->outputs[i].parameters, m->outputs[i].n_parameters);
	return e;
}

static void compare(const struct kserve_request *m, const struct pieces *p, const Request *o)
{
	CHECK(!strcmp(m->model_name, o->model_name));
	CHECK(!strcmp(m->model_version, o->model_version));
	CHECK(!strcmp(m->id, o->id));
	CHECK(m->n_inputs == o->n_inputs && m->n_outputs == o->n_outputs);
	CHECK(m->n_parameters == o->n_parameters);
	for (size_t i = 0; i < m->n_parameters; i++)
		CHECK(!strcmp(m->parameters[i].key, o->parameters[i]->key));
	for (size_t i = 0; i < m->n_inputs; i++) {
		CHECK(!strcmp(m->inputs[i].name, o->inputs[i]->name));
		CHECK(!strcmp(m->inputs[i].datatype, o->inputs[i]->datatype));
		CHECK(m->inputs[i].rank == o->inputs[i]->n_shape);
		for (size_t k = 0; k < m->inputs[i].rank; k++)
			CHECK(m->inputs[i].dims[k] == o->inputs[i]->shape[k]);
	}
	for (size_t i = 0; i < m->n_outputs; i++)
		CHECK(!strcmp(m->outputs[i].name, o->outputs[i]->name));
	CHECK(p->count == o->n_raw_input_contents);
	for (size_t i = 0; i < p->count; i++) {
		CHECK(p->n[i] == o->raw_input_contents[i].len);
		CHECK(p->n[i] == 0 || !memcmp(p->data[i], o->raw_input_contents[i].data, p->n[i]));
	}
}

static void check(
	const uint8_t *kept, size_t n_kept, const struct pieces *p, const uint8_t *data, size_t n)
{
	struct kserve_request_memory memory;
	struct kserve_request m;
	Request *o;

	if (kserve_request_read(kept, n_kept, &memory, &m) == 0 && check_rest(&m) == 0) {
		o = inference__model_infer_request__unpack(NULL, n, data);
		CHECK(o);
		compare(&m, p, o);
		inference__model_infer_request__free_unpacked(o, NULL);
	}
	kserve_request_memory_free(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct pieces p;
	struct scanner s;
	const uint8_t *kept;
	size_t n_kept;

	p.count = 0;
	if (n < sizeof(p.random))
		return 0;
	memcpy(&p.random, data, sizeof(p.random));
	p.random |= 1;
	data += sizeof(p.random);
	n -= sizeof(p.random);
	scanner_init(&s, &kserve_request_scanner, n + 8, on_tensor, &p);
	scanner_begin(&s, next(&p) % 2 ? n : UINT64_MAX);
	if (scan(&s, &p, data, n) == 0 && scanner_end(&s, &kept, &n_kept) == 0)
		check(kept, n_kept, &p, data, n);
	scanner_deinit(&s);
	while (p.count > 0)
		free(p.data[--p.count]);
	return 0;
}
