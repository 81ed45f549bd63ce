/* json_message_test.c: each kind of field, lists, what is not known. */
#include "clients/modelctl/json_message.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control.pb-c.h"
#include "proto/kserve/grpc_service.pb-c.h"

static void expect(const ProtobufCMessage *m, const char *wanted)
{
	char text[1024] = "";
	struct json j;
	FILE *out = fmemopen(text, sizeof(text), "w");

	cr_assert(out);
	json_init(&j, out);
	j.one_line = true;
	json_message(&j, NULL, m);
	cr_assert_eq(fclose(out), 0);
	cr_expect_str_eq(text, wanted);
}

Test(json_message, a_list_of_numbers_and_a_boolean)
{
	Modeld__Control__V1__TensorStatus m = MODELD__CONTROL__V1__TENSOR_STATUS__INIT;
	int64_t dims[] = {-1, 4};

	m.name = (char *)"x\"y";
	m.dtype = (char *)"f32";
	m.any_shape = true;
	expect(&m.base,
		"{\"name\": \"x\\\"y\", \"dtype\": \"f32\", \"dims\": [], \"any_shape\": true}");
	m.dims = dims;
	m.n_dims = 2;
	expect(&m.base, "{\"name\": \"x\\\"y\", \"dtype\": \"f32\", \"dims\": [-1, 4], "
			"\"any_shape\": true}");
}

Test(json_message, what_is_not_known_is_left_out)
{
	Modeld__Control__V1__GpuStatus m = MODELD__CONTROL__V1__GPU_STATUS__INIT;

	m.busy_percent = m.memory_busy_percent = m.memory_used_bytes = m.power_mw = m.energy_mj =
		-1;
	m.temperature_c = m.sm_clock_mhz = m.memory_clock_mhz = m.ecc_uncorrected = -1;
	m.recovery_action = m.last_xid = -1;
	m.memory_total_bytes = 7;
	m.power_limit_mw = -1;
	expect(&m.base,
		"{\"name\": \"\", \"uuid\": \"\", \"bus\": \"\", \"memory_total_bytes\": 7, "
		"\"xid_errors\": 0}");
}

Test(json_message, messages_within)
{
	Modeld__Control__V1__ServerStatusResponse m =
		MODELD__CONTROL__V1__SERVER_STATUS_RESPONSE__INIT;
	Modeld__Control__V1__TensorStatus tensor = MODELD__CONTROL__V1__TENSOR_STATUS__INIT;
	Modeld__Control__V1__TensorStatus *tensors[] = {&tensor, &tensor};
	Modeld__Control__V1__ModelStatus model = MODELD__CONTROL__V1__MODEL_STATUS__INIT;
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	struct json j;

	cr_assert(out);
	model.inputs = tensors;
	model.n_inputs = 2;
	m.models = (Modeld__Control__V1__ModelStatus *[]){&model};
	m.n_models = 1;
	m.average_latency_ms = 1.5;
	m.stalls = UINT64_MAX;
	m.pid = UINT32_MAX;
	json_init(&j, out);
	j.one_line = true;
	json_message(&j, NULL, &m.base);
	json_end(&j);
	cr_assert_eq(fclose(out), 0);
	cr_expect(strstr(text, "\"average_latency_ms\": 1.5,"));
	cr_expect(strstr(text, "\"stalls\": 18446744073709551615"));
	cr_expect(strstr(text, "\"pid\": 4294967295,"));
	cr_expect(strstr(text, "\"workers\": []"));
	cr_expect(strstr(text, "\"inputs\": [{\"name\": \"\", \"dtype\": \"\", \"dims\": [], "
			       "\"any_shape\": false}, {\"name\""));
	free(text);
}

Test(json_message, enums_and_what_is_chosen_of_several)
{
	Inference__ModelVersionPolicy m = INFERENCE__MODEL_VERSION_POLICY__INIT;
	Inference__ModelVersionPolicy__Latest latest =
		INFERENCE__MODEL_VERSION_POLICY__LATEST__INIT;
	Inference__ModelOutput output = INFERENCE__MODEL_OUTPUT__INIT;
	char text[512] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct json j;

	latest.num_versions = 3;
	m.latest = &latest;
	m.policy_choice_case = INFERENCE__MODEL_VERSION_POLICY__POLICY_CHOICE_LATEST;
	expect(&m.base, "{\"latest\": {\"num_versions\": 3}}");
	m.policy_choice_case = INFERENCE__MODEL_VERSION_POLICY__POLICY_CHOICE__NOT_SET;
	expect(&m.base, "{}");
	output.data_type = INFERENCE__DATA_TYPE__TYPE_FP32;
	json_init(&j, out);
	json_message(&j, NULL, &output.base);
	cr_assert_eq(fclose(out), 0);
	cr_expect(strstr(text, "\"data_type\": \"TYPE_FP32\""), "%s", text);
}

Test(json_message, maps)
{
	Inference__SystemSharedMemoryStatusResponse m =
		INFERENCE__SYSTEM_SHARED_MEMORY_STATUS_RESPONSE__INIT;
	Inference__SystemSharedMemoryStatusResponse__RegionsEntry entry =
		INFERENCE__SYSTEM_SHARED_MEMORY_STATUS_RESPONSE__REGIONS_ENTRY__INIT;
	Inference__SystemSharedMemoryStatusResponse__RegionsEntry *entries[] = {&entry};
	Inference__SystemSharedMemoryStatusResponse__RegionStatus status =
		INFERENCE__SYSTEM_SHARED_MEMORY_STATUS_RESPONSE__REGION_STATUS__INIT;

	expect(&m.base, "{\"regions\": {}}");
	entry.key = (char *)"a";
	entry.value = &status;
	m.regions = entries;
	m.n_regions = 1;
	expect(&m.base, "{\"regions\": {\"a\": {\"name\": \"\", \"key\": \"\", \"offset\": 0, "
			"\"byte_size\": 0}}}");
}
