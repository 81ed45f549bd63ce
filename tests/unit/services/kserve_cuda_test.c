/* Tests of kserve_cuda.c: who is asked of a handle, what the caller is told, and when it is forgotten. */
#include "services/kserve_cuda.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <unistd.h>

#include "kserve_messages.h"

static struct fixture f;
static struct call call;

static void set_up(void)
{
	fixture_init(&f);
	f.services.keys.cuda_allowed = CLIENT_SHM_LOCAL;
	f.dispatch.pool.workers[0].device = "cpu:0";
	f.dispatch.pool.workers[1].device = "cuda:2";
	f.dispatch.pool.n = 2;
	double_device.try_error = 0;
}

static void tear_down(void)
{
	fixture_deinit(&f);
	cr_expect_eq(double_device.region.refs, 0);
}

TestSuite(kserve_cuda, .init = set_up, .fini = tear_down);

static void ask(const char *method, const ProtobufCMessage *m)
{
	static uint8_t packed[1024];

	cr_assert_lt(protobuf_c_message_get_packed_size(m), sizeof(packed));
	double_call_open(&call, fixture_method(&kserve_service, method), &f.services, &f.client);
	call.peer = (struct peer){.uid = getuid(), .user = getuid()};
	double_call_message(&call, packed, protobuf_c_message_pack(m, packed));
}

static void ask_to_register(int64_t device)
{
	static uint8_t handle[64] = {1};
	Inference__CudaSharedMemoryRegisterRequest m =
		INFERENCE__CUDA_SHARED_MEMORY_REGISTER_REQUEST__INIT;

	m.name = (char *)"g";
	m.raw_handle.data = handle;
	m.raw_handle.len = sizeof(handle);
	m.device_id = device;
	m.byte_size = 4096;
	ask("CudaSharedMemoryRegister", &m.base);
}

static void expect_end(enum grpc_status status, const char *text)
{
	cr_expect_eq(call.status, status, "got %s", call.text);
	if (text)
		cr_expect_str_eq(call.text, text);
	double_call_free(&call);
}

static void unregister_all(void)
{
	Inference__CudaSharedMemoryUnregisterRequest m =
		INFERENCE__CUDA_SHARED_MEMORY_UNREGISTER_REQUEST__INIT;

	ask("CudaSharedMemoryUnregister", &m.base);
	expect_end(GRPC_OK, NULL);
}

static void expect_status(const char *name, enum grpc_status status, const char *text)
{
	Inference__CudaSharedMemoryStatusRequest m =
		INFERENCE__CUDA_SHARED_MEMORY_STATUS_REQUEST__INIT;

	m.name = (char *)name;
	ask("CudaSharedMemoryStatus", &m.base);
	expect_end(status, text);
}

Test(kserve_cuda, registered_when_a_worker_has_opened_it)
{
	ask_to_register(2);
	cr_expect_str_eq(double_device.device, "cuda:2");
	cr_expect(double_device.handle[0] == 1 && double_device.size == 4096);
	cr_expect_not(call.closed);
	double_device.on_tried(double_device.data, 0, "");
	expect_end(GRPC_OK, NULL);
	expect_status("g", GRPC_OK, NULL);
	unregister_all();
	expect_status("g", GRPC_NOT_FOUND, "Unable to find cuda shared memory region: 'g'");
}

Test(kserve_cuda, what_the_worker_says_is_told)
{
	ask_to_register(2);
	double_device.on_tried(double_device.data, -EINVAL, "it is smaller than that");
	expect_end(GRPC_INVALID_ARGUMENT, "failed to register shared memory region 'g': invalid "
					  "args (it is smaller than that)");
	expect_status("g", GRPC_NOT_FOUND, "Unable to find cuda shared memory region: 'g'");
}

Test(kserve_cuda, a_worker_that_ends_says_nothing_of_it)
{
	ask_to_register(2);
	double_device.on_tried(double_device.data, -ENODEV, "its worker has ended");
	expect_end(GRPC_UNAVAILABLE, "failed to register shared memory region 'g': unavailable "
				     "(its worker has ended)");
	expect_status("g", GRPC_NOT_FOUND, "Unable to find cuda shared memory region: 'g'");
}

Test(kserve_cuda, who_goes_meanwhile_has_registered_nothing)
{
	ask_to_register(2);
	cr_expect_eq(double_device.region.refs, 1);
	double_call_free(&call);
	cr_expect_eq(double_device.region.refs, 0);
	expect_status("g", GRPC_NOT_FOUND, "Unable to find cuda shared memory region: 'g'");
}

Test(kserve_cuda, a_gpu_without_a_worker)
{
	ask_to_register(0);
	expect_end(GRPC_INVALID_ARGUMENT, "failed to register shared memory region 'g': invalid "
					  "args (no worker is on GPU 0)");
	ask_to_register(-2);
	expect_end(GRPC_INVALID_ARGUMENT, "failed to register shared memory region 'g': invalid "
					  "args (no worker is on GPU -2)");
}
