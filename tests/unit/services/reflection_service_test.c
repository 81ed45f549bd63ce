/* Tests of reflection_service.c: an answer for each question, and none that nobody reads. */
#include "services/reflection_service.h"

#include <criterion/criterion.h>

#include "proto/reflection.pb-c.h"
#include "service_fixture.h"
#include "tests/support/failalloc.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Question;
typedef Grpc__Reflection__V1__ServerReflectionResponse Answer;

#define ASK(case_) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##case_
#define IS(case_)  GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##case_

static struct fixture f;
static struct call call;
static uint8_t packed[8192];

static void set_up(void)
{
	fixture_init(&f);
	double_call_open(&call, fixture_method(&reflection_service, "ServerReflectionInfo"),
		&f.services, &f.client);
}

static void tear_down(void)
{
	double_call_free(&call);
	fixture_deinit(&f);
}

TestSuite(reflection, .init = set_up, .fini = tear_down);

static bool ask_it(Question *q)
{
	q->host = (char *)"localhost";
	return double_call_message(
		&call, packed, grpc__reflection__v1__server_reflection_request__pack(q, packed));
}

static void ask_text(int what, const char *text)
{
	Question q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;

	q.message_request_case =
		(Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase)what;
	q.list_services = (char *)text; /* all of them are texts, in one place */
	cr_assert(ask_it(&q));
}

static Answer *answer(unsigned i)
{
	Answer *a;

	cr_assert_lt(i, call.n_messages);
	a = grpc__reflection__v1__server_reflection_response__unpack(
		NULL, call.n_sent[i], call.sent[i]);
	cr_assert_not_null(a);
	cr_expect_str_eq(a->original_request->host, "localhost");
	return a;
}

static void free_answer(Answer *a)
{
	grpc__reflection__v1__server_reflection_response__free_unpacked(a, NULL);
}

static void expect_error(unsigned i, enum grpc_status status)
{
	Answer *a = answer(i);

	cr_assert_eq(a->message_response_case, IS(ERROR_RESPONSE));
	cr_expect_eq(a->error_response->error_code, (int32_t)status);
	free_answer(a);
}

Test(reflection, services)
{
	Answer *a;

	ask_text(ASK(LIST_SERVICES), "*");
	a = answer(0);
	cr_assert_eq(a->message_response_case, IS(LIST_SERVICES_RESPONSE));
	cr_assert_eq(a->list_services_response->n_service, 2);
	cr_expect_str_eq(a->list_services_response->service[0]->name, "grpc.health.v1.Health");
	free_answer(a);
	cr_expect_not(call.closed);
	double_call_half_close(&call);
	cr_expect(call.closed);
	cr_expect_eq(call.status, GRPC_OK);
}

Test(reflection, files)
{
	Answer *a;

	call.chunk = 1;
	ask_text(ASK(FILE_BY_FILENAME), "proto/health.proto");
	ask_text(ASK(FILE_CONTAINING_SYMBOL), "grpc.health.v1.Health.Check");
	for (unsigned i = 0; i < 2; i++) {
		a = answer(i);
		cr_assert_eq(a->message_response_case, IS(FILE_DESCRIPTOR_RESPONSE));
		cr_assert_eq(a->file_descriptor_response->n_file_descriptor_proto, 1);
		cr_expect_eq(memcmp(a->file_descriptor_response->file_descriptor_proto[0].data,
				     "\x0a\x12proto/health.proto", 20),
			0);
		free_answer(a);
	}
	ask_text(ASK(FILE_BY_FILENAME), "nothing");
	expect_error(2, GRPC_NOT_FOUND);
	ask_text(ASK(FILE_CONTAINING_SYMBOL), "nothing");
	expect_error(3, GRPC_NOT_FOUND);
	/* Each counts for more than one message in a turn of the loop. */
	cr_expect_geq(call.work, 4 * 4);
}

Test(reflection, extensions)
{
	Question q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	Grpc__Reflection__V1__ExtensionRequest e = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
	Answer *a;

	ask_text(ASK(ALL_EXTENSION_NUMBERS_OF_TYPE), "grpc.health.v1.HealthCheckRequest");
	a = answer(0);
	cr_assert_eq(a->message_response_case, IS(ALL_EXTENSION_NUMBERS_RESPONSE));
	cr_expect_eq(a->all_extension_numbers_response->n_extension_number, 0);
	free_answer(a);
	ask_text(ASK(ALL_EXTENSION_NUMBERS_OF_TYPE), "grpc.health.v1.Health");
	expect_error(1, GRPC_NOT_FOUND);
	q.message_request_case = ASK(FILE_CONTAINING_EXTENSION);
	q.file_containing_extension = &e;
	cr_assert(ask_it(&q));
	expect_error(2, GRPC_NOT_FOUND);
	ask_text(0, NULL);
	expect_error(3, GRPC_INVALID_ARGUMENT);
}

Test(reflection, who_does_not_read_is_not_read)
{
	call.blocked = true;
	Question q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;

	cr_assert_not(ask_it(&q), "it waits");
	cr_expect_eq(call.n_messages, 0);
	call.method->writable(&call, call.state);
	cr_expect_eq(call.n_resumed, 0);
	call.blocked = false;
	call.method->writable(&call, call.state);
	cr_expect_eq(call.n_resumed, 1);
	cr_expect_eq(call.n_messages, 1);
}

Test(reflection, questions_that_are_none)
{
	double_call_message(&call, (const uint8_t *)"\xff\xff", 2);
	cr_expect_eq(call.status, GRPC_INTERNAL);
	double_call_free(&call);
	double_call_open(&call, fixture_method(&reflection_service, "ServerReflectionInfo"),
		&f.services, &f.client);
	memset(packed, 0x0a, sizeof(packed));
	double_call_message(&call, packed, 5000);
	cr_expect_eq(call.status, GRPC_RESOURCE_EXHAUSTED);
}

Test(reflection, an_empty_one_and_the_end_of_the_server)
{
	double_call_message(&call, packed, 0);
	cr_expect_eq(call.status, GRPC_INVALID_ARGUMENT);
	double_call_free(&call);
	double_call_open(&call, fixture_method(&reflection_v1alpha_service, "ServerReflectionInfo"),
		&f.services, &f.client);
	call.method->drain(&call, call.state);
	cr_expect_eq(call.status, GRPC_UNAVAILABLE);
}

static int ask_once(void *arg)
{
	bool good;

	(void)arg;
	double_call_free(&call);
	double_call_open(&call, fixture_method(&reflection_service, "ServerReflectionInfo"),
		&f.services, &f.client);
	ask_text(ASK(LIST_SERVICES), "*");
	good = !call.closed && call.n_messages == 1;
	double_call_free(&call);
	return good ? 0 : 1;
}

Test(reflection, without_memory)
{
	FAULT_LOOP(ask_once, NULL);
}
