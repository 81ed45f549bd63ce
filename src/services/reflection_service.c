/*
 * reflection_service.c: answers out of the descriptors that are built in. The messages of v1 and v1alpha are the
 * same. An answer is many times as long as its question: none is read while answers wait for the client.
 * Daemon process, loop thread.
 */
#include "services/reflection_service.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "grpc/message.h"
#include "proto/descriptors.h"
#include "proto/reflection.pb-c.h"
#include "proto/reflection_v1alpha.pb-c.h"
#include "services/descriptor_set.h"
#include "services/kserve_small.h"
#include "services/services.h"

#define QUESTION_MAX 4096u
#define MEMORY_MAX   ((size_t)1 << 20)

/* In messages' worth (call_work()): to walk over all descriptors, and so many bytes of one. */
#define WORK_WALK  4u
#define WORK_BYTES ((size_t)4096)

typedef Grpc__Reflection__V1__ServerReflectionRequest Question;
typedef Grpc__Reflection__V1__ServerReflectionResponse Answer;
typedef Grpc__Reflection__V1__ServiceResponse ServiceName;

#define IS(case_)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##case_
#define SAY(case_) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##case_

/* A call. */
struct reflection {
	struct buf question; /* as far as it came */
	bool stalled;	     /* its rest is with the transport */
};

/* What an answer lives in. */
struct parts {
	Grpc__Reflection__V1__FileDescriptorResponse file;
	Grpc__Reflection__V1__ExtensionNumberResponse extensions;
	Grpc__Reflection__V1__ListServiceResponse services;
	Grpc__Reflection__V1__ErrorResponse error;
	ProtobufCBinaryData bytes;
};

/* --- Answers ---------------------------------------------------------------------------------- */

static void say_error(Answer *a, struct parts *p, enum grpc_status status, const char *text)
{
	grpc__reflection__v1__error_response__init(&p->error);
	p->error.error_code = (int32_t)status;
	p->error.error_message = (char *)text;
	a->error_response = &p->error;
	a->message_response_case = SAY(ERROR_RESPONSE);
}

static void say_file(Answer *a, struct parts *p, bool found, const struct descriptor_file *file)
{
	if (!found) {
		say_error(a, p, GRPC_NOT_FOUND, "nothing of that name is served");
		return;
	}
	grpc__reflection__v1__file_descriptor_response__init(&p->file);
	p->bytes = (ProtobufCBinaryData){file->n, (uint8_t *)file->data};
	p->file.file_descriptor_proto = &p->bytes;
	p->file.n_file_descriptor_proto = 1;
	a->file_descriptor_response = &p->file;
	a->message_response_case = SAY(FILE_DESCRIPTOR_RESPONSE);
}

/* There are no extensions. */
static void say_extensions(Answer *a, struct parts *p, const char *type)
{
	if (!descriptor_set_message(descriptors_data, descriptors_size, type)) {
		say_error(a, p, GRPC_NOT_FOUND, "no message of that name is served");
		return;
	}
	grpc__reflection__v1__extension_number_response__init(&p->extensions);
	p->extensions.base_type_name = (char *)type;
	a->all_extension_numbers_response = &p->extensions;
	a->message_response_case = SAY(ALL_EXTENSION_NUMBERS_RESPONSE);
}

static int say_services(
	Answer *a, struct parts *p, const struct services *x, struct message_memory *memory)
{
	size_t n = 0;

	while (x->list[n])
		n++;
	grpc__reflection__v1__list_service_response__init(&p->services);
	p->services.service = kserve_small_array(memory, n, sizeof(ServiceName));
	if (!p->services.service)
		return -1;
	p->services.n_service = n;
	for (size_t i = 0; i < n; i++) {
		grpc__reflection__v1__service_response__init(p->services.service[i]);
		p->services.service[i]->name = (char *)x->list[i]->name;
	}
	a->list_services_response = &p->services;
	a->message_response_case = SAY(LIST_SERVICES_RESPONSE);
	return 0;
}

/* Not 0: no memory. */
static int fill(Answer *a, struct parts *p, const Question *q, const struct services *x,
	struct message_memory *memory)
{
	struct descriptor_file file = {NULL, 0};
	bool found;

