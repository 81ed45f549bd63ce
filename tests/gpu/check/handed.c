/*
 * handed.c: tensors in this process's memory on the GPU, handed over to a worker by a descriptor that CUDA exported it to, as local
 * clients do. Of memory that this process frees, and another one leaves behind, too. One thread.
 */
#include <cuda.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "clients/c/modeld.h"
#include "tests/gpu/check/check.h"
#include "workers/device_cuda_private.h"

#define HANDOFF "CHECK_HANDOFF"
#define BYTES	(16 * MIB) /* of the largest tensor */
#define IN_AT	100u	   /* where it lies: nothing is aligned */
#define OUT_AT	(BYTES + 1001)
#define REGION	(40 * MIB)

/* The driver's, by their names. */
#define CALLS(X)                                                                                   \
	X(cuMemCreate)                                                                             \
	X(cuMemExportToShareableHandle)                                                            \
	X(cuMemRelease)                                                                            \
	X(cuMemAddressReserve)                                                                     \
	X(cuMemAddressFree)                                                                        \
	X(cuMemMap)                                                                                \
	X(cuMemUnmap)                                                                              \
	X(cuMemSetAccess)
#define MEMBER(name) __typeof__(&name) name;

struct calls {
	CALLS(MEMBER)
};

/* An allocation, mapped and exported. */
struct block {
	CUdeviceptr at;
	int fd; /* own; -1: none */
};

struct handed {
	struct calls cuda;
	struct device *d;	 /* own */
	struct device_stream *s; /* own */
	struct device_event *e;	 /* own */
	struct modeld *m;	 /* own */
	struct modeld_region *region;
	struct block block;
	unsigned char *here; /* own: what is sent, and what came */
	struct modeld_error error;
};

