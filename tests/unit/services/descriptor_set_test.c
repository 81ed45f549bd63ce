/* Tests of descriptor_set.c with the descriptors that are built in, and with sets that are none. */
#include "services/descriptor_set.h"

#include <criterion/criterion.h>
#include <string.h>

#include "proto/descriptors.h"

static struct descriptor_file file;

static bool has_symbol(const char *name)
{
	return descriptor_set_symbol(descriptors_data, descriptors_size, name, &file);
}

/* The file says what it is called in its first field. */
static void expect_file(const char *name)
{
	size_t n = strlen(name);

	cr_assert_gt(file.n, n + 2);
	cr_expect_eq(file.data[0], 0x0a);
	cr_expect_eq(file.data[1], n);
	cr_expect_eq(memcmp(file.data + 2, name, n), 0, "%.*s", (int)n, file.data + 2);
}

Test(descriptor_set, files)
{
	cr_assert(descriptor_set_file(
		descriptors_data, descriptors_size, "proto/health.proto", &file));
	expect_file("proto/health.proto");
	cr_expect_not(descriptor_set_file(
		descriptors_data, descriptors_size, "proto/health.prot", &file));
	cr_expect_not(descriptor_set_file(descriptors_data, descriptors_size, "", &file));
	cr_expect_not(
		descriptor_set_file(descriptors_data, descriptors_size, "proto/wire.proto", &file));
}

Test(descriptor_set, symbols)
{
	static const struct {
		const char *name, *file;
	} symbols[] = {
		{"grpc.health.v1.Health", "proto/health.proto"},
		{"grpc.health.v1.Health.Check", "proto/health.proto"},
		{"grpc.health.v1.HealthCheckRequest", "proto/health.proto"},
		{"grpc.health.v1.HealthCheckRequest.service", "proto/health.proto"},
		{"grpc.health.v1.HealthCheckResponse.ServingStatus", "proto/health.proto"},
		{"grpc.health.v1.HealthCheckResponse.NOT_SERVING", "proto/health.proto"},
		{"inference.GRPCInferenceService.ModelInfer", "proto/kserve/grpc_service.proto"},
		{"inference.ModelInferRequest.InferInputTensor", "proto/kserve/grpc_service.proto"},
		{"inference.DataType", "proto/kserve/model_config.proto"},
		{"inference.TYPE_FP32", "proto/kserve/model_config.proto"},
		{"grpc.reflection.v1alpha.ServerReflection", "proto/reflection_v1alpha.proto"},
	};

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		cr_assert(has_symbol(symbols[i].name), "%s", symbols[i].name);
		expect_file(symbols[i].file);
	}
}

Test(descriptor_set, what_is_no_symbol)
{
	static const char *const names[] = {"", ".", "grpc.health.v1", "grpc.health.v1.",
		"grpc.health.v1.Healt", "grpc.health.v1.Healthy", "grpc.health.v1.Health.",
		"grpc.health.v1.Health.Check.x", "Health", ".grpc.health.v1.Health",
		"grpc.health.v1.HealthCheckResponse.ServingStatus.NOT_SERVING"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect_not(has_symbol(names[i]), "%s", names[i]);
}

Test(descriptor_set, messages)
{
	cr_expect(descriptor_set_message(
		descriptors_data, descriptors_size, "grpc.health.v1.HealthCheckRequest"));
	cr_expect(descriptor_set_message(descriptors_data, descriptors_size,
		"inference.ModelInferRequest.InferInputTensor"));
	cr_expect_not(descriptor_set_message(
		descriptors_data, descriptors_size, "grpc.health.v1.Health"));
	cr_expect_not(descriptor_set_message(
		descriptors_data, descriptors_size, "grpc.health.v1.HealthCheckRequest.service"));
}

Test(descriptor_set, what_is_no_set)
{
	static const char set[] = "\x0a\x0a\x0a\x01"
				  "f\x22\x05\x0a\x03"
				  "M\0x";

	cr_expect(descriptor_set_file((const uint8_t *)set, 12, "f", &file));
	cr_expect_not(descriptor_set_symbol((const uint8_t *)set, 12, "M", &file));
	for (size_t n = 0; n < sizeof(set); n++)
		cr_expect_not(descriptor_set_symbol((const uint8_t *)set, n, "M.x", &file));
	cr_expect_not(descriptor_set_symbol(NULL, 0, "M", &file));
}