	switch (q->message_request_case) {
	case IS(LIST_SERVICES):
		return say_services(a, p, x, memory);
	case IS(FILE_BY_FILENAME):
		found = descriptor_set_file(
			descriptors_data, descriptors_size, q->file_by_filename, &file);
		say_file(a, p, found, &file);
		return 0;
	case IS(FILE_CONTAINING_SYMBOL):
		found = descriptor_set_symbol(
			descriptors_data, descriptors_size, q->file_containing_symbol, &file);
		say_file(a, p, found, &file);
		return 0;
	case IS(ALL_EXTENSION_NUMBERS_OF_TYPE):
		say_extensions(a, p, q->all_extension_numbers_of_type);
		return 0;
	case IS(FILE_CONTAINING_EXTENSION):
		say_error(a, p, GRPC_NOT_FOUND, "there are no extensions");
		return 0;
	default:
		say_error(a, p, GRPC_INVALID_ARGUMENT, "nothing is asked for");
		return 0;
	}
}

static void answer(struct call *c, struct message_memory *memory, Question *q)
{
	Answer a = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
	struct parts parts;

	a.valid_host = q->host;
	a.original_request = q;
	if (fill(&a, &parts, q, call_context(c), memory)) {
		message_no_memory(c);
		return;
	}
	call_work(c, WORK_WALK);
	if (a.message_response_case == SAY(FILE_DESCRIPTOR_RESPONSE))
		call_work(c, parts.bytes.len / WORK_BYTES);
	if (message_send(c, &a.base))
		message_no_memory(c);
}

/* --- The call --------------------------------------------------------------------------------- */

static void open_call(struct call *c, void *state)
{
	(void)c;
	buf_init(&((struct reflection *)state)->question, QUESTION_MAX);
}

static void message_begin(struct call *c, void *state, uint64_t length)
{
	(void)c;
	(void)length;
	buf_reset(&((struct reflection *)state)->question);
}

static size_t message_data(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct reflection *s = state;

	if (call_blocked(c)) {
		s->stalled = true;
		return 0;
	}
	if (buf_append(&s->question, data, n) == 0) {
		call_keep(c, s->question.cap);
		return n;
	}
	call_finishf(c, GRPC_RESOURCE_EXHAUSTED,
		"ServerReflectionRequest is larger than %" PRIu32
		" bytes, or there is no memory for it",
		QUESTION_MAX);
	return n;
}

static void message_end(struct call *c, void *state)
{
	struct reflection *s = state;
	struct message_memory memory;
	Question *q;

	/* No byte of it could be left with the transport. */
	if (s->question.len == 0) {
		call_finish(c, GRPC_INVALID_ARGUMENT, "empty ServerReflectionRequest");
		return;
	}
	message_memory_init(&memory, MEMORY_MAX);
	q = message_read(c, &memory, &grpc__reflection__v1__server_reflection_request__descriptor,
		s->question.data, s->question.len);
	if (q)
		answer(c, &memory, q);
	message_memory_deinit(&memory);
}

static void half_close(struct call *c, void *state)
{
	(void)state;
	call_finish(c, GRPC_OK, NULL);
}

static void writable(struct call *c, void *state)
{
	struct reflection *s = state;

	if (!s->stalled || call_blocked(c))
		return;
	s->stalled = false;
	call_resume(c);
}

/* It has begun nothing that would be lost. */
static void drain(struct call *c, void *state)
{
	(void)state;
	call_finish(c, GRPC_UNAVAILABLE, "modeld is shutting down");
}

static void close_call(struct call *c, void *state)
{
	(void)c;
	buf_deinit(&((struct reflection *)state)->question);
}

#define METHOD(path_)                                                                              \
	{                                                                                          \
		.path = (path_), .client_streaming = true, .server_streaming = true,               \
		.state_bytes = sizeof(struct reflection), .open = open_call,                       \
		.message_begin = message_begin, .message_data = message_data,                      \
		.message_end = message_end, .half_close = half_close, .writable = writable,        \
		.drain = drain, .close = close_call                                                \
	}

static const struct method v1_methods[] = {
	METHOD("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
	{.path = NULL},
};
static const struct method v1alpha_methods[] = {
	METHOD("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
	{.path = NULL},
};

const struct service reflection_service = {
	.name = "grpc.reflection.v1.ServerReflection",
	.methods = v1_methods,
	.descriptor = &grpc__reflection__v1__server_reflection__descriptor,
};

const struct service reflection_v1alpha_service = {
	.name = "grpc.reflection.v1alpha.ServerReflection",
	.methods = v1alpha_methods,
	.descriptor = &grpc__reflection__v1alpha__server_reflection__descriptor,
};