static bool find_calls(struct calls *c)
{
#define FIND(name)                                                                                 \
	if (!cuda_driver_find(#name, &c->name))                                                    \
		return false;
	CALLS(FIND)
	return true;
}

/* --- Memory ----------------------------------------------------------------------------------- */

static bool block_new(const struct calls *c, struct block *b)
{
	const CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
	const CUmemAccessDesc access = {properties.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
	CUmemGenericAllocationHandle handle;
	bool made;

	*b = (struct block){.fd = -1};
	if (c->cuMemCreate(&handle, REGION, &properties, 0))
		return false;
	made = !c->cuMemAddressReserve(&b->at, REGION, 0, 0, 0) &&
	       !c->cuMemMap(b->at, REGION, 0, handle, 0) &&
	       !c->cuMemSetAccess(b->at, REGION, &access, 1) &&
	       !c->cuMemExportToShareableHandle(
		       &b->fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	(void)c->cuMemRelease(handle); /* what is mapped stays */
	return made;
}

static bool block_free(const struct calls *c, struct block *b)
{
	CUdeviceptr at = b->at;

	close_fd(&b->fd);
	b->at = 0;
	return !at || (!c->cuMemUnmap(at, REGION) && !c->cuMemAddressFree(at, REGION));
}

static int enter(struct handed *h, int fd, uint64_t bytes, struct modeld_region **ret_region)
{
	const struct modeld_device_memory memory = {
		.fd = fd, .bytes = bytes, .gpu = "0", .data = (void *)(uintptr_t)h->block.at};

	return modeld_register_device(h->m, &memory, ret_region, &h->error);
}

static bool handed_open(struct handed *h, const char *handoff)
{
	const struct modeld_options options = {.handoff = handoff};
	char text[DEVICE_TEXT_MAX];

	*h = (struct handed){.here = malloc(2 * BYTES), .block.fd = -1};
	return h->here && !device_open(&h->d, "cuda:0", text) && !device_stream_new(h->d, &h->s) &&
	       !device_event_new(h->d, &h->e) && find_calls(&h->cuda) &&
	       block_new(&h->cuda, &h->block) && !modeld_connect(&h->m, &options, &h->error) &&
	       !enter(h, h->block.fd, REGION, &h->region);
}

static void handed_close(struct handed *h)
{
	modeld_close(h->m);
	if (h->block.at)
		(void)block_free(&h->cuda, &h->block);
	device_event_free(h->e);
	device_stream_free(h->s);
	device_free(h->d);
	free(h->here);
}

/* --- What is true ----------------------------------------------------------------------------- */

/* identity, from IN_AT to OUT_AT of a region. */
static int infer(struct handed *h, struct modeld_region *region, size_t bytes)
{
	const struct modeld_tensor input = {.type = MODELD_U8,
		.rank = 1,
		.dims = {(int64_t)bytes},
		.region = region,
		.offset = IN_AT,
		.bytes = bytes};
	const struct modeld_target target = {.region = region, .offset = OUT_AT, .bytes = bytes};
	const struct modeld_request q = {.model = "identity",
		.inputs = &input,
		.n_inputs = 1,
		.targets = &target,
		.n_targets = 1,
		.timeout_us = 30000000};
	struct modeld_result *result;
	int r = modeld_infer(h->m, &q, &result, &h->error);

	if (!r)
		modeld_result_free(result);
	return r;
}

static bool finished(struct handed *h, int r)
{
	if (!r)
		r = device_event_record(h->e, h->s);
	return !r && !device_event_wait(h->e, clock_add(clock_ns(), 10 * NS_PER_S));
}

/* What lies in this process's memory comes out there, too. */
static bool is_right(struct handed *h, size_t bytes)
{
	unsigned char *there = (unsigned char *)(uintptr_t)h->block.at, *came = h->here + BYTES;

	check_fill(h->here, bytes, (uint32_t)bytes + 6);
	memset(came, 0, bytes);
	return finished(h, device_copy_in(h->s, there + IN_AT, h->here, bytes)) &&
	       finished(h, device_copy_in(h->s, there + OUT_AT, came, bytes)) &&
	       !infer(h, h->region, bytes) &&
	       finished(h, device_copy_out(h->s, came, there + OUT_AT, bytes)) &&
	       !memcmp(came, h->here, bytes);
}

static void say_right(struct check *c, struct handed *h, size_t bytes)
{
	check_true(c, is_right(h, bytes),
		"identity, %zu bytes from and to memory that was handed over on the GPU: %s", bytes,
		h->error.text);
}

static void refusals(struct check *c, struct handed *h)
{
	struct modeld_region *none = NULL;
	int r = enter(h, h->block.fd, REGION + 64 * MIB, &none);

	check_true(c, r == 3, "more than there is is refused: %s", h->error.text);
	r = enter(h, STDERR_FILENO, REGION, &none);
	check_true(c, r == 3, "a descriptor of something else is refused: %s", h->error.text);
	check_true(c, is_right(h, 4096), "the next answer is right: %s", h->error.text);
}

/* What its maker has let go of is there until it is released. */
static void freed(struct check *c, struct handed *h)
{
	struct modeld_region *region = NULL;
	struct block b;
	bool made = block_new(&h->cuda, &b) && !enter(h, b.fd, REGION, &region);

	if (check_true(c, made && block_free(&h->cuda, &b),
		    "memory that was handed over is freed by who made it: %s", h->error.text)) {
		check_true(c, infer(h, region, BYTES) == 0, "a request may name it still: %s",
			h->error.text);
		modeld_release(region);
	}
	check_true(c, is_right(h, 4096), "the next answer is right: %s", h->error.text);
}

/* A process that ends without a word leaves its region behind. */
static void owner_ends(struct check *c, struct handed *h)
{
	check_true(c, check_child(c, "hander", NULL) == 0,
		"another process hands memory over, and ends");
	check_true(c, is_right(h, 4096), "the next answer for others is right: %s", h->error.text);
}

static bool run(void *data)
{
	struct handed *h = data;

	return !infer(h, h->region, BYTES);
}

void check_handed(struct check *c, const char *handoff)
{
	struct handed h;
	bool open = handed_open(&h, handoff) && setenv(HANDOFF, handoff, 1) == 0;

	if (check_true(c, open, "memory on the GPU is exported, and a worker maps it: %s",
		    h.error.text)) {
		say_right(c, &h, 1);
		say_right(c, &h, 100000);
		say_right(c, &h, BYTES);
		refusals(c, &h);
		freed(c, &h);
		owner_ends(c, &h);
		if (c->measure_ns > 0)
			bare_compare_latency(c, "handed over on the GPU", BYTES, run, &h);
	}
	handed_close(&h);
}

int handed_child(void)
{
	const char *handoff = getenv(HANDOFF);
	struct handed h;

	if (!handoff || !handed_open(&h, handoff) || !is_right(&h, 4096)) {
		fprintf(stderr, "check: %s\n", handoff ? h.error.text : "");
		return 2;
	}
	/* Nothing is given back. */
	_exit(0);
}
