/* infer_messages.h: InferRequests to send and InferResponses to look into, for tests. */
#ifndef TESTS_UNIT_SERVICES_INFER_MESSAGES_H
#define TESTS_UNIT_SERVICES_INFER_MESSAGES_H

#include <criterion/criterion.h>

#include "proto/model_worker.pb-c.h"
#include "service_fixture.h"
#include "services/model_worker_service.h"

typedef Remotemedia__ModelRegistry__V1__InferRequest InferRequest;
typedef Remotemedia__ModelRegistry__V1__InferResponse InferResponse;
typedef Remotemedia__ModelRegistry__V1__InferRequest__ParametersEntry Parameter;

#define INPUT(kind)  REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INPUT_TENSOR_##kind
#define OUTPUT(kind) REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_RESPONSE__OUTPUT_TENSOR_##kind

/* A request that can be changed before it is packed: four f32, 16 bytes, of model "m". */
struct ask {
	InferRequest m;
	Remotemedia__ModelRegistry__V1__TensorData data;
	Remotemedia__ModelRegistry__V1__TensorRef ref;
	int32_t shape[20];
	uint8_t bytes[4096];
	Parameter parameters[200];
	Parameter *list[200];
	uint8_t packed[65536 + 4096];
	size_t n;
};

static inline void ask_init(struct ask *a)
{
	remotemedia__model_registry__v1__infer_request__init(&a->m);
	remotemedia__model_registry__v1__tensor_data__init(&a->data);
	remotemedia__model_registry__v1__tensor_ref__init(&a->ref);
	for (size_t i = 0; i < sizeof(a->bytes); i++)
		a->bytes[i] = (uint8_t)(i * 31 + 7);
	a->shape[0] = 4;
	a->data.data.data = a->bytes;
	a->data.data.len = 16;
	a->data.n_shape = 1;
	a->data.shape = a->shape;
	a->data.dtype = (char *)"float32";
	a->m.model_id = (char *)"m";
	a->m.request_id = (char *)"id-7";
	a->m.input_case = INPUT(DATA);
	a->m.tensor_data = &a->data;
	a->m.parameters = a->list;
}

static inline void ask_parameter(struct ask *a, const char *key, const char *value)
{
	Parameter *p = &a->parameters[a->m.n_parameters];

	remotemedia__model_registry__v1__infer_request__parameters_entry__init(p);
	p->key = (char *)key;
	p->value = (char *)value;
	a->list[a->m.n_parameters++] = p;
}

static inline void ask_pack(struct ask *a)
{
	cr_assert_leq(remotemedia__model_registry__v1__infer_request__get_packed_size(&a->m),
		sizeof(a->packed));
	a->n = remotemedia__model_registry__v1__infer_request__pack(&a->m, a->packed);
}

/* Free with infer_response__free_unpacked(). */
static inline InferResponse *read_response(const struct call *c, unsigned i)
{
	InferResponse *m;

	cr_assert_lt(i, c->n_messages);
	m = remotemedia__model_registry__v1__infer_response__unpack(NULL, c->n_sent[i], c->sent[i]);
	cr_assert(m, "the response is no InferResponse");
	return m;
}

static inline void free_response(InferResponse *m)
{
	remotemedia__model_registry__v1__infer_response__free_unpacked(m, NULL);
}

/* NULL: not there. */
static inline const char *metadata(const InferResponse *m, const char *key)
{
	for (size_t i = 0; i < m->n_metadata; i++) {
		if (!strcmp(m->metadata[i]->key, key))
			return m->metadata[i]->value;
	}
	return NULL;
}

#endif
