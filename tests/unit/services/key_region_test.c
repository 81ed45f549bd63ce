/* Tests of key_region.c: who may register what, and Triton's words for what cannot be. */
#include "services/key_region.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/peer.h"
#include "dispatch/region.h"
#include "key_object.h"
#include "tests/support/failalloc.h"

#define SIZE 8192u

static struct key_regions regions;
static struct key_object object;
static struct infer_failure failure;
static struct peer me, stranger;

static void set_up(void)
{
	key_object_make(&object, "region", SIZE);
	key_regions_init(&regions, CLIENT_SHM_LOCAL, CLIENT_SHM_OFF, 4);
	me = (struct peer){.uid = getuid(), .user = getuid()};
	stranger = (struct peer){.uid = -1, .user = -1};
}

static void tear_down(void)
{
	key_regions_deinit(&regions);
	infer_failure_deinit(&failure);
	key_object_remove(&object);
}

TestSuite(key_region, .init = set_up, .fini = tear_down);

static int add(const struct peer *p, const char *name)
{
	return key_regions_register(&regions, p, name, object.key, 0, SIZE, &failure);
}

static void expect_failure(enum grpc_status status, const char *text)
{
	cr_expect_eq(failure.status, status, "%s", failure.text);
	cr_expect_str_eq(failure.text, text);
	infer_failure_deinit(&failure);
	failure = (struct infer_failure){0};
}

static struct key_region *find(const struct peer *p, const char *name)
{
	return key_regions_find(&regions, p, name, strlen(name));
}

Test(key_region, registered_and_unregistered)
{
	struct key_region *r;

	cr_assert_eq(add(&me, "a"), 0);
	cr_assert_eq(add(&me, "b"), 0);
	r = find(&me, "a");
	cr_assert_not_null(r);
	cr_expect_str_eq(r->key, object.key);
	cr_expect_eq(r->size, SIZE);
	cr_expect_null(key_regions_find(&regions, &me, "ab", 2));
	cr_expect_eq(add(&me, "a"), INFER_E_FAILED);
	expect_failure(GRPC_ALREADY_EXISTS, "shared memory region 'a' already in manager");
	key_regions_unregister(&regions, &me, "nobody's", KEY_SYSTEM);
	key_regions_unregister(&regions, &me, "a", KEY_SYSTEM);
	cr_expect_null(find(&me, "a"));
	cr_expect_not_null(find(&me, "b"));
	key_regions_unregister(&regions, &me, "", KEY_SYSTEM);
	cr_expect_eq(regions.n, 0);
}

Test(key_region, one_in_use_stays)
{
	struct key_region *r;
	char byte;

	cr_assert_eq(add(&me, "a"), 0);
	r = key_region_ref(find(&me, "a"));
	key_regions_unregister(&regions, &me, "", KEY_SYSTEM);
	cr_expect_null(find(&me, "a"));
	cr_expect_eq(pread(r->fd, &byte, 1, 0), 1);
	cr_assert_eq(add(&me, "a"), 0, "another one of that name");
	key_region_unref(r);
}

Test(key_region, names_are_a_users_own)
{
	struct peer root = {.uid = 0, .user = 0};
	struct peer other = {.uid = 65533, .user = 65533};

	cr_assert_eq(add(&me, "a"), 0);
	cr_expect_null(find(&other, "a"));
	cr_expect_eq(add(&other, "mine"), INFER_E_FAILED, "the object is not his");
	cr_expect_eq(failure.status, GRPC_INTERNAL);
	infer_failure_deinit(&failure);
	failure = (struct infer_failure){0};
	key_regions_unregister(&regions, &other, "", KEY_SYSTEM);
	cr_expect_not_null(find(&me, "a"));
	cr_assert_eq(fchmod(object.fd, 0666), 0);
	cr_expect_eq(add(&other, "a"), 0, "everybody may use it");
	if (getuid() != 0)
		cr_expect_eq(add(&root, "a"), 0);
}

Test(key_region, who_may)
{
	struct peer unknown = {.uid = -1, .user = -1, .loopback = true};

	cr_expect_eq(add(&stranger, "a"), INFER_E_FAILED);
	expect_failure(GRPC_PERMISSION_DENIED,
		"shared memory is registered from this host only ([server] client_shm)");
	cr_expect_eq(add(&unknown, "a"), INFER_E_FAILED);
	expect_failure(GRPC_PERMISSION_DENIED,
		"the kernel does not tell whose connection this is: use the Unix socket");
	regions.allowed = CLIENT_SHM_ANY;
	cr_expect_eq(add(&stranger, "a"), 0);
	cr_expect_null(find(&me, "a"));
	regions.allowed = CLIENT_SHM_OFF;
	cr_expect_eq(add(&me, "b"), INFER_E_FAILED);
	cr_expect_eq(failure.status, GRPC_UNIMPLEMENTED);
}

Test(key_region, keys_are_names_below_dev_shm)
{
	static const char *const bad[] = {
		"/../etc/passwd", "a/b", "..", "/.", "/none-of-that-name"};
	char text[128], longer[KEY_REGION_NAME_MAX + 2] = "";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(key_regions_register(&regions, &me, "a", bad[i], 0, 1, &failure),
			INFER_E_FAILED);
		snprintf(text, sizeof(text), "Unable to open shared memory region: '%s'", bad[i]);
		expect_failure(GRPC_INTERNAL, text);
	}
	memset(longer, 'x', sizeof(longer) - 1);
	cr_expect_eq(
		key_regions_register(&regions, &me, "a", longer, 0, 1, &failure), INFER_E_FAILED);
	infer_failure_deinit(&failure);
	failure = (struct infer_failure){0};
	cr_expect_eq(key_regions_register(&regions, &me, "a",
			     "/"
			     "/",
			     0, 1, &failure),
		INFER_E_FAILED);
	expect_failure(GRPC_INVALID_ARGUMENT,
		"cannot register shared memory region 'a' - invalid shm key '//'");
	cr_expect_eq(key_regions_register(&regions, &me, "a", "/triton_python_backend_shm_region_1",
			     0, 1, &failure),
		INFER_E_FAILED);
	expect_failure(GRPC_INVALID_ARGUMENT,
		"cannot register shared memory region 'a' with key "
		"'/triton_python_backend_shm_region_1' as the key contains the reserved prefix "
		"'triton_python_backend_shm_region_'");
	cr_expect_eq(add(&me, ""), INFER_E_FAILED);
	cr_expect_eq(failure.status, GRPC_INVALID_ARGUMENT);
}

Test(key_region, sizes)
{
	static const struct {
		uint64_t offset, size;
		bool good;
	} sizes[] = {{0, 0, false}, {0, SIZE + 1, false}, {1, SIZE, false}, {SIZE, 0, false},
		{SIZE + 1, 1, false}, {10, UINT64_MAX, false}, {UINT64_MAX - 4095, 8192, false},
		{UINT64_MAX, 1, false}, {10, 64, true}, {SIZE - 1, 1, true}};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int r = key_regions_register(
			&regions, &me, "a", object.key, sizes[i].offset, sizes[i].size, &failure);

		cr_expect_eq(r, sizes[i].good ? 0 : INFER_E_FAILED, "%zu", i);
		if (r)
			expect_failure(GRPC_INVALID_ARGUMENT,
				"failed to register shared memory region 'a': invalid args");
		key_regions_unregister(&regions, &me, "", KEY_SYSTEM);
	}
}

Test(key_region, pieces)
{
	struct key_region *r;

	cr_assert_eq(add(&me, "a"), 0);
	r = find(&me, "a");
	cr_expect_eq(key_region_check(r, 0, SIZE, &failure), 0);
	cr_expect_eq(key_region_check(r, SIZE, 0, &failure), 0);
	cr_expect_eq(key_region_check(r, SIZE, 1, &failure), INFER_E_FAILED);
	expect_failure(GRPC_INVALID_ARGUMENT, "Invalid offset for shared memory region: 'a'");
	cr_expect_eq(key_region_check(r, 1, UINT64_MAX, &failure), INFER_E_FAILED);
	expect_failure(
		GRPC_INVALID_ARGUMENT, "Invalid offset + byte size for shared memory region: 'a'");
	cr_expect_eq(key_region_check(r, UINT64_MAX, 0, &failure), INFER_E_FAILED);
}

Test(key_region, a_user_may_have_half)
{
	struct peer other = {.uid = 65533, .user = 65533};

	cr_assert_eq(fchmod(object.fd, 0666), 0);
	cr_assert_eq(add(&me, "a"), 0);
	cr_assert_eq(add(&me, "b"), 0);
	cr_expect_eq(add(&me, "c"), INFER_E_FAILED);
	expect_failure(GRPC_RESOURCE_EXHAUSTED,
		"2 shared memory regions are registered, 2 of them by this user, who may have half "
		"of [limits] max_shm_regions, 4");
	cr_expect_eq(add(&other, "c"), 0);
}

static int register_one(void *arg)
{
	struct key_regions own;
	int r;

	(void)arg;
	key_regions_init(&own, CLIENT_SHM_LOCAL, CLIENT_SHM_OFF, 4);
	r = key_regions_register(&own, &me, "a", object.key, 0, SIZE, &failure);
	cr_assert(r == 0 || failure.status == GRPC_RESOURCE_EXHAUSTED);
	infer_failure_deinit(&failure);
	failure = (struct infer_failure){0};
	key_regions_deinit(&own);
	return r;
}

Test(key_region, without_memory)
{
	FAULT_LOOP(register_one, NULL);
}

/* --- On a GPU ------------------------------------------------------------------------------- */

/* region.h, of which there is one, tried when the test says so. */
struct region {
	unsigned refs;
	void (*on_tried)(void *data, int e, const char *why);
	void *data;
	int try_error;
};
static struct region gpu;

int region_new_on_device(struct region **ret_region, struct region_desk *k, const char *device,
	const uint8_t *bytes, uint64_t size, void (*on_gone)(void *data, int fd), void *data)
{
	cr_assert_eq(gpu.refs, 0);
	cr_expect_str_eq(device, "cuda:3");
	cr_expect(bytes[0] == 1 && size == SIZE);
	gpu.refs = 1;
	gpu.data = data;
	*ret_region = &gpu;
	return 0;
}

int region_try(struct region *r, void (*on_tried)(void *data, int e, const char *why))
{
	r->on_tried = on_tried;
	return r->try_error;
}

struct region *region_unref(struct region *r)
{
	if (r)
		r->refs--;
	return NULL;
}

static const uint8_t handle[64] = {1};
static const char *opened;

static void on_opened(void *data, int e, const char *why)
{
	cr_expect_eq(data, &opened);
	opened = e ? why : "fine";
}

static struct key_device device(void)
{
	return (struct key_device){.device = "cuda:3",
		.number = 3,
		.handle = handle,
		.n_handle = sizeof(handle),
		.size = SIZE,
		.on_opened = on_opened,
		.data = &opened};
}

static int add_device(const struct peer *p, const char *name, struct key_region **ret)
{
	struct key_device d = device();

	regions.cuda_allowed = CLIENT_SHM_LOCAL;
	return key_regions_register_device(&regions, p, name, &d, ret, &failure);
}

Test(key_region, on_a_gpu_is_found_when_it_was_opened)
{
	struct key_region *r;

	cr_assert_eq(add_device(&me, "g", &r), 0);
	cr_expect_null(find(&me, "g"));
	cr_expect_eq(add(&me, "g"), INFER_E_FAILED);
	expect_failure(GRPC_ALREADY_EXISTS, "shared memory region 'g' already in manager");
	key_regions_unregister(&regions, &me, "g", KEY_CUDA);
	gpu.on_tried(gpu.data, 0, "");
	cr_expect_str_eq(opened, "fine");
	cr_expect_eq(find(&me, "g"), r);
	cr_expect_eq(key_region_kind(r), KEY_CUDA);
	cr_expect_null(find(&stranger, "g"));
	key_regions_unregister(&regions, &me, "", KEY_SYSTEM);
	cr_expect_eq(find(&me, "g"), r);
	key_regions_unregister(&regions, &me, "g", KEY_CUDA);
	cr_expect_null(find(&me, "g"));
	cr_expect_eq(gpu.refs, 0);
}

Test(key_region, on_a_gpu_that_is_not_opened_is_forgotten)
{
	struct key_region *r;

	cr_assert_eq(add_device(&me, "g", &r), 0);
	gpu.on_tried(gpu.data, -EINVAL, "no");
	cr_expect_str_eq(opened, "no");
	key_regions_forget(&regions, r);
	cr_expect_eq(gpu.refs, 0);
	cr_assert_eq(add_device(&me, "g", &r), 0);
	key_regions_forget(&regions, r);
	cr_expect_eq(gpu.refs, 0);
	gpu.try_error = -ENODEV;
	cr_expect_eq(add_device(&me, "g", &r), INFER_E_FAILED);
	expect_failure(GRPC_UNAVAILABLE, "failed to register shared memory region 'g': no worker "
					 "on cuda:3 is there that takes "
					 "memory of clients");
	cr_expect_eq(gpu.refs, 0);
}

Test(key_region, on_a_gpu_what_is_refused)
{
	struct key_device d = device();
	struct key_region *r;

	cr_expect_eq(
		key_regions_register_device(&regions, &me, "g", &d, &r, &failure), INFER_E_FAILED);
	expect_failure(GRPC_INVALID_ARGUMENT, "failed to register shared memory region 'g': "
					      "invalid args (GPUs not supported: [server] "
					      "client_cuda_shm is off)");
	cr_expect_eq(add_device(&stranger, "g", &r), INFER_E_FAILED);
	expect_failure(GRPC_PERMISSION_DENIED,
		"shared memory is registered from this host only ([server] client_cuda_shm)");
	d.n_handle = 63;
	cr_expect_eq(
		key_regions_register_device(&regions, &me, "g", &d, &r, &failure), INFER_E_FAILED);
	expect_failure(GRPC_INVALID_ARGUMENT, "failed to register shared memory region 'g': "
					      "invalid args (a handle of 64 bytes is "
					      "expected, got 63, of 8192 bytes of memory)");
	d = device();
	d.device = NULL;
	cr_expect_eq(
		key_regions_register_device(&regions, &me, "g", &d, &r, &failure), INFER_E_FAILED);
	expect_failure(GRPC_INVALID_ARGUMENT, "failed to register shared memory region 'g': "
					      "invalid args (no worker is on GPU 3)");
	cr_assert_eq(add(&me, "a"), 0);
	cr_assert_eq(add(&me, "b"), 0);
	cr_expect_eq(add_device(&me, "g", &r), INFER_E_FAILED);
	cr_expect_eq(failure.status, GRPC_RESOURCE_EXHAUSTED);
	infer_failure_deinit(&failure);
	failure = (struct infer_failure){0};
}
